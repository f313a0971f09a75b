//! Values of the configuration, both ways: read with a message that says what was expected, and written for the reference.

use std::collections::HashMap;
use std::fmt::Debug;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use iris_core::BareJid;
use toml::Spanned;
use toml::de::DeValue;

use super::error::{Problem, closest};
use super::parse_domain;

pub(super) type Given<'a> = Spanned<DeValue<'a>>;

/// A value of the wrong type or out of range.
pub(super) fn unexpected(given: &Given<'_>, expected: &str) -> Problem {
    let what = match given.get_ref() {
        DeValue::String(text) => format!("the text {:?}", text.as_ref()),
        DeValue::Integer(number) => format!("the number {number}"),
        DeValue::Float(number) => format!("the number {number}"),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    };
    Problem::new(Some(given.span()), format!("expected {expected}, found {what}"), "")
}

pub(super) fn string<'a>(given: &'a Given<'_>, expected: &str) -> Result<&'a str, Problem> {
    given.get_ref().as_str().ok_or_else(|| unexpected(given, expected))
}

pub(super) fn boolean(given: &Given<'_>) -> Result<bool, Problem> {
    given.get_ref().as_bool().ok_or_else(|| {
        let mut problem = unexpected(given, "true or false");
        if given.get_ref().is_str() {
            "Write it without quotes.".clone_into(&mut problem.remedy);
        }
        problem
    })
}

fn integer(given: &Given<'_>) -> Option<u64> {
    let number = given.get_ref().as_integer()?;
    u64::from_str_radix(&number.as_str().replace('_', ""), number.radix()).ok()
}

/// Each element of a list; a single value is not a list.
pub(super) fn list<T>(
    given: &Given<'_>,
    expected: &str,
    read: impl Fn(&Given<'_>) -> Result<T, Problem>,
) -> Result<Vec<T>, Problem> {
    let elements = given.get_ref().as_array().ok_or_else(|| unexpected(given, expected))?;
    elements.iter().map(read).collect()
}

/// One of a few names.
pub(super) fn choice<T: Copy>(given: &Given<'_>, choices: &[(&str, T)]) -> Result<T, Problem> {
    let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
    let expected = match names.as_slice() {
        [only] => format!("\"{only}\""),
        _ => format!("one of \"{}\"", names.join("\", \"")),
    };
    let text = string(given, &expected)?;
    choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value).ok_or_else(|| {
        let mut problem = unexpected(given, &expected);
        if let Some(near) = closest(text, &names) {
            problem.remedy = format!("Did you mean \"{near}\"?");
        }
        problem
    })
}

