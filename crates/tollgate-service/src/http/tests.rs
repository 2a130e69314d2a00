//! What clients are told where the store does not do what it is asked.

use std::sync::Mutex;
use std::time::Duration;

use futures_util::FutureExt;
use http::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::time::timeout;
use tollgate::store::{Answer, Outcome};
use tollgate::{
    Checks, Decision, ManualClock, MemoryStore, Micros, Policy, Reason, Receipt, Store, StoreError,
};
use tollgate_gateway::Counters;
use tollgate_gateway::counters::{Shared, SharedState};
use tollgate_rules::{Overrides, RuleSet};

use super::answer::Worker;
use super::decide::{Act, decide};
use super::form::Form;
use super::handlers::{self, Answered};
use super::wire::Dates;
use super::*;
use tollgate_gateway::stream::Stream;

const RULES: &str = "[service]\nhttp = \"127.0.0.1:1\"\n[limits.tokens]\nkey = \"user\"\nquotas = [\"1000 per hour\"]\n";

/// Memory that fails as it is told to.
#[derive(Default)]
struct Failing {
    refuses: Option<Reason>,
    /// What happens to the next call that is no decision.
    next: Mutex<Option<StoreError>>,
    /// Said when such a call may be answered; at once if there is none.
    answers: Option<Arc<Notify>>,
    memory: Option<MemoryStore>,
}

impl Failing {
    fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&MemoryStore) -> T,
    ) -> Answer<Result<T, StoreError>> {
        let error = self.next.lock().unwrap().take();
        let answer = match (error, &self.memory) {
            (Some(error), _) => Err(error),
            (None, Some(memory)) => Ok(change(memory)),
            (None, None) => Err(StoreError::Unsupported),
        };
        let Some(answers) = self.answers.clone() else {
            return Answer::Ready(answer);
        };
        Answer::Pending(Box::pin(async move {
            answers.notified().await;
            answer
        }))
    }
}

/// As `Arc`, so that a test can tell it what comes next.
struct Told(Arc<Failing>);

impl Store for Told {
    fn decide(&self, checks: &Checks<'_>, now: Micros) -> Outcome {
        Answer::Ready(match (self.0.refuses, &self.0.memory) {
            (None, Some(memory)) => memory.decide(checks, now),
            (reason, _) => Decision::refused(reason.unwrap_or(Reason::StoreClosed), now),
        })
    }

    fn peek(&self, checks: &Checks<'_>, now: Micros) -> Outcome {
        self.decide(checks, now)
    }

    fn refund(
        &self,
        checks: &Checks<'_>,
        receipt: &Receipt,
        now: Micros,
    ) -> Answer<Result<u64, StoreError>> {
        self.0.change(|memory| memory.refund(checks, receipt, now))
    }

    fn settle(
        &self,
        checks: &Checks<'_>,
        receipt: &Receipt,
        now: Micros,
    ) -> Answer<Result<(), StoreError>> {
        self.0.change(|memory| memory.settle(checks, receipt, now))
    }

    fn reserve(
        &self,
        _: &Checks<'_>,
        now: Micros,
        _: Micros,
    ) -> Answer<Result<(Micros, Receipt), Decision>> {
        Answer::Ready(Err(Decision::refused(Reason::StoreClosed, now)))
    }

    fn reset(&self, policy: &Policy, key: &[u8]) -> Answer<Result<bool, StoreError>> {
        self.0.change(|memory| memory.reset(policy, key))
    }

    fn reset_all(&self, policy: &Policy) -> Answer<Result<(), StoreError>> {
        self.0.change(|memory| memory.reset_all(policy))
    }
}

/// A service over this store.
fn service(store: Failing) -> (Arc<Service>, Arc<Failing>) {
    let rules = RuleSet::parse("rules", RULES, &Overrides::default());
    let rules = rules.unwrap_or_else(|wrong| panic!("{}", wrong[0]));
    let store = Arc::new(store);
    let shared = Shared::new(
        Arc::new(Told(Arc::clone(&store))),
        Arc::new(SharedState::default),
        tokio::runtime::Handle::current(),
    );
    let clock = Arc::new(ManualClock::new(Micros::from_secs(1_800_000_000)));
    let counters = Counters::from(shared);
    (
        Service::new(Arc::new(rules), None, counters, clock, None),
        store,
    )
}

