//! XEP-0292: vCard4 Over XMPP - the card of XEP-0054, in the format of today.
//! Spec 0.12.0, https://xmpp.org/extensions/xep-0292.html. Not done: contact vCards (section 4), which are a client's; pictures,
//! logos, sounds and agents are not mapped (pictures are XEP-0398's).
//!
//! Whichever of the two cards is published, the other one is made of it (`mapping`). Whoever may not read the vCard4 does not
//! read the old card either.

mod mapping;

use iris_core::xml::El;
use iris_core::{At, Bounce, Card, Jid, Mount, MountError, Room, Status, Turn};

use crate::xep0054_vcard_temp as vcard_temp;
use crate::xep0055_search as search;
use crate::xep0060_pubsub::Access;
use crate::xep0163_pep::{self as pep, Happened, PEP};

pub const NS: &str = "urn:ietf:params:xml:ns:vcard-4.0";
pub const NODE: &str = "urn:xmpp:vcard4";

pub const ROOM: Room = Room {
    card: Card { xep: Some(292), name: "vCard4 Over XMPP", version: "0.12.0", status: Status::Partial, needs: &[54, 163] },
    mount,
};

pub const WATCHED: &[&str] = &[NODE];

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    m.feature(At::Account, NS);
    Ok(())
}

/// The vCard4 was published, is no more, or others may read it.
pub fn happened(turn: &mut Turn<'_>, what: &Happened<'_>) {
    match what {
        Happened::Published { payload, .. } => published(turn, payload),
        // The old card may say more than what it is made of: it stays as long as the new one does.
        Happened::Retracted { was_last: false, .. } => {}
        Happened::Retracted { .. } | Happened::Emptied { .. } => look(turn),
        Happened::Configured { .. } => search::look(turn),
    }
}

/// From now on the old card is what the last item says, if there is one.
fn look(turn: &mut Turn<'_>) {
    pep::with_last(turn, NODE, |turn, card| match card {
        Some(card) => published(turn, &card),
        None => vcard_temp::replace(turn, None),
    });
}

/// The old card is made of this one.
pub fn published(turn: &mut Turn<'_>, payload: &[u8]) {
    if let Some(card) = El::parse(payload).filter(|card| card.is(NS, "vcard")) {
        vcard_temp::replace(turn, Some(mapping::to_temp(&card)));
    }
}

/// There is one.
pub fn is_there(turn: &mut Turn<'_>) -> bool {
    pep::last_serial(turn, NODE).is_some()
}

/// The old card was published. `everybody`: cards are for everybody here.
pub fn publish(turn: &mut Turn<'_>, card: &El<'_>, everybody: bool) -> Result<(), Bounce> {
    let access = [("access_model", if everybody { "open" } else { "presence" })];
    pep::publish(turn, NODE, "current", mapping::from_temp(card), &access, true)
}

/// May everybody read the card, as far as the vCard4's node says?
pub fn is_open(turn: &mut Turn<'_>) -> bool {
    let node = turn.state(&PEP).and_then(|pep| pep.service.node(NODE));
    node.is_none_or(|node| node.config.access == Access::Open)
}

/// May `who` read the card, as far as the vCard4's node says?
pub fn may_read(turn: &mut Turn<'_>, who: &Jid) -> bool {
    let who = pep::asker(turn, who);
    let node = turn.state(&PEP).and_then(|pep| pep.service.node(NODE));
    node.is_none_or(|node| node.may_read(&who).is_ok())
}

#[cfg(test)]
mod tests {
    use crate::xep0163_pep::tests::*;

    const TEMP: &str = "<vCard xmlns='vcard-temp'><FN>Juliet</FN><N><FAMILY>Capulet</FAMILY><GIVEN>Juliet</GIVEN></N>\
        <NICKNAME>j</NICKNAME><BDAY>1476-06-09</BDAY><EMAIL><HOME/><USERID>juliet@capulet.lit</USERID></EMAIL>\
        <TEL><WORK/><VOICE/><NUMBER>303-308-3282</NUMBER></TEL><JABBERID>juliet@house</JABBERID><URL>http://capulet.lit/</URL>\
        <ORG><ORGNAME>Capulets</ORGNAME><ORGUNIT>Daughters</ORGUNIT></ORG><DESC>A &lt;rose&gt;</DESC></vCard>";

