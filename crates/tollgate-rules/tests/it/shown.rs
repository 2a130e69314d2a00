//! How complaints look: the line, a caret under what is wrong, and what was probably meant.

use crate::{ROUTE, complaints, printed};

#[test]
fn a_wrong_quota_is_shown_with_the_caret_within_the_string() {
    let text = "\
[server]
listen = \"127.0.0.1:8000\"

[limits.per-user]
key = \"user\"
quotas = [\"5 per minute\", \"300 per huor\"]

[[routes]]
match = \"GET /call_api\"
auth = [\"sesion\"]
limits = [\"per-user\"]
upstream = \"demo:random\"
";
    let expected = "\
error: expected a unit of time (microsecond to century), found `huor` (did you mean `hour`?)
 --> tollgate.toml:6:36
  |
6 | quotas = [\"5 per minute\", \"300 per huor\"]
  |                                    ^^^^
error: `auth` cannot be `sesion`
  --> tollgate.toml:10:9
   |
10 | auth = [\"sesion\"]
   |         ^^^^^^^^
   = help: did you mean `session`?
";
    assert_eq!(printed(&complaints(text)), expected);
}

#[test]
fn an_unknown_key_is_shown_under_its_name() {
    let text = format!("[server]\n  lisen = \"127.0.0.1:1\"\n{ROUTE}");
    let expected = "\
error: unknown key `lisen` in `server`
 --> tollgate.toml:2:3
  |
2 |   lisen = \"127.0.0.1:1\"
  |   ^^^^^
  = help: did you mean `listen`?
";
    assert_eq!(printed(&complaints(&text)), expected);
}

#[test]
fn an_inline_limit_is_pointed_into_as_well() {
    let text = "\
[[routes]]
match = \"GET /\"
limits = [\"5 pr minute by client-ip\"]
respond = { text = \"x\" }
";
    let shown = printed(&complaints(text));
    let expected = "\
3 | limits = [\"5 pr minute by client-ip\"]
  |              ^^
";
    assert!(shown.contains(expected), "{shown}");
}

#[test]
fn a_syntax_error_is_shown_where_it_is() {
    let errors = complaints("[server]\nlisten = \n[[routes]]\n");
    assert_eq!(
        (errors.len(), errors[0].line()),
        (1, 2),
        "{}",
        printed(&errors)
    );
    let twice = complaints(&format!("[server]\nworkers = 1\nworkers = 2\n{ROUTE}"));
    assert_eq!((twice.len(), twice[0].line()), (1, 3));
    assert!(twice[0].message().contains("duplicate key"), "{}", twice[0]);
}

#[test]
fn a_long_line_is_cut_and_a_complaint_stays_short() {
    let text = format!("x = \"{}\"\n{ROUTE}", "é".repeat(100_000));
    let shown = printed(&complaints(&text));
    assert!(shown.len() < 1_000, "{} bytes", shown.len());
    let quota = format!(
        "[limits.a]\nkey = \"user\"\nquotas = [\"{}\"]\n{ROUTE}",
        "9".repeat(1 << 20)
    );
    let shown = printed(&complaints(&quota));
    assert!(
        shown.contains("at most 1024 bytes long"),
        "{} bytes",
        shown.len()
    );
    assert!(shown.len() < 1_000, "{} bytes", shown.len());
    for text in [
        format!(
            "[limits.a]\nkey = \"{0}\"\nquotas = [\"1/s\"]\n{ROUTE}",
            "k".repeat(1 << 20)
        ),
        format!("[server]\nlisten = \"{0}\"\n{ROUTE}", "k".repeat(1 << 20)),
        format!(
            "[[routes]]\nmatch = \"{0} /\"\nrespond = {{ text = \"\" }}\n",
            "k".repeat(1 << 20)
        ),
        format!(
            "[[routes]]\nmatch = \"GET /\"\nupstream = \"{0}\"\n",
            "k".repeat(1 << 20)
        ),
        format!("{0} = 1\n{ROUTE}", "k".repeat(1 << 20)),
    ] {
        let shown = printed(&complaints(&text));
        assert!(shown.len() < 4_096, "{} bytes", shown.len());
    }
}

#[test]
fn a_line_that_ends_like_on_windows_is_shown_without_its_carriage_return() {
    let text = format!("[server]\r\nlisten = 5\r\n{}", ROUTE.replace('\n', "\r\n"));
    let shown = printed(&complaints(&text));
    assert!(shown.contains("2 | listen = 5\n"), "{shown:?}");
}

#[test]
fn a_penalty_that_is_wrong_is_shown_where_it_is() {
    let text = format!(
        "\
[limits.a]
key = \"client-ip\"
quotas = [\"5 per minute\"]
penalty = {{ block = \"1 minit\", block_max = \"0 hours\", quite = \"1 day\" }}

[limits.b]
key = \"client-ip\"
quotas = [\"5 per minute\", \"unlimited\"]
penalty = {{ block = \"1 hour\" }}

[limits.c]
key = \"client-ip\"
quotas = [\"5 per minute\"]
penalty = {{ block = \"1 hour\", block_max = \"1 minute\" }}
{ROUTE}"
    );
    let expected = "\
error: expected a unit of time (microsecond to century), found `minit` (did you mean `minute`?)
 --> tollgate.toml:4:24
  |
4 | penalty = { block = \"1 minit\", block_max = \"0 hours\", quite = \"1 day\" }
  |                        ^^^^^
error: a period of 0 is no period
 --> tollgate.toml:4:45
  |
4 | penalty = { block = \"1 minit\", block_max = \"0 hours\", quite = \"1 day\" }
  |                                             ^
error: unknown key `quite` in `penalty`
 --> tollgate.toml:4:55
  |
4 | penalty = { block = \"1 minit\", block_max = \"0 hours\", quite = \"1 day\" }
  |                                                       ^^^^^
  = help: did you mean `quiet`?
error: `deny` and `unlimited` have no penalty: no denial of theirs ever ends
 --> tollgate.toml:9:11
  |
9 | penalty = { block = \"1 hour\" }
  |           ^^^^^^^^^^^^^^^^^^^^
  = help: leave it out, or write the other quotas into a limit of their own
error: the longest block is shorter than the first
  --> tollgate.toml:14:43
   |
14 | penalty = { block = \"1 hour\", block_max = \"1 minute\" }
   |                                           ^^^^^^^^^^
   = help: `block_max` is at least as long as `block`
";
    assert_eq!(printed(&complaints(&text)), expected);
}
