//! `/invite/TOKEN`: who invites, how to join, and a form to join right here (XEP-0401 4.2, XEP-0379 3.3).
//!
//! The token in the address is the whole authority, so nothing may tell it to others: no referrer, no cache, no script, and no
//! word about it in an error. A post from another site is refused; there is no cookie that it could ride on.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Extension, Form, Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;

use super::apps::{self, Device};
use super::{escape, page};
use crate::{App, Visitor, qr};

pub type Answer<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What the house knows of invitations.
pub trait Invitations: Send + Sync {
    /// What stands behind this token?
    fn look(&self, token: &str) -> Answer<Look>;
    /// Somebody fills in the form. What was begun is ended, whether somebody waits for it or not.
    fn accept(&self, token: &str, filled: Filled, peer: IpAddr) -> Answer<Result<Welcome, Denied>>;
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

/// Not `Debug`: a password has no place in a log.
#[derive(Clone, Deserialize)]
pub struct Filled {
    #[serde(default)]
    pub username: String,
    pub password: String,
    pub again: String,
}

/// It is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    pub address: String,
    pub contact: Option<String>,
    /// The account is new; else its password is.
    pub new: bool,
}

/// Why not. The first three can be put right by who fills in the form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The name cannot be had: one sentence.
    Username(String),
    /// The password cannot be one: one sentence.
    Password(String),
    /// Somebody is using the invitation now, or the house is busy.
    Again(String),
    TooMany,
    Gone,
    Unknown,
}

/// Two fields of a few hundred bytes.
const FORM_BYTES_MAX: usize = 16 * 1024;

