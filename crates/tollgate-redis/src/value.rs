//! How states are written: "NUMBERS|vVERSION|STATE", such as `t 10 1 100000 1|v0|1700000000500000 0`.
//!
//! The numbers are those of the policy that wrote the state, in the order of [`Numbers`]; their first letter says what
//! they are. A log says the sum of its units, how many entries it has, its newest one, and behind a bar the others,
//! oldest first.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use tollgate::algorithm::{Entry, INTEGER_MAX, Log};
use tollgate::decide::Stored;
use tollgate::{CalendarUnit, Micros, Numbers, Penalty, Policy, State};

const UNITS: [(&str, CalendarUnit); 6] = [
    ("minute", CalendarUnit::Minute),
    ("hour", CalendarUnit::Hour),
    ("day", CalendarUnit::Day),
    ("week", CalendarUnit::Week),
    ("month", CalendarUnit::Month),
    ("year", CalendarUnit::Year),
];

/// The letter of a kind of numbers, and the numbers as scripts are told them.
pub(crate) fn integers(numbers: &Numbers) -> Option<(char, [u64; 4])> {
    Some(match *numbers {
        Numbers::Deny => ('d', [0; 4]),
        Numbers::Unlimited => ('u', [0; 4]),
        Numbers::SlidingWindow { limit, period } => ('s', [limit, period, 0, 0]),
        Numbers::FixedWindow { limit, period } => ('f', [limit, period, 0, 0]),
        Numbers::SlidingCounter { limit, period } => ('k', [limit, period, 0, 0]),
        Numbers::Concurrency { limit, lease } => ('n', [limit, lease, 0, 0]),
        Numbers::TokenBucket {
            burst,
            refill,
            price,
            tick,
        } => ('t', [burst, refill, price, tick]),
        // The unit's longest window and the zone are in the head, by their names.
        Numbers::Calendar { limit, .. } => ('c', [limit, 0, 0, 0]),
        Numbers::Penalty(penalty) => {
            let (block, block_max) = (micros(penalty.block()), micros(penalty.block_max()));
            let factor = penalty.factor().into();
            ('p', [block, factor, block_max, micros(penalty.quiet())])
        }
        _ => return None,
    })
}

/// What every value under a policy's numbers begins with, as of a version of the rules. `None` for an algorithm of one's
/// own.
pub(crate) fn head(policy: &Policy, version: u64) -> Option<String> {
    let numbers = policy.numbers()?;
    let (letter, integers) = integers(&numbers)?;
    let mut head = String::with_capacity(48);
    head.push(letter);
    let known = match &numbers {
        Numbers::Deny | Numbers::Unlimited => 0,
        Numbers::Calendar { .. } => 1,
        Numbers::TokenBucket { .. } | Numbers::Penalty(_) => 4,
        _ => 2,
    };
    for integer in &integers[..known] {
        let _ = write!(head, " {integer}");
    }
    if let Numbers::Calendar { unit, zone, .. } = &numbers {
        let (name, _) = UNITS.iter().find(|(_, known)| known == unit)?;
        let _ = write!(head, " {name} {zone}");
    }
    let _ = write!(head, "|v{version}|");
    Some(head)
}

/// The state in `value`, with the policy that it was made under: the given one, which now is of `version`, or one of the
/// numbers that stand there, newer than the given one where these are of a later version. `None` for what is not ours.
pub(crate) fn read(value: &[u8], policy: &Arc<Policy>, version: u64) -> Option<Stored> {
    let text = std::str::from_utf8(value).ok()?;
    let mut parts = text.splitn(3, '|');
    let (numbers, written) = (parts.next()?, parts.next()?.strip_prefix('v')?);
    let numbers = parse_numbers(numbers)?;
    let is_block = |numbers: &Numbers| matches!(numbers, Numbers::Penalty(_));
    if is_block(&numbers) != policy.numbers().as_ref().is_some_and(is_block) {
        return None;
    }
    let state = parse_state(&numbers, parts.next()?)?;
    let is_newer = written.parse::<u64>().ok()? > version;
    let same = policy.numbers().as_ref() == Some(&numbers);
    // What decides compares versions, and asks nothing else of them.
    let policy = match is_newer {
        false if same => Arc::clone(policy),
        false => Policy::of_numbers(policy.name(), &numbers, policy.version())?,
        true => Policy::of_numbers(policy.name(), &numbers, policy.version().saturating_add(1))?,
    };
    Some(Stored { policy, state })
}

