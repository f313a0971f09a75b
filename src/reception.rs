//! What the web pages are told of the house: invitations, and what the start page says.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use iris_core::invitation::{Invitation, Purpose, Refusal, Token};
use iris_core::registration::{Answer, Offer, Refused, Request};
use iris_core::time::datetime;
use iris_engine::Hosts;
use iris_net::Net;
use iris_web::Discovery;
use iris_web::invite::{self, Denied, Filled, Invitations, Look, Welcome};
use iris_web::register::Accounts;
use iris_web::start::{About, Domain};
use tokio::sync::oneshot;

use crate::config::{Config, ListenKind};

pub struct Reception {
    net: Arc<Net>,
    domains: Vec<String>,
    about: RwLock<Vec<Domain>>,
}

impl Reception {
    pub fn new(net: Arc<Net>, config: &Config, hosts: &Hosts, discovery: &Discovery) -> Reception {
        let domains = config.domains.clone();
        let about = domains.iter().map(|domain| about(domain, config, hosts, discovery)).collect();
        Reception { net, domains, about: RwLock::new(about) }
    }

    /// What rooms say, as it is now; where the house listens does not change.
    pub fn reload(&self, hosts: &Hosts) {
        let mut about = self.about.write().unwrap_or_else(PoisonError::into_inner);
        about.iter_mut().for_each(|domain| say(domain, hosts));
    }
}

/// Ask a domain; nothing is lost when the visitor goes away meanwhile. `None`: it does not answer.
async fn ask(net: &Net, domain: &str, request: Request, peer: Option<IpAddr>) -> Option<Answer> {
    let (sender, receiver) = oneshot::channel();
    net.registrar(domain, request, peer, Box::new(move |answer| drop(sender.send(answer))));
    receiver.await.ok()
}

/// The domain that has made it, and what it says of it.
async fn find(net: &Net, domains: &[String], token: &Token) -> Result<(String, Invitation, Offer), Look> {
    let mut otherwise = Look::Unknown;
    for domain in domains {
        match ask(net, domain, Request::Show(token.id()), None).await {
            Some(Answer::Shown { invitation, offer }) => return Ok((domain.clone(), *invitation, *offer)),
            Some(Answer::Refused(Refused::Invitation(Refusal::Unknown))) => {}
            Some(Answer::Refused(Refused::Invitation(_))) => otherwise = Look::Gone,
            _ => otherwise = Look::Unavailable,
        }
    }
    Err(otherwise)
}

impl Invitations for Reception {
    fn look(&self, token: &str) -> invite::Answer<Look> {
        let Ok(token) = token.parse::<Token>() else { return Box::pin(async { Look::Unknown }) };
        let (net, domains) = (self.net.clone(), self.domains.clone());
        Box::pin(async move {
            match find(&net, &domains, &token).await {
                Ok((domain, invitation, offer)) => Look::Open(Box::new(shown(domain, &invitation, &offer, &token))),
                Err(look) => look,
            }
        })
    }

    fn accept(&self, token: &str, filled: Filled, peer: Option<IpAddr>) -> invite::Answer<Result<Welcome, Denied>> {
        let Ok(token) = token.parse::<Token>() else { return Box::pin(async { Err(Denied::Unknown) }) };
        let (net, domains) = (self.net.clone(), self.domains.clone());
        Box::pin(async move {
            let (domain, invitation, _) = match find(&net, &domains, &token).await {
                Ok(found) => found,
                Err(Look::Gone) => return Err(Denied::Gone),
                Err(Look::Unavailable) => return Err(Denied::Again("The server is busy. Try again in a minute.".into())),
                Err(_) => return Err(Denied::Unknown),
            };
            let (id, password) = (token.id(), filled.password);
            let request = match invitation.purpose {
                Purpose::Password { .. } => Request::SetPassword { password, invitation: id },
                _ => {
                    let invitation = Some(iris_core::registration::Presented { id, checked: false });
                    Request::Register { username: filled.username, password, invitation }
                }
            };
            welcome(ask(&net, &domain, request, peer).await)
        })
    }
}

impl Accounts for Reception {
    fn register(&self, domain: &str, filled: Filled, peer: Option<IpAddr>) -> invite::Answer<Result<Welcome, Denied>> {
        let (net, domain) = (self.net.clone(), domain.to_owned());
        let request = Request::Register { username: filled.username, password: filled.password, invitation: None };
        Box::pin(async move { welcome(ask(&net, &domain, request, peer).await) })
    }
}

