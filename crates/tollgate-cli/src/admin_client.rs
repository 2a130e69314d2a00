//! Asking a running gateway, over the admin socket in its data directory.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;

use crate::failure::Failure;
use crate::serve::admin::SOCKET;

const TIMEOUT: Duration = Duration::from_secs(10);
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Sends one request, and waits for its answer.
pub(crate) fn ask(
    data: &Path,
    method: Method,
    target: &str,
) -> Result<(StatusCode, String), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| Failure::because("cannot start", &error))?;
    runtime.block_on(async {
        let asked = tokio::time::timeout(TIMEOUT, exchange(data, method, target)).await;
        asked.map_err(|_| Failure::Failed("the gateway does not answer".to_owned()))?
    })
}

async fn exchange(
    data: &Path,
    method: Method,
    target: &str,
) -> Result<(StatusCode, String), Failure> {
    let socket = data.join(SOCKET);
    let stream = tokio::net::UnixStream::connect(&socket)
        .await
        .map_err(|error| {
            Failure::Failed(format!(
                "no gateway is running with the data directory {}: {error}",
                data.display()
            ))
        })?;
    let broken = |error: hyper::Error| Failure::because("the gateway broke off", &error);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(target)
        .header("host", "admin")
        .body(Empty::<Bytes>::new());
    let request = request.map_err(|error| Failure::because("this cannot be asked", &error))?;
    let response = sender.send_request(request).await.map_err(broken)?;
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
        .collect()
        .await;
    let body = body
        .map_err(|error| Failure::Failed(format!("the answer cannot be read: {error}")))?
        .to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}