/// Whether a state of a policy newer than `policy` says nothing of where its next window would end, and is taken for
/// absent: a calendar's, whose window is over.
pub(crate) fn is_of_no_use(stored: &Stored, policy: &Policy, now: Micros) -> bool {
    stored.policy.version() > policy.version()
        && matches!(stored.policy.numbers(), Some(numbers @ Numbers::Calendar { .. })
            if policy.numbers().as_ref() != Some(&numbers))
        && tollgate::decide::in_use(stored, now).0 == 0
}

fn parse_numbers(text: &str) -> Option<Numbers> {
    let mut words = text.split(' ');
    let kind = words.next()?;
    let words: Vec<&str> = words.collect();
    let number = |word: &str| word.parse::<u64>().ok();
    Some(match (kind, &words[..]) {
        ("s", [limit, period]) => Numbers::SlidingWindow {
            limit: number(limit)?,
            period: number(period)?,
        },
        ("f", [limit, period]) => Numbers::FixedWindow {
            limit: number(limit)?,
            period: number(period)?,
        },
        ("k", [limit, period]) => Numbers::SlidingCounter {
            limit: number(limit)?,
            period: number(period)?,
        },
        ("n", [limit, lease]) => Numbers::Concurrency {
            limit: number(limit)?,
            lease: number(lease)?,
        },
        ("t", [burst, refill, price, tick]) => Numbers::TokenBucket {
            burst: number(burst)?,
            refill: number(refill)?,
            price: number(price)?,
            tick: number(tick)?,
        },
        ("c", [limit, unit, zone]) => Numbers::Calendar {
            limit: number(limit)?,
            unit: UNITS.iter().find(|(name, _)| name == unit)?.1,
            zone: (*zone).to_owned(),
        },
        ("p", [block, factor, block_max, quiet]) => {
            let time = |word: &str| number(word).map(Duration::from_micros);
            let penalty = Penalty::new(time(block)?)
                .growing(factor.parse().ok()?, time(block_max)?)
                .forgiven_after(time(quiet)?);
            Numbers::Penalty(penalty)
        }
        _ => return None,
    })
}

fn parse_state(numbers: &Numbers, text: &str) -> Option<State> {
    if matches!(
        numbers,
        Numbers::SlidingWindow { .. } | Numbers::Concurrency { .. }
    ) {
        return parse_log(text).map(State::Log);
    }
    let mut words = text.split(' ').map(|word| word.parse::<u64>().ok());
    let (a, b) = (words.next()??, words.next()??);
    let third = words.next();
    Some(match (numbers, third) {
        (Numbers::SlidingCounter { .. }, Some(Some(own))) if b < 1 << 32 && own < 1 << 32 => {
            State::Pair(a, b << 32 | own)
        }
        (Numbers::SlidingCounter { .. }, _) | (_, Some(_)) => return None,
        _ => State::Pair(a, b),
    })
}

