//! `[limits.NAME]`, and limits written inline: `"100 per minute by client-ip"`.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use http::HeaderName;
use tollgate::{AlgorithmKind, Mode, Policy, Quota};

use super::counters;
use super::penalty;
use crate::key::{KeyPart, KeySpec};
use crate::limit::{Exempt, Limit, MissingKey};
use crate::read::{At, Source, Table, Value, nearest};
use crate::terms::{Sharing, Terms};

/// Parts of a key that have no parameter; the others are `header:NAME`, `cookie:NAME` and `query:NAME`.
const PLAIN_PARTS: [&str; 5] = ["client-ip", "user", "api-key", "route", "global"];
const IPV6_PREFIX: u8 = 64;
/// What the quota of an API key is called: a limit of this name and that quota would be counted as one.
pub(super) const RESERVED_NAME: &str = "own";

/// The policy that counts numbers which come with a question, `CL.THROTTLE`: under this name its units would be shared.
const RESERVED_POLICY: &str = "cl.throttle";

/// The `[limits]` table as far as it could be read.
#[derive(Default)]
pub(super) struct NamedLimits {
    pub(super) read: Vec<Arc<Limit>>,
    /// Names of limits about which there is a complaint already.
    pub(super) wrong: HashSet<String>,
    /// Whether there is a complaint about the table, so that any name may be one of its limits.
    pub(super) is_wrong: bool,
}

/// Every limit of the `[limits]` table of a file; `sharing` is that of limits which say nothing of it.
pub(super) fn named(root: &mut Table<'_, '_>, sharing: Sharing) -> NamedLimits {
    let mut limits = NamedLimits::default();
    let Some(table) = root.table("limits") else {
        limits.is_wrong = !root.lacks("limits");
        return limits;
    };
    let source = table.source();
    for (name, value) in table.entries() {
        if !is_name(&name.value) {
            let help = "letters, digits and dashes, beginning with a letter: names stand in response fields and metrics";
            let message = format!("`{}` cannot name a limit", name.value);
            source.complain_with(name.span, message, Some(help.to_owned()));
        } else if name.value == RESERVED_NAME {
            let message = format!("`{RESERVED_NAME}` is the name of every API key's own quota");
            source.complain(name.span, message);
        } else if let Some(limit) = value
            .table()
            .and_then(|table| limit(&name.value, table, sharing))
        {
            limits.read.push(limit);
            continue;
        }
        limits.wrong.insert(name.value);
    }
    limits
}

pub(super) fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.len() <= 64
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

fn limit(name: &str, mut table: Table<'_, '_>, sharing: Sharing) -> Option<Arc<Limit>> {
    let source = table.source();
    let ipv6_prefix = table
        .value("ipv6_prefix")
        .and_then(|value| value.number(16, 128))
        .map_or(IPV6_PREFIX, |bits| bits as u8);
    let key = match table.value("key") {
        Some(value) => value
            .strings()
            .and_then(|words| key_spec(source, value.span(), &words, ipv6_prefix)),
        None => {
            let message = format!(
                "the limit `{name}` needs a `key`: who shares it, like `key = \"client-ip\"`"
            );
            table.complain_lacking("key", message);
            None
        }
    };
    let missing = table.value("missing").and_then(|value| {
        value.choice(&[
            ("deny", MissingKey::Deny),
            ("anonymous", MissingKey::Anonymous),
            ("skip", MissingKey::Skip),
        ])
    });
    let exempt = table
        .value("exempt")
        .and_then(|value| value.strings())
        .unwrap_or_default();
    let exempt = exempt
        .into_iter()
        .filter_map(|text| exemption(source, text))
        .collect();
    let counted = counted(&mut table, &format!("the limit `{name}`"), name, sharing);
    table.finish();
    let (key, counted) = (key?, counted?);
    Some(Arc::new(Limit {
        name: name.to_owned(),
        key,
        policies: counted.policies,
        missing: missing.unwrap_or_default(),
        exempt,
        terms: counted.terms,
    }))
}

/// The quotas of a table and how they count, as policies.
pub(super) struct Counted {
    pub(super) terms: Terms,
    pub(super) policies: Vec<Arc<Policy>>,
}

