//! `tollgate migrate`: the tables of the accounts, brought up to date before any gateway of this version starts.

use crate::args::AccountsArgs;
use crate::failure::Failure;

pub(crate) fn run(args: &AccountsArgs) -> Result<(), Failure> {
    let url = super::accounts::find(args)?.url;
    let migrated = super::runtime()?.block_on(tollgate_accounts::migrate(&url, &args.data.data));
    let migrated = migrated
        .map_err(|error| Failure::because("the accounts cannot be brought up to date", &error))?;
    let version = migrated.version;
    if migrated.applied.is_empty() {
        println!("The accounts are up to date already, at version {version}.");
    } else {
        let applied = migrated.applied.join(", ");
        println!("The accounts are up to date now, at version {version}. Done: {applied}.");
    }
    Ok(())
}
