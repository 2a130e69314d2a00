//! `tollgate validate`: what is wrong with a rules file.

use std::path::Path;

use crate::failure::Failure;
use crate::serve::rules;

pub(crate) fn run(file: &Path) -> Result<(), Failure> {
    let rules = rules::read(file, &Default::default())?;
    println!(
        "{} is right. Routes: {}. Limits: {}.",
        file.display(),
        rules.routes.routes().len(),
        rules.limits.len()
    );
    for limit in rules.unused_limits() {
        eprintln!(
            "warning: no route charges the limit `{}`: name it in `limits` of a route or of [defaults]",
            limit.name
        );
    }
    Ok(())
}
