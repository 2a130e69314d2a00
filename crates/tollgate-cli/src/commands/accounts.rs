//! Which accounts a command works on: those that the gateway of the data directory uses, or would use.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::StatusCode;
use serde_json::Value;
use tollgate::SystemClock;
use tollgate_accounts::{Accounts, file_of_url};

use super::runtime;
use crate::admin_client;
use crate::args::AccountsArgs;
use crate::failure::Failure;
use crate::serve::admin::answer::NO_ACCOUNTS;
use crate::serve::rules;

/// The database in a data directory, where nothing says otherwise.
const USUAL_URL: &str = "sqlite:tollgate.db";
const IN_MEMORY: &str = "the running gateway keeps its accounts in its own memory, where no command can change them: its pages and `/console/` can";

/// A database, and who names it.
pub(super) struct Place {
    pub(super) url: String,
    named_by: NamedBy,
}

enum NamedBy {
    /// A flag or the environment, which may mean another gateway's.
    Flag,
    /// The gateway that runs on the data directory.
    Gateway,
    /// The rules that `serve` would read.
    Rules(PathBuf),
    Nobody,
}

impl Place {
    /// Its file, where the command would make one.
    ///
    /// # Errors
    /// Where that cannot be told: a directory that may not be read is not one without accounts.
    fn missing_file(&self, data: &Path) -> Result<Option<PathBuf>, Failure> {
        let file = match self.named_by {
            NamedBy::Flag => None,
            _ => file_of_url(&self.url, data),
        };
        let Some(file) = file else { return Ok(None) };
        let is_there = file.try_exists().map_err(|error| {
            let what = format!("the data directory {} cannot be read", data.display());
            Failure::because(what, &error)
        })?;
        Ok((!is_there).then_some(file))
    }

    fn not_there(&self, data: &Path, file: &Path) -> Failure {
        let remedy = "`--data` or TOLLGATE_DATA names the one of your gateway, and `--accounts` or TOLLGATE_ACCOUNTS a database that is elsewhere";
        let data = data.display();
        Failure::Failed(match &self.named_by {
            NamedBy::Rules(rules) => format!(
                "there are no accounts in the data directory {data}: {} names {}, which is not there; {remedy}",
                rules.display(),
                file.display()
            ),
            _ => format!("there are no accounts in the data directory {data}: {remedy}"),
        })
    }
}

/// Does `work` on the accounts of a data directory. A gateway that runs on them sees the change within two seconds.
///
/// # Errors
/// Where there are none: a directory that was mistyped must not look like one in which there is nobody.
pub(super) fn with_accounts<T>(
    args: &AccountsArgs,
    work: impl AsyncFnOnce(&Accounts) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let place = find(args)?;
    let data = &args.data.data;
    match place.missing_file(data)? {
        Some(file) => Err(place.not_there(data, &file)),
        None => with_place(args, &place, work),
    }
}

/// As [`with_accounts`]; where there are none they are made, which is said.
pub(super) fn with_accounts_or_new<T>(
    args: &AccountsArgs,
    work: impl AsyncFnOnce(&Accounts) -> Result<T, Failure>,
) -> Result<T, Failure> {
    with_place(args, &find(args)?, work)
}

fn with_place<T>(
    args: &AccountsArgs,
    place: &Place,
    work: impl AsyncFnOnce(&Accounts) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let data = &args.data.data;
    let is_new = !data.exists();
    let new_file = place.missing_file(data)?;
    runtime()?.block_on(async {
        let settings = tollgate_accounts::Settings::new(&place.url, data);
        let accounts = Accounts::open(settings, Arc::new(SystemClock::new())).await;
        let accounts =
            accounts.map_err(|error| Failure::because("the accounts cannot be opened", &error))?;
        match (new_file, &place.named_by) {
            (Some(file), NamedBy::Rules(rules)) => {
                eprintln!(
                    "Made a new database, {}, as {} says.",
                    file.display(),
                    rules.display()
                );
            }
            _ if is_new => eprintln!("Made a new data directory, {}.", data.display()),
            (Some(_), _) => eprintln!(
                "Made a new database in the data directory {}.",
                data.display()
            ),
            (None, _) => {}
        }
        let done = work(&accounts).await;
        accounts.close().await;
        done
    })
}

/// Complains when there are no accounts to work on, before anything is asked.
pub(super) fn require_accounts(args: &AccountsArgs) -> Result<(), Failure> {
    find(args).map(drop)
}

/// The database that the flags name; else that of the gateway that runs on the data directory; else that of the rules
/// that `serve` would read.
///
/// # Errors
/// Where the gateway that runs has no accounts, or none that a command can reach: nobody would ever ask for what is
/// made in others.
pub(super) fn find(args: &AccountsArgs) -> Result<Place, Failure> {
    args.check()?;
    if let Some(url) = &args.accounts {
        return Ok(Place {
            url: url.clone(),
            named_by: NamedBy::Flag,
        });
    }
    let running = runtime()?.block_on(admin_client::fetch(&args.data.data, "/accounts/url"));
    // Without a gateway, or with one that does not answer, the rules are all there is to go by.
    let Ok((StatusCode::OK, answer)) = running else {
        return of_rules();
    };
    match &admin_client::json(&answer)?["url"] {
        Value::String(url) if url.contains(":memory:") && url.starts_with("sqlite:") => {
            Err(Failure::Failed(IN_MEMORY.to_owned()))
        }
        Value::String(url) => Ok(Place {
            url: url.clone(),
            named_by: NamedBy::Gateway,
        }),
        _ => Err(Failure::Failed(NO_ACCOUNTS.to_owned())),
    }
}

fn of_rules() -> Result<Place, Failure> {
    let usual = || Place {
        url: USUAL_URL.to_owned(),
        named_by: NamedBy::Nobody,
    };
    let Some(file) = rules::usual_file() else {
        return Ok(usual());
    };
    let url = rules::accounts_url(&file)?;
    Ok(match url.as_str() {
        USUAL_URL => usual(),
        _ => Place {
            url,
            named_by: NamedBy::Rules(file),
        },
    })
}
