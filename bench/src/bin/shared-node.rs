//! One node of several on a shared store, as `bench/shared.py` starts it: asks for a while, and prints what came of it as
//! one line of JSON.
//!
//! `shared-node hammer URL QUOTA LEASE SECONDS OFFSET_MS RATE DEADLINE_MS` asks for one key, RATE times a second, or for 0 as fast as
//! it can, with a clock that is OFFSET_MS ahead. `shared-node script URL WHAT SECONDS` asks for a thousand keys, as fast as
//! it can, by our script (`one`, `two` policies in a call, `twice` one after the other) or by a minimal `gcra`.

use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use serde_json::{Value, json};
use tollgate::{Check, Checks, Clock, Lease, Micros, Policy, Quota, Store, SystemClock};
use tollgate_redis::{RedisStore, Settings};

/// Decisions under way at a time: what shares a connection shares its writes.
const TASKS: usize = 32;
const KEYS: usize = 1_000;
/// Waits are counted by the microsecond up to this.
const WAIT_MICROS_MAX: usize = 200_000;
/// Two cores do the work of five machines here: a call may take long and is no failure.
const PATIENT_MS: u64 = 2_000;
const PACE: Duration = Duration::from_millis(1);

/// What people write: the server's clock, one number, one answer.
const GCRA: &str = "local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local tat = tonumber(redis.call('GET', KEYS[1]) or now)
if tat < now then tat = now end
local new = tat + tonumber(ARGV[1])
local ahead = new - now
if ahead > tonumber(ARGV[2]) then return {0, ahead - tonumber(ARGV[2])} end
redis.call('SET', KEYS[1], string.format('%.0f', new), 'PX', math.ceil(ahead / 1000))
return {1, 0}";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
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
            eprintln!("shared-node: {error}");
            ExitCode::from(2)
        }
    }
}

async fn run(arguments: &[&str]) -> Result<Value, String> {
    match arguments {
        [
            "hammer",
            url,
            quota,
            lease,
            seconds,
            offset_ms,
            rate,
            deadline_ms,
        ] => {
            let lease = match *lease {
                "off" => Lease::Off,
                "auto" => Lease::Auto,
                units => Lease::Units(number(units)?),
            };
            let policy = policy("p", quota)?.with_lease(lease);
            let node = Node {
                store: connect(url, number(deadline_ms)?).await?,
                policy: Arc::new(policy),
                offset_ms: number(offset_ms)?,
                until: SystemClock::new().now() + Duration::from_secs(number(seconds)?),
                rate: number(rate)?,
            };
            node.hammer().await
        }
        ["script", url, "gcra", seconds] => gcra(url, number(seconds)?).await,
        ["script", url, what, seconds] => script(url, what, number(seconds)?).await,
        _ => Err("see bench/shared.py, which starts it".to_owned()),
    }
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is not a number that fits"))
}

fn policy(name: &str, quota: &str) -> Result<Policy, String> {
    let quota: Quota = quota.parse().map_err(said)?;
    Policy::new(name, quota).map_err(said)
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

async fn connect(url: &str, deadline_ms: u64) -> Result<RedisStore, String> {
    let location = url.parse().map_err(said)?;
    let mut settings = Settings::default();
    settings.deadline = Duration::from_millis(deadline_ms);
    RedisStore::connect(location, settings).await.map_err(said)
}

fn calls(store: &RedisStore) -> u64 {
    store.stats().round_trips().iter().sum()
}

struct Node {
    store: RedisStore,
    policy: Arc<Policy>,
    offset_ms: i64,
    until: Micros,
    rate: u64,
}

/// What came of one task's requests.
struct Seen {
    asked: u64,
    admitted: u64,
    degraded: u64,
    first: Option<Micros>,
    last: Micros,
    waits: Vec<u32>,
}

impl Node {
    async fn hammer(self) -> Result<Value, String> {
        let node = Arc::new(self);
        let counted = Arc::clone(&node);
        let first_second = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            calls(&counted.store)
        });
        let permits = Arc::new(AtomicU64::new(0));
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| tokio::spawn(Arc::clone(&node).ask(Arc::clone(&permits))))
            .collect();
        if node.rate > 0 {
            let mut ticks = tokio::time::interval(PACE);
            let (mut owed, clock) = (0, SystemClock::new());
            while clock.now() < node.until {
                ticks.tick().await;
                owed += node.rate;
                permits.fetch_add(owed / 1_000, Ordering::Relaxed);
                owed %= 1_000;
            }
        }
        let mut waits = vec![0_u64; WAIT_MICROS_MAX + 1];
        let (mut asked, mut admitted, mut degraded) = (0, 0, 0);
        let (mut first, mut last) = (None::<Micros>, Micros(0));
        for task in tasks {
            let seen = task.await.map_err(said)?;
            asked += seen.asked;
            admitted += seen.admitted;
            degraded += seen.degraded;
            first = first.into_iter().chain(seen.first).min();
            last = last.max(seen.last);
            for wait in seen.waits {
                waits[wait as usize] += 1;
            }
        }
        let calls_of_first_second = first_second.await.map_err(said)?;
        let near = node.store.near_stats();
        Ok(json!({
            "asked": asked, "admitted": admitted, "degraded": degraded, "calls": calls(&node.store),
            "calls_of_first_second": calls_of_first_second,
            "first_us": first.map(|at| at.0), "last_us": last.0,
            "p50_us": percentile(&waits, 0.5), "p999_us": percentile(&waits, 0.999), "max_us": percentile(&waits, 1.0),
            "paid": near.paid(), "remembered": near.remembered(), "leased": near.leased(), "returned": near.returned(),
        }))
    }

    async fn ask(self: Arc<Self>, permits: Arc<AtomicU64>) -> Seen {
        let clock = SystemClock::new();
        let mut seen = Seen {
            asked: 0,
            admitted: 0,
            degraded: 0,
            first: None,
            last: Micros(0),
            waits: Vec::new(),
        };
        loop {
            let began = clock.now();
            if began >= self.until {
                return seen;
            }
            let take = |left: u64| left.checked_sub(1);
            if self.rate > 0
                && permits
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
                    .is_err()
            {
                tokio::time::sleep(PACE).await;
                continue;
            }
            let told = Micros(began.0.saturating_add_signed(self.offset_ms * 1_000));
            let decision = decide(&self.store, &[&self.policy], b"hot", told).await;
            let now = clock.now();
            seen.asked += 1;
            if decision.is_allowed() {
                seen.admitted += 1;
                seen.first.get_or_insert(began);
                seen.last = now;
            }
            seen.degraded += u64::from(decision.is_degraded());
            let micros = now.since(began).as_micros().min(WAIT_MICROS_MAX as u128);
            seen.waits.push(micros as u32);
            // What is answered here lets nobody else run.
            if seen.asked.is_multiple_of(64) {
                tokio::task::yield_now().await;
            }
        }
    }
}