/// Scripts go by the sum and the count, and read no more of a log than they need: so these must be true.
fn parse_log(text: &str) -> Option<Log> {
    let (newest, older) = text.split_once('|')?;
    let entry = |text: &str| {
        let (at, units) = text.split_once(' ')?;
        Some(Entry {
            at: at.parse().ok()?,
            units: units.parse().ok()?,
        })
    };
    let mut log = match older {
        "" => Log::new(),
        older => older
            .strip_suffix(';')?
            .split(';')
            .map(entry)
            .collect::<Option<Log>>()?,
    };
    let mut newest = newest.splitn(3, ' ');
    let used: u64 = newest.next()?.parse().ok()?;
    let entries: usize = newest.next()?.parse().ok()?;
    log.push(entry(newest.next()?)?);
    let sum = log
        .iter()
        .try_fold(0, |sum: u64, entry| sum.checked_add(entry.units))?;
    // Sums beyond are rounded there.
    let is_true = entries == log.len() && (used == sum || used > INTEGER_MAX);
    (is_true && log.is_sorted_by_key(|entry| entry.at)).then_some(log)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(quota: &str) -> Arc<Policy> {
        let policy = Policy::new("p", quota.parse().unwrap()).unwrap();
        Arc::new(policy.with_version(3))
    }

    #[test]
    fn heads_are_those_of_the_documentation() {
        for (quota, expected) in [
            ("10/s burst 10", "t 10 1 100000 1|v3|"),
            ("5 per minute", "s 5 60000000|v3|"),
            ("5/m fixed-window", "f 5 60000000|v3|"),
            ("9/day calendar Europe/Berlin", "c 9 day Europe/Berlin|v3|"),
            ("10/m sliding-counter", "k 10 60000000|v3|"),
            ("2 concurrent for 30 seconds", "n 2 30000000|v3|"),
            ("deny", "d|v3|"),
            ("unlimited", "u|v3|"),
        ] {
            assert_eq!(head(&policy(quota), 3).as_deref(), Some(expected));
        }
    }

    #[test]
    fn a_value_is_read_under_the_numbers_that_stand_there() {
        let bucket = policy("10/s burst 10");
        let stored = read(b"t 10 1 100000 1|v3|1700000000500000 0", &bucket, 3).unwrap();
        assert!(Arc::ptr_eq(&stored.policy, &bucket));
        assert_eq!(stored.state, State::Pair(1_700_000_000_500_000, 0));
        let log = b"s 7 60000000|v4|6 3 30 1|10 2;20 3;";
        let stored = read(log, &bucket, 3).unwrap();
        assert_eq!(
            (stored.policy.version(), stored.policy.capacity()),
            (4, Some(7))
        );
        let entries = [(10, 2), (20, 3), (30, 1)].map(|(at, units)| Entry { at, units });
        assert_eq!(stored.state, State::Log(entries.into_iter().collect()));
    }

    #[test]
    fn a_value_is_newer_than_its_policy_if_it_is_newer_than_the_rules_of_the_node() {
        let bucket = policy("10/s burst 10");
        for (value, rules, expected) in [
            (&b"t 10 1 100000 1|v7|1 0"[..], 8, 3),
            (b"t 10 1 100000 1|v8|1 0", 8, 3),
            (b"t 10 1 100000 1|v9|1 0", 8, 4),
            (b"t 20 1 100000 1|v7|1 0", 8, 3),
            (b"t 20 1 100000 1|v9|1 0", 8, 4),
            (b"t 20 1 100000 1|v18446744073709551615|1 0", u64::MAX, 3),
        ] {
            let stored = read(value, &bucket, rules).unwrap();
            assert_eq!(stored.policy.version(), expected, "{value:?}");
        }
    }

    #[test]
    fn what_is_not_ours_is_none() {
        let bucket = policy("10/s burst 10");
        for value in [
            "",
            "garbage",
            "t 10 1 100000 1|v3|",
            "t 10 1 100000 1|v3|1",
            "t 10 1 100000 1|v3|1 2 3",
            "t 10 1 100000 1|v3|1 -2",
            "t 10 0 100000 1|v3|1 2",
            "t 10 1 100000|v3|1 2",
            "t 10 1 100000 1|3|1 2",
            "s 7 60000000|v4|6 3 30 1",
            "s 7 60000000|v4|6 3 30|",
            "s 7 60000000|v4|5 3 30 1|10 2;20 3;",
            "s 7 60000000|v4|6 2 30 1|10 2;20 3;",
            "s 7 60000000|v4|6 3 15 1|10 2;20 3;",
            "s 7 60000000|v4|6 3 30 1|10 2;20 3",
            "p 60000000 2 3600000000 86400000000|v9|1 1",
            "s 7 60000000|v4|6 3 30 1|10 2;x",
            "k 7 60000000|v4|6 3",
            "c 9 day Nowhere/At_all|v0|1 1",
            "x 1 2|v0|1 2",
        ] {
            assert!(read(value.as_bytes(), &bucket, 3).is_none(), "{value}");
        }
        assert!(read(b"\xFF", &bucket, 3).is_none());
    }
}
