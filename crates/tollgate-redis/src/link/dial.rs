//! One connection: TCP or a Unix socket, TLS, log-in, and the proof that it can write.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, ProtocolVersion, RedisConnectionInfo, Value};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::diagnose::{speaks_plainly, speaks_tls};
use super::guard::Guarded;
use super::refusal::{broken, plain};
use crate::error::LinkError;
use crate::location::{Address, Kind, Location};
use crate::settings::Settings;

/// A peer that has vanished is noticed after so long, by the system.
const VANISHED: Duration = Duration::from_secs(2);

/// Drives a connection until it ends.
pub(super) type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Makes connections as one URL says.
pub(super) struct Dialer {
    pub(super) location: Location,
    pub(super) settings: Settings,
    tls: Option<TlsConnector>,
    /// Whether the process still starts: what waiting does not mend then ends it, and is looked for.
    is_starting: AtomicBool,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Dialer {
    pub(super) fn new(location: Location, settings: Settings) -> Result<Self, LinkError> {
        let tls = location.is_tls.then(|| connector(&location)).transpose()?;
        Ok(Dialer {
            location,
            settings,
            tls,
            is_starting: AtomicBool::new(true),
        })
    }

    pub(super) fn is_starting(&self) -> bool {
        self.is_starting.load(Ordering::Relaxed)
    }

    pub(super) fn has_started(&self) {
        self.is_starting.store(false, Ordering::Relaxed);
    }

    /// A connection on which `as_whom` is logged in. Its driver has been polled only meanwhile.
    pub(super) async fn open(
        &self,
        address: &Address,
        role: Role,
    ) -> Result<(MultiplexedConnection, Driver), LinkError> {
        let limit = self.settings.connect_timeout;
        let opened = tokio::time::timeout(limit, self.open_unbounded(address, role)).await;
        let opened = opened.unwrap_or_else(|_| {
            let silent = format!("{address} did not answer within {limit:?}");
            Err(LinkError::Unreachable(silent))
        });
        match opened {
            Err(LinkError::Unreachable(_)) if self.is_starting() => {
                let diagnosed = self.diagnose(address).await;
                diagnosed.map_or(opened, Err)
            }
            opened => opened,
        }
    }

    /// Whether the server speaks what the URL does not say.
    async fn diagnose(&self, address: &Address) -> Option<LinkError> {
        let limit = self.settings.connect_timeout;
        match &self.tls {
            Some(_) => speaks_plainly(address, limit).await,
            None => speaks_tls(address, connector(&self.location).ok()?, limit).await,
        }
    }

    async fn open_unbounded(
        &self,
        address: &Address,
        role: Role,
    ) -> Result<(MultiplexedConnection, Driver), LinkError> {
        let stream = self.stream(address).await?;
        let info = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP2)
            .set_skip_set_lib_name();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_pipeline_buffer_size(self.settings.in_flight_max.clamp(16, 4_096));
        let made =
            MultiplexedConnection::new_with_config(&info, Guarded::new(stream), config).await;
        let (mut connection, driver) = made.map_err(broken)?;
        let mut driver: Driver = Box::pin(driver);
        let greeted = driven(&mut driver, self.greet(&mut connection, role)).await;
        match greeted {
            Ok(()) => Ok((connection, driver)),
            Err(LinkError::Broken) => Err(LinkError::Unreachable(format!(
                "{address} closed the connection before it answered"
            ))),
            Err(LinkError::Garbage(_)) => Err(LinkError::NotRedis(address.to_string())),
            Err(error) => Err(error),
        }
    }

