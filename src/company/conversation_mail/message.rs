//! What a message says, as far as it can be written down: `None` for receipts, markers, states and whatever else is between programs.

use iris_core::ns;
use iris_core::xml::El;

const CORRECT: &str = "urn:xmpp:message-correct:0";
const RETRACT: &str = "urn:xmpp:message-retract:1";
const MODERATE: &str = "urn:xmpp:message-moderate:1";
const OCCUPANT_ID: &str = "urn:xmpp:occupant-id:0";
const FALLBACK: &str = "urn:xmpp:fallback:0";
const OOB: &str = "jabber:x:oob";
const FILE_SHARING: &str = "urn:xmpp:sfs:0";
const FILE_METADATA: &str = "urn:xmpp:file:metadata:0";
const URL_DATA: &str = "http://jabber.org/protocol/url-data";
const ENCRYPTION: &str = "urn:xmpp:eme:0";
const DIRECT_INVITATION: &str = "jabber:x:conference";

/// OMEMO of both generations, OpenPGP of both.
const ENCRYPTED: [(&str, &str); 4] = [
    ("eu.siacs.conversations.axolotl", "encrypted"),
    ("urn:xmpp:omemo:2", "encrypted"),
    ("urn:xmpp:openpgp:0", "openpgp"),
    ("jabber:x:encrypted", "x"),
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    Text(String),
    Subject(String),
    TakenBack { by_moderator: bool, reason: Option<String> },
}

impl Said {
    fn text(&self) -> &str {
        match self {
            Said::Text(text) | Said::Subject(text) => text,
            Said::TakenBack { reason, .. } => reason.as_deref().unwrap_or_default(),
        }
    }

    /// A character that is replaced takes three bytes where it took one.
    pub fn bytes(&self) -> usize {
        self.text().len() + 2 * self.text().chars().filter(|c| c.is_control()).count()
    }

