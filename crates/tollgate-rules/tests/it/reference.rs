//! `docs/rules.md` names every key and word that the parser takes, and no other.

use std::collections::BTreeSet;

use tollgate_rules::Diagnostic;

use crate::read;

/// A key that nothing is near to, so that the parser lists those that it knows.
const STRANGE: &str = "qqqqqqqqqqqqqqqq";

/// A table of the file, and where the page lists its keys.
struct Place {
    /// What stands before its keys in a file.
    before: &'static str,
    /// What stands behind them.
    after: &'static str,
    /// The headings below which its keys are listed.
    headings: &'static [&'static str],
    /// Which table below the first heading; without one the keys stand somewhere in the text.
    table: Option<usize>,
}

const fn listed(before: &'static str, headings: &'static [&'static str], table: usize) -> Place {
    Place {
        before,
        after: "",
        headings,
        table: Some(table),
    }
}

const fn inline(
    before: &'static str,
    after: &'static str,
    headings: &'static [&'static str],
) -> Place {
    Place {
        before,
        after,
        headings,
        table: None,
    }
}

/// Every table of a rules file. The first word of each section is held against what the parser takes at the top.
const PLACES: [Place; 20] = [
    listed("[server]\n", &["`[server]`"], 0),
    listed("[counters]\n", &["`[counters]`"], 0),
    listed("[accounts]\n", &["`[accounts]`"], 0),
    listed("[[accounts.issuers]]\n", &["`[[accounts.issuers]]`"], 0),
    listed("[accounts.protection]\n", &["`[accounts.protection]`"], 0),
    listed("[fields]\n", &["`[fields]`"], 0),
    listed(
        "[service]\n",
        &["`[service]`", "`grpc`, `tls`, `fields` in `[service]`"],
        0,
    ),
    inline(
        "[service]\ntls = { ",
        " }",
        &["`grpc`, `tls`, `fields` in `[service]`"],
    ),
    listed("[service.domains.x]\n", &["`[service.domains.NAME]`"], 0),
    listed(
        "[[service.domains.x.descriptors]]\nentries = [\"a\"]\nquotas = \"1/s\"\n",
        &["`[service.domains.NAME]`"],
        1,
    ),
    listed("[limits.x]\n", &["`[limits.NAME]`"], 0),
    listed("[limits.x.penalty]\n", &["Penalties"], 0),
    inline(
        "[[service.domains.x.descriptors]]\nentries = [\"a\"]\nquotas = \"1/s\"\npenalty = { ",
        " }",
        &["Penalties"],
    ),
    listed("[defaults]\n", &["`[defaults]`"], 0),
    inline("[defaults]\nstatus = { ", " }", &["`[defaults]`"]),
    listed("[[routes]]\n", &["`[[routes]]`"], 0),
    inline(
        "[[routes]]\nmatch = \"/\"\nstatus = { ",
        " }",
        &["`[[routes]]`"],
    ),
    inline(
        "[[routes]]\nmatch = \"/\"\ntext = { ",
        " }",
        &["`text.limited`", "`[[routes]]`"],
    ),
    inline(
        "[[routes]]\nmatch = \"/\"\nrespond = { ",
        " }",
        &["`respond`"],
    ),
    inline("", "", &[]),
];

fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/rules.md");
    std::fs::read_to_string(path).unwrap()
}

/// What stands below a heading, up to the next one.
fn section<'p>(page: &'p str, heading: &str) -> &'p str {
    let start = page
        .match_indices(heading)
        .map(|(at, _)| at)
        .find(|at| {
            let line = page[..*at].rsplit('\n').next().unwrap_or_default();
            let ends = page[at + heading.len()..].starts_with('\n');
            ends && line.starts_with('#') && line.trim_matches(['#', ' ']).is_empty()
        })
        .unwrap_or_else(|| panic!("docs/rules.md has no heading {heading}"));
    let rest = &page[start..];
    &rest[..rest.find("\n#").unwrap_or(rest.len())]
}

fn has_heading(page: &str, section: &str, key: &str) -> bool {
    let start = format!("`[{section}.{key}");
    page.lines().any(|line| {
        line.trim_start_matches('#')
            .trim_start()
            .starts_with(&start)
    })
}

/// The rows of the tables below a heading whose first column is `key`: table, keys, and the whole row.
fn rows(section: &str) -> Vec<(usize, Vec<&str>, &str)> {
    let mut table = 0;
    let mut rows = Vec::new();
    let mut is_keys = false;
    for line in section.lines() {
        if !line.starts_with('|') {
            table += usize::from(is_keys);
            is_keys = false;
        } else if line.starts_with("| key ") {
            is_keys = true;
        } else if is_keys && line.starts_with("| `") {
            let cell = line.split('|').nth(1).unwrap_or_default();
            rows.push((table, cell.split('`').skip(1).step_by(2).collect(), line));
        }
    }
    rows
}

