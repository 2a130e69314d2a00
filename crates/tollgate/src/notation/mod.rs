//! The notation of quotas: `"5 per minute"`, `"3 per 10 seconds"`, `"10 per second burst 20"`,
//! `"1000 per day fixed-window"`, `"1000 per day calendar Europe/Berlin"`, `"10 concurrent"`, `"deny"`, `"unlimited"`.
//!
//! ```text
//! quota  = count ("per" | "/") [count] unit { "burst" count | algorithm | "calendar" [zone] }
//!        | count "concurrent" ["for" [count] unit] | "deny" | "unlimited"
//! quotas = quota { (";" | ",") quota }
//! ```
//!
//! Case does not matter (`M` is a minute, `mo` a month), numbers may carry `_`, a month is 30 days and a year 365
//! except on a calendar. One canonical form is printed back.

mod reader;

use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

use reader::Reader;

use crate::quota::{
    AlgorithmKind, CalendarUnit, LEASE_MICROS, PERIOD_MAX_MICROS, Quota, QuotaError, Rate, Shape,
};

/// The longest text that is read.
const TEXT_BYTES_MAX: usize = 1024;

/// Canonical name, abbreviation in window names, microseconds.
const UNITS: [(&str, &str, u64); 10] = [
    ("microsecond", "us", 1),
    ("millisecond", "ms", 1_000),
    ("second", "s", 1_000_000),
    ("minute", "m", 60_000_000),
    ("hour", "h", 3_600_000_000),
    ("day", "d", 86_400_000_000),
    ("week", "w", 604_800_000_000),
    ("month", "mo", 2_592_000_000_000),
    ("year", "y", 31_536_000_000_000),
    ("century", "c", PERIOD_MAX_MICROS),
];

/// Other ways to write a unit; plurals of the names are known without being listed.
const ABBREVIATIONS: [(&str, &str); 16] = [
    ("us", "microsecond"),
    ("usec", "microsecond"),
    ("ms", "millisecond"),
    ("msec", "millisecond"),
    ("s", "second"),
    ("sec", "second"),
    ("m", "minute"),
    ("min", "minute"),
    ("h", "hour"),
    ("hr", "hour"),
    ("d", "day"),
    ("w", "week"),
    ("wk", "week"),
    ("mo", "month"),
    ("y", "year"),
    ("yr", "year"),
];

/// A quota that cannot be read: where, what was expected, and what was probably meant.
///
/// ```
/// use tollgate::Quota;
///
/// let error = "5 per minut".parse::<Quota>().unwrap_err();
/// assert_eq!(error.span(), 6..11);
/// assert_eq!(error.suggestion(), Some("did you mean `minute`?"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}", .help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default())]
pub struct NotationError {
    span: Range<usize>,
    message: String,
    help: Option<String>,
}

impl NotationError {
    fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        NotationError {
            span,
            message: message.into(),
            help: None,
        }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The bytes of the text that are wrong.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// What was expected and what was found.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What was probably meant, where something is near.
    pub fn suggestion(&self) -> Option<&str> {
        self.help.as_deref()
    }
}

impl Quota {
    /// Parses one quota; where the text names no algorithm, `default` counts.
    ///
    /// # Errors
    /// Says where the text is wrong, what was expected, and what was probably meant.
    pub fn parse_with(text: &str, default: AlgorithmKind) -> Result<Self, NotationError> {
        parse_one(text, default)
    }

    /// Parses several quotas separated by `;` or `,`: `"100/hour; 5/minute"`.
    ///
    /// # Errors
    /// As [`Quota::parse_with`].
    pub fn parse_list(text: &str) -> Result<Vec<Self>, NotationError> {
        parse_list(text, AlgorithmKind::default())
    }

    /// As [`Quota::parse_list`]; where a quota names no algorithm, `default` counts.
    ///
    /// # Errors
    /// As [`Quota::parse_with`].
    pub fn parse_list_with(text: &str, default: AlgorithmKind) -> Result<Vec<Self>, NotationError> {
        parse_list(text, default)
    }

    /// The short name of the window: `minute`, `10s`, `day`; `deny` and `unlimited` for those.
    pub fn window_name(&self) -> String {
        window_name(self)
    }
}

impl FromStr for Quota {
    type Err = NotationError;

    fn from_str(text: &str) -> Result<Self, NotationError> {
        parse_one(text, AlgorithmKind::default())
    }
}

/// The canonical notation; with `{:#}` the rate alone, as one says it to people.
impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print(self, f)
    }
}

fn parse_list(text: &str, default: AlgorithmKind) -> Result<Vec<Quota>, NotationError> {
    let mut reader = Reader::new(text)?;
    let mut quotas = vec![quota(&mut reader, default)?];
    while reader.eat_separator() {
        quotas.push(quota(&mut reader, default)?);
    }
    reader.expect_end()?;
    Ok(quotas)
}

