//! XEP-0077: In-Band Registration - an account is made, gets another password, and is removed, by its user.
//! Spec 2.4, https://xmpp.org/extensions/xep-0077.html. Not done: forms that ask for more (section 4), redirection (section 5).
//!
//! What comes before authentication is spoken by the engine (`negotiate/register.rs`); here is who answers it (`registrar.rs`),
//! and what a user does with the own account.

use iris_core::registration::form::Filled;
use iris_core::registration::{Offer, Refused};
use iris_core::task::TaskFuture;
use iris_core::xml::{Build, El, escape_attr};
use iris_core::{
    Ask, AskAnswer, At, BareJid, Bounce, Card, Condition, Cx, Finish, FullJid, GetOrSet, HostTurn, Mount, MountError, Reply,
    Room, Stanza, Status, Turn, When,
};
use serde::Deserialize;

use crate::result;
use crate::xep0401_invitations as invitations;

mod registrar;
#[cfg(test)]
mod tests;

const NS: &str = "jabber:iq:register";

pub const ROOM: Room = Room {
    card: Card { xep: Some(77), name: "In-Band Registration", version: "2.4", status: Status::Complete, needs: &[30, 401] },
    mount,
};

#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    open: bool,
    per_address_per_hour_max: u32,
    password_chars_min: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { open: false, per_address_per_hour_max: 10, password_chars_min: 8 }
    }
}

impl iris_core::mount::Settings for Settings {
    const TABLE: &'static str = "registration";
    const REFERENCE: &'static str = "\
# Whether everybody may make an account. With an invitation one always may.
open = false
# Accounts that may be made from one address (IPv6: one /64) in an hour. 0: no limit.
per_address_per_hour_max = 10
# Of passwords that users choose.
password_chars_min = 8
";
}

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    let settings: Settings = m.config()?;
    let invites: invitations::Settings = m.config()?;
    let chars_min = settings.password_chars_min;
    let offer = Offer {
        open: settings.open,
        per_address_per_hour_max: settings.per_address_per_hour_max,
        password_chars_min: chars_min,
        page: invitations::page(m),
    };
    let rules = offer.clone();
    m.registrar(offer, move |turn, request, reply| registrar::asked(turn, &rules, &invites, request, reply))?;
    m.feature(At::Host, NS);
    m.stream_feature(When::Registering, |_| "<register xmlns='http://jabber.org/features/iq-register'/>".to_owned());
    // The own account is spoken of to the server, or to nobody in particular (section 3.2, scenario 1).
    m.iq_named(At::OwnAccount, GetOrSet::Get, NS, "query", |turn, _| match turn.account.is_guest() {
        true => Bounce::nobody().into(),
        false => on_file(turn.me()),
    })?;
    m.iq_named(At::OwnAccount, GetOrSet::Set, NS, "query", move |turn, query| own(turn, &query, chars_min))?;
    m.host_iq_named(GetOrSet::Get, NS, "query", |turn, _| match turn.is_local() {
        true => on_file(&turn.from.to_bare()),
        false => Bounce::nobody().into(),
    })?;
    m.host_iq_stanza(GetOrSet::Set, NS, "query", move |turn, stanza, query| own_by_host(turn, stanza, &query, chars_min))
}

/// Section 3.1: who is registered is told so. The password is not on file, nor could anybody read it there.
fn on_file(me: &BareJid) -> Reply {
    let mut xml = Build::new();
    xml.open_ns("query", NS);
    xml.open("registered").close();
    xml.open("username").text(me.node().map_or("", |node| node.as_str())).close();
    xml.open("password").close();
    xml.close();
    result(xml)
}

fn own(turn: &mut Turn<'_>, query: &El<'_>, chars_min: usize) -> Reply {
    let (Some(card), Some(stanza)) = (turn.card(), turn.stanza()) else {
        return Bounce::new(Condition::InternalServerError).into();
    };
    if turn.account.is_guest() {
        // Table 1; as `own_by_host`.
        return Bounce::new(Condition::RegistrationRequired).into();
    }
    asked(&card.jid, stanza, query, chars_min)
}

/// Section 3.3 has the server for an addressee. Only its own people are anybody here.
fn own_by_host(turn: &mut HostTurn<'_>, stanza: &Stanza, query: &El<'_>, chars_min: usize) -> Reply {
    match turn.from.try_as_full() {
        Ok(me) if turn.is_local() => asked(me, stanza, query, chars_min),
        _ => Bounce::new(Condition::RegistrationRequired).into(),
    }
}

fn asked(me: &FullJid, stanza: &Stanza, query: &El<'_>, chars_min: usize) -> Reply {
    let filled = Filled::of(query);
    let local = me.node().map_or("", |node| node.as_str());
    if filled.remove {
        return match filled.children {
            1 => leave(me.clone(), parting(stanza)),
            // Table 1.
            _ => Bounce::bad_request("<remove/> stands alone").into(),
        };
    }
    let Some(password) = filled.password.clone() else {
        return Bounce::bad_request("a new password is missing").into();
    };
    if !filled.is_of(local, me.domain().as_str()) {
        return Bounce::bad_request("that is not your name").into();
    }
    if password.chars().count() < chars_min {
        return Refused::PasswordShort { chars_min }.bounce().into();
    }
    change_password(me.clone(), password)
}

/// Section 3.3. The error never has the request in it.
fn change_password(me: FullJid, password: String) -> Reply {
    Reply::Task(Box::new(move |cx: Cx| -> TaskFuture {
        Box::pin(async move {
            let credentials = match cx.derive(password).await {
                Ok(credentials) => credentials,
                Err(why) => return Finish::Error(Refused::Password(why).bounce()),
            };
            let by = me.clone();
            match cx.ask(me.to_bare(), Ask::ChangePassword { credentials, by }).await {
                AskAnswer::Done => Finish::Answer { before: Vec::new(), result: String::new() },
                _ => Finish::Error(Bounce::new(Condition::InternalServerError)),
            }
        })
    }))
}

/// Section 3.2: the answer, then the end of all streams; both when it is on disk that the account is no more.
fn leave(me: FullJid, answer: String) -> Reply {
    Reply::Task(Box::new(move |cx: Cx| -> TaskFuture {
        Box::pin(async move {
            let by = me.clone();
            match cx.ask(me.to_bare(), Ask::Leave { by, answer }).await {
                AskAnswer::Done => Finish::Done,
                _ => Finish::Error(Bounce::new(Condition::InternalServerError)),
            }
        })
    }))
}

/// The result of the iq, as the account gives it to its session.
fn parting(stanza: &Stanza) -> String {
    let id = stanza.id().unwrap_or_default();
    let from = stanza.to().map_or(String::new(), |to| format!(" from='{}'", escape_attr(&to)));
    format!("<iq type='result' id='{}'{from}/>", escape_attr(&id))
}
