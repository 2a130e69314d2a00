//! `tollgate user`: making, listing, disabling users, changing a password, giving a role or a plan.

use std::io::{BufRead, IsTerminal};

use http::Method;
use serde_json::json;
use tollgate_accounts::{Accounts, Role, SignUpError, User, UserError};

use super::{require_accounts, table, with_accounts, with_accounts_or_new};
use crate::admin_client::{self, segment};
use crate::args::{UserArgs, UserCommand};
use crate::failure::Failure;
use crate::plain::{self, Plain};

pub(crate) fn run(args: UserArgs) -> Result<(), Failure> {
    require_accounts(&args.accounts)?;
    match args.command {
        UserCommand::Create { name, admin } => {
            let password = password()?;
            let role = if admin { Role::Admin } else { Role::User };
            with_accounts_or_new(&args.accounts, async |accounts| {
                create(accounts, &name, &password, role).await
            })
        }
        UserCommand::Role { name, role } => with_accounts(&args.accounts, async |accounts| {
            let what = format!("{role} is now the role of");
            done(accounts.set_role(&name, role).await, &what, &name)
        }),
        UserCommand::Plan { name, plan, .. } => {
            let target = format!("/users/{}/plan", segment(&name));
            let (method, body) = match plan {
                Some(plan) => (Method::PUT, Some(json!({ "plan": plan }))),
                None => (Method::DELETE, None),
            };
            let data = &args.accounts.data.data;
            let answer = admin_client::done(data, method, &target, body.as_ref())?;
            println!("{}", answer.trim_end());
            Ok(())
        }
        UserCommand::Passwd { name } => {
            let password = password()?;
            with_accounts(&args.accounts, async |accounts| {
                done(
                    accounts.set_password(&name, &password).await,
                    "changed the password of",
                    &name,
                )
            })
        }
        UserCommand::Disable { name } => with_accounts(&args.accounts, async |accounts| {
            done(accounts.disable_user(&name).await, "disabled", &name)
        }),
        UserCommand::Enable { name } => with_accounts(&args.accounts, async |accounts| {
            done(accounts.enable_user(&name).await, "enabled", &name)
        }),
        UserCommand::List => with_accounts(&args.accounts, list),
    }
}

async fn create(
    accounts: &Accounts,
    name: &str,
    password: &str,
    role: Role,
) -> Result<(), Failure> {
    match accounts.create_user(name, password, role).await {
        Ok(user) => {
            println!("made {} (id {})", Plain::new(&user.name), user.id);
            Ok(())
        }
        Err(error @ SignUpError::Invalid(_)) => Err(Failure::Usage(error.to_string())),
        Err(error) => Err(Failure::because(
            format!("cannot make `{}`", Plain::new(name)),
            &error,
        )),
    }
}

async fn list(accounts: &Accounts) -> Result<(), Failure> {
    let users = accounts
        .list_users()
        .await
        .map_err(|error| Failure::because("users cannot be listed", &error))?;
    let row = |user: &User| {
        let state = match user.disabled_at {
            Some(_) => "disabled",
            None => "active",
        };
        [
            plain::line(&user.name),
            state.to_owned(),
            user.role.to_string(),
            user.plan.clone().unwrap_or_default(),
            user.id.to_string(),
        ]
    };
    let rows: Vec<_> = users.iter().map(row).collect();
    table::print(["NAME", "STATE", "ROLE", "PLAN", "ID"], &rows);
    Ok(())
}

fn done(result: Result<(), UserError>, what: &str, name: &str) -> Result<(), Failure> {
    let name = Plain::new(name);
    match result {
        Ok(()) => {
            println!("{what} {name}");
            Ok(())
        }
        Err(error @ UserError::Invalid(_)) => Err(Failure::Usage(error.to_string())),
        Err(error) => Err(Failure::because(
            format!("`{name}` stays as it was"),
            &error,
        )),
    }
}

/// A password is asked for where nobody sees it, or read from standard input; never from an argument, which others see.
fn password() -> Result<String, Failure> {
    let unreadable =
        |error: std::io::Error| Failure::because("the password cannot be read", &error);
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        let mut line = String::new();
        stdin.lock().read_line(&mut line).map_err(unreadable)?;
        return Ok(line.trim_end_matches(['\r', '\n']).to_owned());
    }
    let first = rpassword::prompt_password("Password: ").map_err(unreadable)?;
    let second = rpassword::prompt_password("Once more: ").map_err(unreadable)?;
    if first != second {
        return Err(Failure::Usage("the two passwords differ".to_owned()));
    }
    Ok(first)
}
