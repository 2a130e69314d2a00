//! What users and API keys are called, for what can be shown without it.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use tokio::time::timeout;
use tollgate_accounts::{Accounts, KeyId, Label, UserId};

/// How long names are waited for: a database that hangs gives no error. As long as for a connection to it.
const NAMES_MAX: Duration = Duration::from_secs(2);

/// What these users and keys are called, by their ids; none where the database does not say so soon.
pub(crate) async fn soon(
    accounts: &Accounts,
    users: &[UserId],
    keys: &[KeyId],
) -> BTreeMap<String, Label> {
    in_time(accounts.labels(users, keys)).await
}

async fn in_time<E: Error>(
    labels: impl Future<Output = Result<BTreeMap<String, Label>, E>>,
) -> BTreeMap<String, Label> {
    match timeout(NAMES_MAX, labels).await {
        Ok(Ok(labels)) => labels,
        Ok(Err(error)) => {
            tracing::debug!(%error, "a list goes without names");
            BTreeMap::new()
        }
        Err(_) => BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::{fmt, future, io};

    use super::*;

    #[tokio::test]
    async fn names_that_do_not_come_are_gone_without() {
        assert!(
            in_time(future::pending::<Result<_, fmt::Error>>())
                .await
                .is_empty()
        );
        let failed = io::Error::from(io::ErrorKind::TimedOut);
        assert!(in_time(future::ready(Err(failed))).await.is_empty());
        let label = Label {
            name: "ann".to_owned(),
            owner: None,
        };
        let labels = BTreeMap::from([("u".to_owned(), label)]);
        let known = future::ready(Ok::<_, fmt::Error>(labels.clone()));
        assert_eq!(in_time(known).await, labels);
    }
}
