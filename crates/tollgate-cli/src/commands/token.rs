//! `tollgate token`: the keys that sign tokens, and ending a token.

use std::io::{BufRead, IsTerminal, Read};

use tollgate::{Clock, Micros, SystemClock};
use tollgate_accounts::{TOKEN_TTL_MAX, TokenId, read_token, rotate_token_key};

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
/// names a database may have no data directory of such a gateway. What holds is said when all of it is known.
fn rotate(args: &AccountsArgs, at_once: bool, now: Micros) -> Result<(), Failure> {
    let own = rotate_token_key(&args.data.data, at_once, now)
        .map_err(|error| Failure::because("the keys stay as they were", &error));
    if args.accounts.is_none() && own.is_err() {
        return own;
    }
    let rotated = with_accounts(args, async |accounts| {
        let rotated = accounts.rotate_shared_token_keys(at_once).await;
        rotated.map_err(|error| Failure::because("the database was not changed", &error))
    });
    match (rotated, own) {
        (Ok(true), _) => {
            println!("all gateways that share their keys in this database sign with a new one");
            Ok(())
        }
        (Ok(false), own) => {
            own?;
            println!("tokens are signed with a new key");
            Ok(())
        }
        (Err(failure), Ok(())) => Err(half(args, &failure)),
        (Err(failure), Err(_)) => Err(failure),
    }
}

/// The file has a new key, and the database, which may have the keys that count, has not.
fn half(args: &AccountsArgs, failure: &Failure) -> Failure {
    Failure::Failed(format!(
        "{} has a new key, but gateways with `token_keys = \"database\"` still sign with the old one and take its tokens, and the log of changes lacks the new key: {}",
        args.data.data.display(),
        failure.reason()
    ))
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
