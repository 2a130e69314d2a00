//! `[service.domains.NAME]`: what a decision service limits by, with any algorithm and any window.

use std::sync::Arc;

use tollgate::{Policy, Quota};

use super::limits;
use crate::domain::{
    DESCRIPTORS_MAX, DOMAIN_BYTES_MAX, Decide, Descriptor, DescriptorRate, Domain, ENTRIES_MAX,
    Entry, Metadata, label, policy_prefix,
};
use crate::read::{At, Plain, Table, Value};
use crate::terms::Sharing;

/// Every domain of `[service.domains]`; `sharing` is that of descriptors which say nothing of it.
pub(super) fn domains(table: Option<Table<'_, '_>>, sharing: Sharing) -> Vec<Arc<Domain>> {
    let Some(table) = table else {
        return Vec::new();
    };
    let domains = table.entries().filter_map(|(name, value)| {
        if name.value.is_empty() || name.value.len() > DOMAIN_BYTES_MAX {
            let message = format!("a domain's name has 1 to {DOMAIN_BYTES_MAX} bytes");
            table.source().complain(name.span, message);
            return None;
        }
        domain(&name.value, value.table()?, sharing)
    });
    domains.collect()
}

fn domain(name: &str, mut table: Table<'_, '_>, sharing: Sharing) -> Option<Arc<Domain>> {
    let source = table.source();
    let decide = table.value("decide").and_then(|value| {
        value.choice(&[("together", Decide::Together), ("apart", Decide::Apart)])
    });
    let denied_body = table.value("denied_body").and_then(|value| value.string());
    let mut domain = Domain::new(name, decide.unwrap_or_default(), sharing.on_error);
    domain.denied_body = denied_body.map_or(String::new(), |body| body.value);
    let descriptors = table.value("descriptors").and_then(|value| value.array());
    let span = table.span();
    table.finish();
    let descriptors = descriptors.unwrap_or_default();
    if descriptors.is_empty() {
        source.complain_with(
            span,
            format!("the domain `{name}` has no descriptors"),
            Some(format!(
                "[[service.domains.{name}.descriptors]] with `entries` and `quotas`"
            )),
        );
    }
    if let Some(beyond) = descriptors.get(DESCRIPTORS_MAX) {
        let message = format!("a domain has at most {DESCRIPTORS_MAX} descriptors");
        source.complain(beyond.span(), message);
        return None;
    }
    for value in &descriptors {
        let Some(mut table) = value.table() else {
            continue;
        };
        let Some((entries, descriptor)) = descriptor(name, &mut table, sharing) else {
            continue;
        };
        table.finish();
        let label = descriptor.label.clone();
        if domain.insert(&entries, descriptor).is_err() {
            let message = format!("there are two descriptors `{label}`");
            source.complain(value.span(), message);
        }
    }
    Some(Arc::new(domain))
}

fn descriptor(
    domain: &str,
    table: &mut Table<'_, '_>,
    sharing: Sharing,
) -> Option<(Vec<Entry>, Descriptor)> {
    let source = table.source();
    let entries = match table.value("entries") {
        Some(value) => entries(&value),
        None => {
            let message = "a descriptor needs `entries`, like `entries = [\"remote_address\"]`";
            table.complain_lacking("entries", message);
            None
        }
    };
    let name = table.value("name").and_then(|value| value.string());
    let name = name.map_or(String::new(), |name| name.value);
    let replaces = table.value("replaces").and_then(|value| value.strings());
    let replaces = replaces.unwrap_or_default().into_iter();
    let metadata = table.value("metadata").and_then(|value| value.table());
    let metadata = metadata.map_or_else(Vec::new, |table| {
        let values = table.entries();
        values
            .filter_map(|(name, value)| Some((name.value, passed_on(&value)?)))
            .collect()
    });
    let measured = table
        .value("metric_values")
        .and_then(|value| value.strings());
    let measured = measured.unwrap_or_default();
    let known = entries.clone().unwrap_or_default();
    for word in &measured {
        if !known.iter().any(|entry| entry.key == word.value) {
            let message = format!("`{}` is no key of this descriptor", word.value);
            source.complain(word.span.clone(), message);
        }
    }
    let label = label(&known);
    let called = if name.is_empty() { &label } else { &name };
    let counted = limits::counted(
        table,
        &format!("the descriptor `{called}`"),
        &policy_prefix(domain, &label),
        sharing,
    );
    let (entries, counted) = (entries?, counted?);
    let unlimited = counted
        .policies
        .iter()
        .all(|policy| policy.capacity().is_none() && !is_deny(policy));
    let descriptor = Descriptor {
        index: 0,
        measured: entries
            .iter()
            .map(|entry| measured.iter().any(|word| word.value == entry.key))
            .collect(),
        label,
        name,
        rate: match (counted.terms.mode, unlimited) {
            (None, _) => DescriptorRate::None,
            (Some(_), true) => DescriptorRate::Unlimited,
            (Some(_), false) => DescriptorRate::Limited(counted.policies),
        },
        replaces: replaces.map(|name| name.value).collect(),
        metadata,
    };
    Some((entries, descriptor))
}

fn is_deny(policy: &Policy) -> bool {
    policy.quota() == Some(Quota::deny())
}

/// `["plan=gold", "user"]`: `KEY=VALUE` is met by that value alone, `KEY=PATTERN` with `*` by those like it, `KEY` by any.
fn entries(value: &Value<'_, '_>) -> Option<Vec<Entry>> {
    let words = value.strings()?;
    let source = value.source();
    if words.is_empty() || words.len() > ENTRIES_MAX {
        let message = format!("a descriptor has 1 to {ENTRIES_MAX} entries");
        source.complain(value.span(), message);
        return None;
    }
    let entry = |word: At<String>| {
        let (key, value) = match word.value.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (word.value.as_str(), None),
        };
        if key.is_empty() || value.as_deref() == Some("") {
            let message = "an entry is `KEY` or `KEY=VALUE`";
            source.complain(word.span.clone(), message);
            return None;
        }
        Some(Entry {
            key: key.to_owned(),
            value,
        })
    };
    words.into_iter().map(entry).collect()
}

/// What is passed on as it is: text, numbers, true and false.
fn passed_on(value: &Value<'_, '_>) -> Option<Metadata> {
    value.plain().map(|plain| match plain {
        Plain::Text(text) => Metadata::Text(text),
        Plain::Number(number) => Metadata::Number(number),
        Plain::Bool(bool) => Metadata::Bool(bool),
    })
}
