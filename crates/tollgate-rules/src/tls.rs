//! Files of keys and certificates.

use std::path::PathBuf;

/// Files of a key and of certificates, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificates {
    /// The certificate of who is called, and those between it and its root.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Roots of the certificates that clients must show; `None` if they need none.
    pub client_ca: Option<PathBuf>,
}
