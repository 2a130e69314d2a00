//! The configuration of Envoy's own rate-limit service, read as it is: one YAML file for each domain.
//!
//! Limits keep their meaning: they count in windows of the calendar in UTC, each descriptor for itself, and what is
//! denied is counted too. What has another meaning here is listed in `docs/service.md`.

mod build;
mod convert;
mod read;
mod yaml;

use tollgate::OnError;

use crate::diagnostic::Diagnostic;
use crate::domain::Domain;
use crate::file::LONGEST_FILE_BYTES;
use crate::read::Source;

/// Reads a file into a domain. `name` is how messages call the file, and `on_error` what happens to its limits while a
/// shared store cannot be reached. Of `before`, what was read of it last, policies are kept that have not changed.
///
/// # Errors
/// Everything that is wrong with it, in the order of the file; never empty.
pub fn parse(
    name: &str,
    text: &str,
    on_error: OnError,
    before: Option<&Domain>,
) -> Result<Domain, Vec<Diagnostic>> {
    let source = Source::new(name, text);
    let written = written(&source, text);
    let domain = written.map(|written| build::domain(&source, &written, on_error, before));
    let wrong = source.into_diagnostics();
    match domain {
        Some(domain) if wrong.is_empty() => Ok(domain),
        _ => Err(wrong),
    }
}

/// The same limits as a section of a rules file, with what they mean differently there as comments.
///
/// # Errors
/// As [`parse`].
pub fn convert(name: &str, text: &str) -> Result<String, Vec<Diagnostic>> {
    parse(name, text, OnError::default(), None)?;
    let source = Source::new(name, text);
    match written(&source, text) {
        Some(written) => Ok(convert::to_toml(&written)),
        None => Err(source.into_diagnostics()),
    }
}

fn written(source: &Source<'_>, text: &str) -> Option<read::Written> {
    if text.len() > LONGEST_FILE_BYTES {
        let message = format!("the file is longer than {LONGEST_FILE_BYTES} bytes");
        source.complain(0..0, message);
        return None;
    }
    let document = yaml::parse(source, text)?;
    read::file(source, &document)
}

#[cfg(test)]
mod tests;
