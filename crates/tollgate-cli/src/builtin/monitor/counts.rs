//! Counts of requests as JSON and CSV have them.

use serde::Serialize;
use tollgate_accounts::UsageCounts;

/// All counts of a key or a point in time.
#[derive(Serialize)]
pub(crate) struct Counts {
    allowed: u64,
    denied: u64,
    failed: u64,
    unauthenticated: u64,
    answers: Answers,
    /// In microseconds; `None` where nothing was asked.
    latency_us_avg: Option<u64>,
    latency_us_max: u64,
    bytes_in: u64,
    bytes_out: u64,
}

#[derive(Serialize)]
struct Answers {
    #[serde(rename = "2xx")]
    ok: u64,
    #[serde(rename = "3xx")]
    elsewhere: u64,
    #[serde(rename = "4xx")]
    refused: u64,
    #[serde(rename = "5xx")]
    failed: u64,
}

impl From<&UsageCounts> for Counts {
    fn from(counts: &UsageCounts) -> Self {
        let [ok, elsewhere, refused, failed] = counts.answers;
        Counts {
            allowed: counts.allowed,
            denied: counts.denied,
            failed: counts.failed,
            unauthenticated: counts.unauthenticated,
            answers: Answers {
                ok,
                elsewhere,
                refused,
                failed,
            },
            latency_us_avg: counts.latency_us.checked_div(counts.requests()),
            latency_us_max: counts.latency_us_max,
            bytes_in: counts.bytes_in,
            bytes_out: counts.bytes_out,
        }
    }
}

impl Counts {
    /// The names of the columns of `cells`.
    pub(super) const COLUMNS: [&str; 12] = [
        "allowed",
        "denied",
        "failed",
        "unauthenticated",
        "answers_2xx",
        "answers_3xx",
        "answers_4xx",
        "answers_5xx",
        "latency_us_avg",
        "latency_us_max",
        "bytes_in",
        "bytes_out",
    ];

    pub(super) fn cells(&self) -> [String; 12] {
        let numbers = [
            self.allowed,
            self.denied,
            self.failed,
            self.unauthenticated,
            self.answers.ok,
            self.answers.elsewhere,
            self.answers.refused,
            self.answers.failed,
            self.latency_us_avg.unwrap_or(0),
            self.latency_us_max,
            self.bytes_in,
            self.bytes_out,
        ];
        numbers.map(|number| number.to_string())
    }
}
