//! `[files]`: where what users upload lies.

use std::fmt;
use std::path::PathBuf;

use super::Config;
use super::error::Problem;
use super::keys::{Key, switch};
use super::reader::Reading;
use super::values::{self, Given};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    pub kind: FilesKind,
    /// The same bytes are stored once.
    pub deduplicate: bool,
    pub s3: S3,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilesKind {
    /// A folder in the data folder.
    Disk,
    /// A bucket of S3, or of something that speaks its language.
    S3,
}

impl FilesKind {
    pub const ALL: &[(&str, FilesKind)] = &[("disk", FilesKind::Disk), ("s3", FilesKind::S3)];
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3 {
    /// `None`: Amazon's for the region.
    pub endpoint: Option<String>,
    pub region: String,
    pub bucket: Option<String>,
    /// Empty, or with a slash at its end.
    pub prefix: String,
    /// `None`: of the environment.
    pub access_key_id: Option<Secret>,
    pub secret_access_key: Option<Secret>,
    /// Who signs the certificate of the endpoint; `None`: whom the system believes.
    pub authorities: Option<PathBuf>,
    pub virtual_hosts: bool,
}

/// Not shown by any message, at any level of a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Default for Files {
    fn default() -> Files {
        let s3 = S3 {
            endpoint: None,
            region: "us-east-1".to_owned(),
            bucket: None,
            prefix: String::new(),
            access_key_id: None,
            secret_access_key: None,
            authorities: None,
            virtual_hosts: false,
        };
        Files { kind: FilesKind::Disk, deduplicate: false, s3 }
    }
}

pub(super) const ABOUT: &str = "What users upload. How much and how large says the plan ([plans]), how long [xep.upload].";

pub(super) const KEYS: &[Key<Config>] = &[
    Key {
        name: "kind",
        about: "disk: the folder files in data_dir. s3: a bucket of Amazon S3 or of anything that speaks its language. Changing it moves \
                nothing.",
        set: |config, given| {
            config.files.kind = values::choice(given, FilesKind::ALL)?;
            Ok(())
        },
        show: |config| Some(values::show_string(values::name_of(FilesKind::ALL, config.files.kind))),
        example: "",
    },
    switch!(
        "deduplicate",
        "disk only: the same bytes are stored once, however often they are uploaded; they count for each who has them. What is \
                there already stays as it is.",
        files.deduplicate
    ),
    Key {
        name: "bucket",
        about: "The keys from here on are for s3. The bucket has to be there; iris needs to list, get, put and delete in it.",
        set: |config, given| {
            config.files.s3.bucket = Some(word(given, "the name of a bucket")?);
            Ok(())
        },
        show: |config| config.files.s3.bucket.as_deref().map(values::show_string),
        example: "\"example-files\"",
    },
    Key {
        name: "prefix",
        about: "Before the names of all files, so that several servers may share a bucket.",
        set: |config, given| {
            config.files.s3.prefix = prefix(given)?;
            Ok(())
        },
        show: |config| Some(values::show_string(&config.files.s3.prefix)),
        example: "",
    },
    Key {
        name: "endpoint",
        about: "Where it answers, when that is not Amazon's address for the region.",
        set: |config, given| {
            config.files.s3.endpoint = Some(endpoint(given)?);
            Ok(())
        },
        show: |config| config.files.s3.endpoint.as_deref().map(values::show_string),
        example: "\"https://s3.example.org\"",
    },
    Key {
        name: "region",
        about: "The region of the bucket; what is not Amazon's often wants any, and this one does.",
        set: |config, given| {
            config.files.s3.region = word(given, "the name of a region")?;
            Ok(())
        },
        show: |config| Some(values::show_string(&config.files.s3.region)),
        example: "",
    },
    Key {
        name: "access_key_id",
        about: "With secret_access_key. Without both, those of the environment: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and \
                AWS_SESSION_TOKEN with them.",
        set: |config, given| {
            config.files.s3.access_key_id = Some(secret(given)?);
            Ok(())
        },
        show: |_| None,
        example: "\"...\"",
    },
    Key {
        name: "secret_access_key",
        about: "Nobody but the server should be able to read a file that has it.",
        set: |config, given| {
            config.files.s3.secret_access_key = Some(secret(given)?);
            Ok(())
        },
        show: |_| None,
        example: "\"...\"",
    },
    Key {
        name: "authorities",
        about: "A PEM file with the authorities that the endpoint's certificate is signed by, when the system does not know them.",
        set: |config, given| {
            config.files.s3.authorities = Some(PathBuf::from(word(given, "a file")?));
            Ok(())
        },
        show: |config| config.files.s3.authorities.as_ref().map(|path| values::show_string(&path.to_string_lossy())),
        example: "\"store-ca.crt\"",
    },
    switch!("virtual_hosts", "Asks https://BUCKET.HOST/ instead of https://HOST/BUCKET/.", files.s3.virtual_hosts),
];