fn welcome(answer: Option<Answer>) -> Result<Welcome, Denied> {
    match answer {
        Some(Answer::Registered { jid, contact }) => {
            tracing::info!(account = %jid, "an account was made on a page");
            Ok(Welcome { address: jid.to_string(), contact: contact.map(|jid| jid.to_string()), new: true })
        }
        Some(Answer::PasswordSet(jid)) => Ok(Welcome { address: jid.to_string(), contact: None, new: false }),
        Some(Answer::Refused(why)) => Err(denied(why)),
        _ => Err(Denied::Again("The server cannot do that now.".into())),
    }
}

fn shown(domain: String, invitation: &Invitation, offer: &Offer, token: &Token) -> invite::Invitation {
    let (purpose, username) = match &invitation.purpose {
        Purpose::Contact => (invite::Purpose::Contact, None),
        Purpose::Account { username } => (invite::Purpose::Account, username.clone()),
        Purpose::Password { username } => (invite::Purpose::Password, Some(username.clone())),
    };
    invite::Invitation {
        purpose,
        inviter: invitation.inviter.as_ref().map(ToString::to_string),
        contact: invitation.contact.as_ref().map(ToString::to_string),
        username,
        uri: invitation.uri(&domain, token),
        url: offer.link(token),
        expires: datetime(invitation.expires_us),
        password_chars_min: offer.password_chars_min,
        domain,
    }
}

fn denied(why: Refused) -> Denied {
    match &why {
        Refused::Invitation(Refusal::Unknown) => Denied::Unknown,
        Refused::Invitation(Refusal::Busy) => Denied::Again(why.to_string()),
        Refused::Invitation(_) | Refused::Closed | Refused::NoAccount => Denied::Gone,
        Refused::UsernameInvalid | Refused::UsernameReserved | Refused::UsernameTaken | Refused::UsernameIs(_) => {
            Denied::Username(why.to_string())
        }
        Refused::PasswordShort { .. } | Refused::Password(_) => Denied::Password(why.to_string()),
        Refused::TooMany => Denied::TooMany,
        Refused::Failed(error) => {
            tracing::error!(%error, "an account could not be made on a page");
            Denied::Again(why.to_string())
        }
    }
}

impl About for Reception {
    fn about(&self) -> Vec<Domain> {
        self.about.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Whom to turn to, and where each kind of client comes in.
fn about(domain: &str, config: &Config, hosts: &Hosts, discovery: &Discovery) -> Domain {
    let mut endpoints: Vec<(String, String)> = Vec::new();
    // One for a proxy hears nobody who does not begin with the proxy's words.
    for listener in config.listeners.iter().filter(|listener| !listener.proxy_protocol) {
        let what = match listener.kind {
            ListenKind::C2s => "XMPP with STARTTLS",
            ListenKind::C2sTls => "XMPP with TLS",
            ListenKind::C2sPlain | ListenKind::Https | ListenKind::Http | ListenKind::Component => continue,
            ListenKind::S2s | ListenKind::S2sTls => continue,
        };
        let found = (what.to_owned(), format!("{domain}, port {}", listener.address.port()));
        if !endpoints.contains(&found) {
            endpoints.push(found);
        }
    }
    let site = discovery.sites.iter().find(|site| site.domain == domain).and_then(|site| site.url.as_deref());
    if let Some(site) = site {
        endpoints.push(("WebSocket".into(), format!("{}/xmpp-websocket", site.replacen("http", "ws", 1))));
        endpoints.push(("BOSH".into(), format!("{site}/http-bind")));
    }
    let mut about = Domain {
        name: domain.to_owned(),
        contacts: Vec::new(),
        endpoints,
        open: false,
        password_chars_min: 0,
        guests: false,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    say(&mut about, hosts);
    about
}

fn say(about: &mut Domain, hosts: &Hosts) {
    let doors = hosts.domain(&about.name);
    let offer = doors.and_then(|doors| doors.registration.as_ref()).map(|(offer, _)| offer);
    let contacts = doors.map(|doors| doors.contacts.as_slice()).unwrap_or_default();
    about.contacts = contacts.iter().map(|(field, uri)| (purpose(field), uri.clone())).collect();
    about.open = offer.is_some_and(|offer| offer.open);
    about.guests = doors.is_some_and(|doors| doors.guests);
    about.password_chars_min = offer.map_or(0, |offer| offer.password_chars_min);
}

/// `abuse-addresses` (XEP-0157 7.1) in a word.
fn purpose(field: &str) -> String {
    let word = field.strip_suffix("-addresses").unwrap_or(field);
    let word = if word == "admin" { "administrator" } else { word };
    let mut letters = word.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}
