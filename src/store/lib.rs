//! The drivers behind [`iris_core::store`]: what a driver must understand is two enums, so it is written once and not once
//! per feature. `suite.rs` says in tests how any driver behaves; it runs over the memory store and over SQLite.

pub mod blobs;
mod failpoint;
mod sqlite;
#[cfg(test)]
mod suite;

pub use blobs::{DiskBlobs, S3Blobs, S3Options};
pub use sqlite::backup;
pub use sqlite::{OpenError, SqliteOptions, SqliteStore};
