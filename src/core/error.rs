//! Whose fault it is, and what the peer is told.
//!
//! A peer's mistake is a [`Bounce`]: the exact stanza error of the RFC or XEP. A local fault (store, resource) becomes
//! `internal-server-error` or `resource-constraint` of type `wait` on the wire, and its full chain goes to the log.

use crate::ns;
use crate::store::StoreError;
use crate::xml::escape;

/// RFC 6120 8.3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorType {
    Auth,
    Cancel,
    Continue,
    Modify,
    Wait,
}

impl ErrorType {
    pub const fn as_str(self) -> &'static str {
        match self {
            ErrorType::Auth => "auth",
            ErrorType::Cancel => "cancel",
            ErrorType::Continue => "continue",
            ErrorType::Modify => "modify",
            ErrorType::Wait => "wait",
        }
    }

    pub fn parse(text: &str) -> Option<ErrorType> {
        use ErrorType::{Auth, Cancel, Continue, Modify, Wait};
        [Auth, Cancel, Continue, Modify, Wait].into_iter().find(|it| it.as_str() == text)
    }
}

macro_rules! conditions {
    ($($variant:ident $name:literal $kind:ident),* $(,)?) => {
        /// RFC 6120 8.3.3: the defined conditions, each with the error type the RFC recommends for it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Condition { $($variant),* }
        impl Condition {
            pub const fn as_str(self) -> &'static str { match self { $(Condition::$variant => $name),* } }
            pub fn parse(text: &str) -> Option<Condition> { match text { $($name => Some(Condition::$variant),)* _ => None } }
            pub const fn default_type(self) -> ErrorType { match self { $(Condition::$variant => ErrorType::$kind),* } }
        }
    };
}

conditions! {
    BadRequest "bad-request" Modify,
    Conflict "conflict" Cancel,
    FeatureNotImplemented "feature-not-implemented" Cancel,
    Forbidden "forbidden" Auth,
    Gone "gone" Cancel,
    InternalServerError "internal-server-error" Wait,
    ItemNotFound "item-not-found" Cancel,
    JidMalformed "jid-malformed" Modify,
    NotAcceptable "not-acceptable" Modify,
    NotAllowed "not-allowed" Cancel,
    NotAuthorized "not-authorized" Auth,
    PolicyViolation "policy-violation" Modify,
    RecipientUnavailable "recipient-unavailable" Wait,
    Redirect "redirect" Modify,
    RegistrationRequired "registration-required" Auth,
    RemoteServerNotFound "remote-server-not-found" Cancel,
    RemoteServerTimeout "remote-server-timeout" Wait,
    ResourceConstraint "resource-constraint" Wait,
    ServiceUnavailable "service-unavailable" Cancel,
    SubscriptionRequired "subscription-required" Auth,
    UndefinedCondition "undefined-condition" Cancel,
    UnexpectedRequest "unexpected-request" Wait,
}

/// A stanza error on its way back to whoever sent the stanza.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounce {
    pub condition: Condition,
    pub kind: ErrorType,
    pub text: Option<String>,
    /// Of `gone` and `redirect`: where to (RFC 6120 8.3.3.5, 8.3.3.14).
    pub address: Option<String>,
    /// An application-specific condition: a complete element with its own namespace.
    pub extra: Option<String>,
    /// What goes before `<error/>`: a complete element, that says which part of the request was not done.
    pub beside: Option<String>,
}

impl Bounce {
    pub fn new(condition: Condition) -> Bounce {
        Bounce { condition, kind: condition.default_type(), text: None, address: None, extra: None, beside: None }
    }

    pub fn kind(mut self, kind: ErrorType) -> Bounce {
        self.kind = kind;
        self
    }

    pub fn text(mut self, text: impl Into<String>) -> Bounce {
        self.text = Some(text.into());
        self
    }

    pub fn address(mut self, uri: impl Into<String>) -> Bounce {
        self.address = Some(uri.into());
        self
    }

    pub fn extra(mut self, element: impl Into<String>) -> Bounce {
        self.extra = Some(element.into());
        self
    }

    pub fn beside(mut self, element: impl Into<String>) -> Bounce {
        self.beside = Some(element.into());
        self
    }

    pub fn bad_request(why: &str) -> Bounce {
        Bounce::new(Condition::BadRequest).text(why)
    }

    /// The one answer for "nobody here", whoever is asked for: no user, no session, blocked, not allowed to know. Errors never
    /// tell whether somebody exists (RFC 6121 8.5.1, security B10).
    pub fn nobody() -> Bounce {
        Bounce::new(Condition::ServiceUnavailable)
    }

    /// The `<error/>` element, in the stream's content namespace, and what goes before it.
    pub fn write(&self, out: &mut String) {
        if let Some(beside) = &self.beside {
            out.push_str(beside);
        }
        out.push_str("<error type='");
        out.push_str(self.kind.as_str());
        out.push_str("'><");
        out.push_str(self.condition.as_str());
        out.push_str(" xmlns='");
        out.push_str(ns::STANZAS);
        match &self.address {
            Some(uri) => {
                out.push_str("'>");
                out.push_str(&escape::escape_text(uri));
                out.push_str("</");
                out.push_str(self.condition.as_str());
                out.push('>');
            }
            None => out.push_str("'/>"),
        }
        if let Some(text) = &self.text {
            out.push_str("<text xmlns='");
            out.push_str(ns::STANZAS);
            out.push_str("' xml:lang='en'>");
            out.push_str(&escape::escape_text(text));
            out.push_str("</text>");
        }
        if let Some(extra) = &self.extra {
            out.push_str(extra);
        }
        out.push_str("</error>");
    }
}

impl From<StoreError> for Bounce {
    fn from(error: StoreError) -> Bounce {
        match error {
            StoreError::Unavailable(_) => Bounce::new(Condition::ResourceConstraint),
            StoreError::Refused | StoreError::Broken(_) => Bounce::new(Condition::InternalServerError),
        }
    }
}
