//! What came out: printed, and one line for each figure in `results/engine.jsonl`.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use serde::Serialize;

use crate::figures::{FIGURES, Figure};
use crate::scale::Scale;
use crate::spread::Spread;

/// The figures so far, each measured or with the reason why not.
#[derive(Default)]
pub struct Report(Vec<(Figure, Result<Spread, String>)>);

#[derive(Serialize)]
struct Line<'a> {
    figure: &'a str,
    value: Option<f64>,
    bar: f64,
    met: bool,
    unit: &'a str,
    sense: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    low: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    high: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rounds: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_measured: Option<&'a str>,
    quick: bool,
    seed: u64,
    machine: &'a str,
    commit: &'a str,
    at: &'a str,
}

impl Report {
    /// Keeps what was measured of a figure, or why it could not be.
    pub fn record(&mut self, figure: Figure, measured: Result<Spread, String>) {
        self.0.push((figure, measured));
    }

    /// Prints and appends every figure, and tells whether all bars are met. What was not measured does not meet its bar.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn finish(&self, scale: &Scale) -> Result<bool, String> {
        let (machine, commit, at) = (
            machine(),
            commit(),
            said_by("date", &["-u", "+%FT%T+00:00"]),
        );
        let mut lines = String::new();
        let mut all_met = true;
        println!("\n# Figures\n");
        for (figure, name, unit, bar) in FIGURES {
            let missing = Err("its run did not take place".to_owned());
            let found = self.0.iter().find(|(known, _)| *known == figure);
            let measured = found.map_or(&missing, |(_, measured)| measured);
            let spread = measured.as_ref().ok();
            let met = spread.is_some_and(|spread| bar.is_met(spread.median));
            all_met &= met;
            let (sense, verdict) = (bar.sense(), if met { "met" } else { "NOT MET" });
            let bar_text = format!("{sense} {}", bar.value());
            match measured {
                Ok(spread) => println!("{verdict:8} {name:29} {} {unit}, {bar_text}", text(spread)),
                Err(why) => println!("{verdict:8} {name:29} not measured, {bar_text}: {why}"),
            }
            let range = spread.filter(|spread| spread.rounds > 1);
            let line = Line {
                figure: name,
                value: spread.map(|spread| rounded(spread.median)),
                bar: bar.value(),
                met,
                unit,
                sense,
                low: range.map(|spread| rounded(spread.low)),
                high: range.map(|spread| rounded(spread.high)),
                rounds: range.map(|spread| spread.rounds),
                not_measured: measured.as_ref().err().map(String::as_str),
                quick: scale.quick,
                seed: scale.seed,
                machine: &machine,
                commit: &commit,
                at: &at,
            };
            lines.push_str(&serde_json::to_string(&line).map_err(|error| error.to_string())?);
            lines.push('\n');
        }
        append(&lines)?;
        Ok(all_met)
    }
}

fn text(spread: &Spread) -> String {
    let Spread {
        median,
        low,
        high,
        rounds,
    } = spread;
    match rounds {
        1 => format!("{median:.3}"),
        _ => format!("{median:.3} [{low:.3}-{high:.3}]"),
    }
}

fn append(lines: &str) -> Result<(), String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("results/engine.jsonl");
    let file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path);
    file.and_then(|mut file| file.write_all(lines.as_bytes()))
        .map_err(|error| format!("{}: {error}", path.display()))
}

/// Three digits behind the point, but never a small number that looks like nothing.
fn rounded(value: f64) -> f64 {
    match (value * 1_000.0).round() / 1_000.0 {
        0.0 => value,
        rounded => rounded,
    }
}

/// Processor, cores, kernel.
pub fn machine() -> String {
    let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = processor
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "{}, {} cores, Linux {}",
        processor.map_or(std::env::consts::ARCH, |(_, name)| name.trim()),
        cores(),
        kernel.trim().split('-').next().unwrap_or_default()
    )
}

pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn commit() -> String {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let commit = said_by("git", &["-C", root, "rev-parse", "--short", "HEAD"]);
    let changes = said_by(
        "git",
        &[
            "-C",
            root,
            "status",
            "--porcelain",
            "--",
            "crates",
            "bench/src",
            "bench/Cargo.toml",
            "bench/Cargo.lock",
        ],
    );
    if changes.is_empty() {
        commit
    } else {
        commit + "-dirty"
    }
}

fn said_by(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or_else(
        |_| String::new(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}