/// Reads `quotas` and what else says how they count. `what` is how complaints call it all, `name` begins the names of
/// the policies, `sharing` is that of tables which say nothing of it.
pub(super) fn counted(
    table: &mut Table<'_, '_>,
    what: &str,
    name: &str,
    sharing: Sharing,
) -> Option<Counted> {
    let source = table.source();
    let algorithm = table
        .value("algorithm")
        .and_then(|value| value.choice(&AlgorithmKind::NAMES))
        .unwrap_or_default();
    let mode = table.value("mode").and_then(|value| {
        value.choice(&[
            ("enforce", Some(Mode::Enforce)),
            ("shadow", Some(Mode::Shadow)),
            ("off", None),
        ])
    });
    let count_denied = table
        .value("count_denied")
        .and_then(|value| value.bool())
        .unwrap_or(false);
    let sharing = counters::sharing(|key| table.value(key), sharing);
    let quotas = match table.value("quotas") {
        Some(value) => quotas(&value, algorithm),
        None => {
            let message = format!("{what} needs `quotas`, like `quotas = [\"5 per minute\"]`");
            table.complain_lacking("quotas", message);
            None
        }
    };
    let penalty = table
        .value("penalty")
        .and_then(|value| penalty::written(&value));
    let terms = Terms {
        algorithm,
        mode: mode.unwrap_or(Some(Mode::Enforce)),
        count_denied,
        sharing,
        penalty: penalty.as_ref().map(penalty::Written::penalty),
    };
    let quotas = quotas?;
    let mut policies = Vec::new();
    let mut windows: Vec<String> = Vec::new();
    for (window, quota, span) in quotas {
        if windows.contains(&window) {
            let help = "give them names: quotas = { short = \"…\", long = \"…\" }".to_owned();
            source.complain_with(
                span,
                format!("two quotas of {what} have the window `{window}`"),
                Some(help),
            );
            continue;
        }
        let policy_name = format!("{name}.{window}");
        if policy_name == RESERVED_POLICY {
            source.complain(
                span,
                format!("`{RESERVED_POLICY}` counts what is asked by `CL.THROTTLE`: give the limit or the window another name"),
            );
            continue;
        }
        // A limit that is off keeps its name and its place, and decides nothing.
        let Some(mode) = terms.mode else {
            continue;
        };
        match Policy::new(&policy_name, quota) {
            Ok(policy) => {
                let policy = policy.with_mode(mode).counting_denied(count_denied);
                let policy = sharing.with(policy);
                policies.extend(penalty::punish(source, penalty.as_ref(), policy).map(Arc::new));
                windows.push(window);
            }
            Err(error) => source.complain(span, error.to_string()),
        }
    }
    Some(Counted { terms, policies })
}

type Named = (String, Quota, Range<usize>);

/// `["5 per minute", …]`, or `{ minute = "5 per minute", … }`, or one string with several.
fn quotas(value: &Value<'_, '_>, algorithm: AlgorithmKind) -> Option<Vec<Named>> {
    let read = |text: &At<String>| {
        let parsed = Quota::parse_list_with(&text.value, algorithm);
        parsed
            .map_err(|error| value.complain_within(text, error.span(), &error.to_string()))
            .ok()
    };
    // All of them are read, so that all mistakes are told.
    let mut is_wrong = false;
    let mut named = Vec::new();
    if value.is_table() {
        for (name, quota) in value.table()?.entries() {
            if !is_name(&name.value) {
                value.source().complain(
                    name.span.clone(),
                    format!("`{}` cannot name a window", name.value),
                );
                is_wrong = true;
            }
            let text = quota.string();
            let quotas = text.as_ref().and_then(&read);
            let (Some(text), Some(mut quotas)) = (text, quotas) else {
                is_wrong = true;
                continue;
            };
            if quotas.len() > 1 {
                value
                    .source()
                    .complain(text.span.clone(), "a named window has one quota");
            }
            named.push((name.value, quotas.swap_remove(0), text.span));
        }
    } else {
        for text in value.strings()? {
            let Some(quotas) = read(&text) else {
                is_wrong = true;
                continue;
            };
            let quotas = quotas.into_iter();
            named.extend(quotas.map(|quota| (quota.window_name(), quota, text.span.clone())));
        }
    }
    if is_wrong {
        return None;
    }
    if named.is_empty() {
        value.source().complain(
            value.span(),
            "a limit needs at least one quota, like `[\"5 per minute\"]`",
        );
    }
    Some(named)
}

