//! `[[accounts.issuers]]`.

use std::path::PathBuf;

use crate::issuer::{Issuer, TokenAlgorithm};
use crate::read::{At, Table, Value, choose};

/// How many issuers there can be.
const ISSUERS_MAX: usize = 16;

/// The issuer of the gateway's own tokens.
const OWN: &str = "tollgate";

pub(super) fn issuers(value: Option<Value<'_, '_>>) -> Vec<Issuer> {
    let Some(value) = value else {
        return Vec::new();
    };
    let tables = value.array().unwrap_or_default();
    if tables.len() > ISSUERS_MAX {
        let message = format!("there are more than {ISSUERS_MAX} issuers");
        value.source().complain(value.span(), message);
        return Vec::new();
    }
    let mut known: Vec<Issuer> = Vec::new();
    for place in &tables {
        let Some(issuer) = place.table().and_then(issuer) else {
            continue;
        };
        if known.iter().any(|other| other.issuer == issuer.issuer) {
            let message = format!("the issuer `{}` is there already", issuer.issuer);
            place.source().complain(place.span(), message);
        }
        known.push(issuer);
    }
    known
}

fn issuer(mut table: Table<'_, '_>) -> Option<Issuer> {
    let source = table.source();
    let name = required(
        &mut table,
        "issuer",
        "its `iss`, like `https://login.example/`",
    );
    let audience = required(
        &mut table,
        "audience",
        "who its tokens are for: their `aud`",
    );
    let jwks = required(
        &mut table,
        "jwks",
        "a file with its keys, like `login.jwks.json`",
    );
    let algorithms = algorithms(&mut table);
    let user_claim = text(&mut table, "user_claim");
    let name_claim = text(&mut table, "name_claim");
    table.finish();
    let name = name?;
    if name.value == OWN {
        let message = format!("`{OWN}` issues the gateway's own tokens");
        source.complain(name.span, message);
        return None;
    }
    let jwks = jwks?;
    if jwks.value.contains("://") {
        let help = "fetch them beforehand, and again when they change; the file is read again when it has changed";
        let message = "keys are read from a file, never from the network";
        source.complain_with(jwks.span, message, Some(help.to_owned()));
        return None;
    }
    Some(Issuer {
        issuer: name.value,
        audience: audience?.value,
        jwks: PathBuf::from(jwks.value),
        algorithms: algorithms?,
        user_claim: user_claim.unwrap_or_else(|| "sub".to_owned()),
        name_claim,
    })
}

fn required(table: &mut Table<'_, '_>, key: &'static str, what: &str) -> Option<At<String>> {
    match table.value(key) {
        Some(value) => {
            let text = value.string()?;
            if text.value.is_empty() {
                value
                    .source()
                    .complain(text.span, format!("`{key}` must not be empty"));
                return None;
            }
            Some(text)
        }
        None => {
            let message = format!("an issuer needs `{key}`: {what}");
            table.complain_lacking(key, message);
            None
        }
    }
}

fn text(table: &mut Table<'_, '_>, key: &'static str) -> Option<String> {
    Some(table.value(key)?.string()?.value)
}

fn algorithms(table: &mut Table<'_, '_>) -> Option<Vec<TokenAlgorithm>> {
    let source = table.source();
    let Some(value) = table.value("algorithms") else {
        let message = "an issuer needs `algorithms`: how its tokens are signed, like [\"RS256\"]";
        table.complain_lacking("algorithms", message);
        return None;
    };
    let words = value.strings()?;
    if words.is_empty() {
        source.complain(value.span(), "`algorithms` must not be empty");
    }
    words
        .iter()
        .map(|word| {
            if word.value.starts_with("HS") {
                let message = format!(
                    "`{}` is a shared secret: whoever verifies could sign as well",
                    word.value
                );
                source.complain(word.span.clone(), message);
                return None;
            }
            choose(source, word, "algorithms", &TokenAlgorithm::OTHERS)
        })
        .collect()
}
