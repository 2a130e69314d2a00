//! What a client and the log learn of a database that does not answer.

use std::error::Error;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::sleep;
use tollgate_accounts::Unavailable;
use tollgate_gateway::refusal::Refusal;

/// The pause between two lines of the log.
const LOGGED_EVERY: Duration = Duration::from_secs(1);

/// The client only learns that trying again may help.
pub(crate) fn unreachable(error: &Unavailable) -> Refusal {
    log(error);
    Refusal::unavailable("Accounts cannot be reached at the moment.")
}

/// That the server is away is logged once for all, by those who follow its changes; what else goes wrong is logged here,
/// one line a second.
pub(crate) fn log(error: &Unavailable) {
    if !error.is_announced()
        && let Some(not_logged) = may_log()
    {
        tracing::warn!(
            error = error as &dyn Error,
            not_logged,
            "the accounts database does not do what it should"
        );
    }
}

/// How many errors had no line since the last one; `None` for one that has none either.
fn may_log() -> Option<u64> {
    static IS_QUIET: AtomicBool = AtomicBool::new(false);
    static NOT_LOGGED: AtomicU64 = AtomicU64::new(0);
    if IS_QUIET.swap(true, Ordering::Relaxed) {
        NOT_LOGGED.fetch_add(1, Ordering::Relaxed);
        return None;
    }
    tokio::spawn(async {
        sleep(LOGGED_EVERY).await;
        IS_QUIET.store(false, Ordering::Relaxed);
    });
    Some(NOT_LOGGED.swap(0, Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn of_many_errors_at_once_one_has_a_line() {
        assert_eq!(may_log(), Some(0));
        for _ in 0..3 {
            assert_eq!(may_log(), None);
        }
    }
}
