//! Who asks most, and who is refused most, as JSON. It may hold addresses of clients: for administrators alone.

use serde::Serialize;
use tollgate_gateway::heavy::{HEAVY_WINDOW_SECS, HeavyCaller, HeavyHitter, HeavyHitters, Share};

use super::Monitor;
use crate::time::rfc3339;

/// Both lists.
#[derive(Serialize)]
pub(crate) struct HeavyShown {
    as_of: String,
    window_s: u64,
    allowed: ListShown,
    denied: ListShown,
}

#[derive(Serialize)]
struct ListShown {
    since: String,
    /// All requests since then.
    total: u64,
    callers: Vec<CallerShown>,
}

#[derive(Serialize)]
struct CallerShown {
    kind: &'static str,
    id: String,
    /// It came at least `count - error` times, and at most `count` times.
    count: u64,
    error: u64,
}

impl Monitor {
    /// The `limit` heaviest callers of each list.
    pub(crate) fn heavy(&self, limit: usize) -> HeavyShown {
        let now = self.clock.now();
        let list = |share| ListShown::of(self.gateway.heavy().hitters(share, limit, now));
        HeavyShown {
            as_of: rfc3339(now),
            window_s: HEAVY_WINDOW_SECS,
            allowed: list(Share::Allowed),
            denied: list(Share::Denied),
        }
    }
}

impl ListShown {
    fn of(found: HeavyHitters) -> Self {
        ListShown {
            since: rfc3339(found.since),
            total: found.total,
            callers: found.hitters.into_iter().map(CallerShown::of).collect(),
        }
    }
}

impl CallerShown {
    fn of(hitter: HeavyHitter) -> Self {
        let (kind, id) = match hitter.caller {
            HeavyCaller::Key(key) => ("key", key.to_string()),
            HeavyCaller::User(user) => ("user", user.to_string()),
            HeavyCaller::Address(address) => ("address", address.to_string()),
        };
        CallerShown {
            kind,
            id,
            count: hitter.count,
            error: hitter.error,
        }
    }
}
