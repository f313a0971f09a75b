//! Certificates: do they fit their domains, do they end, are their chains whole, who can read their keys; and what they say about
//! the clock.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use iris_net::certs::{Certificates, EXPIRY_WARNING_DAYS, Leaf, Source};

use super::Finding;
use crate::config::Config;

/// Renewal begins 30 days ahead; this is the time of the first that failed.
const SOON_DAYS: i64 = 21;

pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let folder = config.tls.certificates.clone().unwrap_or_else(|| config.test_certs_dir());
    let test = config.tls.certificates.is_none();
    if test && !folder.join("ca.crt").exists() {
        return vec![Finding::ok("certificates", "none yet; the first start makes test certificates")];
    }
    let mut findings = Vec::new();
    if test {
        let only_here = config.listeners.iter().all(|listener| listener.address.ip().is_loopback());
        let what = "a test CA that no client trusts by itself";
        findings.push(match only_here {
            true => Finding::ok("certificates", what),
            false => {
                Finding::warn("certificates", what, "For others than yourself: set tls.certificates in the configuration.")
            }
        });
    }
    for domain in &config.domains {
        findings.extend(of(&folder, domain));
    }
    if config.federates() {
        findings.extend(services(config, &folder));
    }
    findings
}

/// Between servers each service shows a certificate of its own name (RFC 6120 13.7.1.2): rooms and channels that have none are nobody's
/// elsewhere.
fn services(config: &Config, folder: &Path) -> Vec<Finding> {
    let Ok(mounted) = crate::wiring::mount(config) else { return Vec::new() };
    let mut findings = Vec::new();
    for domain in &config.domains {
        let Ok(source) = Source::find(folder, domain) else { continue };
        let Ok((certificates, _)) = Certificates::load(std::slice::from_ref(&source), SystemTime::now()) else { continue };
        let of_domain =
            mounted.hosts.iter().filter(|doors| doors.parent.as_deref() == Some(domain) && doors.component.is_none());
        let mut missing: Vec<&str> = of_domain
            .map(|doors| doors.domain.as_str())
            .filter(|service| certificates.leaves().iter().all(|leaf| !leaf.covers(service)))
            .collect();
        missing.sort_unstable();
        if !missing.is_empty() {
            findings.push(Finding::warn(
                &format!("certificate {domain}"),
                format!("it does not speak for {}: other servers do not speak with these", missing.join(", ")),
                format!("Get one with these among its names, or with *.{domain}."),
            ));
        }
    }
    findings
}

fn of(folder: &Path, domain: &str) -> Vec<Finding> {
    let about = format!("certificate {domain}");
    let now = SystemTime::now();
    let found = Source::find(folder, domain).map_err(|error| vec![error]);
    let loaded = found.and_then(|source| {
        let (certificates, warnings) = Certificates::load(std::slice::from_ref(&source), now)?;
        Ok((source, certificates, warnings))
    });
    let (source, certificates, warnings) = match loaded {
        Ok(loaded) => loaded,
        Err(errors) => {
            let remedy = "Put chain and key there, readable by the server's user; then kill -HUP (or restart) it.";
            return errors.iter().map(|error| Finding::error(&about, error.to_string(), remedy)).collect();
        }
    };
    let mut findings: Vec<Finding> = warnings
        .iter()
        .map(|warning| Finding::warn(&about, warning.to_string(), "Renew it, or correct what is named."))
        .collect();
    for leaf in certificates.leaves() {
        findings.extend(judge(&about, &source, &leaf, now));
    }
    findings
}

fn judge(about: &str, source: &Source, leaf: &Leaf, now: SystemTime) -> Vec<Finding> {
    let mut findings = Vec::new();
    let days = leaf.days_left(now);
    let since = now.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX));
    let renew = "Renew it, then kill -HUP the server.";
    if since < leaf.not_before {
        let clock = "Is the clock of this machine right (timedatectl)? Otherwise wait, or get another certificate.";
        findings.push(Finding::error(about, "it is not valid yet", clock));
    } else if days < 0 {
        findings.push(Finding::error(about, format!("it ended {} days ago: no client connects", -days), renew));
    } else if days < EXPIRY_WARNING_DAYS {
        findings.push(Finding::error(about, format!("it ends in {days} days, and was not renewed"), renew));
    } else if days < SOON_DAYS {
        findings.push(Finding::warn(about, format!("it ends in {days} days"), "Does your certificate program still renew it?"));
    }
    if !leaf.covers(&leaf.domain) {
        let what = format!("it speaks for {}, not for {}", leaf.names.join(", "), leaf.domain);
        findings.push(Finding::error(about, what, "Get one with this domain among its names."));
    }
    findings.extend(chain(about, leaf));
    findings.extend(key(about, &source.key));
    if findings.is_empty() {
        findings.push(Finding::ok(about, format!("good for {days} days, for {}", leaf.names.join(", "))));
    }
    findings
}

