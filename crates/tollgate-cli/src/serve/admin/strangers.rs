//! The admin side's address, which other machines reach: whoever is slow there costs a connection of few, and not for
//! long.

use std::net::IpAddr;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tollgate_gateway::admission::Admission;

/// Scrapers and probes are few.
const CONNECTIONS_MAX: usize = 64;
/// One that leaks connections does not keep the others out.
const PER_ADDRESS_MAX: usize = 16;
/// Within which the head of a request is there.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection is closed then, whatever becomes of it: whoever asks again makes another.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);
/// How long nothing is accepted after an error: out of file descriptors, say, while others give theirs back.
const REST: Duration = Duration::from_millis(50);

/// Answers connections. Never ends.
pub(super) async fn serve(listener: TcpListener, router: Router) {
    let admission = Admission::new(CONNECTIONS_MAX, PER_ADDRESS_MAX, Vec::new());
    loop {
        let (stream, peer): (_, IpAddr) = match listener.accept().await {
            Ok((stream, peer)) => (stream, peer.ip()),
            Err(error) => {
                tracing::warn!(%error, "a connection to the admin address cannot be accepted");
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        let Some(place) = admission.place(peer).await else {
            continue;
        };
        let answered = answer(stream, router.clone());
        tokio::spawn(async move {
            let _ = tokio::time::timeout(CONNECTION_TIMEOUT, answered).await;
            drop(place);
        });
    }
}

async fn answer(stream: TcpStream, router: Router) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // How it ends is the client's affair.
    let _ = connection.await;
}
