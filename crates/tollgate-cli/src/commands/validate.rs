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
    Ok(())
}
