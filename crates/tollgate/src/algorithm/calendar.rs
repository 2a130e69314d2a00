//! `fixed-window` on the calendar: N units per civil hour, day, week, month or year of a time zone.

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};

use super::fixed_window::{window_fits_at, window_outlook, window_refund};
use super::{Charge, Compact, Counting, FixedSize, Outlook, Pair, live_until};
use crate::numbers::Numbers;
use crate::quota::CalendarUnit;
use crate::time::Micros;

/// At most `limit` units in one unit of the calendar. Over an edge, up to 2N; around a 23-hour day, 3N in 24 hours.
///
/// The state is (end of the window, units used in it), so that only a new window asks the calendar.
///
/// ```
/// use tollgate::{Limiter, Micros, Quota};
///
/// let limiter = Limiter::new("1 per day calendar UTC".parse::<Quota>()?)?;
/// let allowed = |at| limiter.check_at("ann", Micros::from_secs(at)).is_allowed();
/// assert!(allowed(86_399) && allowed(86_400), "midnight is between them");
/// assert!(!allowed(100_000));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CalendarWindow {
    limit: u64,
    unit: CalendarUnit,
    zone: TimeZone,
}

impl CalendarWindow {
    /// `limit` units per `unit` as the calendar of `zone` counts it.
    pub(crate) fn new(limit: u64, unit: CalendarUnit, zone: TimeZone) -> Self {
        CalendarWindow { limit, unit, zone }
    }

    pub(crate) fn numbers(&self) -> Numbers {
        Numbers::Calendar {
            limit: self.limit,
            unit: self.unit,
            zone: self.zone.iana_name().unwrap_or("UTC").to_owned(),
        }
    }

    /// The window that is open at `now`: its end and the units used in it.
    fn open(&self, state: Option<&Pair>, now: Micros) -> Option<(u64, u64)> {
        let &(end, used) = state?;
        live_until(end, now, self.full_refill_micros()).map(|_| (end, used))
    }

    /// The first instant after the calendar unit that contains `now`.
    pub(crate) fn end_of_window(&self, now: Micros) -> u64 {
        let end = i64::try_from(now.0)
            .ok()
            .and_then(|micros| Timestamp::from_microsecond(micros).ok())
            .and_then(|instant| self.end_after(&instant.to_zoned(self.zone.clone())))
            .and_then(|end| u64::try_from(end.timestamp().as_microsecond()).ok());
        // Beyond the calendar's last year a window is simply as long as it can be.
        end.filter(|end| *end > now.0)
            .unwrap_or(now.0 + self.full_refill_micros())
    }

    fn end_after(&self, now: &Zoned) -> Option<Zoned> {
        let day_start = |date: jiff::civil::Date| {
            self.zone
                .to_ambiguous_zoned(date.to_datetime(Time::midnight()))
                .compatible()
                .ok()
        };
        let date = now.date();
        match self.unit {
            CalendarUnit::Minute => Some(
                now.checked_add((60 - i64::from(now.second())).seconds())
                    .ok()?
                    .with()
                    .subsec_nanosecond(0)
                    .build()
                    .ok()?,
            ),
            CalendarUnit::Hour => {
                let past = i64::from(now.minute()) * 60 + i64::from(now.second());
                Some(
                    now.checked_add((3600 - past).seconds())
                        .ok()?
                        .with()
                        .subsec_nanosecond(0)
                        .build()
                        .ok()?,
                )
            }
            CalendarUnit::Day => day_start(date.tomorrow().ok()?),
            CalendarUnit::Week => day_start(date.nth_weekday(1, Weekday::Monday).ok()?),
            CalendarUnit::Month => day_start(date.last_of_month().tomorrow().ok()?),
            CalendarUnit::Year => day_start(date.last_of_year().tomorrow().ok()?),
        }
    }
}

impl Counting for CalendarWindow {
    type State = Pair;

