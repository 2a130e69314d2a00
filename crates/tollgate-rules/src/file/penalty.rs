//! `penalty` of a limit: for how long a key is blocked after a denial.

use std::ops::Range;
use std::time::Duration;

use tollgate::notation::parse_duration;
use tollgate::{Penalty, PenaltyError, Policy, PolicyError};

use crate::read::{Source, Value};

/// By how much blocks grow where only their greatest length is given.
const FACTOR: u32 = 2;

/// A penalty and where it stands.
pub(super) struct Written {
    penalty: Penalty,
    span: Range<usize>,
}

impl Written {
    pub(super) fn penalty(&self) -> Penalty {
        self.penalty
    }
}

/// `{ block = "1 minute", factor = 2, block_max = "1 hour", quiet = "1 day" }`, of which only `block` must be.
pub(super) fn written(value: &Value<'_, '_>) -> Option<Written> {
    let source = value.source();
    let mut table = value.table()?;
    let [block, block_max, quiet] = ["block", "block_max", "quiet"].map(|key| table.value(key));
    let factor = table.value("factor");
    table.finish();
    // Each is read before the first that is wrong ends the reading, so that all mistakes are told.
    let [first, longest, silence] =
        [&block, &block_max, &quiet].map(|value| value.as_ref().map(length_of));
    let by = factor
        .as_ref()
        .map(|value| value.number(1, u32::MAX.into()));
    let complain = |span, message: &str, help: &str| {
        source.complain_with(span, message, Some(help.to_owned()));
        None
    };
    let Some(first) = first else {
        let message = "a penalty needs a `block`: how long a key is held off";
        return complain(
            value.span(),
            message,
            "like `penalty = { block = \"1 minute\" }`",
        );
    };
    let (first, by) = (first?, by.unwrap_or(Some(FACTOR.into()))? as u32);
    let mut penalty = Penalty::new(first);
    match (longest, block_max, factor) {
        (Some(longest), Some(block_max), _) => {
            let longest = longest?;
            if longest < first {
                let message = PenaltyError::BlockMax.to_string();
                let help = "`block_max` is at least as long as `block`";
                return complain(block_max.span(), &message, help);
            }
            penalty = penalty.growing(by, longest);
        }
        (_, _, Some(factor)) if by > 1 => {
            let message = "`factor` needs a `block_max`: how long a block can become";
            return complain(factor.span(), message, "like `block_max = \"1 hour\"`");
        }
        _ => {}
    }
    if let Some(silence) = silence {
        penalty = penalty.forgiven_after(silence?);
    }
    let span = value.span();
    Some(Written { penalty, span })
}

/// The policy with the penalty that is written for it; `None` if it can have none, which is complained about.
pub(super) fn punish(
    source: &Source<'_>,
    written: Option<&Written>,
    policy: Policy,
) -> Option<Policy> {
    let Some(Written { penalty, span }) = written else {
        return Some(policy);
    };
    let complain = |error: PolicyError| {
        let uncounted = error == PolicyError::Penalty(PenaltyError::Uncounted);
        let help = "leave it out, or write the other quotas into a limit of their own".to_owned();
        source.complain_with(
            span.clone(),
            error.to_string(),
            Some(help).filter(|_| uncounted),
        );
    };
    policy.with_penalty(*penalty).map_err(complain).ok()
}

/// A length of time, in the notation's words.
fn length_of(value: &Value<'_, '_>) -> Option<Duration> {
    let text = value.string()?;
    parse_duration(&text.value)
        .map_err(|error| value.complain_within(&text, error.span(), &error.to_string()))
        .ok()
}
