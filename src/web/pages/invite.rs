//! `/invite/TOKEN`: who invites, how to join, and a form to join right here (XEP-0401 4.2, XEP-0379 3.3). Its address as a picture for
//! apps (XEP-0221) is beside it, `qr.png`.
//!
//! The token in the address is the whole authority, so nothing may tell it to others: no referrer, no cache, no script, and no
//! word about it in an error. A post from another site is refused; there is no cookie that it could ride on.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Extension, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::apps::{self, Device};
use super::form::{self, FORM_BYTES_MAX, Filling, Form, Name, Sent, check, private};
pub use super::form::{Denied, Filled, Welcome};
use super::{escape, page};
use crate::{App, Visitor, qr};

pub type Answer<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What the house knows of invitations.
pub trait Invitations: Send + Sync {
    /// What stands behind this token?
    fn look(&self, token: &str) -> Answer<Look>;
    /// Somebody fills in the form. What was begun is ended, whether somebody waits for it or not.
    fn accept(&self, token: &str, filled: Filled, peer: Option<IpAddr>) -> Answer<Result<Welcome, Denied>>;
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    Open(Box<Invitation>),
    /// It was there, and is over.
    Gone,
    Unknown,
    /// The house cannot say now.
    Unavailable,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    pub domain: String,
    pub purpose: Purpose,
    /// The address of who invites; `None`: the house.
    pub inviter: Option<String>,
    /// The address of who becomes a contact of the new account.
    pub contact: Option<String>,
    /// The name the account will have; `None`: who joins chooses.
    pub username: Option<String>,
    /// `xmpp:...`
    pub uri: Option<String>,
    /// Of this page, from everywhere, if that is known.
    pub url: Option<String>,
    /// `2026-12-03T14:05:00Z`
    pub expires: String,
    pub password_chars_min: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Contact,
    Account,
    Password,
}

pub(super) fn routes(app: &App) -> Router {
    let of = app.invitations.clone();
    Router::new()
        .route("/invite/{token}", get(shown).post(filled))
        .route("/invite/{token}/qr.png", get(picture))
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .with_state(of)
}

async fn shown(State(of): State<Arc<dyn Invitations>>, Path(token): Path<String>, asked: HeaderMap) -> Response {
    let response = match of.look(&token).await {
        Look::Open(invitation) => {
            let body = open(&invitation, &token, Device::of(&asked), &Filling::default());
            page(StatusCode::OK, &title(&invitation), &invitation.domain, &body)
        }
        Look::Gone => gone(),
        Look::Unknown => unknown(),
        Look::Unavailable => unavailable(),
    };
    private(response)
}

/// The QR code of the page's address, as long as somebody can come in by it.
async fn picture(State(of): State<Arc<dyn Invitations>>, Path(token): Path<String>) -> Response {
    let png = match of.look(&token).await {
        Look::Open(invitation) => invitation.url.as_deref().and_then(qr::picture),
        Look::Gone => return private(gone()),
        Look::Unavailable => return private(unavailable()),
        Look::Unknown => None,
    };
    let png = png.map(|png| ([(header::CONTENT_TYPE, "image/png")], png).into_response());
    private(png.unwrap_or_else(unknown))
}

async fn filled(
    State(of): State<Arc<dyn Invitations>>,
    Extension(visitor): Extension<Visitor>,
    Path(token): Path<String>,
    asked: HeaderMap,
    form: Sent,
) -> Response {
    // A page with `Referrer-Policy: no-referrer` posts with the origin "null" in browsers without Fetch Metadata: the token in the
    // address is what nobody else can know.
    let filled = match form::judge(&visitor, &asked, form, true) {
        Ok(filled) => filled,
        Err(refused) => return *refused,
    };
    let invitation = match of.look(&token).await {
        Look::Open(invitation) => invitation,
        Look::Gone => return private(gone()),
        Look::Unknown => return private(unknown()),
        Look::Unavailable => return private(unavailable()),
    };
    let username = filled.username.clone();
    let (status, filling) = match check(&filled, invitation.password_chars_min) {
        Err(filling) => (StatusCode::UNPROCESSABLE_ENTITY, filling),
        Ok(()) => match of.accept(&token, filled, visitor.limited()).await {
            Ok(welcome) => return form::welcome(&welcome, &invitation.domain, Device::of(&asked)),
            Err(Denied::Gone) => return private(gone()),
            Err(Denied::Unknown) => return private(unknown()),
            Err(denied) => form::again(denied),
        },
    };
    let body = open(&invitation, &token, Device::of(&asked), &Filling { username, ..filling });
    private(page(status, &title(&invitation), &invitation.domain, &body))
}

fn gone() -> Response {
    let body = "<p class=\"lead\">It was used, has expired, or was taken back.</p>\
                <p>Ask whoever sent it to you for a new one.</p>";
    page(StatusCode::GONE, "This invitation is over", "", body)
}

fn unknown() -> Response {
    let body = "<p class=\"lead\">Nothing is known here under this address.</p>\
                <p>Has the link been cut off, perhaps? Copy all of it, or ask whoever sent it to you for a new one.</p>";
    page(StatusCode::NOT_FOUND, "No such invitation", "", body)
}

