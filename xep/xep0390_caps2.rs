//! XEP-0390: Entity Capabilities 2.0 - the same as XEP-0115, with a hash of which every part has its place.
//! Spec 0.3.2, https://xmpp.org/extensions/xep-0390.html. Not done: hash functions other than SHA-256 and SHA-512; queries for a
//! client are not answered in its stead (section 5.4, optional); caps are not taken from an iq before presence (5.5, optional).

use std::sync::OnceLock;

use iris_core::mount::Doors;
use iris_core::xml::{El, escape_attr, escape_text};
use iris_core::{At, Card, Mount, MountError, Room, Stanza, Status, When, ns};

use crate::xep0030_disco::INFO;
use crate::xep0115_caps::known::{Algo, Claim, Key, Method};

const NS: &str = "urn:xmpp:caps";
const HASHES: &str = "urn:xmpp:hashes:2";
const NODE: &str = "urn:xmpp:caps#";

pub const ROOM: Room = Room {
    card: Card {
        xep: Some(390),
        name: "Entity Capabilities 2.0",
        version: "0.3.2",
        status: Status::Partial,
        needs: &[30, 115],
    },
    mount,
};

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    m.feature(At::Host, NS);
    // Section 5.2.2. The doors are frozen when the first stream asks, so once is enough.
    let feature = OnceLock::new();
    m.stream_feature(When::Authenticated, move |doors| {
        let hash = || hash_of(doors, Algo::Sha256).unwrap_or_default();
        let write = || {
            let hash = hash();
            format!("<c xmlns='{NS}'><hash xmlns='{HASHES}' algo='sha-256'>{}</hash></c>", escape_text(&hash))
        };
        feature.get_or_init(write).clone()
    });
    Ok(())
}

/// Is this node what we announce (section 5.1.3)?
pub fn is_node_of(doors: &Doors, node: &str) -> bool {
    let announced = doors.features_at(At::Host).any(|feature| feature == NS);
    let Some((algo, hash)) = node.strip_prefix(NODE).and_then(|it| it.rsplit_once('.')) else { return false };
    announced && Algo::parse(algo).is_some_and(|algo| hash_of(doors, algo).is_some_and(|ours| ours == hash))
}

fn hash_of(doors: &Doors, algo: Algo) -> Option<String> {
    let mut xml = format!("<query xmlns='{INFO}'>");
    for (_, it) in doors.identities.iter().filter(|(at, _)| *at == At::Host) {
        let name = it.name.as_deref().map_or(String::new(), |name| format!(" name='{}'", escape_attr(name)));
        xml.push_str(&format!("<identity category='{}' type='{}'{name}/>", it.category, it.kind));
    }
    let mut features: Vec<&str> = doors.features_at(At::Host).collect();
    features.sort_unstable();
    features.dedup();
    for feature in features {
        xml.push_str(&format!("<feature var='{}'/>", escape_attr(feature)));
    }
    doors.forms.iter().filter(|(at, _)| *at == At::Host).for_each(|(_, form)| xml.push_str(form));
    xml.push_str("</query>");
    Some(algo.digest(&input(&El::parse(xml.as_bytes())?)?))
}

/// What a presence claims, the stronger hash first.
pub fn claims(stanza: &Stanza) -> Vec<Claim> {
    let Some(child) = stanza.child_named(NS, "c") else { return Vec::new() };
    let mut claims: Vec<Claim> = Vec::new();
    for hash in stanza.child_el(child).children().filter(|it| it.is(HASHES, "hash")).take(8) {
        // XEP-0300: SHA-1 is not to be used here.
        let Some(algo) = hash.attr("algo").and_then(|algo| Algo::parse(&algo)).filter(|algo| *algo != Algo::Sha1) else {
            continue;
        };
        let hash = hash.text().trim().to_owned();
        let node = format!("{NODE}{}.{hash}", algo.as_str());
        claims.push(Claim { key: Key { method: Method::Xep0390, algo, hash }, node });
    }
    claims.sort_by_key(|claim| claim.key.algo != Algo::Sha256);
    claims
}

/// Section 4.1: the input of the hash function. `None`: the text wants an error.
pub fn input(query: &El<'_>) -> Option<Vec<u8>> {
    let (mut features, mut identities, mut forms) = (Vec::new(), Vec::new(), Vec::new());
    for child in query.children() {
        if child.is(INFO, "feature") {
            features.push(unit(&child.attr("var").unwrap_or_default()));
        } else if child.is(INFO, "identity") {
            let mut one = Vec::new();
            for name in ["category", "type", "xml:lang", "name"] {
                one.extend(unit(&child.attr(name).unwrap_or_default()));
            }
            one.push(RECORD);
            identities.push(one);
        } else if child.is(ns::DATA_FORMS, "x") {
            forms.push(form(&child)?);
        } else {
            return None;
        }
    }
    let mut input = sorted(features);
    input.push(FILE);
    input.extend(sorted(identities));
    input.push(FILE);
    input.extend(sorted(forms));
    input.push(FILE);
    Some(input)
}

