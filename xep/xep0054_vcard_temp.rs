//! XEP-0054: vcard-temp - a card about oneself, for everybody who asks.
//! Spec 1.3.0, https://xmpp.org/extensions/xep-0054.html. Not done: nothing. Setting somebody else's card is answered as
//! everything that nobody serves (`service-unavailable`), not `forbidden`, which would tell that the account exists.
//!
//! A picture lies in PEP (XEP-0398) and comes into the card on its way out; the card itself is in step with XEP-0292.

use bytes::Bytes;
use iris_core::conversation::MailAddresses;
use iris_core::mount::Doors;
use iris_core::store::{Read, Rows, Shelf};
use iris_core::task::{Cx, Finish, TaskFuture};
use iris_core::xml::{Build, El};
use iris_core::{At, Bounce, Card, Condition, GetOrSet, Mount, MountError, Relation, Reply, Room, Status, Turn};
use serde::Deserialize;

use crate::xep0055_search as search;
use crate::xep0163_pep::ITEMS;
use crate::xep0292_vcard4 as vcard4;
use crate::xep0398_avatar_conversion as avatar;

const NS: &str = "vcard-temp";
pub(crate) const EMPTY: &str = "<vCard xmlns='vcard-temp'/>";

pub const ROOM: Room =
    Room { card: Card { xep: Some(54), name: "vcard-temp", version: "1.3.0", status: Status::Complete, needs: &[30] }, mount };

#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    visible_to: Audience,
    size_bytes_max: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Audience {
    Everybody,
    Contacts,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { visible_to: Audience::Everybody, size_bytes_max: 128 * 1024 }
    }
}

impl iris_core::mount::Settings for Settings {
    const TABLE: &'static str = "vcard";
    const REFERENCE: &'static str = "\
# Who may read a card that somebody has published: \"everybody\" (XEP-0054 section 5) or \"contacts\" who see the presence.
visible_to = \"everybody\"
# The largest card, in bytes; most of it is the picture.
size_bytes_max = 131072
";
}

/// A card is large and rarely asked for: it is read when somebody does, and not kept in memory.
pub(crate) const SHELF: Shelf = Shelf::record("vcard");

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    let settings: Settings = m.config()?;
    m.feature(At::Host, NS);
    m.feature(At::Account, NS);
    m.shelf(SHELF)?;
    m.mail_addresses(MailAddresses { shelf: SHELF, of: mail_addresses });
    m.rules(settings.clone());
    let visible_to = settings.visible_to;
    m.iq_named(At::Account, GetOrSet::Get, NS, "vCard", move |turn, _| get(turn, visible_to))?;
    m.iq_named(At::OwnAccount, GetOrSet::Set, NS, "vCard", move |turn, card| set(turn, &card, &settings))
}

fn get(turn: &mut Turn<'_>, visible_to: Audience) -> Reply {
    let relation = turn.caller().map_or(Relation::Stranger, |caller| caller.relation);
    if visible_to == Audience::Contacts && !relation.sees_us() {
        return Bounce::nobody().into();
    }
    let Some(who) = turn.caller().map(|caller| caller.jid) else { return Bounce::nobody().into() };
    if !vcard4::may_read(turn, &who) {
        return Bounce::nobody().into();
    }
    let photo = avatar::photo_for(turn, &who);
    // Section 3.1 lets one's own card be empty when there is none, and clients that are about to write one count on that;
    // section 3.3 for others: "no card" and "no such user" are the same answer.
    let own = relation == Relation::Own;
    let owner = turn.account.owner();
    Reply::Task(Box::new(move |cx: Cx| -> TaskFuture {
        Box::pin(async move {
            let card = match cx.read(Read::Value { owner, shelf: SHELF, key: "".into() }).await {
                Ok(Rows::Value(card)) => card.map(|card| String::from_utf8_lossy(&card).into_owned()),
                Ok(_) => None,
                Err(error) => return Finish::Error(error.into()),
            };
            let picture = match photo {
                None => None,
                Some((key, mime)) => match cx.read(Read::Value { owner, shelf: ITEMS, key: key.into() }).await {
                    Ok(Rows::Value(Some(data))) => avatar::photo_xml(&data, &mime),
                    _ => None,
                },
            };
            let result = match (card, picture) {
                (Some(card), None) => card,
                (card, Some(picture)) => with_photo(&card.unwrap_or_else(|| EMPTY.to_owned()), &picture),
                (None, None) if own => EMPTY.to_owned(),
                (None, None) => return Finish::Error(Bounce::nobody()),
            };
            Finish::Answer { before: Vec::new(), result }
        })
    }))
}

/// In the order of the card.
fn mail_addresses(card: &Bytes) -> Vec<String> {
    let Some(card) = El::parse(card) else { return Vec::new() };
    let mails = card.children().filter(|child| child.is(NS, "EMAIL"));
    mails.filter_map(|mail| mail.child(NS, "USERID")).map(|address| address.text().trim().to_owned()).collect()
}

