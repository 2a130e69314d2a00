//! `[counters]`: where they live, and what happens while they cannot be reached.

use std::time::Duration;

use tollgate::{Lease, OnError, OnFull};

use super::server::{MIB, MaybeTable, Settings};
use crate::Counters;
use crate::read::{At, Value, nearest};
use crate::terms::Sharing;

/// Beginnings of the URLs of shared stores.
const SHARED: [&str; 9] = [
    "redis://",
    "rediss://",
    "redis+cluster://",
    "rediss+cluster://",
    "redis+sentinel://",
    "rediss+sentinel://",
    "redis+unix://",
    "valkey://",
    "valkeys://",
];
const PREFIX_BYTES_MAX: usize = 64;

/// `url` stands in the place of the file's.
pub(super) fn counters(table: MaybeTable<'_, '_>, url: Option<&str>) -> Counters {
    let mut reader = Settings(table);
    let written = reader.value("url").and_then(|value| place(&value));
    let prefix = reader.value("prefix").and_then(|value| prefix(&value));
    let counters = Counters {
        url: url
            .map(str::to_owned)
            .or(written)
            .unwrap_or_else(|| Counters::MEMORY.to_owned()),
        memory_bytes_max: reader.number(
            "memory_bytes_max",
            MIB,
            1 << 44,
            tollgate::MemoryStore::DEFAULT_BYTES_MAX as u64,
        ) as usize,
        on_full: reader
            .choice(
                "on_full",
                &[("open", OnFull::Open), ("closed", OnFull::Closed)],
            )
            .unwrap_or_default(),
        sharing: sharing(|key| reader.value(key), Sharing::default()),
        nodes: reader.number("nodes", 1, 10_000, 2) as u32,
        deadline: Duration::from_millis(reader.number("deadline_ms", 1, 10_000, 25)),
        prefix: prefix.unwrap_or_else(|| "tollgate".to_owned()),
    };
    reader.finish();
    counters
}

/// What a table says of limits in a shared store, beside what holds where it says nothing.
pub(super) fn sharing<'v, 't: 'v>(
    mut value: impl FnMut(&'static str) -> Option<Value<'v, 't>>,
    otherwise: Sharing,
) -> Sharing {
    let on_error = value("on_error").and_then(|value| value.choice(&OnError::NAMES));
    let lease = value("lease").and_then(|value| lease(&value));
    Sharing {
        on_error: on_error.unwrap_or(otherwise.on_error),
        lease: lease.unwrap_or(otherwise.lease),
    }
}

fn lease(value: &Value<'_, '_>) -> Option<Lease> {
    match value.is_number() {
        true => Some(Lease::Units(value.number(1, 1 << 53)?)),
        false => value.choice(&[("off", Lease::Off), ("auto", Lease::Auto)]),
    }
}

fn place(value: &Value<'_, '_>) -> Option<String> {
    let url = value.string()?;
    if names_a_place(&url.value) {
        return Some(url.value);
    }
    let scheme = url.value.split_once(':').map_or("", |(scheme, _)| scheme);
    let known = SHARED.iter().map(|known| known.trim_end_matches("://"));
    let help = match nearest(scheme, known.chain(["memory"])) {
        Some(near) if near != scheme => format!("did you mean `{near}:`?"),
        _ => format!(
            "write `{}`, or a URL that begins with {}",
            Counters::MEMORY,
            SHARED.join(", ")
        ),
    };
    let At { value: url, span } = url;
    let message = format!("counters cannot live in `{url}`");
    value.source().complain_with(span, message, Some(help));
    None
}

/// What follows the beginning is the store's business.
fn names_a_place(url: &str) -> bool {
    let shared = SHARED.iter().filter_map(|known| url.strip_prefix(known));
    url == Counters::MEMORY || shared.into_iter().any(|rest| !rest.is_empty())
}

/// It begins the name of every key, where people read it and scripts look for it.
fn prefix(value: &Value<'_, '_>) -> Option<String> {
    let prefix = value.string()?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if (1..=PREFIX_BYTES_MAX).contains(&prefix.value.len()) && prefix.value.bytes().all(fits) {
        return Some(prefix.value);
    }
    let message = format!("`{}` cannot begin the names of keys", prefix.value);
    let help = format!("1 to {PREFIX_BYTES_MAX} letters, digits, dashes, underscores and dots");
    value
        .source()
        .complain_with(prefix.span, message, Some(help));
    None
}
