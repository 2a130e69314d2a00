//! One connection of a client, encrypted or not.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::tls::{Spoken, TlsFiles};

/// A connection, encrypted or not.
pub enum Stream {
    /// It is not.
    Plain(TcpStream),
    /// It is.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Whether it is encrypted.
    pub fn is_encrypted(&self) -> bool {
        matches!(self, Stream::Tls(_))
    }

    /// The connection, greeted by TLS if there are certificates for it.
    ///
    /// # Errors
    /// A client that cannot be greeted in so much `time`, or that is still greeting when `stop` turns true: it has asked
    /// for nothing yet.
    pub async fn greet(
        stream: TcpStream,
        tls: Option<&TlsFiles>,
        spoken: Spoken,
        time: Duration,
        mut stop: watch::Receiver<bool>,
    ) -> Result<Self, NotGreeted> {
        let Some(tls) = tls else {
            return Ok(Stream::Plain(stream));
        };
        let greeting = TlsAcceptor::from(tls.config(spoken)).accept(stream);
        let greeted = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return Err(NotGreeted::Stopped),
            greeted = tokio::time::timeout(time, greeting) => greeted,
        };
        match greeted {
            Ok(Ok(stream)) => return Ok(Stream::Tls(Box::new(stream))),
            Ok(Err(error)) => tracing::debug!(%error, "a caller was not greeted"),
            Err(_) => tracing::debug!("a caller took too long to greet"),
        }
        Err(NotGreeted::Failed)
    }
}

/// Why a connection is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotGreeted {
    /// Its client cannot be encrypted with, or took too long.
    Failed,
    /// Nobody is served any more.
    Stopped,
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(context, parts),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(context, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
