//! What a room says of itself (6.4, 6.5), which nickname is whose (7.12), and every other question to it.

use std::sync::Arc;

use iris_core::form::{Field, Form};
use iris_core::xml::{Build, El, Stanza};
use iris_core::{Bounce, Condition, HostTurn, Reply, StanzaType, ns};

use super::association::Affiliation;
use super::room::{Room, bare};
use super::{ADMIN, HATS, MAV, MODERATE, MUC, OCCUPANT_ID, OWNER, REGISTER, RETRACT, TOKENS, VCARD, bubble, hats, stanzas};
use crate::result;
use crate::xep0030_disco as disco;
use crate::xep0313_archive as mam;
use crate::xep0503_spaces as spaces;

pub const STABLE_ID: &str = "http://jabber.org/protocol/muc#stable_id";
const ROOM_INFO: &str = "http://jabber.org/protocol/muc#roominfo";
const SELF_PING: &str = "http://jabber.org/protocol/muc#self-ping-optimization";
const ROOM_USER_ITEM: &str = "x-roomuser-item";
const TRAFFIC: &str = "http://jabber.org/protocol/muc#traffic";
const PING: &str = "urn:xmpp:ping";

impl Room {
    pub fn hear_iq(&mut self, turn: &mut HostTurn<'_>, stanza: &Arc<Stanza>) -> Reply {
        let is_there = self.is_there_for(turn.from);
        if turn.to.resource().is_some() {
            // Also where there is no such room: "item-not-found" would tell a client that it is in it (XEP-0410 3.2).
            return self.relay_iq(turn, stanza);
        }
        let is_set = match stanza.stype() {
            StanzaType::Get => false,
            StanzaType::Set => true,
            _ => return Reply::Sent,
        };
        let [child] = stanza.children() else {
            return Bounce::bad_request("an iq of type get or set has exactly one child").into();
        };
        if !is_there {
            return Bounce::new(Condition::ItemNotFound).into();
        }
        let el = stanza.child_el(child);
        if let Some(claimed) = self.claim(turn, stanza, &el) {
            return claimed;
        }
        if is_set && self.is_closed_to(turn, &el) {
            return bubble::is_archived().into();
        }
        match (el.ns(), el.local(), is_set) {
            (disco::INFO, "query", false) => self.disco_info(turn, &el),
            (disco::ITEMS, "query", false) => self.disco_items(turn, &el),
            (ADMIN, "query", false) => self.admin_get(turn, &el),
            (ADMIN, "query", true) => self.admin_set(turn, &el),
            (OWNER, "query", false) => self.owner_get(turn),
            (OWNER, "query", true) => self.owner_set(turn, &el),
            ("jabber:iq:register", "query", false) => self.register_get(turn),
            ("jabber:iq:register", "query", true) => self.register_set(turn, &el),
            (PING, "ping", false) => Reply::empty(),
            (mam::NS, "query", false) => self.archive_form(turn),
            (mam::NS, "query", true) => self.archive_query(turn, &el),
            (mam::NS, "metadata", false) => self.archive_metadata(turn),
            (MODERATE, "moderate", true) => self.moderate(turn, &el),
            (hats::COMMANDS, "command", true) => self.hear_command(turn, &el),
            (TOKENS, "request", true) => self.token_request(turn, &el),
            (TOKENS, "tokens", false) => self.token_list(turn),
            (TOKENS, "revoke", true) => self.token_revoke(turn, &el),
            (VCARD, "vCard", false) => self.vcard_get(turn),
            (VCARD, "vCard", true) => self.vcard_set(turn, &el),
            _ => Bounce::nobody().into(),
        }
    }

    /// Feature 35: in an archived bubble nobody writes any more: neither what it is nor what was said in it. Who may read it, that one
    /// is no member any more, and its end are left. To those who have no business here it is what any room is.
    fn is_closed_to(&self, turn: &HostTurn<'_>, asked: &El<'_>) -> bool {
        let stays_open = match asked.ns() {
            mam::NS | ADMIN => true,
            OWNER => asked.child(OWNER, "destroy").is_some(),
            "jabber:iq:register" => asked.child(asked.ns(), "remove").is_some(),
            _ => false,
        };
        self.config.archived && !stays_open && self.affiliation_of(turn.from) >= Affiliation::Member
    }

