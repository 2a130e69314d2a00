//! What stands at an address where no connection to the store came about: the other of plain and TLS, perhaps.

use std::time::Duration;

use rustls::Error;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::error::LinkError;
use crate::location::Address;

/// Why a server that was spoken to over TLS has not answered, if it is that it speaks none: it says so within `limit`.
pub(super) async fn speaks_plainly(address: &Address, limit: Duration) -> Option<LinkError> {
    let Address::Tcp(host, port) = address else {
        return None;
    };
    let first = timeout(limit, async {
        let mut stream = TcpStream::connect((host.as_str(), *port)).await.ok()?;
        // Nothing that is secret; whoever is not logged in is told so.
        stream.write_all(b"PING\r\n").await.ok()?;
        stream.read_u8().await.ok()
    });
    match first.await.ok()?? {
        b'+' | b'-' => Some(LinkError::SpeaksNoTls(address.to_string())),
        _ => Some(LinkError::NotRedis(address.to_string())),
    }
}

/// Why a server that was spoken to without TLS has not answered, if it is that it speaks TLS: it says so within `limit`.
pub(super) async fn speaks_tls(
    address: &Address,
    tls: TlsConnector,
    limit: Duration,
) -> Option<LinkError> {
    let Address::Tcp(host, port) = address else {
        return None;
    };
    let greeted = timeout(limit, async {
        let stream = TcpStream::connect((host.as_str(), *port)).await.ok()?;
        let name = ServerName::try_from(host.clone()).ok()?;
        Some(tls.connect(name, stream).await)
    });
    let speaks = match greeted.await.ok()?? {
        Ok(_) => true,
        // Whose certificate is not trusted here speaks it too.
        Err(error) => matches!(
            error.get_ref().and_then(|error| error.downcast_ref()),
            Some(Error::InvalidCertificate(_) | Error::AlertReceived(_))
        ),
    };
    speaks.then(|| LinkError::SpeaksTls(address.to_string()))
}