fn parse_one(text: &str, default: AlgorithmKind) -> Result<Quota, NotationError> {
    let mut reader = Reader::new(text)?;
    let quota = quota(&mut reader, default)?;
    reader.expect_end()?;
    Ok(quota)
}

fn quota(reader: &mut Reader<'_>, default: AlgorithmKind) -> Result<Quota, NotationError> {
    match reader.peek_word().to_ascii_lowercase().as_str() {
        "deny" => {
            reader.take_word();
            return Ok(Quota::deny());
        }
        "unlimited" => {
            reader.take_word();
            return Ok(Quota::unlimited());
        }
        _ => {}
    }
    let (limit, limit_span) = reader.number(
        "a number of requests, like `5 per minute`",
        Some("write `1 per 2 seconds` for half a unit per second"),
    )?;
    if reader.eat_word("concurrent") {
        let lease = if reader.eat_word("for") {
            length_of_time(reader)?.0
        } else {
            LEASE_MICROS
        };
        return Quota::concurrent(limit, Duration::from_micros(lease))
            .map_err(|error| NotationError::new(limit_span, error.to_string()));
    }
    reader.expect_per()?;
    let (period, count_and_unit) = length_of_time(reader)?;
    let quota = Quota::new(limit, Duration::from_micros(period))
        .map_err(|error| NotationError::new(limit_span, error.to_string()))?;
    modifiers(reader, quota, count_and_unit, default)
}

/// Parses a length of time, `[count] unit`: `"10 minutes"`, `"1h"`. At least a microsecond, at most a century.
///
/// ```
/// use std::time::Duration;
/// use tollgate::notation::parse_duration;
///
/// assert_eq!(parse_duration("90 seconds")?, Duration::from_secs(90));
/// assert_eq!(parse_duration("1 day")?, Duration::from_secs(86_400));
/// # Ok::<(), tollgate::NotationError>(())
/// ```
///
/// # Errors
/// Says where the text is wrong, what was expected, and what was probably meant.
pub fn parse_duration(text: &str) -> Result<Duration, NotationError> {
    let mut reader = Reader::new(text)?;
    let (micros, _) = length_of_time(&mut reader)?;
    reader.expect_end()?;
    Ok(Duration::from_micros(micros))
}

/// `[count] unit`: in microseconds, and as it is written.
fn length_of_time(reader: &mut Reader<'_>) -> Result<(u64, (u64, usize)), NotationError> {
    let instead = Some("write `90 seconds` for a minute and a half");
    let written = match reader.at_number() {
        true => Some(reader.number("a number", instead)?),
        false => None,
    };
    let (unit, unit_span) = reader.unit()?;
    let (count, count_span) = written.unwrap_or_else(|| (1, unit_span.clone()));
    if count == 0 {
        return Err(NotationError::new(count_span, "a period of 0 is no period"));
    }
    let period = UNITS[unit]
        .2
        .checked_mul(count)
        .filter(|period| *period <= PERIOD_MAX_MICROS);
    let Some(period) = period else {
        return Err(NotationError::new(
            count_span.start..unit_span.end,
            "the period is longer than a century",
        ));
    };
    Ok((period, (count, unit)))
}

fn modifiers(
    reader: &mut Reader<'_>,
    mut quota: Quota,
    period: (u64, usize),
    default: AlgorithmKind,
) -> Result<Quota, NotationError> {
    let mut kind: Option<(AlgorithmKind, Range<usize>)> = None;
    let mut burst: Option<(u64, Range<usize>)> = None;
    let mut zone: Option<(String, Range<usize>)> = None;
    while let Some((word, span)) = reader.take_word() {
        let twice = |given: bool| {
            given.then(|| NotationError::new(span.clone(), format!("`{word}` is given twice")))
        };
        match word.to_ascii_lowercase().as_str() {
            "burst" => {
                if let Some(error) = twice(burst.is_some()) {
                    return Err(error);
                }
                burst = Some(reader.number("the size of the burst, like `burst 20`", None)?);
            }
            "calendar" => {
                if let Some(error) = twice(zone.is_some()) {
                    return Err(error);
                }
                zone = Some((reader.zone().unwrap_or_else(|| "UTC".to_owned()), span));
            }
            name => match AlgorithmKind::from_name(name) {
                Some(_) if kind.is_some() => {
                    return Err(NotationError::new(span, "a quota has one algorithm"));
                }
                Some(named) => kind = Some((named, span)),
                None => return Err(unknown_word(word, span)),
            },
        }
    }
    if let Some((zone, span)) = zone {
        let unit = calendar_unit(period).ok_or_else(|| {
            NotationError::new(
                span.clone(),
                "a calendar window is one minute, hour, day, week, month or year",
            )
        })?;
        if burst.is_some() || kind.is_some_and(|(kind, _)| kind != AlgorithmKind::FixedWindow) {
            return Err(NotationError::new(
                span,
                "a calendar window is a `fixed-window` and has no burst",
            ));
        }
        return Ok(quota.on_calendar(unit, &zone));
    }
    match (kind, burst) {
        // Where nothing is said a burst means a token bucket; where another algorithm is the default it was said.
        (None, Some((_, span)))
            if !matches!(
                default,
                AlgorithmKind::SlidingWindow | AlgorithmKind::TokenBucket
            ) =>
        {
            return Err(NotationError::new(
                span,
                QuotaError::BurstWithout.to_string(),
            ));
        }
        (Some((AlgorithmKind::TokenBucket, _)) | None, Some((burst, span))) => {
            quota = quota
                .burst(burst)
                .map_err(|error| NotationError::new(span, error.to_string()))?;
        }
        (Some(_), Some((_, span))) => {
            return Err(NotationError::new(
                span,
                QuotaError::BurstWithout.to_string(),
            ));
        }
        (kind, None) => quota = quota.counted_by(kind.map_or(default, |(kind, _)| kind)),
    }
    Ok(quota)
}

