//! What can be asked of the monitor, behind the `?`.

use http::HeaderMap;
use http::header;
use tollgate::Micros;
use tollgate_accounts::{Step, USAGE_SECONDS};
use tollgate_gateway::refusal::Refusal;

/// Points of a series at most.
pub(super) const POINTS_MAX: u64 = 3_000;

/// Keys of a list at most.
const LISTED_MAX: usize = 10_000;

/// The last second of the year 9999.
const LATEST_SECS: u64 = 253_402_300_799;

/// Every parameter that there is; each question reads its own.
#[derive(Debug, Default)]
pub(crate) struct Query {
    step: Option<String>,
    from: Option<Micros>,
    to: Option<Micros>,
    pub(super) sort: Option<Sort>,
    pub(super) limit: Option<usize>,
    pub(super) offset: usize,
    /// Whose use without a key is asked for, by name.
    pub(super) user: Option<String>,
    pub(super) csv: bool,
}

/// The order of a list of keys, the largest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    Rate,
    Denied,
    LastSeen,
}

/// How fine a series is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::builtin) enum Fineness {
    Second,
    Stored(Step),
}

/// Which points are asked for.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::builtin) struct Range {
    pub(in crate::builtin) fineness: Fineness,
    /// When the first point begins.
    pub(in crate::builtin) from: Micros,
    /// No point begins here or later.
    pub(in crate::builtin) to: Micros,
}

impl Query {
    /// Reads the query of a request; `Accept: text/csv` asks as `format=csv` does.
    ///
    /// # Errors
    /// 400 for a parameter that there is not, or a value that it cannot have.
    pub(crate) fn read(query: Option<&str>, headers: &HeaderMap) -> Result<Self, Refusal> {
        let wrong = |error: serde_urlencoded::de::Error| Refusal::bad_request(error.to_string());
        let pairs: Vec<(String, String)> =
            serde_urlencoded::from_str(query.unwrap_or_default()).map_err(wrong)?;
        let mut asked = Query {
            csv: reads_csv(headers),
            ..Query::default()
        };
        for (name, value) in pairs {
            asked.set(&name, value)?;
        }
        Ok(asked)
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), Refusal> {
        match name {
            "step" => self.step = Some(value),
            "from" => self.from = Some(instant(name, &value)?),
            "to" => self.to = Some(instant(name, &value)?),
            "sort" => self.sort = Some(Sort::read(&value)?),
            "limit" => self.limit = Some(number(name, &value)?),
            "offset" => self.offset = number(name, &value)?,
            "user" => self.user = Some(value),
            "format" => self.csv = is_csv(&value)?,
            _ => {
                return Err(Refusal::bad_request(format!(
                    "There is no parameter `{name}`."
                )));
            }
        }
        Ok(())
    }

    /// The points that are asked for: by minutes of the last hour, if nothing is said.
    pub(super) fn range(&self, now: Micros) -> Result<Range, Refusal> {
        let fineness = Fineness::read(self.step.as_deref().unwrap_or("minute"))?;
        let second = 1_000_000;
        let step = fineness.as_secs() * second;
        let to = self.to.unwrap_or(Micros(now.0 - now.0 % step + step));
        let usual = Micros(to.0.saturating_sub(fineness.usual_points() * step));
        let from = self.from.unwrap_or(usual);
        if from >= to {
            return Err(Refusal::bad_request("`from` must be before `to`."));
        }
        let mut first = from.0 - from.0 % step;
        if fineness == Fineness::Second {
            // Memory goes no further back, and nothing is known of the future.
            first = first.max((now.as_secs().saturating_sub(USAGE_SECONDS)) * second);
        }
        if to.0.saturating_sub(first).div_ceil(step) > POINTS_MAX {
            return Err(Refusal::bad_request(format!(
                "That is more than {POINTS_MAX} points: ask for less time, or a longer step."
            )));
        }
        Ok(Range {
            fineness,
            from: Micros(first),
            to,
        })
    }

    /// How many are to be listed.
    pub(super) fn limit(&self) -> usize {
        self.limit.unwrap_or(LISTED_MAX).min(LISTED_MAX)
    }
}

