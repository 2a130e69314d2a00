//! `tollgate validate`: what is wrong with a rules file.

use std::path::Path;

use tollgate::OnError;
use tollgate_rules::envoy;

use crate::failure::Failure;
use crate::serve::{certificates, rules};
use crate::time;

pub(crate) fn run(file: &Path) -> Result<(), Failure> {
    let extension = file.extension().and_then(|extension| extension.to_str());
    if matches!(extension, Some("yaml" | "yml")) {
        return of_envoy(file);
    }
    let rules = rules::read(file, &Default::default())?;
    certificates::check(&rules)?;
    println!(
        "{} is right. Routes: {}. Limits: {}.",
        file.display(),
        rules.routes.routes().len(),
        rules.limits.len()
    );
    let since = match rules.version {
        Some(_) => "as `version` says",
        None => "the date of the file",
    };
    println!(
        "Version: {} ({since}). Contents: {:08x}.",
        time::rfc3339(rules::written_at(file, &rules)),
        rules.contents()
    );
    for (pattern, meant) in rules.routes.lookalikes() {
        eprintln!(
            "warning: `{pattern}` is a path as it stands, and stands for no other: write `{meant}` for any"
        );
    }
    for limit in rules.unused_limits() {
        eprintln!(
            "warning: no route charges the limit `{}`: name it in `limits` of a route or of [defaults]",
            limit.name
        );
    }
    Ok(())
}

/// A file of Envoy's rate-limit service.
fn of_envoy(file: &Path) -> Result<(), Failure> {
    let text = rules::text_of(file)?;
    let name = file.display().to_string();
    let domain = envoy::parse(&name, &text, OnError::default(), None);
    let domain = domain.map_err(|mistakes| rules::mistaken(&mistakes))?;
    println!(
        "{name} is right. Domain: {}. Descriptors: {}.",
        domain.name,
        domain.descriptors().len()
    );
    Ok(())
}
