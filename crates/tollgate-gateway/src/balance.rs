//! Which thread of a listener serves a connection.
//!
//! The system spreads connections over the threads' sockets by a hash of addresses. Of a few connections that live long,
//! as proxies make them, one thread may get nearly all, and then their requests wait for each other while another core
//! rests.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A thread serves what it has accepted itself, unless it has more than the one with the fewest by more than this part of
/// them. Handing on takes a few microseconds, and among many connections the hash is good enough.
const SLACK_PART: usize = 8;

/// How many connections each thread of a listener serves.
pub(crate) struct Balance {
    connections: Mutex<Box<[usize]>>,
}

/// One connection, counted for the thread that serves it until this is dropped.
pub(crate) struct Served {
    balance: Arc<Balance>,
    thread: usize,
}

impl Balance {
    pub(crate) fn new(threads: usize) -> Arc<Self> {
        Arc::new(Balance {
            connections: Mutex::new(vec![0; threads].into()),
        })
    }

    /// Which thread serves a connection that this one has accepted.
    pub(crate) fn serve(self: &Arc<Self>, accepted: usize) -> Served {
        let mut connections = self.connections();
        let fewest = connections.iter().copied().enumerate();
        let fewest = fewest.min_by_key(|(_, count)| *count);
        let thread = match fewest {
            Some((other, fewest)) if connections[accepted] > fewest + fewest / SLACK_PART => other,
            _ => accepted,
        };
        connections[thread] += 1;
        Served {
            balance: Arc::clone(self),
            thread,
        }
    }

    fn connections(&self) -> MutexGuard<'_, Box<[usize]>> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Served {
    /// The thread's number.
    pub(crate) fn thread(&self) -> usize {
        self.thread
    }

    /// The same connection, which this thread serves instead.
    pub(crate) fn moved(mut self, thread: usize) -> Self {
        let mut connections = self.balance.connections();
        connections[self.thread] -= 1;
        connections[thread] += 1;
        drop(connections);
        self.thread = thread;
        self
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.balance.connections()[self.thread] -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_connections_are_spread_evenly_whoever_accepts_them() {
        let balance = Balance::new(3);
        let mut served: Vec<Served> = (0..9).map(|_| balance.serve(1)).collect();
        assert_eq!(**balance.connections(), [3, 3, 3]);
        served.retain(|served| served.thread() != 2);
        assert_eq!(balance.serve(0).thread(), 2, "it has room again");
        served.clear();
        assert_eq!(**balance.connections(), [0, 0, 0]);
    }

    #[test]
    fn a_connection_that_another_thread_serves_instead_is_counted_there() {
        let balance = Balance::new(2);
        let moved = balance.serve(0).moved(1);
        assert_eq!(moved.thread(), 1);
        assert_eq!(**balance.connections(), [0, 1]);
        drop(moved);
        assert_eq!(**balance.connections(), [0, 0]);
    }

    #[test]
    fn among_many_connections_a_thread_serves_its_own_up_to_a_part_more_than_others() {
        let balance = Balance::new(2);
        let _even: Vec<Served> = (0..160).map(|turn| balance.serve(turn % 2)).collect();
        let more: Vec<Served> = (0..40).map(|_| balance.serve(0)).collect();
        let kept = more.iter().take_while(|served| served.thread() == 0);
        assert_eq!(kept.count(), 80 / SLACK_PART + 1);
        let connections = balance.connections();
        let (own, other) = (connections[0], connections[1]);
        assert_eq!(own + other, 200);
        assert!(own <= other + other / SLACK_PART + 1, "{own} and {other}");
    }
}
