//! Two threads on one limiter: wall time of short windows, of which only those count in which both truly ran.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::keys::Key;
use crate::peer::Peer;
use crate::scale::Scale;
use crate::spread::Spread;
use crate::workload::Outcome;

/// Length of a window: shorter than the scheduler's turns.
const WINDOW: Duration = Duration::from_millis(3);
/// Decisions between two looks at the clock.
const SLICE: usize = 128;
/// How far apart the two may start.
const START_APART_MAX: Duration = Duration::from_micros(5);
/// The part of a window that a thread may have waited for a core.
const WAITED_MAX: f64 = 0.02;

/// Nanoseconds per decision of a thread, the median of the windows that count; `None` if no window did.
///
/// # Errors
/// Decisions that are not what the workload is about.
pub fn two_threads<K: Key + ?Sized>(
    peer: &dyn Peer<K>,
    streams: [&[&K]; 2],
    outcome: Outcome,
    scale: &Scale,
) -> Result<Option<f64>, String> {
    let mut counted = Vec::new();
    let mut at = [0; 2];
    for _ in 0..scale.windows_tried_max {
        // Each window goes on where the last one ended: keys that were just asked for would be in the cache.
        let sides = window(peer, streams, at);
        for ((side, stream), at) in sides.iter().zip(streams).zip(&mut at) {
            *at = (*at + side.asked) % stream.len();
            if !outcome.holds(side.passed, side.asked) {
                return Err(format!(
                    "{} of {} passed where they are to be {}",
                    side.passed,
                    side.asked,
                    outcome.name()
                ));
            }
        }
        if both_ran(&sides) {
            let per_nano: f64 = sides
                .iter()
                .map(|side| side.asked as f64 / side.took.as_nanos() as f64)
                .sum();
            counted.push(sides.len() as f64 / per_nano);
        }
        if counted.len() == scale.windows {
            break;
        }
    }
    Ok(Spread::of(counted).map(|spread| spread.median))
}

struct Side {
    started: Instant,
    took: Duration,
    /// How long the thread could have run, and did not; unknown where the scheduler keeps no books.
    waited: Option<Duration>,
    asked: usize,
    passed: usize,
}

fn both_ran(sides: &[Side; 2]) -> bool {
    let [first, second] = sides;
    let apart = first.started.max(second.started) - first.started.min(second.started);
    apart <= START_APART_MAX
        && sides.iter().all(|side| {
            side.waited
                .is_some_and(|waited| waited <= side.took.mul_f64(WAITED_MAX))
        })
}

/// One window, beginning at these places of the streams.
fn window<K: Key + ?Sized>(
    peer: &dyn Peer<K>,
    [first, second]: [&[&K]; 2],
    at: [usize; 2],
) -> [Side; 2] {
    let (gate, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let follower =
            scope.spawn(|| side(peer, second, at[1], &gate, |_| over.load(Ordering::Relaxed)));
        let leader = side(peer, first, at[0], &gate, |started| {
            started.elapsed() >= WINDOW
        });
        over.store(true, Ordering::Relaxed);
        match follower.join() {
            Ok(follower) => [leader, follower],
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

fn side<K: Key + ?Sized>(
    peer: &dyn Peer<K>,
    keys: &[&K],
    at: usize,
    gate: &AtomicUsize,
    over: impl Fn(Instant) -> bool,
) -> Side {
    meet(gate, 2);
    let waited_before = waited();
    meet(gate, 4);
    let started = Instant::now();
    let (mut asked, mut passed) = (0, 0);
    let rest = keys[at..].chunks(SLICE);
    for slice in rest.chain(keys.chunks(SLICE).cycle()) {
        passed += peer.hits(slice);
        asked += slice.len();
        if over(started) {
            break;
        }
    }
    let took = started.elapsed();
    Side {
        started,
        took,
        waited: waited()
            .zip(waited_before)
            .map(|(after, before)| after - before),
        asked,
        passed,
    }
}

/// Waits, without leaving the core, until so many have come.
fn meet(gate: &AtomicUsize, count: usize) {
    gate.fetch_add(1, Ordering::AcqRel);
    while gate.load(Ordering::Acquire) < count {
        std::hint::spin_loop();
    }
}

/// How long this thread has waited for a core so far, by the scheduler's books.
fn waited() -> Option<Duration> {
    let books = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    books
        .split_whitespace()
        .nth(1)?
        .parse()
        .ok()
        .map(Duration::from_nanos)
}