    fn disco_info(&self, turn: &mut HostTurn<'_>, query: &El<'_>) -> Reply {
        match query.attr("node").as_deref().filter(|node| !node.is_empty()) {
            None => self.info(turn),
            Some(ROOM_USER_ITEM) => self.registered_nick(turn),
            // 17.1.1: nothing that is said by clients is kept back.
            Some(TRAFFIC) => Bounce::nobody().into(),
            Some(node) if hats::name_of(node).is_some() => hats::info(node),
            Some(_) => Bounce::new(Condition::ItemNotFound).into(),
        }
    }

    fn info(&self, turn: &HostTurn<'_>) -> Reply {
        let mut xml = Build::new();
        xml.open_ns("query", disco::INFO);
        let name =
            if self.config.name.is_empty() { turn.jid.node().map_or("", |node| node.as_str()) } else { &self.config.name };
        xml.open("identity").attr("category", "conference").attr("type", "text").attr("name", name).close();
        for feature in self.features() {
            xml.open("feature").attr("var", feature).close();
        }
        if !self.config.space.is_empty() {
            let parent = Field::text("parent", "Space parent").value(&self.config.space);
            xml.raw(Form::default().of_type(spaces::NS).field(parent).to_tell().as_bytes());
        }
        xml.raw(self.room_info(turn).to_tell().as_bytes()).close();
        result(xml)
    }

