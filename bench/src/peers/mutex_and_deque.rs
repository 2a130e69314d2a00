//! What people write themselves: the instants of the last hits of each key, in a map, in a mutex.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::keys::Key;
use crate::peer::Peer;

/// At most `limit` in any window, per key.
pub struct MutexAndDeque<K: Key + ?Sized> {
    hits: Mutex<HashMap<K::Owned, VecDeque<Instant>>>,
    limit: usize,
    window: Duration,
}

impl<K: Key + ?Sized> MutexAndDeque<K> {
    pub fn new(limit: usize, window: Duration) -> Self {
        MutexAndDeque {
            hits: Mutex::default(),
            limit,
            window,
        }
    }

    fn hit(&self, key: &K) -> bool {
        let now = Instant::now();
        let mut hits = self.hits.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(hits) = hits.get_mut(key) {
            while hits
                .front()
                .is_some_and(|hit| now.duration_since(*hit) >= self.window)
            {
                hits.pop_front();
            }
            if hits.len() >= self.limit {
                return false;
            }
            hits.push_back(now);
        } else {
            hits.insert(key.to_owned(), VecDeque::from([now]));
        }
        true
    }
}

impl<K: Key + ?Sized> Peer<K> for MutexAndDeque<K> {
    fn hits(&self, keys: &[&K]) -> usize {
        keys.iter().filter(|key| self.hit(key)).count()
    }
}
