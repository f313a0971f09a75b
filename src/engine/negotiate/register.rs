//! An account made before authentication (XEP-0077 3.1.1), with an invitation if need be (XEP-0445): never on a clear stream.

use iris_core::error::{Bounce, Condition};
use iris_core::invitation::{Invitation, InvitationId, Purpose, Refusal, Token};
use iris_core::registration::form::Filled;
use iris_core::registration::{Answer, Presented, Refused, Request};
use iris_core::xml::Build;
use iris_core::xml::escape::escape_attr;
use iris_core::{Kind, Stanza, StanzaType};

use super::{Action, Env, Negotiator, State};

const REGISTER: &str = "jabber:iq:register";
const PARS: &str = "urn:xmpp:pars:0";

/// What this stream has come to, as far as registering goes.
#[derive(Debug, Default)]
pub(super) struct Registering {
    /// A token that was found good, and the name it is for.
    invitation: Option<(InvitationId, Option<String>)>,
    /// Its user is asked for a name and a password, which takes time.
    pub asking: bool,
    /// One stream, one account.
    done: bool,
}

/// The iq that waits for an answer: nothing of what it said is kept.
#[derive(Debug)]
pub(super) struct Asked {
    id: String,
    what: What,
}

#[derive(Debug)]
enum What {
    Preauth(InvitationId),
    Register,
}

/// Is it about registering, on a stream where that may be spoken of?
pub(super) fn is_meant(it: &Negotiator, stanza: &Stanza) -> bool {
    let offers = it.offered.is_some() && it.doors.as_ref().is_some_and(|doors| doors.registration.is_some());
    let about = |child| matches!((stanza.child_ns(child), stanza.child_local(child)), (REGISTER, "query") | (PARS, "preauth"));
    offers && stanza.kind() == Kind::Iq && stanza.children().first().is_some_and(about)
}

pub(super) fn element(it: &mut Negotiator, stanza: &Stanza, env: &mut Env<'_>) -> Vec<Action> {
    let id = stanza.id().unwrap_or_default().into_owned();
    it.state = State::Open;
    match read(it, stanza) {
        Ok(Next::Say(payload)) => {
            it.registering.asking = true;
            result(it, &id, &payload, env);
            Vec::new()
        }
        Ok(Next::Ask(what, request)) => {
            it.state = State::Registering(Box::new(Asked { id, what }));
            vec![Action::Register(Box::new(request))]
        }
        Err(why) => {
            error(it, &id, &why, env);
            Vec::new()
        }
    }
}

enum Next {
    Say(String),
    Ask(What, Request),
}

fn read(it: &Negotiator, stanza: &Stanza) -> Result<Next, Bounce> {
    let domain = it.domain().unwrap_or_default();
    if stanza.to().is_some_and(|to| *to != *domain) {
        return Err(Bounce::new(Condition::NotAuthorized).text("authenticate first"));
    }
    let [child] = stanza.children() else {
        return Err(Bounce::bad_request("an iq of type get or set has exactly one child"));
    };
    if stanza.id().is_none_or(|id| id.is_empty()) {
        return Err(Bounce::bad_request("an iq needs an id"));
    }
    let payload = stanza.child_el(child);
    match (stanza.stype(), payload.local()) {
        (StanzaType::Set, "preauth") => {
            let token = payload.attr("token").and_then(|token| token.parse::<Token>().ok());
            let id = token.ok_or(Refused::Invitation(Refusal::Unknown)).map_err(|why| why.bounce())?.id();
            Ok(Next::Ask(What::Preauth(id), Request::Show(id)))
        }
        (StanzaType::Get, "query") => {
            is_welcome(it)?;
            Ok(Next::Say(fields(it)))
        }
        (StanzaType::Set, "query") => {
            is_welcome(it)?;
            let filled = Filled::of(&payload);
            if filled.remove {
                // Table 1: nobody is known on this stream.
                return Err(Bounce::new(Condition::UnexpectedRequest));
            }
            let (Some(username), Some(password)) = (filled.username, filled.password) else {
                return Err(Bounce::new(Condition::NotAcceptable).text("a name and a password are needed"));
            };
            let invitation = it.registering.invitation.as_ref().map(|(id, _)| Presented { id: *id, checked: true });
            Ok(Next::Ask(What::Register, Request::Register { username, password, invitation }))
        }
        _ => Err(Bounce::bad_request("that is neither asked nor set")),
    }
}