    /// 16.4: what the room does, and what it is.
    fn features(&self) -> Vec<&'static str> {
        let it = &self.config;
        let either = |is: bool, yes, no| if is { yes } else { no };
        let mut features = vec![
            disco::INFO,
            disco::ITEMS,
            MUC,
            "http://jabber.org/protocol/muc#roomconfig",
            ROOM_INFO,
            STABLE_ID,
            SELF_PING,
            OCCUPANT_ID,
            ns::STANZA_ID,
            PING,
            RETRACT,
            MODERATE,
            VCARD,
            HATS,
            hats::COMMANDS,
            TOKENS,
            MAV,
            either(it.public, "muc_public", "muc_hidden"),
            either(it.members_only, "muc_membersonly", "muc_open"),
            either(it.moderated, "muc_moderated", "muc_unmoderated"),
            either(it.non_anonymous, "muc_nonanonymous", "muc_semianonymous"),
            either(it.password.is_some(), "muc_passwordprotected", "muc_unsecured"),
            either(it.persistent, "muc_persistent", "muc_temporary"),
        ];
        if it.archive {
            let tombstone = "urn:xmpp:message-retract:1#tombstone";
            features.extend([mam::NS, "urn:xmpp:mam:2#extended", "urn:xmpp:fulltext:0", tombstone]);
        }
        if !it.space.is_empty() {
            features.push(spaces::NS);
        }
        if it.registration {
            features.extend([REGISTER, "jabber:iq:register"]);
        }
        features
    }

    /// 13.4: what is said inside is told outside only by a room that everybody may find and enter.
    fn room_info(&self, turn: &HostTurn<'_>) -> Form {
        let it = &self.config;
        let is_inside = self.speaker(turn).is_some() || self.affiliation_of(turn.from) >= Affiliation::Member;
        let is_open = self.is_open();
        let mut form = Form::default()
            .of_type(ROOM_INFO)
            .field(Field::text("muc#roominfo_description", "Description").value(&it.description))
            .field(Field::text("muc#roomconfig_roomname", "Name").value(&it.name))
            .field(Field::boolean("muc#roominfo_subjectmod", "Everybody with voice may change the subject", it.change_subject))
            .field(Field::boolean(
                "muc#roomconfig_changesubject",
                "Everybody with voice may change the subject",
                it.change_subject,
            ))
            // 6.4: "any field defined for the muc#roomconfig FORM_TYPE can be included": clients show by these what a member may do.
            .field(Field::text("muc#roomconfig_allowpm", "Who may send private messages").value(it.allow_pm.as_str()))
            .field(Field::text("muc#maxhistoryfetch", "Most messages shown").value(it.history_max.to_string()));
        // 5.1.1, 9.5: into an open room everybody who is in it invites.
        if it.members_only {
            form = form.field(Field::boolean("muc#roomconfig_allowinvites", "Members may invite others", it.allow_invites));
        }
        if !it.lang.is_empty() {
            form = form.field(Field::text("muc#roominfo_lang", "Language").value(&it.lang));
        }
        // XEP-0503 3.5: for those who know nothing of spaces.
        if let Some(node) = [&it.pubsub, &it.space].into_iter().find(|node| !node.is_empty()) {
            form = form.field(Field::text("muc#roominfo_pubsub", "Node").value(node));
        }
        if is_inside || is_open {
            let subject = self.subject.as_ref().and_then(|past| past.subject_text()).unwrap_or_default();
            form = form
                .field(Field::text("muc#roominfo_occupants", "Number of people").value(self.occupants.len().to_string()))
                .field(Field::text("muc#roominfo_subject", "Subject").value(subject));
        }
        if it.slow_mode > 0 {
            form = form.field(
                Field::text("muc#roominfo_slow_mode_duration", "Seconds between two messages").value(it.slow_mode.to_string()),
            );
        }
        if let Some(hash) = self.hats.hash() {
            form = form.field(Field::text("hats#hash", "Hats hash").value(hash));
        }
        if let Some(avatar) = &it.avatar {
            form = form.field(Field::lines("muc#roominfo_avatarhash", "Avatar hash").values(avatar.split(' ')));
        }
        // XEP-0502 4: of a room that is found and entered by everybody.
        if is_open
            && it.persistent
            && let Some(rate) = self.activity.rate(turn.now.wall_us)
        {
            let field = Field::text("{urn:xmpp:muc-activity}message-activity", "Messages per hour");
            form = form.field(field.value(format!("{rate:.2}")));
        }
        if it.archived && is_inside {
            form = form.field(Field::boolean("{urn:iris:bubbles}archived", "Nobody writes any more", true));
        }
        if it.non_anonymous && is_inside {
            let owners = self.affiliations.having(Affiliation::Owner).map(|(jid, _)| jid.to_string());
            form = form.field(Field::jids("muc#roominfo_contactjid", "Contact").values(owners));
        }
        form
    }

    /// 7.12.
    fn registered_nick(&self, turn: &HostTurn<'_>) -> Reply {
        let mut xml = Build::new();
        xml.open_ns("query", disco::INFO).attr("node", ROOM_USER_ITEM);
        if let Some(nick) = self.affiliations.nick_of(bare(turn.from)) {
            xml.open("identity").attr("category", "conference").attr("type", "text").attr("name", nick).close();
        }
        xml.close();
        Reply::Result(stanzas::text(xml))
    }

    /// Whoever wants to may find it and come in.
    fn is_open(&self) -> bool {
        self.config.public && !self.config.members_only && self.config.password.is_none()
    }

    /// 6.5: those who are here see each other anyway; others are told by a room that they could enter as well.
    fn disco_items(&self, turn: &HostTurn<'_>, query: &El<'_>) -> Reply {
        let mut xml = Build::new();
        match query.attr("node").as_deref() {
            None | Some("") => xml.open_ns("query", disco::ITEMS),
            // XEP-0050 2.2.
            Some(hats::COMMANDS) => {
                xml.open_ns("query", disco::ITEMS).attr("node", hats::COMMANDS);
                for (node, name, changes) in hats::NODES {
                    if !changes || self.affiliation_of(turn.from) >= Affiliation::Admin {
                        xml.open("item").attr("jid", turn.jid.as_str()).attr("node", node).attr("name", name).close();
                    }
                }
                xml.close();
                return result(xml);
            }
            Some(_) => return Bounce::new(Condition::ItemNotFound).into(),
        };
        if self.speaker(turn).is_some() || self.is_open() {
            for occupant in self.occupants.iter().filter(|it| self.config.presence_broadcast.has(it.role)) {
                xml.open("item").attr("jid", occupant.jid.as_str()).close();
            }
        }
        xml.close();
        result(xml)
    }
}
