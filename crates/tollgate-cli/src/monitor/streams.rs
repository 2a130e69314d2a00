//! Streams of events (server-sent events), one each second: so many at a time, none slower than its reader, and none
//! that outlives the gateway.
//!
//! An event each second is a heartbeat too: a reader that hears nothing for some seconds has lost its stream.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::Response;
use http::header::{self, HeaderName, HeaderValue};
use serde::Serialize;
use tokio::sync::{mpsc, watch};
use tollgate_gateway::builtin::Pushed;

use super::Monitor;

/// Events that wait for a reader at most; one that is further behind is cut off.
const EVENTS_WAITING_MAX: usize = 8;

/// Where the events of a stream come from.
pub(crate) trait Source: Send + 'static {
    /// The next event; `None` ends the stream.
    fn event(&mut self) -> impl Future<Output = Option<Bytes>> + Send;
}

/// Places for streams: so many in all, and so many for one name.
pub(crate) struct Places {
    max: usize,
    per_name_max: usize,
    taken: Arc<Mutex<HashMap<String, usize>>>,
}

/// The place of one stream, free again when it is dropped.
pub(crate) struct Place {
    name: String,
    taken: Arc<Mutex<HashMap<String, usize>>>,
}

impl Places {
    pub(super) fn new(max: usize, per_name_max: usize) -> Self {
        Places {
            max,
            per_name_max,
            taken: Arc::default(),
        }
    }

    /// A place, unless all are taken, or all of this name's.
    pub(crate) fn take(&self, name: &str) -> Option<Place> {
        let mut taken = lock(&self.taken);
        let of_name = taken.get(name).copied().unwrap_or(0);
        if of_name >= self.per_name_max || taken.values().sum::<usize>() >= self.max {
            return None;
        }
        taken.insert(name.to_owned(), of_name + 1);
        Some(Place {
            name: name.to_owned(),
            taken: Arc::clone(&self.taken),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        if let Some(of_name) = taken.get_mut(&self.name) {
            *of_name -= 1;
            if *of_name == 0 {
                taken.remove(&self.name);
            }
        }
    }
}

fn lock(taken: &Mutex<HashMap<String, usize>>) -> MutexGuard<'_, HashMap<String, usize>> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The answer that streams a source's events, the first one at once.
pub(crate) fn stream(monitor: &Monitor, place: Place, source: impl Source) -> Response<Pushed> {
    let (sender, body) = Pushed::new(EVENTS_WAITING_MAX);
    let (ticks, mut stopping) = (monitor.ticks(), monitor.stopping());
    tokio::spawn(async move {
        tokio::select! {
            () = push(source, &sender, ticks) => {}
            () = sender.closed() => {}
            _ = stopping.wait_for(|stop| *stop) => {}
        }
        drop(place);
    });
    let mut response = Response::new(body);
    let fields = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // nginx would hold events back until it has a page of them.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    for (name, value) in fields {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}

/// Pushes an event, and one more after each tick. Ends when nobody takes them: waiting for a slow reader would hold what
/// is not news any more.
async fn push(
    mut source: impl Source,
    sender: &mpsc::Sender<Bytes>,
    mut ticks: watch::Receiver<()>,
) {
    ticks.mark_unchanged();
    while let Some(event) = source.event().await {
        if sender.try_send(event).is_err() || ticks.changed().await.is_err() {
            return;
        }
    }
}

/// An event with this JSON as its data.
pub(crate) fn json_event(data: &impl Serialize) -> Bytes {
    // What is shown has only texts for keys, so it can be written.
    let data = serde_json::to_string(data).unwrap_or_default();
    format!("data: {data}\n\n").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Numbers(u64);

    impl Source for Numbers {
        async fn event(&mut self) -> Option<Bytes> {
            self.0 += 1;
            (self.0 <= 100).then(|| json_event(&self.0))
        }
    }

    #[tokio::test]
    async fn a_reader_that_is_too_far_behind_is_cut_off_and_another_goes_on() {
        let ticks = watch::Sender::new(());
        let [(slow, mut slow_body), (quick, mut quick_body)] =
            [(); 2].map(|()| mpsc::channel(EVENTS_WAITING_MAX));
        let start = |sender: mpsc::Sender<Bytes>| {
            let ticks = ticks.subscribe();
            tokio::spawn(async move { push(Numbers(0), &sender, ticks).await })
        };
        let (slow, quick) = (start(slow), start(quick));
        for number in 1..=20_u64 {
            let event = quick_body.recv().await.unwrap();
            assert_eq!(event, format!("data: {number}\n\n"));
            ticks.send_modify(|()| {});
        }
        slow.await.unwrap();
        let mut behind = 0;
        while slow_body.recv().await.is_some() {
            behind += 1;
        }
        assert_eq!(
            behind, EVENTS_WAITING_MAX,
            "what waited is still there to be read"
        );
        assert!(!quick.is_finished());
        quick.abort();
    }

    #[test]
    fn places_are_bounded_in_all_and_for_each_name_and_come_back() {
        let places = Places::new(3, 2);
        let first = places.take("ann").unwrap();
        let _second = places.take("ann").unwrap();
        assert!(places.take("ann").is_none());
        let _bobs = places.take("bob").unwrap();
        assert!(places.take("eve").is_none(), "all are taken");
        drop(first);
        assert!(places.take("eve").is_some());
        assert_eq!(lock(&places.taken).len(), 2, "who has left is forgotten");
    }
}
