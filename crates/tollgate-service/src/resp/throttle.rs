//! `CL.THROTTLE` as redis-cell answers it, and `THROTTLE` as throttlecrab does.
//!
//! redis-cell cuts seconds off, and so does this. Where it is broken this differs: it refuses a count, a period or a
//! quantity that means nothing, and a denial never says 0 seconds, on which a client would ask again and again.

use tollgate::key::CompositeKey;
use tollgate::{Decision, Reason, StoreError, Verdict};

use super::reply::Replies;
use crate::Service;
use crate::quotas::Numbers;
use crate::summary;

/// What redis-cell says to a wrong number of arguments.
pub(super) const USAGE: &str =
    "Cell error: Usage: cl.throttle <key> <max_burst> <count per period> <period> [<quantity>]";

/// Which of the two was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// `CL.THROTTLE`: denied, limit, remaining, retry after, reset after.
    Cell,
    /// `THROTTLE`: allowed, limit, remaining, reset after, retry after.
    Crab,
}

/// A question with numbers of the client's.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked<'a> {
    pub(super) style: Style,
    pub(super) key: &'a [u8],
    pub(super) numbers: Numbers,
    pub(super) cost: u64,
}

/// The question in these arguments, without the command's name.
///
/// # Errors
/// What is wrong, as the reply says it.
pub(super) fn decode<'a>(style: Style, args: &[&'a [u8]]) -> Result<Asked<'a>, String> {
    let (key, burst, count, period, quantity) = match *args {
        [key, burst, count, period] => (key, burst, count, period, None),
        [key, burst, count, period, quantity] => (key, burst, count, period, Some(quantity)),
        _ => {
            return Err(match style {
                Style::Cell => USAGE.to_owned(),
                Style::Crab => "ERR wrong number of arguments for 'throttle' command".to_owned(),
            });
        }
    };
    let code = match style {
        Style::Cell => "Cell error:",
        Style::Crab => "ERR",
    };
    let number = |name: &str, low: u64, word: &[u8]| {
        let number = whole_number(word).filter(|number| *number >= low);
        number.ok_or_else(|| format!("{code} {name} must be an integer of at least {low}"))
    };
    let capacity = match style {
        // One unit, and so many at once beside it.
        Style::Cell => number("max_burst", 0, burst)?.saturating_add(1),
        Style::Crab => number("max_burst", 1, burst)?,
    };
    let numbers = Numbers {
        capacity,
        count: number("count per period", 1, count)?,
        period_s: number("period", 1, period)?,
    };
    let cost = quantity.map_or(Ok(1), |quantity| number("quantity", 0, quantity))?;
    Ok(Asked {
        style,
        key,
        numbers,
        cost,
    })
}

/// What numbers that are no quota are answered with.
pub(super) fn no_quota(style: Style, why: &dyn std::error::Error) -> String {
    match style {
        Style::Cell => format!("Cell error: {why}"),
        Style::Crab => format!("ERR {why}"),
    }
}

/// Digits alone, as Redis reads an integer: no sign, no blanks.
pub(super) fn whole_number(word: &[u8]) -> Option<u64> {
    let digit = |sum: Option<u64>, byte: &u8| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        sum?.checked_mul(10)?.checked_add(digit)
    };
    let sum = word.iter().fold(Some(0), digit);
    sum.filter(|_| !word.is_empty())
}

pub(super) fn reply(style: Style, decision: &Decision, replies: &mut Replies<'_>) {
    if let Verdict::Refused { reason } = decision.verdict() {
        return replies.error(&refused(reason));
    }
    let Some(standing) = decision.standings().first() else {
        return replies.error("ERR nothing was decided");
    };
    let seconds = |duration: std::time::Duration| integer(duration.as_secs());
    let is_allowed = decision.is_allowed();
    let retry_after = decision.retry_after().map(|wait| seconds(wait).max(1));
    let reset_after = seconds(standing.full_after());
    let (limit, remaining) = (integer(standing.limit()), integer(standing.remaining()));
    let five = match style {
        Style::Cell => [
            i64::from(!is_allowed),
            limit,
            remaining,
            retry_after.unwrap_or(-1),
            reset_after,
        ],
        Style::Crab => [
            i64::from(is_allowed),
            limit,
            remaining,
            reset_after,
            retry_after.unwrap_or(0),
        ],
    };
    replies.array(five.len());
    five.into_iter().for_each(|number| replies.integer(number));
}

