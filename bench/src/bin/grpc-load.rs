//! Load over gRPC, as `bench/service.py` starts it: 8 connections of 16 streams each, 1,000 keys in turn. Prints one line
//! of JSON; an answer that does not let the request pass ends it.
//!
//! `grpc-load ADDRESS WHAT SECONDS RATE` asks as Envoy does (`rls`) or as throttlecrab's clients do (`throttlecrab`): RATE
//! times a second, each wait counted from the instant at which its request was due; or, for 0, each stream as soon as it
//! has been answered.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use h2::client::SendRequest;
use http::Request;
use prost::Message;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tollgate_bench::rls;

const CONNECTIONS: usize = 8;
const STREAMS: usize = 16;
const KEYS: usize = 1_000;
/// So many times a second requests become due.
const TICKS_PER_S: u32 = 4_000;

/// As throttlecrab's `proto/throttlecrab.proto` has it.
#[derive(Clone, PartialEq, Message)]
struct Throttle {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(int32, tag = "2")]
    max_burst: i32,
    #[prost(int32, tag = "3")]
    count_per_period: i32,
    #[prost(int32, tag = "4")]
    period: i32,
    #[prost(int32, tag = "5")]
    quantity: i32,
}

/// What is asked: a path and a message for each key. The first field of either answer is 1 where the request passes.
struct Questions {
    uri: String,
    messages: Vec<Bytes>,
    next: AtomicUsize,
}

impl Questions {
    fn new(address: &str, what: &str) -> Result<Self, String> {
        let (method, messages): (&str, Vec<Bytes>) = match what {
            "rls" => {
                let message = |key| framed(&rls::question(key));
                (rls::METHOD, (0..KEYS).map(message).collect())
            }
            "throttlecrab" => {
                let message = |key| {
                    framed(&Throttle {
                        key: format!("user-{key}"),
                        max_burst: 1_000_000,
                        count_per_period: 1_000_000,
                        period: 1,
                        quantity: 1,
                    })
                };
                let method = "/throttlecrab.RateLimiter/Throttle";
                (method, (0..KEYS).map(message).collect())
            }
            _ => return Err(format!("`{what}` is neither rls nor throttlecrab")),
        };
        Ok(Questions {
            uri: format!("http://{address}{method}"),
            messages,
            next: AtomicUsize::new(0),
        })
    }

    fn next(&self) -> Bytes {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        self.messages[turn % self.messages.len()].clone()
    }
}

/// A message as gRPC sends it: not compressed, and its length.
fn framed(message: &impl Message) -> Bytes {
    let body = message.encode_to_vec();
    let mut framed = BytesMut::with_capacity(body.len() + 5);
    framed.put_u8(0);
    framed.put_u32(body.len() as u32);
    framed.put_slice(&body);
    framed.freeze()
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(run(&arguments)),
        Err(error) => Err(error.to_string()),
    };
    match done {
        Ok(found) => {
            println!("{found}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("grpc-load: {error}");
            ExitCode::from(2)
        }
    }
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

async fn run(arguments: &[String]) -> Result<Value, String> {
    let [address, what, seconds, rate] = arguments else {
        return Err("see bench/service.py, which starts it".to_owned());
    };
    let questions = Arc::new(Questions::new(address, what)?);
    let seconds = Duration::from_secs(seconds.parse().map_err(said)?);
    let rate: u64 = rate.parse().map_err(said)?;
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(connect(address).await?);
    }
    let began = Instant::now();
    let mut waits = match rate {
        0 => closed(connections, questions, began + seconds).await?,
        rate => open(connections, questions, began + seconds, rate).await?,
    };
    let took = began.elapsed();
    waits.sort_unstable();
    let percentile = |part: f64| {
        let place = (waits.len() as f64 * part).ceil() as usize;
        waits.get(place.saturating_sub(1)).copied().unwrap_or(0)
    };
    Ok(json!({
        "requests": waits.len(), "per_s": (waits.len() as f64 / took.as_secs_f64()).round(),
        "p50_us": percentile(0.5), "p99_us": percentile(0.99), "p999_us": percentile(0.999),
        "max_us": percentile(1.0),
    }))
}

