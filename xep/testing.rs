//! What several plays need.

use iris_core::Stanza;
use iris_engine::testing::{Client, House};

/// A stanza with nothing in it that differs from one question to the next: to compare what strangers and nobody are told.
pub fn anonymous(stanza: &Stanza) -> String {
    let mut text = stanza.as_str().to_owned();
    for attribute in ["from", "to", "id"] {
        if let Some(value) = stanza.attr(attribute) {
            text = text.replace(&format!("{attribute}='{value}'"), &format!("{attribute}=''"));
        }
    }
    text
}

/// What an archive has, as text, in order: all of it, or what the fields of a form ask for.
pub fn archived(house: &mut House, client: &Client, fields: &str) -> Vec<String> {
    house.recv(client);
    let form = format!("<x xmlns='jabber:x:data' type='submit'>{fields}</x>");
    house.send(client, &format!("<iq type='set' id='mam'><query xmlns='urn:xmpp:mam:2'>{form}</query></iq>"));
    let heard = house.recv(client);
    let inner = |stanza: &Stanza| {
        let result = stanza.child_el(stanza.child_named("urn:xmpp:mam:2", "result")?);
        let message = result.child("urn:xmpp:forward:0", "forwarded")?.child("jabber:client", "message")?;
        Some(String::from_utf8_lossy(message.bytes()).into_owned())
    };
    heard.iter().filter_map(inner).collect()
}

/// The field that asks for words (XEP-0431).
pub fn of_words(words: &str) -> String {
    format!("<field var='{{urn:xmpp:fulltext:0}}fulltext'><value>{words}</value></field>")
}