const UNIT: u8 = 0x1f;
const RECORD: u8 = 0x1e;
const GROUP: u8 = 0x1d;
const FILE: u8 = 0x1c;

fn form(form: &El<'_>) -> Option<Vec<u8>> {
    let mut fields = Vec::new();
    let mut has_type = false;
    for field in form.children() {
        match field.local() {
            "field" => {}
            "reported" | "item" => return None,
            _ => continue,
        }
        let var = field.attr("var").unwrap_or_default();
        has_type |= &*var == "FORM_TYPE";
        let values = field.children().filter(|it| it.is(ns::DATA_FORMS, "value")).map(|it| unit(&it.text())).collect();
        let mut one = unit(&var);
        one.extend(sorted(values));
        one.push(RECORD);
        fields.push(one);
    }
    let mut form = sorted(fields);
    form.push(GROUP);
    // XEP-0068: without FORM_TYPE nobody knows what the fields mean.
    has_type.then_some(form)
}

fn unit(text: &str) -> Vec<u8> {
    let mut unit = text.as_bytes().to_vec();
    unit.push(UNIT);
    unit
}

fn sorted(mut parts: Vec<Vec<u8>>) -> Vec<u8> {
    parts.sort_unstable();
    parts.concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ROOMS;
    use iris_engine::testing::House;

    /// Section 4.5.1, and the hash of the second example.
    #[test]
    fn s4_the_examples() {
        let simple = "<query xmlns='http://jabber.org/protocol/disco#info'>\
            <identity category='client' name='BombusMod' type='mobile'/><feature var='http://jabber.org/protocol/si'/>\
            <feature var='http://jabber.org/protocol/bytestreams'/><feature var='http://jabber.org/protocol/chatstates'/>\
            <feature var='http://jabber.org/protocol/disco#info'/><feature var='http://jabber.org/protocol/disco#items'/>\
            <feature var='urn:xmpp:ping'/><feature var='jabber:iq:time'/><feature var='jabber:iq:privacy'/>\
            <feature var='jabber:iq:version'/><feature var='http://jabber.org/protocol/rosterx'/><feature var='urn:xmpp:time'/>\
            <feature var='jabber:x:oob'/><feature var='http://jabber.org/protocol/ibb'/>\
            <feature var='http://jabber.org/protocol/si/profile/file-transfer'/><feature var='urn:xmpp:receipts'/>\
            <feature var='jabber:iq:roster'/><feature var='jabber:iq:last'/></query>";
        let input = input(&El::parse(simple.as_bytes()).expect("XML")).expect("an input");
        assert_eq!(Algo::Sha256.digest(&input), "kzBZbkqJ3ADrj7v08reD1qcWUwNGHaidNUgD7nHpiw8=");
    }

    #[test]
    fn s4_1_what_is_an_error() {
        let query = |inside: &str| {
            let xml = format!("<query xmlns='http://jabber.org/protocol/disco#info'>{inside}</query>");
            input(&El::parse(xml.as_bytes()).expect("XML"))
        };
        assert!(query("<feature var='a'/>").is_some());
        assert!(query("<feature var='a'/><else xmlns='x'/>").is_none());
        assert!(query("<x xmlns='jabber:x:data' type='result'><field var='a'><value>1</value></field></x>").is_none());
        let typed = "<field var='FORM_TYPE' type='hidden'><value>t</value></field>";
        assert!(query(&format!("<x xmlns='jabber:x:data' type='result'>{typed}</x>")).is_some());
        assert!(query(&format!("<x xmlns='jabber:x:data' type='result'>{typed}<reported/></x>")).is_none());
    }

    #[test]
    fn s5_the_stream_feature_stands_for_what_disco_says() {
        let mut house = House::with(ROOMS);
        let romeo = house.online("romeo@house/orchard");
        let doors = house.shards[0].hosts().get("house").expect("the domain").clone();
        let features = doors.stream_features(When::Authenticated);
        let at = features.find("<c xmlns='urn:xmpp:caps'").expect("caps among the features");
        let hash = El::parse(&features.as_bytes()[at..]).expect("XML").children().next().expect("a hash").text().into_owned();
        let ask = format!("<query xmlns='{INFO}' node='urn:xmpp:caps#sha-256.{hash}'/>");
        let answer = house.iq(&romeo, "get", Some("house"), &ask);
        let query = answer.child_el(&answer.children()[0]);
        assert_eq!(Algo::Sha256.digest(&input(&query).expect("an input")), hash);
        let old = format!("<query xmlns='{INFO}' node='urn:xmpp:caps#sha-256.AAAA'/>");
        assert!(house.iq(&romeo, "get", Some("house"), &old).as_str().contains("item-not-found"));
    }
}
