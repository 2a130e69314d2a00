//! Quotas that were changed: what lists show of them, and what cannot be set.

use serde_json::json;
use tollgate_testkit::client::Call;

use crate::plans::{ann, passing, refused};
use crate::support::{join, launch, ok, pick, preset};

#[test]
fn lists_show_what_the_rules_say_and_what_holds_instead() {
    let gateway = preset("per-api-key");
    let key = ann(&gateway);
    ok(&gateway, &["plan", "create", "pro"]);
    ok(
        &gateway,
        &["plan", "set", "pro", "per-user", "20/s; 1000/day"],
    );
    ok(&gateway, &["user", "plan", "ann", "pro"]);
    ok(
        &gateway,
        &["limit", "set", "per-user", "30/s", "--key", &key.id],
    );
    let said = ok(&gateway, &["limit", "set", "per-user", "9/s"]);
    assert!(said.starts_with("per-user is 9 per second for"), "{said}");
    let listed = ok(&gateway, &["limit", "list"]);
    let expected = format!(
        "per-user  by user  10 per second\n  everybody  9 per second\n  key:{}  30 per second\n  \
         plan:pro  20 per second; 1000 per day",
        key.id
    );
    assert_eq!(listed, expected);
    let limits = gateway.admin(&Call::get("/limits")).json();
    assert_eq!(limits["limits"][0]["in_force"], json!(["9 per second"]));
    let plans = ok(&gateway, &["plan", "list"]);
    assert_eq!(
        plans,
        "pro  users: 1\n  per-user  20 per second; 1000 per day"
    );
    let users = gateway.admin(&Call::get("/users")).json();
    let named = users["users"].as_array().unwrap().iter();
    let mut anns = named.filter(|user| user["name"] == "ann");
    let seen = pick(anns.next().unwrap(), &["role", "plan", "disabled_at"]);
    assert_eq!(
        seen,
        json!({ "role": "user", "plan": "pro", "disabled_at": null })
    );
    assert_eq!(
        ok(&gateway, &["limit", "reset", "per-user", "--all"]),
        "reset for every key"
    );
}

