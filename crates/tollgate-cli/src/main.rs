//! The command `tollgate`. Everything it can do is listed in [`args`]; this is where exit codes are decided.
#![expect(
    clippy::print_stdout,
    reason = "a command answers on its standard output"
)]

mod admin_client;
mod args;
mod builtin;
mod commands;
mod demo_api;
mod failure;
mod logging;
mod monitor;
mod names;
#[cfg(feature = "otlp")]
mod otlp;
mod plain;
mod presets;
mod serve;
mod standing;
mod time;

use std::process::ExitCode;

use args::{Args, Command};
use clap::Parser;
use failure::Failure;

/// A request makes a few dozen small allocations; this allocator takes an eighth off the instructions of all of it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = Args::parse();
    let log_guard = logging::start(args.log, args.log_level);
    let ended = run(args.command);
    // The last lines are written before the process ends.
    drop(log_guard);
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            failure.exit_code()
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve(args) => serve::serve(args),
        Command::Init { preset } => commands::init::run(preset),
        Command::Validate { file } => commands::validate::run(&file),
        Command::Convert { file } => commands::convert::run(&file),
        Command::User(args) => commands::user::run(args),
        Command::Key(args) => commands::key::run(args),
        Command::Token(args) => commands::token::run(args),
        Command::Migrate(args) => commands::migrate::run(&args),
        Command::Limit(args) => commands::limit::run(args),
        Command::Plan(args) => commands::plan::run(args),
        Command::Audit(args) => commands::audit::run(&args),
        Command::Top(args) => commands::top::run(&args),
        Command::DemoApi { listen } => commands::demo_api::run(listen),
        Command::Completions { shell } => commands::completions::run(shell),
        Command::Health { data } => commands::health::run(&data),
    }
}
