//! `iris reports`: what people have reported as spam and abuse (XEP-0377), newest first.

use std::fmt::Write;

use clap::Args;

use super::control::ReportRow;
use super::{Failure, Place, say, users};

#[derive(Args)]
pub(super) struct ReportsArguments {
    /// Only those of this domain's people
    domain: Option<String>,
    /// At most so many
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    max: u32,
    #[command(flatten)]
    place: Place,
}

pub(super) fn reports(arguments: &ReportsArguments) -> Result<(), Failure> {
    let admin = users::open(&arguments.place, &[])?;
    let reports = admin.reports(arguments.domain.as_deref(), arguments.max).map_err(|why| Failure::new(why, ""))?;
    say(&text(&reports))
}

/// What a stranger wrote is shown on one line and without what a terminal would take for orders.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

pub(super) fn text(reports: &[ReportRow]) -> String {
    if reports.is_empty() {
        return "Nobody has reported anything.\n".to_owned();
    }
    let mut out = String::new();
    for report in reports {
        let time = iris_core::time::datetime(report.time.saturating_mul(1_000_000)).replace('T', " ");
        let reason = plain(report.reason.rsplit(':').next().unwrap_or(&report.reason));
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{}  {} is reported by {}: {reason}", time.trim_end_matches('Z'), report.jid, report.reporter);
        if !report.text.is_empty() {
            let _ = writeln!(out, "    {}", plain(&report.text));
        }
        if !report.messages.is_empty() {
            let _ = writeln!(out, "    messages: {}", plain(&report.messages.join(", ")));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_shown_on_lines_that_a_terminal_survives() {
        let report = ReportRow {
            time: 1_764_105_615,
            reporter: "juliet@house".into(),
            jid: "romeo@example.net".into(),
            reason: "urn:xmpp:reporting:spam".into(),
            text: "Never\u{1b}[31m came".into(),
            messages: vec!["28482 by juliet@house".into()],
        };
        let shown = text(&[report]);
        assert_eq!(
            shown,
            "2025-11-25 21:20:15  romeo@example.net is reported by juliet@house: spam\n    Never [31m came\n    messages: 28482 by \
             juliet@house\n"
        );
        assert!(text(&[]).starts_with("Nobody"));
    }
}