    fn name(&self) -> &'static str {
        "calendar"
    }

    fn capacity(&self) -> u64 {
        self.limit
    }

    /// The longest that a window of this unit can be where clocks are put back by an hour. The few days that were longer,
    /// of up to 31 hours, are well within the two full refills that a state can be ahead.
    fn full_refill_micros(&self) -> u64 {
        const HOUR: u64 = 3_600_000_000;
        match self.unit {
            CalendarUnit::Minute => HOUR / 60,
            CalendarUnit::Hour => HOUR,
            CalendarUnit::Day => 25 * HOUR,
            CalendarUnit::Week => (7 * 24 + 1) * HOUR,
            CalendarUnit::Month => (31 * 24 + 1) * HOUR,
            CalendarUnit::Year => (366 * 24 + 1) * HOUR,
        }
    }

    fn fits_at(&self, state: Option<&Pair>, now: Micros, cost: u64) -> Option<Micros> {
        let (end, used) = self.open(state, now).unwrap_or((now.0, 0));
        window_fits_at(self.limit, used, end, now, cost)
    }

    fn charge(&self, state: Option<Pair>, now: Micros, cost: u64) -> Pair {
        let (end, used) = self
            .open(state.as_ref(), now)
            .unwrap_or_else(|| (self.end_of_window(now), 0));
        (end, used + cost)
    }

    fn outlook(&self, state: Option<&Pair>, now: Micros) -> Outlook {
        let (end, used) = self.open(state, now).unwrap_or((now.0, 0));
        window_outlook(self.limit, used, end, now)
    }

    fn used(&self, state: Option<&Pair>, now: Micros) -> u64 {
        self.open(state, now).map_or(0, |(_, used)| used)
    }

    fn give_back(&self, state: Pair, now: Micros, charge: &Charge) -> (Option<Pair>, u64) {
        match self.open(Some(&state), now) {
            Some((end, used)) if end == charge.mark.0 => window_refund(end, used, charge.cost),
            _ => (Some(state), 0),
        }
    }

    fn adopt(&self, _: Pair, used: u64, now: Micros) -> Option<Pair> {
        (used > 0).then(|| (self.end_of_window(now), used.min(self.limit)))
    }
}

impl FixedSize for CalendarWindow {
    fn compact(&self, (end, used): Pair) -> Option<Compact> {
        Some(Compact {
            until: end,
            rest: used,
        })
    }

    fn expand(&self, compact: Compact) -> Pair {
        (compact.until, compact.rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end_of(unit: CalendarUnit, zone: &str, now: &str) -> String {
        let window = CalendarWindow::new(1, unit, TimeZone::get(zone).unwrap());
        let now: Timestamp = now.parse().unwrap();
        let end = window.end_of_window(Micros(now.as_microsecond() as u64));
        Timestamp::from_microsecond(end as i64).unwrap().to_string()
    }

    #[test]
    fn a_window_ends_where_the_calendar_of_its_zone_says() {
        let cases = [
            (
                CalendarUnit::Minute,
                "UTC",
                "2026-11-21T20:59:49.5Z",
                "2026-11-21T21:00:00Z",
            ),
            (
                CalendarUnit::Hour,
                "Asia/Kolkata",
                "2026-11-21T20:59:49Z",
                "2026-11-21T21:30:00Z",
            ),
            (
                CalendarUnit::Day,
                "UTC",
                "2026-11-21T00:00:00Z",
                "2026-11-22T00:00:00Z",
            ),
            (
                CalendarUnit::Day,
                "Europe/Berlin",
                "2026-11-21T22:59:00Z",
                "2026-11-21T23:00:00Z",
            ),
            // 23 and 25 hours: the nights of the clock change.
            (
                CalendarUnit::Day,
                "Europe/Berlin",
                "2026-03-28T23:00:00Z",
                "2026-03-29T22:00:00Z",
            ),
            (
                CalendarUnit::Day,
                "Europe/Berlin",
                "2026-10-24T22:00:00Z",
                "2026-10-25T23:00:00Z",
            ),
            (
                CalendarUnit::Week,
                "UTC",
                "2026-11-21T20:00:00Z",
                "2026-11-23T00:00:00Z",
            ),
            (
                CalendarUnit::Week,
                "UTC",
                "2026-11-23T00:00:00Z",
                "2026-11-30T00:00:00Z",
            ),
            (
                CalendarUnit::Month,
                "UTC",
                "2028-02-29T12:00:00Z",
                "2028-03-01T00:00:00Z",
            ),
            (
                CalendarUnit::Year,
                "UTC",
                "2026-12-31T23:59:59Z",
                "2027-01-01T00:00:00Z",
            ),
        ];
        for (unit, zone, now, end) in cases {
            assert_eq!(end_of(unit, zone, now), end, "{unit:?} in {zone} at {now}");
        }
    }

    #[test]
    fn no_window_is_longer_than_its_full_refill() {
        // 2026 in Berlin; and 1992, a leap year that began in summer time and ended without, in Brisbane.
        let years = [
            ("Europe/Berlin", 1_767_225_600),
            ("Australia/Brisbane", 694_184_400),
        ];
        for ((zone, year), unit) in years
            .into_iter()
            .flat_map(|year| CalendarUnit::ALL.map(|unit| (year, unit)))
        {
            let window = CalendarWindow::new(1, unit, TimeZone::get(zone).unwrap());
            for hour in 0..(366 * 24) {
                let now = Micros::from_secs(year + hour * 3600);
                let length = window.end_of_window(now) - now.0;
                assert!(
                    length > 0 && length <= window.full_refill_micros(),
                    "{unit:?} in {zone} at {now}"
                );
            }
        }
    }
}
