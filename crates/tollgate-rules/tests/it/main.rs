//! The rules file as its writer meets it: strict where it is wrong, exact where it is right.
#![allow(clippy::unwrap_used, reason = "tests")]

mod accounts;
mod counters;
mod forward_auth;
mod hostile;
mod limits;
mod matching;
mod presets;
mod reference;
mod service;
mod shown;
mod strict;
mod version;

use tollgate_rules::{Diagnostic, Overrides, RuleSet};

/// A route that is right, for files that test something else.
const ROUTE: &str = "[[routes]]\nmatch = \"GET /\"\nrespond = { text = \"x\" }\n";

fn rules(text: &str) -> RuleSet {
    read(text).unwrap_or_else(|errors| panic!("{}", printed(&errors)))
}

fn read(text: &str) -> Result<RuleSet, Vec<Diagnostic>> {
    RuleSet::parse("tollgate.toml", text, &Overrides::default())
}

/// What is wrong with a file in which something is.
fn complaints(text: &str) -> Vec<Diagnostic> {
    match read(text) {
        Ok(_) => panic!("this was accepted:\n{text}"),
        Err(errors) => errors,
    }
}

/// The one thing that is wrong, and what was probably meant.
fn complaint(text: &str) -> (String, String) {
    let errors = complaints(text);
    assert_eq!(errors.len(), 1, "{}", printed(&errors));
    (
        errors[0].message().to_owned(),
        errors[0].help().unwrap_or_default().to_owned(),
    )
}

fn printed(errors: &[Diagnostic]) -> String {
    errors.iter().map(Diagnostic::to_string).collect()
}
