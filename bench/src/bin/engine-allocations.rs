//! Counts the allocations of our decisions under one algorithm: `engine-allocations ALGORITHM`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use tollgate_bench::algorithms::FIXED_SIZE;
use tollgate_bench::keys::Key;
use tollgate_bench::ours::{Ours, Room};
use tollgate_bench::peer::Peer;
use tollgate_bench::workload::Outcome;

const KEYS: u64 = 1_000;
const TURNS: usize = 100;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

/// The system's allocator, with a count.
struct Counting;

#[expect(
    unsafe_code,
    reason = "an allocator is unsafe by its trait; every call is passed on as it came"
)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        unsafe { System.realloc(block, layout, bytes) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> ExitCode {
    let name = std::env::args().nth(1).unwrap_or_default();
    match FIXED_SIZE
        .into_iter()
        .find(|(algorithm, ..)| *algorithm == name)
    {
        None => Err(format!("no algorithm `{name}`")),
        Some((_, allows, denies)) => count(allows, denies),
    }
    .map_or_else(
        |error| {
            eprintln!("{error}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}

fn count(allows: &str, denies: &str) -> Result<(), String> {
    let store = str::store(&(0..KEYS).collect::<Vec<u64>>());
    let keys = str::cut(&store);
    let allowing = Ours::new(allows, Room::Slots(KEYS))?;
    let denying = Ours::new(denies, Room::Slots(KEYS))?;
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    drop(std::hint::black_box(Box::new(KEYS)));
    if ALLOCATIONS.load(Ordering::Relaxed) == before {
        return Err("allocations are not counted".to_owned());
    }
    // What the first decision of all sets up, the ones to come need no more.
    allowing.check("another key");
    turn("first", &allowing, &keys, 1, Outcome::Allowed)?;
    turn("allowed", &allowing, &keys, TURNS, Outcome::Allowed)?;
    denying.hits(&keys);
    turn("denied", &denying, &keys, TURNS, Outcome::Denied)
}

fn turn(
    when: &str,
    limiter: &Ours,
    keys: &[&str],
    turns: usize,
    outcome: Outcome,
) -> Result<(), String> {
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    let passed = (0..turns).map(|_| limiter.hits(keys)).sum();
    let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
    let decisions = turns * keys.len();
    if !outcome.holds(passed, decisions) {
        return Err(format!(
            "{passed} of {decisions} passed where they are to be {}",
            outcome.name()
        ));
    }
    println!("{when} allocations {allocations}\n{when} decisions {decisions}");
    Ok(())
}
