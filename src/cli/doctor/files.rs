//! The bucket of the files, where they lie in one: is it there, and may the key do what is needed?

use super::{Finding, or_reference};
use crate::config::{Config, FilesKind};
use crate::uploads;

pub(super) fn examine(config: &Config, running: bool) -> Vec<Finding> {
    if config.files.kind != FilesKind::S3 {
        return Vec::new();
    }
    let about = "files";
    let bucket = config.files.s3.bucket.as_deref().unwrap_or_default();
    let error = match uploads::bucket(config) {
        // Its key may be in the environment of the server, which this is not.
        Err(error) if running => {
            let remedy = "If the running server has its key in its environment, run this with the same.";
            return error.lines().map(|(what, _)| Finding::warn(about, what, remedy)).collect();
        }
        Err(error) => error,
        Ok(blobs) => match blobs.look(None) {
            Ok(()) => {
                return vec![Finding::ok(about, format!("the bucket {bucket} is there, and its key lists, reads and removes"))];
            }
            Err(trouble) => uploads::explain(config, &trouble),
        },
    };
    error.lines().map(|(what, remedy)| Finding::error(about, what, or_reference(remedy))).collect()
}