pub(super) fn routes(app: &App) -> Router {
    let of = app.invitations.clone();
    Router::new().route("/invite/{token}", get(shown).post(filled)).layer(DefaultBodyLimit::max(FORM_BYTES_MAX)).with_state(of)
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

async fn filled(
    State(of): State<Arc<dyn Invitations>>,
    Extension(visitor): Extension<Visitor>,
    Path(token): Path<String>,
    asked: HeaderMap,
    form: Result<Form<Filled>, axum::extract::rejection::FormRejection>,
) -> Response {
    if !visitor.private {
        let body = "<p>A password would be heard on the way. Open the link by <code>https</code>, please.</p>";
        return private(page(StatusCode::FORBIDDEN, "Not without encryption", "", body));
    }
    if !is_same_site(&asked) {
        let body = "<p>This form can only be sent from its own page.</p>";
        return private(page(StatusCode::FORBIDDEN, "Not from here", "", body));
    }
    let Ok(Form(filled)) = form else {
        let body = "<p>The form was not complete. Go back, please, and try again.</p>";
        return private(page(StatusCode::BAD_REQUEST, "Not complete", "", body));
    };
    let invitation = match of.look(&token).await {
        Look::Open(invitation) => invitation,
        Look::Gone => return private(gone()),
        Look::Unknown => return private(unknown()),
        Look::Unavailable => return private(unavailable()),
    };
    let username = filled.username.clone();
    let (status, filling) = match check(&filled, &invitation) {
        Err(filling) => (StatusCode::UNPROCESSABLE_ENTITY, filling),
        Ok(()) => match of.accept(&token, filled, visitor.peer).await {
            Ok(welcome) => {
                let body = welcomed(&welcome, Device::of(&asked));
                let title = if welcome.new { "Welcome" } else { "Your password is set" };
                return private(page(StatusCode::CREATED, title, &invitation.domain, &body));
            }
            Err(Denied::Gone) => return private(gone()),
            Err(Denied::Unknown) => return private(unknown()),
            Err(Denied::Username(why)) => (StatusCode::CONFLICT, Filling { username_wrong: Some(why), ..Filling::default() }),
            Err(Denied::Password(why)) => {
                (StatusCode::UNPROCESSABLE_ENTITY, Filling { password_wrong: Some(why), ..Filling::default() })
            }
            Err(Denied::Again(why)) => (StatusCode::SERVICE_UNAVAILABLE, Filling { wrong: Some(why), ..Filling::default() }),
            Err(Denied::TooMany) => {
                let why = "So many accounts were made from your network lately that you have to wait a while.".to_owned();
                (StatusCode::TOO_MANY_REQUESTS, Filling { wrong: Some(why), ..Filling::default() })
            }
        },
    };
    let body = open(&invitation, &token, Device::of(&asked), &Filling { username, ..filling });
    private(page(status, &title(&invitation), &invitation.domain, &body))
}

/// Browsers say where a post comes from (Fetch Metadata, and `Origin` since long). What says nothing is no browser.
fn is_same_site(asked: &HeaderMap) -> bool {
    let text = |name: header::HeaderName| asked.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = asked.get("sec-fetch-site").and_then(|value| value.to_str().ok()) {
        return matches!(site, "same-origin" | "none");
    }
    match (text(header::ORIGIN), text(header::HOST)) {
        (None, _) => true,
        // A page with `Referrer-Policy: no-referrer` posts with the origin "null" in browsers without Fetch Metadata: the token
        // in the address is what nobody else can know.
        (Some("null"), _) => true,
        (Some(origin), Some(host)) => origin.split_once("://").is_some_and(|(_, from)| from == host),
        (Some(_), None) => false,
    }
}

fn private(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Search engines follow links that people paste.
    headers.insert("x-robots-tag", HeaderValue::from_static("noindex, nofollow"));
    response
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

/// What a form looks like that is shown again.
#[derive(Default)]
struct Filling {
    username: String,
    username_wrong: Option<String>,
    password_wrong: Option<String>,
    wrong: Option<String>,
}

fn check(filled: &Filled, invitation: &Invitation) -> Result<(), Filling> {
    let wrong = |why: String| Filling { password_wrong: Some(why), ..Filling::default() };
    if filled.password.chars().count() < invitation.password_chars_min {
        return Err(wrong(format!("Take at least {} characters.", invitation.password_chars_min)));
    }
    if filled.password != filled.again {
        return Err(wrong("The two passwords are not the same.".to_owned()));
    }
    Ok(())
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
    let form = form(it, token, filling);
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

fn form(it: &Invitation, token: &str, filling: &Filling) -> String {
    let wrong = |id: &str, why: &Option<String>| {
        why.as_ref().map_or(String::new(), |why| format!("<p class=\"wrong\" id=\"{id}\" role=\"alert\">{}</p>", escape(why)))
    };
    let described = |id: &str, why: &Option<String>| {
        if why.is_some() { format!(" aria-invalid=\"true\" aria-describedby=\"{id}\"") } else { String::new() }
    };
    let domain = escape(&it.domain);
    let username = match (&it.username, it.purpose) {
        (_, Purpose::Password) => String::new(),
        (Some(name), _) => format!(
            "<label for=\"username\">Your address</label><div class=\"field\"><input id=\"username\" name=\"username\" \
             value=\"{}\" readonly autocomplete=\"username\"><span>@{domain}</span></div>",
            escape(name)
        ),
        (None, _) => format!(
            "<label for=\"username\">Choose a name</label><div class=\"field\"><input id=\"username\" name=\"username\" \
             value=\"{}\" required maxlength=\"64\" autocomplete=\"username\" autocapitalize=\"none\" autocorrect=\"off\" \
             spellcheck=\"false\"{}><span>@{domain}</span></div>",
            escape(&filling.username),
            described("username-wrong", &filling.username_wrong),
        ),
    };
    let least = it.password_chars_min;
    let button = if it.purpose == Purpose::Password { "Set the password" } else { "Make the account" };
    format!(
        "<form method=\"post\" action=\"/invite/{}\">{}{username}{}\
         <label for=\"password\">Password</label><input id=\"password\" name=\"password\" type=\"password\" required \
         minlength=\"{least}\" maxlength=\"256\" autocomplete=\"new-password\"{}>\
         <label for=\"again\">The same again</label><input id=\"again\" name=\"again\" type=\"password\" required \
         minlength=\"{least}\" maxlength=\"256\" autocomplete=\"new-password\">{}\
         <button class=\"button\">{button}</button></form>",
        escape(token),
        wrong("wrong", &filling.wrong),
        wrong("username-wrong", &filling.username_wrong),
        described("password-wrong", &filling.password_wrong),
        wrong("password-wrong", &filling.password_wrong),
    )
}

fn end(it: &Invitation) -> String {
    let day = super::day(&it.expires);
    let who = match &it.inviter {
        Some(inviter) => format!(" If you do not know {}, there is nothing you have to do.", escape(local(inviter))),
        None => String::new(),
    };
    format!("<footer><p>This link works once, until {}. Keep it to yourself.{who}</p></footer>", escape(&day))
}

fn welcomed(it: &Welcome, device: Device) -> String {
    let address = escape(&it.address);
    let contact = match &it.contact {
        Some(contact) if it.new => {
            format!("<p>{} is in your contacts already and knows that you are here.</p>", escape(contact))
        }
        _ => String::new(),
    };
    let lead = if it.new { "Your account is ready. Your address is" } else { "Log in anew, everywhere, with" };
    format!(
        "<p class=\"lead\">{lead}</p><p class=\"address\">{address}</p>{contact}\
         <section><h2>Log in</h2><p>Choose \"I have an account\" in the app, then enter this address and your password.</p>{}\
         </section>",
        apps::list(device)
    )
}

#[cfg(test)]
mod tests;
