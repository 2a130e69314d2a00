//! The gateway while its database server cannot be reached: at the start, in the middle of traffic, and when the network
//! swallows everything.

use std::process::Command;
use std::time::Duration;

use serde_json::json;
use tollgate_testkit::client::{Call, Connection};
use tollgate_testkit::database::{Database, Engine};
use tollgate_testkit::gateway::{DataDir, Gateway, Launch};
use tollgate_testkit::process::{Done, HEARD_WITHIN, eventually, run, within};
use tollgate_testkit::relay::Relay;

use crate::support::{Key, Person, binary, credentials, join, launch, log_in, new_key, preset};

/// Believed for a minute, and open to some without asking who they are.
const RULES: &str = r#"
[server]
# Connections that rest meanwhile are not closed.
header_timeout_s = 600

[accounts]
offline_ttl_s = 60

[[routes]]
match = "GET /open"
respond = { text = "open" }

[[routes]]
match = "GET /known"
auth = ["session", "bearer", "api-key"]
limits = ["1000000 per second by user"]
respond = { text = "known" }

[[routes]]
match = ["GET /signup", "POST /signup"]
builtin = "signup"

[[routes]]
match = ["GET /login", "POST /login"]
builtin = "login"

[[routes]]
match = ["GET /keys", "POST /keys"]
auth = ["session"]
builtin = "keys"
"#;

/// A database behind a network that can fail.
struct Remote {
    database: Database,
    relay: Relay,
}

impl Remote {
    fn new(engine: Engine) -> Self {
        let database = Database::new(engine);
        let relay = Relay::new(database.address());
        Remote { database, relay }
    }

    fn launch(&self) -> Launch {
        let url = self.database.url_at(self.relay.address());
        launch().rules(RULES).option("--accounts", url)
    }

    /// A command whose own way to the database is whole.
    fn elsewhere(&self, args: &[&str]) -> Done {
        command(&self.database.url(), args)
    }
}

fn command(url: &str, args: &[&str]) -> Done {
    let data = DataDir::new();
    let mut command = Command::new(binary());
    command.env("TOLLGATE_ACCOUNTS", url).args(args);
    command.arg("--data").arg(data.path());
    run(command, "")
}

fn key_of(gateway: &Gateway, person: &Person) -> Key {
    let create = Call::post("/keys").json(&json!({ "action": "create", "name": "laptop" }));
    let made = gateway.call(&person.with_cookie(create));
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json();
    Key {
        id: made["id"].as_str().unwrap().to_owned(),
        secret: made["secret"].as_str().unwrap().to_owned(),
    }
}

/// A key that is well-formed, and nobody's on any other database.
fn key_of_nobody() -> Key {
    let elsewhere = preset("per-api-key");
    join(&elsewhere, "zoe");
    new_key(&elsewhere, "zoe", &[])
}

fn readiness(gateway: &Gateway) -> String {
    let answer = gateway.admin(&Call::get("/readyz"));
    assert_eq!(answer.status, 200, "it takes requests: {}", answer.text());
    answer.text()
}

fn eventually_degraded(gateway: &Gateway) {
    eventually("the gateway to notice", || {
        readiness(gateway).starts_with("degraded").then_some(())
    });
}

fn eventually_ready(gateway: &Gateway) {
    eventually("the gateway to be whole again", || {
        (readiness(gateway) == "ready\n").then_some(())
    });
}

/// What `top` prints.
fn top(gateway: &Gateway) -> String {
    let done = gateway.command(&["top", "--once"], "");
    assert_eq!((done.code, done.stderr.as_str()), (0, ""));
    done.stdout
}

/// The value of a gauge.
fn metric(gateway: &Gateway, name: &str) -> f64 {
    let metrics = gateway.admin(&Call::get("/metrics")).text();
    let value = metrics
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value
        .unwrap_or_else(|| panic!("no {name}:\n{metrics}"))
        .parse()
        .unwrap()
}

fn lines_with(gateway: &mut Gateway, words: &str) -> usize {
    gateway.process().logged(words).len()
}

fn assert_unavailable(gateway: &Gateway, call: &Call) {
    let answer = gateway.call(call);
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.retry_after().is_some());
    assert_eq!(answer.expect("content-type"), "application/problem+json");
}

fn starts_without_its_server_and_is_whole_when_it_comes(engine: Engine) {
    let (remote, nobody) = (Remote::new(engine), key_of_nobody());
    remote.relay.cut();
    let mut gateway = remote.launch().start_degraded();
    assert_eq!(gateway.get("/open").status, 200);
    assert_unavailable(&gateway, &nobody.get("/known"));
    for form in ["/signup", "/login"] {
        assert_unavailable(&gateway, &Call::post(form).json(&credentials("ann")));
    }
    gateway.advance(12.0);
    let degraded = "degraded: accounts database unreachable for 12 s";
    assert_eq!(readiness(&gateway).trim(), degraded);
    let health = gateway.command(&["health"], "");
    assert_eq!((health.code, health.stdout.trim()), (0, degraded));
    assert!(top(&gateway).contains(" database away for 12 s "));
    assert_eq!(metric(&gateway, "tollgate_accounts_up"), 0.0);
    assert_eq!(
        metric(&gateway, "tollgate_accounts_changes_unread_seconds"),
        12.0
    );

    remote.relay.heal();
    eventually_ready(&gateway);
    let ann = join(&gateway, "ann");
    assert_eq!(gateway.call(&ann.get("/known")).status, 200);
    assert_eq!(gateway.call(&nobody.get("/known")).status, 401);
    assert_eq!(metric(&gateway, "tollgate_accounts_up"), 1.0);
    assert!(top(&gateway).contains(" database up "));
    assert_eq!(lines_with(&mut gateway, "cannot be reached"), 1);
    assert_eq!(lines_with(&mut gateway, "is reached again"), 1);
}