#[test]
fn what_cannot_be_meant_is_refused_with_what_could_be() {
    let gateway = preset("per-api-key");
    let key = ann(&gateway);
    ok(&gateway, &["plan", "create", "pro"]);
    let long = "x".repeat(5_000);
    for (args, parts) in [
        (
            &["limit", "set", "per-usr", "1 per day"][..],
            &["`per-usr`", "did you mean `per-user`?"][..],
        ),
        (
            &["limit", "set", "per-user", "1 per dy"],
            &["quotas", "did you mean `day`?"],
        ),
        (&["limit", "set", "per-user", "0 per day"], &["deny"]),
        (&["limit", "set", "per-user", &long], &["quotas"]),
        (
            &["limit", "set", &long, "1 per day"],
            &["there is no limit"],
        ),
        (
            &["limit", "set", "per-user", "1/s; 1/s"],
            &["two quotas", "`second`"],
        ),
        (
            &["limit", "set", "per-user", "1 per day", "--user", "nobody"],
            &["no user `nobody`"],
        ),
        (
            &["limit", "set", "per-user", "1 per day", "--plan", "gone"],
            &["no such plan", "`tollgate plan create NAME`"],
        ),
        (
            &["limit", "set", "per-user", "1 per day", "--plan", ".."],
            &["no such plan"],
        ),
        (
            &["limit", "set", "per-user", "1 per day", "--plan", ""],
            &["no such plan"],
        ),
        (
            &["limit", "set", "per-user", "1 per day", "--key", "0123"],
            &["no such key"],
        ),
        (
            &[
                "limit",
                "set",
                "per-user",
                "1 per day",
                "--key",
                &key.id,
                "--plan",
                "pro",
            ],
            &["cannot be used with"],
        ),
        (&["limit", "unset", "per-user"], &["no other quotas"]),
        (
            &["limit", "show", "per-user", "ann", "--key", "x y/?"],
            &["no such key"],
        ),
        (&["plan", "create", ""], &["must not be empty"]),
        (&["plan", "create", "my plan"], &["begins with a letter"]),
        (&["plan", "create", &long], &["at most 64"]),
        (&["plan", "delete", "gone"], &["no such plan"]),
        (
            &["plan", "set", "pro", "per-usr", "1 per day"],
            &["did you mean `per-user`?"],
        ),
        (&["user", "plan", "nobody", "pro"], &["no such user"]),
        (
            &["user", "plan", "ann", "gone"],
            &["no such plan", "`tollgate plan create NAME`"],
        ),
        (
            &["limit", "show", "per-user"],
            &["say whose it is", "`tollgate limit show per-user NAME`"],
        ),
        (&["user", "plan", "ann"], &["<NAME> <PLAN|--none>"]),
        (&["user", "role", "ann", "king"], &["`user` or `admin`"]),
        (&["audit", "--limit", "0"], &["1..=1000"]),
    ] {
        let said = refused(&gateway, args);
        for part in parts {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(said.len() < 6_000, "{said}");
    }
    let taken = gateway.command(&["plan", "create", "pro"], "");
    assert_eq!(taken.code, 1, "{taken:?}");
    ok(&gateway, &["user", "plan", "ann", "pro"]);
    let in_use = gateway.command(&["plan", "delete", "pro"], "");
    assert_eq!(in_use.code, 1, "{in_use:?}");
    assert!(
        in_use.stderr.contains("users who have this plan: 1"),
        "{in_use:?}"
    );
    assert_eq!(passing(&gateway, &key, 11), 10, "nothing has changed");
}

/// A route that charges `a`, with so many quotas, and `b`.
fn two_limits(quotas_of_a: usize) -> String {
    let quotas: Vec<String> = (1..=quotas_of_a)
        .map(|n| format!("\"90 per {n} hours\""))
        .collect();
    format!(
        "[limits.a]\nkey = \"global\"\nquotas = [{}]\n[limits.b]\nkey = \"client-ip\"\nquotas = [\"90 per minute\"]\n\
         [[routes]]\nmatch = \"GET /\"\nlimits = [\"a\", \"b\"]\nrespond = {{ text = \"x\" }}\n\
         [[routes]]\nmatch = \"GET /login\"\nbuiltin = \"login\"\n",
        quotas.join(", ")
    )
}

#[test]
fn quotas_that_no_decision_could_hold_are_refused_and_if_they_come_about_nothing_passes() {
    let gateway = launch().rules(&two_limits(12)).start();
    let four = "1 per second; 2 per minute; 3 per hour; 4 per day";
    let said = refused(&gateway, &["limit", "set", "b", four]);
    assert!(
        said.contains("16 quotas") && said.contains("at most 15"),
        "{said}"
    );
    ok(
        &gateway,
        &["limit", "set", "b", "2 per minute; 3 per hour; 4 per day"],
    );
    assert_eq!(gateway.get("/").status, 200);
    let thirteen = "1/s; 2/m; 3/h; 4/d; 5/w; 6/mo; 7/y; 8/2s; 9/3s; 9/4s; 9/5s; 9/6s; 9/7s";
    let said = refused(&gateway, &["limit", "set", "a", thirteen]);
    assert!(
        said.contains("16 quotas"),
        "what others have counts: {said}"
    );
    let data = gateway.data().clone();
    assert!(gateway.stop().success());
    let tighter = launch().data(&data).rules(&two_limits(14)).start();
    let answer = tighter.get("/");
    assert_ne!(answer.status, 200, "{}", answer.text());
    ok(&tighter, &["limit", "unset", "b"]);
    assert_eq!(tighter.get("/").status, 200);
}

#[test]
fn decisions_under_other_quotas_are_counted_without_new_words() {
    let gateway = preset("per-api-key");
    let key = ann(&gateway);
    ok(
        &gateway,
        &[
            "limit",
            "set",
            "per-user",
            "1 per second; 9 per hour",
            "--user",
            "ann",
        ],
    );
    assert_eq!(passing(&gateway, &key, 3), 1);
    let metrics = gateway.admin(&Call::get("/metrics")).text();
    for line in [
        "tollgate_decisions_total{policy=\"per-user.second\",outcome=\"allowed\"} 1",
        "tollgate_decisions_total{policy=\"per-user.second\",outcome=\"denied\"} 2",
        "tollgate_decisions_total{policy=\"per-user.other\",outcome=\"allowed\"} 1",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    assert!(!metrics.contains("per-user.hour"), "{metrics}");
}

#[test]
fn a_limit_that_counts_nothing_for_somebody_says_which_of_all_it_is() {
    let gateway = preset("random-number");
    join(&gateway, "ann");
    for (quotas, said) in [
        ("deny", "lets nothing pass"),
        ("unlimited", "lets everything pass"),
    ] {
        ok(
            &gateway,
            &["limit", "set", "per-user", quotas, "--user", "ann"],
        );
        let shown = ok(&gateway, &["limit", "show", "per-user", "ann"]);
        assert!(
            shown.contains(&format!("It counts nothing: it {said}")),
            "{shown}"
        );
    }
    ok(&gateway, &["limit", "unset", "per-user", "--user", "ann"]);
    let shown = ok(&gateway, &["limit", "show", "per-user", "ann", "--json"]);
    assert!(!shown.contains("counts_nothing"), "{shown}");
}
