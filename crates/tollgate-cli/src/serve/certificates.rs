//! Certificates of listeners: read at the start, and again when they change.

use std::sync::Arc;

use tollgate_gateway::tls::TlsFiles;
use tollgate_gateway::watched;
use tollgate_rules::Certificates;

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

/// Has them read again when they change, as long as the runtime is there.
pub(super) fn follow(files: &Arc<TlsFiles>) {
    let files = Arc::clone(files);
    tokio::spawn(watched::follow("certificates", move || {
        files.read_changed();
    }));
}
