//! Which of two rule sets is the newer one: a number that all nodes on a shared store work out alike.

use std::fs::Metadata;
use std::time::UNIX_EPOCH;

use tollgate::{Micros, Mode, Policy, Quota};

/// Where the count of milliseconds begins: 2020, so that 41 bits last until 2089.
const EPOCH: Micros = Micros::from_secs(1_577_836_800);
const TIME_BITS: u32 = 41;
/// For how much older the rules are than the last change of quotas beside them.
const AGE_BITS: u32 = 11;
const CONTENTS_BITS: u32 = 12;
/// Of an age, the binary digits behind its first.
const AGE_DIGITS: u32 = 5;
/// How many numbers are left for rules without a date, below those of the oldest rules that have one.
const UNDATED: u64 = (1 << AGE_BITS) - ((TIME_BITS as u64) << AGE_DIGITS) - 1;

/// What a node's rules are, among those of other nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Since when they are so; 0 where nothing says it.
    pub at: Micros,
    /// What they say, as [`Contents`] has it.
    pub contents: u32,
}

impl Standing {
    /// The version of a node with these rules, which knows all changes of quotas until `changed`: for plans, users, keys
    /// and everybody.
    ///
    /// Of two nodes the one that knows a later change is newer, or that has rules later than each change; of two that know
    /// the same change, the one with the newer rules, as far as their ages differ by a thirtieth; and what is left is
    /// decided by what the rules say. So equal versions mean equal rules, and all nodes agree which of two is the newer.
    /// Rules without a date are older than all that have one, and more of what they say decides among them.
    pub fn version(&self, changed: Micros) -> u64 {
        let millis = |at: Micros| (at.since(EPOCH).as_micros() / 1_000) as u64;
        let (rules, changed) = (millis(self.at), millis(changed));
        let time = rules.max(changed).min((1 << TIME_BITS) - 1);
        let freshness = match self.at {
            Micros(0) => u64::from(self.contents >> CONTENTS_BITS) % UNDATED,
            _ => (1 << AGE_BITS) - 1 - age_code(time.saturating_sub(rules)),
        };
        let contents = u64::from(self.contents) & ((1 << CONTENTS_BITS) - 1);
        time << (AGE_BITS + CONTENTS_BITS) | freshness << CONTENTS_BITS | contents
    }
}

/// An age in so few bits that older rules never have a lower one: 0 for none, then its first binary digits.
fn age_code(millis: u64) -> u64 {
    let Some(exponent) = millis.checked_ilog2() else {
        return 0;
    };
    let digits = (millis << AGE_DIGITS >> exponent) & ((1 << AGE_DIGITS) - 1);
    1 + (u64::from(exponent) << AGE_DIGITS | digits)
}

/// What policies say, as a short number: the same in every process and every build, and another one, nearly always, where a
/// name, a quota, a penalty or how it is charged differs.
#[derive(Debug, Clone, Default)]
pub struct Contents(crc32fast::Hasher);

impl Contents {
    /// Adds a policy; the order counts.
    pub fn add(&mut self, policy: &Policy) {
        let quota = policy.quota().map(|quota| quota.to_string());
        let penalty = policy.penalty().map(|penalty| {
            let times = [penalty.block(), penalty.block_max(), penalty.quiet()];
            let times = times.map(|time| time.as_micros().to_string());
            format!("{} {}", times.join(" "), penalty.factor())
        });
        let flag = |is: bool| if is { "yes" } else { "no" };
        let said = [
            policy.name(),
            quota.as_deref().unwrap_or_default(),
            penalty.as_deref().unwrap_or_default(),
            flag(policy.mode() == Mode::Shadow),
            flag(policy.counts_denied()),
        ];
        self.add_line(&said);
    }

    /// Adds quotas that are told apart by their place.
    pub fn add_quotas(&mut self, quotas: &[Quota]) {
        let quotas: Vec<String> = quotas.iter().map(Quota::to_string).collect();
        self.add_line(&quotas);
    }

    /// Texts, none of which has a control character.
    fn add_line(&mut self, texts: &[impl AsRef<str>]) {
        for text in texts {
            self.0.update(text.as_ref().as_bytes());
            self.0.update(b"\0");
        }
        self.0.update(b"\n");
    }

    /// Adds what other policies say.
    pub fn join(&mut self, others: u32) {
        self.0.update(&others.to_be_bytes());
    }

    /// The number.
    pub fn number(self) -> u32 {
        self.0.finalize()
    }
}