async fn decide(
    store: &RedisStore,
    policies: &[&Arc<Policy>],
    key: &[u8],
    now: Micros,
) -> tollgate::Decision {
    let mut checks = Checks::new();
    for policy in policies {
        // They are few and have names of their own.
        let _ = checks.push(Check {
            policy,
            key,
            cost: 1,
        });
    }
    store.decide(&checks, now).await
}

/// The smallest wait that so many waits are not above.
fn percentile(waits: &[u64], part: f64) -> usize {
    let wanted = (waits.iter().sum::<u64>() as f64 * part).ceil() as u64;
    let mut sum = 0;
    let found = waits.iter().position(|count| {
        sum += count;
        sum >= wanted
    });
    found.unwrap_or(WAIT_MICROS_MAX)
}

async fn script(url: &str, what: &str, seconds: u64) -> Result<Value, String> {
    let store = connect(url, PATIENT_MS).await?;
    let quota = "1000000 per second burst 1000000 token-bucket";
    let policies = [Arc::new(policy("a", quota)?), Arc::new(policy("b", quota)?)];
    let (a, b) = (policies[0].clone(), policies[1].clone());
    let groups: Vec<Vec<Arc<Policy>>> = match what {
        "one" => vec![vec![a]],
        "two" => vec![vec![a, b]],
        "twice" => vec![vec![a], vec![b]],
        _ => return Err(format!("`{what}` is none of one, two, twice, gcra")),
    };
    let until = SystemClock::new().now() + Duration::from_secs(seconds);
    let mut tasks = Vec::new();
    for task in 0..TASKS {
        let (store, groups) = (store.clone(), groups.clone());
        tasks.push(tokio::spawn(async move {
            let (clock, mut done) = (SystemClock::new(), 0_u64);
            while clock.now() < until {
                let key = ((task * 7_919 + done as usize) % KEYS).to_string();
                for policies in &groups {
                    let policies: Vec<&Arc<Policy>> = policies.iter().collect();
                    let decision = decide(&store, &policies, key.as_bytes(), clock.now()).await;
                    if !decision.is_allowed() || decision.is_degraded() {
                        return Err(format!("{decision:?}"));
                    }
                }
                done += 1;
            }
            Ok(done)
        }));
    }
    sum(tasks).await
}

async fn gcra(url: &str, seconds: u64) -> Result<Value, String> {
    let client = redis::Client::open(url).map_err(said)?;
    let connection = client
        .get_multiplexed_async_connection()
        .await
        .map_err(said)?;
    let mut loader = connection.clone();
    let sha: String = redis::cmd("SCRIPT")
        .arg("LOAD")
        .arg(GCRA)
        .query_async(&mut loader)
        .await
        .map_err(said)?;
    let sha: Arc<str> = sha.into();
    let until = SystemClock::new().now() + Duration::from_secs(seconds);
    let mut tasks = Vec::new();
    for task in 0..TASKS {
        let (mut connection, sha) = (connection.clone(), Arc::clone(&sha));
        tasks.push(tokio::spawn(async move {
            let (clock, mut done) = (SystemClock::new(), 0_u64);
            while clock.now() < until {
                let key = format!("gcra:{}", (task * 7_919 + done as usize) % KEYS);
                gcra_once(&mut connection, &sha, &key).await?;
                done += 1;
            }
            Ok(done)
        }));
    }
    sum(tasks).await
}

async fn gcra_once(
    connection: &mut MultiplexedConnection,
    sha: &str,
    key: &str,
) -> Result<(), String> {
    let call = redis::cmd("EVALSHA")
        .arg(sha)
        .arg(1)
        .arg(key)
        .arg(1)
        .arg(1_000_000)
        .to_owned();
    let answer: Result<(u64, u64), _> = call.query_async(connection).await;
    match answer.map_err(said)? {
        (1, _) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

async fn sum(tasks: Vec<tokio::task::JoinHandle<Result<u64, String>>>) -> Result<Value, String> {
    let mut decisions = 0;
    for task in tasks {
        decisions += task.await.map_err(said)??;
    }
    Ok(json!({ "decisions": decisions }))
}
