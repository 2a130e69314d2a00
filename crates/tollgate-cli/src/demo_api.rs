//! The number API: an HTTP service of its own, which knows nothing of accounts or limits. The gateway calls it over
//! HTTP like any other upstream.

use std::future::Future;
use std::io;

use askama::Template;
use aws_lc_rs::rand;
use axum::Router;
use axum::extract::{Path, RawQuery, Request};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use serde_json::json;
use tokio::net::TcpListener;
use tollgate_gateway::page;

use crate::builtin::assets;
use crate::builtin::pages::DocsPage;

const OPENAPI: &str = include_str!("../../../web/openapi/number.json");
const NUMBER_MAX: i64 = 1_000_000;

/// Serves the number API until `shutdown` is there; calls that are in flight are finished.
pub(crate) async fn serve(
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    axum::serve(listener, router())
        .with_graceful_shutdown(shutdown)
        .await
}

fn router() -> Router {
    Router::new()
        .route("/random", get(random))
        .route("/docs", get(docs))
        .route("/openapi.json", get(openapi))
        .route("/assets/{*path}", get(asset))
        .route("/livez", get(async || "ok"))
        .fallback(async || problem(StatusCode::NOT_FOUND, "There is nothing here."))
        .layer(middleware::from_fn(log))
}

async fn log(request: Request, next: Next) -> Response {
    let call = format!("{} {}", request.method(), request.uri().path());
    let response = next.run(request).await;
    tracing::info!("{call} -> {}", response.status().as_u16());
    response
}

async fn random(RawQuery(query): RawQuery) -> Response {
    let (min, max) = match range(query.as_deref().unwrap_or_default()) {
        Ok(range) => range,
        Err(detail) => return problem(StatusCode::UNPROCESSABLE_ENTITY, &detail),
    };
    match draw(min, max) {
        Some(number) => {
            let no_store = [(header::CACHE_CONTROL, "no-store")];
            (no_store, axum::Json(json!({ "random": number }))).into_response()
        }
        None => problem(StatusCode::INTERNAL_SERVER_ERROR, "No randomness."),
    }
}

/// The least and the greatest number that a query asks for.
fn range(query: &str) -> Result<(i64, i64), String> {
    let (mut min, mut max) = (0, NUMBER_MAX);
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query).unwrap_or_default();
    for (name, text) in pairs {
        let place = match name.as_str() {
            "min" => &mut min,
            "max" => &mut max,
            _ => continue,
        };
        *place = text
            .parse()
            .map_err(|_| format!("{name} is not an integer"))?;
    }
    if min > max {
        Err(format!("min {min} is above max {max}"))
    } else {
        Ok((min, max))
    }
}

/// Uniform over `min` to `max`, both included; `None` when the system has no randomness.
fn draw(min: i64, max: i64) -> Option<i64> {
    let numbers = u128::from(max.abs_diff(min)) + 1;
    // 128 bits over at most 2^64 numbers: no number is more than 2^-64 likelier than another.
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).ok()?;
    let offset = u128::from_le_bytes(bytes) % numbers;
    i64::try_from(i128::from(min) + i128::try_from(offset).ok()?).ok()
}

async fn docs() -> Response {
    let page = DocsPage {
        title: "Number API",
        assets: "/assets",
        openapi: "/openapi.json",
    };
    let Ok(body) = page.render() else {
        return problem(
            StatusCode::INTERNAL_SERVER_ERROR,
            "The page could not be written.",
        );
    };
    let mut response = Html(body).into_response();
    page::protect_docs(response.headers_mut());
    response
}

async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI)
}

async fn asset(Path(path): Path<String>, headers: HeaderMap) -> Response {
    match assets::answer(&path, &headers) {
        Ok(response) => response.map(axum::body::Body::from),
        Err(_) => problem(StatusCode::NOT_FOUND, "There is nothing here."),
    }
}

/// RFC 9457.
fn problem(status: StatusCode, detail: &str) -> Response {
    let title = match status {
        // RFC 9110 renamed it.
        StatusCode::UNPROCESSABLE_ENTITY => "Unprocessable Content",
        status => status.canonical_reason().unwrap_or_default(),
    };
    let body = json!({ "type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail });
    let mut response = (status, axum::Json(body)).into_response();
    let problem_json = HeaderValue::from_static("application/problem+json");
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, problem_json);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_or_said_to_be_none() {
        assert_eq!(range(""), Ok((0, 1_000_000)));
        assert_eq!(range("min=-5&max=%2B7&other=x"), Ok((-5, 7)));
        assert_eq!(range("min=7&max=3"), Err("min 7 is above max 3".to_owned()));
        assert_eq!(range("min=x"), Err("min is not an integer".to_owned()));
        assert_eq!(range("max="), Err("max is not an integer".to_owned()));
    }

    #[test]
    fn every_number_of_a_range_is_drawn_and_none_beside_it() {
        let mut drawn = [0; 3];
        for _ in 0..1_000 {
            drawn[usize::try_from(draw(-1, 1).unwrap() + 1).unwrap()] += 1;
        }
        assert!(drawn.iter().all(|count| *count > 200), "{drawn:?}");
        assert_eq!(draw(7, 7), Some(7));
        for _ in 0..100 {
            assert!(draw(i64::MIN, i64::MAX).is_some());
        }
    }

    #[tokio::test]
    async fn it_answers_over_http_and_ends_when_it_is_told() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = tokio::spawn(serve(listener, async { stopped.await.unwrap_or_default() }));
        let paths = [
            ("/random?min=7&max=7", "200 OK", r#"{"random":7}"#),
            ("/random?min=x", "422 ", "application/problem+json"),
            ("/docs", "200 OK", "swagger-ui-bundle.js"),
            ("/openapi.json", "200 OK", "Number API"),
            ("/assets/docs.js", "200 OK", "SwaggerUIBundle"),
            ("/livez", "200 OK", "ok"),
            ("/nothing", "404 ", "application/problem+json"),
        ];
        for (path, status, content) in paths {
            let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
            let request = format!("GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n");
            socket.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            socket.read_to_string(&mut answer).await.unwrap();
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(content),
                "{path}: {answer}"
            );
        }
        stop.send(()).unwrap();
        serving.await.unwrap().unwrap();
    }
}
