//! Where this gateway counts: in memory, saved in the data directory, or in a store that it shares with others.

use std::path::Path;
use std::time::Duration;

use tollgate::{Clock, MemoryStore};
use tollgate_gateway::Counters;
use tollgate_redis::RedisStore;
use tollgate_rules::RuleSet;

use super::saved::Saved;
use super::shared_store;
use crate::failure::Failure;

/// How long slots on their way back to a shared store may take at the end.
const RETURNING_MAX: Duration = Duration::from_secs(1);

/// Counters, and how they are kept.
pub(super) struct Kept {
    counters: Counters,
    /// `None` where others keep them.
    saved: Option<Saved>,
    /// `None` where they are in this process.
    store: Option<RedisStore>,
}

impl Kept {
    /// The counters that the rules name. `is_held` says that a test holds the clock, which then is that of a shared
    /// store too.
    ///
    /// # Errors
    /// Of a shared store, what waiting does not mend.
    pub(super) async fn open(
        rules: &RuleSet,
        data: &Path,
        clock: &dyn Clock,
        is_held: bool,
    ) -> Result<Self, Failure> {
        if rules.counters.is_shared() {
            let (shared, store) = shared_store::connect(&rules.counters, is_held).await?;
            return Ok(Kept {
                counters: shared.into(),
                saved: None,
                store: Some(store),
            });
        }
        let store = MemoryStore::builder()
            .max_memory(rules.counters.memory_bytes_max)
            .on_full(rules.counters.on_full);
        let saved = Saved::restore(store, data, clock.now());
        Ok(Kept {
            counters: saved.store().into(),
            saved: Some(saved),
            store: None,
        })
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The store that others share, if it is one.
    pub(super) fn shared_store(&self) -> Option<&RedisStore> {
        self.store.as_ref()
    }

    /// Saves again and again, where there is anything to save.
    pub(super) fn save_regularly(&self) {
        if let Some(saved) = &self.saved {
            tokio::spawn(saved.clone().save_regularly());
        }
    }

    /// After the last decision.
    pub(super) async fn close(self) {
        self.counters.returned(RETURNING_MAX).await;
        if let Some(saved) = &self.saved {
            saved.save();
        }
    }
}
