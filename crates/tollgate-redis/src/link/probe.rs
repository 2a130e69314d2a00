//! Whether a server could decide: a script that writes a key of its own. A ping would also be answered by replicas, by
//! servers without memory, and to users that may not run scripts.

use std::sync::LazyLock;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, Value};
use tollgate::Micros;

use super::dial::ask;
use super::slots::{SLOTS, slot};
use crate::error::LinkError;
use crate::keys::KeyNames;

/// KEYS[1]: a key that is used for nothing else. It is gone after a second. Scripts write instants by `%d`, which is as
/// wide as the server's `long`: where that is too narrow the answer is nil.
const SCRIPT: &str = "if string.format('%d', 2^53) ~= '9007199254740992' then return end \
    redis.call('SET', KEYS[1], 1, 'PX', 1000) return redis.call('TIME')";

/// Asks a server to write `key`; what its clock says.
pub(super) async fn probe(
    connection: &mut MultiplexedConnection,
    key: &str,
) -> Result<Micros, LinkError> {
    let mut command = redis::cmd("EVAL");
    command.arg(SCRIPT).arg(1).arg(key);
    let reply = ask(connection, &command).await?;
    if reply == Value::Nil {
        return Err(LinkError::IsNarrow);
    }
    time(&reply).ok_or_else(|| LinkError::Garbage(format!("{reply:?} as the time")))
}

/// Seconds since 1970, and microseconds.
fn time(reply: &Value) -> Option<Micros> {
    let Value::Array(parts) = reply else {
        return None;
    };
    let number = |part: &Value| match part {
        Value::BulkString(digits) => std::str::from_utf8(digits).ok()?.parse::<u64>().ok(),
        _ => None,
    };
    let [seconds, micros] = &parts[..] else {
        return None;
    };
    let seconds = number(seconds)?.checked_mul(1_000_000)?;
    Some(Micros(seconds.checked_add(number(micros)?)?))
}

/// A key of probes; in `slot`, where that matters. Prefixes have no braces, so that its tag decides.
pub(super) fn key(names: &KeyNames, slot: Option<u16>) -> String {
    let tag = slot.map_or(0, |slot| TAGS[usize::from(slot)]);
    format!("{}:probe:{{{tag}}}", names.prefix())
}

/// A tag for each slot, looked for once: the first number that falls into it.
static TAGS: LazyLock<Box<[u32]>> = LazyLock::new(|| {
    let mut tags = vec![None; SLOTS];
    let mut missing = SLOTS;
    for number in 0_u32.. {
        let tag = &mut tags[usize::from(slot(number.to_string().as_bytes()))];
        if tag.is_none() {
            *tag = Some(number);
            missing -= 1;
        }
        if missing == 0 {
            break;
        }
    }
    tags.into_iter().map(Option::unwrap_or_default).collect()
});

/// Looks for the tags of all slots, which takes some milliseconds, before anybody waits for one.
pub(super) fn prepare() {
    LazyLock::force(&TAGS);
}

/// What a server says of itself once, when it is first reached: too old, or the wrong kind, is an error.
pub(super) async fn inspect(
    connection: &mut MultiplexedConnection,
    wants_cluster: bool,
) -> Result<(), LinkError> {
    let info = match info(connection, "server").await {
        Ok(info) => info,
        // Whoever may not ask is believed to know.
        Err(LinkError::NotPermitted(_)) => return Ok(()),
        Err(error) => return Err(error),
    };
    let version = match field(&info, "valkey_version") {
        valkey if !valkey.is_empty() => valkey,
        _ => field(&info, "redis_version"),
    };
    let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
    let number: (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if !version.is_empty() && number < (6, 2) {
        return Err(LinkError::TooOld(version));
    }
    match (
        field(&info, "redis_mode").as_str(),
        field(&info, "server_mode").as_str(),
        wants_cluster,
    ) {
        ("sentinel", ..) | (_, "sentinel", _) => return Err(LinkError::IsSentinel),
        ("cluster", _, false) | (_, "cluster", false) => return Err(LinkError::IsCluster),
        ("standalone", _, true) | (_, "standalone", true) => return Err(LinkError::IsNoCluster),
        _ => {}
    }
    if let Ok(memory) = self::info(connection, "memory").await
        && let Some(policy) = forgets_by(&memory)
    {
        tracing::warn!(
            policy,
            "the store may forget counters that still count: set `maxmemory-policy` to `noeviction` or `volatile-ttl`"
        );
    }
    Ok(())
}

/// By which policy a server forgets keys that still count, if it does.
fn forgets_by(memory: &str) -> Option<String> {
    let policy = field(memory, "maxmemory_policy");
    let is_bounded = field(memory, "maxmemory") != "0";
    let forgets = is_bounded && !matches!(policy.as_str(), "noeviction" | "volatile-ttl" | "");
    forgets.then_some(policy)
}

/// A field of what a server says of itself; empty if it does not say.
fn field(info: &str, name: &str) -> String {
    let value = |line: &str| {
        Some(
            line.strip_prefix(name)?
                .strip_prefix(':')?
                .trim()
                .to_owned(),
        )
    };
    info.lines().find_map(value).unwrap_or_default()
}

async fn info(connection: &mut MultiplexedConnection, section: &str) -> Result<String, LinkError> {
    let mut command = Cmd::new();
    match ask(connection, command.arg("INFO").arg(section)).await? {
        Value::BulkString(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        other => Err(LinkError::Garbage(format!("{other:?} as information"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_that_forget_what_still_counts_are_told_from_others() {
        for (memory, expected) in [
            (
                "maxmemory:100\r\nmaxmemory_policy:allkeys-lru\r\n",
                Some("allkeys-lru"),
            ),
            (
                "maxmemory:100\r\nmaxmemory_policy:volatile-lru\r\n",
                Some("volatile-lru"),
            ),
            ("maxmemory:100\r\nmaxmemory_policy:volatile-ttl\r\n", None),
            ("maxmemory:100\r\nmaxmemory_policy:noeviction\r\n", None),
            ("maxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n", None),
            ("used_memory:1\r\n", None),
        ] {
            assert_eq!(forgets_by(memory).as_deref(), expected, "{memory}");
        }
    }

    #[test]
    fn every_slot_has_a_key_of_probes_whatever_the_prefix() {
        for prefix in ["tollgate", "a{b}:c"] {
            let names = KeyNames::new(prefix);
            for wanted in 0..SLOTS as u16 {
                let key = key(&names, Some(wanted));
                assert_eq!(slot(key.as_bytes()), wanted, "{key}");
            }
        }
    }

    #[test]
    fn keys_of_probes_begin_as_all_keys_do() {
        let names = KeyNames::new("a{b}:c");
        let begins = key(&names, None);
        let (prefix, _) = begins.split_once(":probe:").unwrap();
        assert!(names.of_all("p").starts_with(&format!("{prefix}:")));
    }
}
