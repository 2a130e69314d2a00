//! What becomes of counters when a call fails: nothing, unless the script stumbled over them.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tollgate::{Check, Checks, Lease, Micros, Policy, Store};
use tollgate_testkit::redis::{RedisEngine, RedisServer};

use super::trace::settings;
use crate::error::LinkError;
use crate::script::Script;
use crate::scripts::{self, Kinds, Operation};
use crate::settings::Settings;
use crate::store::RedisStore;

const NOW: Micros = Micros::from_secs(1_800_000_000);

/// Calls of scripts by their digests, in the order in which they came.
type Heard = Arc<Mutex<Vec<String>>>;

/// Speaks RESP, answers every script that is called by its digest with `answer`, and notes what it hears.
async fn server(answer: &'static str) -> (String, Heard) {
    server_that(move |_| answer).await
}

/// The same, with an answer to each call.
async fn server_that(
    answer: impl Fn(&str) -> &'static str + Clone + Send + 'static,
) -> (String, Heard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let heard = Heard::default();
    let noted = Arc::clone(&heard);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (noted, answer) = (Arc::clone(&noted), answer.clone());
            tokio::spawn(async move {
                let mut bytes = vec![0; 64 << 10];
                while let Ok(count @ 1..) = stream.read(&mut bytes).await {
                    let heard = String::from_utf8_lossy(&bytes[..count]).into_owned();
                    let reply = match &heard {
                        heard if heard.contains("EVALSHA") => {
                            noted.lock().unwrap().push(heard.clone());
                            answer(heard)
                        }
                        heard if heard.contains("EVAL") => "*2\r\n$1\r\n1\r\n$1\r\n2\r\n",
                        heard if heard.contains("INFO") => "$20\r\nredis_version:7.0.0\n\r\n",
                        _ => "+OK\r\n",
                    };
                    if stream.write_all(reply.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (url, heard)
}

/// How many calls there were, and how many of them forget keys.
fn calls(heard: &Heard) -> (usize, usize) {
    let heard = heard.lock().unwrap();
    let forgetting = [scripts::reset(), scripts::forget()];
    let forgets = |call: &&String| forgetting.iter().any(|script| call.contains(&script.sha));
    (heard.len(), heard.iter().filter(forgets).count())
}

fn policy(quota: &str) -> Arc<Policy> {
    Arc::new(Policy::new("p", quota.parse().unwrap()).unwrap())
}

fn checks(policy: &Arc<Policy>) -> Checks<'_> {
    let mut checks = Checks::new();
    let (key, cost) = (&b"ann"[..], 1);
    checks.push(Check { policy, key, cost }).unwrap();
    checks
}

#[tokio::test]
async fn an_error_that_says_nothing_about_a_counter_deletes_none() {
    let policy = policy("5/m");
    for answer in [
        "-upstream failure\r\n",
        "-CROSSSLOT Keys in request don't hash to the same slot\r\n",
        "-ERR Script killed by user with SCRIPT KILL. script: 0f, on @user_script:1.\r\n",
        "-ERR Error running script (call to f_0f): @user_script:1: Script killed by user with SCRIPT KILL...\r\n",
        "-ERR Script attempted to access a non local key in a cluster node script: 0f, on @user_script:9.\r\n",
        "$1000000000000\r\n",
        "HTTP/1.1 400 Bad Request\r\n\r\n",
    ] {
        let (url, heard) = server(answer).await;
        let store = RedisStore::connect(url.parse().unwrap(), settings()).await;
        let decision = store.unwrap().decide(&checks(&policy), NOW).await;
        assert!(decision.is_degraded(), "{answer}");
        assert_eq!(calls(&heard), (1, 0), "{answer}");
    }
}

#[tokio::test]
async fn where_a_script_stumbles_nothing_is_deleted_before_it_is_known_what_is_there() {
    let policy = policy("5/m");
    for answer in [
        "-ERR user_script:9: attempt to compare nil with number script: 0f, on @user_script:9.\r\n",
        "-ERR Error running script (call to f_0f): @user_script:9: user_script:9: attempt to compare nil\r\n",
        "-ERR value is not an integer or out of range script: 0f, on @user_script:9.\r\n",
        "+what no script of ours says\r\n",
    ] {
        let (url, heard) = server(answer).await;
        let store = RedisStore::connect(url.parse().unwrap(), settings()).await;
        let store = store.unwrap();
        assert!(store.peek(&checks(&policy), NOW).await.is_degraded());
        assert_eq!(calls(&heard), (1, 0), "{answer}: a peek looks no further");
        assert!(store.decide(&checks(&policy), NOW).await.is_degraded());
        assert_eq!(
            calls(&heard),
            (3, 0),
            "{answer}: the script, and what is there"
        );
    }
}

#[tokio::test]
async fn servers_say_of_scripts_that_stumble_what_is_told_from_other_errors() {
    let not_ours = [
        "return nil + 1",
        "error('x')",
        "return redis.call('SET', KEYS[1], 1, 'PX', 'nan')",
        "return redis.call('SET', KEYS[1], 1, 'PX', '-5')",
    ];
    let others = [
        "error('x', 0)",
        "return redis.call('INCRBY', KEYS[1])",
        "local got = redis.pcall('LPUSH', KEYS[1], 1) error(got.err, 0)",
    ];
    for engine in [RedisEngine::Redis, RedisEngine::Valkey] {
        let server = RedisServer::new(engine);
        server.ask(&["SET", "text", "x"]);
        let store = RedisStore::connect(server.url().parse().unwrap(), settings()).await;
        let link = store.unwrap().shared.link.clone();
        for text in not_ours.iter().chain(&others) {
            let script = Script::new(*text);
            let called = link.call(&script, vec![b"text".into()], Vec::new()).await;
            let error = called.unwrap_err();
            let is_not_ours = matches!(error, LinkError::NotOurs(_));
            assert_eq!(is_not_ours, not_ours.contains(text), "{text}: {error:?}");
        }
    }
}

#[tokio::test]
async fn why_a_decision_is_made_without_the_store_is_said_once_and_counted_each_time() {
    let policy = policy("5/m");
    for (answer, said, word) in [
        ("-upstream failure\r\n", "upstream failure", "script"),
        ("+nothing\r\n", "no script of ours", "not_ours"),
    ] {
        let lines = Lines::default();
        let _guard = tracing::subscriber::set_default(lines.clone());
        let (url, _) = server(answer).await;
        let store = RedisStore::connect(url.parse().unwrap(), settings()).await;
        let store = store.unwrap();
        for _ in 0..20 {
            assert!(store.decide(&checks(&policy), NOW).await.is_degraded());
        }
        let lines = lines.0.lock().unwrap();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains(said), "{lines:?}");
        assert!(store.stats().errors()[word] >= 20);
    }
}

#[tokio::test]
async fn no_error_shows_a_key() {
    let (url, _) = server(
        "-ERR unknown command 'EVALSHA', with args beginning with: '0f' '1' 'tollgate:2:p:{ann}' \r\n",
    )
    .await;
    let store = RedisStore::connect(url.parse().unwrap(), settings()).await;
    let link = store.unwrap().shared.link.clone();
    let script = Script::new("");
    let error = link.call(&script, vec![b"ann".into()], Vec::new()).await;
    let text = error.unwrap_err().to_string();
    assert!(text.contains("EVALSHA") && !text.contains("ann"), "{text}");
}

/// An answer of a script that has charged, and has made something of a value that is none of ours.
const CHARGED: &str = "*3\r\n:1800000000000000\r\n:1\r\n$7\r\ngarbage\r\n";

#[tokio::test]
async fn a_decision_stands_though_a_spoilt_value_that_it_met_cannot_be_forgotten() {
    let policy = policy("5/m");
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(lines.clone());
    let tells = &scripts::script(Operation::Peek, Kinds::default()).sha;
    let (url, heard) = server_that(move |call| match call.contains(tells) {
        true => "-upstream failure\r\n",
        false => CHARGED,
    })
    .await;
    let store = RedisStore::connect(url.parse().unwrap(), settings()).await;
    let store = store.unwrap();
    for _ in 0..3 {
        let decision = store.decide(&checks(&policy), NOW).await;
        assert!(decision.is_allowed() && !decision.is_degraded());
        // It has ended when there is a place again.
        drop(store.shared.forgetting.acquire().await.unwrap());
    }
    assert_eq!(calls(&heard), (6, 0));
    let another = store.shared.forgetting.acquire().await.unwrap();
    for _ in 0..3 {
        assert!(!store.decide(&checks(&policy), NOW).await.is_degraded());
    }
    assert_eq!(calls(&heard), (9, 0), "one at a time is enough");
    drop(another);
    let lines = lines.0.lock().unwrap();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("could not be forgotten"), "{lines:?}");
}

#[tokio::test]
async fn units_that_were_charged_in_a_value_that_is_forgotten_are_not_spent() {
    let bucket = Policy::new("p", "6000 per minute token-bucket".parse().unwrap()).unwrap();
    let bucket = Arc::new(bucket.with_lease(Lease::Auto));
    let (url, heard) = server(CHARGED).await;
    let settings = Settings {
        deadline: Duration::from_secs(20),
        connect_timeout: Duration::from_secs(20),
        ..Settings::default()
    };
    let store = RedisStore::connect(url.parse().unwrap(), settings).await;
    let store = store.unwrap();
    for _ in 0..5 {
        let decision = store.decide(&checks(&bucket), NOW).await;
        assert!(decision.is_allowed() && !decision.is_degraded());
        // This server answers one call at a time.
        drop(store.shared.forgetting.acquire().await.unwrap());
    }
    let mut kinds = Kinds::default();
    kinds.insert('t');
    let leases = &scripts::script(Operation::Lease, kinds).sha;
    let is_lease = |call: &String| call.contains(leases);
    assert!(heard.lock().unwrap().iter().any(is_lease));
    let near = store.near_stats();
    assert_eq!((near.leased(), near.paid()), (0, 0));
}

/// Lines of the log.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Lines {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::WARN && metadata.target().starts_with("tollgate")
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        struct Text(String);
        impl tracing::field::Visit for Text {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn Debug) {
                self.0 += &format!("{field}={value:?} ");
            }
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().unwrap().push(text.0);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}
