//! Where counters live.

use std::fmt;
use std::time::Duration;

use tollgate::{OnError, OnFull};

use crate::terms::Sharing;

/// Where counters live.
#[derive(Clone)]
pub struct Counters {
    /// [`Counters::MEMORY`], or the URL of a shared store; a password may be in it.
    pub url: String,
    /// Memory for states.
    pub memory_bytes_max: usize,
    /// What happens to a key that finds no room.
    pub on_full: OnFull,
    /// What holds for limits that say nothing of it.
    pub sharing: Sharing,
    /// How many gateways share the store: each has so large a part of a limit while it decides by itself.
    pub nodes: u32,
    /// How long a decision may wait for a shared store.
    pub deadline: Duration,
    /// What the names of keys in a shared store begin with.
    pub prefix: String,
}

impl Counters {
    /// In this process.
    pub const MEMORY: &str = "memory:";

    /// Whether they are in a store that others share.
    pub fn is_shared(&self) -> bool {
        self.url != Counters::MEMORY
    }

    /// What happens to log-ins and guesses while a shared store cannot be reached: they are counted here also where
    /// `on_error` is open. Nobody who takes the store down may then guess without end.
    pub fn on_error_of_protection(&self) -> OnError {
        match self.sharing.on_error {
            OnError::Closed => OnError::Closed,
            OnError::Open | OnError::Local => OnError::Local,
        }
    }

    /// Whether that is a cluster, where what is decided together must be together.
    pub fn is_cluster(&self) -> bool {
        let scheme = self.url.split_once("://").map_or("", |(scheme, _)| scheme);
        self.is_shared() && scheme.ends_with("+cluster")
    }
}

/// Without the URL.
impl fmt::Debug for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counters")
            .field("memory_bytes_max", &self.memory_bytes_max)
            .field("on_full", &self.on_full)
            .field("sharing", &self.sharing)
            .field("nodes", &self.nodes)
            .field("deadline", &self.deadline)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}