/// What the parser says it takes, in the complaint that begins so.
fn offered(complaints: &[Diagnostic], begins: &str, intro: &str) -> Option<BTreeSet<String>> {
    let one = complaints
        .iter()
        .find(|complaint| complaint.message().starts_with(begins))?;
    let words = one.help()?.strip_prefix(intro)?;
    Some(words.split(", ").map(str::to_owned).collect())
}

impl Place {
    /// The section of the file that it is in.
    fn section(&self) -> &'static str {
        let name = self.before.trim_start_matches('[');
        name.split(['.', ']']).next().unwrap_or_default()
    }

    fn with(&self, line: &str) -> Vec<Diagnostic> {
        let text = format!("{}{line}{}\n", self.before, self.after);
        match read(&text) {
            Ok(_) => panic!("this was taken:\n{text}"),
            Err(complaints) => complaints,
        }
    }

    /// The keys that the parser takes here.
    fn taken(&self) -> BTreeSet<String> {
        let complaints = self.with(&format!("{STRANGE} = 1"));
        offered(
            &complaints,
            &format!("unknown key `{STRANGE}`"),
            "known here: ",
        )
        .unwrap_or_else(|| panic!("no keys are offered in {}", self.before))
    }

    fn rows<'p>(&self, page: &'p str) -> Vec<(Vec<&'p str>, &'p str)> {
        let mut found = Vec::new();
        for (at, heading) in self.headings.iter().enumerate() {
            let here = rows(section(page, heading)).into_iter();
            let wanted = if at == 0 { self.table } else { Some(0) };
            found.extend(
                here.filter(|(table, ..)| Some(*table) == wanted)
                    .map(|(_, keys, row)| (keys, row)),
            );
        }
        found
    }
}

#[test]
fn the_reference_names_every_key_that_is_taken_and_no_other() {
    let page = page();
    for place in &PLACES {
        let taken = place.taken();
        if place.table.is_some() {
            let named = place.rows(&page).into_iter().flat_map(|(keys, _)| keys);
            let mut named: BTreeSet<String> = named.map(str::to_owned).collect();
            // A table within the table has a heading of its own.
            let within = taken
                .iter()
                .filter(|key| has_heading(&page, place.section(), key));
            named.extend(within.cloned());
            assert_eq!(named, taken, "docs/rules.md, {:?}", place.headings);
        } else if !place.headings.is_empty() {
            let texts: String = place.headings.iter().map(|at| section(&page, at)).collect();
            let words: BTreeSet<&str> = texts
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .collect();
            let missing: Vec<_> = taken
                .iter()
                .filter(|key| !words.contains(&***key))
                .collect();
            assert!(missing.is_empty(), "{:?} lacks {missing:?}", place.headings);
        }
    }
}

#[test]
fn every_section_of_a_file_is_held_against_the_reference() {
    let page = page();
    // Keys above all sections stand in a table above all headings.
    let above = rows(section(&page, "The rules file")).into_iter();
    let above = above.flat_map(|(_, keys, _)| keys).map(str::to_owned);
    let sections = PLACES.iter().map(Place::section);
    let sections = sections
        .filter(|section| !section.is_empty())
        .map(str::to_owned);
    let covered: BTreeSet<String> = sections.chain(above).collect();
    let top = PLACES.iter().find(|place| place.headings.is_empty());
    assert_eq!(covered, top.unwrap().taken());
}

#[test]
fn the_reference_names_every_word_that_a_key_can_be() {
    let page = page();
    let mut seen = 0;
    for place in PLACES.iter().filter(|place| place.table.is_some()) {
        for (keys, row) in place.rows(&page) {
            for key in keys {
                let complaints = place.with(&format!("{key} = \"{STRANGE}\""));
                let begins = format!("`{key}` cannot be");
                let Some(words) = offered(&complaints, &begins, "one of: ") else {
                    continue;
                };
                seen += 1;
                let text = match key {
                    "builtin" => section(&page, "`builtin`"),
                    _ => row,
                };
                for word in words {
                    let is_named = text.contains(&format!("\"{word}\""))
                        || text.contains(&format!("`{word}`"));
                    // A domain's descriptor refers to the limits of `[limits.NAME]`.
                    let refers = row.contains("as in `[limits.NAME]`");
                    assert!(is_named || refers, "docs/rules.md: `{key}` lacks `{word}`");
                }
            }
        }
    }
    assert!(seen >= 12, "only {seen} keys had words");
}
