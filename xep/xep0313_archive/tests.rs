//! Plays about the archive.

use std::time::Duration;

use iris_core::Stanza;
use iris_engine::testing::{Client, House};

use super::NS;
use crate::ROOMS;
use crate::testing::anonymous;

mod keeping;
mod preferences;
mod reading;

const ROMEO: &str = "romeo@house/orchard";
const JULIET: &str = "juliet@house/balcony";

/// A page of an archive as its client has it.
struct Page {
    /// As they came.
    ids: Vec<String>,
    /// The messages in `<forwarded/>`, as they came.
    messages: Vec<String>,
    stamps: Vec<String>,
    fin: String,
    complete: bool,
}

impl Page {
    fn bodies(&self) -> Vec<&str> {
        self.messages.iter().filter_map(|xml| xml.split_once("<body>")?.1.split_once("</body>")).map(|(body, _)| body).collect()
    }

    fn of(&self, name: &str) -> Option<&str> {
        let (_, rest) = self.fin.split_once(&format!("<{name}"))?;
        Some(rest.split_once('>')?.1.split_once('<')?.0)
    }
}

/// `form`: fields and values. `set`: what stands in RSM's `<set/>`.
fn asking(form: &[(&str, &str)], set: &str) -> String {
    let fields: String = form.iter().map(|(var, value)| format!("<field var='{var}'><value>{value}</value></field>")).collect();
    format!(
        "<query xmlns='{NS}' queryid='f&amp;27'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'>\
         <value>{NS}</value></field>{fields}</x><set xmlns='http://jabber.org/protocol/rsm'>{set}</set></query>"
    )
}

fn query(house: &mut House, client: &Client, payload: &str) -> Vec<Stanza> {
    house.recv(client);
    house.send(client, &format!("<iq type='set' id='mam'>{payload}</iq>"));
    house.recv(client)
}

#[track_caller]
fn page_of(house: &mut House, client: &Client, payload: &str) -> Page {
    read_page(client, query(house, client, payload))
}

#[track_caller]
fn read_page(client: &Client, mut heard: Vec<Stanza>) -> Page {
    let fin = heard.pop().expect("an answer");
    assert_eq!((fin.id().as_deref(), fin.attr("type").as_deref()), (Some("mam"), Some("result")), "{}", fin.as_str());
    let fin_el = fin.child_el(fin.children().first().expect("a <fin/>"));
    assert!(fin_el.is(NS, "fin"));
    let mut page = Page {
        ids: Vec::new(),
        messages: Vec::new(),
        stamps: Vec::new(),
        complete: fin_el.attr("complete").as_deref() == Some("true"),
        fin: fin.as_str().to_owned(),
    };
    for message in &heard {
        // Section 8.2: results are told from forgeries by who sends them.
        assert_eq!(message.from().as_deref(), Some(client.jid.to_bare().as_str()), "{}", message.as_str());
        assert_eq!(message.to().as_deref(), Some(client.jid.as_str()));
        let result = message.child_el(message.child_named(NS, "result").expect("a result"));
        assert_eq!(result.attr("queryid").as_deref(), Some("f&27"));
        let forwarded = result.child("urn:xmpp:forward:0", "forwarded").expect("forwarded");
        let delay = forwarded.child("urn:xmpp:delay", "delay").expect("a delay");
        let inner = forwarded.child("jabber:client", "message").expect("a message");
        page.ids.push(result.attr("id").expect("an id").into_owned());
        page.stamps.push(delay.attr("stamp").expect("a stamp").into_owned());
        page.messages.push(String::from_utf8_lossy(inner.bytes()).into_owned());
    }
    page
}

/// Everything, page by page.
#[track_caller]
fn whole(house: &mut House, client: &Client) -> Page {
    let mut all = page_of(house, client, &asking(&[], ""));
    while !all.complete {
        let last = all.ids.last().expect("a page that is not the last is not empty").clone();
        let next = page_of(house, client, &asking(&[], &format!("<after>{last}</after>")));
        all.ids.extend(next.ids);
        all.messages.extend(next.messages);
        all.stamps.extend(next.stamps);
        all.complete = next.complete;
    }
    all
}

fn say(house: &mut House, from: &Client, to: &str, body: &str) {
    house.send(from, &format!("<message to='{to}' type='chat' id='{body}'><body>{body}</body></message>"));
}

fn stanza_id(stanza: &Stanza) -> Option<String> {
    let child = stanza.child_named("urn:xmpp:sid:0", "stanza-id")?;
    Some(stanza.child_el(child).attr("id")?.into_owned())
}
