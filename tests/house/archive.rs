//! Reads a whole archive (XEP-0313), page by page.

use std::io;

use crate::client::{Client, PATIENCE, attribute, between};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub id: String,
    pub body: String,
    /// The whole result.
    pub xml: String,
}

/// The archive of the client's own account, oldest first. No other stanzas must be underway to this client.
pub fn read(client: &mut Client) -> io::Result<Vec<Entry>> {
    read_of(client, None)
}

/// The archive of a room, or one's own.
pub fn read_of(client: &mut Client, room: Option<&str>) -> io::Result<Vec<Entry>> {
    let to = room.map(|room| format!(" to='{room}'")).unwrap_or_default();
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let after = entries.last().map(|entry| format!("<after>{}</after>", entry.id)).unwrap_or_default();
        let page = format!("<set xmlns='http://jabber.org/protocol/rsm'><max>50</max>{after}</set>");
        let id = format!("page-{}", entries.len());
        client
            .try_send(&format!("<iq type='set' id='{id}'{to}><query xmlns='urn:xmpp:mam:2' queryid='q'>{page}</query></iq>"))?;
        loop {
            let element = client.read(PATIENCE)?;
            if element.starts_with("<iq") && attribute(&element, "id") == Some(&id) {
                match between(&element, "<fin ", ">") {
                    None => return Err(io::Error::other(element)),
                    Some(fin) if fin.contains("complete='true'") => return Ok(entries),
                    Some(_) => break,
                }
            }
            let result = element.split_once("<result ").and_then(|(_, rest)| between(rest, " id='", "'"));
            if let (Some(id), Some(body)) = (result, between(&element, "<body>", "</body>")) {
                entries.push(Entry { id: id.to_owned(), body: body.to_owned(), xml: element.clone() });
            }
        }
    }
}
