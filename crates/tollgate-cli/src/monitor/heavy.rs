//! Who asks most, and who is refused most, as JSON. It may hold addresses of clients: for administrators alone.

use serde::Serialize;
use tollgate_accounts::{Accounts, KeyId, UserId};
use tollgate_gateway::heavy::{HEAVY_WINDOW_SECS, HeavyCaller, HeavyHitter, HeavyHitters, Share};

use super::Monitor;
use crate::names;
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
    /// What a user or a key is called, where the accounts can be asked.
    name: Option<String>,
    /// Whose key it is.
    user: Option<String>,
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

impl HeavyShown {
    /// Says what users and keys are called. Where the database does not answer soon they go without: the list needs none.
    pub(crate) async fn name_by(mut self, accounts: &Accounts) -> Self {
        let lists = [&mut self.allowed, &mut self.denied];
        let mut callers: Vec<&mut CallerShown> = lists
            .into_iter()
            .flat_map(|list| &mut list.callers)
            .collect();
        let (mut users, mut keys) = (Vec::<UserId>::new(), Vec::<KeyId>::new());
        for caller in &callers {
            match caller.kind {
                "user" => users.push(caller.id.as_str().into()),
                "key" => keys.push(caller.id.as_str().into()),
                _ => {}
            }
        }
        let labels = names::soon(accounts, &users, &keys).await;
        for caller in &mut callers {
            if let Some(label) = labels.get(&caller.id).cloned() {
                caller.name = Some(label.name);
                caller.user = label.owner;
            }
        }
        self
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
            name: None,
            user: None,
            count: hitter.count,
            error: hitter.error,
        }
    }
}