    async fn stream(&self, address: &Address) -> Result<Box<dyn Stream>, LinkError> {
        let unreachable =
            |error: std::io::Error| LinkError::Unreachable(format!("{address}: {error}"));
        let (host, stream) = match address {
            Address::Unix(path) => {
                return Ok(Box::new(
                    UnixStream::connect(path).await.map_err(unreachable)?,
                ));
            }
            Address::Tcp(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port)).await;
                (host, stream.map_err(unreachable)?)
            }
        };
        stream.set_nodelay(true).map_err(unreachable)?;
        notice_silence(&stream);
        let Some(tls) = &self.tls else {
            return Ok(Box::new(stream));
        };
        let name = ServerName::try_from(host.clone())
            .map_err(|error| LinkError::Tls(error.to_string()))?;
        match tls.connect(name, stream).await {
            Ok(stream) => Ok(Box::new(stream)),
            // An error of TLS itself comes as invalid data; others are the connection's, and so is what is no TLS at all.
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData && !is_no_tls(&error) => {
                Err(LinkError::Tls(format!("{address}: {error}")))
            }
            Err(error) => Err(unreachable(error)),
        }
    }

    async fn greet(
        &self,
        connection: &mut MultiplexedConnection,
        role: Role,
    ) -> Result<(), LinkError> {
        let location = &self.location;
        if role == Role::Sentinel {
            return Ok(());
        }
        if let Some(password) = &location.password {
            let mut login = redis::cmd("AUTH");
            login.arg(location.user.as_deref()).arg(&password.0);
            ask(connection, &login).await?;
        }
        let mut name = redis::cmd("CLIENT");
        name.arg("SETNAME").arg("tollgate");
        match ask(connection, &name).await {
            // Not every user may give itself a name.
            Ok(_) | Err(LinkError::NotPermitted(_) | LinkError::Script(_)) => {}
            Err(error) => return Err(error),
        }
        if location.db != 0 {
            let mut select = redis::cmd("SELECT");
            ask(connection, select.arg(location.db))
                .await
                .map_err(|error| match error {
                    LinkError::Script(_) => LinkError::NoDatabase(location.db),
                    error => error,
                })?;
        }
        Ok(())
    }

    /// Where the primary is now, if sentinels know.
    pub(super) async fn primary(&self) -> Result<Address, LinkError> {
        let Kind::Sentinel(service) = &self.location.kind else {
            return Ok(self.location.nodes[0].clone());
        };
        let mut last = None;
        for sentinel in &self.location.nodes {
            match self.ask_sentinel(sentinel, service).await {
                Ok(Some(primary)) => return Ok(primary),
                // What one of them says weighs more than that another says nothing.
                Ok(None) => last = Some(LinkError::NoSuchService(service.clone())),
                Err(error) => last = last.or(Some(error)),
            }
        }
        Err(last.unwrap_or_else(|| LinkError::Unreachable("no sentinel was asked".to_owned())))
    }

    async fn ask_sentinel(
        &self,
        sentinel: &Address,
        service: &str,
    ) -> Result<Option<Address>, LinkError> {
        let (mut connection, mut driver) = self.open(sentinel, Role::Sentinel).await?;
        let mut question = redis::cmd("SENTINEL");
        question.arg("GET-MASTER-ADDR-BY-NAME").arg(service);
        let limit = self.settings.connect_timeout;
        let asking = driven(&mut driver, ask(&mut connection, &question));
        let answer = tokio::time::timeout(limit, asking).await;
        let answer = answer.unwrap_or(Err(LinkError::Timeout(limit)));
        let answer = answer.map_err(|error| match error {
            LinkError::Garbage(_) => LinkError::NotRedis(sentinel.to_string()),
            LinkError::NotPermitted(text) if text.contains("unknown command") => {
                LinkError::IsNoSentinel(sentinel.to_string())
            }
            error => error,
        });
        match answer? {
            Value::Array(parts) => match &parts[..] {
                [Value::BulkString(host), Value::BulkString(port)] => {
                    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                    let port = text(port)
                        .parse()
                        .map_err(|_| LinkError::Garbage("a port".to_owned()))?;
                    Ok(Some(Address::Tcp(text(host), port)))
                }
                _ => Err(LinkError::Garbage("an address of a primary".to_owned())),
            },
            _ => Ok(None),
        }
    }
}

/// What comes of `asking` over a connection that is driven meanwhile. If the connection ends, whoever asks hears why.
pub(super) async fn driven<T>(driver: &mut Driver, asking: impl Future<Output = T>) -> T {
    tokio::pin!(asking);
    tokio::select! {
        biased;
        asked = &mut asking => return asked,
        () = &mut *driver => {}
    }
    *driver = Box::pin(std::future::ready(()));
    asking.await
}

/// What is to be asked over a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Server,
    Sentinel,
}

/// Asks one thing; the answer is awaited as long as the connection is driven.
pub(super) async fn ask(
    connection: &mut MultiplexedConnection,
    command: &Cmd,
) -> Result<Value, LinkError> {
    plain(connection.send_packed_command(command).await)
}

fn connector(location: &Location) -> Result<TlsConnector, LinkError> {
    let mut roots = RootCertStore::empty();
    match &location.authorities {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(file) => {
            let wrong =
                |reason: String| LinkError::Authorities(format!("{}: {reason}", file.display()));
            let certificates =
                CertificateDer::pem_file_iter(file).map_err(|error| wrong(error.to_string()))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
                roots
                    .add(certificate)
                    .map_err(|error| wrong(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(wrong("there is no certificate in it".to_owned()));
            }
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| LinkError::Tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Whether what came is something else than TLS.
fn is_no_tls(error: &std::io::Error) -> bool {
    let error = error.get_ref().and_then(|error| error.downcast_ref());
    matches!(error, Some(rustls::Error::InvalidMessage(_)))
}

/// Has the system end a connection whose peer has vanished. Where it cannot, the breaker still notices.
fn notice_silence(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(VANISHED)
        .with_interval(VANISHED / 2);
    let _ = socket.set_tcp_keepalive(&keepalive.with_retries(2));
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_user_timeout(Some(VANISHED));
}
