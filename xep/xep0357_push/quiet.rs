//! What the user does not want to hear of: presence that says so, and the settings of a chat (XEP-0492).

use iris_core::store::{Read, Rows};
use iris_core::xml::El;
use iris_core::{BareJid, Said, SessionCard, Stanza, StanzaType, Turn};

use super::importance::Names;
use crate::xep0060_pubsub::serial_key;
use crate::xep0163_pep::{ITEMS, PEP};
use crate::xep0402_bookmarks;

const NOTIFY: &str = "urn:xmpp:notification-settings:1";
/// A client whose user presents something on the screen says `<presenting/>` in its presence: no XEP has a word for it.
const PRESENTING: &str = "urn:iris:presenting:0";

/// Somebody who does not want to be disturbed, or shows their screen to others, is told nothing; it waits for them.
pub fn is_disturbing(turn: &Turn<'_>) -> bool {
    turn.cards().any(keeps_quiet)
}

fn keeps_quiet(card: &SessionCard) -> bool {
    card.available.as_ref().is_some_and(|it| {
        let presence = &it.presence;
        let is_dnd = presence
            .child_named(iris_core::ns::CLIENT, "show")
            .is_some_and(|show| presence.child_el(show).text().trim() == "dnd");
        is_dnd || presence.child_named(PRESENTING, "presenting").is_some()
    })
}

/// XEP-0492 2.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    Always,
    OnMention,
    Never,
}

/// Where the settings of a chat are, if the user has any: an item of the bookmarks (XEP-0402) with the address of the chat.
pub fn bookmark(turn: &mut Turn<'_>, chat: &BareJid) -> Option<Read> {
    let owner = turn.account.owner();
    let node = turn.state(&PEP)?.service.node(xep0402_bookmarks::NODE)?;
    let serial = node.entries.get(node.find(chat.as_str())?)?.serial;
    Some(Read::Value { owner, shelf: ITEMS, key: serial_key(serial).into() })
}

/// What the bookmark says.
#[derive(Debug, Default, PartialEq)]
pub struct Settings {
    pub wish: Option<Wish>,
    pub nick: Option<String>,
}

impl Settings {
    pub fn of_rows(rows: &Rows) -> Settings {
        let Rows::Value(Some(value)) = rows else { return Settings::default() };
        El::parse(value).map(|conference| Settings::of(&conference)).unwrap_or_default()
    }

    fn of(conference: &El<'_>) -> Settings {
        let child = |local: &str| conference.children().find(|child| child.local() == local && child.ns() == conference.ns());
        let nick = child("nick").map(|nick| nick.text().into_owned()).filter(|nick| !nick.is_empty());
        let notify = child("extensions").and_then(|extensions| extensions.child(NOTIFY, "notify"));
        Settings { wish: notify.and_then(|notify| wish(&notify)), nick }
    }
}

/// XEP-0492 3: the element most specific to what is told, a client that is a phone. Its advanced settings are nobody's but the client's.
fn wish(notify: &El<'_>) -> Option<Wish> {
    let specific = |setting: &El<'_>| {
        let (category, kind) = (setting.attr("identity-category"), setting.attr("identity-type"));
        match (category.as_deref(), kind.as_deref()) {
            (Some("client"), Some("phone")) => Some(3),
            (Some("client"), None) => Some(2),
            (None, None) => Some(1),
            _ => None,
        }
    };
    let wish = |setting: &El<'_>| match setting.local() {
        "always" => Some(Wish::Always),
        "on-mention" => Some(Wish::OnMention),
        "never" => Some(Wish::Never),
        _ => None,
    };
    let settings = notify.children().filter(|setting| setting.ns() == NOTIFY);
    let known = settings.filter_map(|setting| Some((specific(&setting)?, wish(&setting)?)));
    known.max_by_key(|(specific, _)| *specific).map(|(_, wish)| wish)
}

