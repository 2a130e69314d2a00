//! What is written in such a file, as a section of a rules file.

use std::fmt::Write;

use tollgate::Quota;

use super::build;
use super::read::{Descriptor, Rate, Unit, Written};
use crate::domain::Metadata;

const HEADER: &str = "\
# Converted from a file of Envoy's rate-limit service. What means something else here:
# - All descriptors of a request are decided together: if one denies, none is charged. There each counts for itself;
#   `decide = \"apart\"` in the domain's table does that.
# - A request that is denied costs nothing. There it counts; `count_denied = true` in a descriptor does that.
";

pub(super) fn to_toml(written: &Written) -> String {
    let mut out = HEADER.to_owned();
    let domain = key(&written.domain);
    let rates = written
        .descriptors
        .iter()
        .filter_map(|descriptor| descriptor.limit.as_ref());
    let units: Vec<Unit> = rates
        .filter_map(|limit| match limit.rate {
            Rate::Limited { unit, .. } => Some(unit),
            Rate::Unlimited => None,
        })
        .collect();
    if units.iter().any(|unit| *unit != Unit::Second) {
        out.push_str(
            "# - Windows are those of the calendar in UTC, as there; weeks begin on Monday (there on Thursday), and months and years\n\
             #   are those of the calendar (there 30 and 365 days). Without `calendar UTC` a window slides, and twice as much\n\
             #   never passes around its edge: `quotas = [\"5 per minute\"]` with the algorithm `sliding-window`.\n",
        );
    }
    if units.contains(&Unit::Second) {
        out.push_str("# - A second begins with its first request. There it is one of the clock.\n");
    }
    // Writing into a string does not fail.
    let _ = write!(out, "\n[service.domains.{domain}]\ndecide = \"together\"\n");
    for descriptor in &written.descriptors {
        write_descriptor(&mut out, &domain, descriptor);
    }
    out
}

fn write_descriptor(out: &mut String, domain: &str, descriptor: &Descriptor) {
    let limit = descriptor.limit.as_ref();
    // What is met by nothing but by what is within it needs no place of its own.
    if limit.is_none() && descriptor.is_parent {
        return;
    }
    let _ = write!(out, "\n[[service.domains.{domain}.descriptors]]\n");
    let entries: Vec<String> = descriptor
        .entries
        .iter()
        .map(|entry| quoted(&entry.to_string()))
        .collect();
    let _ = writeln!(out, "entries = [{}]", entries.join(", "));
    if descriptor.has_pattern() {
        out.push_str("# Each value that the pattern meets has a counter of its own.\n");
    }
    if let Some(limit) = limit {
        if !limit.name.is_empty() {
            let _ = writeln!(out, "name = {}", quoted(&limit.name));
        }
        if !limit.replaces.is_empty() {
            let names: Vec<String> = limit.replaces.iter().map(|name| quoted(name)).collect();
            let _ = writeln!(out, "replaces = [{}]", names.join(", "));
        }
    }
    match limit.map(|limit| limit.rate) {
        Some(Rate::Limited { requests, unit }) => {
            let quota = build::quota(u64::from(requests), unit).unwrap_or_else(|_| Quota::deny());
            let _ = writeln!(out, "quotas = [{}]", quoted(&quota.to_string()));
        }
        Some(Rate::Unlimited) => out.push_str("quotas = [\"unlimited\"]\n"),
        None => out.push_str("# No limit: it keeps a more general descriptor from being met.\nquotas = [\"unlimited\"]\n"),
    }
    if descriptor.shadow {
        out.push_str("mode = \"shadow\"\n");
    }
    let measured: Vec<String> = descriptor
        .entries
        .iter()
        .zip(&descriptor.measured)
        .filter(|(_, measured)| **measured)
        .map(|(entry, _)| quoted(&entry.key))
        .collect();
    if !measured.is_empty() {
        let _ = writeln!(out, "metric_values = [{}]", measured.join(", "));
    }
    write_metadata(out, &descriptor.metadata);
}

fn write_metadata(out: &mut String, metadata: &[(String, Metadata)]) {
    let mut plain = Vec::new();
    for (name, value) in metadata {
        match value {
            Metadata::Text(text) => plain.push(format!("{} = {}", key(name), quoted(text))),
            Metadata::Number(number) => plain.push(format!("{} = {number:?}", key(name))),
            Metadata::Bool(bool) => plain.push(format!("{} = {bool}", key(name))),
            Metadata::Null | Metadata::List(_) | Metadata::Map(_) => {
                let _ = writeln!(
                    out,
                    "# metadata {}: only text, numbers, true and false can stand here.",
                    quoted(name)
                );
            }
        }
    }
    if !plain.is_empty() {
        let _ = writeln!(out, "metadata = {{ {} }}", plain.join(", "));
    }
}

/// A key of a table, in quotes where it must be.
fn key(name: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    match !name.is_empty() && name.bytes().all(bare) {
        true => name.to_owned(),
        false => quoted(name),
    }
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
