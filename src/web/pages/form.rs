//! The form in which somebody chooses a name and a password: on the page of an invitation, and where everybody may make an account.
//! No script, no cookie; a post from another site is refused.

use axum::extract::Form as Encoded;
use axum::extract::rejection::FormRejection;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Deserialize;

use super::apps::{self, Device};
use super::{escape, page};
use crate::Visitor;

/// What a browser has sent.
pub(super) type Sent = Result<Encoded<Filled>, FormRejection>;

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
pub(super) const FORM_BYTES_MAX: usize = 16 * 1024;

/// The form as it was sent, or the page that says why it is not taken.
pub(super) fn judge(visitor: &Visitor, asked: &HeaderMap, form: Sent, may_hide: bool) -> Result<Filled, Box<Response>> {
    let refused = |status, title, body| Err(Box::new(private(page(status, title, "", body))));
    if !visitor.private {
        let body = "<p>A password would be heard on the way. Open this page by <code>https</code>, please.</p>";
        return refused(StatusCode::FORBIDDEN, "Not without encryption", body);
    }
    if !is_same_site(asked, may_hide) {
        let body = "<p>This form can only be sent from its own page.</p>";
        return refused(StatusCode::FORBIDDEN, "Not from here", body);
    }
    match form {
        Ok(Encoded(filled)) => Ok(filled),
        Err(_) => {
            let body = "<p>The form was not complete. Go back, please, and try again.</p>";
            refused(StatusCode::BAD_REQUEST, "Not complete", body)
        }
    }
}

/// Browsers say where a post comes from (Fetch Metadata, and `Origin` since long). What says nothing is no browser. `may_hide`: the
/// origin of the page may be kept from us.
fn is_same_site(asked: &HeaderMap, may_hide: bool) -> bool {
    let text = |name: header::HeaderName| asked.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = asked.get("sec-fetch-site").and_then(|value| value.to_str().ok()) {
        return matches!(site, "same-origin" | "none");
    }
    match (text(header::ORIGIN), text(header::HOST)) {
        (None, _) => true,
        (Some("null"), _) => may_hide,
        (Some(origin), Some(host)) => origin.split_once("://").is_some_and(|(_, from)| from == host),
        (Some(_), None) => false,
    }
}

pub(super) fn private(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Search engines follow links that people paste.
    headers.insert("x-robots-tag", HeaderValue::from_static("noindex, nofollow"));
    response
}

/// What a form looks like that is shown again.
#[derive(Default)]
pub(super) struct Filling {
    pub username: String,
    pub username_wrong: Option<String>,
    pub password_wrong: Option<String>,
    pub wrong: Option<String>,
}

pub(super) fn check(filled: &Filled, password_chars_min: usize) -> Result<(), Filling> {
    let wrong = |why: String| Filling { password_wrong: Some(why), ..Filling::default() };
    if filled.password.chars().count() < password_chars_min {
        return Err(wrong(format!("Take at least {} characters.", password_chars_min)));
    }
    if filled.password != filled.again {
        return Err(wrong("The two passwords are not the same.".to_owned()));
    }
    Ok(())
}

/// How a form is shown again that could not be carried out, and with which status.
pub(super) fn again(denied: Denied) -> (StatusCode, Filling) {
    let wrong = |why: String| Filling { wrong: Some(why), ..Filling::default() };
    match denied {
        Denied::Username(why) => (StatusCode::CONFLICT, Filling { username_wrong: Some(why), ..Filling::default() }),
        Denied::Password(why) => {
            (StatusCode::UNPROCESSABLE_ENTITY, Filling { password_wrong: Some(why), ..Filling::default() })
        }
        Denied::Again(why) => (StatusCode::SERVICE_UNAVAILABLE, wrong(why)),
        Denied::TooMany => {
            let why = "So many accounts were made from your network lately that you have to wait a while.";
            (StatusCode::TOO_MANY_REQUESTS, wrong(why.to_owned()))
        }
        Denied::Gone | Denied::Unknown => (StatusCode::GONE, wrong("That is not possible any more.".to_owned())),
    }
}

/// What the form asks for.
pub(super) struct Form<'a> {
    pub action: &'a str,
    pub domain: &'a str,
    pub name: Name<'a>,
    pub password_chars_min: usize,
    pub button: &'a str,
}

#[derive(Clone, Copy)]
pub(super) enum Name<'a> {
    /// The account is there already.
    None,
    Given(&'a str),
    Asked,
}

