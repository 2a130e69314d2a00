//! Turns at something slow: as many at a time as there are cores, and only so many waiting.

use std::thread::available_parallelism;

use tokio::sync::{Semaphore, SemaphorePermit};

/// Callers that wait for their turn at most.
const WAITING_MAX: usize = 64;

pub(super) struct Turns {
    turns: Semaphore,
    places: Semaphore,
}

/// A turn, over when it is dropped.
pub(super) struct Turn<'t> {
    _turn: SemaphorePermit<'t>,
    _place: SemaphorePermit<'t>,
}

impl Turns {
    pub(super) fn new() -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        Turns {
            turns: Semaphore::new(cores),
            places: Semaphore::new(cores + WAITING_MAX),
        }
    }

    /// Waits for a turn; `None` when too many wait already.
    pub(super) async fn take(&self) -> Option<Turn<'_>> {
        let place = self.places.try_acquire().ok()?;
        let turn = self.turns.acquire().await.ok()?;
        Some(Turn {
            _turn: turn,
            _place: place,
        })
    }
}
