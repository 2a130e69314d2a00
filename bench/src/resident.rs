//! Bytes per key: what resident memory grows by, in a process of its own, while all keys come.

use std::time::{Duration, Instant};

use crate::algorithms::{SLIDING_WINDOW, mutex_and_deque};
use crate::figures::Figure;
use crate::keys::Key;
use crate::ours::{Ours, Room};
use crate::peer::Peer;
use crate::peers::{self, Which};
use crate::report::Report;
use crate::scale::Scale;
use crate::spread::Spread;
use crate::subprocess::{self, count};
use crate::workload::{self, Bucket, Outcome};

/// The name of the subprocess.
pub const COMMAND: &str = "resident";
/// What a limiter counts by: a bucket, or the last five hits of each key.
const BUCKET: &str = "bucket";
const LOG: &str = "log";
/// Hits that fill the log.
const LOG_HITS: usize = 5;
/// Before the first of these hits is forgotten.
const LOG_WITHIN: Duration = Duration::from_secs(55);

/// Measures and prints all of it.
pub fn run(scale: &Scale, report: &mut Report) {
    println!("# Resident bytes per key, a process for each\n");
    let keyed = || {
        Which::ALL
            .into_iter()
            .filter(|which| which.is_keyed() && *which != Which::OursBatched)
    };
    for kind in [<str as Key>::NAME, <u64 as Key>::NAME] {
        for keys in [1_000_000, 10_000_000] {
            for which in keyed() {
                let is_figure =
                    which == Which::Ours && kind == <str as Key>::NAME && keys == 10_000_000;
                if scale.quick && keys > 1_000_000 && !is_figure {
                    continue;
                }
                let counts = measure(which, kind, keys, BUCKET);
                if is_figure {
                    record(report, Figure::BytesPerKey, &counts, |(bytes, _)| bytes);
                    record(report, Figure::KeysEvicted, &counts, |(_, lost)| {
                        lost * 10_000.0 / keys as f64
                    });
                }
            }
        }
    }
    for which in [Which::Ours, Which::MutexAndDeque] {
        let measured = measure(which, <str as Key>::NAME, 1_000_000, LOG);
        if which == Which::Ours {
            let kept = measured.and_then(|(bytes, lost)| match lost {
                ..=100.0 => Ok((bytes, lost)),
                _ => Err(format!("{lost} of 1000000 keys were lost")),
            });
            record(report, Figure::SlidingWindowBytes, &kept, |(bytes, _)| {
                bytes
            });
        }
    }
}

type Measured = Result<(f64, f64), String>;

fn record(
    report: &mut Report,
    figure: Figure,
    measured: &Measured,
    value: impl Fn((f64, f64)) -> f64,
) {
    report.record(
        figure,
        measured
            .clone()
            .map(|measured| Spread::once(value(measured))),
    );
}

/// Bytes per key that was kept, and how many keys were lost.
fn measure(which: Which, kind: &str, keys: u64, rule: &str) -> Measured {
    let counts = subprocess::measure(&[COMMAND, which.name(), kind, &keys.to_string(), rule]);
    let measured = counts.and_then(|counts| {
        let lost = count(&counts, "lost")?;
        Ok((count(&counts, "bytes")? / (keys as f64 - lost), lost))
    });
    let name = which.name();
    match &measured {
        Ok((bytes, lost)) => {
            println!("  {name:26} {keys:9} {kind:6} keys, {rule:6} {bytes:8.1}  lost {lost}")
        }
        Err(why) => println!("  {name:26} {keys:9} {kind:6} keys, {rule:6} not measured: {why}"),
    }
    measured
}

/// The subprocess.
///
/// # Errors
/// Arguments that are none, and keys that were not counted.
pub fn child(arguments: &[String]) -> Result<(), String> {
    let [which, kind, keys, rule] = arguments else {
        return Err("limiter, kind of key, number of keys, rule".to_owned());
    };
    let which = Which::from_name(which).ok_or("no such limiter")?;
    let keys = keys.parse().map_err(|error| format!("{keys}: {error}"))?;
    match kind.as_str() {
        <str as Key>::NAME => grow::<str>(which, keys, rule),
        <u64 as Key>::NAME => grow::<u64>(which, keys, rule),
        _ => Err("no such kind of key".to_owned()),
    }
}

fn grow<K: Key + ?Sized>(which: Which, keys: u64, rule: &str) -> Result<(), String> {
    let started = Instant::now();
    // What making keys takes has been taken before it is measured.
    workload::each(keys.min(1 << 12)).for_each(|numbers| drop(K::store(&numbers)));
    let before = bytes()?;
    let hits = if rule == LOG { LOG_HITS } else { 1 };
    let lost = match which {
        Which::Ours => {
            let ours = match rule {
                LOG => Ours::new(SLIDING_WINDOW, Room::Logs(keys))?,
                _ => Ours::with_bucket(Bucket::of(Outcome::Denied, keys), keys)?,
            };
            fill::<K>(&ours, keys, hits)?;
            print_growth(before)?;
            // A key that is still there has nothing left.
            ours.would_pass::<K>(keys)
        }
        _ => {
            let peer: Box<dyn Peer<K>> = match rule {
                LOG => Box::new(mutex_and_deque::<K>()),
                _ => peers::build(which, Bucket::of(Outcome::Denied, keys), keys)?,
            };
            fill(peer.as_ref(), keys, hits)?;
            print_growth(before)?;
            peer.lost()
        }
    };
    if rule == LOG && started.elapsed() > LOG_WITHIN {
        return Err(
            "the first hits were forgotten before the last: the machine is too slow".to_owned(),
        );
    }
    println!("lost {lost}");
    Ok(())
}

fn fill<K: Key + ?Sized>(peer: &dyn Peer<K>, keys: u64, hits: usize) -> Result<(), String> {
    for hit in 0..hits {
        let passed: usize = workload::each(keys)
            .map(|numbers| peer.hits(&K::cut(&K::store(&numbers))))
            .sum();
        if (passed as u64) < keys - keys / 100 {
            return Err(format!("hit {hit} passed for {passed} of {keys} keys only"));
        }
    }
    Ok(())
}

fn print_growth(before: u64) -> Result<(), String> {
    println!("bytes {}", bytes()?.saturating_sub(before));
    Ok(())
}

/// Resident memory of this process.
///
/// # Errors
/// Where the system does not tell.
pub fn bytes() -> Result<u64, String> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(|error| error.to_string())?;
    status
        .lines()
        .find_map(|line| {
            line.strip_prefix("VmRSS:")?
                .trim()
                .strip_suffix(" kB")?
                .parse::<u64>()
                .ok()
        })
        .map(|kib| kib * 1_024)
        .ok_or_else(|| "VmRSS is not told".to_owned())
}
