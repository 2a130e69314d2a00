use tollgate::{Mode, OnError};

use super::{convert, parse};
use crate::domain::{Decide, DescriptorRate, Domain, Metadata};
use crate::{Overrides, RuleSet};

const EXAMPLE: &str = "\
# One limit for each of several kinds.
domain: edge/example
descriptors:
  - key: message_type
    value: marketing
    descriptors:
      - key: to_number
        rate_limit: {unit: day, requests_per_unit: 5}
  - key: to_number
    rate_limit:
      unit: WEEK
      requests_per_unit: 100
  - key: path
    value: /api/*
    value_to_metric: true
    shadow_mode: true
    metadata: {tier: gold, weight: 2, beta: true, tags: [a, b]}
    rate_limit:
      name: api
      unit: minute
      requests_per_unit: 5_0
      replaces:
        - name: general
  - key: internal
    rate_limit:
      unlimited: true
  - key: status
    value: 404
    rate_limit: { unit: second, requests_per_unit: 0 }
";

fn read(text: &str) -> Domain {
    parse("limits.yaml", text, OnError::Closed, None).unwrap_or_else(|wrong| panic!("{}", wrong[0]))
}

/// Line, message and help of all that is wrong.
fn wrong(text: &str) -> Vec<(usize, String, String)> {
    let wrong = parse("limits.yaml", text, OnError::Open, None).unwrap_err();
    let told = wrong.iter().map(|wrong| {
        let help = wrong.help().unwrap_or_default();
        (wrong.line(), wrong.message().to_owned(), help.to_owned())
    });
    told.collect()
}

#[test]
fn a_file_is_read_as_it_is() {
    let domain = read(EXAMPLE);
    assert_eq!(
        (domain.name.as_str(), domain.decide),
        ("edge/example", Decide::Apart)
    );
    let quota = |entries: &[(&str, &str)]| {
        let found = domain.find(entries.iter().copied());
        match &found.unwrap().rate {
            DescriptorRate::Limited(policies) => policies[0].quota().unwrap().to_string(),
            DescriptorRate::Unlimited => "unlimited".to_owned(),
            DescriptorRate::None => "none".to_owned(),
        }
    };
    let both = [("message_type", "marketing"), ("to_number", "1")];
    assert_eq!(quota(&both), "5 per day calendar UTC");
    assert_eq!(quota(&both[..1]), "none");
    assert_eq!(quota(&[("to_number", "2")]), "100 per week calendar UTC");
    assert_eq!(quota(&[("internal", "")]), "unlimited");
    assert_eq!(quota(&[("status", "404")]), "deny");
    let api = domain.find([("path", "/api/x")]).unwrap();
    assert_eq!(
        (api.name.as_str(), &*api.replaces),
        ("api", &["general".to_owned()][..])
    );
    assert_eq!(api.measured, [true]);
    assert_eq!(
        api.metadata[0],
        ("tier".to_owned(), Metadata::Text("gold".to_owned()))
    );
    assert_eq!(api.metadata[1].1, Metadata::Number(2.0));
    assert_eq!(api.metadata[2].1, Metadata::Bool(true));
    let DescriptorRate::Limited(policies) = &api.rate else {
        panic!("it is limited");
    };
    let policy = &policies[0];
    assert_eq!(policy.name(), "edge/example/path=/api/*.minute");
    assert_eq!(policy.mode(), Mode::Shadow);
    assert_eq!(
        (policy.counts_denied(), policy.on_error()),
        (true, OnError::Closed)
    );
}

#[test]
fn what_is_wrong_is_told_with_its_line_and_what_was_probably_meant() {
    let cases = [
        (
            "domain: a\ndescriptor: []\n",
            2,
            "unknown key `descriptor`",
            "did you mean `descriptors`?",
        ),
        ("descriptors: []\n", 1, "no `domain`", "domain: edge"),
        ("domain: [a]\n", 1, "must be a text, found a list", ""),
        (
            "domain: a\ndescriptors:\n  - value: b\n",
            3,
            "needs a `key`",
            "",
        ),
        (
            "domain: a\ndescriptors:\n  - key: b\n    rate_limit: {unit: minit, requests_per_unit: 1}\n",
            4,
            "cannot be `minit`",
            "did you mean `minute`?",
        ),
        (
            "domain: a\ndescriptors:\n  - key: b\n    rate_limit: {unit: day, requests_per_unit: -1}\n",
            4,
            "a whole number up to 4294967295",
            "",
        ),
        (
            "domain: a\ndescriptors:\n  - key: b\n    rate_limit: {unit: day, requests_per_unit: \"5\"}\n",
            4,
            "a whole number",
            "",
        ),
        (
            "domain: a\ndescriptors:\n  - key: b\n    rate_limit: {requests_per_unit: 5}\n",
            4,
            "needs a `unit`",
            "",
        ),
        (
            "domain: a\ndescriptors:\n  - key: b\n    rate_limit: {unit: day, unlimited: true}\n",
            4,
            "has no `unit`",
            "",
        ),
        (
            "domain: a\ndescriptors:\n  - key: b\n    quota_mode: true\n",
            4,
            "`quota_mode` is not done",
            "take this line out",
        ),
        (
            "domain: a\ndescriptors:\n  - key: b\n    value: x*\n    share_threshold: true\n",
            5,
            "`share_threshold` is not done",
            "counter of its own",
        ),
        (
            "domain: a\ndescriptors:\n  - key: b\n    shadow_mode: maybe\n",
            4,
            "must be true or false",
            "",
        ),
        (
            "domain: a\ndescriptors:\n  - key: b\n  - key: b\n",
            4,
            "two descriptors `b`",
            "",
        ),
        (
            "domain: a\ndescriptors:\n  - key: b\n    key: c\n",
            4,
            "`key` is written twice",
            "",
        ),
        (
            "domain: a\ndescriptors:\n  - key: b\n    rate_limit: {name: n, unit: day, replaces: [{name: n}]}\n",
            4,
            "does not replace itself",
            "",
        ),
        ("domain: a\ndescriptors:\n  - b\n", 3, "must be a map", ""),
        (
            "domain: a\ndescriptors: {key: b}\n",
            2,
            "must be a list, found a map",
            "",
        ),
        ("domain: a\n---\ndomain: b\n", 2, "one domain", ""),
        ("domain: a\n\tb: 1\n", 1, "no YAML", ""),
        ("", 1, "the file is empty", ""),
        (
            "# ä\ndomain: ä\ndescriptors:\n  - kez: b\n",
            4,
            "unknown key `kez`",
            "did you mean `key`?",
        ),
    ];
    for (text, line, message, help) in cases {
        let told = wrong(text);
        let met = |told: &(usize, String, String)| {
            told.0 == line && told.1.contains(message) && told.2.contains(help)
        };
        assert!(told.iter().any(met), "{text}\n{told:#?}");
    }
}

#[test]
fn a_complaint_points_at_the_word_in_its_column() {
    let text = "domain: a\ndescriptors:\n  - key: ä\n    raet_limit: {}\n";
    let shown = parse("limits.yaml", text, OnError::Open, None).unwrap_err()[0].to_string();
    assert!(shown.contains("limits.yaml:4:5\n"), "{shown}");
    assert!(
        shown.contains("4 |     raet_limit: {}\n  |     ^^^^^^^^^^\n"),
        "{shown}"
    );
}

#[test]
fn a_policy_that_stays_the_same_is_the_same_one_after_another_reading() {
    let text = |requests| {
        format!(
            "domain: a\ndescriptors:\n  - key: b\n    rate_limit: {{unit: day, requests_per_unit: {requests}}}\n"
        )
    };
    let before = parse("f", &text(5), OnError::Open, None).unwrap();
    let policy = |text: &str| {
        let after = parse("f", text, OnError::Open, Some(&before)).unwrap();
        std::sync::Arc::clone(&after.descriptors()[0].policies()[0])
    };
    let (same, other) = (policy(&text(5)), policy(&text(6)));
    assert!(std::sync::Arc::ptr_eq(
        &same,
        &before.descriptors()[0].policies()[0]
    ));
    assert_eq!(other.capacity(), Some(6));
}

#[test]
fn aliases_are_followed_and_cannot_make_a_file_endless() {
    let domain = read(
        "domain: a\ndescriptors:\n  - key: b\n    rate_limit: &five {unit: day, requests_per_unit: 5}\n  - key: c\n    rate_limit: *five\n",
    );
    assert!(matches!(
        domain.find([("c", "")]).unwrap().rate,
        DescriptorRate::Limited(_)
    ));
    let mut bomb = "domain: a\ndescriptors:\n".to_owned();
    bomb.push_str(
        "  - key: k\n    descriptors: &l0 [{key: a}, {key: b}, {key: c}, {key: d}, {key: e}]\n",
    );
    for level in 1..15 {
        let below = level - 1;
        let item = |key| format!("{{key: {key}, descriptors: *l{below}}}");
        let items = ["a", "b", "c", "d", "e"].map(item).join(", ");
        bomb.push_str(&format!(
            "  - key: k{level}\n    descriptors: &l{level} [{items}]\n"
        ));
    }
    let told = wrong(&bomb);
    assert!(
        told.iter()
            .any(|(_, message, _)| message.contains("stand for too much")),
        "{told:?}"
    );
    let told = wrong("domain: a\ndescriptors: &d\n  - key: b\n    descriptors: *d\n");
    assert!(told[0].1.contains("within what it stands for"), "{told:?}");
    let mut chain = "domain: &l0 [a]\ndescriptors:\n".to_owned();
    for level in 1..100 {
        chain.push_str(&format!("  - &l{level} [*l{}]\n", level - 1));
    }
    let told = wrong(&chain);
    assert!(told[0].1.contains("nested too deeply"), "{told:?}");
    let deep = format!("domain: {}", "[".repeat(10_000));
    assert_eq!(wrong(&deep).len(), 1);
    let deep = format!("domain:{}", "\n- ".repeat(10_000));
    assert_eq!(wrong(&deep).len(), 1);
    let mut blocks = String::new();
    (0..1_000).for_each(|depth| blocks.push_str(&format!("{}a:\n", " ".repeat(depth))));
    assert!(wrong(&blocks)[0].1.contains("nested too deeply"));
}

#[test]
fn any_bytes_are_read_without_a_panic() {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % below as u64) as usize
    };
    for _ in 0..2_000 {
        let mut text: Vec<char> = EXAMPLE.chars().collect();
        for _ in 0..1 + next(6) {
            let at = next(text.len().max(1)).min(text.len() - 1);
            match next(3) {
                0 if text.len() > 1 => drop(text.remove(at)),
                0 => {}
                1 => text.insert(
                    at,
                    ['{', '&', '*', ':', '-', '\n', '"', 'ä', '\t', '|'][next(10)],
                ),
                _ => text.truncate(at.max(8)),
            }
        }
        let text: String = text.into_iter().collect();
        let _ = parse("f", &text, OnError::Open, None).map_err(|wrong| wrong[0].to_string());
        let _ = convert("f", &text);
    }
}

#[test]
fn what_is_converted_is_read_as_rules_with_the_same_limits() {
    let toml = convert("limits.yaml", EXAMPLE).unwrap();
    let toml = format!("[service]\ngrpc = \"127.0.0.1:8081\"\n{toml}");
    let rules = RuleSet::parse("t", &toml, &Overrides::default());
    let rules = rules.unwrap_or_else(|wrong| panic!("{}\n{toml}", wrong[0]));
    let (native, theirs) = (&rules.domains[0], read(EXAMPLE));
    assert_eq!(native.decide, Decide::Together);
    let asked: [&[(&str, &str)]; 6] = [
        &[("message_type", "marketing"), ("to_number", "1")],
        &[("to_number", "2")],
        &[("path", "/api/x")],
        &[("internal", "")],
        &[("status", "404")],
        &[("status", "500")],
    ];
    for entries in asked {
        let told = |domain: &Domain| {
            let found = domain.find(entries.iter().copied())?;
            let quotas = match &found.rate {
                DescriptorRate::Limited(policies) => policies
                    .iter()
                    .map(|policy| format!("{} {:?}", policy.quota().unwrap(), policy.mode()))
                    .collect(),
                other => format!("{other:?}"),
            };
            Some((
                found.label.clone(),
                found.name.clone(),
                found.replaces.clone(),
                quotas,
            ))
        };
        assert_eq!(told(native), told(&theirs), "{entries:?}");
    }
    for comment in [
        "decided together",
        "count_denied",
        "Monday",
        "begins with its first request",
    ] {
        assert!(toml.contains(comment), "{comment}");
    }
}
