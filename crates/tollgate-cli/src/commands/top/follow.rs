//! Asking a running gateway again and again: its stream of events, and beside it who calls.

use std::convert::Infallible;
use std::path::Path;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};

use super::asked::Asked;
use super::model::Update;
use super::reading::{Event, Overview};
use crate::failure::Failure;
use crate::plain::Plain;

/// From one try to reach a gateway that is away to the next.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// From one question for the tables to the next: callers cost the gateway a query.
const TABLES_EVERY: Duration = Duration::from_secs(3);

/// From one overview to the next, where there is no place for a further stream.
const OVERVIEW_EVERY: Duration = Duration::from_secs(1);

/// Follows a gateway, as long as anybody takes the updates. `order` is that in which callers are asked for.
pub(super) async fn follow(
    data: &Path,
    order: watch::Receiver<&'static str>,
    updates: mpsc::Sender<Update>,
) {
    let asked = Asked::new(data);
    // Not tasks of their own: a panic in one would leave the screen to the other.
    tokio::select! {
        () = traffic(&asked, &updates) => {}
        () = tables(&asked, order, &updates) => {}
    }
}

async fn traffic(asked: &Asked, updates: &mpsc::Sender<Update>) {
    loop {
        let Err(failure) = stream(asked, updates).await;
        let why = Update::Away(Plain::new(failure.reason()));
        if updates.send(why).await.is_err() {
            return;
        }
        tokio::time::sleep(RETRY_EVERY).await;
    }
}

/// Follows until it breaks off.
async fn stream(asked: &Asked, updates: &mpsc::Sender<Update>) -> Result<Infallible, Failure> {
    let Some(mut events) = asked.live().await? else {
        return poll(asked, updates).await;
    };
    // The first event comes at once, and the overview in its place has the seconds before it too.
    events.next().await?;
    let overview: Overview = Asked::read(&asked.overview().await?)?;
    send(updates, Update::Overview(overview)).await?;
    loop {
        let event: Event = Asked::read(&events.next().await?)?;
        send(updates, Update::Event(event)).await?;
    }
}

/// Follows without a stream.
async fn poll(asked: &Asked, updates: &mpsc::Sender<Update>) -> Result<Infallible, Failure> {
    let mut ticks = interval(OVERVIEW_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let overview: Overview = Asked::read(&asked.overview().await?)?;
    send(updates, Update::Overview(overview)).await?;
    loop {
        ticks.tick().await;
        let mut overview: Overview = Asked::read(&asked.overview().await?)?;
        let event = Event {
            now: overview.now,
            second: overview.seconds.pop(),
        };
        send(updates, Update::Event(event)).await?;
    }
}

/// Asks for the tables, and at once when another order is wanted. That the gateway is away is said by the traffic.
async fn tables(
    asked: &Asked,
    mut order: watch::Receiver<&'static str>,
    updates: &mpsc::Sender<Update>,
) {
    let mut ticks = interval(TABLES_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            changed = order.changed() => if changed.is_err() { return },
        }
        let wanted = *order.borrow_and_update();
        let callers = asked.callers(wanted).await;
        if let Ok(callers) = callers.and_then(|callers| Asked::table(&callers))
            && updates.send(Update::Callers(callers)).await.is_err()
        {
            return;
        }
        // Behind the callers, since it may wait for names.
        let heavy = asked.heavy().await;
        if let Ok(heavy) = heavy.and_then(|heavy| Asked::table(&heavy))
            && updates.send(Update::Heavy(heavy)).await.is_err()
        {
            return;
        }
    }
}

async fn send(updates: &mpsc::Sender<Update>, update: Update) -> Result<(), Failure> {
    let sent = updates.send(update).await;
    sent.map_err(|_| Failure::Failed("nobody looks any more".to_owned()))
}