pub(super) fn name_of<T: Copy + PartialEq + Debug>(choices: &[(&'static str, T)], value: T) -> &'static str {
    choices.iter().find(|(_, other)| *other == value).map_or("", |(name, _)| name)
}

/// A whole number in a range.
pub(super) fn count(given: &Given<'_>, least: u64, most: u64) -> Result<u64, Problem> {
    let range = range(least, most, |number| number.to_string());
    match integer(given) {
        Some(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(unexpected(given, &format!("a whole number{range}"))),
    }
}

/// Bytes: a number, or a text with a unit.
pub(super) fn size(given: &Given<'_>, least: u64, most: u64) -> Result<u64, Problem> {
    let bytes = match given.get_ref() {
        DeValue::String(text) => parse_size(text),
        _ => integer(given),
    };
    let remedy = "A size is a number of bytes (262144) or a text with a unit: \"256KiB\", \"4MiB\", \"1GiB\".";
    bytes.filter(|bytes| (least..=most).contains(bytes)).ok_or_else(|| {
        let mut problem = unexpected(given, &format!("a size{}", range(least, most, show_size)));
        remedy.clone_into(&mut problem.remedy);
        problem
    })
}

/// A time: seconds, or a text with a unit.
pub(super) fn duration(given: &Given<'_>, least: Duration, most: Duration) -> Result<Duration, Problem> {
    let time = match given.get_ref() {
        DeValue::String(text) => parse_duration(text),
        _ => integer(given).map(Duration::from_secs),
    };
    let remedy = "A duration is a number of seconds (30) or a text with a unit: \"500ms\", \"30s\", \"10m\", \"2h\", \"1d\".";
    time.filter(|time| (least..=most).contains(time)).ok_or_else(|| {
        let mut problem = unexpected(given, &format!("a duration{}", range(least, most, show_duration)));
        remedy.clone_into(&mut problem.remedy);
        problem
    })
}

fn range<T: PartialEq + Largest>(least: T, most: T, show: impl Fn(T) -> String) -> String {
    match most == T::LARGEST {
        true => format!(" of at least {}", show(least)),
        false => format!(" from {} to {}", show(least), show(most)),
    }
}

/// Values that stand for "no upper bound" in a key's range.
pub(super) trait Largest {
    const LARGEST: Self;
}
impl Largest for u64 {
    const LARGEST: u64 = u32::MAX as u64;
}
impl Largest for Duration {
    /// A hundred years: far from any overflow when added to a clock.
    const LARGEST: Duration = Duration::from_secs(100 * 365 * 86_400);
}

const SIZE_UNITS: &[(&str, u64)] = &[
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("KB", 1_000),
    ("B", 1),
];

/// In milliseconds.
const TIME_UNITS: &[(&str, u64)] = &[("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("ms", 1), ("s", 1_000)];

/// `https://host`, perhaps with a port; nothing behind it.
pub(super) fn web_url(given: &Given<'_>) -> Result<String, Problem> {
    let expected = "an address like \"https://chat.example.org\"";
    let text = string(given, expected)?;
    let url = text.trim_end_matches('/');
    match url.split_once("://") {
        Some(("https", host)) if is_authority(&host.replace("{domain}", "d")) => Ok(url.to_owned()),
        _ => Err(unexpected(given, expected)),
    }
}

/// A host, perhaps with a port.
fn is_authority(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse::<u16>().is_ok()),
        _ => (text, true),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    port && !host.is_empty() && host.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':'))
}

/// An origin of pages as browsers write it (RFC 6454 6.1), or `*`.
fn origin(given: &Given<'_>) -> Result<String, Problem> {
    let expected = "an origin like \"https://chat.example.org\", or \"*\"";
    let text = string(given, expected)?.to_ascii_lowercase();
    let good = match text.split_once("://") {
        None => text == "*",
        Some((scheme, host)) => matches!(scheme, "https" | "http") && is_authority(host),
    };
    let default_port = if text.starts_with("https:") { ":443" } else { ":80" };
    if good { Ok(text.strip_suffix(default_port).unwrap_or(&text).to_owned()) } else { Err(unexpected(given, expected)) }
}

/// Domain to origins.
pub(super) fn origins(given: &Given<'_>) -> Result<HashMap<String, Vec<String>>, Problem> {
    let expected = "a table of lists, { \"example.org\" = [\"https://chat.example.org\"] }";
    let table = given.get_ref().as_table().ok_or_else(|| unexpected(given, expected))?;
    let mut origins = HashMap::new();
    for (name, pages) in table {
        let domain = parse_domain(name.get_ref()).map_err(|why| Problem::new(Some(name.span()), why, ""))?;
        origins.insert(domain, list(pages, "a list of origins", origin)?);
    }
    Ok(origins)
}

pub(super) fn show_origins(origins: &HashMap<String, Vec<String>>) -> String {
    let mut domains: Vec<_> = origins.iter().collect();
    domains.sort();
    let shown = domains.iter().map(|(domain, pages)| format!("{} = {}", show_string(domain), show_list(pages.iter().cloned())));
    format!("{{ {} }}", shown.collect::<Vec<_>>().join(", "))
}

fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    let factor = units.iter().find(|(name, _)| *name == unit.trim_start())?.1;
    number.parse::<u64>().ok()?.checked_mul(factor)
}

pub(super) fn parse_size(text: &str) -> Option<u64> {
    with_unit(text, SIZE_UNITS)
}

pub fn parse_duration(text: &str) -> Option<Duration> {
    with_unit(text, TIME_UNITS).map(Duration::from_millis)
}

/// With the largest binary unit that says it exactly.
pub(super) fn show_size(bytes: u64) -> String {
    let unit = SIZE_UNITS.iter().take(3).find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor));
    match unit {
        Some((name, factor)) => format!("\"{}{name}\"", bytes / factor),
        None => bytes.to_string(),
    }
}

/// With the largest unit that says it exactly.
pub(super) fn show_duration(time: Duration) -> String {
    let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let unit =
        TIME_UNITS.iter().filter(|(_, factor)| ms >= *factor && ms.is_multiple_of(*factor)).max_by_key(|(_, factor)| *factor);
    match unit {
        Some((name, factor)) => format!("\"{}{name}\"", ms / factor),
        None => "\"0s\"".to_owned(),
    }
}

/// A TOML basic string.
pub(super) fn show_string(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

pub(super) fn show_list(items: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", items.into_iter().map(|item| show_string(&item)).collect::<Vec<_>>().join(", "))
}

pub(super) fn domain(given: &Given<'_>) -> Result<String, Problem> {
    super::parse_domain(string(given, "a domain")?)
        .map_err(|why| Problem::new(Some(given.span()), why, "A domain looks like \"example.org\"."))
}

pub(super) fn account(given: &Given<'_>) -> Result<BareJid, Problem> {
    let text = string(given, "an account's address")?;
    let refuse = |why: &str| {
        let message = format!("{text:?} is not an account's address: {why}");
        Problem::new(Some(given.span()), message, "An account's address looks like \"juliet@example.org\".")
    };
    match BareJid::new(text) {
        Ok(jid) if jid.node().is_none() => Err(refuse("there is nothing before an \"@\"")),
        Ok(jid) => Ok(jid),
        Err(error) => Err(refuse(&error.to_string())),
    }
}

pub(super) fn ip_address(given: &Given<'_>) -> Result<IpAddr, Problem> {
    let expected = "an IP address";
    string(given, expected)?.parse().map_err(|_| {
        let mut problem = unexpected(given, expected);
        "It looks like \"127.0.0.1\" or \"::1\", without a port.".clone_into(&mut problem.remedy);
        problem
    })
}

pub(super) fn socket_address(given: &Given<'_>) -> Result<SocketAddr, Problem> {
    let expected = "an address with a port";
    let text = string(given, expected)?;
    text.parse().map_err(|_| {
        let mut problem = unexpected(given, expected);
        problem.remedy = match text.strip_prefix("localhost:") {
            Some(port) => format!("Names are not looked up here: write \"127.0.0.1:{port}\"."),
            None => "It looks like \"127.0.0.1:5222\", \"[::1]:5222\", or \"[::]:5222\" for all addresses.".to_owned(),
        };
        problem
    })
}
