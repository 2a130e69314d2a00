//! Everything once, as text for people without a terminal or as JSON for programs.

use std::fmt::Write;

use serde_json::{Value, json};

use super::asked::{Answer, Asked};
use super::model::{Model, Update};
use super::summary::{self, ENDINGS};
use super::view::LISTED;
use crate::admin_client;
use crate::failure::Failure;
use crate::plain::escaped;

/// How wide the bars are: five seconds each.
const BARS: usize = 60;

/// The answers as they came; `error` says why there are no callers.
pub(super) fn json(overview: &str, callers: &Answer, heavy: &Answer) -> Result<String, Failure> {
    let part = |answer: &Answer| match answer {
        Ok(answer) => admin_client::json(answer),
        Err(why) => Ok(json!({ "error": why })),
    };
    let all = json!({
        "overview": admin_client::json(overview)?,
        "callers": part(callers)?,
        "heavy": part(heavy)?,
    });
    Ok(escaped(&pretty(&all)))
}

/// All tables, one below the other, without any control character but line feeds.
pub(super) fn text(overview: &str, callers: &Answer, heavy: &Answer) -> Result<String, Failure> {
    let mut model = Model::new(Asked::read(overview)?);
    model.take(Update::Callers(Asked::table(callers)?));
    model.take(Update::Heavy(Asked::table(heavy)?));
    Ok(page(&model))
}

pub(super) fn page(model: &Model) -> String {
    let mut lines = vec![format!("Tollgate  {}", model.now.as_of), summary::heading()];
    for ending in &ENDINGS {
        lines.push(ending.numbers(model) + &ending.bars(model, BARS));
    }
    for (name, text) in summary::states(model) {
        lines.push(format!(" {name:<16}  {text}"));
    }
    for listed in LISTED {
        let table = listed.table(model, 0);
        let width = table.full_width();
        lines.extend([String::new(), listed.name().to_owned()]);
        lines.extend(listed.says().map(str::to_owned));
        lines.push(format!(" {}", table.header(width)));
        lines.extend(
            table
                .rows
                .iter()
                .map(|row| format!(" {}", table.row(row, width))),
        );
        lines.extend(table.note.map(|note| format!(" ({note})")));
    }
    let mut page = String::new();
    for line in lines {
        // Writing into a string does not fail.
        let _ = writeln!(page, "{}", line.trim_end());
    }
    page
}

fn pretty(value: &Value) -> String {
    // A value has only texts for keys, so it can be written.
    serde_json::to_string_pretty(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::sample::full;
    use super::*;

    #[test]
    fn a_page_has_all_three_tables_and_no_control_character() {
        let page = page(&full());
        assert!(!page.chars().any(|char| char != '\n' && char.is_control()));
        let lines: Vec<&str> = page.lines().collect();
        assert_eq!(lines[0], "Tollgate  2027-01-15 08:00:10 UTC");
        let tables = [
            "",
            "Routes",
            "Requests and denials of the last second, then counts since the start.",
            "No auth: without good credentials. p95: 95 % of the answers were quicker.",
            " route          req/s denied/s allowed  denied no auth  failed      p95",
            " GET /limit         1        0     299      74       3       0   2.5 ms",
            " POST /login        0        0       2       0       3       0   2.5 ms",
            " (no route)         0        0       0       0       3       0   2.5 ms",
            "",
            "API keys",
            "Requests a second: now, and on average over 1 and 5 minutes. Then counts in all,",
            "how many requests pass now, and the last use.",
            " user / key       now/s 1 min/s 5 min/s allowed  denied     left  last seen",
            " bob\u{fffd}[2J / 漢字\u{fffd}      3     250     125   1,000  12,345 no limit      never",
            " ann / ci             3     1.5     0.8   1,000       0       10    3 s ago",
            " (the first 2 of 1,000 keys)",
            "",
            "Top callers",
            "Who came most often, with or without a key. A count may be too high by the",
            "number behind it. Share: of all requests that were allowed, or denied.",
            " caller, in 5 to 10 minutes allowed  off by  share  denied  off by  share",
            " ann / ci                       600       2   60 %       -       -      -",
            " address 192.0.2.1              400       0   40 %      10       0  100 %",
        ];
        assert_eq!(lines[11..], tables);
    }
}
