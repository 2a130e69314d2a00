//! The commands beside `serve`, one file for each.

pub(crate) mod demo_api;
pub(crate) mod health;
pub(crate) mod init;
pub(crate) mod key;
pub(crate) mod limit;
pub(crate) mod user;
pub(crate) mod validate;

use std::sync::Arc;

use tollgate::SystemClock;
use tollgate_accounts::Accounts;

use crate::args::AccountsArgs;
use crate::failure::Failure;

/// Does `work` on the accounts of a data directory. A gateway that runs on them sees the change within two seconds.
fn with_accounts<T>(
    args: &AccountsArgs,
    work: impl AsyncFnOnce(&Accounts) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| Failure::because("cannot start", &error))?;
    runtime.block_on(async {
        let url = args
            .accounts
            .clone()
            .unwrap_or_else(|| "sqlite:tollgate.db".to_owned());
        let settings = tollgate_accounts::Settings::new(url, &args.data.data);
        let accounts = Accounts::open(settings, Arc::new(SystemClock::new())).await;
        let accounts =
            accounts.map_err(|error| Failure::because("the accounts cannot be opened", &error))?;
        let done = work(&accounts).await;
        accounts.close().await;
        done
    })
}
