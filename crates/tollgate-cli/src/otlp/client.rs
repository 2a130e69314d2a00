//! One POST to a collector, over a connection of its own, with or without TLS.

use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::environment::Environment;

/// Of an answer, which nobody reads.
const ANSWER_BYTES_MAX: usize = 64 << 10;

type AnyError = Box<dyn Error + Send + Sync>;

/// Knows where the collector is, and how it is spoken to.
pub(super) struct Client {
    endpoint: Uri,
    host: String,
    port: u16,
    headers: HeaderMap,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Client {
    /// # Errors
    /// Certificates that cannot be read, a host that can have none.
    pub(super) fn new(environment: &Environment) -> Result<Self, String> {
        let endpoint = environment.endpoint.clone();
        let host = endpoint.host().unwrap_or_default();
        let host = host.trim_matches(['[', ']']).to_owned();
        let is_tls = endpoint.scheme_str() == Some("https");
        let tls = match is_tls {
            false => None,
            true => {
                let name = ServerName::try_from(host.clone())
                    .map_err(|_| format!("`{host}` is no name of a server"))?;
                let connector = connector(environment)
                    .map_err(|error| format!("no TLS with the collector: {error}"))?;
                Some((connector, name))
            }
        };
        let default = if is_tls { 443 } else { 80 };
        Ok(Client {
            port: endpoint.port_u16().unwrap_or(default),
            host,
            headers: environment.headers.clone(),
            tls,
            endpoint,
        })
    }

    /// Where spans go, for people; without a query, which may hold a secret.
    pub(super) fn shown(&self) -> String {
        let (scheme, path) = (self.endpoint.scheme_str(), self.endpoint.path());
        let scheme = scheme.unwrap_or_default();
        format!("{scheme}://{}:{}{path}", self.host, self.port)
    }

    /// Sends a message, and answers with the status.
    pub(super) async fn post(&self, body: Bytes) -> Result<StatusCode, AnyError> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        match &self.tls {
            None => self.post_over(stream, body).await,
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await?;
                self.post_over(stream, body).await
            }
        }
    }

    async fn post_over<S>(&self, stream: S, body: Bytes) -> Result<StatusCode, AnyError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let path = self.endpoint.path_and_query();
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(path.map_or("/", |path| path.as_str()))
            .body(Full::new(body))?;
        let headers = request.headers_mut();
        headers.extend(self.headers.clone());
        let authority = self.endpoint.authority();
        let authority = authority.map_or("", |authority| authority.as_str());
        headers.insert(header::HOST, HeaderValue::from_str(authority)?);
        let protobuf = HeaderValue::from_static("application/x-protobuf");
        headers.insert(header::CONTENT_TYPE, protobuf);
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        // Read to its end, so that the collector sees a connection that is closed in peace.
        let _ = Limited::new(answer.into_body(), ANSWER_BYTES_MAX)
            .collect()
            .await;
        connection.abort();
        Ok(status)
    }
}

fn connector(environment: &Environment) -> Result<TlsConnector, AnyError> {
    let mut roots = RootCertStore::empty();
    match &environment.authorities {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(file) => {
            for certificate in CertificateDer::pem_file_iter(file)? {
                roots.add(certificate?)?;
            }
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