impl Fineness {
    fn read(text: &str) -> Result<Self, Refusal> {
        match text {
            "second" => Ok(Fineness::Second),
            "minute" => Ok(Fineness::Stored(Step::Minute)),
            "hour" => Ok(Fineness::Stored(Step::Hour)),
            "day" => Ok(Fineness::Stored(Step::Day)),
            _ => Err(Refusal::bad_request(
                "`step` is `second`, `minute`, `hour` or `day`.",
            )),
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Fineness::Second => "second",
            Fineness::Stored(Step::Minute) => "minute",
            Fineness::Stored(Step::Hour) => "hour",
            Fineness::Stored(Step::Day) => "day",
        }
    }

    pub(in crate::builtin) fn as_secs(self) -> u64 {
        match self {
            Fineness::Second => 1,
            Fineness::Stored(step) => step.as_secs(),
        }
    }

    /// Five minutes, an hour, two days, a month.
    fn usual_points(self) -> u64 {
        match self {
            Fineness::Second => USAGE_SECONDS,
            Fineness::Stored(Step::Minute) => 60,
            Fineness::Stored(Step::Hour) => 48,
            Fineness::Stored(Step::Day) => 30,
        }
    }
}

impl Sort {
    fn read(text: &str) -> Result<Self, Refusal> {
        match text {
            "rate" => Ok(Sort::Rate),
            "denied" => Ok(Sort::Denied),
            "last_seen" => Ok(Sort::LastSeen),
            _ => Err(Refusal::bad_request(
                "`sort` is `rate`, `denied` or `last_seen`.",
            )),
        }
    }
}

/// RFC 3339, or seconds since 1970.
fn instant(name: &str, text: &str) -> Result<Micros, Refusal> {
    let seconds = match text.parse::<u64>() {
        Ok(seconds) => Some(seconds),
        Err(_) => {
            let at = text.parse::<jiff::Timestamp>().ok();
            at.and_then(|at| u64::try_from(at.as_second()).ok())
        }
    };
    let seconds = seconds.filter(|seconds| *seconds <= LATEST_SECS);
    seconds.map(Micros::from_secs).ok_or_else(|| {
        Refusal::bad_request(format!(
            "`{name}` is a time like `2027-01-15T08:00:00Z`, or seconds since 1970."
        ))
    })
}

fn number(name: &str, text: &str) -> Result<usize, Refusal> {
    let number = text.parse().ok();
    number.ok_or_else(|| Refusal::bad_request(format!("`{name}` is a whole number.")))
}

fn is_csv(format: &str) -> Result<bool, Refusal> {
    match format {
        "csv" => Ok(true),
        "json" => Ok(false),
        _ => Err(Refusal::bad_request("`format` is `json` or `csv`.")),
    }
}

fn reads_csv(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT);
    let accept = accept.and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.trim_start().starts_with("text/csv"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Micros = Micros(1_800_000_030_500_000);

    fn range(query: &str) -> Result<Range, String> {
        let read = Query::read(Some(query), &HeaderMap::new());
        let range = read.and_then(|query| query.range(NOW));
        range.map_err(|refusal| {
            assert_eq!(refusal.status(None), 400);
            refusal.detail().into_owned()
        })
    }

    #[test]
    fn a_series_ends_with_the_running_step_and_begins_on_a_whole_one() {
        let usual = range("").unwrap();
        assert_eq!(usual.to, Micros::from_secs(1_800_000_060));
        assert_eq!(usual.from, Micros::from_secs(1_800_000_060 - 3_600));
        let hours = range("step=hour&from=2027-01-15T05:30:00Z&to=1800000000").unwrap();
        assert_eq!(hours.from, Micros::from_secs(1_800_000_000 - 3 * 3_600));
        let seconds = range("step=second&from=0").unwrap();
        assert_eq!(seconds.from, Micros::from_secs(1_800_000_030 - 300));
        assert_eq!(seconds.to, Micros::from_secs(1_800_000_031));
    }

    #[test]
    fn what_cannot_be_asked_is_400_and_says_what_can() {
        let wrong = [
            "step=week",
            "from=yesterday",
            "from=-1",
            "to=99999999999999999999",
            "to=253402300800",
            "from=1800000000&to=1800000000",
            "from=1800000001&to=1800000000",
            "from=0",
            "step=second&from=0&to=1900000000",
            "step=day&from=0&to=253402300799",
            "sort=name",
            "limit=many",
            "limit=-1",
            "format=xml",
            "colour=red",
        ];
        for query in wrong {
            assert!(range(query).is_err(), "{query}");
        }
    }
}
