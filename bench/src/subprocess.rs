//! Measurements in a process of their own: `engine NAME ARGUMENTS` prints lines of a name and a number.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What such a process has counted.
pub type Counts = BTreeMap<String, f64>;

/// This program.
///
/// # Errors
/// If the system does not tell.
pub fn own_path() -> Result<PathBuf, String> {
    std::env::current_exe().map_err(|error| error.to_string())
}

/// Runs this program anew.
///
/// # Errors
/// See [`counts`].
pub fn measure(arguments: &[&str]) -> Result<Counts, String> {
    counts(&own_path()?, arguments)
}

/// Runs a program and reads its counts.
///
/// # Errors
/// What the program wrote to its standard error, if it failed.
pub fn counts(program: &Path, arguments: &[&str]) -> Result<Counts, String> {
    let run = Command::new(program).args(arguments).output();
    let output = run.map_err(|error| format!("{}: {error}", program.display()))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    let count = |line: &str| {
        let (name, value) = line.rsplit_once(' ')?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    Ok(String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(count)
        .collect())
}

/// One of the counts.
///
/// # Errors
/// If it is not among them.
pub fn count(counts: &Counts, name: &str) -> Result<f64, String> {
    counts
        .get(name)
        .copied()
        .ok_or_else(|| format!("`{name}` was not counted"))
}
