//! One report: as it comes, and as it is kept.

use iris_core::xml::{Build, El};
use iris_core::{BareJid, Jid, ns};

use super::NS;

const TEXT_SIZE_BYTES_MAX: usize = 4 * 1024;
const REASON_SIZE_BYTES_MAX: usize = 256;
const MESSAGES_MAX: usize = 50;
const ID_SIZE_BYTES_MAX: usize = 256;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub jid: Jid,
    /// `urn:xmpp:reporting:spam`, `urn:xmpp:reporting:abuse`, or what a later specification may define.
    pub reason: String,
    pub text: String,
    /// `by` and `id` of the stanza-ids of what is reported.
    pub messages: Vec<(String, String)>,
    /// Section 5: what the reporter allows to be done with it.
    pub allowed: Vec<String>,
}

fn cut(text: &str, max: usize) -> String {
    text[..text.floor_char_boundary(max)].to_owned()
}

impl Report {
    /// Of an item of a block. `None`: there is none, or none with a reason (section 4: "MUST include").
    pub fn of_item(item: &El<'_>, jid: &Jid) -> Option<Report> {
        let report = item.child(NS, "report")?;
        let reason = report.attr("reason").filter(|reason| !reason.is_empty())?;
        Some(Report::read(&report, jid.clone(), &reason))
    }

    fn read(report: &El<'_>, jid: Jid, reason: &str) -> Report {
        let texts: Vec<String> =
            report.children().filter(|child| child.is(NS, "text")).take(8).map(|text| text.text().trim().to_owned()).collect();
        let ids = report.children().filter(|child| child.is(ns::STANZA_ID, "stanza-id"));
        let messages = ids.filter_map(|id| {
            let attr = |name: &str| id.attr(name).map(|value| cut(&value, ID_SIZE_BYTES_MAX));
            Some((attr("by").unwrap_or_default(), attr("id")?))
        });
        let options = ["report-origin", "third-party"];
        Report {
            jid,
            reason: cut(reason, REASON_SIZE_BYTES_MAX),
            text: cut(&texts.join("\n"), TEXT_SIZE_BYTES_MAX),
            messages: messages.take(MESSAGES_MAX).collect(),
            allowed: options.into_iter().filter(|name| report.child(NS, name).is_some()).map(str::to_owned).collect(),
        }
    }

    /// An element of the same kind, with who is reported and by whom beside it.
    pub fn encode(&self, reporter: &BareJid) -> Vec<u8> {
        let mut xml = Build::new();
        xml.open_ns("report", NS).attr("reason", &self.reason).attr("jid", self.jid.as_str()).attr("by", reporter.as_str());
        if !self.text.is_empty() {
            xml.leaf("text", &self.text);
        }
        for (by, id) in &self.messages {
            xml.open_ns("stanza-id", ns::STANZA_ID).attr("by", by).attr("id", id).close();
        }
        for option in &self.allowed {
            xml.open(option).close();
        }
        xml.finish()
    }

    /// The reporter and the report. `None`: nothing that we wrote.
    pub fn decode(entry: &[u8]) -> Option<(BareJid, Report)> {
        let report = El::parse(entry)?;
        let attr = |name: &str| report.attr(name);
        let (reporter, jid) = (BareJid::new(&attr("by")?).ok()?, Jid::new(&attr("jid")?).ok()?);
        Some((reporter, Report::read(&report, jid, &attr("reason")?)))
    }
}
