//! Every limiter over keys, key types, distributions, outcomes and threads.

use crate::figures::Figure;
use crate::keys::Key;
use crate::measure::{self, Cell, Contender, Timings};
use crate::peers::{self, Which};
use crate::report::{Report, cores};
use crate::scale::{Group, Scale};
use crate::spread::Spread;
use crate::workload::{Bucket, Distribution, Outcome};

const OURS: &str = Which::Ours.name();
const BATCHED: &str = Which::OursBatched.name();
const GOVERNOR: &str = Which::GovernorDashMap.name();

/// Measures and prints all of it, and records the ratios that are figures.
///
/// # Errors
/// A limiter that cannot be built.
pub fn run(scale: &Scale, report: &mut Report) -> Result<(), String> {
    println!(
        "\n# Nanoseconds per decision: median [least-greatest round], and how many times ours\n"
    );
    for group in scale.groups() {
        match group.strings {
            true => measure_group::<str>(group, scale, report)?,
            false => measure_group::<u64>(group, scale, report)?,
        }
    }
    Ok(())
}

fn measure_group<K: Key + ?Sized>(
    group: Group,
    scale: &Scale,
    report: &mut Report,
) -> Result<(), String> {
    let Group { keys, outcome, .. } = group;
    let bucket = Bucket::of(outcome, keys);
    let mut contenders = Vec::new();
    for which in group
        .limiters
        .iter()
        .filter(|which| which.is_keyed() || keys == 1)
    {
        let peer = peers::build::<K>(*which, bucket, keys)?;
        peers::fill(peer.as_ref(), keys);
        if outcome == Outcome::Denied {
            // Where a burst of 1 does not limit, the second hit uses up what is left.
            peers::fill(peer.as_ref(), keys);
        }
        contenders.push(Contender {
            name: which.name(),
            peer,
        });
    }
    for threads in group.threads {
        for distribution in group.distributions {
            let cell = Cell {
                keys,
                outcome,
                distribution: *distribution,
                threads: *threads,
            };
            if *threads > cores() {
                println!("{} have no cores here\n", title::<K>(cell));
                continue;
            }
            let timings = measure::interleaved(&contenders, cell, scale);
            print(&title::<K>(cell), &timings, OURS);
            record::<K>(cell, &timings, report);
        }
    }
    Ok(())
}

fn title<K: Key + ?Sized>(cell: Cell) -> String {
    let Cell {
        keys,
        outcome,
        distribution,
        threads,
    } = cell;
    let (kind, outcome) = (K::NAME, outcome.name());
    match keys {
        1 => format!("1 {kind} key, {outcome}, {threads} thread(s)"),
        _ => format!(
            "{keys} {kind} keys, {}, {outcome}, {threads} thread(s)",
            distribution.name()
        ),
    }
}

/// A table of times, and of ratios to the time of `unit`.
pub fn print(title: &str, timings: &Timings, unit: &str) {
    println!("{title}");
    for (name, time) in timings.times() {
        match time {
            Ok(Spread {
                median, low, high, ..
            }) => {
                let ratio = timings.ratio(name, unit).map_or(String::new(), |ratio| {
                    format!("{:8.2} [{:.2}-{:.2}]", ratio.median, ratio.low, ratio.high)
                });
                let range = format!("[{low:.1}-{high:.1}]");
                println!("  {name:26} {median:9.1} {range:18} {ratio}");
            }
            Err(why) => println!("  {name:26} not measured: {why}"),
        }
    }
    println!();
}

fn record<K: Key + ?Sized>(cell: Cell, timings: &Timings, report: &mut Report) {
    if cell.outcome != Outcome::Allowed || cell.distribution != Distribution::Uniform {
        return;
    }
    let single = || timings.ratio(GOVERNOR, OURS);
    let batched = || timings.ratio(GOVERNOR, BATCHED);
    match (cell.keys, K::NAME, cell.threads) {
        (1, "string", 2) => report.record(Figure::HotKeyTwoThreads, single()),
        (1_000, "string", 1) => report.record(Figure::Governor1K, single()),
        (1_000_000, "string", 1) => {
            report.record(Figure::Governor1M, single());
            report.record(Figure::Batch1M, batched());
        }
        (10_000_000, "string", 1) => {
            report.record(Figure::Governor10M, single());
            report.record(Figure::Batch10M, batched());
        }
        (1_000_000, "u64", 1) => report.record(Figure::Governor1MNumbers, single()),
        _ => {}
    }
}
