//! `iris doctor`: looks at everything a server stands on, and says what to do about what is wrong. Each examination is one file
//! or function that gives findings; none of them changes anything, and none needs the network to end.

mod certificates;
mod dns;
mod files;
mod machine;
mod mail;
mod ports;
mod web;

use clap::Args;
use serde::Serialize;

use super::users::{Reached, reach};
use super::{Failure, Place, say};
use crate::config::Config;
use crate::config::wrap::wrap;

#[derive(Args)]
pub(super) struct DoctorArguments {
    /// As JSON: a list of findings
    #[arg(long)]
    json: bool,
    /// Ask this name server instead of those of /etc/resolv.conf
    #[arg(long, value_name = "ADDRESS")]
    dns: Option<std::net::IpAddr>,
    /// Do not ask the DNS at all
    #[arg(long, conflicts_with = "dns")]
    no_dns: bool,
    /// Do not fetch host-meta and what it names, nor ask the bucket of the files and the mail server
    #[arg(long)]
    no_web: bool,
    #[command(flatten)]
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Grade {
    Ok,
    /// It works, and will not or not for everybody.
    Warn,
    /// It does not work.
    Error,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// What was looked at: `ports`, `certificate example.org`.
    pub about: String,
    pub grade: Grade,
    pub what: String,
    /// Empty: there is nothing to do.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

impl Finding {
    fn ok(about: &str, what: impl Into<String>) -> Finding {
        Finding { about: about.to_owned(), grade: Grade::Ok, what: what.into(), remedy: String::new() }
    }

    fn warn(about: &str, what: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding { about: about.to_owned(), grade: Grade::Warn, what: what.into(), remedy: remedy.into() }
    }

    fn error(about: &str, what: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding { about: about.to_owned(), grade: Grade::Error, what: what.into(), remedy: remedy.into() }
    }
}

pub(super) fn doctor(arguments: &DoctorArguments) -> Result<(), Failure> {
    let findings = match arguments.place.load(super::Overrides::default()) {
        // A configuration that cannot be read is the first finding, and the last.
        Err(error) => error.lines().map(|(what, remedy)| Finding::error("configuration", what, or_reference(remedy))).collect(),
        Ok(config) => look(arguments, config)?,
    };
    let worst = findings.iter().map(|finding| finding.grade).max().unwrap_or(Grade::Ok);
    let text = match arguments.json {
        true => serde_json::to_string_pretty(&findings).map_err(|error| Failure::new(error, ""))?,
        false => text(&findings),
    };
    match worst {
        Grade::Error if arguments.json => say(&text).and(Err(Failure::verbatim("iris: there are errors"))),
        Grade::Error => say(&text).and(Err(Failure::verbatim("iris: something does not work: see the errors above"))),
        Grade::Ok | Grade::Warn => say(&text),
    }
}

/// Some mistakes say themselves what would be right.
fn or_reference(remedy: &str) -> &str {
    if remedy.is_empty() { "Correct that line; `iris config-reference` prints every setting." } else { remedy }
}

/// At the server if it runs, else at what is there without it.
fn look(arguments: &DoctorArguments, mut config: Config) -> Result<Vec<Finding>, Failure> {
    match reach(&arguments.place, &[]) {
        Err(failure) => Ok(vec![Finding::error("data folder", one_line(&failure.to_string()), "Mend it first.")]),
        Ok(Reached::Closed(config)) => Ok(examine(arguments, &config, false)),
        Ok(Reached::Running(client)) => {
            use super::control::Admin;
            config.domains = client.domains().map_err(|why| Failure::new(why, "The server runs and does not answer."))?;
            Ok(examine(arguments, &config, true))
        }
    }
}

fn examine(arguments: &DoctorArguments, config: &Config, running: bool) -> Vec<Finding> {
    let mut findings = vec![match running {
        true => Finding::ok("server", "runs, and answers on its control socket"),
        false => Finding::ok("server", "does not run; what can be seen without it was looked at"),
    }];
    findings.extend(configuration(config));
    findings.extend(ports::examine(config, running));
    findings.extend(certificates::examine(config));
    match arguments.no_dns {
        true => findings.push(Finding::ok("dns", "not asked")),
        false => findings.extend(dns::examine(config, arguments.dns)),
    }
    if !arguments.no_web {
        findings.extend(web::examine(config, running));
        findings.extend(files::examine(config, running));
        findings.extend(mail::examine(config));
    }
    findings.extend(machine::examine(config, running));
    findings
}

fn configuration(config: &Config) -> Vec<Finding> {
    let mut findings: Vec<Finding> = config
        .warnings()
        .into_iter()
        .map(|warning| Finding::warn("configuration", warning, "If that is meant, nothing; if not, see iris config-reference."))
        .collect();
    if config.dev {
        let what = "development mode: logins without TLS are possible, and the test CA is used everywhere";
        findings.push(Finding::warn("configuration", what, "Remove dev = true before anybody else uses this server."));
    }
    if let Err(why) = crate::wiring::mount_to_check(config) {
        findings.push(Finding::error("configuration", one_line(&why), "Mend the table that is named."));
    }
    if findings.is_empty() {
        findings.push(Finding::ok("configuration", format!("good; serves {}", config.domains.join(", "))));
    }
    findings
}

fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let grade = match finding.grade {
            Grade::Ok => "ok   ",
            Grade::Warn => "warn ",
            Grade::Error => "ERROR",
        };
        text += &wrap(&format!("{grade}  {}: {}", finding.about, finding.what), 0, 7);
        text.push('\n');
        if !finding.remedy.is_empty() {
            text += &wrap(&format!("-> {}", finding.remedy), 7, 10);
            text.push('\n');
        }
    }
    let count = |grade| findings.iter().filter(|finding| finding.grade == grade).count();
    let (warnings, errors) = (count(Grade::Warn), count(Grade::Error));
    text + &format!("\n{} looked at, {warnings} warnings, {errors} errors.\n", findings.len())
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_lines_of_80_columns_with_a_remedy() {
        let long = "something that takes quite a few words to say, so that it does not fit into one line of a terminal";
        let text = text(&[Finding::ok("server", "runs"), Finding::error("ports", long, long)]);
        assert!(text.starts_with("ok     server: runs\nERROR  ports: something"), "{text}");
        assert!(text.contains("\n       -> something"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.ends_with("\n2 looked at, 0 warnings, 1 errors.\n"), "{text}");
    }
}
