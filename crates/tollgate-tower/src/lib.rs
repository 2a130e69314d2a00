//! Rate limiting as a `tower` layer, and the response fields of every Tollgate shape.
//!
//! ```
//! use std::sync::Arc;
//! use tollgate::{Limiter, Quota};
//! use tollgate_tower::RateLimitLayer;
//!
//! let limiter = Limiter::new(Quota::per_hour(100)?)?;
//! let layer = RateLimitLayer::new(limiter, |request: &http::request::Parts| {
//!     request.headers.get("x-requester").map(|value| value.as_bytes().to_vec())
//! });
//! let app: axum::Router = axum::Router::new().route("/", axum::routing::get(|| async { "hello" })).layer(layer);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(missing_docs)]

pub mod fields;
mod layer;
mod problem;

pub use layer::{RateLimit, RateLimitLayer, Refusal, ResponseFuture};
pub use problem::Problem;
