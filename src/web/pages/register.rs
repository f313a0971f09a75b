//! `/register/DOMAIN`: an account for everybody, where that is wanted (`[xep.registration] open = true`): what XEP-0077 does on a
//! stream, for who has no app yet. The limits are those of streams: they are counted where accounts are made.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Extension, Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::get;

use super::apps::Device;
use super::form::{self, Denied, FORM_BYTES_MAX, Filled, Filling, Form, Name, Sent, Welcome, check};
use super::invite::Answer;
use super::start::{About, Domain};
use super::{escape, page};
use crate::{App, Visitor};

/// Where accounts are made.
pub trait Accounts: Send + Sync {
    /// What was begun is ended, whether somebody waits for it or not. `peer`: whose limit counts; `None`: nobody's.
    fn register(&self, domain: &str, filled: Filled, peer: Option<IpAddr>) -> Answer<Result<Welcome, Denied>>;
}

#[derive(Clone)]
struct House {
    about: Arc<dyn About>,
    accounts: Arc<dyn Accounts>,
}

pub(super) fn routes(app: &App) -> Router {
    let house = House { about: app.about.clone(), accounts: app.accounts.clone() };
    let routes = Router::new().route("/register/{domain}", get(shown).post(filled));
    routes.layer(DefaultBodyLimit::max(FORM_BYTES_MAX)).with_state(house)
}

/// Where it is.
pub(super) fn path(domain: &str) -> String {
    format!("/register/{domain}")
}

impl House {
    fn open(&self, name: &str) -> Option<Domain> {
        self.about.about().into_iter().find(|domain| domain.open && domain.name == name)
    }
}

async fn shown(State(house): State<House>, Path(domain): Path<String>) -> Response {
    match house.open(&domain) {
        Some(domain) => guarded(page(StatusCode::OK, &title(&domain), &domain.name, &body(&domain, &Filling::default()))),
        None => closed(),
    }
}

async fn filled(
    State(house): State<House>,
    Extension(visitor): Extension<Visitor>,
    Path(domain): Path<String>,
    asked: HeaderMap,
    form: Sent,
) -> Response {
    let Some(domain) = house.open(&domain) else { return closed() };
    // Nothing in the address is secret, so its page says where it is (`guarded`), and nobody posts without saying from where: else
    // any page could have accounts made from the networks of whoever looks at it.
    let filled = match form::judge(&visitor, &asked, form, false) {
        Ok(filled) => filled,
        Err(refused) => return *refused,
    };
    let username = filled.username.clone();
    let (status, filling) = match check(&filled, domain.password_chars_min) {
        Err(filling) => (StatusCode::UNPROCESSABLE_ENTITY, filling),
        Ok(()) => match house.accounts.register(&domain.name, filled, visitor.limited()).await {
            Ok(welcome) => return form::welcome(&welcome, &domain.name, Device::of(&asked)),
            Err(Denied::Gone) => return closed(),
            Err(denied) => form::again(denied),
        },
    };
    guarded(page(status, &title(&domain), &domain.name, &body(&domain, &Filling { username, ..filling })))
}

fn title(domain: &Domain) -> String {
    format!("An account on {}", domain.name)
}

fn body(domain: &Domain, filling: &Filling) -> String {
    let form = form::html(
        &Form {
            action: &path(&domain.name),
            domain: &domain.name,
            name: Name::Asked,
            password_chars_min: domain.password_chars_min,
            button: "Make the account",
        },
        filling,
    );
    format!(
        "<p class=\"lead\">Choose a name and a password. With both you log in with the XMPP app that you like best.</p>{form}\
         <footer><p>Nobody can tell you the password again: write it down. <a href=\"/\">About {}</a></p></footer>",
        escape(&domain.name)
    )
}

fn closed() -> Response {
    let body = "<p class=\"lead\">Accounts are given by invitation here.</p>\
                <p>Ask somebody who has one, or the administrator, for a link. <a href=\"/\">About this server</a></p>";
    form::private(page(StatusCode::NOT_FOUND, "No accounts for everybody", "", body))
}

/// As the pages of invitations, but for the referrer: with it browsers say the origin of a post.
fn guarded(response: Response) -> Response {
    let mut response = form::private(response);
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}
