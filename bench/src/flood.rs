//! Ten million keys that come once, against a bound of memory, and what becomes of those that were over their limit.

use crate::figures::Figure;
use crate::keys::Key;
use crate::ours::{Ours, Room};
use crate::peer::Peer;
use crate::report::Report;
use crate::resident::bytes;
use crate::spread::Spread;
use crate::subprocess::{self, count};
use crate::workload;

/// The name of the subprocess.
pub const COMMAND: &str = "flood";
const BOUND: usize = 64 << 20;
const KEYS: u64 = 10_000_000;
const OFFENDERS: u64 = 10_000;
const LIMIT: usize = 5;
/// The default algorithm, and one whose state has a fixed size.
const QUOTAS: [&str; 2] = ["5 per hour sliding-window", "5 per hour token-bucket"];

/// Measures each algorithm in a process of its own, and records the worse.
pub fn run(report: &mut Report) {
    println!(
        "\n# A flood of {KEYS} one-shot keys against {} MiB\n",
        BOUND >> 20
    );
    let (mut resident, mut admitted) = (Ok(0.0f64), Ok(0.0f64));
    for quota in QUOTAS {
        let counts = subprocess::measure(&[COMMAND, quota]);
        match &counts {
            Ok(counts) => {
                println!("  {quota}");
                for (name, count) in counts {
                    println!("    {name:16} {count:10}");
                }
            }
            Err(why) => println!("  {quota}: not measured: {why}"),
        }
        let worse =
            |worst: Result<f64, String>, name: &str| Ok(worst?.max(count(counts.as_ref()?, name)?));
        resident = worse(resident, "resident");
        admitted = worse(admitted, "admitted");
    }
    report.record(
        Figure::FloodResident,
        resident.map(|bytes| Spread::once(bytes / BOUND as f64)),
    );
    report.record(Figure::FloodAdmitted, admitted.map(Spread::once));
}

/// The subprocess.
///
/// # Errors
/// Keys that were not over their limit before the flood.
pub fn child(arguments: &[String]) -> Result<(), String> {
    let [quota] = arguments else {
        return Err("quota".to_owned());
    };
    let before = bytes()?;
    let ours = Ours::new(quota, Room::Bytes(BOUND))?;
    let offenders: Vec<u64> = (KEYS..KEYS + OFFENDERS).collect();
    let offender_store = str::store(&offenders);
    let offenders = str::cut(&offender_store);
    for _ in 0..LIMIT {
        ours.hits(&offenders);
    }
    if ours.hits(&offenders) > 0 {
        return Err("keys were not over their limit before the flood".to_owned());
    }
    let mut most = 0;
    for (chunk, numbers) in workload::each(KEYS).enumerate() {
        ours.hits(&str::cut(&str::store(&numbers)));
        if chunk % 64 == 0 {
            most = most.max(bytes()?);
        }
    }
    most = most.max(bytes()?);
    println!("resident {}", most.saturating_sub(before));
    println!("admitted {}", ours.hits(&offenders));
    println!("lost {}", ours.lost());
    Ok(())
}
