//! The link on real servers, each of them the test's own. What takes time takes it from the servers: bounds here only tell
//! an answer from a hang.

mod away;
mod basics;
mod cluster;
mod garbage;
mod refused;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tollgate_testkit::redis::{RedisEngine, RedisOptions, RedisServer};

use super::*;

/// Within which something that takes a server a moment has happened; far from it on a machine that is idle.
const SOON: Duration = Duration::from_secs(180);

/// A deadline that only a server that does not answer misses, also on a machine that is busy.
fn patient() -> Settings {
    Settings {
        deadline: Duration::from_secs(20),
        connect_timeout: Duration::from_secs(5),
        ..Settings::default()
    }
}

/// One that is missed soon, and by nobody who is answered.
fn impatient() -> Settings {
    Settings {
        deadline: Duration::from_secs(1),
        ..patient()
    }
}

async fn linked(url: &str, settings: Settings) -> Link {
    Link::connect(url.parse().unwrap(), settings).await.unwrap()
}

async fn refused(url: &str) -> LinkError {
    match Link::connect(url.parse().unwrap(), patient()).await {
        Ok(_) => panic!("connected"),
        Err(error) => error,
    }
}

fn add() -> Script {
    Script::new("return redis.call('INCRBY', KEYS[1], ARGV[1])")
}

impl Link {
    /// Adds one to `key`, and tells what it is then.
    async fn add(&self, key: &str) -> Result<i64, LinkError> {
        let (keys, arguments) = (vec![key.into()], vec![b"1".to_vec()]);
        match self.call(&add(), keys, arguments).await? {
            Value::Int(sum) => Ok(sum),
            other => panic!("{other:?}"),
        }
    }
}

/// Waits for the connections that come after the first, which is all that [`linked`] waits for.
async fn all_connected(link: &Link) {
    let wanted = Settings::default().connections as u64;
    until("all connections are there", || async {
        link.stats().connections() == wanted
    })
    .await;
}

/// Waits until `holds`, looking again and again.
async fn until<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    let looked = timeout(SOON, async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(looked.await.is_ok(), "waited in vain: {what}");
}

/// Calls that go on until they are told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    good: Arc<AtomicU64>,
    tasks: Vec<tokio::task::JoinHandle<Vec<LinkError>>>,
}

impl Load {
    fn new(link: &Link, keys: &[&str]) -> Self {
        let (stop, good) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let run = |key: &&str| {
            let (link, key) = (link.clone(), (*key).to_owned());
            let (stop, good) = (Arc::clone(&stop), Arc::clone(&good));
            tokio::spawn(async move {
                let mut errors = Vec::new();
                while !stop.load(Ordering::Acquire) {
                    match link.add(&key).await {
                        Ok(_) => drop(good.fetch_add(1, Ordering::AcqRel)),
                        Err(error) => {
                            errors.push(error);
                            tokio::time::sleep(Duration::from_millis(1)).await;
                        }
                    }
                }
                errors
            })
        };
        let tasks = keys.iter().map(run).collect();
        Load { stop, good, tasks }
    }

    fn good(&self) -> u64 {
        self.good.load(Ordering::Acquire)
    }

    /// Waits for so many more good calls.
    async fn more(&self, calls: u64) {
        let goal = self.good() + calls;
        until("calls go on", || async { self.good() >= goal }).await;
    }

    /// Ends it; what failed meanwhile.
    async fn end(self) -> Vec<LinkError> {
        self.stop.store(true, Ordering::Release);
        let mut errors = Vec::new();
        for task in self.tasks {
            errors.extend(task.await.unwrap());
        }
        errors
    }
}
