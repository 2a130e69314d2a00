//! How long the caller waits for an answer.

use std::time::Duration;

use http::{HeaderMap, HeaderName};
use tokio::time::Instant;
use tollgate::store::Answer;

/// What is left of the caller's time for the way back: Envoy lets everything pass that comes too late.
const WAY_BACK: Duration = Duration::from_millis(3);
/// The longest that anybody waits for a store.
const WAIT_MAX: Duration = Duration::from_secs(10);
const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// Envoy says it in milliseconds.
const ENVOY_TIMEOUT: HeaderName = HeaderName::from_static("x-envoy-expected-rq-timeout-ms");

/// Until when an answer is of use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    /// From when the request came.
    time: Duration,
    began: Instant,
}

impl Deadline {
    /// What the head of a request says of it, that came just now.
    pub(super) fn of(head: &HeaderMap) -> Self {
        let field = |name: HeaderName| head.get(name)?.to_str().ok();
        let told = [
            field(TIMEOUT).and_then(timeout),
            field(ENVOY_TIMEOUT)
                .and_then(|ms| ms.parse().ok())
                .filter(|ms| *ms > 0)
                .map(Duration::from_millis),
        ];
        let told = told.into_iter().flatten().min().unwrap_or(WAIT_MAX);
        // Of a short time a part, so that something is left to ask the store in.
        let way_back = WAY_BACK.min(told / 4);
        Deadline {
            time: (told - way_back).min(WAIT_MAX),
            began: Instant::now(),
        }
    }

    /// How long from now on.
    pub(super) fn left(self) -> Duration {
        self.time.saturating_sub(self.began.elapsed())
    }

    /// The answer, if it comes in time. One that is at hand always does.
    pub(super) async fn within<T: Unpin + Send + 'static>(self, answer: Answer<T>) -> Option<T> {
        match answer {
            Answer::Ready(answer) => Some(answer),
            Answer::Pending(answer) => {
                let until = self.began + self.time;
                tokio::time::timeout_at(until, answer).await.ok()
            }
        }
    }
}

/// `grpc-timeout`: up to eight digits and a unit.
fn timeout(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let is_number =
        (1..=8).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = is_number.then(|| number.parse().ok()).flatten()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3_600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_read_as_grpc_writes_it() {
        let cases = [
            ("20m", Some(Duration::from_millis(20))),
            ("1S", Some(Duration::from_secs(1))),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3_600))),
            ("100u", Some(Duration::from_micros(100))),
            ("7n", Some(Duration::from_nanos(7))),
            ("2M", Some(Duration::from_secs(120))),
            ("", None),
            ("m", None),
            ("+5m", None),
            ("123456789m", None),
            ("5 m", None),
            ("5ä", None),
            ("5x", None),
        ];
        for (text, read) in cases {
            assert_eq!(timeout(text), read, "{text}");
        }
    }

    #[tokio::test]
    async fn the_shorter_of_two_times_counts_and_some_of_it_is_left_for_the_way_back() {
        let left = |fields: &[(HeaderName, &str)]| {
            let mut head = HeaderMap::new();
            for (name, value) in fields {
                head.insert(name, value.parse().unwrap());
            }
            Deadline::of(&head).time
        };
        assert_eq!(left(&[]), WAIT_MAX - WAY_BACK);
        assert_eq!(left(&[(TIMEOUT, "20m")]), Duration::from_millis(17));
        assert_eq!(
            left(&[(TIMEOUT, "1S"), (ENVOY_TIMEOUT, "20")]),
            Duration::from_millis(17)
        );
        assert_eq!(left(&[(ENVOY_TIMEOUT, "4")]), Duration::from_millis(3));
        assert_eq!(left(&[(ENVOY_TIMEOUT, "0")]), WAIT_MAX - WAY_BACK);
    }
}
