//! Certificates of listeners: read at the start, and again when they change.

use std::sync::Arc;

use tollgate_gateway::tls::TlsFiles;
use tollgate_gateway::watched;
use tollgate_rules::{Certificates, RuleSet};

use crate::failure::Failure;

/// Reads what `tls` in a section of the rules names.
///
/// # Errors
/// What is wrong with a file.
pub(super) fn open(named: &Certificates, section: &str) -> Result<Arc<TlsFiles>, Failure> {
    let files = TlsFiles::open(named.clone());
    let files = files.map_err(|why| Failure::Usage(format!("`tls` in [{section}]: {why}")))?;
    Ok(Arc::new(files))
}

/// Reads all that the rules name.
///
/// # Errors
/// What is wrong in each section.
pub(crate) fn check(rules: &RuleSet) -> Result<(), Failure> {
    let of_server = rules.server.tls.as_ref().map(|named| (named, "server"));
    let of_service = rules.service.tls.as_ref();
    let of_service = of_service.map(|tls| (&tls.certificates, "service"));
    let opened = [of_server, of_service].into_iter().flatten();
    let wrong: Vec<String> = opened
        .filter_map(|(named, section)| open(named, section).err())
        .map(|failure| failure.to_string())
        .collect();
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(Failure::Usage(wrong.join("\n"))),
    }
}

/// Has them read again when they change, as long as the runtime is there.
pub(super) fn follow(files: &Arc<TlsFiles>) {
    let files = Arc::clone(files);
    tokio::spawn(watched::follow("certificates", move || {
        files.read_changed();
    }));
}
