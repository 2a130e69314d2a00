//! Encryption of a listener: its certificate, and roots of its clients', read again when they change.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use rustls::{Error, RootCertStore};
use tollgate_rules::Certificates;

use crate::watched::Watched;

/// What is spoken within TLS, where clients name it in their greeting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spoken {
    /// Something that has no name there.
    Unnamed,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

impl Spoken {
    const ALL: [Spoken; 3] = [Spoken::Unnamed, Spoken::Http1, Spoken::Http2];

    fn name(self) -> Option<&'static [u8]> {
        match self {
            Spoken::Unnamed => None,
            Spoken::Http1 => Some(b"http/1.1"),
            Spoken::Http2 => Some(b"h2"),
        }
    }
}

/// One for each of [`Spoken::ALL`].
type Configs = [Arc<ServerConfig>; 3];

/// Keys and certificates in files.
pub struct TlsFiles {
    files: Certificates,
    configs: RwLock<Configs>,
    seen: Mutex<Seen>,
}

/// What the files were when they were last looked at.
struct Seen {
    watched: Vec<(PathBuf, Watched)>,
    /// Why what they are now is not used, where it is not.
    kept_out: Option<String>,
}

impl TlsFiles {
    /// Reads the files.
    ///
    /// # Errors
    /// What is wrong with them, as a person should read it. Nothing of a key is repeated.
    pub fn open(files: Certificates) -> Result<Self, String> {
        let paths = [
            Some(&files.cert),
            Some(&files.key),
            files.client_ca.as_ref(),
        ];
        let look = |path: &PathBuf| {
            let looked = Watched::look(path).map_err(|error| unreadable(path, &error))?;
            Ok((path.clone(), looked.0))
        };
        let watched: Result<_, String> = paths.into_iter().flatten().map(look).collect();
        Ok(TlsFiles {
            seen: Mutex::new(Seen {
                watched: watched?,
                kept_out: None,
            }),
            configs: RwLock::new(configs(&files)?),
            files,
        })
    }

    pub(crate) fn config(&self, spoken: Spoken) -> Arc<ServerConfig> {
        let configs = self.configs.read();
        Arc::clone(&configs.unwrap_or_else(PoisonError::into_inner)[spoken as usize])
    }

    /// Reads the files again if one has changed. What cannot be used is kept out, and tried again each time: one of them
    /// may have been away, and come back as it was. Connections go on with those from before.
    pub fn read_changed(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // Each is looked at, so that each is known as it is now.
        let changed = seen
            .watched
            .iter_mut()
            .map(|(path, watched)| watched.has_changed(path))
            .fold(false, |any, one| any | one);
        if !changed && seen.kept_out.is_none() {
            return;
        }
        match configs(&self.files) {
            Ok(configs) => {
                *self.configs.write().unwrap_or_else(PoisonError::into_inner) = configs;
                seen.kept_out = None;
                tracing::info!("certificates were read again");
            }
            Err(why) => {
                // Told once, and not with each time that it is tried.
                if changed || seen.kept_out.as_ref() != Some(&why) {
                    tracing::error!("certificates have changed and are not used: {why}");
                }
                seen.kept_out = Some(why);
            }
        }
    }
}

fn unreadable(path: &Path, why: &dyn std::fmt::Display) -> String {
    format!("{} cannot be used: {why}", path.display())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let read = read.map_err(|error| match error {
        pem::Error::Io(error) => unreadable(path, &error),
        error => unreadable(path, &error),
    })?;
    match read.is_empty() {
        true => Err(unreadable(path, &"there is no certificate in it")),
        false => Ok(read),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let read = PrivateKeyDer::from_pem_file(path);
    read.map_err(|error| match error {
        // Written for a person who types its passphrase, in one of two forms.
        pem::Error::Io(error) => unreadable(path, &error),
        _ if fs::read_to_string(path).is_ok_and(|text| text.contains("ENCRYPTED")) => {
            let why = "the key in it is encrypted, and nobody is there to type its passphrase; `openssl pkey -in FILE -out OTHER` writes it without one";
            unreadable(path, &why)
        }
        pem::Error::NoItemsFound => unreadable(path, &"there is no private key in it"),
        error => unreadable(path, &error),
    })
}

fn configs(files: &Certificates) -> Result<Configs, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let chain = certificates(&files.cert)?;
    let key = private_key(&files.key)?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for root in certificates(path)? {
                roots.add(root).map_err(|error| unreadable(path, &error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(
                verifier.build().map_err(|error| unreadable(path, &error))?,
            )
        }
    };
    let config = builder.with_single_cert(chain, key);
    let config = config.map_err(|error| match error {
        Error::InconsistentKeys(_) => {
            let why = format!(
                "it is not the key of the certificate in {}",
                files.cert.display()
            );
            unreadable(&files.key, &why)
        }
        Error::InvalidCertificate(_) => {
            unreadable(&files.cert, &"what stands in it as a certificate is none")
        }
        error => unreadable(&files.key, &error),
    })?;
    Ok(Spoken::ALL.map(|spoken| {
        let mut config = config.clone();
        config.alpn_protocols = spoken.name().map(<[u8]>::to_vec).into_iter().collect();
        Arc::new(config)
    }))
}
