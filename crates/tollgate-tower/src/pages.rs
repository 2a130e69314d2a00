//! Rust that stands on pages is compiled and run with the documentation tests. Nothing of it is in the crate.

#[doc = include_str!("../../../README.md")]
struct Readme;

#[doc = include_str!("../../../examples/hourly-module/README.md")]
struct HourlyModule;

#[doc = include_str!("../../../docs/library.md")]
struct Library;

#[doc = include_str!("../../../docs/migrating.md")]
struct Migrating;