fn key_spec(
    source: &Source<'_>,
    span: Range<usize>,
    words: &[At<String>],
    ipv6_prefix: u8,
) -> Option<KeySpec> {
    let parts: Option<Vec<KeyPart>> = words
        .iter()
        .map(|word| key_part(source, word, ipv6_prefix))
        .collect();
    let parts = parts?;
    if parts.is_empty() {
        source.complain(
            span,
            "a key has at least one part; write `global` for one that everybody shares",
        );
    }
    Some(KeySpec(parts))
}

fn key_part(source: &Source<'_>, word: &At<String>, ipv6_prefix: u8) -> Option<KeyPart> {
    let wrong = |message: String| {
        let near = nearest(&word.value, PLAIN_PARTS.into_iter());
        let help = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!(
                "one of: {}, header:NAME, cookie:NAME, query:NAME, claim:NAME",
                PLAIN_PARTS.join(", ")
            ),
        };
        source.complain_with(word.span.clone(), message, Some(help));
        None
    };
    match word.value.split_once(':') {
        None => match word.value.as_str() {
            "client-ip" => Some(KeyPart::ClientIp { ipv6_prefix }),
            "user" => Some(KeyPart::User),
            "api-key" => Some(KeyPart::ApiKey),
            "route" => Some(KeyPart::Route),
            "global" => Some(KeyPart::Global),
            other => wrong(format!("`{other}` is no part of a key")),
        },
        Some(("header", name)) => match HeaderName::try_from(name) {
            Ok(header) => Some(KeyPart::Header(header)),
            Err(_) => wrong(format!("`{name}` is no name of a header field")),
        },
        Some(("cookie", name)) if !name.is_empty() => Some(KeyPart::Cookie(name.to_owned())),
        Some(("claim", name)) if !name.is_empty() => Some(KeyPart::Claim(name.to_owned())),
        Some(("query", name)) if !name.is_empty() => Some(KeyPart::Query(name.to_owned())),
        Some(_) => wrong(format!("`{}` is no part of a key", word.value)),
    }
}

fn exemption(source: &Source<'_>, text: At<String>) -> Option<Exempt> {
    if let Some(name) = text.value.strip_prefix("user:") {
        return Some(Exempt::User(name.to_owned()));
    }
    let network = text
        .value
        .parse()
        .or_else(|_| text.value.parse::<std::net::IpAddr>().map(Into::into));
    network
        .map(Exempt::Network)
        .map_err(|_| {
            source.complain(
                text.span,
                format!("`{}` is neither a network nor `user:NAME`", text.value),
            )
        })
        .ok()
}

/// A limit written inline, `QUOTAS [by KEY, …]`, named `name`. Without `by`, the client's address is the key.
pub(super) fn inline(
    source: &Source<'_>,
    text: &At<String>,
    name: &str,
    sharing: Sharing,
) -> Option<Arc<Limit>> {
    let (quotas_text, key_text) = match text.value.split_once(" by ") {
        Some((quotas, key)) => (quotas, key),
        None => (text.value.as_str(), "client-ip"),
    };
    let quotas = match Quota::parse_list(quotas_text) {
        Ok(quotas) => quotas,
        Err(error) => {
            source.complain_within(text, error.span(), &error.to_string());
            return None;
        }
    };
    let words: Vec<At<String>> = key_text
        .split(',')
        .map(|word| At {
            value: word.trim().to_owned(),
            span: text.span.clone(),
        })
        .collect();
    let key = key_spec(source, text.span.clone(), &words, IPV6_PREFIX)?;
    let mut limit = Limit {
        name: name.to_owned(),
        key,
        policies: Vec::new(),
        missing: MissingKey::default(),
        exempt: Vec::new(),
        terms: Terms {
            mode: Some(Mode::Enforce),
            sharing,
            ..Terms::default()
        },
    };
    let mut windows: Vec<String> = Vec::new();
    for quota in quotas {
        let window = quota.window_name();
        match Policy::new(&format!("{name}.{window}"), quota) {
            Ok(_) if windows.contains(&window) => {
                source.complain(
                    text.span.clone(),
                    format!("two quotas have the window `{window}`"),
                );
            }
            Ok(policy) => {
                limit.policies.push(Arc::new(sharing.with(policy)));
                windows.push(window);
            }
            Err(error) => source.complain(text.span.clone(), error.to_string()),
        }
    }
    Some(Arc::new(limit))
}
