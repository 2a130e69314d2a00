//! A call whose answer is still heard when nobody waits for it any more: it came too late, or whoever asked has gone.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use redis::Value;
use tokio::time::timeout;
use tollgate::Micros;

use super::{Asked, Link};
use crate::error::LinkError;

/// Calls at a time that are seen through when nobody waits for them. Further ones are not heard.
pub(super) const LATE_MAX: usize = 1_024;
/// How long an answer is awaited that nobody waits for any more, but for what it may have taken.
const LATE_FOR: Duration = Duration::from_secs(10);

type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What is done about a late answer.
pub(crate) type Late = Box<dyn FnOnce(Value) -> Pending<()> + Send>;

/// A call on its way. Dropped before its answer is there, it goes on by itself: until its deadline, so that the link
/// learns how it ends, and longer where something is done about a late answer.
pub(super) struct SeenThrough {
    link: Link,
    /// `None` once it is answered.
    call: Option<Pending<Result<Value, LinkError>>>,
    asked: Arc<Asked>,
    began: Micros,
    /// Whether the link knows how it ended.
    is_heard: bool,
    late: Option<Late>,
}

impl SeenThrough {
    pub(super) fn new(
        link: &Link,
        call: Pending<Result<Value, LinkError>>,
        asked: Arc<Asked>,
        late: Option<Late>,
    ) -> Self {
        SeenThrough {
            link: link.clone(),
            call: Some(call),
            asked,
            began: link.now(),
            is_heard: false,
            late,
        }
    }

    /// The answer, if it comes within the deadline.
    pub(super) async fn answer(mut self) -> Result<Value, LinkError> {
        let called = timeout(self.link.deadline(), &mut self).await;
        self.is_heard = true;
        self.link.heard(&self.asked, self.began, called.ok())
    }
}

impl Future for SeenThrough {
    type Output = Result<Value, LinkError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let SeenThrough { link, call, .. } = &mut *self;
        // Its timers are those of the runtime that it may go on with.
        let _within = link.0.common.runtime.enter();
        let Some(pending) = call else {
            return Poll::Pending;
        };
        let polled = pending.as_mut().poll(context);
        if polled.is_ready() {
            *call = None;
        }
        polled
    }
}

impl Drop for SeenThrough {
    fn drop(&mut self) {
        let (Some(call), late) = (self.call.take(), self.late.take()) else {
            return;
        };
        // What no server has been sent is not sent any more.
        if !self.asked.is_sent() || self.is_heard && late.is_none() {
            return;
        }
        let Ok(place) = Arc::clone(&self.link.0.late).try_acquire_owned() else {
            return;
        };
        let (link, asked) = (self.link.clone(), Arc::clone(&self.asked));
        let began = (!self.is_heard).then_some(self.began);
        self.link.beside(async move {
            see_through(link, call, asked, began, late).await;
            drop(place);
        });
    }
}

/// What is left to be done about a call that nobody waits for. The link still has to hear of one that `began` is said of.
async fn see_through(
    link: Link,
    mut call: Pending<Result<Value, LinkError>>,
    asked: Arc<Asked>,
    began: Option<Micros>,
    late: Option<Late>,
) {
    if let Some(began) = began {
        let left = link.deadline().saturating_sub(link.now().since(began));
        let called = timeout(left, &mut call).await.ok();
        let has_ended = called.is_some();
        let answer = link.heard(&asked, began, called);
        if has_ended {
            if let (Ok(answer), Some(late)) = (answer, late) {
                late(answer).await;
            }
            return;
        }
    }
    if let Some(late) = late
        && let Ok(Ok(answer)) = timeout(LATE_FOR, call).await
    {
        late(answer).await;
    }
}
