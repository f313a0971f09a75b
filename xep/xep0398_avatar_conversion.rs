//! XEP-0398: User Avatar to vCard-Based Avatars Conversion - one picture, for clients of XEP-0084 and of XEP-0153 alike.
//! Spec 1.0.1, https://xmpp.org/extensions/xep-0398.html. Not done: nothing. The picture lies in PEP only: a vCard that
//! is asked for gets it on its way out, for those who may read both nodes (section 6.2); a vCard that is published gives its picture
//! to PEP. Presence of the user's sessions carries the hash (section 5), and is shown anew when it changes.

use base64::Engine as _;
use bytes::Bytes;
use iris_core::effects::Effect;
use iris_core::store::{Item, OwnerId, Read, Rows, Shelf};
use iris_core::task::{Cx, Finish, TaskFuture};
use iris_core::xml::El;
use iris_core::{
    At, BareJid, Bounce, Card, Event, Flow, Jid, Mount, MountError, Room, StanzaType, StateSlot, Status, Step, Turn, hex,
};
use sha1::{Digest, Sha1};

use crate::xep0060_pubsub::serial_key;
use crate::xep0084_avatar::{DATA, METADATA};
use crate::xep0163_pep::{self as pep, Happened, PEP};

const NS: &str = "urn:xmpp:pep-vcard-conversion:0";
/// XEP-0153.
const UPDATE: &str = "vcard-temp:x:update";

pub const ROOM: Room = Room {
    card: Card {
        xep: Some(398),
        name: "User Avatar to vCard-Based Avatars Conversion",
        version: "1.0.1",
        status: Status::Complete,
        needs: &[54, 84, 153, 163],
    },
    mount,
};

pub const WATCHED: &[&str] = &[METADATA, DATA];

/// What presence says: the hash and the type of the picture, separated by a space; an empty hash: there was one once.
pub const SHELF: Shelf = Shelf::record("avatar");

/// `None`: there never was a picture.
static SHOWN: StateSlot<Option<Shown>> = StateSlot::new();

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shown {
    /// SHA-1 in hexadecimal digits; empty for none.
    pub hash: String,
    pub mime: String,
}

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    m.feature(At::Account, NS);
    m.shelf(SHELF)?;
    m.state(&SHOWN, &[SHELF], |items: &[Item]| items.first().and_then(|item| decode(&item.value)))?;
    m.on_event(Event::SessionBound, adopt);
    m.on(Step::PresenceOut, stamp);
    m.on(Step::PresenceDirected, stamp);
    Ok(())
}

/// What is on `SHELF`.
pub fn decode(value: &[u8]) -> Option<Shown> {
    let (hash, mime) = std::str::from_utf8(value).ok()?.split_once(' ')?;
    Some(Shown { hash: hash.to_owned(), mime: mime.to_owned() })
}

// --- section 5: presence ----------------------------------------------------------------------------------------------------

fn stamp(turn: &mut Turn<'_>) -> Flow {
    let shown = turn.state(&SHOWN).and_then(|shown| shown.clone());
    let Some(envelope) = turn.envelope.as_deref_mut() else { return Flow::Go };
    if envelope.stanza.stype() != StanzaType::Available {
        return Flow::Go;
    }
    let stanza = envelope.stanza.clone();
    let is_update = |child: &&iris_core::xml::Child| stanza.child_local(child) == "x" && stanza.child_ns(child) == UPDATE;
    let updates: Vec<usize> = (0..).zip(stanza.children()).filter(|(_, child)| is_update(child)).map(|(at, _)| at).collect();
    let photo = updates.first().and_then(|at| stanza.child_el(stanza.children().get(*at)?).child(UPDATE, "photo"));
    let hash = match (&shown, &photo) {
        // "No image to be advertised", says the client itself.
        (_, Some(photo)) if photo.text().trim().is_empty() => return Flow::Go,
        (Some(shown), Some(photo)) if photo.text().trim().eq_ignore_ascii_case(&shown.hash) => return Flow::Go,
        (Some(shown), _) => shown.hash.as_str(),
        // An `x` that says nothing is overwritten also when there is nothing to say.
        (None, None) if !updates.is_empty() => "",
        (None, _) => return Flow::Go,
    };
    updates.into_iter().for_each(|at| envelope.stamps.strip.add(at));
    let mut extra = envelope.stamps.extra.as_deref().unwrap_or_default().to_vec();
    let photo = if hash.is_empty() { "<photo/>".to_owned() } else { format!("<photo>{hash}</photo>") };
    extra.extend_from_slice(format!("<x xmlns='{UPDATE}'>{photo}</x>").as_bytes());
    envelope.stamps.extra = Some(extra.into());
    Flow::Go
}

