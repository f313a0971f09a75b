//! Integration tests: one binary. The real program, real sockets, real files.

mod client;
mod faults;
mod restart;
mod server;
