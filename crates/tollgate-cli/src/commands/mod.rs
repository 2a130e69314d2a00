//! The commands beside `serve`, one file for each.

mod accounts;
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

use tokio::runtime::Runtime;

use crate::failure::Failure;
use accounts::{require_accounts, with_accounts, with_accounts_or_new};

fn runtime() -> Result<Runtime, Failure> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build();
    runtime.map_err(|error| Failure::because("cannot start", &error))
}
