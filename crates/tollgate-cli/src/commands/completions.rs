//! `tollgate completions`: what a shell needs to complete the commands.

use std::io::Write;

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use crate::args::Args;
use crate::failure::Failure;

pub(crate) fn run(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    generate(shell, &mut Args::command(), "tollgate", &mut script);
    // Written at once and not by `generate`, which panics when whoever reads has gone.
    let written = std::io::stdout().write_all(&script);
    written.map_err(|error| Failure::because("the completions cannot be written", &error))
}
