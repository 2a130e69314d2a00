//! `docs/scenarios.md` names a test for every line of the five systems, or the issue that owes it.

use std::collections::BTreeSet;

use crate::support::root;

/// Issues that may owe a line.
const ISSUES: [&str; 3] = ["One limit", "Accounts, keys and usage for real", "Ship it"];

/// A row: the line, and the cell that says what tests it.
struct Row {
    number: usize,
    line: String,
    test: String,
}

fn rows() -> Vec<Row> {
    let page = std::fs::read_to_string(root().join("docs/scenarios.md")).unwrap();
    let tables = page
        .lines()
        .enumerate()
        .filter(|(_, line)| line.starts_with('|'));
    let rows = tables.filter_map(|(number, line)| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [line, test] = cells[..] else {
            panic!("docs/scenarios.md:{}: not two cells: {line}", number + 1)
        };
        let is_head = line == "line" || line.chars().all(|c| c == '-');
        (!is_head).then(|| Row {
            number: number + 1,
            line: line.to_owned(),
            test: test.to_owned(),
        })
    });
    rows.collect()
}

/// The `[`name`](file)` of a cell.
fn named(cell: &str) -> Vec<(String, String)> {
    let links = cell.split("[`").skip(1);
    let link = |text: &str| {
        let (name, rest) = text.split_once("`](")?;
        let (file, _) = rest.split_once(')')?;
        Some((name.to_owned(), file.to_owned()))
    };
    links
        .map(|text| link(text).unwrap_or_else(|| panic!("no link: {text}")))
        .collect()
}

/// Whether this file has a test of this name.
fn has_test(file: &str, name: &str) -> bool {
    let path = root().join("docs").join(file);
    let Ok(source) = std::fs::read_to_string(&path) else {
        return false;
    };
    if file.ends_with(".mjs") {
        return source.contains(&format!("test(\"{name}\""))
            || source.contains(&format!("test(`{name}"));
    }
    if file.ends_with(".py") {
        return name.starts_with("test_") && source.contains(&format!("    def {name}(self):"));
    }
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let declared = |line: &&str| {
        let line = line.trim_start_matches("async ");
        line.starts_with(&format!("fn {name}("))
    };
    let is_test = |at: usize| {
        let above = lines[..at]
            .iter()
            .rev()
            .take_while(|line| line.starts_with("#["));
        above
            .into_iter()
            .any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
    };
    (0..lines.len()).any(|at| declared(&lines[at]) && is_test(at))
}

#[test]
fn every_line_of_the_five_systems_names_a_test_that_exists_or_the_issue_that_owes_it() {
    let mut wrong = Vec::new();
    for Row { number, line, test } in rows() {
        let place = format!("docs/scenarios.md:{number}: {line}");
        let tests = named(&test);
        let owed = test.split("owed: issue ").nth(1);
        if let Some(issue) = owed
            && !ISSUES
                .iter()
                .any(|known| issue.starts_with(&format!("\"{known}\"")))
        {
            wrong.push(format!("{place}: no issue is called {issue}"));
        }
        if tests.is_empty() && owed.is_none() {
            wrong.push(format!("{place}: neither a test nor an issue"));
        }
        for (name, file) in tests {
            if !has_test(&file, &name) {
                wrong.push(format!("{place}: {file} has no test `{name}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_page_has_all_five_systems_and_no_line_twice() {
    let page = std::fs::read_to_string(root().join("docs/scenarios.md")).unwrap();
    for system in [
        "`random-number`",
        "`hello-by-ip`",
        "`pages`",
        "`hourly-module`",
        "`per-api-key`",
    ] {
        let heading = page
            .lines()
            .filter(|line| line.starts_with("## ") && line.contains(system));
        assert_eq!(heading.count(), 1, "{system}");
    }
    let rows = rows();
    assert!(rows.len() >= 60, "{} lines", rows.len());
    let lines: BTreeSet<&str> = rows.iter().map(|row| row.line.as_str()).collect();
    assert_eq!(lines.len(), rows.len());
}

#[test]
fn a_test_that_does_not_exist_is_found_out() {
    let here = "../crates/tollgate-cli/tests/it/scenarios.rs";
    assert!(has_test(here, "a_test_that_does_not_exist_is_found_out"));
    assert!(!has_test(here, "has_test"), "a function is no test");
    assert!(!has_test(here, "nothing_of_the_kind"));
    let python = "../tests/deploy/test_image.py";
    assert!(has_test(python, "test_health_is_healthy_while_it_runs"));
    assert!(!has_test(python, "start"), "a method is no test");
    assert!(!has_test(
        "../crates/nowhere.rs",
        "a_test_that_does_not_exist_is_found_out"
    ));
}
