//! Envoy's rate-limit service: the same quotas, as descriptors of a domain.

use std::net::SocketAddr;

use serde_json::{Map, Value, json};

use super::{Act, Asked, Front, Told};
use crate::envoy::Asker;

pub(super) struct Grpc(Asker);

impl Grpc {
    pub(super) fn open(address: SocketAddr) -> Self {
        Grpc(Asker::new(address))
    }
}

impl Front for Grpc {
    fn name(&self) -> &'static str {
        "grpc"
    }

    /// A look is a descriptor without hits there, which asks whether anything is left.
    fn knows(&self, act: Act, limit: &str) -> bool {
        let slots = limit == "slots";
        matches!(act, Act::Charge(1..) | Act::Look(1)) && !slots
    }

    fn says(&self) -> &'static [&'static str] {
        &["allowed", "retry_after_s", "left"]
    }

    fn ask(&mut self, asked: Asked<'_>, act: Act) -> Told {
        let hits = match act {
            Act::Charge(cost) => cost,
            _ => 0,
        };
        let keys = [asked.limit, "tenant"];
        let entries: Vec<Value> = keys
            .iter()
            .zip(asked.words)
            .map(|(key, value)| json!({ "key": key, "value": value }))
            .collect();
        let descriptor = json!({ "entries": entries, "hitsAddend": hits });
        let answer = self.0.ask(&json!({
            "request": { "domain": "edge", "descriptors": [descriptor] }
        }));
        assert!(answer["error"].is_null(), "{answer}");
        let headers = answer["responseHeadersToAdd"].as_array();
        let header = |name: &str| {
            let mut all = headers.into_iter().flatten();
            let found = all.find(|header| header["key"] == name)?;
            Some(found["value"].as_str().unwrap().to_owned())
        };
        let wait = header("retry-after").map(|text| text.parse::<u64>().unwrap());
        let allowed = answer["overallCode"] == "OK";
        assert_eq!(answer["statuses"][0]["code"], answer["overallCode"]);
        [
            ("allowed", json!(allowed)),
            ("retry_after_s", json!(wait)),
            ("left", left(&header("ratelimit").unwrap_or_default())),
        ]
        .into()
    }
}

/// What is left in each window, of `"edge/sliding.10s";r=2;t=10, …`.
fn left(field: &str) -> Value {
    let mut windows = Map::new();
    for item in field.split(", ").filter(|item| !item.is_empty()) {
        let (name, parameters) = item.split_once(';').unwrap();
        let window = name.trim_matches('"').rsplit('.').next().unwrap();
        let left = parameters.split(';').find_map(|one| one.strip_prefix("r="));
        let left: u64 = left.unwrap().parse().unwrap();
        windows.insert(window.to_owned(), json!(left));
    }
    Value::Object(windows)
}