/// Without an invitation only where everybody may come in; and one account a stream (section 3.1.1).
fn is_welcome(it: &Negotiator) -> Result<(), Bounce> {
    if it.registering.done {
        return Err(Bounce::new(Condition::NotAcceptable).text("an account was made on this stream already"));
    }
    let open = it.doors.as_ref().and_then(|doors| doors.registration.as_ref()).is_some_and(|(offer, _)| offer.open);
    if open || it.registering.invitation.is_some() { Ok(()) } else { Err(Refused::Closed.bounce()) }
}

fn fields(it: &Negotiator) -> String {
    let name = it.registering.invitation.as_ref().and_then(|(_, name)| name.as_deref());
    let mut xml = Build::new();
    xml.open_ns("query", REGISTER);
    xml.open("instructions").text("Choose a name and a password.").close();
    // A name that is given stands there already.
    xml.open("username").text(name.unwrap_or_default()).close();
    xml.open("password").close();
    xml.close();
    String::from_utf8_lossy(&xml.finish()).into_owned()
}

/// The domain's answer to `Action::Register`.
pub(super) fn answered(it: &mut Negotiator, asked: &Asked, answer: Answer, env: &mut Env<'_>) -> Vec<Action> {
    it.state = State::Open;
    match (answer, &asked.what) {
        (Answer::Shown { invitation, .. }, What::Preauth(id)) => match name_in(&invitation) {
            Ok(name) => {
                it.registering.invitation = Some((*id, name));
                it.registering.asking = true;
                result(it, &asked.id, "", env);
            }
            Err(why) => error(it, &asked.id, &why.bounce(), env),
        },
        (Answer::Registered { jid, .. }, What::Register) => {
            tracing::info!(account = %jid, "an account was made on a stream");
            it.registering = Registering { done: true, ..Registering::default() };
            result(it, &asked.id, "", env);
        }
        (Answer::Refused(why), what) => {
            if let Refused::Failed(error) = &why {
                tracing::error!(%error, "an account could not be made");
            }
            error(it, &asked.id, &why.bounce(), env);
            // Whoever guesses at tokens guesses at passwords.
            if matches!((what, why), (What::Preauth(_), Refused::Invitation(_))) {
                return super::failed_once(it, env);
            }
        }
        _ => error(it, &asked.id, &Bounce::new(Condition::InternalServerError), env),
    }
    Vec::new()
}

/// For whom it is, if it is for making an account at all.
fn name_in(invitation: &Invitation) -> Result<Option<String>, Refused> {
    match &invitation.purpose {
        Purpose::Account { username } => Ok(username.clone()),
        Purpose::Contact => Ok(None),
        Purpose::Password { .. } => Err(Refusal::NotForThis.into()),
    }
}

fn result(it: &Negotiator, id: &str, payload: &str, env: &mut Env<'_>) {
    let domain = it.domain().unwrap_or_default();
    let iq = format!("<iq type='result' id='{}' from='{}'>{payload}</iq>", escape_attr(id), escape_attr(domain));
    env.out.extend_from_slice(iq.as_bytes());
}

fn error(it: &Negotiator, id: &str, why: &Bounce, env: &mut Env<'_>) {
    let domain = it.domain().unwrap_or_default();
    let mut iq = format!("<iq type='error' id='{}' from='{}'>", escape_attr(id), escape_attr(domain));
    why.write(&mut iq);
    iq.push_str("</iq>");
    env.out.extend_from_slice(iq.as_bytes());
}