/// Is the user to be told of this? XEP-0492 3: "always" for direct chats and private rooms, when mentioned in public ones.
pub fn wants(turn: &Turn<'_>, names: &Names, stanza: &Stanza, said: Option<Said>, settings: &Settings) -> bool {
    let public = stanza.stype() == StanzaType::Groupchat && said.is_some_and(|said| said.public);
    match settings.wish.unwrap_or(if public { Wish::OnMention } else { Wish::Always }) {
        Wish::Always => true,
        Wish::Never => false,
        Wish::OnMention => said.is_some_and(|said| said.mentioned) || mentions(turn, names, stanza, settings.nick.as_deref()),
    }
}

/// XEP-0372 by address or by nickname in the room; XEP-0492 3 lets a nickname that is spelled out count as well.
fn mentions(turn: &Turn<'_>, names: &Names, stanza: &Stanza, nick: Option<&str>) -> bool {
    let me = turn.me();
    let referred = |uri: &str| {
        let Some(Ok(jid)) = uri.strip_prefix("xmpp:").and_then(|it| it.split('?').next()).map(iris_core::jids::address) else {
            return false;
        };
        jid.to_bare() == *me || (nick.is_some() && jid.resource().map(|it| it.as_str()) == nick)
    };
    let reference = stanza.children().iter().filter(|child| child.name == names.reference).any(|child| {
        let reference = stanza.child_el(child);
        reference.attr("type").as_deref() == Some("mention") && reference.attr("uri").is_some_and(|uri| referred(&uri))
    });
    let local = me.node().map(|node| node.as_str().to_owned());
    let name = nick.map(str::to_owned).or(local);
    reference || stanza.child(names.body).is_some_and(|body| has_word(&stanza.child_el(body).text(), name.as_deref()))
}

/// Is the word spelled out in the text, in whatever case?
pub(crate) fn has_word(text: &str, word: Option<&str>) -> bool {
    let Some(word) = word.map(str::to_lowercase).filter(|word| !word.is_empty()) else { return false };
    let text = text.to_lowercase();
    let within = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    text.match_indices(&word).any(|(at, found)| {
        let (before, after) = (text.get(..at).unwrap_or_default(), text.get(at + found.len()..).unwrap_or_default());
        !within(before.chars().next_back()) && !within(after.chars().next())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(inside: &str) -> Settings {
        let xml = format!(
            "<conference xmlns='urn:xmpp:bookmarks:1'><nick>jule</nick><extensions><notify xmlns='{NOTIFY}'>{inside}</notify></extensions>\
             </conference>"
        );
        Settings::of(&El::parse(xml.as_bytes()).expect("XML"))
    }

    #[test]
    fn xep0492_s3_the_most_specific_setting_counts() {
        let wish = |inside: &str| settings(inside).wish;
        assert_eq!(wish("<never/>"), Some(Wish::Never));
        assert_eq!(wish("<always/><never identity-category='client'/>"), Some(Wish::Never));
        let phone =
            "<never/><on-mention identity-category='client' identity-type='phone'/><always identity-category='client'/>";
        assert_eq!(wish(phone), Some(Wish::OnMention));
        assert_eq!(wish("<never identity-category='client' identity-type='pc'/>"), None, "not about phones");
        assert_eq!(
            wish("<never identity-category='gateway'/><always><advanced><x xmlns='urn:x'/></advanced></always>"),
            Some(Wish::Always)
        );
        assert_eq!(wish("<never xmlns='urn:other'/>"), None);
        assert_eq!(settings("").nick.as_deref(), Some("jule"));
    }

    #[test]
    fn a_name_is_a_whole_word() {
        for text in ["jule", "Jule: hi", "hi jule!", "(JULE)"] {
            assert!(has_word(text, Some("jule")), "{text}");
        }
        for text in ["julep", "xjule", "", "jul e"] {
            assert!(!has_word(text, Some("jule")), "{text}");
        }
        assert!(!has_word("hi", Some("")) && !has_word("hi", None));
        assert!(has_word("İx jule", Some("jule")), "what grows when it is folded");
    }
}
