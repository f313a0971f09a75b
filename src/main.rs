//! `iris`: see `cli` for the commands.

use std::process::ExitCode;

/// Many small short-lived buffers of all threads: measured against the system's allocator in `conformance/bench`.
/// It does not ask for pages of 2 MiB (`no_thp`), of which the first byte costs all: an empty process had 15 MB of them, and a session
/// needs 14.0 KB instead of 14.8.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    iris::cli::run(std::env::args_os())
}
