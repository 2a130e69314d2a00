//! Allocations per decision of the algorithms whose states have a fixed size. `engine-allocations` counts them, as a
//! program with an allocator that counts should measure nothing else.

use crate::algorithms::FIXED_SIZE;
use crate::figures::Figure;
use crate::report::Report;
use crate::spread::Spread;
use crate::subprocess::{self, count};

/// The program that counts, beside this one.
const PROGRAM: &str = "engine-allocations";

/// Counts and prints.
pub fn run(report: &mut Report) {
    println!("\n# Allocations\n");
    let counted = FIXED_SIZE
        .into_iter()
        .try_fold(0.0f64, |worst, (name, ..)| {
            Ok(worst.max(of_algorithm(name)?))
        });
    if let Err(why) = &counted {
        println!("  not counted: {why}");
    }
    report.record(Figure::Allocations, counted.map(Spread::once));
}

/// Allocations per decision, the worst of: a key's first, its later ones, and denied ones.
fn of_algorithm(name: &str) -> Result<f64, String> {
    let program = subprocess::own_path()?.with_file_name(PROGRAM);
    let counts = subprocess::counts(&program, &[name])?;
    ["first", "allowed", "denied"]
        .into_iter()
        .try_fold(0.0f64, |worst, when| {
            let allocations = count(&counts, &format!("{when} allocations"))?;
            let decisions = count(&counts, &format!("{when} decisions"))?;
            println!("  {name:16} {when:8} {allocations:9} in {decisions} decisions");
            Ok(worst.max(allocations / decisions))
        })
}
