//! What the system knows of this process, under the names that every exporter uses. Nothing where there is no `/proc`.

use std::fmt::Write;
use std::fs;

use tollgate::Micros;

/// The unit of processor time in `/proc`, which is the same on all of Linux, whatever the kernel counts in.
const TICKS_PER_S: f64 = 100.0;

/// The metrics as text, without the mark of the end.
pub(super) fn metrics(started: Micros) -> String {
    let mut text = String::new();
    let mut write = |name: &str, kind: &str, help: &str, value: Option<f64>| {
        let Some(value) = value else { return };
        let family = name.strip_suffix("_total").unwrap_or(name);
        let unit = ["seconds", "bytes"]
            .into_iter()
            .find(|unit| family.ends_with(unit));
        let unit = unit.map_or(String::new(), |unit| format!("# UNIT {family} {unit}\n"));
        // Writing into a string does not fail.
        let _ = write!(
            text,
            "# HELP {family} {help}.\n# TYPE {family} {kind}\n{unit}{name} {value:?}\n"
        );
    };
    let started_s = started.0 as f64 / 1e6;
    write(
        "process_start_time_seconds",
        "gauge",
        "When the gateway started, in seconds since 1970",
        Some(started_s),
    );
    write(
        "process_cpu_seconds_total",
        "counter",
        "Time of processors that was spent",
        cpu_s(),
    );
    write(
        "process_resident_memory_bytes",
        "gauge",
        "Memory that the process has",
        resident_bytes(),
    );
    write(
        "process_open_fds",
        "gauge",
        "Open files and sockets",
        open_fds(),
    );
    text
}

/// Of `/proc/self/stat`, in which the second word may hold spaces, but ends with the last bracket.
fn cpu_s() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let mut words = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || words.next()?.parse::<u64>().ok();
    Some((ticks()? + ticks()?) as f64 / TICKS_PER_S)
}

fn resident_bytes() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some((kib * 1024) as f64)
}

fn open_fds() -> Option<f64> {
    // One of them is that of the reading itself.
    let entries = fs::read_dir("/proc/self/fd").ok()?.count();
    Some(entries.saturating_sub(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn the_system_knows_more_than_nothing_of_a_process_that_runs() {
        assert!(resident_bytes().unwrap() > 100_000.0);
        assert!(open_fds().unwrap() >= 3.0);
        assert!(cpu_s().unwrap() >= 0.0);
        let text = metrics(Micros::from_secs(7));
        let expected =
            "# UNIT process_start_time_seconds seconds\nprocess_start_time_seconds 7.0\n";
        assert!(text.contains(expected), "{text}");
        assert!(
            text.contains("# TYPE process_cpu_seconds counter\n"),
            "{text}"
        );
        assert!(text.contains("\nprocess_cpu_seconds_total "), "{text}");
    }
}
