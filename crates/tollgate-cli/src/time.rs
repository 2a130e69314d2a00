//! Instants as programs and people read them, in UTC.

use jiff::Timestamp;
use tollgate::Micros;

/// RFC 3339, whole seconds: `2027-01-15T08:00:00Z`.
pub(crate) fn rfc3339(at: Micros) -> String {
    timestamp(at).to_string()
}

/// `2027-01-15 08:00 UTC`.
pub(crate) fn for_people(at: Micros) -> String {
    timestamp(at).strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// Beyond the year 9999, which a stored instant can only reach by mistake, it is the last one.
fn timestamp(at: Micros) -> Timestamp {
    let seconds = i64::try_from(at.as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_written_to_the_second_and_to_the_minute() {
        let at = Micros(1_800_000_059_999_999);
        assert_eq!(rfc3339(at), "2027-01-15T08:00:59Z");
        assert_eq!(for_people(at), "2027-01-15 08:00 UTC");
        assert!(rfc3339(Micros(u64::MAX)).starts_with("9999-"));
    }
}
