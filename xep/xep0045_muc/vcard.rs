//! The room's vCard and, in it, its picture (XEP-0054 by XEP-0486). Not read until somebody asks; its hash stands in the configuration.

use std::sync::Arc;

use base64::Engine;
use bytes::Bytes;
use iris_core::store::{Read, Rows, Shelf};
use iris_core::xml::{Build, El, Stamps, Stanza};
use iris_core::{Bounce, Changed, Condition, Finish, HostTurn, Reply, hex};
use sha1::{Digest, Sha1};

use super::association::Affiliation;
use super::room::{ROOM, Room};
use super::{VCARD, stanzas};

pub const CARD: Shelf = Shelf::record("muc-vcard");
const CARD_BYTES_MAX: usize = 128 * 1024;
/// XEP-0153.
const UPDATE: &str = "vcard-temp:x:update";
/// Formats of one picture.
const PHOTOS_MAX: usize = 10;

impl Room {
    pub fn vcard_get(&self, turn: &HostTurn<'_>) -> Reply {
        let read = Read::Value { owner: turn.owner, shelf: CARD, key: "".into() };
        Reply::Task(Box::new(move |cx| {
            Box::pin(async move {
                match cx.read(read).await {
                    Ok(Rows::Value(Some(card))) => {
                        Finish::Answer { before: Vec::new(), result: String::from_utf8_lossy(&card).into_owned() }
                    }
                    Ok(_) => Finish::Error(Bounce::new(Condition::ItemNotFound)),
                    Err(why) => Finish::Error(why.into()),
                }
            })
        }))
    }

    /// XEP-0486 3.2.
    pub fn vcard_set(&mut self, turn: &mut HostTurn<'_>, card: &El<'_>) -> Reply {
        if self.affiliation_of(turn.from) < Affiliation::Owner {
            return Bounce::new(Condition::Forbidden).text("only owners set the picture of a room").into();
        }
        let closed = card.closed();
        if closed.len() > CARD_BYTES_MAX {
            let what = format!("the vCard of a room has at most {CARD_BYTES_MAX} bytes");
            return Bounce::over(what, Changed::ByNobody("take a smaller picture")).into();
        }
        let hash = match avatar_hash(card) {
            Ok(hash) => hash,
            Err(why) => return why.into(),
        };
        if card.children().next().is_none() {
            turn.delete(CARD, "");
        } else {
            turn.put(CARD, "", Bytes::copy_from_slice(&closed));
        }
        let is_new = self.config.avatar != hash;
        self.config.avatar = hash;
        if self.is_kept() {
            turn.put(ROOM, "", self.config.encode());
        }
        self.tell_all(turn, &stanzas::codes_x(&[104]));
        if let Some(presence) = is_new.then(|| self.picture(turn)).flatten() {
            turn.fan_out_stamped(turn.jid.clone(), presence, Stamps::default(), self.occupants.everybody());
        }
        Reply::empty()
    }

    /// To one who comes in, if there is a picture.
    pub fn show_picture(&self, turn: &mut HostTurn<'_>) {
        if let Some(presence) = self.config.avatar.as_ref().and_then(|_| self.picture(turn)) {
            turn.send_stanza(turn.from.clone(), presence);
        }
    }

    /// XEP-0486 4.2: a presence of the room itself. The text does not encourage it; Monal, Movim and Cheogram know of a
    /// picture by nothing else. Of several formats the first.
    fn picture(&self, turn: &HostTurn<'_>) -> Option<Arc<Stanza>> {
        let hash = self.config.avatar.as_deref().and_then(|hashes| hashes.split(' ').next());
        let mut xml = Build::new();
        xml.open("presence").open_ns("x", UPDATE);
        match hash {
            Some(hash) => xml.leaf("photo", hash),
            None => xml.open("photo").close(),
        };
        xml.close().close();
        stanzas::made(turn, &stanzas::text(xml))
    }
}

/// XEP-0153: SHA-1 of the picture's bytes; of several (4.1: the same one in several formats) all, with spaces between.
fn avatar_hash(card: &El<'_>) -> Result<Option<String>, Bounce> {
    let photos = card.children().filter(|it| it.is(VCARD, "PHOTO"));
    let mut hashes = Vec::new();
    for photo in photos.filter_map(|photo| photo.child(VCARD, "BINVAL")).take(PHOTOS_MAX) {
        let text: String = photo.text().split_whitespace().collect();
        if text.is_empty() {
            continue;
        }
        let bytes = base64::engine::general_purpose::STANDARD.decode(text);
        let bytes = bytes.map_err(|_| Bounce::bad_request("the picture is not base64"))?;
        hashes.push(hex::write(&Sha1::digest(&bytes)));
    }
    Ok((!hashes.is_empty()).then(|| hashes.join(" ")))
}
