//! Which requests are recorded.

use std::fmt;

/// A rule by the names of `OTEL_TRACES_SAMPLER`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampler {
    /// Whether a caller that is believed decides for its own traces.
    follows_parent: bool,
    /// Dice below this are recorded; of 56 bits, as others count them.
    below: u64,
}

/// Why there is no such sampler.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SamplerError {
    /// No name that is known.
    #[error("there is no sampler `{0}`; there are {names}", names = NAMES.join(", "))]
    Unknown(String),
    /// A part of all that is none.
    #[error("`{0}` is no part of all requests, from 0 to 1")]
    NoRatio(String),
}

const NAMES: [&str; 6] = [
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
];

const ALL: u64 = 1 << 56;

impl Sampler {
    /// All requests, unless a caller that is believed says otherwise; what is meant where nothing is said.
    pub const DEFAULT: Sampler = Sampler {
        follows_parent: true,
        below: ALL,
    };

    /// The sampler of a name, and of the part of all requests where it takes one.
    ///
    /// # Errors
    /// A name that is unknown, or what is no part.
    pub fn of(name: &str, ratio: Option<&str>) -> Result<Self, SamplerError> {
        let (follows_parent, root) = match name.strip_prefix("parentbased_") {
            Some(root) => (true, root),
            None => (false, name),
        };
        let below = match root {
            "always_on" => ALL,
            "always_off" => 0,
            "traceidratio" => part(ratio.unwrap_or("1"))?,
            _ => return Err(SamplerError::Unknown(name.to_owned())),
        };
        Ok(Sampler {
            follows_parent,
            below,
        })
    }

    /// Whether nothing is ever recorded.
    pub fn is_off(&self) -> bool {
        self.below == 0 && !self.follows_parent
    }

    /// Whether a request is recorded, of whose trace a caller that is believed may have said it.
    pub(super) fn takes(&self, parent: Option<bool>, dice: u64) -> bool {
        match parent.filter(|_| self.follows_parent) {
            Some(sampled) => sampled,
            None => dice & (ALL - 1) < self.below,
        }
    }
}

fn part(text: &str) -> Result<u64, SamplerError> {
    let ratio = text.parse::<f64>().ok();
    let ratio = ratio.filter(|ratio| (0.0..=1.0).contains(ratio));
    let ratio = ratio.ok_or_else(|| SamplerError::NoRatio(text.to_owned()))?;
    Ok((ratio * ALL as f64) as u64)
}

impl fmt::Display for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = self.below as f64 / ALL as f64 * 100.0;
        let callers = match self.follows_parent {
            true => ", and what trusted proxies say",
            false => "",
        };
        write!(f, "{percent} %{callers}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samplers_are_those_of_the_specification_and_no_others() {
        let of = |name, ratio| Sampler::of(name, ratio).unwrap();
        assert_eq!(of("parentbased_always_on", None), Sampler::DEFAULT);
        assert!(of("always_off", None).is_off());
        assert!(!of("parentbased_always_off", None).is_off());
        let tenth = of("parentbased_traceidratio", Some("0.1"));
        assert_eq!(
            [
                tenth.takes(None, 0),
                tenth.takes(None, ALL / 10 - 1),
                tenth.takes(None, ALL / 10 + 1)
            ],
            [true, true, false]
        );
        assert_eq!(
            [
                tenth.takes(Some(true), ALL - 1),
                tenth.takes(Some(false), 0)
            ],
            [true, false]
        );
        let deaf = of("traceidratio", Some("0.1"));
        assert_eq!(
            [deaf.takes(Some(true), ALL - 1), deaf.takes(Some(false), 0)],
            [false, true]
        );
        for name in NAMES {
            assert!(Sampler::of(name, None).is_ok(), "{name}");
        }
        for wrong in ["", "parentbased", "jaeger_remote", "ALWAYS_ON"] {
            let refused = Sampler::of(wrong, None);
            assert_eq!(refused, Err(SamplerError::Unknown(wrong.to_owned())));
        }
        for wrong in ["", "10%", "1.1", "-0.1", "NaN"] {
            let refused = Sampler::of("traceidratio", Some(wrong));
            assert_eq!(refused, Err(SamplerError::NoRatio(wrong.to_owned())));
        }
    }
}
