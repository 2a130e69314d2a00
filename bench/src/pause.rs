//! How long a single decision can take while a million keys expire and a million new ones arrive.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::figures::Figure;
use crate::keys::Key;
use crate::ours::{Ours, Room};
use crate::peers;
use crate::report::{Report, cores};
use crate::scale::Scale;
use crate::spread::Spread;
use crate::subprocess;
use crate::workload::{Distribution, Random};

/// The name of the subprocess.
pub const COMMAND: &str = "pause";
const KEYS: u64 = 1_000_000;
/// Keys that are asked for all the time.
const HOT_KEYS: u64 = 1_000;
/// Keys expire two seconds after their only hit, over as long as it took to fill them in.
const SHORT: &str = "1 per 2 seconds token-bucket";
const HOT: &str = "1 per 1000 seconds burst 4000000";
/// Over which the new keys arrive, so that the old ones expire meanwhile.
const ARRIVAL: Duration = Duration::from_millis(2_500);
/// Old keys that are to be in use when the new ones begin to arrive.
const LIVE_MIN: u64 = 990_000;
const THREADS: usize = 2;
const RUNS: usize = 5;

/// Measures in processes of their own, and records the worse of the two threads: known keys, and new ones.
pub fn run(scale: &Scale, report: &mut Report) {
    println!(
        "\n# Nanoseconds of single decisions while 1000000 keys expire and 1000000 new ones arrive\n"
    );
    println!("With what two readings of the clock take. 2 threads: hot keys, and the new ones.\n");
    report.record(Figure::Pause, micros(scale));
}

fn micros(scale: &Scale) -> Result<Spread, String> {
    if cores() < THREADS {
        return Err(format!("{THREADS} threads need as many cores"));
    }
    let mut worst = Vec::new();
    for run in 0..RUNS {
        let counts = subprocess::measure(&[COMMAND, &(scale.seed + run as u64).to_string()])?;
        for (name, nanos) in &counts {
            println!("  {name:24} {nanos:12.0}");
        }
        println!();
        let p9999 = |who: &str| subprocess::count(&counts, &format!("{who} p99.99"));
        worst.push(p9999("hot")?.max(p9999("new")?) / 1_000.0);
    }
    Spread::of(worst).ok_or_else(|| "nothing was run".to_owned())
}

/// The subprocess.
///
/// # Errors
/// A run in which the keys did not expire as they should.
pub fn child(arguments: &[String]) -> Result<(), String> {
    let [seed] = arguments else {
        return Err("seed".to_owned());
    };
    let seed = seed.parse().map_err(|error| format!("{seed}: {error}"))?;
    let short = Ours::new(SHORT, Room::Slots(2 * KEYS + HOT_KEYS))?;
    let hot = short.beside(HOT)?;
    let hot_store =
        str::store(&Random::new(seed, 0).draw(Distribution::Uniform, HOT_KEYS, 1 << 20));
    let hot_keys = str::cut(&hot_store);
    let new_numbers: Vec<u64> = (KEYS..2 * KEYS).collect();
    let new_store = str::store(&new_numbers);
    let new_keys = str::cut(&new_store);

    peers::fill::<str>(&hot, HOT_KEYS);
    peers::fill::<str>(&short, KEYS);
    let in_use = || KEYS - short.would_pass::<str>(KEYS);
    let live = in_use();
    let decide = |key: &str| {
        std::hint::black_box(short.check(key));
    };
    let (known, new) = beside(&hot, &hot_keys, || arrive(&new_keys, decide))?;
    let left = in_use();
    if live < LIVE_MIN || left > 0 {
        return Err(format!(
            "{live} keys were in use at the beginning, and {left} at the end"
        ));
    }
    print("hot", known);
    let usual = print("new", new);
    // Of the machine itself: the same, with nothing done between the two readings for as long as a decision takes. What
    // comes in between (the clock of the system, the host) is as likely to.
    let nothing = |_: &str| {
        let started = Instant::now();
        while started.elapsed() < usual {
            std::hint::spin_loop();
        }
    };
    let (_, machine) = beside(&hot, &hot_keys, || arrive(&new_keys, nothing))?;
    print("machine", machine);
    println!("keys-in-use-at-the-start {live}");
    println!("keys-lost {}", short.lost());
    Ok(())
}

/// What a second thread measures with the hot keys, while this one does `arriving`.
fn beside(
    hot: &Ours,
    keys: &[&str],
    arriving: impl FnOnce() -> Vec<u32>,
) -> Result<(Vec<u32>, Vec<u32>), String> {
    let over = AtomicBool::new(false);
    let (known, new) = std::thread::scope(|scope| {
        let known = scope.spawn(|| ask_until(hot, keys, &over));
        let new = arriving();
        over.store(true, Ordering::Relaxed);
        (known.join(), new)
    });
    let known = known.map_err(|_| "the thread with the hot keys panicked".to_owned())?;
    Ok((known, new))
}

fn ask_until(limiter: &Ours, keys: &[&str], over: &AtomicBool) -> Vec<u32> {
    let mut nanos = Vec::with_capacity(1 << 24);
    let decide = |key: &str| {
        std::hint::black_box(limiter.check(key));
    };
    for key in keys.iter().cycle() {
        nanos.push(timed(key, decide));
        if over.load(Ordering::Relaxed) {
            break;
        }
    }
    nanos
}

fn arrive(keys: &[&str], what: impl Fn(&str) + Copy) -> Vec<u32> {
    let mut nanos = Vec::with_capacity(keys.len());
    let started = Instant::now();
    for (index, key) in keys.iter().enumerate() {
        let due = ARRIVAL.mul_f64(index as f64 / keys.len() as f64);
        while started.elapsed() < due {
            std::hint::spin_loop();
        }
        nanos.push(timed(key, what));
    }
    nanos
}

fn timed(key: &str, what: impl Fn(&str)) -> u32 {
    let started = Instant::now();
    what(key);
    u32::try_from(started.elapsed().as_nanos()).unwrap_or(u32::MAX)
}

/// The median, too.
fn print(who: &str, mut nanos: Vec<u32>) -> Duration {
    nanos.sort_unstable();
    let at = |part: f64| nanos[((nanos.len() - 1) as f64 * part) as usize];
    for (name, part) in [
        ("p50", 0.5),
        ("p99", 0.99),
        ("p99.9", 0.999),
        ("p99.99", 0.9999),
        ("slowest", 1.0),
    ] {
        println!("{who} {name} {}", at(part));
    }
    println!("{who} decisions {}", nanos.len());
    Duration::from_nanos(at(0.5).into())
}