fn remembering() -> (Arc<Service>, Arc<Failing>) {
    service(Failing {
        memory: Some(MemoryStore::new()),
        ..Failing::default()
    })
}

/// The status, whether the client is told to ask again, and the body.
fn read(answered: Answered) -> (StatusCode, bool, Value) {
    let answer = answered.unwrap_or_else(|failure| failure.into_answer("/v1"));
    let status = answer.status;
    let again = answer.has("retry-after");
    (status, again, serde_json::from_slice(&answer.body).unwrap())
}

async fn reserved(service: &Service) -> String {
    let body = br#"{"limit":"tokens","key":"ann","cost":400}"#;
    let (_, _, told) = read(decide(service, Act::Reserve, body, Form::Whole).await);
    told["receipt"].as_str().unwrap().to_owned()
}

fn broke() -> Box<dyn std::error::Error + Send + Sync> {
    "broken".into()
}

#[tokio::test]
async fn a_receipt_that_the_store_could_not_be_asked_about_is_good_when_it_is_back() {
    let (service, store) = remembering();
    let receipt = reserved(&service).await;
    let settle = json!({ "receipt": receipt, "cost": 100 }).to_string();
    *store.next.lock().unwrap() = Some(StoreError::Unavailable(broke()));
    let (status, again, _) = read(handlers::settle(&service, settle.as_bytes()).await);
    assert_eq!((status.as_u16(), again), (503, true));
    let (status, _, _) = read(handlers::settle(&service, settle.as_bytes()).await);
    assert_eq!(status.as_u16(), 200);

    let receipt = reserved(&service).await;
    let refund = json!({ "receipt": receipt }).to_string();
    *store.next.lock().unwrap() = Some(StoreError::Unavailable(broke()));
    let (status, again, _) = read(handlers::refund(&service, refund.as_bytes()).await);
    assert_eq!((status.as_u16(), again), (503, true));
    let (status, _, told) = read(handlers::refund(&service, refund.as_bytes()).await);
    assert_eq!((status.as_u16(), told), (200, json!({ "refunded": 400 })));
}

#[tokio::test]
async fn a_receipt_whose_client_goes_is_good_again_when_the_store_turns_out_not_to_have_been_asked()
{
    let answers = Arc::new(Notify::new());
    let (service, store) = service(Failing {
        memory: Some(MemoryStore::new()),
        answers: Some(Arc::clone(&answers)),
        ..Failing::default()
    });
    let receipt = reserved(&service).await;
    let settle = json!({ "receipt": receipt, "cost": 100 }).to_string();
    let refund = json!({ "receipt": receipt }).to_string();
    for way in ["settle", "refund"] {
        *store.next.lock().unwrap() = Some(StoreError::Unavailable(broke()));
        let gone = match way {
            "settle" => handlers::settle(&service, settle.as_bytes()).now_or_never(),
            _ => handlers::refund(&service, refund.as_bytes()).now_or_never(),
        };
        assert!(gone.is_none(), "{way}: the client goes before the answer");
        assert_eq!(service.receipts.questions(&receipt), None, "{way}");
        answers.notify_one();
        // The rest goes on in a task of its own.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert_eq!(service.receipts.questions(&receipt), Some(1), "{way}");
    }
}

#[tokio::test]
async fn a_receipt_of_which_nobody_knows_whether_it_was_used_is_spent_and_the_client_is_told_so() {
    let (service, store) = remembering();
    let receipt = reserved(&service).await;
    let refund = json!({ "receipt": receipt }).to_string();
    *store.next.lock().unwrap() = Some(StoreError::Unanswered(broke()));
    let (status, again, told) = read(handlers::refund(&service, refund.as_bytes()).await);
    assert_eq!((status.as_u16(), again), (503, false));
    assert!(told["detail"].as_str().unwrap().contains("spent"), "{told}");
    let (status, _, _) = read(handlers::refund(&service, refund.as_bytes()).await);
    assert_eq!(status.as_u16(), 410);
}

