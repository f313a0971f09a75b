//! Where files lie (`iris_core::blobs`).

mod disk;

pub use disk::DiskBlobs;
