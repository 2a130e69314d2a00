//! What a decision in memory costs, beside governor, throttlecrab, leaky-bucket and a mutex around deques, in one run.
//! docs/benchmarks.md says how. Exits with 0 if every bar is met, 1 if one is missed or was not measured, 2 on misuse.

use std::process::ExitCode;

use tollgate_bench::report::{Report, machine};
use tollgate_bench::scale::Scale;
use tollgate_bench::{algorithms, allocations, flood, grid, instructions, pause, resident};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.split_first() {
        None => engine(),
        Some((command, rest)) => part(command, rest).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("engine: {error}");
            ExitCode::from(2)
        }
    }
}

/// All of it, and whether every bar is met.
fn engine() -> Result<bool, String> {
    let scale = Scale::from_env()?;
    let mut report = Report::default();
    let quick = if scale.quick { ", QUICK=1" } else { "" };
    println!("{}, TOLLGATE_SEED={}{quick}", machine(), scale.seed);
    grid::run(&scale, &mut report)?;
    algorithms::run(&scale, &mut report);
    resident::run(&scale, &mut report);
    instructions::run(&scale, &mut report);
    pause::run(&scale, &mut report);
    flood::run(&mut report);
    allocations::run(&mut report);
    report.finish(&scale)
}

/// One measurement in this process, as the engine starts it: it prints names and numbers.
fn part(command: &str, arguments: &[String]) -> Result<(), String> {
    match command {
        resident::COMMAND => resident::child(arguments),
        instructions::COMMAND => instructions::child(arguments),
        pause::COMMAND => pause::child(arguments),
        flood::COMMAND => flood::child(arguments),
        _ => Err(
            "takes no arguments; QUICK=1 ends within five minutes, TOLLGATE_SEED repeats a run"
                .to_owned(),
        ),
    }
}