fn set(turn: &mut Turn<'_>, card: &El<'_>, settings: &Settings) -> Reply {
    let closed = card.closed().into_owned();
    if closed.len() > settings.size_bytes_max {
        let why = format!("a vCard has at most {} bytes", settings.size_bytes_max);
        return Bounce::new(Condition::NotAcceptable).text(why).into();
    }
    let everybody = settings.visible_to == Audience::Everybody;
    let (kept, published) = match photo(card) {
        Photo::Image(image, mime) => (without_photo(card), avatar::publish(turn, Some((image, mime)), everybody)),
        Photo::None => (closed, avatar::publish(turn, None, everybody)),
        Photo::Elsewhere => (closed, Ok(())),
    };
    if let Err(why) = published.and_then(|()| vcard4::publish(turn, card, everybody)) {
        return why.into();
    }
    keep(turn, kept);
    Reply::empty()
}

/// The account's card is this one from now on: a complete element; a picture is not given to XEP-0398.
pub fn keep(turn: &mut Turn<'_>, card: Vec<u8>) {
    search::card_changed(turn, Some(&card));
    turn.put(SHELF, "", card);
}

/// XEP-0227: this card was brought along, and maybe what lies on the nodes of XEP-0084 and XEP-0292. What is missing there is made
/// of the card; what is there has been published since.
pub fn adopt(turn: &mut Turn<'_>, card: Vec<u8>) {
    let Some(el) = El::parse(&card) else { return };
    let everybody = are_for_everybody(turn.doors);
    let picture_moves = match photo(&el) {
        Photo::Image(..) if avatar::has_said(turn) => true,
        // One that is too large for an item stays in the card.
        Photo::Image(image, mime) => avatar::publish(turn, Some((image, mime)), everybody).is_ok(),
        Photo::None | Photo::Elsewhere => false,
    };
    if !vcard4::is_there(turn) {
        // It does not fit: clients that know only the new card see none.
        let _ = vcard4::publish(turn, &el, everybody);
    }
    let kept = if picture_moves { without_photo(&el) } else { card.clone() };
    keep(turn, kept);
}

/// Whatever its owner says of the card, does the operator show cards to everybody?
pub fn are_for_everybody(doors: &Doors) -> bool {
    doors.rules::<Settings>().is_some_and(|settings| settings.visible_to == Audience::Everybody)
}

/// The card of an account, if it has one.
pub async fn read(cx: &Cx, owner: iris_core::store::OwnerId) -> Result<Option<Vec<u8>>, Bounce> {
    match cx.read(Read::Value { owner, shelf: SHELF, key: "".into() }).await? {
        Rows::Value(card) => Ok(card.map(|card| card.to_vec())),
        _ => Err(Bounce::new(Condition::InternalServerError)),
    }
}

/// XEP-0292: the other card was published, or is no more.
pub fn replace(turn: &mut Turn<'_>, card: Option<Vec<u8>>) {
    match card {
        Some(card) => keep(turn, card),
        None => {
            search::card_changed(turn, None);
            turn.delete(SHELF, "");
        }
    }
}

enum Photo {
    /// Bytes, and their type as the card has it.
    Image(Vec<u8>, Option<String>),
    None,
    /// An address, or nothing that is a picture: it stays in the card.
    Elsewhere,
}

fn photo(card: &El<'_>) -> Photo {
    let Some(photo) = card.child(NS, "PHOTO") else { return Photo::None };
    let text = |name: &str| photo.child(NS, name).map(|it| it.text().trim().to_owned());
    match text("BINVAL").as_deref().map(avatar::image) {
        Some(Some(image)) => Photo::Image(image, text("TYPE").filter(|mime| !mime.is_empty())),
        // XEP-0153 4.3: an empty one takes the picture away.
        Some(None) if text("BINVAL").is_some_and(|it| it.is_empty()) => Photo::None,
        None if photo.children().next().is_none() => Photo::None,
        _ => Photo::Elsewhere,
    }
}

/// The card with everything but its picture.
fn without_photo(card: &El<'_>) -> Vec<u8> {
    let mut xml = Build::new();
    xml.open_ns("vCard", NS);
    for (name, value) in card.attrs().filter(|(name, _)| !name.contains(':')) {
        xml.attr(name, &value);
    }
    for child in card.children().filter(|child| !child.is(NS, "PHOTO")) {
        let child = String::from_utf8_lossy(&child.closed()).into_owned();
        // What stands in the card needs no declaration of its own.
        xml.raw(child.replacen(" xmlns='vcard-temp'", "", 1).as_bytes());
    }
    xml.finish()
}