pub(super) fn html(it: &Form<'_>, filling: &Filling) -> String {
    let wrong = |id: &str, why: &Option<String>| {
        why.as_ref().map_or(String::new(), |why| format!("<p class=\"wrong\" id=\"{id}\" role=\"alert\">{}</p>", escape(why)))
    };
    let described = |id: &str, why: &Option<String>| {
        if why.is_some() { format!(" aria-invalid=\"true\" aria-describedby=\"{id}\"") } else { String::new() }
    };
    let domain = escape(it.domain);
    let username = match it.name {
        Name::None => String::new(),
        Name::Given(name) => format!(
            "<label for=\"username\">Your address</label><div class=\"field\"><input id=\"username\" name=\"username\" \
             value=\"{}\" readonly autocomplete=\"username\"><span>@{domain}</span></div>",
            escape(name)
        ),
        Name::Asked => format!(
            "<label for=\"username\">Choose a name</label><div class=\"field\"><input id=\"username\" name=\"username\" \
             value=\"{}\" required maxlength=\"64\" autocomplete=\"username\" autocapitalize=\"none\" autocorrect=\"off\" \
             spellcheck=\"false\"{}><span>@{domain}</span></div>",
            escape(&filling.username),
            described("username-wrong", &filling.username_wrong),
        ),
    };
    let least = it.password_chars_min;
    format!(
        "<form method=\"post\" action=\"{}\">{}{username}{}\
         <label for=\"password\">Password</label><input id=\"password\" name=\"password\" type=\"password\" required \
         minlength=\"{least}\" maxlength=\"256\" autocomplete=\"new-password\"{}>\
         <label for=\"again\">The same again</label><input id=\"again\" name=\"again\" type=\"password\" required \
         minlength=\"{least}\" maxlength=\"256\" autocomplete=\"new-password\">{}\
         <button class=\"button\">{}</button></form>",
        escape(it.action),
        wrong("wrong", &filling.wrong),
        wrong("username-wrong", &filling.username_wrong),
        described("password-wrong", &filling.password_wrong),
        wrong("password-wrong", &filling.password_wrong),
        it.button,
    )
}

pub(super) fn welcome(it: &Welcome, domain: &str, device: Device) -> Response {
    let title = if it.new { "Welcome" } else { "Your password is set" };
    private(page(StatusCode::CREATED, title, domain, &welcomed(it, device)))
}

pub(super) fn welcomed(it: &Welcome, device: Device) -> String {
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
mod tests {
    use super::*;

    fn headers(of: &[(&'static str, &str)]) -> HeaderMap {
        of.iter().map(|(name, value)| (header::HeaderName::from_static(name), value.parse().expect("a header"))).collect()
    }

    #[test]
    fn d10_a_post_from_another_site_is_known() {
        for (of, same) in [
            (&[][..], true),
            (&[("sec-fetch-site", "same-origin")][..], true),
            (&[("sec-fetch-site", "none")][..], true),
            (&[("sec-fetch-site", "cross-site")][..], false),
            (&[("sec-fetch-site", "same-site")][..], false),
            (&[("origin", "https://house:5443"), ("host", "house:5443")][..], true),
            (&[("origin", "https://house:5443"), ("host", "other:5443")][..], false),
            (&[("origin", "https://evil"), ("host", "house")][..], false),
            (&[("origin", "https://evil")][..], false),
            (&[("origin", "null"), ("host", "house")][..], true),
            (&[("origin", "https://house"), ("host", "house"), ("sec-fetch-site", "cross-site")][..], false),
        ] {
            assert_eq!(is_same_site(&headers(of), true), same, "{of:?}");
        }
    }

    #[test]
    fn passwords_are_compared_before_anybody_is_asked() {
        let filled =
            |password: &str, again: &str| Filled { username: "j".into(), password: password.into(), again: again.into() };
        assert!(check(&filled("12345678", "12345678"), 8).is_ok());
        assert!(check(&filled("1234567", "1234567"), 8).is_err());
        assert!(check(&filled("12345678", "12345679"), 8).is_err());
    }

    #[test]
    fn d10_where_no_token_is_needed_the_origin_must_be_said() {
        assert!(!is_same_site(&headers(&[("origin", "null"), ("host", "house")]), false));
        assert!(is_same_site(&headers(&[("origin", "https://house"), ("host", "house")]), false));
        assert!(is_same_site(&headers(&[("origin", "null"), ("sec-fetch-site", "same-origin")]), false));
    }
}
