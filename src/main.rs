//! `iris`: see `cli` for the commands.

use std::process::ExitCode;

/// Many small short-lived buffers of all threads: measured against the system's allocator in `conformance/bench`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    iris::cli::run(std::env::args_os())
}
