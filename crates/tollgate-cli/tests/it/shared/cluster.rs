//! A store of several masters: what is decided together is on one of them.

use serde_json::json;
use tollgate_testkit::client::Call;
use tollgate_testkit::gateway::{DataDir, Launch};
use tollgate_testkit::redis::{RedisCluster, RedisEngine};

use super::{PATIENT, advance, by_cookie, in_turn};
use crate::support::{join, launch, log_in};

const RULES: &str = r#"
[limits.per-user]
key = "user"
quotas = ["5 per minute", "300 per hour"]

[limits.per-key]
key = ["user", "api-key"]
quotas = ["3 per minute"]

[[routes]]
match = "GET /"
auth = ["session", "api-key"]
limits = ["per-user"]
respond = { text = "hello" }

[[routes]]
match = "GET /keyed"
auth = ["api-key"]
limits = ["per-user", "per-key"]
respond = { text = "hello" }

[[routes]]
match = "GET /left"
auth = ["session", "api-key"]
builtin = "remaining"
of = ["per-user", "per-address"]

[[routes]]
match = "GET /open"
limits = ["per-address"]
respond = { text = "hello" }

[limits.per-address]
key = "client-ip"
quotas = ["4 per minute"]

[[routes]]
match = ["GET /signup", "POST /signup"]
builtin = "signup"

[[routes]]
match = ["GET /login", "POST /login"]
builtin = "login"
"#;

struct Clustered {
    cluster: RedisCluster,
    accounts: DataDir,
}

impl Clustered {
    fn accounts(&self) -> String {
        format!(
            "sqlite:{}",
            self.accounts.path().join("shared.db").display()
        )
    }

    fn launch(&self, rules: &str) -> Launch {
        launch()
            .rules(&(PATIENT.to_owned() + rules))
            .option("--counters", self.cluster.url())
            .option("--accounts", self.accounts())
    }
}

#[test]
fn gateways_on_a_cluster_share_limits_whatever_is_decided_together() {
    let shared = Clustered {
        cluster: RedisCluster::new(RedisEngine::Redis),
        accounts: DataDir::new(),
    };
    let gateways = [(); 2].map(|()| shared.launch(RULES).start());
    let left = |call: &Call, policy: &str| {
        let answer = gateways[1].call(call);
        answer.json()[policy]["remaining"]
            .as_u64()
            .unwrap_or_else(|| panic!("no {policy}: {}", answer.text()))
    };
    for name in ["ann", "bob", "cid", "dan", "eve"] {
        let person = join(&gateways[0], name);
        let call = by_cookie(&person, "/");
        assert_eq!(
            in_turn(&gateways, &call, 7),
            [200, 200, 200, 200, 200, 429, 429]
        );
        assert_eq!(left(&by_cookie(&person, "/left"), "per-user.minute"), 0);
        let accounts = shared.accounts();
        let args = [
            "key",
            "create",
            name,
            "--quota",
            "1 per second",
            "--accounts",
            &accounts,
        ];
        let made = gateways[0].command(&args, "");
        assert_eq!(made.code, 0, "{made:?}");
        advance(&gateways, 60.0);
        let with_key = |target| Call::get(target).field("x-api-key", made.stdout.trim());
        // The user's limit, one by user and key, and the key's own, in one decision.
        assert_eq!(in_turn(&gateways, &with_key("/keyed"), 2), [200, 429]);
        assert_eq!(left(&with_key("/left"), "own.second"), 0);
        assert_eq!(left(&with_key("/left"), "per-user.minute"), 4);
        advance(&gateways, 1.0);
        assert_eq!(in_turn(&gateways, &with_key("/keyed"), 1), [200]);
    }
    let ann = log_in(&gateways[1], "ann");
    let open = Call::get("/open");
    assert_eq!(in_turn(&gateways, &open, 5), [200, 200, 200, 200, 429]);
    assert_eq!(left(&by_cookie(&ann, "/left"), "per-address.minute"), 0);
    for reset in [
        ["reset", "per-address", "127.0.0.1"],
        ["reset", "per-address", "--all"],
    ] {
        let done = gateways[0].command(&[&["limit"], &reset[..]].concat(), "");
        assert_eq!(done.code, 0, "{done:?}");
        assert_eq!(in_turn(&gateways, &open, 5), [200, 200, 200, 200, 429]);
    }
    // Log-ins count by name and by address together, and by address whatever the name.
    let wrong = |name: String| {
        Call::post("/login").json(&json!({ "username": name, "password": "wrong horse" }))
    };
    let guesses = (0..21).map(|turn| {
        gateways[turn % 2]
            .call(&wrong(format!("nobody-{turn}")))
            .status
    });
    let guesses: Vec<u16> = guesses.collect();
    assert_eq!((&guesses[..20], guesses[20]), (&[401; 20][..], 429));
}

#[test]
fn rules_whose_keys_may_be_on_different_servers_do_not_start_on_a_cluster() {
    let shared = Clustered {
        cluster: RedisCluster::new(RedisEngine::Redis),
        accounts: DataDir::new(),
    };
    let rules = RULES.replace(
        "limits = [\"per-user\"]",
        "limits = [\"per-user\", \"per-address\"]",
    );
    let done = shared.launch(&rules).refused();
    assert_eq!(done.code, 2, "{done:?}");
    assert!(
        done.stderr.contains("cannot be decided together"),
        "{done:?}"
    );
    assert!(done.stderr.contains("begin with the same part"), "{done:?}");
}
