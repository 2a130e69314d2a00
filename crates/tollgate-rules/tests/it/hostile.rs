//! Files that are not rules at all: refused in bounded time and words, never a panic.

use tollgate_rules::LONGEST_FILE_BYTES;
use tollgate_testkit::Random;

use crate::{ROUTE, complaints, read};

#[test]
fn a_file_of_four_mib_is_read_and_one_byte_more_is_not() {
    let padded = |bytes: usize| format!("{ROUTE}#{}", "x".repeat(bytes - ROUTE.len() - 1));
    assert_eq!(LONGEST_FILE_BYTES, 4 << 20);
    assert!(read(&padded(LONGEST_FILE_BYTES)).is_ok());
    let errors = complaints(&padded(LONGEST_FILE_BYTES + 1));
    assert_eq!(errors[0].message(), "the file is longer than 4194304 bytes");
    assert!(errors[0].to_string().len() < 1_000);
}

#[test]
fn as_many_routes_and_limits_as_fit_into_a_file_are_read_without_a_pause() {
    let routes = |n: usize| -> String {
        (0..n)
            .map(|n| {
                format!(
                    "[[routes]]\nmatch = \"/{n}/{{*r}}\"\nlimits = [\"{} per hour\"]\nupstream = \"http://h:{}\"\n",
                    n + 1,
                    n % 60_000 + 1
                )
            })
            .collect()
    };
    let rules = crate::rules(&routes(10_000));
    assert_eq!(rules.routes.routes().len(), 10_000);
    assert_eq!(rules.limits.len(), 10_000);
    assert_eq!(rules.upstreams.len(), 10_000);
    let errors = complaints(&routes(10_001));
    assert_eq!(errors[0].message(), "there are more than 10000 routes");
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_no_error() {
    let text = format!("\u{feff}{}", ROUTE.replace('\n', "\r\n"));
    assert!(read(&text).is_ok());
}

#[test]
fn nul_and_other_garbage_is_refused_with_its_place() {
    for text in [
        "\0",
        "[[routes]]\0",
        "match = \"GET /\u{0}\"",
        "\u{1}\u{2}\u{3}",
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "{\"routes\": []}",
        "<rules/>",
        "- routes:\n  - a",
        "\u{feff}\u{feff}x",
        "=",
        "[",
        "]]]",
        "\"",
        "\"\"\"",
        "a.b.c = ",
        "a = 1e400000",
        "a = 99999999999999999999999999",
        "a = 2026-13-45",
        "ａ = 1",
    ] {
        let errors = complaints(text);
        assert!(!errors.is_empty());
        assert!(errors[0].line() >= 1, "{text:?}");
    }
}

#[test]
fn nesting_without_end_is_refused_and_overflows_no_stack() {
    for text in [
        format!("a = {}", "[".repeat(100_000)),
        format!("a = {}{}", "[".repeat(10_000), "]".repeat(10_000)),
        format!("a = {}", "{a=".repeat(100_000)),
        format!("[{}a]", "a.".repeat(100_000)),
        format!("{}a = 1", "a.".repeat(100_000)),
    ] {
        assert!(!complaints(&text).is_empty());
    }
}

/// Pieces that rules are made of, and some that they are not.
const PIECES: [&str; 40] = [
    "[server]",
    "[limits.a]",
    "[[routes]]",
    "[defaults]",
    "[accounts.protection]",
    "\n",
    "\n",
    "\r\n",
    " = ",
    "match",
    "\"GET /\"",
    "\"GET /a/{x}\"",
    "\"/{*rest}\"",
    "limits",
    "[\"a\"]",
    "[\"5 per minute by client-ip, route\"]",
    "key",
    "\"client-ip\"",
    "\"header:x\"",
    "quotas",
    "[\"5 per minute\"]",
    "{ a = \"1/s\" }",
    "respond",
    "{ text = \"x\" }",
    "upstream",
    "\"demo:random\"",
    "builtin",
    "\"remaining\"",
    "of",
    "status",
    "{ limited = 403 }",
    "5",
    "-1",
    "true",
    "é",
    "\0",
    "\"",
    "{",
    "}",
    "\u{feff}",
];

#[test]
fn no_arrangement_of_pieces_and_no_damage_to_a_preset_panics() {
    let mut random = Random::new();
    let mut refused = 0;
    for _ in 0..20_000 {
        let text: String = (0..random.below(24))
            .map(|_| PIECES[random.below(PIECES.len() as u64) as usize])
            .collect();
        refused += u32::from(read(&text).is_err());
    }
    assert!(refused > 15_000, "{refused} of 20,000 were refused");
    let whole = include_str!("../../../../examples/random-number/tollgate.toml");
    for _ in 0..5_000 {
        let mut bytes = whole.as_bytes().to_vec();
        for _ in 0..1 + random.below(4) {
            let at = random.below(bytes.len() as u64) as usize;
            match random.below(3) {
                0 => bytes[at] = random.below(128) as u8,
                1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, b"\"[]{}=\n\\%;/"[random.below(11) as usize]),
            }
        }
        if let Err(errors) = read(&String::from_utf8_lossy(&bytes)) {
            assert!(!errors.is_empty());
            assert!(errors.iter().all(|error| !error.to_string().is_empty()));
        }
    }
}
