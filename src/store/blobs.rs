//! Where files lie (`iris_core::blobs`): a folder, or a bucket of S3. `suite.rs` says how both behave.

mod disk;
mod s3;
#[cfg(any(test, feature = "testing"))]
pub mod suite;

pub use disk::DiskBlobs;
pub use s3::{S3Blobs, S3Options, Trouble};
