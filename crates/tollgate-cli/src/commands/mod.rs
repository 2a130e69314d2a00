//! The commands beside `serve`, one file for each.

pub(crate) mod audit;
pub(crate) mod completions;
pub(crate) mod convert;
pub(crate) mod demo_api;
pub(crate) mod health;
pub(crate) mod init;
pub(crate) mod key;
pub(crate) mod limit;
pub(crate) mod migrate;
pub(crate) mod plan;
mod table;
pub(crate) mod token;
pub(crate) mod top;
pub(crate) mod user;
pub(crate) mod validate;

use std::path::Path;
use std::sync::Arc;

use http::StatusCode;
use tokio::runtime::Runtime;
use tollgate::SystemClock;
use tollgate_accounts::Accounts;

use crate::admin_client;
use crate::args::AccountsArgs;
use crate::failure::Failure;
use crate::serve::admin::answer::NO_ACCOUNTS;

/// What the database in a data directory is called, where no URL says otherwise.
const USUAL_DATABASE: &str = "tollgate.db";

/// Does `work` on the accounts of a data directory. A gateway that runs on them sees the change within two seconds.
///
/// # Errors
/// Where there are none: a directory that was mistyped must not look like one in which there is nobody.
fn with_accounts<T>(
    args: &AccountsArgs,
    work: impl AsyncFnOnce(&Accounts) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let data = &args.data.data;
    if args.accounts.is_none() && !has_database(data)? {
        return Err(Failure::Failed(format!(
            "there are no accounts in the data directory {}: `--data` or TOLLGATE_DATA names the one of your gateway, and `--accounts` or TOLLGATE_ACCOUNTS a database that is elsewhere",
            data.display()
        )));
    }
    with_accounts_or_new(args, work)
}

/// As [`with_accounts`]; where there are none they are made, which is said.
fn with_accounts_or_new<T>(
    args: &AccountsArgs,
    work: impl AsyncFnOnce(&Accounts) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let url = accounts_url(args)?;
    let data = &args.data.data;
    let is_new = !data.exists();
    let has_new = args.accounts.is_none() && !has_database(data)?;
    runtime()?.block_on(async {
        let settings = tollgate_accounts::Settings::new(url, data);
        let accounts = Accounts::open(settings, Arc::new(SystemClock::new())).await;
        let accounts =
            accounts.map_err(|error| Failure::because("the accounts cannot be opened", &error))?;
        if is_new {
            eprintln!("Made a new data directory, {}.", data.display());
        } else if has_new {
            eprintln!(
                "Made a new database in the data directory {}.",
                data.display()
            );
        }
        let done = work(&accounts).await;
        accounts.close().await;
        done
    })
}

/// Whether a data directory has the usual database.
///
/// # Errors
/// Where that cannot be told: a directory that may not be read is not one without accounts.
fn has_database(data: &Path) -> Result<bool, Failure> {
    let there = data.join(USUAL_DATABASE).try_exists();
    there.map_err(|error| {
        let what = format!("the data directory {} cannot be read", data.display());
        Failure::because(what, &error)
    })
}

/// Complains when the gateway that runs on the data directory has no accounts: nobody would ever ask for what is made in
/// them. A database that is named by itself may be another gateway's.
fn require_accounts(args: &AccountsArgs) -> Result<(), Failure> {
    if args.accounts.is_some() {
        return Ok(());
    }
    let running = runtime()?.block_on(admin_client::fetch(&args.data.data, "/health"));
    // Without a gateway, or with one that does not answer, the database is all there is to go by.
    let Ok((StatusCode::OK, health)) = running else {
        return Ok(());
    };
    match admin_client::json(&health)?["accounts"].is_null() {
        true => Err(Failure::Failed(NO_ACCOUNTS.to_owned())),
        false => Ok(()),
    }
}

/// The database that the flags ask for.
fn accounts_url(args: &AccountsArgs) -> Result<String, Failure> {
    args.check()?;
    let usual = || format!("sqlite:{USUAL_DATABASE}");
    Ok(args.accounts.clone().unwrap_or_else(usual))
}

fn runtime() -> Result<Runtime, Failure> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build();
    runtime.map_err(|error| Failure::because("cannot start", &error))
}
