//! The gateway is killed in the middle of its work: what it acknowledged is there afterwards, and nothing half-made.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::json;
use tollgate_testkit::Random;
use tollgate_testkit::client::Call;
use tollgate_testkit::database::{Database, Engine};
use tollgate_testkit::gateway::{DataDir, Gateway, Launch};
use tollgate_testkit::random::scaled;

use crate::support::{credentials, launch};

/// Who sign up at the same time.
const NEWCOMERS: usize = 4;

/// Nothing keeps anybody from signing up as fast as they can.
const RULES: &str = r#"
[accounts.protection]
signup_per_address = "1000000 per second"
login_per_address = "1000000 per second"
login_per_account = "1000000 per second"

[[routes]]
match = "GET /known"
auth = ["api-key"]
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

/// What a newcomer was told.
enum Said {
    /// This name is asked for; whether it is made is not known yet.
    Asked(String),
    /// The account is made.
    SignedUp(String),
    /// This key is made.
    Key(String),
}

/// Signs up under one name after the other, and makes two keys each, until the gateway is gone.
fn newcomer(to: SocketAddr, names: String, said: Sender<Said>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for number in 0.. {
            let name = format!("{names}-{number}");
            if join(to, &name, &said).is_none() {
                return;
            }
        }
    })
}

fn join(to: SocketAddr, name: &str, said: &Sender<Said>) -> Option<()> {
    said.send(Said::Asked(name.to_owned())).unwrap();
    let signed_up = Call::post("/signup").json(&credentials(name)).try_send(to);
    let signed_up = signed_up.ok()?;
    assert_eq!(signed_up.status, 201, "{}", signed_up.text());
    said.send(Said::SignedUp(name.to_owned())).unwrap();
    let logged_in = Call::post("/login").json(&credentials(name)).try_send(to);
    let logged_in = logged_in.ok()?;
    assert_eq!(logged_in.status, 200, "{}", logged_in.text());
    let cookie = format!("session={}", logged_in.cookie("session").unwrap().0);
    for _ in 0..2 {
        let create = Call::post("/keys").field("cookie", &cookie);
        let create = create.json(&json!({ "action": "create", "name": "laptop" }));
        let made = create.try_send(to).ok()?;
        assert_eq!(made.status, 201, "{}", made.text());
        let secret = made.json()["secret"].as_str().unwrap().to_owned();
        said.send(Said::Key(secret)).unwrap();
    }
    Some(())
}

/// Kills a gateway at some moment while newcomers sign up, and looks at what is left, again and again on the same data.
fn killed_again_and_again(rounds: u64, launch: impl Fn(&DataDir) -> Launch) {
    let (mut random, data) = (Random::new(), DataDir::new());
    for round in 0..rounds {
        let mut gateway = launch(&data).start();
        let (said, heard) = channel();
        let names = |number| format!("round-{round}-{number}");
        let newcomers: Vec<_> = (0..NEWCOMERS)
            .map(|number| newcomer(gateway.address(), names(number), said.clone()))
            .collect();
        drop(said);
        let told = told_until_some_moment(&heard, &mut random);
        gateway.process().kill();
        let told: Vec<Said> = told.into_iter().chain(heard).collect();
        for newcomer in newcomers {
            newcomer.join().expect("a newcomer was told nothing wrong");
        }
        let again = launch(&data).start();
        look(&again, told);
        again.stop();
    }
}

/// What was said until this many things were acknowledged, and up to some milliseconds more had passed.
fn told_until_some_moment(heard: &Receiver<Said>, random: &mut Random) -> Vec<Said> {
    let (count, more) = (random.between(1, 24), random.below(60_000));
    let mut told: Vec<Said> = Vec::new();
    while (told.len() as u64) < count {
        told.push(heard.recv().unwrap());
    }
    let mut silence = Duration::from_micros(more);
    while let Ok(next) = heard.recv_timeout(silence) {
        told.push(next);
        silence /= 2;
    }
    told
}

fn look(gateway: &Gateway, told: Vec<Said>) {
    let log_in = |name: &str| {
        let call = Call::post("/login").json(&credentials(name));
        gateway.call(&call).status
    };
    let mut in_doubt = Vec::new();
    for said in told {
        match said {
            Said::Asked(name) => in_doubt.push(name),
            Said::SignedUp(name) => {
                assert_eq!(log_in(&name), 200, "the account of {name}");
                in_doubt.retain(|other| *other != name);
            }
            Said::Key(secret) => {
                let call = Call::get("/known").field("x-api-key", &secret);
                assert_eq!(gateway.call(&call).status, 200, "a key");
            }
        }
    }
    // An account is made or it is not: whoever cannot log in can sign up.
    for name in in_doubt {
        if log_in(&name) != 200 {
            let call = Call::post("/signup").json(&credentials(&name));
            assert_eq!(gateway.call(&call).status, 201, "{name} is half-made");
        }
    }
}

fn killed_on(engine: Engine) {
    let database = Database::new(engine);
    killed_again_and_again(scaled(2), |data| {
        let launch = launch().data(data).rules(RULES);
        launch.option("--accounts", database.url())
    });
    // What was made and the row that tells others of it are one.
    let rows = [
        ("users", "user-created"),
        ("api_keys", "key-created"),
        ("sessions", "session-created"),
    ];
    for (table, kind) in rows {
        let made = database.ask(&format!("SELECT COUNT(*) FROM {table}"));
        let told = database.ask(&format!("SELECT COUNT(*) FROM changes WHERE kind = '{kind}'"));
        assert_eq!(made, told, "{table}");
    }
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_half_made_when_the_gateway_is_killed() {
    killed_again_and_again(scaled(3), |data| launch().data(data).rules(RULES));
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_half_made_when_it_is_killed_on_postgresql() {
    killed_on(Engine::Postgres);
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_half_made_when_it_is_killed_on_mariadb() {
    killed_on(Engine::MariaDb);
}
