//! An authority of a test's own and a certificate from it for servers on this machine, made by `openssl`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use tempfile::TempDir;

use crate::process::run;

/// Files that live as long as one of their clones.
#[derive(Clone, Debug)]
pub struct Certificates(Arc<TempDir>);

impl Certificates {
    /// New ones, which nobody else trusts.
    pub fn new() -> Self {
        Self::naming("IP:127.0.0.1,DNS:localhost")
    }

    /// New ones for a server of these names, as `openssl` writes them.
    pub fn naming(names: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path();
        let key = [
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
        ];
        let authority = [
            "-subj",
            "/CN=test authority",
            "-days",
            "2",
            "-x509",
            "-keyout",
            "ca.key",
            "-out",
            "ca.pem",
        ];
        openssl(at, &[&["req"][..], &key, &authority].concat());
        let request = [
            "-subj",
            "/CN=127.0.0.1",
            "-keyout",
            "server.key",
            "-out",
            "server.csr",
        ];
        openssl(at, &[&["req"][..], &key, &request].concat());
        let names = format!("subjectAltName={names}\nbasicConstraints=CA:FALSE\n");
        std::fs::write(at.join("names"), names).unwrap();
        let signed = [
            "x509",
            "-req",
            "-in",
            "server.csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
        ];
        let out = ["-days", "2", "-extfile", "names", "-out", "server.pem"];
        openssl(at, &[&signed[..], &out].concat());
        Certificates(Arc::new(dir))
    }

    /// The authority's certificate, which clients are to trust.
    pub fn authority(&self) -> PathBuf {
        self.0.path().join("ca.pem")
    }

    /// The server's certificate.
    pub fn certificate(&self) -> PathBuf {
        self.0.path().join("server.pem")
    }

    /// The server's private key.
    pub fn key(&self) -> PathBuf {
        self.0.path().join("server.key")
    }
}

impl Default for Certificates {
    fn default() -> Self {
        Self::new()
    }
}

fn openssl(dir: &Path, words: &[&str]) {
    let mut command = Command::new("openssl");
    command.current_dir(dir).args(words);
    let done = run(command, "");
    assert_eq!(done.code, 0, "{}", done.stderr);
}
