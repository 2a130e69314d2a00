//! `tollgate init`: a rules file to start from.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};

use crate::failure::Failure;
use crate::presets::Preset;

const FILE: &str = "tollgate.toml";

pub(crate) fn run(preset: Preset) -> Result<(), Failure> {
    let file = OpenOptions::new().write(true).create_new(true).open(FILE);
    let written = file.and_then(|mut file| file.write_all(preset.rules().as_bytes()));
    match written {
        Ok(()) => {
            println!("Wrote ./{FILE}, the rules of {}. Next:", preset.name());
            println!(
                "  tollgate serve       starts the gateway with them, and says where it listens"
            );
            println!(
                "  tollgate validate    says after each change whether they are right, and what is not"
            );
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(Failure::Failed(format!(
            "./{FILE} is there already, and stays as it is"
        ))),
        Err(error) => Err(Failure::because(
            format!("./{FILE} cannot be written"),
            &error,
        )),
    }
}