    pub fn line_breaks(&self) -> usize {
        self.text().chars().filter(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')).count()
    }
}

#[derive(Debug)]
pub struct Message {
    /// Who may correct it: in a room an occupant, else an account.
    pub sender: String,
    /// For people.
    pub name: String,
    pub id: Option<String>,
    /// XEP-0308: the id of the message that this one is a correction of.
    pub replaces: Option<String>,
    /// XEP-0424: the id of the message that its sender wants back.
    pub takes_back: Option<String>,
    /// What it says is for clients that do not know what a retraction is (XEP-0428).
    pub is_fallback: bool,
    /// `None`: nothing for people.
    pub said: Option<Said>,
}

impl Message {
    /// `None`: nobody's, or one that came back.
    pub fn read(message: &El<'_>, is_room: bool) -> Option<Message> {
        let from = message.attr("from")?.into_owned();
        if message.attr("type").as_deref() == Some("error") {
            return None;
        }
        let (bare, resource) = from.split_once('/').unwrap_or((&from, ""));
        let occupant = message.child(OCCUPANT_ID, "occupant-id").and_then(|it| it.attr("id")).filter(|_| is_room);
        let (sender, name) = match (is_room, resource) {
            (false, _) => (bare, bare),
            (true, "") => (bare, "the room"),
            (true, nick) => (occupant.as_deref().unwrap_or(&from), nick),
        };
        let (sender, name) = (sender.to_owned(), name.to_owned());
        let id_in = |ns: &str, local: &str| message.child(ns, local).and_then(|it| it.attr("id")).map(|id| id.into_owned());
        let fallbacks = || message.children().filter(|child| child.is(FALLBACK, "fallback"));
        Some(Message {
            sender,
            name,
            id: message.attr("id").map(|id| id.into_owned()).filter(|id| !id.is_empty()),
            replaces: id_in(CORRECT, "replace"),
            takes_back: id_in(RETRACT, "retract"),
            is_fallback: fallbacks().any(|it| it.attr("for").as_deref() == Some(RETRACT)),
            said: said(message),
        })
    }
}

fn said(message: &El<'_>) -> Option<Said> {
    if let Some(retracted) = message.child(RETRACT, "retracted") {
        let moderated = retracted.child(MODERATE, "moderated");
        let reason = retracted.children().find(|it| it.local() == "reason").map(|it| it.text().into_owned());
        return Some(Said::TakenBack { by_moderator: moderated.is_some(), reason: reason.filter(|it| !it.trim().is_empty()) });
    }
    if is_encrypted(message) {
        return Some(Said::Text("[encrypted message]".to_owned()));
    }
    let body = in_words(message, "body");
    let subject = in_words(message, "subject");
    if let (None, Some(subject)) = (&body, &subject) {
        return Some(Said::Subject(subject.clone()));
    }
    let mut parts: Vec<String> = Vec::new();
    // XEP-0380: in some way that is not known here, so nobody knows what is in the body.
    parts.extend(message.child(ENCRYPTION, "encryption").map(|_| "[encrypted message]".to_owned()));
    parts.extend(
        subject
            .filter(|subject| !subject.trim().is_empty())
            .map(|subject| format!("[subject: {}]", super::line::one(&subject))),
    );
    parts.extend(body.clone());
    parts.extend(files(message, body.as_deref()));
    let invitation = message.child(DIRECT_INVITATION, "x").and_then(|it| it.attr("jid"));
    if let (true, Some(room)) = (parts.is_empty(), invitation) {
        parts.push(format!("[invitation to {room}]"));
    }
    (!parts.is_empty()).then(|| Said::Text(parts.join("\n")))
}

/// What stands in its body is for whoever cannot read it.
fn is_encrypted(message: &El<'_>) -> bool {
    let encrypted = |(ns, local): (&'static str, &'static str)| message.child(ns, local);
    ENCRYPTED.into_iter().filter_map(encrypted).any(|it| {
        // OMEMO without a payload only carries keys.
        it.local() != "encrypted" || it.children().any(|child| child.local() == "payload")
    })
}

/// Of several the one without a language, else the first (RFC 6121 5.2.3).
fn in_words(message: &El<'_>, name: &str) -> Option<String> {
    let of = || message.children().filter(|child| child.is(ns::CLIENT, name));
    let chosen = of().find(|it| it.attr("xml:lang").is_none()).or_else(|| of().next())?;
    let text = chosen.text().into_owned();
    (name == "subject" || !text.is_empty()).then_some(text)
}

/// XEP-0447, else XEP-0066. An address that is the whole body is not said twice.
fn files(message: &El<'_>, body: Option<&str>) -> Vec<String> {
    let body = body.map(str::trim);
    let shared = message.children().filter(|child| child.is(FILE_SHARING, "file-sharing")).map(|sharing| {
        let file = sharing.child(FILE_METADATA, "file");
        let of = |name: &str| file.as_ref().and_then(|it| it.child(FILE_METADATA, name)).map(|it| super::line::one(&it.text()));
        let size = of("size").map(|size| format!("{size} bytes"));
        let about: Vec<String> = of("name").into_iter().chain(size).collect();
        let sources = sharing.children().filter(|it| it.local() == "sources");
        let url =
            sources.flat_map(|it| it.child(URL_DATA, "url-data")).find_map(|it| it.attr("target").map(|url| url.into_owned()));
        let url = url.filter(|url| body != Some(url));
        let about = if about.is_empty() { String::new() } else { format!(": {}", about.join(", ")) };
        format!("[file{about}]{}", url.map(|url| format!(" {}", super::line::one(&url))).unwrap_or_default())
    });
    let shared: Vec<String> = shared.collect();
    if !shared.is_empty() {
        return shared;
    }
    let oob = message.children().filter(|child| child.is(OOB, "x")).filter_map(|it| it.child(OOB, "url"));
    let urls = oob.map(|url| url.text().into_owned()).filter(|url| !url.is_empty() && body != Some(url.as_str()));
    urls.map(|url| format!("[file] {}", super::line::one(&url))).collect()
}
