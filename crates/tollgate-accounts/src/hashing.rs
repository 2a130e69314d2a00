//! Threads that hash passwords and do nothing else, at the lowest priority: a flood of wrong passwords takes what
//! processors have to spare, and not what other requests need.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::sync::{Semaphore, oneshot};

use crate::error::Busy;

/// How many callers wait for their turn; whoever comes then is told to come back.
pub(crate) const WAITING_MAX: usize = 64;

/// Ten steps of niceness are a tenth of the share, so this is next to nothing while anything else wants to run.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 19;

type Job = Box<dyn FnOnce() + Send>;

pub(crate) struct Hashing {
    jobs: SyncSender<Job>,
    places: Arc<Semaphore>,
    places_max: usize,
    refused: AtomicU64,
}

impl Hashing {
    /// Starts the threads; they end when this is dropped and what waits is done.
    pub(crate) fn start(threads: usize) -> io::Result<Self> {
        let places = threads + WAITING_MAX;
        let (jobs, waiting) = sync_channel(places);
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..threads {
            let waiting = Arc::clone(&waiting);
            thread::Builder::new()
                .name("hashing".into())
                .spawn(move || work(&waiting))?;
        }
        Ok(Self {
            jobs,
            places: Arc::new(Semaphore::new(places)),
            places_max: places,
            refused: AtomicU64::new(0),
        })
    }

    /// Runs `work` when its turn comes. Its place is given back when it is done, even if the caller has gone away.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| {
            self.refused.fetch_add(1, Ordering::Relaxed);
            Busy
        })?;
        let (reply, done) = oneshot::channel();
        let job: Job = Box::new(move || {
            let result = work();
            drop(place);
            // Whoever asked may have gone away.
            let _ = reply.send(result);
        });
        self.jobs.try_send(job).map_err(|_| Busy)?;
        done.await.map_err(|_| Busy)
    }

    /// How much is being worked on or waits.
    pub(crate) fn waiting(&self) -> usize {
        self.places_max - self.places.available_permits()
    }

    /// How often there was no place.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    #[cfg(test)]
    pub(crate) fn places(&self) -> &Arc<Semaphore> {
        &self.places
    }
}

fn work(waiting: &Mutex<Receiver<Job>>) {
    step_back();
    loop {
        let job = waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        match job {
            // A job that panics has dropped its reply, and the next one needs this thread.
            Ok(job) => drop(catch_unwind(AssertUnwindSafe(job))),
            Err(_) => return,
        }
    }
}

/// Only Linux knows the priority of a single thread by this call; elsewhere hashing is as important as anything.
fn step_back() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::debug!(%error, "passwords are hashed at the usual priority");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_job_that_panics_fails_alone() {
        let hashing = Hashing::start(1).unwrap();
        assert!(hashing.run(|| panic!("on purpose")).await.is_err());
        assert_eq!(hashing.run(|| 1).await.ok(), Some(1));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn jobs_run_at_the_lowest_priority_and_nobody_else_does() {
        let hashing = Hashing::start(1).unwrap();
        let priority = || rustix::process::getpriority_process(None).unwrap();
        let usual = priority();
        assert_eq!(hashing.run(priority).await.ok(), Some(NICENESS));
        assert_eq!(priority(), usual);
    }
}
