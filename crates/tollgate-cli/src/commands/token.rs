//! `tollgate token`: the keys that sign tokens, and ending a token.

use std::io::{BufRead, IsTerminal, Read};

use tollgate::{Clock, Micros, SystemClock};
use tollgate_accounts::{Accounts, TOKEN_TTL_MAX, TokenId, read_token, rotate_token_key};

use super::{require_accounts, with_accounts};
use crate::args::{AccountsArgs, TokenArgs, TokenCommand};
use crate::failure::Failure;

/// The longest line that is read.
const TOKEN_BYTES_MAX: u64 = 8 * 1024;

pub(crate) fn run(args: TokenArgs) -> Result<(), Failure> {
    require_accounts(&args.accounts)?;
    let now = SystemClock::new().now();
    match args.command {
        TokenCommand::Rotate { at_once } => rotate(&args.accounts, at_once, now),
        TokenCommand::Revoke { id } => {
            let (token, expires_at) = match id {
                Some(id) => (by_id(&id)?, now + TOKEN_TTL_MAX),
                None => whole()?,
            };
            with_accounts(&args.accounts, async |accounts| {
                let revoked = accounts.revoke_token(&token, expires_at).await;
                revoked.map_err(|error| Failure::because("nothing was changed", &error))?;
                println!("revoked {token}");
                Ok(())
            })
        }
    }
}

/// In the data directory, which needs no database, and in the database where gateways share their keys there. Whoever
/// names a database may have no data directory of such a gateway.
fn rotate(args: &AccountsArgs, at_once: bool, now: Micros) -> Result<(), Failure> {
    let own = rotate_token_key(&args.data.data, at_once, now)
        .map_err(|error| Failure::because("the keys stay as they were", &error));
    if args.accounts.is_none() || own.is_ok() {
        own?;
        println!("tokens are signed with a new key");
        return with_accounts(args, async |accounts| {
            shared(accounts, at_once).await.map(drop)
        });
    }
    match with_accounts(args, async |accounts| shared(accounts, at_once).await)? {
        true => Ok(()),
        false => own,
    }
}

async fn shared(accounts: &Accounts, at_once: bool) -> Result<bool, Failure> {
    let rotated = accounts.rotate_shared_token_keys(at_once).await;
    let rotated = rotated.map_err(|error| {
        let what = "keys that gateways share in the database stay as they were, and the log of changes lacks the new key";
        Failure::because(what, &error)
    })?;
    if rotated {
        println!("all gateways that share their keys in this database sign with a new one");
    }
    Ok(rotated)
}

fn by_id(text: &str) -> Result<TokenId, Failure> {
    let wrong = || {
        let text = "a token is named by its `jti`, 32 hexadecimal digits; give a whole token on standard input, where nobody else can read it";
        Failure::Usage(text.to_owned())
    };
    TokenId::parse(text).ok_or_else(wrong)
}

/// A whole token is asked for where nobody sees it, or read from standard input; never from an argument, which others
/// see.
fn whole() -> Result<(TokenId, Micros), Failure> {
    let unreadable = |error: std::io::Error| Failure::because("the token cannot be read", &error);
    let stdin = std::io::stdin();
    let mut line = String::new();
    if stdin.is_terminal() {
        line = rpassword::prompt_password("Token: ").map_err(unreadable)?;
    } else {
        let mut input = stdin.lock().take(TOKEN_BYTES_MAX);
        input.read_line(&mut line).map_err(unreadable)?;
    }
    read_token(line.trim()).ok_or_else(|| Failure::Usage("that is no token".to_owned()))
}
