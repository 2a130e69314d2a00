//! How requests end, as metrics, log lines and the monitor tell it.

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// It was answered with what it asked for.
    Allowed,
    /// A limit denied it.
    Denied,
    /// Its credentials were missing or wrong.
    Unauthenticated,
    /// It was refused for another reason of its own.
    Refused,
    /// Something behind it failed.
    Failed,
}

impl Ending {
    /// As metrics and log lines write it.
    pub fn name(self) -> &'static str {
        match self {
            Ending::Allowed => "allowed",
            Ending::Denied => "denied",
            Ending::Unauthenticated => "unauthenticated",
            Ending::Refused => "refused",
            Ending::Failed => "failed",
        }
    }
}

pub(crate) const ENDINGS: [Ending; 5] = [
    Ending::Allowed,
    Ending::Denied,
    Ending::Unauthenticated,
    Ending::Refused,
    Ending::Failed,
];
