//! Asking a running gateway, over the admin socket in its data directory.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;

use crate::failure::Failure;
use crate::serve::admin::SOCKET;

const TIMEOUT: Duration = Duration::from_secs(10);
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Has something done, and returns what is said of it. What cannot be meant is [`Failure::Usage`].
pub(crate) fn done(
    data: &Path,
    method: Method,
    target: &str,
    body: Option<&Value>,
) -> Result<String, Failure> {
    match send(data, method, target, body)? {
        (status, answer) if status.is_success() => Ok(answer),
        // An empty name leads nowhere.
        (StatusCode::NOT_FOUND, answer) if answer.is_empty() => {
            Err(Failure::Usage("a name must not be empty".to_owned()))
        }
        (StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST, answer) => {
            Err(Failure::Usage(answer.trim_end().to_owned()))
        }
        (_, answer) => Err(Failure::Failed(answer.trim_end().to_owned())),
    }
}

/// Reads an answer.
pub(crate) fn json(answer: &str) -> Result<Value, Failure> {
    serde_json::from_str(answer)
        .map_err(|error| Failure::because("the gateway's answer cannot be read", &error))
}

/// A name as a segment of a path.
pub(crate) fn segment(name: &str) -> String {
    let mut encoded = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => encoded.push(byte.into()),
            // Writing into a string does not fail. Dots are encoded too: `..` is no name to leave a path by.
            _ => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    encoded
}

/// Sends one request without a body, and waits for its answer.
pub(crate) fn ask(
    data: &Path,
    method: Method,
    target: &str,
) -> Result<(StatusCode, String), Failure> {
    send(data, method, target, None)
}

fn send(
    data: &Path,
    method: Method,
    target: &str,
    body: Option<&Value>,
) -> Result<(StatusCode, String), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| Failure::because("cannot start", &error))?;
    runtime.block_on(whole(data, method, target, body))
}

/// Reads something, within a bounded time.
pub(crate) async fn fetch(data: &Path, target: &str) -> Result<(StatusCode, String), Failure> {
    whole(data, Method::GET, target, None).await
}

async fn whole(
    data: &Path,
    method: Method,
    target: &str,
    body: Option<&Value>,
) -> Result<(StatusCode, String), Failure> {
    let asked = tokio::time::timeout(TIMEOUT, exchange(data, method, target, body)).await;
    asked.map_err(|_| Failure::Failed("the gateway does not answer".to_owned()))?
}

async fn exchange(
    data: &Path,
    method: Method,
    target: &str,
    body: Option<&Value>,
) -> Result<(StatusCode, String), Failure> {
    let response = open(data, method, target, body).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
        .collect()
        .await;
    let body = body
        .map_err(|error| Failure::Failed(format!("the answer cannot be read: {error}")))?
        .to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

/// Sends one request over a connection of its own; the body of its answer is still to come.
pub(crate) async fn open(
    data: &Path,
    method: Method,
    target: &str,
    body: Option<&Value>,
) -> Result<Response<Incoming>, Failure> {
    let socket = data.join(SOCKET);
    let stream = tokio::net::UnixStream::connect(&socket)
        .await
        .map_err(|error| {
            Failure::Failed(format!(
                "no gateway is running with the data directory {}: {error}; `--data` or TOLLGATE_DATA names the one of your gateway",
                data.display()
            ))
        })?;
    let broken = |error: hyper::Error| Failure::because("the gateway broke off", &error);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    tokio::spawn(connection);
    let body = body.map(Value::to_string).unwrap_or_default();
    let request = Request::builder()
        .method(method)
        .uri(target)
        .header("host", "admin")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body)));
    let request = request.map_err(|error| Failure::because("this cannot be asked", &error))?;
    sender.send_request(request).await.map_err(broken)
}
