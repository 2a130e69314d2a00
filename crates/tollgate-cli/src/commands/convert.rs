//! `tollgate convert`: a file of Envoy's rate-limit service, as a section of a rules file.

use std::path::Path;

use tollgate_rules::envoy;

use crate::failure::Failure;
use crate::serve::rules;

pub(crate) fn run(file: &Path) -> Result<(), Failure> {
    let text = rules::text_of(file)?;
    let converted = envoy::convert(&file.display().to_string(), &text);
    let converted = converted.map_err(|mistakes| rules::mistaken(&mistakes))?;
    print!("{converted}");
    Ok(())
}