async fn connect(address: &str) -> Result<SendRequest<Bytes>, String> {
    let stream = TcpStream::connect(address).await.map_err(said)?;
    stream.set_nodelay(true).map_err(said)?;
    let (client, connection) = h2::client::handshake(stream).await.map_err(said)?;
    tokio::spawn(async move {
        // Whoever waits on it is told why it ended.
        let _ = connection.await;
    });
    Ok(client)
}

/// Every stream asks again as soon as it has its answer.
async fn closed(
    connections: Vec<SendRequest<Bytes>>,
    questions: Arc<Questions>,
    until: Instant,
) -> Result<Vec<u32>, String> {
    let mut tasks = Vec::new();
    for connection in connections {
        for _ in 0..STREAMS {
            let (connection, questions) = (connection.clone(), Arc::clone(&questions));
            tasks.push(tokio::spawn(async move {
                let mut waits = Vec::new();
                loop {
                    let began = Instant::now();
                    if began >= until {
                        return Ok(waits);
                    }
                    ask(connection.clone(), &questions).await?;
                    waits.push(micros(began));
                }
            }));
        }
    }
    gather(tasks).await
}

/// So many requests a second, whether earlier ones have been answered or not.
async fn open(
    connections: Vec<SendRequest<Bytes>>,
    questions: Arc<Questions>,
    until: Instant,
    rate: u64,
) -> Result<Vec<u32>, String> {
    let mut ticks = ticks(until);
    let (mut owed, mut asked, mut tasks) = (0, 0, Vec::new());
    while let Some(due) = ticks.recv().await {
        owed += rate;
        for _ in 0..owed / u64::from(TICKS_PER_S) {
            let connection = connections[asked % connections.len()].clone();
            let questions = Arc::clone(&questions);
            asked += 1;
            tasks.push(tokio::spawn(async move {
                ask(connection, &questions).await?;
                Ok(vec![micros(due)])
            }));
        }
        owed %= u64::from(TICKS_PER_S);
    }
    gather(tasks).await
}

/// The instants at which requests are due, as they come. A thread of its own sleeps in between: the runtime's timers are
/// of a millisecond, and a wait would begin with what they are late.
fn ticks(until: Instant) -> mpsc::UnboundedReceiver<Instant> {
    let (sender, ticks) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let mut due = Instant::now();
        while due < until && sender.send(due).is_ok() {
            due += Duration::from_secs(1) / TICKS_PER_S;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    });
    ticks
}

fn micros(since: Instant) -> u32 {
    u32::try_from(since.elapsed().as_micros()).unwrap_or(u32::MAX)
}

async fn gather(
    tasks: Vec<tokio::task::JoinHandle<Result<Vec<u32>, String>>>,
) -> Result<Vec<u32>, String> {
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.map_err(said)??);
    }
    Ok(all)
}

/// Asks once; a request that may not pass is an error.
async fn ask(connection: SendRequest<Bytes>, questions: &Questions) -> Result<(), String> {
    let request = Request::post(&questions.uri)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .map_err(said)?;
    let mut connection = connection.ready().await.map_err(said)?;
    let (response, mut stream) = connection.send_request(request, false).map_err(said)?;
    stream.send_data(questions.next(), true).map_err(said)?;
    let mut body = response.await.map_err(said)?.into_body();
    let mut message = BytesMut::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk.map_err(said)?;
        // The bytes of a chunk are within the window that was given.
        let _ = body.flow_control().release_capacity(chunk.len());
        message.extend_from_slice(&chunk);
    }
    let trailers = body.trailers().await.map_err(said)?;
    let status = trailers.as_ref().and_then(|all| all.get("grpc-status"));
    // Behind five bytes of frame, field 1 as a number.
    match (status.map(|status| status.as_bytes()), message.get(5..7)) {
        (Some(b"0"), Some([0x08, 1])) => Ok(()),
        (status, _) => Err(format!("status {status:?}, answer {message:?}")),
    }
}
