//! A script, and the digest by which servers that have it know it.

use std::fmt::Write;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

/// A script's text and its digest.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) text: String,
    /// SHA-1, in lower-case hexadecimal digits, as `EVALSHA` wants it.
    pub(crate) sha: String,
}

impl Script {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        let mut sha = String::new();
        for byte in digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()).as_ref() {
            let _ = write!(sha, "{byte:02x}");
        }
        Script { text, sha }
    }
}
