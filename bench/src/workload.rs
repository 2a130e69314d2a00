//! What is asked: how many keys, how often each, and under which quota.

use std::time::Duration;

/// Zipf's exponent.
const SKEW: f64 = 0.99;
/// A prime that divides no number of keys here: spreads ranks over keys, so that hot keys were not made one by one.
const STRIDE: u64 = 2_654_435_761;

/// How often each key is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distribution {
    Uniform,
    Zipf,
}

impl Distribution {
    pub fn name(self) -> &'static str {
        match self {
            Distribution::Uniform => "uniform",
            Distribution::Zipf => "zipf .99",
        }
    }
}

/// What the quota makes of the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Allowed,
    Denied,
    /// Some of both.
    Mixed,
}

impl Outcome {
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Allowed => "allowed",
            Outcome::Denied => "denied",
            Outcome::Mixed => "allowed and denied",
        }
    }

    /// Whether `passed` of `asked` is what this workload is about: all, at most one in a hundred, or some.
    pub fn holds(self, passed: usize, asked: usize) -> bool {
        match self {
            Outcome::Allowed => passed == asked,
            Outcome::Denied => passed <= asked / 100,
            Outcome::Mixed => passed > 0,
        }
    }
}

/// A token bucket as every limiter here can say it: one more each `emission`, and at most `burst`.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    pub emission: Duration,
    pub burst: u32,
    /// How long a limiter that remembers hits keeps them.
    pub window: Duration,
}

impl Bucket {
    /// The bucket by which `outcome` happens to all of `keys`, and their states stay in use while it is measured.
    ///
    /// A hit takes `emission` to be forgotten: many keys are hit rarely, so it is long; few keys are hit often, so the
    /// burst is large. A limiter that remembers every hit gets a short window where few keys are hit often.
    pub fn of(outcome: Outcome, keys: u64) -> Bucket {
        let secs = Duration::from_secs;
        match outcome {
            Outcome::Allowed if keys < 1_000_000 => Bucket {
                emission: secs(10),
                burst: 400_000_000,
                window: secs(1),
            },
            Outcome::Allowed => Bucket {
                emission: secs(1_000),
                burst: 4_000_000,
                window: secs(1_000),
            },
            Outcome::Denied | Outcome::Mixed => Bucket {
                emission: secs(3_600),
                burst: 1,
                window: secs(3_600),
            },
        }
    }
}

/// Numbers that a seed repeats (splitmix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// One that does not repeat what another `stream` of the seed gave.
    pub fn new(seed: u64, stream: u64) -> Self {
        Random(mixed(seed ^ mixed(stream)))
    }

    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mixed(self.0)
    }

    /// From 0 to 1, 1 excluded.
    fn fraction(&mut self) -> f64 {
        (self.number() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// The numbers of the next `count` keys to ask for, of `keys`.
    pub fn draw(&mut self, distribution: Distribution, keys: u64, count: usize) -> Vec<u64> {
        let zipf = Zipf::new(keys);
        (0..count)
            .map(|_| match distribution {
                Distribution::Uniform => {
                    ((u128::from(self.number()) * u128::from(keys)) >> 64) as u64
                }
                Distribution::Zipf => scattered(zipf.rank(self) - 1, keys),
            })
            .collect()
    }
}

/// Every one of `keys` once, neighbours far apart, in chunks that fit a cache.
pub fn each(keys: u64) -> impl Iterator<Item = Vec<u64>> {
    const CHUNK: u64 = 1_024;
    (0..keys.div_ceil(CHUNK)).map(move |chunk| {
        (chunk * CHUNK..keys.min((chunk + 1) * CHUNK))
            .map(|index| scattered(index, keys))
            .collect()
    })
}

fn scattered(index: u64, keys: u64) -> u64 {
    (u128::from(index) * u128::from(STRIDE) % u128::from(keys)) as u64
}

/// One number for one number, without any pattern that is left to see.
pub fn mixed(mut number: u64) -> u64 {
    number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

/// Ranks by Zipf's law, by rejection and inversion (Hörmann and Derflinger 1996).
struct Zipf {
    first: f64,
    last: f64,
    shortcut: f64,
    ranks: f64,
}

impl Zipf {
    fn new(ranks: u64) -> Self {
        Zipf {
            first: area(1.5) - 1.0,
            last: area(ranks as f64 + 0.5),
            shortcut: 2.0 - area_inverse(area(2.5) - weight(2.0)),
            ranks: ranks as f64,
        }
    }

    fn rank(&self, random: &mut Random) -> u64 {
        loop {
            let at = self.last + random.fraction() * (self.first - self.last);
            let place = area_inverse(at);
            let rank = place.round().clamp(1.0, self.ranks);
            if rank - place <= self.shortcut || at >= area(rank + 0.5) - weight(rank) {
                return rank as u64;
            }
        }
    }
}

fn weight(rank: f64) -> f64 {
    rank.powf(-SKEW)
}

/// The integral of [`weight`] from 1.
fn area(rank: f64) -> f64 {
    ((1.0 - SKEW) * rank.ln()).exp_m1() / (1.0 - SKEW)
}

fn area_inverse(area: f64) -> f64 {
    ((area * (1.0 - SKEW)).ln_1p() / (1.0 - SKEW)).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_comes_once() {
        for keys in [1, 1_000, 1_000_000] {
            let mut seen: Vec<u64> = each(keys).flatten().collect();
            seen.sort_unstable();
            assert!(seen.into_iter().eq(0..keys));
        }
    }

    #[test]
    fn the_hottest_key_of_zipf_is_asked_for_as_often_as_the_law_says() {
        let count = 1_000_000;
        let hits = Random::new(1, 1)
            .draw(Distribution::Zipf, 1_000, count)
            .into_iter()
            .filter(|number| *number == 0)
            .count();
        let law = 1.0 / (1..=1_000).map(|rank| weight(f64::from(rank))).sum::<f64>();
        assert!(
            (hits as f64 / count as f64 - law).abs() < 0.01 * law + 0.001,
            "{hits} of {count}, law {law}"
        );
    }

    #[test]
    fn every_key_is_asked_for_equally_often_where_that_is_promised() {
        let mut hits = [0u32; 10];
        for number in Random::new(1, 1).draw(Distribution::Uniform, 10, 100_000) {
            hits[number as usize] += 1;
        }
        assert!(
            hits.iter().all(|count| (9_500..10_500).contains(count)),
            "{hits:?}"
        );
    }
}
