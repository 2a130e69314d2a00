//! What a key has used of a limit: shown, and given back.

use serde_json::json;
use tollgate_testkit::client::Call;

use super::*;

#[test]
fn limit_show_charges_nothing_and_limit_reset_gives_one_key_or_all_their_units_back() {
    let gateway = preset("random-number");
    let (ann, bob) = (join(&gateway, "ann"), join(&gateway, "bob"));
    assert_eq!(statuses(&gateway, &ann.get("/call_api"), 5), [200; 5]);
    assert_eq!(statuses(&gateway, &bob.get("/call_api"), 2), [200; 2]);
    gateway.advance(10.0);
    for _ in 0..2 {
        let expected =
            json!({ "minute": window(5, 5, Some(50)), "hour": window(300, 5, Some(3_590)) });
        assert_eq!(shown(&gateway, &["per-user", "ann"]), expected);
        assert_eq!(
            shown(&gateway, &["per-user", "ANN"]),
            expected,
            "in any case"
        );
    }
    let done = gateway.command(&["limit", "reset", "per-user", "ann"], "");
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(
        shown(&gateway, &["per-user", "ann"])["minute"],
        window(5, 0, None)
    );
    assert_eq!(
        shown(&gateway, &["per-user", "bob"])["minute"],
        window(5, 2, Some(50))
    );
    assert_eq!(gateway.call(&ann.get("/call_api")).status, 200);
    assert_eq!(
        gateway
            .command(&["limit", "reset", "per-user", "--all"], "")
            .code,
        0
    );
    for name in ["ann", "bob"] {
        assert_eq!(
            shown(&gateway, &["per-user", name])["minute"],
            window(5, 0, None)
        );
    }
    for (args, said) in [
        (
            &["limit", "show", "per-usr", "ann"][..],
            "there are: per-user",
        ),
        (
            &["limit", "reset", "per-usr", "--all"],
            "did you mean `per-user`?",
        ),
        (
            &["limit", "set", "per-usr", "1 per day"],
            "did you mean `per-user`?",
        ),
        (&["limit", "unset", "per-usr"], "did you mean `per-user`?"),
        (
            &["limit", "show", "per-user", "nobody"],
            "there is no user `nobody`",
        ),
        (&["limit", "show", "per-user"], "say whose it is"),
        (
            &["limit", "show", "per-user", "ann", "bob"],
            "of 1 part, not 2",
        ),
    ] {
        let done = gateway.command(args, "");
        assert_eq!(done.code, 2, "{done:?}");
        assert!(done.stderr.contains(said), "{args:?}: {}", done.stderr);
    }
}

#[test]
fn limit_show_is_a_table_with_the_key_what_is_used_and_when_all_is_whole_again() {
    let gateway = preset("random-number");
    let ann = join(&gateway, "ann");
    let show = || {
        let done = gateway.command(&["limit", "show", "per-user", "ann"], "");
        assert_eq!(done.code, 0, "{done:?}");
        done.stdout
    };
    assert_eq!(statuses(&gateway, &ann.get("/call_api"), 5), [200; 5]);
    gateway.advance(10.0);
    assert_eq!(
        show(),
        "per-user of ann\n\
         window  used  limit  remaining  whole again\n\
         minute     5      5          0  in 50 s\n\
         hour       5    300        295  in 59 min 50 s\n"
    );
    gateway.advance(50.0);
    assert!(
        show().contains("minute     0      5          5  now\n"),
        "{}",
        show()
    );
}

#[test]
fn limit_show_has_the_shortest_window_first_whatever_its_limit_is() {
    let gateway = launch()
        .rules(
            "[limits.a]\nkey = \"client-ip\"\nquotas = [\"1000 per minute\", \"5000 per hour\", \"100 per day\", \"5 per 100 ms\"]\n\
             [[routes]]\nmatch = \"GET /\"\nlimits = [\"a\"]\nrespond = { text = \"x\" }\n",
        )
        .start();
    let table = gateway.command(&["limit", "show", "a", "127.0.0.1"], "");
    let limits = table.stdout.lines().skip(2);
    let limits: Vec<&str> = limits
        .filter_map(|row| row.split_whitespace().nth(2))
        .collect();
    assert_eq!(limits, ["5", "1000", "5000", "100"], "{table:?}");
    let json = gateway.command(&["limit", "show", "a", "127.0.0.1", "--json"], "");
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["windows"]["minute"]["window_s"], 60);
}

#[test]
fn limit_show_tells_that_a_penalty_holds_a_key_off() {
    let gateway = launch()
        .rules(
            "[limits.a]\nkey = \"client-ip\"\nquotas = [\"1 per second fixed-window\"]\npenalty = { block = \"1 hour\" }\n\
             [[routes]]\nmatch = \"GET /\"\nlimits = [\"a\"]\nrespond = { text = \"x\" }\n",
        )
        .start();
    assert_eq!(statuses(&gateway, &Call::get("/"), 2), [200, 429]);
    let done = gateway.command(&["limit", "show", "a", "127.0.0.1"], "");
    assert!(done.stdout.contains("blocked"), "{done:?}");
    let json = gateway.command(&["limit", "show", "a", "127.0.0.1", "--json"], "");
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["windows"]["second"]["blocked"], true);
}

#[test]
fn a_limit_by_address_is_shown_and_reset_by_the_address_in_any_spelling() {
    let gateway = preset("hourly-module");
    assert_eq!(statuses(&gateway, &Call::get("/"), 101)[99..], [200, 429]);
    for spelling in ["127.0.0.1", "::ffff:127.0.0.1", "::FFFF:7f00:1"] {
        assert_eq!(
            shown(&gateway, &["hourly", spelling])["hour"],
            window(100, 100, Some(3_600))
        );
    }
    assert_eq!(
        shown(&gateway, &["hourly", "127.0.0.2"])["hour"],
        window(100, 0, None)
    );
    assert_eq!(
        gateway
            .command(&["limit", "reset", "hourly", "127.0.0.1"], "")
            .code,
        0
    );
    assert_eq!(gateway.get("/").status, 200);
    let wrong = gateway.command(&["limit", "show", "hourly", "nowhere"], "");
    assert_eq!(wrong.code, 2, "{wrong:?}");
    assert!(wrong.stderr.contains("no such address"), "{wrong:?}");
}
