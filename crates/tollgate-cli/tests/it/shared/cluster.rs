//! A store of several masters: what is decided together is on one of them.

use tollgate_testkit::gateway::Launch;
use tollgate_testkit::redis::{RedisCluster, RedisEngine};

use super::{DataDir, PATIENT, in_turn, launch};
use crate::support::join;

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
    for name in ["ann", "bob", "cid", "dan", "eve"] {
        // Log-ins count by name and by address together.
        let person = join(&gateways[0], name);
        let call = super::by_cookie(&person, "/");
        assert_eq!(
            in_turn(&gateways, &call, 7),
            [200, 200, 200, 200, 200, 429, 429]
        );
        let left = gateways[1].call(&super::by_cookie(&person, "/left"));
        assert_eq!(
            left.json()["per-user.minute"]["remaining"],
            0,
            "{}",
            left.text()
        );
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
        super::advance(&gateways, 60.0);
        let call = super::Call::get("/keyed").field("x-api-key", made.stdout.trim());
        assert_eq!(in_turn(&gateways, &call, 2), [200, 429], "its own quota");
        super::advance(&gateways, 1.0);
        assert_eq!(in_turn(&gateways, &call, 1), [200]);
    }
    let open = super::Call::get("/open");
    assert_eq!(in_turn(&gateways, &open, 5), [200, 200, 200, 200, 429]);
    let reset = gateways[0].command(&["limit", "reset", "per-address", "--all"], "");
    assert_eq!(reset.code, 0, "{reset:?}");
    assert_eq!(in_turn(&gateways, &open, 1), [200]);
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
