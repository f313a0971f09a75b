//! What S3 says when it does not do it, without what must not be said: neither keys nor the names of files, which are all that it takes
//! to fetch one.

use std::fmt;
use std::io;

use object_store::Error;
use object_store::client::HttpError;

/// What is wrong with a bucket, for an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// There is no bucket of that name, or it is in another region.
    NoBucket(String),
    /// The key is unknown, wrong, or may not do that.
    Refused(String),
    /// Files of another house lie there.
    OtherHouse,
    /// It does not answer now.
    Unreachable(String),
    /// It answers something else.
    Strange(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::NoBucket(why) => write!(f, "there is no such bucket ({why})"),
            Trouble::Refused(why) => write!(f, "the store refuses the key ({why})"),
            Trouble::OtherHouse => f.write_str("files of another server lie there"),
            Trouble::Unreachable(why) => write!(f, "the store cannot be asked: {why}"),
            Trouble::Strange(why) => write!(f, "the store answers strangely: {why}"),
        }
    }
}

impl From<&Error> for Trouble {
    fn from(error: &Error) -> Trouble {
        if let Some(failed) = transport(error) {
            return Trouble::Unreachable(failed);
        }
        let (status, code) = answer(error);
        let why = match (&status, &code) {
            (Some(status), Some(code)) => format!("{status} {code}"),
            (Some(status), None) => status.to_string(),
            (None, Some(code)) => code.clone(),
            (None, None) => kind(error).to_owned(),
        };
        match (error, status, code.as_deref()) {
            (_, _, Some("NoSuchBucket" | "PermanentRedirect" | "InvalidBucketName" | "AuthorizationHeaderMalformed"))
            | (Error::NotFound { .. }, _, _)
            | (_, Some(301 | 307), _) => Trouble::NoBucket(why),
            (Error::PermissionDenied { .. } | Error::Unauthenticated { .. }, _, _) | (_, Some(401 | 403), _) => {
                Trouble::Refused(why)
            }
            (_, Some(500..), _) => Trouble::Unreachable(why),
            _ => Trouble::Strange(why),
        }
    }
}

/// As a disk would say it.
pub(super) fn io_error(error: &Error) -> io::Error {
    let trouble = Trouble::from(error);
    let kind = match (error, &trouble) {
        (Error::NotFound { .. }, _) => io::ErrorKind::NotFound,
        (_, Trouble::Refused(_)) => io::ErrorKind::PermissionDenied,
        (_, Trouble::Unreachable(_)) => io::ErrorKind::TimedOut,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, trouble.to_string())
}

fn chain(error: &Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    let first: &(dyn std::error::Error + 'static) = error;
    std::iter::successors(Some(first), |error| error.source())
}

/// The connection's fault; its words are `iris_fetch::Failed`'s.
fn transport(error: &Error) -> Option<String> {
    let failed = chain(error).find_map(|error| error.downcast_ref::<HttpError>())?;
    let source = std::error::Error::source(failed)?;
    Some(source.to_string())
}

/// Status and `<Code>` of an answer. The rest of it repeats what was asked.
fn answer(error: &Error) -> (Option<u16>, Option<String>) {
    let text = chain(error).last().map(ToString::to_string).unwrap_or_default();
    let after = |mark: &str| text.split_once(mark).map(|(_, rest)| rest);
    let status = after("status code: ").and_then(|rest| rest.get(..3)).and_then(|digits| digits.parse().ok());
    let code = after("<Code>").and_then(|rest| rest.split_once("</Code>")).map(|(code, _)| code);
    let code = code.filter(|code| code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    (status, code.map(str::to_owned))
}

fn kind(error: &Error) -> &'static str {
    match error {
        Error::NotFound { .. } => "it is not there",
        Error::PermissionDenied { .. } => "permission denied",
        Error::Unauthenticated { .. } => "not authenticated",
        _ => "no reason is given",
    }
}