    #[test]
    fn s8_the_old_card_is_also_a_new_one() {
        let mut house = house();
        house.friends("romeo@house", "juliet@house");
        let juliet = house.login("juliet@house/balcony");
        let romeo = house.login("romeo@house/orchard");
        wants(&mut house, &romeo, &["urn:xmpp:vcard4"]);
        ok(&house.iq(&juliet, "set", None, TEMP));
        let told = events(&house.recv(&romeo)).concat();
        for part in [
            "<fn><text>Juliet</text></fn>",
            "<n><surname>Capulet</surname><given>Juliet</given></n>",
            "<bday><date>1476-06-09</date></bday>",
            "<email><parameters><type><text>home</text></type></parameters><text>juliet@capulet.lit</text></email>",
            "<tel><parameters><type><text>work</text><text>voice</text></type></parameters><uri>tel:303-308-3282</uri></tel>",
            "<impp><uri>xmpp:juliet@house</uri></impp>",
            "<url><uri>http://capulet.lit/</uri></url>",
            "<org><text>Capulets</text><text>Daughters</text></org>",
            "<note><text>A &lt;rose&gt;</text></note>",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
        // Nothing was lost on the way of the old one.
        assert!(house.iq(&juliet, "get", None, "<vCard xmlns='vcard-temp'/>").as_str().contains(TEMP));
    }

    #[test]
    fn s8_the_new_card_is_also_an_old_one() {
        let mut house = house();
        house.friends("romeo@house", "juliet@house");
        let juliet = house.login("juliet@house/balcony");
        let romeo = house.online("romeo@house/orchard");
        let mallory = house.online("mallory@house/x");
        let card = "<vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'><fn><text>Juliet</text></fn>\
            <n><surname>Capulet</surname><given>Juliet</given><additional>M</additional></n><nickname><text>j</text></nickname>\
            <tel><parameters><type><text>cell</text></type></parameters><uri>tel:+1-720</uri></tel>\
            <adr><parameters><type><text>home</text></type></parameters><street>Via</street><locality>Verona</locality><code>1</code><country>Italy</country></adr>\
            <geo><uri>geo:39.59,-105.01</uri></geo><note><text>N</text></note><impp><uri>xmpp:juliet@house</uri></impp></vcard>";
        ok(&publish(&mut house, &juliet, "urn:xmpp:vcard4", "current", card));
        let temp = house.iq(&romeo, "get", Some("juliet@house"), "<vCard xmlns='vcard-temp'/>").as_str().to_owned();
        for part in [
            "<FN>Juliet</FN>",
            "<N><FAMILY>Capulet</FAMILY><GIVEN>Juliet</GIVEN><MIDDLE>M</MIDDLE></N>",
            "<TEL><CELL/><NUMBER>+1-720</NUMBER></TEL>",
            "<ADR><HOME/><STREET>Via</STREET><LOCALITY>Verona</LOCALITY><PCODE>1</PCODE><CTRY>Italy</CTRY></ADR>",
            "<GEO><LAT>39.59</LAT><LON>-105.01</LON></GEO>",
            "<NOTE>N</NOTE>",
            "<JABBERID>juliet@house</JABBERID>",
        ] {
            assert!(temp.contains(part), "{part}: {temp}");
        }
        // The node is for contacts, so the old card is as well.
        let answer = house.iq(&mallory, "get", Some("juliet@house"), "<vCard xmlns='vcard-temp'/>");
        assert!(answer.as_str().contains("service-unavailable"), "{}", answer.as_str());
        ok(&own(&mut house, &juliet, "set", "<delete node='urn:xmpp:vcard4'/>"));
        let answer = house.iq(&romeo, "get", Some("juliet@house"), "<vCard xmlns='vcard-temp'/>");
        assert!(answer.as_str().contains("service-unavailable"), "{}", answer.as_str());
    }

    /// Section 8, and XEP-0398's way of it: what counts is what the node holds.
    #[test]
    fn s8_taking_back_one_of_two_cards_leaves_the_other_one_in_step() {
        let mut house = house();
        let juliet = house.login("juliet@house/balcony");
        let card = |name: &str| format!("<vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'><fn><text>{name}</text></fn></vcard>");
        ok(&publish(&mut house, &juliet, "urn:xmpp:vcard4", "current", &card("One")));
        ok(&configure(&mut house, &juliet, "urn:xmpp:vcard4", &[("max_items", "5")]));
        // The old card says more than the new one can.
        ok(&house.iq(&juliet, "set", None, "<vCard xmlns='vcard-temp'><FN>Two</FN><MAILER>exodus</MAILER></vCard>"));
        for (id, name) in [("a", "Three"), ("b", "Four")] {
            ok(&publish(&mut house, &juliet, "urn:xmpp:vcard4", id, &card(name)));
        }
        let retract = |id: &str| format!("<retract node='urn:xmpp:vcard4'><item id='{id}'/></retract>");
        let old = |house: &mut iris_engine::testing::House| {
            house.iq(&juliet, "get", None, "<vCard xmlns='vcard-temp'/>").as_str().to_owned()
        };
        ok(&ask(&mut house, &juliet, "set", None, &retract("a")));
        assert!(old(&mut house).contains("<FN>Four</FN>"), "{}", old(&mut house));
        ok(&ask(&mut house, &juliet, "set", None, &retract("b")));
        assert!(old(&mut house).contains("<FN>Two</FN>"), "{}", old(&mut house));
        ok(&house.iq(&juliet, "set", None, "<vCard xmlns='vcard-temp'><FN>Two</FN><MAILER>exodus</MAILER></vCard>"));
        ok(&publish(&mut house, &juliet, "urn:xmpp:vcard4", "z", &card("Five")));
        ok(&house.iq(&juliet, "set", None, "<vCard xmlns='vcard-temp'><FN>Six</FN><MAILER>exodus</MAILER></vCard>"));
        ok(&ask(&mut house, &juliet, "set", None, &retract("z")));
        assert!(old(&mut house).contains("<MAILER>exodus</MAILER>"), "{}", old(&mut house));
        ok(&ask(&mut house, &juliet, "set", None, &retract("current")));
        assert!(!old(&mut house).contains("<FN>"), "{}", old(&mut house));
    }
}
