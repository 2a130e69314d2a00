//! Asking a running gateway again and again: its stream of events, and beside it who calls.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{Method, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, watch};
use tokio::time::{interval, timeout};

use super::model::Update;
use super::plain::Plain;
use super::reading::{Event, Overview};
use crate::admin_client;
use crate::failure::Failure;

/// From one try to reach a gateway that is away to the next.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// From one question for the tables to the next: callers cost the gateway a query.
const TABLES_EVERY: Duration = Duration::from_secs(3);

/// From one overview to the next, where there is no place for a further stream.
const OVERVIEW_EVERY: Duration = Duration::from_secs(1);

/// A stream without an event for so long is lost: there is one each second.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// An event at most: some hundred routes with long patterns.
const EVENT_BYTES_MAX: usize = 4 << 20;

const CALLERS_ASKED: usize = 500;
const HEAVY_ASKED: usize = 100;

/// What the gateway says, or why it says nothing of that.
pub(super) type Answer = Result<String, String>;

/// Follows a gateway, as long as anybody takes the updates. `order` is that in which callers are asked for.
pub(super) async fn follow(
    data: &Path,
    order: watch::Receiver<&'static str>,
    updates: mpsc::Sender<Update>,
) {
    let asked = Asked::new(data);
    // Not tasks of their own: a panic in one would leave the screen to the other.
    tokio::select! {
        () = asked.traffic(&updates) => {}
        () = asked.tables(order, &updates) => {}
    }
}

/// A gateway, by its data directory.
pub(super) struct Asked {
    data: PathBuf,
}

impl Asked {
    pub(super) fn new(data: &Path) -> Self {
        Asked {
            data: data.to_owned(),
        }
    }

    /// Everything at this instant.
    pub(super) async fn overview(&self) -> Result<String, Failure> {
        let answer = self.ask("/monitor/overview").await?;
        answer.map_err(Failure::Failed)
    }

    pub(super) async fn callers(&self, order: &str) -> Result<Answer, Failure> {
        self.ask(&format!("/monitor/keys?sort={order}&limit={CALLERS_ASKED}"))
            .await
    }

    pub(super) async fn heavy(&self) -> Result<Answer, Failure> {
        self.ask(&format!("/monitor/heavy?limit={HEAVY_ASKED}"))
            .await
    }

    /// Reads an answer.
    pub(super) fn read<T: DeserializeOwned>(answer: &str) -> Result<T, Failure> {
        serde_json::from_str(answer)
            .map_err(|error| Failure::because("the gateway's answer cannot be read", &error))
    }

    /// Reads an answer for a table, which may be that there is none.
    pub(super) fn table<T: DeserializeOwned>(answer: &Answer) -> Result<Result<T, Plain>, Failure> {
        match answer {
            Ok(answer) => Self::read(answer).map(Ok),
            Err(why) => Ok(Err(Plain::new(why))),
        }
    }

    async fn ask(&self, target: &str) -> Result<Answer, Failure> {
        let (status, answer) = admin_client::fetch(&self.data, target).await?;
        Ok(match status.is_success() {
            true => Ok(answer),
            false => Err(answer.trim_end().to_owned()),
        })
    }

    async fn traffic(&self, updates: &mpsc::Sender<Update>) {
        loop {
            let Err(failure) = self.stream(updates).await;
            let why = Update::Away(Plain::new(failure.reason()));
            if updates.send(why).await.is_err() {
                return;
            }
            tokio::time::sleep(RETRY_EVERY).await;
        }
    }

    /// Follows until it breaks off.
    async fn stream(&self, updates: &mpsc::Sender<Update>) -> Result<Infallible, Failure> {
        let live = admin_client::open(&self.data, Method::GET, "/monitor/live", None);
        let live = timeout(SILENCE_MAX, live).await.map_err(|_| silent())??;
        if live.status() == StatusCode::SERVICE_UNAVAILABLE {
            return self.poll(updates).await;
        }
        let mut events = Events {
            stream: live,
            read: Vec::new(),
        };
        // The first event comes at once, and the overview in its place has the seconds before it too.
        events.next().await?;
        let overview: Overview = Self::read(&self.overview().await?)?;
        send(updates, Update::Overview(overview)).await?;
        loop {
            let event: Event = Self::read(&events.next().await?)?;
            send(updates, Update::Event(event)).await?;
        }
    }

    /// Follows without a stream.
    async fn poll(&self, updates: &mpsc::Sender<Update>) -> Result<Infallible, Failure> {
        let mut ticks = interval(OVERVIEW_EVERY);
        let overview: Overview = Self::read(&self.overview().await?)?;
        send(updates, Update::Overview(overview)).await?;
        loop {
            ticks.tick().await;
            let mut overview: Overview = Self::read(&self.overview().await?)?;
            let event = Event {
                now: overview.now,
                second: overview.seconds.pop(),
            };
            send(updates, Update::Event(event)).await?;
        }
    }

    /// Asks for the tables, and at once when another order is wanted. That the gateway is away is said by the traffic.
    async fn tables(
        &self,
        mut order: watch::Receiver<&'static str>,
        updates: &mpsc::Sender<Update>,
    ) {
        let mut ticks = interval(TABLES_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                changed = order.changed() => if changed.is_err() { return },
            }
            let wanted = *order.borrow_and_update();
            let callers = self
                .callers(wanted)
                .await
                .and_then(|callers| Self::table(&callers));
            let heavy = self.heavy().await.and_then(|heavy| Self::table(&heavy));
            let heard = [callers.map(Update::Callers), heavy.map(Update::Heavy)];
            for update in heard.into_iter().flatten() {
                if updates.send(update).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// The events of a stream.
struct Events {
    stream: Response<Incoming>,
    /// What has been read behind the last event.
    read: Vec<u8>,
}

impl Events {
    /// The data of the next one.
    async fn next(&mut self) -> Result<String, Failure> {
        loop {
            if let Some(end) = self.read.windows(2).position(|two| two == b"\n\n") {
                let event: Vec<u8> = self.read.drain(..end + 2).collect();
                let event = String::from_utf8_lossy(&event);
                let data = event.lines().filter_map(|line| line.strip_prefix("data: "));
                return Ok(data.collect());
            }
            if self.read.len() > EVENT_BYTES_MAX {
                return Err(Failure::Failed(
                    "an event of the gateway is too long".to_owned(),
                ));
            }
            let frame = timeout(SILENCE_MAX, self.stream.body_mut().frame()).await;
            let frame = frame.map_err(|_| silent())?.ok_or_else(ended)?;
            let frame = frame.map_err(|error| Failure::because("the gateway broke off", &error))?;
            if let Some(bytes) = frame.data_ref() {
                self.read.extend_from_slice(bytes);
            }
        }
    }
}

async fn send(updates: &mpsc::Sender<Update>, update: Update) -> Result<(), Failure> {
    // Nobody looks any more.
    updates.send(update).await.map_err(|_| ended())
}

fn silent() -> Failure {
    Failure::Failed("the gateway does not answer".to_owned())
}

fn ended() -> Failure {
    Failure::Failed("the gateway has ended the stream".to_owned())
}
