//! How a command ends when it does not end well.

use std::fmt;
use std::process::ExitCode;

use crate::plain;

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Usage or configuration: nothing was tried. Exit code 2.
    Usage(String),
    /// It was tried, and failed. Exit code 1.
    Failed(String),
}

impl Failure {
    /// A failure with what was being done, and why it failed, down to the root.
    pub(crate) fn because(doing: impl fmt::Display, error: &dyn std::error::Error) -> Self {
        let mut message = format!("{doing}: {error}");
        let mut source = error.source();
        while let Some(error) = source {
            message.push_str(&format!(": {error}"));
            source = error.source();
        }
        Failure::Failed(message)
    }

    /// Why, without a prefix.
    pub(crate) fn reason(&self) -> &str {
        let (Failure::Usage(message) | Failure::Failed(message)) = self;
        message
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Failure::Usage(_) => ExitCode::from(2),
            Failure::Failed(_) => ExitCode::from(1),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Failure::Usage(message) | Failure::Failed(message)) = self;
        let prefix = if message.starts_with("error") {
            ""
        } else {
            "error: "
        };
        write!(f, "{prefix}{}", plain::lines(message.trim_end()))
    }
}