fn calendar_unit((count, unit): (u64, usize)) -> Option<CalendarUnit> {
    CalendarUnit::ALL
        .into_iter()
        .find(|calendar| count == 1 && calendar.nominal_micros() == UNITS[unit].2)
}

fn unknown_word(word: &str, span: Range<usize>) -> NotationError {
    let known = AlgorithmKind::NAMES
        .iter()
        .map(|(name, _)| *name)
        .chain(["burst", "calendar"]);
    let error = NotationError::new(
        span,
        format!("expected `burst`, `calendar`, an algorithm or the end, found `{word}`"),
    );
    suggest(error, word, known)
}

fn suggest<'a>(
    error: NotationError,
    word: &str,
    known: impl Iterator<Item = &'a str>,
) -> NotationError {
    match nearest(word, known) {
        Some(near) => error.help(format!("did you mean `{near}`?")),
        None => error,
    }
}

/// The known word that is at most a third of its length away.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    let length = word.chars().count();
    let farthest = |candidate: &str| (candidate.len() / 3).max(1);
    known
        // What differs more in length alone is not worth comparing.
        .filter(|candidate| candidate.chars().count().abs_diff(length) <= farthest(candidate))
        .map(|candidate| (strsim::damerau_levenshtein(&word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= farthest(candidate))
        .min()
        .map(|(_, candidate)| candidate)
}

/// The period in the largest unit that divides it.
fn largest_unit(period: u64) -> (u64, usize) {
    let unit = UNITS
        .iter()
        .rposition(|(_, _, micros)| period.is_multiple_of(*micros))
        .unwrap_or(0);
    (period / UNITS[unit].2, unit)
}

fn print(quota: &Quota, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let limited = match &quota.0 {
        Rate::Deny => return f.write_str("deny"),
        Rate::Unlimited => return f.write_str("unlimited"),
        Rate::Limited(limited) => limited,
    };
    if limited.shape == Shape::Concurrency {
        write!(f, "{} concurrent", limited.limit)?;
        if limited.period != LEASE_MICROS && !f.alternate() {
            f.write_str(" for ")?;
            print_length_of_time(limited.period, f)?;
        }
        return Ok(());
    }
    write!(f, "{} per ", limited.limit)?;
    print_length_of_time(limited.period, f)?;
    if f.alternate() {
        return Ok(());
    }
    match &limited.shape {
        Shape::SlidingWindow | Shape::Concurrency => Ok(()),
        Shape::TokenBucket { burst } if *burst == limited.limit => f.write_str(" token-bucket"),
        Shape::TokenBucket { burst } => write!(f, " burst {burst}"),
        Shape::FixedWindow => f.write_str(" fixed-window"),
        Shape::SlidingCounter => f.write_str(" sliding-counter"),
        Shape::Calendar { zone, .. } => write!(f, " calendar {zone}"),
    }
}

fn print_length_of_time(micros: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match largest_unit(micros) {
        (1, unit) => f.write_str(UNITS[unit].0),
        (count, unit) => write!(f, "{count} {}s", UNITS[unit].0),
    }
}

fn window_name(quota: &Quota) -> String {
    let limited = match &quota.0 {
        Rate::Deny => return "deny".to_owned(),
        Rate::Unlimited => return "unlimited".to_owned(),
        Rate::Limited(limited) => limited,
    };
    if limited.shape == Shape::Concurrency {
        return "concurrent".to_owned();
    }
    match largest_unit(limited.period) {
        (1, unit) => UNITS[unit].0.to_owned(),
        (count, unit) => format!("{count}{}", UNITS[unit].1),
    }
}

#[cfg(test)]
mod tests;