fn unavailable() -> Response {
    let body = "<p class=\"lead\">The server is busy. Try again in a minute, please.</p>";
    page(StatusCode::SERVICE_UNAVAILABLE, "One moment", "", body).into_response()
}

fn title(invitation: &Invitation) -> String {
    match (invitation.purpose, &invitation.inviter) {
        (Purpose::Password, _) => "Choose a new password".to_owned(),
        (_, Some(inviter)) => format!("{} invites you to chat", local(inviter)),
        (_, None) => format!("You are invited to {}", invitation.domain),
    }
}

fn local(address: &str) -> &str {
    address.split_once('@').map_or(address, |(local, _)| local)
}

fn open(it: &Invitation, token: &str, device: Device, filling: &Filling) -> String {
    let form = fields(it, token, filling);
    if it.purpose == Purpose::Password {
        let name = it.username.as_deref().unwrap_or_default();
        let lead = format!("<p class=\"lead\">For the account <b>{}@{}</b>.</p>", escape(name), escape(&it.domain));
        return format!("{lead}{form}{}", end(it));
    }
    let lead = lead(it);
    // A phone's apps open the invitation themselves; on a computer the account is made here, and then one logs in.
    let sections = if device.is_phone() {
        format!("{}{}", in_app(it, device), by_form(it, &form, true))
    } else {
        format!("{}{}", by_form(it, &form, false), in_app(it, device))
    };
    format!("{lead}{sections}{}", end(it))
}

fn lead(it: &Invitation) -> String {
    let domain = escape(&it.domain);
    let who = match &it.inviter {
        Some(inviter) => {
            let (address, first) = (escape(inviter), inviter.chars().next().unwrap_or('?').to_uppercase().to_string());
            format!(
                "<p class=\"who\"><span class=\"initial\" aria-hidden=\"true\">{}</span><span>{address}</span></p>",
                escape(&first)
            )
        }
        None => String::new(),
    };
    let contact = match &it.contact {
        Some(contact) if Some(contact) != it.inviter.as_ref() => {
            format!(" {} will be in your contacts from the beginning.", escape(contact))
        }
        Some(_) => " You will be in each other's contacts from the beginning.".to_owned(),
        None => String::new(),
    };
    format!(
        "{who}<p class=\"lead\">You get an account on <b>{domain}</b> and use it with the XMPP app that you \
         like best.{contact}</p>"
    )
}

fn by_form(it: &Invitation, form: &str, second: bool) -> String {
    let heading = if second { "Or make your account here" } else { "Make your account" };
    let hint = if second { "<p>No app at hand that can open invitations? Then this works with every app.</p>" } else { "" };
    let _ = it;
    format!("<section><h2>{heading}</h2>{hint}{form}</section>")
}

fn in_app(it: &Invitation, device: Device) -> String {
    let Some(uri) = &it.uri else { return String::new() };
    let uri = escape(uri);
    let apps = apps::list(device);
    if device.is_phone() {
        return format!(
            "<section><h2>Get an app</h2>{apps}</section><section><h2>Open the invitation</h2>\
             <p><a class=\"button\" href=\"{uri}\">Open it in the app</a></p>\
             <p class=\"hint\">Nothing happens? Then the app is not there yet: install it, come back to this page and tap \
             again.</p></section>"
        );
    }
    let code = it.url.as_deref().and_then(|url| qr::svg(url, "QR code of this page's address")).map_or(String::new(), |svg| {
        format!(
            "<div class=\"scan\">{svg}<p><b>With a phone</b><br>Point its camera at this code to open the invitation \
             there.</p></div>"
        )
    });
    let existing = match (&it.inviter, it.purpose) {
        (Some(inviter), Purpose::Contact) => format!("Have an XMPP account? Add {} with it", escape(local(inviter))),
        _ => "Open the invitation in an app".to_owned(),
    };
    format!(
        "<section><h2>Or with an app</h2>{code}{apps}\
         <p><a class=\"button quiet\" href=\"{uri}\">{existing}</a></p></section>"
    )
}

fn fields(it: &Invitation, token: &str, filling: &Filling) -> String {
    let name = match (&it.username, it.purpose) {
        (_, Purpose::Password) => Name::None,
        (Some(name), _) => Name::Given(name),
        (None, _) => Name::Asked,
    };
    let button = if it.purpose == Purpose::Password { "Set the password" } else { "Make the account" };
    let action = format!("/invite/{token}");
    form::html(&Form { action: &action, domain: &it.domain, name, password_chars_min: it.password_chars_min, button }, filling)
}

fn end(it: &Invitation) -> String {
    let day = super::day(&it.expires);
    let who = match &it.inviter {
        Some(inviter) => format!(" If you do not know {}, there is nothing you have to do.", escape(local(inviter))),
        None => String::new(),
    };
    format!("<footer><p>This link works once, until {}. Keep it to yourself.{who}</p></footer>", escape(&day))
}

#[cfg(test)]
mod tests;