fn word(given: &Given<'_>, expected: &str) -> Result<String, Problem> {
    let text = values::string(given, expected)?;
    match text.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        true => Err(values::unexpected(given, expected)),
        false => Ok(text.to_owned()),
    }
}

/// The message never repeats it.
fn secret(given: &Given<'_>) -> Result<Secret, Problem> {
    match given.get_ref().as_str() {
        Some(text) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(Secret(text.to_owned())),
        _ => Err(Problem::new(
            Some(given.span()),
            "expected a key, in quotes",
            "It is what your store gave you, without blanks.",
        )),
    }
}

fn prefix(given: &Given<'_>) -> Result<String, Problem> {
    let expected = "letters, digits, \"-\", \"_\", \".\" and \"/\"";
    let text = values::string(given, expected)?;
    let good = |part: &str| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    let trimmed = text.strip_suffix('/').unwrap_or(text);
    match text {
        "" => Ok(String::new()),
        _ if trimmed.len() <= 200 && trimmed.split('/').all(good) => Ok(format!("{trimmed}/")),
        _ => Err(values::unexpected(given, expected)),
    }
}

fn endpoint(given: &Given<'_>) -> Result<String, Problem> {
    let expected = "an address as \"https://s3.example.org\"";
    let text = word(given, expected)?;
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let rest = rest.map(|rest| rest.strip_suffix('/').unwrap_or(rest));
    match rest {
        Some(host) if !host.is_empty() && !host.contains(['/', '?', '#', '@']) => Ok(text.trim_end_matches('/').to_owned()),
        _ => Err(values::unexpected(given, expected)),
    }
}

pub(super) fn check(config: &Config, reading: &mut Reading) {
    let Files { kind, deduplicate, s3 } = &config.files;
    if *kind == FilesKind::S3 && s3.bucket.is_none() {
        let remedy = "Add bucket = \"...\" to [files]; the bucket has to be there.";
        reading.report(reading.place("files.kind"), "files are to lie in a bucket, and none is named", remedy);
    }
    if *kind == FilesKind::S3 && *deduplicate {
        let remedy = "Remove deduplicate, or keep the files on disk: a bucket cannot count who has the same file.";
        reading.report(reading.place("files.deduplicate"), "deduplicate is for kind = \"disk\"", remedy);
    }
    let half = match (&s3.access_key_id, &s3.secret_access_key) {
        (Some(_), None) => Some(("files.access_key_id", "there is no secret_access_key beside it")),
        (None, Some(_)) => Some(("files.secret_access_key", "there is no access_key_id beside it")),
        _ => None,
    };
    if let Some((place, what)) = half {
        let remedy =
            "Name both here, or neither: then AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of the environment are used.";
        reading.report(reading.place(place), what, remedy);
    }
}

/// Allowed, and worth a word.
pub(super) fn warnings(config: &Config) -> Vec<String> {
    let Files { kind, s3, .. } = &config.files;
    let mut warnings = Vec::new();
    let near = ["http://127.", "http://localhost", "http://[::1]"];
    if let Some(endpoint) = &s3.endpoint
        && endpoint.starts_with("http://")
        && !near.iter().any(|near| endpoint.starts_with(near))
    {
        warnings.push(format!("files travel to {endpoint} without TLS: everybody on the way can read them"));
    }
    if *kind == FilesKind::Disk && s3.bucket.is_some() {
        warnings.push("files.bucket means nothing as long as files.kind is \"disk\"".to_owned());
    }
    warnings
}
