//! What is counted of requests.

use super::{Outcome, UsageEvent};

/// Counts of requests, of the answers that they got, and of what went over the wire for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageCounts {
    /// Requests that passed the limits and were answered.
    pub allowed: u64,
    /// Requests that a limit refused.
    pub denied: u64,
    /// Requests that passed and failed: the upstream did not answer, or the request was broken.
    pub failed: u64,
    /// Requests without credentials, or with wrong ones.
    pub unauthenticated: u64,
    /// Answers as clients got them, by class: 2xx, 3xx, 4xx and 5xx. Refusals are among them.
    pub answers: [u64; 4],
    /// From a request's head to its answer's, over all requests, in microseconds.
    pub latency_us: u64,
    /// The longest of them, in microseconds.
    pub latency_us_max: u64,
    /// Bytes of requests' bodies that went on to an upstream.
    pub bytes_in: u64,
    /// Bytes of answers' bodies.
    pub bytes_out: u64,
}

impl UsageCounts {
    pub(super) fn of(event: &UsageEvent<'_>) -> Self {
        let one_if = |outcome| u64::from(event.outcome == outcome);
        let class = usize::from(event.status / 100);
        Self {
            allowed: one_if(Outcome::Allowed),
            denied: one_if(Outcome::Denied),
            failed: one_if(Outcome::Failed),
            unauthenticated: one_if(Outcome::Unauthenticated),
            answers: std::array::from_fn(|place| u64::from(class == place + 2)),
            latency_us: event.latency_us,
            latency_us_max: event.latency_us,
            bytes_in: event.bytes_in,
            bytes_out: event.bytes_out,
        }
    }

    pub(super) fn add(&mut self, more: &Self) {
        self.allowed += more.allowed;
        self.denied += more.denied;
        self.failed += more.failed;
        self.unauthenticated += more.unauthenticated;
        for (class, more) in self.answers.iter_mut().zip(more.answers) {
            *class += more;
        }
        self.latency_us += more.latency_us;
        self.latency_us_max = self.latency_us_max.max(more.latency_us_max);
        self.bytes_in += more.bytes_in;
        self.bytes_out += more.bytes_out;
    }

    /// All requests, however they ended.
    pub fn requests(&self) -> u64 {
        self.allowed + self.denied + self.failed + self.unauthenticated
    }

    /// Each of two counts the larger one: of what the database has and what memory has, neither is ever too much.
    #[must_use]
    pub fn larger(&self, other: &Self) -> Self {
        Self {
            allowed: self.allowed.max(other.allowed),
            denied: self.denied.max(other.denied),
            failed: self.failed.max(other.failed),
            unauthenticated: self.unauthenticated.max(other.unauthenticated),
            answers: std::array::from_fn(|place| self.answers[place].max(other.answers[place])),
            latency_us: self.latency_us.max(other.latency_us),
            latency_us_max: self.latency_us_max.max(other.latency_us_max),
            bytes_in: self.bytes_in.max(other.bytes_in),
            bytes_out: self.bytes_out.max(other.bytes_out),
        }
    }
}
