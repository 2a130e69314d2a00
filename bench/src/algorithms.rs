//! Our algorithms beside each other, and the sliding window beside what people write themselves.

use std::time::Duration;

use crate::figures::Figure;
use crate::grid;
use crate::keys::Key;
use crate::measure::{self, Cell, Contender};
use crate::ours::{Ours, Room};
use crate::peer::Peer;
use crate::peers::{self, MutexAndDeque, Which};
use crate::report::Report;
use crate::scale::Scale;
use crate::workload::{Distribution, Outcome};

const KEYS: u64 = 1_000_000;
const TOKEN_BUCKET: &str = "token-bucket";
/// The quota that both sides of the sliding window count by.
pub const SLIDING_WINDOW: &str = "5 per minute sliding-window";

/// The algorithms whose states have a fixed size: name, a quota that allows all, one that denies the second hit.
pub const FIXED_SIZE: [(&str, &str, &str); 3] = [
    (
        TOKEN_BUCKET,
        "1 per 1000 seconds burst 4000000",
        "1 per hour token-bucket",
    ),
    (
        "sliding-counter",
        "1000000 per 1000 seconds sliding-counter",
        "1 per hour sliding-counter",
    ),
    (
        "fixed-window",
        "1000000 per 1000 seconds fixed-window",
        "1 per hour fixed-window",
    ),
];

/// The limiter that people write, by [`SLIDING_WINDOW`].
pub fn mutex_and_deque<K: Key + ?Sized>() -> MutexAndDeque<K> {
    MutexAndDeque::new(5, Duration::from_secs(60))
}

/// Measures both.
pub fn run(scale: &Scale, report: &mut Report) {
    fixed_size(scale, report);
    sliding_window(scale, report);
}

fn fixed_size(scale: &Scale, report: &mut Report) {
    let mut contenders = Vec::new();
    let mut missing = Vec::new();
    for (name, quota, _) in FIXED_SIZE {
        match Ours::new(quota, Room::Slots(KEYS)) {
            Ok(ours) => contenders.push(filled(name, Box::new(ours))),
            Err(error) => missing.push((name, error)),
        }
    }
    let cell = Cell {
        keys: KEYS,
        outcome: Outcome::Allowed,
        distribution: Distribution::Uniform,
        threads: 1,
    };
    let timings = measure::interleaved(&contenders, cell, scale);
    grid::print(
        "ours, states of fixed size, 1000000 string keys, uniform, allowed, 1 thread",
        &timings,
        TOKEN_BUCKET,
    );
    for (figure, name) in [
        (Figure::SlidingCounter, "sliding-counter"),
        (Figure::FixedWindow, "fixed-window"),
    ] {
        let why = missing.iter().find(|(missing, _)| *missing == name);
        report.record(
            figure,
            why.map_or_else(
                || timings.ratio(name, TOKEN_BUCKET),
                |(_, why)| Err(why.clone()),
            ),
        );
    }
}

/// Every key has used one of its five: while it is measured some fill up, and are then denied.
fn sliding_window(scale: &Scale, report: &mut Report) {
    let ours = match Ours::new(SLIDING_WINDOW, Room::Logs(KEYS)) {
        Ok(ours) => ours,
        Err(error) => return report.record(Figure::SlidingWindowTime, Err(error)),
    };
    let (ours_name, theirs_name) = (Which::Ours.name(), Which::MutexAndDeque.name());
    let contenders = [
        filled(ours_name, Box::new(ours)),
        filled(theirs_name, Box::new(mutex_and_deque::<str>())),
    ];
    let cell = Cell {
        keys: KEYS,
        outcome: Outcome::Mixed,
        distribution: Distribution::Uniform,
        threads: 1,
    };
    let timings = measure::interleaved(&contenders, cell, scale);
    grid::print(
        "5 per minute sliding-window, 1000000 string keys, uniform, 1 thread",
        &timings,
        ours_name,
    );
    report.record(
        Figure::SlidingWindowTime,
        timings.ratio(theirs_name, ours_name),
    );
}

fn filled(name: &'static str, peer: Box<dyn Peer<str>>) -> Contender<str> {
    peers::fill(peer.as_ref(), KEYS);
    Contender { name, peer }
}
