//! `/`: what this server is, how to connect, and whom to turn to (XEP-0157).

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;

use super::apps::{self, Device};
use super::{escape, page};
use crate::App;

/// What the house says of itself to everybody.
pub trait About: Send + Sync {
    /// The domains served, the house's own first.
    fn about(&self) -> Vec<Domain>;
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    pub name: String,
    /// What for, and an address (`mailto:`, `xmpp:`, `https:`).
    pub contacts: Vec<(String, String)>,
    /// What it is called, and where it is.
    pub endpoints: Vec<(String, String)>,
    /// Everybody may make an account.
    pub open: bool,
    pub password_chars_min: usize,
    /// Whoever has no account may come in.
    pub guests: bool,
    pub version: String,
}

pub(super) fn routes(app: &App) -> Router {
    Router::new().route("/", get(start)).with_state(app.about.clone())
}

async fn start(State(of): State<Arc<dyn About>>, asked: HeaderMap) -> Response {
    let domains = of.about();
    let title = match &domains[..] {
        [only] => &only.name,
        _ => "A chat server",
    };
    let body: String = domains.iter().map(|domain| about(domain, domains.len() > 1)).collect();
    let apps = apps::list(Device::of(&asked));
    let version = domains.first().map_or("", |domain| domain.version.as_str());
    let body = format!(
        "<p class=\"lead\">This is a chat server. Whoever has an account here uses it with the XMPP app of their choice.</p>{body}<section><h2>Apps</h2>{apps}</section>\
         <footer><p>Iris {}</p></footer>",
        escape(version)
    );
    page(StatusCode::OK, title, "", &body)
}

fn about(domain: &Domain, several: bool) -> String {
    let name = escape(&domain.name);
    // Of several each has a heading of its own, and what is said of it stands one step lower.
    let (heading, h) = if several { (format!("<h2 class=\"domain\">{name}</h2>"), "h3") } else { (String::new(), "h2") };
    let account = if domain.open {
        format!(
            "<p>Everybody may have one: your address will be <code>you@{name}</code>.</p>\
             <p><a class=\"button\" href=\"{}\">Make an account</a></p>\
             <p class=\"hint\">Your app can make it too: choose <b>{name}</b> as the server there.</p>",
            escape(&super::register::path(&domain.name))
        )
    } else {
        format!(
            "<p>Accounts are given by invitation: ask somebody who is here, or the administrator, for a link. Your address \
             will be <code>you@{name}</code>.</p>"
        )
    };
    let guests = match domain.guests {
        true => "<p>Without an account you may come in as a guest, with an app that can do that (SASL ANONYMOUS).</p>",
        false => "",
    };
    let rows: String = domain
        .endpoints
        .iter()
        .map(|(what, at)| format!("<tr><th scope=\"row\">{}</th><td><code>{}</code></td></tr>", escape(what), escape(at)))
        .collect();
    let contacts: String = domain
        .contacts
        .iter()
        .map(|(what, uri)| {
            let shown = uri.split_once(':').filter(|(scheme, _)| *scheme != "https").map_or(uri.as_str(), |(_, rest)| rest);
            format!(
                "<tr><th scope=\"row\">{}</th><td><a href=\"{}\">{}</a></td></tr>",
                escape(what),
                escape(uri),
                escape(shown)
            )
        })
        .collect();
    let contacts = if contacts.is_empty() {
        String::new()
    } else {
        format!("<section><{h}>Contact</{h}><table>{contacts}</table></section>")
    };
    format!(
        "<section>{heading}<{h}>An account</{h}>{account}{guests}</section>\
         <section><{h}>Connect</{h}><p>Apps find all of this by themselves. If yours asks:</p><table>{rows}</table></section>{contacts}"
    )
}
