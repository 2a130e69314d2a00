//! The messages of Envoy's rate-limit service, as far as they are served.
//!
//! They are written by hand beside `proto/`, which has them for others: so a build needs no compiler of protocol buffers,
//! and a request is read where it lies. That both say the same is a test.

mod read;
mod write;

use bytes::Bytes;
use http::HeaderName;
use prost::Enumeration;
use prost_types::{Duration, Struct};
use smallvec::SmallVec;

pub(super) use read::request;
pub(super) use write::answer;

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RateLimitRequest<'m> {
    pub(crate) domain: &'m str,
    pub(crate) descriptors: SmallVec<[RateLimitDescriptor<'m>; 2]>,
    /// 0 means 1.
    pub(crate) hits_addend: u32,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RateLimitDescriptor<'m> {
    pub(crate) entries: SmallVec<[Entry<'m>; 3]>,
    /// Stands in the place of the configured limit.
    pub(crate) limit: Option<RateLimitOverride>,
    /// Stands in the place of the request's; here 0 means 0.
    pub(crate) hits_addend: Option<u64>,
    /// Whether hits are given back.
    pub(crate) is_negative_hits: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Entry<'m> {
    pub(crate) key: &'m str,
    pub(crate) value: &'m str,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct RateLimitOverride {
    pub(crate) requests_per_unit: u32,
    pub(crate) unit: i32,
    pub(crate) unit_multiplier: Option<u32>,
}

/// Numbers as they came to be: a week is the youngest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub(crate) enum Unit {
    Unknown = 0,
    Second = 1,
    Minute = 2,
    Hour = 3,
    Day = 4,
    Month = 5,
    Year = 6,
    Week = 7,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RateLimitResponse {
    pub(crate) overall_code: i32,
    /// One for each descriptor, in their order.
    pub(crate) statuses: SmallVec<[DescriptorStatus; 2]>,
    pub(crate) response_headers_to_add: SmallVec<[HeaderValue; 3]>,
    pub(crate) raw_body: Bytes,
    pub(crate) dynamic_metadata: Option<Struct>,
}

/// Envoy takes `Unknown` for `Ok`: it is never sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub(crate) enum Code {
    Unknown = 0,
    Ok = 1,
    OverLimit = 2,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct DescriptorStatus {
    pub(crate) code: i32,
    pub(crate) current_limit: Option<CurrentLimit>,
    pub(crate) limit_remaining: u32,
    pub(crate) duration_until_reset: Option<Duration>,
}

/// `RateLimitResponse.RateLimit`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct CurrentLimit {
    pub(crate) requests_per_unit: u32,
    pub(crate) unit: i32,
    pub(crate) name: String,
    pub(crate) unit_multiplier: Option<u32>,
}

/// A field for the response to the client.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HeaderValue {
    pub(crate) key: HeaderName,
    pub(crate) value: http::HeaderValue,
}

#[cfg(test)]
mod tests;
