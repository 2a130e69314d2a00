//! What each error of a server means.

use std::error::Error;
use std::io;
use std::sync::Arc;

use redis::{ErrorKind, RedisError, ServerError, Value};

use crate::error::LinkError;

/// What a server answered instead of a result.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It does not know the script.
    NoScript,
    /// The slot is another node's.
    Moved(String, u16),
    /// The key is another node's while its slot moves.
    Ask(String, u16),
    /// The keys are on two nodes while their slot moves.
    TryAgain,
    Failed(LinkError),
}

/// A reply that is an error, as what it means.
pub(super) fn result(reply: Value) -> Result<Value, Refusal> {
    match reply {
        Value::ServerError(error) => Err(refusal(&error)),
        value => Ok(value),
    }
}

/// The same where scripts and slots have no part.
pub(super) fn plain(reply: Result<Value, RedisError>) -> Result<Value, LinkError> {
    result(reply.map_err(broken)?).map_err(|refusal| match refusal {
        Refusal::Failed(error) => error,
        Refusal::NoScript => LinkError::Script("NOSCRIPT".to_owned()),
        Refusal::Moved(..) | Refusal::Ask(..) | Refusal::TryAgain => LinkError::IsCluster,
    })
}

/// The connection's own error: it has ended, or what came over it cannot be read.
pub(super) fn broken(error: RedisError) -> LinkError {
    if error.kind() == ErrorKind::Parse {
        return LinkError::Garbage(error.to_string());
    }
    type Shared = Arc<dyn Error + Send + Sync>;
    let source = error
        .source()
        .and_then(|source| source.downcast_ref::<Shared>());
    match source.and_then(|source| source.downcast_ref::<io::Error>()) {
        Some(source) if source.kind() == io::ErrorKind::InvalidData => {
            LinkError::Garbage(source.to_string())
        }
        _ => LinkError::Broken,
    }
}

fn refusal(error: &ServerError) -> Refusal {
    let (code, detail) = (error.code(), error.details().unwrap_or_default());
    let (code, detail) = of_script(code, detail).unwrap_or((code, detail));
    let full = || format!("{code} {detail}").trim_end().to_owned();
    Refusal::Failed(match code {
        "NOSCRIPT" => return Refusal::NoScript,
        "TRYAGAIN" => return Refusal::TryAgain,
        "MOVED" | "ASK" => match place(detail) {
            Some((host, port)) if code == "ASK" => return Refusal::Ask(host, port),
            Some((host, port)) => return Refusal::Moved(host, port),
            None => LinkError::Garbage(full()),
        },
        "BUSY" => LinkError::Busy,
        "OOM" => LinkError::OutOfMemory,
        "READONLY" => LinkError::ReadOnly,
        "LOADING" => LinkError::Loading,
        "MASTERDOWN" => LinkError::MasterDown,
        "CLUSTERDOWN" => LinkError::ClusterDown,
        "MISCONF" | "NOREPLICAS" => LinkError::Unwritable(full()),
        "NOAUTH" => LinkError::NoPassword,
        "WRONGPASS" => LinkError::WrongPassword,
        "NOPERM" => LinkError::NotPermitted(full()),
        // Redis 6.2 says it so when a password is sent to a server that has none.
        "ERR" if detail.starts_with("AUTH <password> called without any password") => {
            LinkError::WrongPassword
        }
        "ERR" if detail.starts_with("unknown command") => {
            // The arguments that follow are keys of callers, which nobody writes down.
            let detail = detail.split(", with args").next().unwrap_or_default();
            LinkError::NotPermitted(format!("{code} {detail}"))
        }
        // Redis 7 says so of a command that a script runs for a user who may not.
        _ if detail.contains("can't run this command or subcommand") => {
            LinkError::NotPermitted(full())
        }
        _ if is_about_values(detail) => LinkError::NotOurs(full()),
        _ => LinkError::Script(full()),
    })
}

/// Whether a script of ours stumbled over what it found: Lua says where, `user_script:LINE:`, or the server refuses the
/// expiry that followed from a state. Behind an `@` the server names the place of whatever else ended a script.
fn is_about_values(detail: &str) -> bool {
    const EXPIRY: [&str; 2] = ["invalid expire time", "value is not an integer"];
    let mut places = detail.match_indices("user_script:");
    places.any(|(at, _)| !detail[..at].ends_with('@'))
        || detail.contains("@user_script:") && EXPIRY.iter().any(|text| detail.contains(text))
}

/// Redis 6.2 wraps what a command within a script answered: `ERR Error running script (call to f_...): @user_script:1:
/// -READONLY You can't ...`.
fn of_script<'a>(code: &str, detail: &'a str) -> Option<(&'a str, &'a str)> {
    if code != "ERR" || !detail.starts_with("Error running script") {
        return None;
    }
    let inner = detail.split_once("@user_script:")?.1.split_once(": -")?.1;
    Some(inner.split_once(' ').unwrap_or((inner, "")))
}

/// `3999 127.0.0.1:6381`; an empty host is that of the node that says so.
fn place(detail: &str) -> Option<(String, u16)> {
    let (host, port) = detail.split_once(' ')?.1.trim().rsplit_once(':')?;
    Some((host.to_owned(), port.parse().ok()?))
}
