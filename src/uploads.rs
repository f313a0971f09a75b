//! Where the files of the users lie: what the configuration says, opened.

use std::sync::Arc;

use iris_core::blobs::Blobs;
use iris_core::store::Store;
use iris_store::blobs::Trouble;
use iris_store::{DiskBlobs, S3Blobs, S3Options};
use iris_xep::xep0363_upload::Seal;

use crate::cli::operator_message;
use crate::config::{Config, ConfigError, FilesKind, S3};

/// What is wrong with a bucket and stays wrong is said here, and nobody is served; one that does not answer now may do so later.
///
/// # Errors
/// One message: what is wrong, where, and what to do.
pub fn open(config: &Config, store: &dyn Store) -> Result<Arc<dyn Blobs>, String> {
    let folder = config.files_dir();
    if config.files.kind == FilesKind::Disk {
        let blobs = DiskBlobs::open(&folder).map_err(|error| {
            let remedy = "Make the folder writable for this user.";
            operator_message(format!("{}: {error}", folder.display()), remedy)
        })?;
        return Ok(Arc::new(blobs.deduplicating(config.files.deduplicate)));
    }
    let blobs = bucket(config).map_err(|error| error.to_string())?;
    match blobs.take(&house(store.secret())) {
        Ok(()) => {}
        Err(trouble @ Trouble::Unreachable(_)) => {
            tracing::error!("{trouble}; as long as it is so, files can neither be uploaded nor fetched");
        }
        Err(trouble) => return Err(explain(config, &trouble).to_string()),
    }
    Ok(Arc::new(blobs))
}

/// As the configuration names it; nobody was asked yet.
///
/// # Errors
/// The configuration and the environment do not suffice.
pub fn bucket(config: &Config) -> Result<S3Blobs, ConfigError> {
    let files = &config.files.s3;
    let Keys { access_key_id, secret_access_key, session_token } = keys(files).map_err(|what| {
        let remedy = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment of the server, or access_key_id and \
                      secret_access_key in [files].";
        config.error_at("files.kind", what, remedy)
    })?;
    let options = S3Options {
        bucket: files.bucket.clone().unwrap_or_default(),
        endpoint: files.endpoint.clone(),
        region: files.region.clone(),
        prefix: files.prefix.clone(),
        access_key_id,
        secret_access_key,
        session_token,
        authorities: files.authorities.clone(),
        virtual_hosts: files.virtual_hosts,
        journal: config.files_dir().join("arriving"),
    };
    let path = if files.authorities.is_some() { "files.authorities" } else { "files.bucket" };
    S3Blobs::open(&options).map_err(|why| config.error_at(path, why, "Correct it in [files]; see iris config-reference."))
}

struct Keys {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
}

/// Those of the file, or all of the environment: one of each would fit by chance only.
fn keys(files: &S3) -> Result<Keys, &'static str> {
    if let (Some(id), Some(secret)) = (&files.access_key_id, &files.secret_access_key) {
        return Ok(Keys { access_key_id: id.0.clone(), secret_access_key: secret.0.clone(), session_token: None });
    }
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    match (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY")) {
        (Some(access_key_id), Some(secret_access_key)) => {
            Ok(Keys { access_key_id, secret_access_key, session_token: variable("AWS_SESSION_TOKEN") })
        }
        _ => Err("files are to lie in a bucket, and there is no key for it"),
    }
}

/// Under which a bucket knows this house again; nothing can be made of it.
pub fn house(secret: [u8; 16]) -> String {
    format!("iris {:016x}\n", Seal::new(secret).house())
}

/// With the line of what has to be corrected, as far as that can be told.
pub fn explain(config: &Config, trouble: &Trouble) -> ConfigError {
    let files = &config.files.s3;
    let bucket = files.bucket.as_deref().unwrap_or_default();
    let known = |path: &'static str, is_set: bool| if is_set { path } else { "files.bucket" };
    let endpoint = known("files.endpoint", files.endpoint.is_some());
    match trouble {
        Trouble::NoBucket(_) => {
            let remedy = "Make the bucket, or correct bucket, region and endpoint.";
            config.error_at("files.bucket", format!("{bucket}: {trouble}"), remedy)
        }
        Trouble::Refused(_) => {
            let from = match files.access_key_id {
                Some(_) => "Correct access_key_id and secret_access_key",
                None => "The key is that of the environment (AWS_ACCESS_KEY_ID): correct it",
            };
            let remedy = format!("{from}, and let it list, get, put and delete in {bucket}.");
            config.error_at(known("files.access_key_id", files.access_key_id.is_some()), trouble.to_string(), remedy)
        }
        Trouble::OtherHouse => {
            let path = if files.prefix.is_empty() { "files.bucket" } else { "files.prefix" };
            let remedy = format!(
                "Two servers would remove each other's files. Give each a prefix of its own. If the other one is gone for ever and its \
                 files may be too, remove the object {}house.",
                files.prefix
            );
            config.error_at(path, format!("{bucket}: {trouble}"), remedy)
        }
        Trouble::Unreachable(_) => config.error_at(
            endpoint,
            format!("{bucket}: {trouble}"),
            "Correct endpoint, or the way there: DNS, firewall, proxy.",
        ),
        Trouble::Strange(_) => {
            config.error_at(endpoint, format!("{bucket}: {trouble}"), "Is that a store that speaks S3? Correct endpoint.")
        }
    }
}
