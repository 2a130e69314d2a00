//! Rate limiting as a `tower` layer for axum, hyper and tonic, and the response fields of every Tollgate shape.
//!
//! ```
//! use axum::Router;
//! use axum::routing::get;
//! use tollgate::{Limiter, Quota};
//! use tollgate_tower::{RateLimitLayer, key};
//!
//! let limiter = Limiter::new(Quota::per_hour(100)?)?;
//! let layer = RateLimitLayer::new(limiter, key::header("x-api-key"));
//! let app: Router = Router::new().route("/", get(async || "hello")).layer(layer);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - What a request is limited by: a closure over its head, or one of [`key`].
//! - A request without a key is refused, unless [`on_missing_key`](RateLimitLayer::on_missing_key) says otherwise.
//! - What it takes: one unit, or what [`cost`](RateLimitLayer::cost) says.
//! - What a refused one is answered with: [`refusal::usual`], which speaks gRPC where the request does, or what
//!   [`refusal`](RateLimitLayer::refusal) makes of it. Allowed or not, every answer has the [`fields`].
//! - A [`Limiter`](tollgate::Limiter) may count what is in flight: `"10 concurrent"` beside `"100 per minute"`. The slot
//!   is held until the response's body has ended.
//!
//! The crate's examples are whole servers: `axum`, `hyper` and `tonic`, and `hourly_axum`.
#![deny(missing_docs)]

pub mod address;
mod body;
pub mod fields;
pub mod key;
mod layer;
#[cfg(doctest)]
mod pages;
mod problem;
pub mod refusal;
mod service;
mod settings;

pub use body::ResponseBody;
pub use layer::RateLimitLayer;
pub use problem::Problem;
pub use service::{RateLimit, ResponseFuture};
pub use settings::MissingKey;
