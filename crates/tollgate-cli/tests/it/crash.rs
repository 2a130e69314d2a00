//! The gateway, or its database server, is killed in the middle of its work: what was acknowledged is there afterwards, and
//! nothing half-made.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::json;
use tollgate_testkit::Random;
use tollgate_testkit::client::{Answer, Call};
use tollgate_testkit::database::{Database, Engine, OwnServer};
use tollgate_testkit::gateway::{DataDir, Gateway, Launch};
use tollgate_testkit::process::eventually;
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

/// The most names of one newcomer, so that a test ends whatever happens.
const NAMES_MAX: usize = 200;

/// Those who sign up under one name after the other, and make two keys each, until the gateway is gone, or its database,
/// or they are told that it is over.
struct Newcomers {
    threads: Vec<JoinHandle<()>>,
    heard: Receiver<Said>,
    over: Arc<AtomicBool>,
}

impl Newcomers {
    fn start(gateway: &Gateway, round: u64) -> Self {
        let (said, heard) = channel();
        let (to, over) = (gateway.address(), Arc::new(AtomicBool::new(false)));
        let thread = |number| {
            let (said, over) = (said.clone(), Arc::clone(&over));
            std::thread::spawn(move || {
                let names = (0..NAMES_MAX).map(|name| format!("{round}-{number}-{name}"));
                for name in names.take_while(|_| !over.load(Ordering::Acquire)) {
                    if join(to, &name, &said).is_none() {
                        return;
                    }
                }
            })
        };
        let threads = (0..NEWCOMERS).map(thread).collect();
        Newcomers {
            threads,
            heard,
            over,
        }
    }

    /// What else they were told until they had all ended; nothing of it was wrong.
    fn end(self) -> Vec<Said> {
        self.over.store(true, Ordering::Release);
        let rest = self.heard.iter().collect();
        for thread in self.threads {
            thread.join().expect("a newcomer was told nothing wrong");
        }
        rest
    }
}

fn join(to: SocketAddr, name: &str, said: &Sender<Said>) -> Option<()> {
    said.send(Said::Asked(name.to_owned())).unwrap();
    let signed_up = Call::post("/signup").json(&credentials(name)).try_send(to);
    let signed_up = signed_up.ok()?;
    acknowledged(&signed_up, 201)?;
    said.send(Said::SignedUp(name.to_owned())).unwrap();
    let logged_in = Call::post("/login").json(&credentials(name)).try_send(to);
    let logged_in = logged_in.ok()?;
    acknowledged(&logged_in, 200)?;
    let cookie = format!("session={}", logged_in.cookie("session").unwrap().0);
    for _ in 0..2 {
        let create = Call::post("/keys").field("cookie", &cookie);
        let create = create.json(&json!({ "action": "create", "name": "laptop" }));
        let made = create.try_send(to).ok()?;
        acknowledged(&made, 201)?;
        let secret = made.json()["secret"].as_str().unwrap().to_owned();
        said.send(Said::Key(secret)).unwrap();
    }
    Some(())
}

/// Nothing, where the database could not be reached.
fn acknowledged(answer: &Answer, status: u16) -> Option<()> {
    if answer.status == 503 {
        return None;
    }
    assert_eq!(answer.status, status, "{}", answer.text());
    Some(())
}

/// Kills a gateway at some moment while newcomers sign up, and looks at what is left, again and again on the same data.
fn killed_again_and_again(rounds: u64, launch: impl Fn(&DataDir) -> Launch) {
    let (mut random, data) = (Random::new(), DataDir::new());
    for round in 0..rounds {
        let mut gateway = launch(&data).start();
        let newcomers = Newcomers::start(&gateway, round);
        let mut told = told_until_some_moment(&newcomers.heard, &mut random);
        gateway.process().kill();
        told.extend(newcomers.end());
        let again = launch(&data).start();
        look(&again, told);
        again.stop();
    }
}

/// What was said until this many things were acknowledged, and up to some milliseconds more had passed, or all newcomers
/// had ended.
fn told_until_some_moment(heard: &Receiver<Said>, random: &mut Random) -> Vec<Said> {
    let (count, more) = (random.between(1, 24), random.below(60_000));
    let mut told: Vec<Said> = Vec::new();
    while (told.len() as u64) < count {
        let Ok(next) = heard.recv() else {
            return told;
        };
        told.push(next);
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
            // The server may carry out what it was told by the one that was killed only now.
            let status = gateway.call(&call).status;
            assert!(
                status == 201 || status == 409 && log_in(&name) == 200,
                "{name} is half-made: {status}"
            );
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
        let told = database.ask(&format!(
            "SELECT COUNT(*) FROM changes WHERE kind = '{kind}'"
        ));
        assert_eq!(made, told, "{table}");
    }
}

fn server_killed(engine: Engine) {
    let server = OwnServer::new(engine);
    let (database, mut random) = (Database::on(&server), Random::new());
    let launch = launch().rules(RULES);
    let gateway = launch.option("--accounts", database.url()).start();
    for round in 0..scaled(2) {
        let newcomers = Newcomers::start(&gateway, round);
        let mut told = told_until_some_moment(&newcomers.heard, &mut random);
        server.kill();
        told.extend(newcomers.end());
        eventually("the gateway to be whole again", || {
            let log_in = Call::post("/login").json(&credentials("nobody"));
            (gateway.call(&log_in).status == 401).then_some(())
        });
        look(&gateway, told);
    }
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_half_made_when_postgresql_is_killed() {
    server_killed(Engine::Postgres);
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_half_made_when_mariadb_is_killed() {
    server_killed(Engine::MariaDb);
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