fn known_keys_go_on_for_the_stated_time_while_the_network_is_cut(engine: Engine) {
    let (remote, nobody) = (Remote::new(engine), key_of_nobody());
    let mut gateway = remote.launch().start();
    let ann = join(&gateway, "ann");
    let key = key_of(&gateway, &ann);
    let mut made = 0;
    let mut pass = |count: u32, connection: &mut Connection| {
        for _ in 0..count {
            assert_eq!(key.get("/known").over(connection).status, 200);
            made += 1;
        }
    };
    let mut connection = Connection::open(gateway.address());
    pass(50, &mut connection);
    assert_eq!(gateway.call(&ann.get("/known")).status, 200);
    remote.relay.cut();
    pass(200, &mut connection);
    eventually_degraded(&gateway);
    let by_cookie = ann.with_cookie(Call::get("/known"));
    assert_eq!(gateway.call(&by_cookie).status, 200);
    assert_unavailable(&gateway, &nobody.get("/known"));
    gateway.advance(60.0);
    pass(200, &mut connection);
    assert_eq!(gateway.call(&ann.get("/known")).status, 200);
    gateway.advance(1.0);
    let unsure = within(HEARD_WITHIN, || {
        match key.get("/known").over(&mut connection).status {
            200 => {
                made += 1;
                false
            }
            status => status == 503,
        }
    });
    assert!(unsure, "the stated time is over");
    // The key is not bad, and its owner must not be told so.
    for call in [&key.get("/known"), &ann.get("/known"), &by_cookie] {
        assert_unavailable(&gateway, call);
    }
    assert_eq!(lines_with(&mut gateway, "cannot be reached"), 1);

    remote.relay.heal();
    eventually_ready(&gateway);
    let mut again = Connection::open(gateway.address());
    for _ in 0..50 {
        assert_eq!(key.get("/known").over(&mut again).status, 200);
        made += 1;
    }
    assert_eq!(gateway.call(&by_cookie).status, 200);
    assert_eq!(lines_with(&mut gateway, "is reached again"), 1);
    let counted = "SELECT SUM(allowed) FROM u.usage WHERE key_id = 'KEY'";
    let counted = counted.replace("KEY", &key.id);
    eventually("the usage to be written", || {
        (remote.database.ask(&counted) == made.to_string()).then_some(())
    });
    assert_eq!(metric(&gateway, "tollgate_usage_dropped_total"), 0.0);
}

fn nobody_who_is_known_notices_a_network_that_swallows_everything(engine: Engine) {
    let remote = Remote::new(engine);
    let mut gateway = remote.launch().start();
    let ann = join(&gateway, "ann");
    let [kept, revoked] = [(); 2].map(|()| key_of(&gateway, &ann));
    for key in [&kept, &revoked] {
        assert_eq!(gateway.call(&key.get("/known")).status, 200);
    }
    remote.relay.freeze();
    let mut connection = Connection::open(gateway.address());
    eventually("the gateway to notice", || {
        let mut passes = || kept.get("/known").over(&mut connection).status == 200;
        // A statement that hangs takes seconds.
        assert!(within(Duration::from_millis(500), &mut passes));
        readiness(&gateway).starts_with("degraded").then_some(())
    });
    assert_unavailable(&gateway, &key_of_nobody().get("/known"));
    let done = remote.elsewhere(&["key", "revoke", &revoked.id]);
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(gateway.call(&revoked.get("/known")).status, 200);
    remote.relay.heal();
    let heard = within(HEARD_WITHIN, || {
        gateway.call(&revoked.get("/known")).status == 401
    });
    assert!(heard, "the revoked key still passes");
    assert_eq!(gateway.call(&kept.get("/known")).status, 200);
    eventually_ready(&gateway);
    log_in(&gateway, "ann");
    for words in ["cannot be reached", "is reached again"] {
        assert_eq!(lines_with(&mut gateway, words), 1);
    }
}

macro_rules! on_both_servers {
    ($($promise:ident => $postgresql:ident, $mariadb:ident;)*) => {$(
        #[test]
        fn $postgresql() {
            $promise(Engine::Postgres);
        }

        #[test]
        fn $mariadb() {
            $promise(Engine::MariaDb);
        }
    )*};
}

on_both_servers! {
    starts_without_its_server_and_is_whole_when_it_comes =>
        a_gateway_starts_without_postgresql_and_is_whole_when_it_comes,
        a_gateway_starts_without_mariadb_and_is_whole_when_it_comes;
    known_keys_go_on_for_the_stated_time_while_the_network_is_cut =>
        known_keys_go_on_for_the_stated_time_while_postgresql_is_cut_off,
        known_keys_go_on_for_the_stated_time_while_mariadb_is_cut_off;
    nobody_who_is_known_notices_a_network_that_swallows_everything =>
        nobody_who_is_known_notices_that_postgresql_is_silent,
        nobody_who_is_known_notices_that_mariadb_is_silent;
}

#[test]
fn commands_fail_at_once_while_the_server_is_away_and_say_why() {
    for engine in [Engine::Postgres, Engine::MariaDb] {
        let remote = Remote::new(engine);
        remote.relay.cut();
        let url = remote.database.url_at(remote.relay.address());
        for args in [&["migrate"][..], &["user", "list"], &["key", "list"]] {
            let done = command(&url, args);
            assert_eq!(done.code, 1, "{done:?}");
            assert!(done.stderr.contains("Connection refused"), "{done:?}");
        }
    }
}