fn show(turn: &mut Turn<'_>, shown: Shown) {
    let before = turn.state(&SHOWN).and_then(|shown| shown.clone());
    if before.as_ref() == Some(&shown) || (before.is_none() && shown.hash.is_empty()) {
        return;
    }
    turn.put(SHELF, "", format!("{} {}", shown.hash, shown.mime).into_bytes());
    if let Some(state) = turn.state(&SHOWN) {
        *state = Some(shown);
    }
    for session in turn.account.sessions().to_vec() {
        turn.fx.list.push(Effect::Present(session));
    }
}

// --- section 4.1: from PEP ----------------------------------------------------------------------------------------------------

/// Something was published or taken back at one of the two nodes.
pub fn happened(turn: &mut Turn<'_>, what: &Happened<'_>) {
    match what {
        // A picture is shown when its metadata come.
        Happened::Published { node, .. } if *node == DATA => {}
        Happened::Configured { .. } => {}
        _ => look(turn),
    }
}

/// Nodes that were brought along (XEP-0227): nobody has published them here.
fn adopt(turn: &mut Turn<'_>) {
    if turn.state(&SHOWN).is_some_and(|shown| shown.is_none()) && has_said(turn) {
        look(turn);
    }
}

fn look(turn: &mut Turn<'_>) {
    let account = turn.me().clone();
    turn.spawn(move |cx: Cx| -> TaskFuture {
        Box::pin(async move {
            // A store that does not answer: presence says what it said, until the next picture.
            let _ = look_at(&account, &cx).await;
            Finish::Done
        })
    });
}

/// From now on presence says what is at the nodes, however it came there. Done when this returns.
///
/// # Errors
/// The store or the account does not answer.
pub async fn look_at(account: &BareJid, cx: &Cx) -> Result<(), Bounce> {
    let found = cx.account(account.clone(), |turn| (turn.account.owner(), pep::last_serial(turn, METADATA)));
    let Some((owner, current)) = found.await? else { return Ok(()) };
    let metadata = item(owner, current, cx).await?;
    let mut shown = metadata.and_then(|metadata| announced(&metadata)).unwrap_or_default();
    let hash = shown.hash.clone();
    let serial = cx.account(account.clone(), move |turn| data_serial(turn, &hash)).await?.flatten();
    let data = item(owner, serial, cx).await?;
    if data.and_then(|data| image_of(&data)).is_none_or(|image| hash_of(&image) != shown.hash) {
        shown = Shown::default();
    }
    let told = cx.account(account.clone(), move |turn| {
        // Another one may have been published meanwhile, and has been looked at.
        if pep::last_serial(turn, METADATA) == current {
            show(turn, shown);
        }
    });
    told.await?;
    Ok(())
}

async fn item(owner: OwnerId, serial: Option<u64>, cx: &Cx) -> Result<Option<Bytes>, Bounce> {
    let Some(serial) = serial else { return Ok(None) };
    match cx.read(Read::Value { owner, shelf: pep::ITEMS, key: serial_key(serial).into() }).await? {
        Rows::Value(payload) => Ok(payload),
        _ => Ok(None),
    }
}

/// The `<info/>` that does not point elsewhere.
fn announced(metadata: &[u8]) -> Option<Shown> {
    let metadata = El::parse(metadata)?;
    let own = metadata.children().find(|it| it.is(METADATA, "info") && it.attr("url").is_none())?;
    let mime = own.attr("type").filter(|mime| is_mime(mime)).map_or("image/png".to_owned(), |mime| mime.into_owned());
    let shown = Shown { hash: own.attr("id")?.to_ascii_lowercase(), mime };
    (shown.hash.len() == 40 && shown.hash.bytes().all(|digit| digit.is_ascii_hexdigit())).then_some(shown)
}

