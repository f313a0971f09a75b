//! Namespaces that more than one place names. A room's own namespaces stand in the room.

pub const CLIENT: &str = "jabber:client";
pub const STREAMS: &str = "http://etherx.jabber.org/streams";
pub const STREAM_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-streams";
pub const STANZAS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";
pub const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
pub const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
pub const SASL2: &str = "urn:xmpp:sasl:2";
pub const FAST: &str = "urn:xmpp:fast:0";
pub const BIND2: &str = "urn:xmpp:bind:0";
pub const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";
pub const SESSION: &str = "urn:ietf:params:xml:ns:xmpp-session";
pub const SASL_CB: &str = "urn:xmpp:sasl-cb:0";
pub const STREAM_LIMITS: &str = "urn:xmpp:stream-limits:0";
pub const ROSTER: &str = "jabber:iq:roster";
pub const ROSTER_VERSIONING: &str = "urn:xmpp:features:rosterver";
pub const PRE_APPROVAL: &str = "urn:xmpp:features:pre-approval";
pub const INVISIBLE: &str = "urn:xmpp:invisible:1";
pub const SM: &str = "urn:xmpp:sm:3";
pub const STANZA_ID: &str = "urn:xmpp:sid:0";
pub const DELAY: &str = "urn:xmpp:delay";
pub const HINTS: &str = "urn:xmpp:hints";
pub const FORWARD: &str = "urn:xmpp:forward:0";
/// XEP-0122.
pub const FORM_MEDIA: &str = "urn:xmpp:media-element";
pub const DATA_VALIDATE: &str = "http://jabber.org/protocol/xdata-validate";
pub const DATA_FORMS: &str = "jabber:x:data";
pub const CAPS: &str = "http://jabber.org/protocol/caps";
pub const FRAMING: &str = "urn:ietf:params:xml:ns:xmpp-framing";
pub const HTTP_BIND: &str = "http://jabber.org/protocol/httpbind";
pub const XBOSH: &str = "urn:xmpp:xbosh";
