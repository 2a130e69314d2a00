//! Instructions per decision, counted by callgrind inside the loop alone: they do not depend on the machine's mood.
//!
//! valgrind turns readings of the system's clock into system calls, which it does not count: limiters that read that
//! clock look cheaper than they are.

use std::process::Command;

use crate::algorithms::FIXED_SIZE;
use crate::figures::Figure;
use crate::keys::Key;
use crate::ours::{AtInstant, Ours, Room};
use crate::peer::Peer;
use crate::peers::{self, Which};
use crate::report::Report;
use crate::scale::Scale;
use crate::spread::Spread;
use crate::subprocess;
use crate::workload::{Bucket, Distribution, Outcome, Random};

/// The name of the subprocess.
pub const COMMAND: &str = "instructions";
const KEYS: u64 = 1_000;
const DECISIONS: usize = 100_000;
/// How much larger than planned the store is where every key is to be in its home line.
const ROOM: u64 = 16;
/// The one that is a figure.
const AT_INSTANT: &str = "ours, instant passed in, at home";

/// Counts and prints.
pub fn run(scale: &Scale, report: &mut Report) {
    println!("\n# Instructions per decision, 1000 string keys uniform allowed\n");
    let keyless = [Which::LeakyBucket.name()];
    let keyed = Which::ALL
        .into_iter()
        .filter(|which| which.is_keyed())
        .map(Which::name);
    let algorithms = FIXED_SIZE.into_iter().skip(1).map(|(name, ..)| name);
    for name in [AT_INSTANT]
        .into_iter()
        .chain(keyed)
        .chain(algorithms)
        .chain(keyless)
    {
        let counted = count(name, scale.seed);
        match &counted {
            Ok(count) => println!("  {name:34} {count:8.1}"),
            Err(why) => println!("  {name:34} not counted: {why}"),
        }
        if name == AT_INSTANT {
            report.record(Figure::Instructions, counted.map(Spread::once));
        }
    }
}

fn count(name: &str, seed: u64) -> Result<f64, String> {
    let file = std::env::temp_dir().join(format!("tollgate-callgrind-{}.out", std::process::id()));
    let run = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            "--toggle-collect=*instructions*decisions*",
        ])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(subprocess::own_path()?)
        .args([COMMAND, name, &seed.to_string()])
        .output();
    let run = run.map_err(|error| format!("valgrind: {error}"))?;
    let written = std::fs::read_to_string(&file);
    // What valgrind left is of no use; if it left nothing, there is nothing to remove.
    let _ = std::fs::remove_file(&file);
    if !run.status.success() {
        let said = String::from_utf8_lossy(&run.stderr);
        let own = said.lines().find_map(|line| line.strip_prefix("engine: "));
        return Err(own
            .unwrap_or("the process was killed under valgrind")
            .to_owned());
    }
    let written = written.map_err(|error| format!("{}: {error}", file.display()))?;
    let total = written
        .lines()
        .find_map(|line| line.strip_prefix("totals: ")?.trim().parse::<f64>().ok());
    match total {
        Some(total) if total > 0.0 => Ok(total / DECISIONS as f64),
        _ => Err("callgrind did not find the loop".to_owned()),
    }
}

/// The subprocess.
///
/// # Errors
/// A limiter that is unknown or cannot be built, and decisions that were not all allowed.
pub fn child(arguments: &[String]) -> Result<(), String> {
    let [name, seed] = arguments else {
        return Err("limiter, seed".to_owned());
    };
    let seed = seed.parse().map_err(|error| format!("{seed}: {error}"))?;
    let peer = limiter(name)?;
    peers::fill(peer.as_ref(), KEYS);
    let store = str::store(&Random::new(seed, 0).draw(Distribution::Uniform, KEYS, DECISIONS));
    let keys = str::cut(&store);
    let passed = decisions(peer.as_ref(), &keys);
    match Outcome::Allowed.holds(passed, keys.len()) {
        true => Ok(()),
        false => Err(format!("{passed} of {DECISIONS} passed where all are to")),
    }
}

fn limiter(name: &str) -> Result<Box<dyn Peer<str>>, String> {
    let algorithm = FIXED_SIZE
        .into_iter()
        .find(|(algorithm, ..)| *algorithm == name);
    Ok(match (name, algorithm) {
        (AT_INSTANT, _) => {
            let [(_, token_bucket, _), ..] = FIXED_SIZE;
            Box::new(AtInstant(Ours::new(
                token_bucket,
                Room::Slots(KEYS * ROOM),
            )?))
        }
        (_, Some((_, quota, _))) => Box::new(Ours::new(quota, Room::Slots(KEYS))?),
        _ => {
            let which = Which::from_name(name).ok_or("no such limiter")?;
            peers::build(which, Bucket::of(Outcome::Allowed, KEYS), KEYS)?
        }
    })
}

/// What callgrind counts.
#[inline(never)]
fn decisions(peer: &dyn Peer<str>, keys: &[&str]) -> usize {
    peer.hits(keys)
}