/// `DEL key [key…]`: forgets what keys have used, and tells of how many there was anything to forget.
pub(super) async fn forget(service: &Service, keys: &[&[u8]], replies: &mut Replies<'_>) {
    let policy = match service.quotas.any() {
        Ok(policy) => policy,
        Err(why) => return replies.error(&no_quota(Style::Crab, &why)),
    };
    let mut forgotten = 0;
    for word in keys {
        match service.counters.reset(&policy, key(word).as_ref()).await {
            Ok(had) => forgotten += i64::from(had),
            Err(error) => return replies.error(&failed(&error)),
        }
    }
    replies.integer(forgotten);
}

/// The key that a client's word stands for. In a cluster its server follows from its first part.
pub(super) fn key(word: &[u8]) -> CompositeKey {
    let mut key = CompositeKey::new();
    key.push(word);
    key
}

/// A refusal that no numbers had a part in. Its first word tells clients whether to ask again.
pub(super) fn refused(reason: Reason) -> String {
    let code = match reason {
        Reason::StoreFull => "OOM",
        Reason::StoreClosed => "TRYAGAIN",
        Reason::KeysApart => "CROSSSLOT",
        _ => "ERR",
    };
    format!("{code} {}", summary::refused(reason))
}

/// What the store could not do, which may be asked for again.
pub(super) fn failed(error: &StoreError) -> String {
    let code = match error {
        StoreError::Unavailable(_) | StoreError::Unanswered(_) => "TRYAGAIN",
        StoreError::KeysApart => "CROSSSLOT",
        _ => "ERR",
    };
    format!("{code} {error}")
}

pub(super) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(words: &str) -> Result<(u64, u64, u64, u64), String> {
        let args: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
        let asked = decode(Style::Cell, &args)?;
        let Numbers {
            capacity,
            count,
            period_s,
        } = asked.numbers;
        Ok((capacity, count, period_s, asked.cost))
    }

    #[test]
    fn a_question_is_its_numbers_and_costs_one_unless_it_says_else() {
        assert_eq!(decoded("user123 15 30 60"), Ok((16, 30, 60, 1)));
        assert_eq!(decoded("user123 0 1 10 0"), Ok((1, 1, 10, 0)));
        let args = [&b"k"[..], b"15", b"30", b"60"];
        assert_eq!(decode(Style::Crab, &args).unwrap().numbers.capacity, 15);
    }

    #[test]
    fn what_redis_cell_gets_wrong_is_an_error_that_changes_nothing() {
        for few in ["k", "k 1 2", "k 1 2 3 4 5"] {
            assert_eq!(decoded(few), Err(USAGE.to_owned()));
        }
        for wrong in [
            "k 5 0 60",
            "k 5 1 0",
            "k 5 1 60 -1",
            "k -1 1 60",
            "k x 1 60",
            "k 5 1.5 60",
            "k 5  60",
            "k 5 99999999999999999999 60",
            "k 5 1 +60",
        ] {
            let error = decoded(wrong).unwrap_err();
            assert!(error.starts_with("Cell error: "), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_refusal_says_by_its_first_word_whether_to_ask_again() {
        for (reason, code) in [
            (Reason::KeysApart, "CROSSSLOT the keys are in several parts"),
            (Reason::Uncountable, "ERR the store cannot count"),
            (Reason::StoreFull, "OOM the counters have no room"),
            (Reason::StoreClosed, "TRYAGAIN the store"),
            (Reason::KeyTooLong, "ERR the key is too long"),
        ] {
            assert!(refused(reason).starts_with(code), "{reason:?}");
        }
        assert!(failed(&StoreError::Unanswered("broken".into())).starts_with("TRYAGAIN "));
        assert!(failed(&StoreError::Unsupported).starts_with("ERR "));
    }
}
