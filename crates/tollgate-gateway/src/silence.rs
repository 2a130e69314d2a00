//! The end of a wait for the other side.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// Ends waits that last too long.
///
/// Waits begin with every request and hardly ever last. So the timer stays as it is when one begins, and is set anew
/// only when it fires too early.
pub struct Silence {
    timeout: Duration,
    /// When the present wait ends, if one has begun.
    deadline: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Silence {
    /// Waits may last so long.
    pub fn new(timeout: Duration) -> Self {
        Silence {
            timeout,
            deadline: None,
            timer: None,
        }
    }

    /// Something came through: the next wait is a new one.
    pub fn is_over(&mut self) {
        self.deadline = None;
    }

    /// Ready when the present wait has lasted too long. The first call begins it.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let deadline = *self
            .deadline
            .get_or_insert_with(|| Instant::now() + self.timeout);
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        while timer.as_mut().poll(context).is_ready() {
            if timer.deadline() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test]
    async fn a_wait_lasts_its_time_from_its_own_beginning() {
        let timeout = Duration::from_millis(40);
        let mut silence = Silence::new(timeout);
        assert!(poll_once(&mut silence).await.is_pending());
        tokio::time::sleep(timeout / 2).await;
        silence.is_over();
        let begun = Instant::now();
        poll_fn(|context| silence.poll(context)).await;
        assert!(begun.elapsed() >= timeout, "{:?}", begun.elapsed());
    }

    async fn poll_once(silence: &mut Silence) -> Poll<()> {
        poll_fn(|context| Poll::Ready(silence.poll(context))).await
    }
}
