//! Slots on their way back to a shared store: a few at a time, so that however many are given back at once, the store is
//! not asked more than it can answer in time.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::Notify;

/// Requests whose slots wait to be given back, far more than there are connections. Those of further ones come back when
/// their time is up.
pub(crate) const WAITING_MAX: usize = 65_536;
/// That are given back at a time.
pub(crate) const AT_ONCE: usize = 8;

/// One request's slots, given back when this has been awaited.
type Return = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What is on its way, and what waits for that.
#[derive(Default)]
pub(crate) struct Returning {
    queue: Mutex<Queue>,
    all_arrived: Notify,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Return>,
    under_way: usize,
}

impl Returning {
    /// Gives back as soon as fewer than [`AT_ONCE`] others are under way, on `runtime`.
    pub(crate) fn push(self: &Arc<Self>, back: Return, runtime: &Handle) {
        let mut queue = self.queue();
        if queue.waiting.len() == WAITING_MAX {
            return;
        }
        queue.waiting.push_back(back);
        if queue.under_way < AT_ONCE {
            queue.under_way += 1;
            drop(queue);
            let returning = Arc::clone(self);
            runtime.spawn(async move {
                while let Some(next) = returning.next() {
                    next.await;
                }
            });
        }
    }

    /// Waits until everything has arrived.
    pub(crate) async fn arrived(&self) {
        loop {
            let all_arrived = self.all_arrived.notified();
            tokio::pin!(all_arrived);
            all_arrived.as_mut().enable();
            if self.count() == 0 {
                return;
            }
            all_arrived.await;
        }
    }

    /// Of how many requests slots are on their way, or wait.
    pub(crate) fn count(&self) -> usize {
        let queue = self.queue();
        queue.waiting.len() + queue.under_way
    }

    fn next(&self) -> Option<Return> {
        let mut queue = self.queue();
        let next = queue.waiting.pop_front();
        if next.is_none() {
            queue.under_way -= 1;
            if queue.under_way == 0 {
                self.all_arrived.notify_waiters();
            }
        }
        next
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
