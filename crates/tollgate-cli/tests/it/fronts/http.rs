//! `POST /v1/check` and its like.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tollgate_testkit::client::Call;

use super::{Act, Asked, Front, Told};

pub(super) struct Http {
    address: SocketAddr,
    /// Of what was reserved last.
    receipt: Value,
}

impl Http {
    pub(super) fn at(address: SocketAddr) -> Self {
        let receipt = Value::Null;
        Http { address, receipt }
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let answer = Call::post(path).json(body).send(self.address);
        match answer.status {
            200 => answer.json(),
            _ => json!({ "error": answer.json()["detail"] }),
        }
    }
}

impl Front for Http {
    fn name(&self) -> &'static str {
        "http"
    }

    fn knows(&self, _: Act, _: &str) -> bool {
        true
    }

    fn says(&self) -> &'static [&'static str] {
        &[
            "allowed",
            "reason",
            "policy",
            "limit",
            "remaining",
            "retry_after_ms",
            "reset_after_ms",
            "degraded",
            "windows",
        ]
    }

    fn ask(&mut self, asked: Asked<'_>, act: Act) -> Told {
        let of = |cost: u64| json!({ "limit": asked.limit, "key": asked.words, "cost": cost });
        let mut told = match act {
            Act::Charge(cost) => self.post("/v1/check?status=200", &of(cost)),
            Act::Look(cost) => self.post("/v1/peek?status=200", &of(cost)),
            Act::Reserve(cost) => self.post("/v1/reserve?status=200", &of(cost)),
            Act::Settle(cost) => {
                let body = json!({ "receipt": self.receipt, "cost": cost });
                self.post("/v1/settle", &body)
            }
            Act::Refund => self.post("/v1/refund", &json!({ "receipt": self.receipt })),
            Act::Reset => {
                let body = json!({ "limit": asked.limit, "key": asked.words });
                self.post("/v1/reset", &body)
            }
        };
        if matches!(act, Act::Reserve(_)) {
            self.receipt = told["receipt"].take();
        }
        let names = self.says().iter();
        let names = names.chain(&["refunded", "settled", "reset", "error"]);
        let mut values: Told = names
            .filter_map(|name| Some((*name, told.get(*name)?.clone())))
            .collect();
        if let Some(windows) = told["policies"].as_array_mut() {
            for window in &mut *windows {
                let window = window.as_object_mut().unwrap();
                // What tells keys apart, and the limit's own name.
                window.remove("key");
                assert_eq!(window.remove("rule"), Some(json!(asked.limit)));
            }
            values.insert("windows", json!(windows));
        }
        values
    }
}
