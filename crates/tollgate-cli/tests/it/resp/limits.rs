//! `TOLLGATE.CHECK`, `PEEK` and `RESET` on limits of the rules.

use tollgate_testkit::redis::Reply;
use tollgate_testkit::upstream::Upstream;

use super::Service;
use crate::support::launch;

const RULES: &str = "
[limits.per-user]
key = \"user\"
quotas = [\"5 per minute\", \"8 per hour\"]

[limits.per-pair]
key = [\"user\", \"client-ip\"]
quotas = [\"2 per minute\"]

[limits.everybody]
key = \"global\"
quotas = [\"3 per second token-bucket\"]

[limits.watched]
key = \"user\"
quotas = [\"1 per minute\"]
mode = \"shadow\"
";

/// Names and values of a reply.
fn values(reply: &Reply) -> Vec<(String, String)> {
    let pairs = reply.items().chunks(2);
    pairs.map(|pair| (pair[0].text(), pair[1].text())).collect()
}

fn told(reply: &Reply) -> String {
    let values: Vec<String> = values(reply).into_iter().map(|(_, value)| value).collect();
    values.join(" ")
}

#[test]
fn a_limit_of_the_rules_is_asked_by_name_and_says_when_to_come_back_to_the_millisecond() {
    let service = Service::start(launch().rules(RULES));
    let mut client = service.connect();
    let first = client.ask("TOLLGATE.CHECK per-user ann");
    let names: Vec<String> = values(&first).into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "allowed",
            "limit",
            "remaining",
            "retry_after_ms",
            "reset_after_ms",
            "policy",
            "degraded"
        ]
    );
    assert_eq!(told(&first), "1 5 4 -1 3600000 per-user.minute 0");
    assert_eq!(
        told(&client.ask("TOLLGATE.CHECK per-user ann COST 4")),
        "1 5 0 -1 3600000 per-user.minute 0"
    );
    service.gateway.advance(0.0015);
    assert_eq!(
        told(&client.ask("TOLLGATE.CHECK per-user ann")),
        "0 5 0 59999 3599999 per-user.minute 0"
    );
    assert_eq!(
        told(&client.ask("TOLLGATE.PEEK per-user ann")),
        "0 5 0 59999 3599999 per-user.minute 0"
    );
    assert_eq!(
        told(&client.ask("TOLLGATE.PEEK per-user bob")),
        "1 5 5 -1 0 per-user.minute 0"
    );
    assert_eq!(
        told(&client.ask("TOLLGATE.CHECK per-user bob COST 9")),
        "0 5 5 -1 0 per-user.minute 0",
        "never"
    );
    assert_eq!(client.ask("TOLLGATE.RESET per-user ann"), Reply::Integer(1));
    assert_eq!(client.ask("TOLLGATE.RESET per-user ann"), Reply::Integer(0));
    assert_eq!(
        told(&client.ask("TOLLGATE.PEEK per-user ann")),
        "1 5 5 -1 0 per-user.minute 0"
    );
    // Of a shadow limit the standing is not what counts.
    for _ in 0..3 {
        assert_eq!(values(&client.ask("TOLLGATE.CHECK watched ann"))[0].1, "1");
    }
    // In RESP3 it is a map.
    client.ask("HELLO 3");
    client.send(b"TOLLGATE.PEEK everybody\r\n");
    client.expect(b"%7\r\n$7\r\nallowed\r\n:1\r\n$5\r\nlimit\r\n:3\r\n");
}

#[test]
fn a_key_has_one_word_for_each_part_and_a_word_may_be_cost() {
    let service = Service::start(launch().rules(RULES));
    let mut client = service.connect();
    assert_eq!(
        told(&client.ask("TOLLGATE.CHECK per-user COST COST 5"))
            .split(' ')
            .nth(2),
        Some("0")
    );
    assert_eq!(
        told(&client.ask("TOLLGATE.PEEK per-user COST"))
            .split(' ')
            .nth(2),
        Some("0")
    );
    assert!(told(&client.ask("TOLLGATE.CHECK per-pair ann 192.0.2.1")).starts_with("1 2 1 "));
    assert!(
        told(&client.ask("TOLLGATE.CHECK per-pair ann ::ffff:192.0.2.1")).starts_with("1 2 0 ")
    );
    assert!(told(&client.ask("TOLLGATE.CHECK per-pair COST 192.0.2.1")).starts_with("1 2 1 "));
    assert!(told(&client.ask("TOLLGATE.CHECK everybody COST 2")).starts_with("1 3 1 "));
    for (words, expected) in [
        ("TOLLGATE.CHECK", "ERR the name of a limit is missing"),
        (
            "TOLLGATE.CHECK nobody ann",
            "ERR there is no limit `nobody`",
        ),
        (
            "TOLLGATE.CHECK per-usr ann",
            "ERR there is no limit `per-usr` (did you mean `per-user`?)",
        ),
        (
            "TOLLGATE.CHECK per-user",
            "ERR `per-user` counts by user: 1 words, not 0",
        ),
        (
            "TOLLGATE.CHECK per-user ann bob",
            "ERR `per-user` counts by user: 1 words, not 2",
        ),
        (
            "TOLLGATE.CHECK per-pair ann here",
            "ERR `per-pair` counts by user, client-ip: an address is wanted",
        ),
        (
            "TOLLGATE.CHECK per-user ann COST -1",
            "ERR COST must be an integer of at least 0",
        ),
    ] {
        assert_eq!(client.error(words), expected);
    }
    let border = "x".repeat(1_020);
    let checked = client.ask(&format!("TOLLGATE.CHECK per-user {border}"));
    assert!(told(&checked).starts_with("1 5"));
    let throttled = client.integers(&format!("CL.THROTTLE {border} 1 1 1"));
    assert_eq!(throttled[0], 0);
    let long = "x".repeat(1_021);
    assert_eq!(
        client.error(&format!("TOLLGATE.CHECK per-user {long}")),
        "ERR the key is too long"
    );
    assert_eq!(
        client.error(&format!("CL.THROTTLE {long} 1 1 1")),
        "ERR the key is too long"
    );
}

#[test]
fn the_gateway_and_its_service_count_together() {
    let upstream = Upstream::recording();
    let rules = format!(
        "[limits.per-address]\nkey = \"client-ip\"\nquotas = [\"5 per minute\"]\n[[routes]]\nmatch = \"/{{*rest}}\"\nlimits = [\"per-address\"]\nupstream = \"{}\"\n",
        upstream.url()
    );
    let service = Service::start(launch().rules(&rules));
    let mut client = service.connect();
    let mut statuses = Vec::new();
    for _ in 0..3 {
        assert!(told(&client.ask("TOLLGATE.CHECK per-address 127.0.0.1")).starts_with("1 5"));
        statuses.push(service.gateway.get("/").status);
    }
    assert_eq!(statuses, [200, 200, 429]);
    assert!(told(&client.ask("TOLLGATE.CHECK per-address 127.0.0.1")).starts_with("0 5 0"));
}

#[test]
fn a_quota_that_an_administrator_sets_for_everybody_holds_at_once() {
    let rules = format!(
        "{RULES}[[routes]]\nmatch = \"GET /\"\nauth = [\"api-key\"]\nlimits = [\"per-user\"]\nrespond = {{ text = \"hello\" }}\n"
    );
    let service = Service::start(launch().rules(&rules));
    let mut client = service.connect();
    let check = "TOLLGATE.CHECK per-user 0123456789abcdef0123456789abcdef";
    assert!(told(&client.ask(check)).starts_with("1 5 4 "));
    let set = service
        .gateway
        .command(&["limit", "set", "per-user", "2 per minute"], "");
    assert_eq!(set.code, 0, "{set:?}");
    assert!(told(&client.ask(check)).starts_with("1 2 0 "));
    assert!(told(&client.ask(check)).starts_with("0 2 0 "));
}
