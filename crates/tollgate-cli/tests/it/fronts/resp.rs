//! `TOLLGATE.CHECK`, `PEEK` and `RESET`.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};
use tollgate_testkit::redis::Reply;
use tollgate_testkit::redis::resp::ask;

use super::{Act, Asked, Front, Told};

pub(super) struct Resp(TcpStream);

impl Resp {
    pub(super) fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        let silence = Some(Duration::from_secs(20));
        stream.set_read_timeout(silence).unwrap();
        Resp(stream)
    }
}

impl Front for Resp {
    fn name(&self) -> &'static str {
        "resp"
    }

    fn knows(&self, act: Act, _: &str) -> bool {
        matches!(act, Act::Charge(_) | Act::Look(_) | Act::Reset)
    }

    fn says(&self) -> &'static [&'static str] {
        &[
            "allowed",
            "limit",
            "remaining",
            "retry_after_ms",
            "reset_after_ms",
            "policy",
            "degraded",
        ]
    }

    fn ask(&mut self, asked: Asked<'_>, act: Act) -> Told {
        let (command, cost) = match act {
            Act::Charge(cost) => ("TOLLGATE.CHECK", Some(cost.to_string())),
            Act::Look(cost) => ("TOLLGATE.PEEK", Some(cost.to_string())),
            Act::Reset => ("TOLLGATE.RESET", None),
            Act::Reserve(_) | Act::Settle(_) | Act::Refund => unreachable!("it knows no receipts"),
        };
        let mut words = vec![command, asked.limit];
        words.extend(asked.words);
        if let Some(cost) = &cost {
            words.extend(["COST", cost]);
        }
        let reply = ask(&mut self.0, &words).unwrap();
        match reply {
            Reply::Error(error) => [("error", json!(error))].into(),
            Reply::Integer(any) => [("reset", json!(any == 1))].into(),
            map => map.items().chunks(2).map(pair).collect(),
        }
    }
}

fn pair(pair: &[Reply]) -> (&'static str, Value) {
    let name = pair[0].text();
    let number = |reply: &Reply| Some(reply.integer()).filter(|number| *number >= 0);
    match name.as_str() {
        "allowed" => ("allowed", json!(pair[1].integer() == 1)),
        "degraded" => ("degraded", json!(pair[1].integer() == 1)),
        "limit" => ("limit", json!(number(&pair[1]))),
        "remaining" => ("remaining", json!(number(&pair[1]))),
        "retry_after_ms" => ("retry_after_ms", json!(number(&pair[1]))),
        "reset_after_ms" => ("reset_after_ms", json!(number(&pair[1]))),
        "policy" => ("policy", json!(pair[1].text())),
        other => panic!("{other} is new"),
    }
}
