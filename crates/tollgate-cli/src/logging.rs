//! Log lines, to standard error, written by a thread of their own: a reader that stops reading slows no request.

use std::io::IsTerminal;

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

use crate::args::{LogFormat, LogLevel};

/// Lines that wait to be written; beyond it they are dropped.
const LINES_WAITING_MAX: usize = 16_384;

/// Starts logging. What is still to be written is written when the guard is dropped.
pub(crate) fn start(format: LogFormat, level: LogLevel) -> WorkerGuard {
    let level = LevelFilter::from(level);
    // Of what others write, who are used here, only what is no detail.
    let levels = Targets::new()
        .with_default(level.min(LevelFilter::INFO))
        .with_target("tollgate", level);
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(LINES_WAITING_MAX)
        .lossy(true)
        .finish(std::io::stderr());
    let builder = tracing_subscriber::fmt()
        .with_writer(writer)
        .with_max_level(level)
        .with_target(false);
    match format {
        LogFormat::Text => {
            let is_terminal = std::io::stderr().is_terminal();
            builder.with_ansi(is_terminal).finish().with(levels).init();
        }
        LogFormat::Json => builder
            .json()
            .flatten_event(true)
            .finish()
            .with(levels)
            .init(),
    }
    guard
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => LevelFilter::ERROR,
            LogLevel::Warn => LevelFilter::WARN,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Debug => LevelFilter::DEBUG,
        }
    }
}
