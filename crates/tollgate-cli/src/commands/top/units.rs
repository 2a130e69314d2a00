//! Numbers as people read them, short enough for a column.

/// With separators up to 99,999, then rounded down: `123k`, `4.5M`.
pub(super) fn count(number: u64) -> String {
    match number {
        0..1_000 => number.to_string(),
        1_000..100_000 => format!("{},{:03}", number / 1_000, number % 1_000),
        100_000..1_000_000 => format!("{}k", number / 1_000),
        1_000_000..1_000_000_000 => tenths(number, 1_000_000, "M"),
        _ => tenths(number, 1_000_000_000, "G"),
    }
}

/// `512 B`, `1.5 KiB`, `3.2 MiB`.
pub(super) fn bytes(number: u64) -> String {
    match number {
        0..1_024 => format!("{number} B"),
        1_024..1_048_576 => tenths(number, 1_024, " KiB"),
        1_048_576..1_073_741_824 => tenths(number, 1_048_576, " MiB"),
        _ => tenths(number, 1_073_741_824, " GiB"),
    }
}

/// Microseconds: `500 us`, `2.5 ms`, `3.0 s`; `-` where there is none.
pub(super) fn latency(micros: Option<u64>) -> String {
    match micros {
        None => "-".to_owned(),
        Some(micros @ 0..1_000) => format!("{micros} us"),
        Some(micros @ 1_000..1_000_000) => tenths(micros, 1_000, " ms"),
        Some(micros) => tenths(micros, 1_000_000, " s"),
    }
}

/// Requests per second on average.
pub(super) fn rate(per_second: f64) -> String {
    match per_second {
        rate if rate < 99.95 => format!("{rate:.1}"),
        rate => count(rate as u64),
    }
}

/// `0 s`, `12 min`, `3 h`, `5 d`.
pub(super) fn lasting(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// A share of a whole; `-` of nothing.
pub(super) fn percent(part: u64, whole: u64) -> String {
    match whole {
        0 => "-".to_owned(),
        _ => format!("{} %", u128::from(part) * 100 / u128::from(whole)),
    }
}

fn tenths(number: u64, unit: u64, name: &str) -> String {
    format!("{}.{}{name}", number / unit, number % unit * 10 / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_any_size_fits_its_column() {
        let counts = [
            0,
            999,
            1_000,
            99_999,
            100_000,
            999_999,
            1_000_000,
            1_234_567_890,
        ]
        .map(count);
        assert_eq!(
            counts,
            [
                "0", "999", "1,000", "99,999", "100k", "999k", "1.0M", "1.2G"
            ]
        );
        assert_eq!(
            [512, 1_536, 3_355_444].map(bytes),
            ["512 B", "1.5 KiB", "3.2 MiB"]
        );
        let latencies = [None, Some(500), Some(2_500), Some(30_000_000)].map(latency);
        assert_eq!(latencies, ["-", "500 us", "2.5 ms", "30.0 s"]);
        assert_eq!(
            [0.0, 1.24, 99.96, 12_345.6].map(rate),
            ["0.0", "1.2", "99", "12,345"]
        );
        assert_eq!(
            [5, 60, 7_200, 90_000].map(lasting),
            ["5 s", "1 min", "2 h", "1 d"]
        );
        assert_eq!(
            [percent(1, 3), percent(1, 0), percent(u64::MAX, u64::MAX)],
            ["33 %", "-", "100 %"]
        );
        for odd in [u64::MAX, u64::MAX / 2] {
            assert!(
                bytes(odd).len() < 20 && count(odd).len() < 20 && latency(Some(odd)).len() < 20
            );
        }
    }
}
