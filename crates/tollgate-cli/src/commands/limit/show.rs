//! `tollgate limit show`: what a key has used of a limit and has left, as a table for people.

use serde_json::Value;

use crate::plain;

const HEADINGS: [&str; 5] = ["window", "used", "limit", "remaining", "whole again"];

/// Prints what a gateway has answered about the key of these words.
pub(super) fn print(answer: &Value, key: &[String], api_key: Option<&str>) {
    print!("{}", table(answer, key, api_key));
}

fn table(answer: &Value, key: &[String], api_key: Option<&str>) -> String {
    let limit = plain::line(answer["limit"].as_str().unwrap_or_default());
    let whose = match key {
        [] => "everybody together".to_owned(),
        words => plain::line(&words.join(", ")),
    };
    let by_key = api_key.map(|id| format!(", by the API key {}", plain::line(id)));
    let mut shown = format!("{limit} of {whose}{}\n", by_key.unwrap_or_default());
    let mut windows: Vec<(&String, &Value)> = answer["windows"]
        .as_object()
        .into_iter()
        .flatten()
        .collect();
    if windows.is_empty() {
        let why = match answer["counts_nothing"].as_str() {
            Some("off") => "it is off",
            Some("shadow") => "it only watches (`mode = \"shadow\"`)",
            Some("deny") => "it lets nothing pass (`deny`)",
            Some("unlimited") => "it lets everything pass (`unlimited`)",
            _ => "it is off, only watches, lets all pass or none",
        };
        shown.push_str(&format!("It counts nothing: {why}.\n"));
        return shown;
    }
    // The shortest first, as people write them.
    windows.sort_by(|(_, one), (_, other)| length(one).total_cmp(&length(other)));
    let mut rows = vec![HEADINGS.map(str::to_owned)];
    rows.extend(windows.iter().map(|(name, window)| row(name, window)));
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths = [0, 1, 2, 3].map(width);
    for [name, used, limit, remaining, whole] in &rows {
        let [first, second, third, fourth] = widths;
        shown.push_str(&format!(
            "{name:<first$}  {used:>second$}  {limit:>third$}  {remaining:>fourth$}  {whole}\n"
        ));
    }
    shown
}

fn length(window: &Value) -> f64 {
    window["window_s"].as_f64().unwrap_or_default()
}

fn row(name: &str, window: &Value) -> [String; 5] {
    let number = |member: &str| window[member].as_u64().unwrap_or_default();
    let whole = match number("whole_in") {
        0 => "now".to_owned(),
        seconds => format!("in {}", spelled(seconds)),
    };
    let blocked = match window["blocked"].as_bool() {
        Some(true) => ", blocked until more remains",
        _ => "",
    };
    let [used, limit, remaining] =
        ["used", "limit", "remaining"].map(|member| number(member).to_string());
    [name.to_owned(), used, limit, remaining, whole + blocked]
}

/// The two largest units of it: `50 s`, `59 min 50 s`, `2 h 5 min`, `3 d`.
fn spelled(seconds: u64) -> String {
    let units = [("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)];
    let largest = units
        .iter()
        .position(|(_, unit)| seconds >= *unit)
        .unwrap_or(3);
    let mut left = seconds;
    let parts = units.iter().skip(largest).take(2).map(|(name, unit)| {
        let count = left / unit;
        left %= unit;
        (count, name)
    });
    let parts: Vec<String> = parts
        .filter(|(count, _)| *count > 0)
        .map(|(count, name)| format!("{count} {name}"))
        .collect();
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn every_window_has_a_row_and_a_key_its_words() {
        let answer = json!({ "limit": "per-user", "windows": {
            "day": { "window_s": 86_400, "limit": 100, "used": 5, "remaining": 95, "whole_in": 86_400, "blocked": false },
            "hour": { "window_s": 3_600, "limit": 300, "used": 5, "remaining": 295, "whole_in": 3_590, "blocked": false },
            "burst": { "window_s": 0.5, "limit": 400, "used": 5, "remaining": 395, "whole_in": 1, "blocked": false },
            "minute": { "window_s": 60, "limit": 5, "used": 5, "remaining": 0, "whole_in": 50, "blocked": true },
            "year": { "window_s": 31_536_000, "limit": 1_000_000, "used": 0, "remaining": 1_000_000, "whole_in": 0, "blocked": false },
        }});
        assert_eq!(
            table(&answer, &words("ann 127.0.0.1"), Some("k1")),
            "per-user of ann, 127.0.0.1, by the API key k1\n\
             window  used    limit  remaining  whole again\n\
             burst      5      400        395  in 1 s\n\
             minute     5        5          0  in 50 s, blocked until more remains\n\
             hour       5      300        295  in 59 min 50 s\n\
             day        5      100         95  in 1 d\n\
             year       0  1000000    1000000  now\n"
        );
    }

    #[test]
    fn no_word_moves_the_cursor_or_begins_a_line() {
        let answer = json!({ "limit": "a", "windows": {} });
        let shown = table(&answer, &words("\u{1b}[31m b\u{202e}"), Some("\u{9b}k"));
        let first = "a of \u{fffd}[31m, b\u{fffd}, by the API key \u{fffd}k\n";
        assert!(shown.starts_with(first), "{shown:?}");
    }

    #[test]
    fn a_limit_that_counts_nothing_says_so() {
        for (why, said) in [
            ("off", "it is off."),
            ("shadow", "it only watches"),
            ("deny", "it lets nothing pass"),
            ("unlimited", "it lets everything pass"),
        ] {
            let answer = json!({ "limit": "a", "windows": {}, "counts_nothing": why });
            let shown = table(&answer, &[], None);
            let expected = format!("a of everybody together\nIt counts nothing: {said}");
            assert!(shown.starts_with(&expected), "{shown}");
        }
    }

    #[test]
    fn a_wait_is_spelled_in_its_two_largest_units() {
        let waits = [1, 59, 60, 61, 3_600, 7_500, 86_400, 90_000, 86_460].map(spelled);
        assert_eq!(
            waits,
            [
                "1 s",
                "59 s",
                "1 min",
                "1 min 1 s",
                "1 h",
                "2 h 5 min",
                "1 d",
                "1 d 1 h",
                "1 d"
            ]
        );
    }
}