/// RFC 8446 4.4.2: each certificate signs the one before it; the authority's own may be left out.
fn chain(about: &str, leaf: &Leaf) -> Option<Finding> {
    let remedy = "Put the whole chain into the file, the certificate of the domain first (certbot: fullchain.pem).";
    iris_net::certs::chain_fault(&leaf.key.cert).map(|why| Finding::warn(about, why, remedy))
}

fn key(about: &str, file: &Path) -> Option<Finding> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(file).ok()?.permissions().mode() & 0o777;
    let remedy = format!("chmod 600 {}", file.display());
    match mode {
        mode if mode & 0o007 != 0 => Some(Finding::error(about, format!("everybody can read its key (mode {mode:o})"), remedy)),
        mode if mode & 0o020 != 0 => Some(Finding::warn(about, format!("a group can write its key (mode {mode:o})"), remedy)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use iris_net::certs::dev;

    use super::super::Grade::{self, Error, Ok, Warn};
    use super::*;

    #[test]
    fn an_end_a_wrong_name_and_a_lone_leaf_are_findings_with_remedies() {
        let folder = tempfile::tempdir().expect("a folder");
        dev::create(folder.path(), &["example.org"]).expect("certificates");
        for end in ["crt", "key"] {
            let file = |domain: &str| folder.path().join(format!("{domain}.{end}"));
            std::fs::copy(file("example.org"), file("other.example")).expect("a copy");
        }
        let judged = |domain: &str, at: SystemTime| {
            let source = Source::find(folder.path(), domain).expect("a pair");
            let (certificates, _) = Certificates::load(std::slice::from_ref(&source), SystemTime::now()).expect("certificates");
            let leaf = certificates.leaves().remove(0);
            (judge("certificate", &source, &leaf, at), leaf)
        };
        let (found, leaf) = judged("example.org", SystemTime::now());
        assert_eq!(found.iter().map(|it| it.grade).collect::<Vec<_>>(), [Ok], "{found:?}");
        let ends = UNIX_EPOCH + Duration::from_secs(u64::try_from(leaf.not_after).expect("after 1970"));
        let begins = UNIX_EPOCH + Duration::from_secs(u64::try_from(leaf.not_before).expect("after 1970"));
        let day = Duration::from_secs(24 * 60 * 60);
        let cases: [(&str, SystemTime, Grade, &str); 5] = [
            ("example.org", ends - day * 20, Warn, "it ends in 20 days"),
            ("example.org", ends - day * 3, Error, "it ends in 3 days, and was not renewed"),
            ("example.org", ends + day * 2, Error, "it ended 2 days ago"),
            ("example.org", begins - day, Error, "it is not valid yet"),
            ("other.example", begins + day, Error, ", not for other.example"),
        ];
        for (domain, at, grade, what) in cases {
            let (found, _) = judged(domain, at);
            let found = found.iter().find(|it| it.what.contains(what)).unwrap_or_else(|| panic!("{what}: {found:?}"));
            assert_eq!((found.grade, found.remedy.is_empty()), (grade, false), "{found:?}");
        }
    }

    #[test]
    fn services_that_no_certificate_speaks_for_are_found_where_other_servers_are_spoken_with() {
        let folder = tempfile::tempdir().expect("a folder");
        dev::create(folder.path(), &["example.org"]).expect("certificates");
        for end in ["crt", "key"] {
            let file = |domain: &str| folder.path().join(format!("{domain}.{end}"));
            std::fs::copy(file("example.org"), file("other.example")).expect("a copy");
        }
        let text = format!(
            "domains = [\"example.org\", \"other.example\"]\n[[listen]]\nkind = \"s2s\"\naddress = \"127.0.0.1:0\"\n\
             [tls]\ncertificates = \"{}\"\n",
            folder.path().display()
        );
        let config = Config::parse(&text, None, &crate::config::Overrides::default()).expect("a configuration");
        let found = services(&config, folder.path());
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].about.contains("other.example") && found[0].what.contains("conference.other.example"), "{found:?}");
    }
}
