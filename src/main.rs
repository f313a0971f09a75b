//! `iris`: see `cli` for the commands.

use std::process::ExitCode;

fn main() -> ExitCode {
    iris::cli::run(std::env::args_os())
}
