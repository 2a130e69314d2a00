//! What Envoy asks its rate-limit service, and the answer, as far as the comparisons need them.

use prost::Message;

/// The path of the one method.
pub const METHOD: &str = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";
/// The service of that method.
pub const SERVICE: &str = "envoy.service.ratelimit.v3.RateLimitService";
/// What an answer says that lets the request pass.
pub const OK: i32 = 1;

/// A question: may this pass?
#[derive(Clone, PartialEq, Message)]
pub struct Question {
    /// Of which configuration.
    #[prost(string, tag = "1")]
    pub domain: String,
    /// What the request is like.
    #[prost(message, repeated, tag = "2")]
    pub descriptors: Vec<Descriptor>,
}

/// One thing that a request is like.
#[derive(Clone, PartialEq, Message)]
pub struct Descriptor {
    /// Its keys and values.
    #[prost(message, repeated, tag = "1")]
    pub entries: Vec<Entry>,
}

/// A key and its value.
#[derive(Clone, PartialEq, Message)]
pub struct Entry {
    /// The key.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Its value.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// The answer, without what it says of each descriptor.
#[derive(Clone, PartialEq, Message)]
pub struct Answer {
    /// [`OK`], or not.
    #[prost(int32, tag = "1")]
    pub code: i32,
}

/// What Envoy would ask for one client: two descriptors.
pub fn question(client: usize) -> Question {
    let entry = |key: &str, value: String| Entry {
        key: key.to_owned(),
        value,
    };
    let of_address = vec![entry(
        "remote_address",
        format!("10.0.{}.{}", client / 250, client % 250),
    )];
    let of_user = vec![
        entry("plan", "gold".to_owned()),
        entry("user", format!("user-{client}")),
    ];
    Question {
        domain: "edge".to_owned(),
        descriptors: [of_address, of_user]
            .into_iter()
            .map(|entries| Descriptor { entries })
            .collect(),
    }
}
