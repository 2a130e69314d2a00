//! A call whose answer is still heard when nobody waits for it any more: it came too late, or whoever asked has gone.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use redis::Value;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::Asked;
use crate::error::LinkError;

/// Late answers that are awaited at a time. Further ones are not heard.
pub(super) const LATE_MAX: usize = 1_024;
/// How long an answer is awaited that nobody waits for any more.
const LATE_FOR: Duration = Duration::from_secs(10);

type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What is done about a late answer.
pub(crate) type Late = Box<dyn FnOnce(Value) -> Pending<()> + Send>;

/// A call on its way. Dropped before its answer is there, it goes on by itself.
pub(super) struct SeenThrough {
    call: Option<Pending<Result<Value, LinkError>>>,
    asked: Arc<Asked>,
    late: Option<Late>,
    runtime: Handle,
    places: Arc<Semaphore>,
}

impl SeenThrough {
    pub(super) fn new(
        call: Pending<Result<Value, LinkError>>,
        asked: Arc<Asked>,
        late: Late,
        runtime: Handle,
        places: Arc<Semaphore>,
    ) -> Self {
        SeenThrough {
            call: Some(call),
            asked,
            late: Some(late),
            runtime,
            places,
        }
    }
}

impl Future for SeenThrough {
    type Output = Result<Value, LinkError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(call) = &mut self.call else {
            return Poll::Pending;
        };
        let polled = call.as_mut().poll(context);
        if polled.is_ready() {
            self.call = None;
        }
        polled
    }
}

impl Drop for SeenThrough {
    fn drop(&mut self) {
        // What no server has been sent is not sent any more.
        if !self.asked.is_sent() {
            return;
        }
        let (Some(call), Some(late)) = (self.call.take(), self.late.take()) else {
            return;
        };
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return;
        };
        self.runtime.spawn(async move {
            if let Ok(Ok(answer)) = timeout(LATE_FOR, call).await {
                late(answer).await;
            }
            drop(place);
        });
    }
}
