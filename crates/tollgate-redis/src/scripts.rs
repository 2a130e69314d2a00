//! The scripts: one text for each operation and each set of algorithms that a decision needs, and nothing else in it,
//! since every run creates all functions of its text.

use std::sync::OnceLock;

use crate::script::Script;

/// What a script does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Decide,
    /// Decides, and charges units in advance.
    Lease,
    Peek,
    Refund,
    Settle,
    Reserve,
    Release,
}

impl Operation {
    /// Whether it takes units. What does so late, when nobody waits for its answer, takes them for nobody.
    pub(crate) fn takes(self) -> bool {
        matches!(
            self,
            Operation::Decide | Operation::Lease | Operation::Reserve
        )
    }
}

const OPERATIONS: usize = 7;

/// The algorithms, by their letters, in the order in which their texts stand.
const ALGORITHMS: [(char, &str); 7] = [
    ('t', include_str!("scripts/token_bucket.lua")),
    ('s', include_str!("scripts/sliding_window.lua")),
    ('n', include_str!("scripts/concurrency.lua")),
    ('f', include_str!("scripts/fixed_window.lua")),
    ('c', include_str!("scripts/calendar.lua")),
    ('k', include_str!("scripts/sliding_counter.lua")),
    ('p', include_str!("scripts/penalty.lua")),
];

/// Divides a file into what the short way of a decision needs and what only the long way does.
const MORE: &str = "\n-- more\n";

/// Those whose states are logs.
const LOGS: Kinds = Kinds(0b110);

/// A set of algorithms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kinds(u8);

impl Kinds {
    /// All that there are.
    pub(crate) const ALL: Kinds = Kinds((1 << ALGORITHMS.len()) - 1);

    /// Adds the one with this letter, if there is one.
    pub(crate) fn insert(&mut self, letter: char) {
        if let Some(place) = ALGORITHMS.iter().position(|(known, _)| *known == letter) {
            self.0 |= 1 << place;
        }
    }

    fn has(self, place: usize) -> bool {
        self.0 & 1 << place != 0
    }
}

/// The script that does `operation` on cells of these kinds.
pub(crate) fn script(operation: Operation, kinds: Kinds) -> &'static Script {
    const SETS: usize = 1 << ALGORITHMS.len();
    static SCRIPTS: [OnceLock<Script>; OPERATIONS * SETS] =
        [const { OnceLock::new() }; OPERATIONS * SETS];
    let kinds = match operation {
        // A peek looks into nothing but logs, which it shortens.
        Operation::Peek => Kinds(kinds.0 & LOGS.0),
        _ => kinds,
    };
    SCRIPTS[operation as usize * SETS + usize::from(kinds.0)]
        .get_or_init(|| Script::new(text(operation, kinds)))
}

/// The script that forgets keys.
pub(crate) fn reset() -> &'static Script {
    static RESET: OnceLock<Script> = OnceLock::new();
    RESET.get_or_init(|| Script::new(include_str!("scripts/reset.lua")))
}

/// The script that forgets values that are none of ours.
pub(crate) fn forget() -> &'static Script {
    static FORGET: OnceLock<Script> = OnceLock::new();
    FORGET.get_or_init(|| Script::new(include_str!("scripts/forget.lua")))
}

/// In a decision, what the short way needs stands before it, and everything else behind it: functions of the long way
/// are created only by those that go it.
fn text(operation: Operation, kinds: Kinds) -> String {
    const CELLS: &str = include_str!("scripts/cells.lua");
    const ASK: &str = include_str!("scripts/ask.lua");
    const DECIDE: &str = include_str!("scripts/decide.lua");
    const DECIDED: &str = include_str!("scripts/decided.lua");
    const DIVIDE: &str = include_str!("scripts/divide.lua");
    const GIVE_BACK: &str = include_str!("scripts/give_back.lua");
    let (prelude, more) = halves(include_str!("scripts/prelude.lua"));
    let (mut short, mut long) = (prelude.to_owned(), more.to_owned());
    let mut parts = Vec::new();
    if kinds.0 & LOGS.0 != 0 {
        short.push_str(DIVIDE);
        parts.push(include_str!("scripts/log.lua"));
    } else {
        long.push_str(DIVIDE);
    }
    let wanted = ALGORITHMS.iter().enumerate();
    parts.extend(wanted.filter_map(|(place, (_, text))| kinds.has(place).then_some(*text)));
    for (needed, more) in parts.into_iter().map(halves) {
        short.push_str(needed);
        long.push_str(more);
    }
    let rest: &[&str] = match operation {
        Operation::Decide => &[CELLS, ASK, DECIDE, DECIDED],
        Operation::Lease => &[
            CELLS,
            ASK,
            DECIDE,
            include_str!("scripts/lease.lua"),
            DECIDED,
        ],
        Operation::Peek => &[include_str!("scripts/peek.lua")],
        Operation::Refund => &[CELLS, GIVE_BACK, include_str!("scripts/refund.lua")],
        Operation::Settle => &[CELLS, GIVE_BACK, include_str!("scripts/settle.lua")],
        Operation::Reserve => &[CELLS, ASK, include_str!("scripts/reserve.lua")],
        Operation::Release => &[CELLS, include_str!("scripts/release.lua")],
    };
    if operation == Operation::Decide {
        short.push_str(include_str!("scripts/plain.lua"));
    }
    long.extend(rest.iter().copied());
    short + &long
}

/// What the short way needs of a file, and what only the long way does.
fn halves(file: &str) -> (&str, &str) {
    file.split_once(MORE).unwrap_or((file, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_algorithm_says_what_the_short_way_needs() {
        for (letter, text) in ALGORITHMS {
            let (short, long) = text.split_once(MORE).expect("a line `-- more`");
            assert!(!short.contains("algorithms."), "{letter}");
            assert!(!long.contains("take_"), "{letter}");
        }
        for operation in [Operation::Decide, Operation::Reserve] {
            assert!(!text(operation, Kinds::ALL).contains(MORE));
        }
    }

    #[test]
    fn a_script_has_what_it_needs_and_nothing_else() {
        let mut bucket = Kinds::default();
        bucket.insert('t');
        bucket.insert('u');
        let text = &script(Operation::Decide, bucket).text;
        assert!(text.contains("`token-bucket`") && text.contains("local cells"));
        for absent in ["`sliding-window`", "Logs:", "give_back(i", "algorithms.p ="] {
            assert!(!text.contains(absent), "{absent}");
        }
        assert_eq!(
            script(Operation::Peek, bucket).text,
            script(Operation::Peek, Kinds::default()).text
        );
        let all = &script(Operation::Reserve, Kinds::ALL).text;
        assert!(all.contains("Logs:") && all.contains("algorithms.p ="));
        assert_ne!(
            script(Operation::Reserve, Kinds::ALL).sha,
            script(Operation::Decide, Kinds::ALL).sha
        );
    }
}