fn data_serial(turn: &mut Turn<'_>, hash: &str) -> Option<u64> {
    let node = turn.state(&PEP)?.service.node(DATA)?;
    node.entries.iter().rfind(|entry| entry.id.eq_ignore_ascii_case(hash)).map(|entry| entry.serial)
}

/// For a vCard on its way to `who`: where the picture lies, and what it is.
pub fn photo_for(turn: &mut Turn<'_>, who: &Jid) -> Option<(String, String)> {
    let shown = turn.state(&SHOWN)?.clone().filter(|shown| !shown.hash.is_empty())?;
    let who = pep::asker(turn, who);
    let serial = data_serial(turn, &shown.hash)?;
    let service = &turn.state(&PEP)?.service;
    let may_read = |node: &str| service.node(node).is_some_and(|node| node.may_read(&who).is_ok());
    (may_read(METADATA) && may_read(DATA)).then(|| (serial_key(serial), shown.mime))
}

/// `<PHOTO/>` of the item that `photo_for` has named.
pub fn photo_xml(data: &[u8], mime: &str) -> Option<String> {
    let image = image_of(data)?;
    let image = base64::engine::general_purpose::STANDARD.encode(image);
    Some(format!("<PHOTO xmlns='vcard-temp'><TYPE>{mime}</TYPE><BINVAL>{image}</BINVAL></PHOTO>"))
}

// --- section 4.2: from a vCard ------------------------------------------------------------------------------------------------

/// Do the nodes say anything about pictures, if only that there is none?
pub fn has_said(turn: &mut Turn<'_>) -> bool {
    pep::last_serial(turn, METADATA).is_some()
}

/// A vCard with this picture was published; `None`: with none. `everybody`: a vCard is for everybody here.
pub fn publish(turn: &mut Turn<'_>, picture: Option<(Vec<u8>, Option<String>)>, everybody: bool) -> Result<(), Bounce> {
    let shown = turn.state(&SHOWN).and_then(|shown| shown.clone()).unwrap_or_default();
    let access = [("access_model", if everybody { "open" } else { "presence" })];
    let Some((image, mime)) = picture else {
        if !shown.hash.is_empty() {
            pep::publish(turn, METADATA, "none", format!("<metadata xmlns='{METADATA}'/>").into_bytes(), &access, false)?;
        }
        return Ok(());
    };
    let hash = hash_of(&image);
    if hash == shown.hash && data_serial(turn, &hash).is_some() {
        return Ok(());
    }
    let mime = mime.filter(|mime| is_mime(mime)).unwrap_or_else(|| sniff(&image).to_owned());
    let encoded = base64::engine::general_purpose::STANDARD.encode(&image);
    pep::publish(turn, DATA, &hash, format!("<data xmlns='{DATA}'>{encoded}</data>").into_bytes(), &access, true)?;
    let info = format!("<info bytes='{}' id='{hash}' type='{mime}'/>", image.len());
    pep::publish(turn, METADATA, &hash, format!("<metadata xmlns='{METADATA}'>{info}</metadata>").into_bytes(), &access, false)
}

pub fn hash_of(image: &[u8]) -> String {
    hex::write(&Sha1::digest(image))
}

/// The picture in a `<data/>`; line feeds do not matter.
fn image_of(data: &[u8]) -> Option<Vec<u8>> {
    let data = El::parse(data)?;
    if !data.is(DATA, "data") {
        return None;
    }
    image(&data.text())
}

/// Base64 with white space anywhere. `None`: that is none, or it is empty.
pub fn image(text: &str) -> Option<Vec<u8>> {
    let text: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    base64::engine::general_purpose::STANDARD.decode(text).ok().filter(|image| !image.is_empty())
}

/// A type that may stand in an attribute and in a vCard as it is.
fn is_mime(mime: &str) -> bool {
    let fine = |c: char| c.is_ascii_alphanumeric() || "/+-.".contains(c);
    mime.len() <= 64 && mime.starts_with("image/") && mime.chars().all(fine)
}

/// XEP-0084 4.2.1 needs a type, and some vCards have none.
fn sniff(image: &[u8]) -> &'static str {
    match image {
        [0xff, 0xd8, 0xff, ..] => "image/jpeg",
        [b'G', b'I', b'F', b'8', ..] => "image/gif",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "image/webp",
        _ => "image/png",
    }
}

#[cfg(test)]
mod tests;
