//! How a component shows who it is (XEP-0114 3): a header, a handshake.

use std::sync::Arc;

use iris_core::effects::StreamError;
use iris_core::hex;
use iris_core::ns;
use iris_core::xml::escape_attr;
use iris_core::xml::scan::StreamHeader;
use iris_core::xml::stanza::Stanza;
use subtle::ConstantTimeEq;

use super::sasl::Hash;
use super::{Env, address};

const ACCEPT: &str = "jabber:component:accept";

/// A stream of a component, before it is one.
#[derive(Default)]
pub struct Knock {
    id: String,
    /// The domain it wants to be.
    domain: Option<String>,
    opened: bool,
}

impl Knock {
    /// Its header is answered, also when there is something wrong with it (RFC 6120 4.9.1.2).
    pub fn header(&mut self, header: &StreamHeader, env: &mut Env<'_>) -> Result<(), StreamError> {
        let again = self.opened;
        let to =
            header.to.as_deref().and_then(|to| address(to).ok()).filter(|to| to.node().is_none() && to.resource().is_none());
        let domain = to.map(|to| to.domain().as_str().to_owned());
        self.domain = domain.filter(|domain| env.hosts.get(domain).is_some_and(|doors| doors.component.is_some()));
        self.open(env);
        if header.default_ns != ACCEPT {
            return Err(StreamError::new("invalid-namespace").text("this port is for components (jabber:component:accept)"));
        }
        match &self.domain {
            Some(_) if !again => Ok(()),
            Some(_) => Err(StreamError::new("not-authorized")),
            None => Err(StreamError::new("host-unknown").text("no component of that name is configured here")),
        }
    }

    fn open(&mut self, env: &mut Env<'_>) {
        let mut id = [0; 16];
        (env.random)(&mut id);
        self.id = hex::write(&id);
        let from = self.domain.as_deref().map(|from| format!(" from='{}'", escape_attr(from))).unwrap_or_default();
        let header = format!(
            "<?xml version='1.0'?><stream:stream xmlns='{ACCEPT}' xmlns:stream='{}' id='{}'{from}>",
            ns::STREAMS,
            self.id
        );
        env.out.extend_from_slice(header.as_bytes());
        self.opened = true;
    }

    /// The first element has to be the handshake. Which component it is.
    pub fn element(&mut self, stanza: &Stanza, env: &Env<'_>) -> Result<Arc<str>, StreamError> {
        let (_, name) = stanza.name();
        let doors = self.domain.as_deref().filter(|_| name == "handshake").and_then(|domain| env.hosts.get(domain));
        let Some((doors, secret)) = doors.and_then(|doors| Some((doors, doors.component.as_deref()?))) else {
            return Err(StreamError::new("not-authorized").text("the first element is a handshake"));
        };
        let proof = hex::write(Hash::Sha1.digest(format!("{}{secret}", self.id).as_bytes()).as_slice());
        if bool::from(proof.as_bytes().ct_eq(stanza.text().trim().as_bytes())) {
            return Ok(Arc::from(doors.domain.as_str()));
        }
        Err(StreamError::new("not-authorized").text("the secret is another one"))
    }

    /// The end, behind a header.
    pub fn fail(&mut self, error: &StreamError, env: &mut Env<'_>) {
        if !self.opened {
            self.open(env);
        }
        env.out.extend_from_slice(error.to_xml().as_bytes());
        env.out.extend_from_slice(b"</stream:stream>");
    }
}
