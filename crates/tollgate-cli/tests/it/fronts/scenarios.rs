//! The table: limits, and what is asked of them at which second, with what the law says of it.

use std::time::Duration;
use tollgate::{Mode, Penalty, Policy};

use super::Act::{self, Charge, Look, Refund, Reserve, Reset, Settle};

/// Microseconds from the beginning of one scenario to that of the next: nothing of one reaches into the other.
pub(super) const APART: u64 = 2 * 86_400 * 1_000_000;

/// A limit in the rules, in a domain, and as the library has it.
pub(super) struct Limit {
    pub(super) name: &'static str,
    pub(super) quotas: &'static [&'static str],
    /// Names of the parts of its key.
    pub(super) parts: &'static [&'static str],
    /// Further lines of the rules, and what they make of a policy.
    pub(super) further: &'static str,
    pub(super) made: fn(Policy) -> Policy,
}

const fn plain(name: &'static str, quotas: &'static [&'static str]) -> Limit {
    Limit {
        name,
        quotas,
        parts: &["user"],
        further: "",
        made: |policy| policy,
    }
}

pub(super) const LIMITS: &[Limit] = &[
    plain("sliding", &["3 per 10 seconds"]),
    plain(
        "windows",
        &["5 per minute fixed-window", "8 per hour fixed-window"],
    ),
    plain("bucket", &["10 per second token-bucket"]),
    plain("thirds", &["3 per second burst 1"]),
    plain("coarse", &["104251 per day token-bucket"]),
    plain("counter", &["10 per minute sliding-counter"]),
    plain("day", &["5 per day calendar Europe/Berlin"]),
    plain("hundred", &["100 per hour fixed-window"]),
    plain(
        "mixed",
        &[
            "2 per second",
            "10 per minute token-bucket",
            "20 per day calendar",
        ],
    ),
    plain("slots", &["2 concurrent for 30 seconds"]),
    plain("nothing", &["deny"]),
    Limit {
        parts: &["user", "header:x-tenant"],
        ..plain("pair", &["2 per minute"])
    },
    Limit {
        further: "count_denied = true\n",
        made: |policy| policy.counting_denied(true),
        ..plain("counted", &["5 per minute fixed-window"])
    },
    Limit {
        further: "mode = \"shadow\"\n",
        made: |policy| policy.with_mode(Mode::Shadow),
        ..plain("shadow", &["1 per minute"])
    },
    Limit {
        further: "penalty = { block = \"2 minutes\" }\n",
        made: |policy| {
            let block = Penalty::new(Duration::from_secs(120));
            policy.with_penalty(block).unwrap()
        },
        ..plain("penalty", &["1 per minute"])
    },
];

/// The same limits by name, and as a domain of Envoy's.
pub(super) fn rules() -> String {
    let mut rules = "[service]\n[counters]\ndeadline_ms = 10000\n".to_owned();
    for limit in LIMITS {
        let (name, quotas, further) = (limit.name, limit.quotas, limit.further);
        let parts = limit.parts;
        rules += &format!("[limits.{name}]\nkey = {parts:?}\nquotas = {quotas:?}\n{further}");
        let second = parts.get(1).map(|_| "tenant");
        let entries: Vec<&str> = [name].into_iter().chain(second).collect();
        rules += &format!(
            "[[service.domains.edge.descriptors]]\nentries = {entries:?}\nquotas = {quotas:?}\n{further}"
        );
    }
    rules
}

pub(super) struct Scenario {
    pub(super) promise: &'static str,
    pub(super) limit: &'static str,
    pub(super) words: &'static [&'static str],
    /// At which second after its beginning, what is asked, and the answer as [`sentence`](super::library::sentence) has it.
    pub(super) steps: &'static [(f64, Act, &'static str)],
}

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        promise: "a unit of a sliding window is free again exactly a window later",
        limit: "sliding",
        words: &["ann"],
        steps: &[
            (0.0, Charge(1), "allowed, 2 left"),
            (0.2, Charge(1), "allowed, 1 left"),
            (9.9, Charge(1), "allowed, 0 left"),
            (9.95, Charge(1), "denied, 0 left, 50 ms"),
            (10.0, Charge(1), "allowed, 0 left"),
            (10.1, Charge(1), "denied, 0 left, 100 ms"),
            (10.2, Charge(1), "allowed, 0 left"),
        ],
    },
    Scenario {
        promise: "several windows are charged together or not at all",
        limit: "windows",
        words: &["ann"],
        steps: &[
            (0.0, Charge(3), "allowed, 2 left"),
            (1.0, Charge(3), "denied, 2 left, 59000 ms"),
            (1.0, Charge(2), "allowed, 0 left"),
            (5.0, Charge(1), "denied, 0 left, 55000 ms"),
            (59.9, Charge(1), "denied, 0 left, 100 ms"),
            (60.0, Charge(2), "allowed, 1 left"),
            (60.0, Charge(2), "denied, 1 left, 3540000 ms"),
            (60.0, Charge(1), "allowed, 0 left"),
            (60.0, Charge(1), "denied, 0 left, 3540000 ms"),
            (3_600.0, Charge(1), "allowed, 4 left"),
        ],
    },
    Scenario {
        promise: "a bucket refills at its rate and holds no more than its burst",
        limit: "bucket",
        words: &["ann"],
        steps: &[
            (0.0, Charge(9), "allowed, 1 left"),
            (0.0, Charge(1), "allowed, 0 left"),
            (0.0, Charge(1), "denied, 0 left, 100 ms"),
            (0.1, Charge(1), "allowed, 0 left"),
            (0.1, Charge(1), "denied, 0 left, 100 ms"),
            (0.15, Charge(3), "denied, 0 left, 250 ms"),
            (100.0, Charge(11), "never, 10 left"),
            (100.0, Charge(10), "allowed, 0 left"),
        ],
    },
    Scenario {
        promise: "waits that are no whole number of anything are rounded up",
        limit: "thirds",
        words: &["ann"],
        steps: &[
            (0.0, Charge(1), "allowed, 0 left"),
            (0.0, Charge(1), "denied, 0 left, 334 ms"),
            (0.333_333, Charge(1), "denied, 0 left, 1 ms"),
            (0.333_334, Charge(1), "allowed, 0 left"),
        ],
    },
    Scenario {
        promise: "a rate that needs a coarser tick is exact all the same",
        limit: "coarse",
        words: &["ann"],
        steps: &[
            (0.0, Charge(104_251), "allowed, 0 left"),
            (0.0, Charge(1), "denied, 0 left, 829 ms"),
            (86_400.0, Look(104_251), "allowed, 104251 left"),
        ],
    },
    Scenario {
        promise: "two counters stand for a window that slides",
        limit: "counter",
        words: &["ann"],
        steps: &[
            (0.0, Charge(10), "allowed, 0 left"),
            (30.0, Charge(1), "denied, 0 left, 36035 ms"),
            (90.0, Charge(1), "allowed, 4 left"),
            (90.0, Charge(5), "denied, 4 left, 6036 ms"),
        ],
    },
    Scenario {
        promise: "a day of the calendar ends at midnight there",
        limit: "day",
        words: &["ann"],
        steps: &[
            (0.0, Charge(5), "allowed, 0 left"),
            (0.0, Charge(1), "denied, 0 left, 54000000 ms"),
            (53_999.0, Charge(1), "denied, 0 left, 1000 ms"),
            (54_000.0, Charge(1), "allowed, 4 left"),
        ],
    },
    Scenario {
        promise: "costs are charged whole, and one that can never pass is told so",
        limit: "hundred",
        words: &["ann"],
        steps: &[
            (0.0, Charge(30), "allowed, 70 left"),
            (0.0, Charge(30), "allowed, 40 left"),
            (0.0, Charge(30), "allowed, 10 left"),
            (0.0, Charge(30), "denied, 10 left, 3600000 ms"),
            (0.0, Charge(101), "never, 10 left"),
            (1.0, Charge(10), "allowed, 0 left"),
        ],
    },
    Scenario {
        promise: "a look costs nothing and agrees with what follows",
        limit: "hundred",
        words: &["bob"],
        steps: &[
            (0.0, Look(1), "allowed, 100 left"),
            (0.0, Charge(100), "allowed, 0 left"),
            (0.0, Look(1), "denied, 0 left, 3600000 ms"),
            (0.0, Charge(1), "denied, 0 left, 3600000 ms"),
        ],
    },
    Scenario {
        promise: "algorithms mix in one limit, and the longest wait counts",
        limit: "mixed",
        words: &["ann"],
        steps: &[
            (0.0, Charge(2), "allowed, 0 left"),
            (0.5, Charge(1), "denied, 0 left, 500 ms"),
            (1.0, Charge(2), "allowed, 0 left"),
            (2.0, Charge(2), "allowed, 0 left"),
            (3.0, Charge(2), "allowed, 0 left"),
            (4.0, Charge(2), "allowed, 0 left"),
            (5.0, Charge(1), "denied, 0 left, 1000 ms"),
            (5.0, Charge(2), "denied, 0 left, 7000 ms"),
        ],
    },
    Scenario {
        promise: "slots come back when their time is up",
        limit: "slots",
        words: &["ann"],
        steps: &[
            (0.0, Charge(1), "allowed, 1 left"),
            (10.0, Charge(1), "allowed, 0 left"),
            (10.0, Charge(1), "denied, 0 left, 20000 ms"),
            (30.0, Charge(1), "allowed, 0 left"),
        ],
    },
    Scenario {
        promise: "nothing passes where nothing is to pass",
        limit: "nothing",
        words: &["ann"],
        steps: &[
            (0.0, Charge(1), "refused-by-policy"),
            (0.0, Look(1), "refused-by-policy"),
        ],
    },
    Scenario {
        promise: "the parts of a key cannot be mistaken for one another",
        limit: "pair",
        words: &["ab", "c"],
        steps: &[
            (0.0, Charge(2), "allowed, 0 left"),
            (0.0, Charge(1), "denied, 0 left, 60000 ms"),
        ],
    },
    Scenario {
        promise: "the parts of a key cannot be mistaken for one another, from the other side",
        limit: "pair",
        words: &["a", "bc"],
        steps: &[(0.0, Charge(1), "allowed, 1 left")],
    },
    Scenario {
        promise: "where denials count they take what still fits",
        limit: "counted",
        words: &["ann"],
        steps: &[
            (0.0, Charge(3), "allowed, 2 left"),
            (1.0, Charge(3), "denied, 0 left, 59000 ms"),
            (2.0, Charge(1), "denied, 0 left, 58000 ms"),
        ],
    },
    Scenario {
        promise: "a shadow denies nobody",
        limit: "shadow",
        words: &["ann"],
        steps: &[(0.0, Charge(1), "allowed"), (0.0, Charge(1), "allowed")],
    },
    Scenario {
        promise: "whoever is denied is blocked for longer than the window",
        limit: "penalty",
        words: &["ann"],
        steps: &[
            (0.0, Charge(1), "allowed, 0 left"),
            (30.0, Charge(1), "denied, 0 left, 120000 ms"),
            (60.0, Charge(1), "denied, 0 left, 90000 ms"),
            (150.0, Charge(1), "allowed, 0 left"),
        ],
    },
    Scenario {
        promise: "what is given back is there again",
        limit: "hundred",
        words: &["cat"],
        steps: &[
            (0.0, Reserve(60), "allowed, 40 left"),
            (1.0, Refund, "refunded 60"),
            (1.0, Charge(100), "allowed, 0 left"),
        ],
    },
    Scenario {
        promise: "an estimate becomes what it has cost",
        limit: "hundred",
        words: &["dan"],
        steps: &[
            (0.0, Reserve(60), "allowed, 40 left"),
            (1.0, Settle(15), "settled"),
            (1.0, Look(1), "allowed, 85 left"),
            (1.0, Charge(86), "denied, 85 left, 3599000 ms"),
        ],
    },
    Scenario {
        promise: "what is forgotten is as good as new",
        limit: "windows",
        words: &["eve"],
        steps: &[
            (0.0, Charge(5), "allowed, 0 left"),
            (0.0, Charge(1), "denied, 0 left, 60000 ms"),
            (0.0, Reset, "reset true"),
            (0.0, Reset, "reset false"),
            (0.0, Charge(5), "allowed, 0 left"),
        ],
    },
];