/// The card with this picture and no other.
pub(crate) fn with_photo(card: &str, picture: &str) -> String {
    let bare = match El::parse(card.as_bytes()) {
        Some(el) if el.child(NS, "PHOTO").is_some() => String::from_utf8_lossy(&without_photo(&el)).into_owned(),
        _ => card.to_owned(),
    };
    if let Some(open) = bare.strip_suffix("/>") {
        let name = open.trim_start_matches('<').split([' ', '\t', '\n', '\r']).next().unwrap_or("vCard");
        return format!("{open}>{picture}</{name}>");
    }
    let end = bare.rfind("</").unwrap_or(bare.len());
    let (inside, end) = bare.split_at(end);
    format!("{inside}{picture}{end}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::EMPTY;
    use crate::ROOMS;
    use crate::testing::anonymous;
    use iris_engine::testing::House;

    const ASK: &str = "<vCard xmlns='vcard-temp'/>";
    const CARD: &str = "<vCard xmlns='vcard-temp'><FN>Juliet Capulet</FN><N><GIVEN>Juliet</GIVEN><MIDDLE/></N></vCard>";

    #[test]
    fn s3_1_and_s3_2_one_publishes_and_reads_ones_own_card() {
        let mut house = House::with(ROOMS);
        let juliet = house.login("juliet@house/balcony");
        assert!(house.iq(&juliet, "get", None, ASK).as_str().contains(EMPTY));
        assert!(house.iq(&juliet, "set", None, CARD).children().is_empty());
        assert!(house.iq(&juliet, "get", None, ASK).as_str().contains(CARD));
        assert!(house.iq(&juliet, "get", Some("juliet@house"), ASK).as_str().contains(CARD));
        house.iq(&juliet, "set", None, ASK);
        assert!(house.iq(&juliet, "get", None, ASK).as_str().contains(EMPTY));
    }

    #[test]
    fn s3_3_anybody_reads_it_also_while_its_owner_sleeps() {
        let mut house = House::with(ROOMS);
        let juliet = house.login("juliet@house/balcony");
        house.iq(&juliet, "set", None, CARD);
        let mut house = house.restart(ROOMS, Duration::from_secs(60));
        let romeo = house.online("romeo@house/orchard");
        let answer = house.iq(&romeo, "get", Some("juliet@house"), ASK);
        assert!(answer.as_str().contains(CARD) && answer.from().as_deref() == Some("juliet@house"), "{}", answer.as_str());
    }

    #[test]
    fn s3_3_no_card_and_nobody_are_the_same_answer() {
        let mut house = House::with(ROOMS);
        house.friends("romeo@house", "juliet@house");
        house.user("nurse@house");
        let romeo = house.online("romeo@house/orchard");
        let none = anonymous(&house.iq(&romeo, "get", Some("juliet@house"), ASK));
        assert!(none.contains("service-unavailable"), "{none}");
        assert_eq!(none, anonymous(&house.iq(&romeo, "get", Some("nurse@house"), ASK)));
        assert_eq!(none, anonymous(&house.iq(&romeo, "get", Some("nobody@house"), ASK)));
    }

    #[test]
    fn b10_visible_to_contacts_only_when_the_house_wants_it() {
        let mut house = House::with_config(ROOMS, "[xep.vcard]\nvisible_to = \"contacts\"\n");
        house.friends("romeo@house", "juliet@house");
        let juliet = house.login("juliet@house/balcony");
        house.iq(&juliet, "set", None, CARD);
        let romeo = house.online("romeo@house/orchard");
        assert!(house.iq(&romeo, "get", Some("juliet@house"), ASK).as_str().contains(CARD));
        let mallory = house.online("mallory@house/x");
        let known = anonymous(&house.iq(&mallory, "get", Some("juliet@house"), ASK));
        assert_eq!(known, anonymous(&house.iq(&mallory, "get", Some("nobody@house"), ASK)));
    }

    #[test]
    fn a_card_has_a_largest_size() {
        let mut house = House::with_config(ROOMS, "[xep.vcard]\nsize_bytes_max = 100\n");
        let juliet = house.login("juliet@house/balcony");
        let long = format!("<vCard xmlns='vcard-temp'><DESC>{}</DESC></vCard>", "x".repeat(100));
        assert!(house.iq(&juliet, "set", None, &long).as_str().contains("not-acceptable"));
        assert!(house.iq(&juliet, "get", None, ASK).as_str().contains(EMPTY));
    }

    #[test]
    fn s3_2_not_applicable_to_somebody_elses_card() {
        let mut house = House::with(ROOMS);
        house.friends("romeo@house", "juliet@house");
        let romeo = house.online("romeo@house/orchard");
        assert!(house.iq(&romeo, "set", Some("juliet@house"), CARD).as_str().contains("service-unavailable"));
        let juliet = house.login("juliet@house/balcony");
        assert!(house.iq(&juliet, "get", None, ASK).as_str().contains(EMPTY));
    }
}
