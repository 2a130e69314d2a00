//! Randomness that one variable repeats: `TOLLGATE_SEED`. `TOLLGATE_SCALE` multiplies the size of a run.

use std::hash::{BuildHasher, RandomState};

/// A small generator (splitmix64). When a test panics while holding one, it prints the seed that repeats the run.
pub struct Random {
    seed: u64,
    state: u64,
}

impl Random {
    /// Seeded by `TOLLGATE_SEED`, or freshly.
    pub fn new() -> Self {
        let seed = match std::env::var("TOLLGATE_SEED") {
            Ok(text) => text.parse().expect("TOLLGATE_SEED is a number"),
            Err(_) => RandomState::new().hash_one(0),
        };
        Random { seed, state: seed }
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next_u64() % bound.max(1)
    }

    /// A number from `low` to `high`, both possible.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// One of `choices`.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len() as u64) as usize]
    }
}

impl Default for Random {
    fn default() -> Self {
        Random::new()
    }
}

impl Drop for Random {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("repeat this run with TOLLGATE_SEED={}", self.seed);
        }
    }
}

/// `size`, times `TOLLGATE_SCALE`.
pub fn scaled(size: u64) -> u64 {
    let scale = std::env::var("TOLLGATE_SCALE")
        .map_or(1, |text| text.parse().expect("TOLLGATE_SCALE is a number"));
    size * scale
}
