//! Where a key stands in one window, as JSON: the same wherever it is shown.

use serde::Serialize;
use tollgate_gateway::page::Window;

/// The numbers of a window; its name is the business of whoever shows them.
#[derive(Serialize)]
pub(crate) struct Standing {
    limit: u64,
    used: u64,
    remaining: u64,
    /// Seconds until more remains; `None` when nothing is used.
    resets_in: Option<u64>,
    /// Whether a penalty holds the key off. Left out where the limit has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    blocked: Option<bool>,
}

impl From<&Window> for Standing {
    fn from(window: &Window) -> Self {
        Standing {
            limit: window.limit,
            used: window.used,
            remaining: window.remaining,
            resets_in: window.resets_in,
            blocked: window.blocked,
        }
    }
}