/// When a file was last written; 1970 where its system does not say.
pub fn modified(file: &Metadata) -> Micros {
    let since = file.modified().ok();
    let since = since.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    since.map_or(Micros(0), |since| Micros(0) + since)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);
    const START: Micros = Micros::from_secs(1_800_000_000);

    fn rules(at: Micros, contents: u32) -> Standing {
        Standing { at, contents }
    }

    #[test]
    fn later_rules_are_newer_and_so_is_who_knows_a_later_change() {
        let (old, new) = (rules(START, 0xFFF), rules(START + DAY, 0));
        let never = Micros(0);
        assert!(new.version(never) > old.version(never));
        // A change makes whoever knows it newer, whatever the files say.
        let changed = START + 2 * DAY;
        assert!(old.version(changed) > new.version(never));
        assert!(new.version(changed) > old.version(changed));
        assert!(old.version(changed + Duration::from_millis(1)) > new.version(changed));
        assert!(new.version(START) == new.version(never));
    }

    #[test]
    fn older_rules_are_never_newer_however_long_ago_the_last_change_was() {
        for days in [0, 1, 30, 3_000] {
            let changed = START + 3_000 * DAY;
            let mut last = 0;
            for age in (0..40).rev().map(|bits| Duration::from_millis(1 << bits)) {
                let at = Micros(
                    (changed + days * DAY)
                        .0
                        .saturating_sub(age.as_micros() as u64),
                );
                let version = rules(at, 0).version(changed);
                assert!(version >= last, "{age:?}");
                last = version;
            }
        }
        let of_age = |age: u64| {
            let at = Micros(START.0 - 1_000 * age);
            rules(at, 0).version(START)
        };
        let versions: Vec<u64> = (0..100_000).map(of_age).collect();
        assert!(versions.is_sorted_by(|younger, older| younger >= older));
        assert!(of_age(3_600_000) > of_age(3_800_000));
    }

    #[test]
    fn rules_of_one_age_are_told_apart_by_what_they_say() {
        for changed in [Micros(0), START, START + DAY] {
            let [one, other] = [1, 2].map(|contents| rules(START, contents).version(changed));
            assert!(one < other);
        }
    }

    #[test]
    fn rules_without_a_date_are_the_oldest_and_told_apart_by_more_than_those_that_have_one() {
        for changed in [Micros(0), START, Micros(u64::MAX)] {
            let versions = (0..UNDATED as u32).flat_map(|high| {
                [0, 1, 0xFFF].map(|low| rules(Micros(0), high << CONTENTS_BITS | low))
            });
            let versions: Vec<u64> = versions.map(|rules| rules.version(changed)).collect();
            assert!(versions.is_sorted_by(|one, other| one < other));
            let oldest = rules(Micros(1), 0).version(changed);
            assert!(versions.iter().all(|version| *version < oldest));
        }
    }

    #[test]
    fn every_instant_until_2089_has_a_version_and_later_ones_have_the_last() {
        let late = Micros::from_secs(3_750_000_000);
        assert!(rules(late + DAY, 0).version(Micros(0)) > rules(late, 0).version(Micros(0)));
        for at in [Micros(0), EPOCH, Micros(u64::MAX)] {
            let version = rules(at, u32::MAX).version(Micros(u64::MAX));
            assert!(version >= rules(at, u32::MAX).version(Micros(0)));
        }
        assert_eq!(rules(Micros(0), 7).version(Micros(0)), 7);
        assert_eq!(rules(Micros(1), 7).version(Micros(0)), 0x7FF << 12 | 7);
    }

    #[test]
    fn what_policies_say_is_one_number_in_every_build() {
        let policy = |name: &str, quota: &str| Policy::new(name, quota.parse().unwrap()).unwrap();
        let number = |policies: &[Policy]| {
            let mut contents = Contents::default();
            policies.iter().for_each(|policy| contents.add(policy));
            contents.number()
        };
        let one = policy("a", "5 per minute");
        assert_eq!(
            number(&[policy("a", "5 per minute")]),
            number(&[policy("a", "5/m")])
        );
        let punished = policy("b", "9 per day calendar Europe/Berlin")
            .with_penalty(tollgate::Penalty::new(DAY))
            .unwrap();
        assert_eq!(number(&[one.clone(), punished]), 3_822_365_470);
        let others = [
            vec![policy("b", "5/m")],
            vec![policy("a", "6/m")],
            vec![policy("a", "5/m fixed-window")],
            vec![one.clone().counting_denied(true)],
            vec![one.clone().with_mode(Mode::Shadow)],
            vec![
                one.clone()
                    .with_penalty(tollgate::Penalty::new(DAY))
                    .unwrap(),
            ],
            vec![one.clone(), one.clone()],
            vec![],
        ];
        let mut numbers: Vec<u32> = others.iter().map(|policies| number(policies)).collect();
        numbers.push(number(&[one]));
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 9);
    }
}