#[tokio::test]
async fn what_the_store_cannot_do_at_all_is_422_and_says_what() {
    for error in [
        StoreError::Unsupported,
        StoreError::KeysApart,
        StoreError::Uncountable("tokens.hour".to_owned()),
    ] {
        let why = error.to_string();
        let (service, store) = remembering();
        let receipt = reserved(&service).await;
        *store.next.lock().unwrap() = Some(error);
        let refund = json!({ "receipt": receipt }).to_string();
        let (status, again, told) = read(handlers::refund(&service, refund.as_bytes()).await);
        assert_eq!(
            (status.as_u16(), again, &told["detail"]),
            (422, false, &json!(why))
        );
    }
    let (service, store) = remembering();
    *store.next.lock().unwrap() = Some(StoreError::KeysApart);
    let reset = handlers::reset(&service, br#"{"limit":"tokens","key":"ann"}"#).await;
    assert_eq!(read(reset).0.as_u16(), 422);
}

#[tokio::test]
async fn a_refusal_that_no_quota_had_a_part_in_is_told_in_words_of_its_own() {
    let cases = [
        (Reason::Policy, 429, "", "refused-by-policy"),
        (Reason::KeyTooLong, 422, "too long", "key-too-long"),
        (Reason::TooManyChecks, 422, "more quotas", "too-many-checks"),
        (Reason::KeysApart, 422, "several parts", "keys-apart"),
        (Reason::Uncountable, 422, "algorithm", "uncountable"),
        (Reason::StoreFull, 503, "no room", "store-full"),
        (Reason::StoreClosed, 503, "reached", "store-away"),
    ];
    for (reason, expected, words, word) in cases {
        let (service, _) = service(Failing {
            refuses: Some(reason),
            ..Failing::default()
        });
        let one = br#"{"limit":"tokens","key":"ann"}"#;
        let answered = decide(&service, Act::Check, one, Form::Whole).await;
        let (status, again, told) = read(answered);
        assert_eq!(
            (status.as_u16(), again),
            (expected, expected == 503),
            "{reason:?}"
        );
        let detail = told["detail"].as_str().unwrap_or_default();
        assert!(detail.contains(words), "{reason:?}: {detail}");
        let many = br#"{"requests":[{"limit":"tokens","key":"ann"}]}"#;
        let answered = decide(&service, Act::Check, many, Form::Whole).await;
        assert_eq!(read(answered).2["answers"][0]["reason"], word);
    }
}

/// Both ends of a connection to a service that remembers.
pub(super) async fn connected() -> (Rc<Worker>, TcpStream, Stream) {
    let (service, _) = remembering();
    let worker = Rc::new(Worker {
        service,
        envoy: None,
        dates: Dates::new(),
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap();
    let client = TcpSocket::new_v4().unwrap();
    // What it does not read stays with the service.
    client.set_recv_buffer_size(4 << 10).unwrap();
    let client = client.connect(to).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    (worker, client, Stream::Plain(stream))
}

/// A question of one unit, with these fields.
pub(super) fn question(fields: &str) -> String {
    let body = r#"{"limit":"tokens","key":"ann"}"#;
    format!(
        "POST /v1/check HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{fields}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// What a client reads that asks once, over a connection of a service that is told to stop before or after the answer.
async fn read_around_the_stop(before: bool) -> String {
    let (worker, mut client, stream) = connected().await;
    let (stop, signal) = watch::channel(false);
    let asks = async move {
        client.write_all(question("").as_bytes()).await.unwrap();
        let mut answer = vec![0; 16 << 10];
        let count = match before {
            true => 0,
            false => client.read(&mut answer).await.unwrap(),
        };
        answer.truncate(count);
        stop.send(true).unwrap();
        client.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    };
    // Less than a client has to ask again: nothing but the stop ends the connection.
    let limit = Duration::from_secs(5);
    let both = async { tokio::join!(asks, connection::serve(worker, stream, signal)).0 };
    timeout(limit, both).await.unwrap()
}

#[tokio::test]
async fn when_the_service_stops_what_was_asked_is_answered_and_who_asks_nothing_is_let_go() {
    let told = read_around_the_stop(true).await;
    assert!(told.starts_with("HTTP/1.1 200 OK\r\n"), "{told}");
    assert!(told.contains("\r\nconnection: close\r\n"), "{told}");
    let told = read_around_the_stop(false).await;
    assert!(told.starts_with("HTTP/1.1 200 OK\r\n"), "{told}");
    assert!(!told.contains("\r\nconnection:"), "{told}");
}
