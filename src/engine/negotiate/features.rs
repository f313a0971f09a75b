//! What a stream offers, before and after authentication.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use iris_core::login::HashSet;
use iris_core::mount::{Doors, SaslInline, When};
use iris_core::ns;
use iris_core::xml::escape::escape_attr;
use jid::DomainPart;

use super::sasl::{Hash, Mechanism, Offered};
use super::{Env, Security, fast, passwordless, upgrade};
use crate::shard::offers;

/// Before authentication; `hashes`: what there are keys for. `None`: only TLS is offered, nothing can be authenticated yet. Beside it what names these features.
pub(super) fn open(
    clear: bool,
    security: Option<&Security>,
    host: &Doors,
    hashes: HashSet,
    env: &mut Env<'_>,
) -> (Option<Offered>, String) {
    let mut xml = String::from("<stream:features>");
    let offered = if clear {
        xml.push_str(&format!("<starttls xmlns='{}'><required/></starttls>", ns::TLS));
        None
    } else {
        let offered = mechanisms(security, host, hashes, env);
        if let Some(offered) = &offered {
            xml.push_str(&format!("<mechanisms xmlns='{}'>", ns::SASL));
            for name in offered.mechanism_names() {
                xml.push_str(&format!("<mechanism>{name}</mechanism>"));
            }
            xml.push_str("</mechanisms>");
            sasl2(&mut xml, offered, host);
            let mut bindings = offered.binding_types().peekable();
            if bindings.peek().is_some() {
                xml.push_str(&format!("<sasl-channel-binding xmlns='{}'>", ns::SASL_CB));
                for kind in bindings {
                    xml.push_str(&format!("<channel-binding type='{kind}'/>"));
                }
                xml.push_str("</sasl-channel-binding>");
            }
        }
        offered
    };
    xml.push_str(&host.stream_features(When::Always));
    if offered.is_some() {
        xml.push_str(&host.stream_features(When::Registering));
    }
    limits(&mut xml, env.limits.pre_auth_stanza_size_bytes_max, env.limits.negotiation_timeout.as_secs());
    // XEP-0509 2.3: a hash of everything before it.
    let hash = Hash::Sha256.digest(xml.as_bytes());
    let version = URL_SAFE_NO_PAD.encode(hash.as_slice().get(..12).unwrap_or_default());
    if offered.is_some() {
        xml.push_str(&format!("<config-version xmlns='{IAP}' scheme='opaque' value='{version}'/>"));
    }
    xml.push_str("</stream:features>");
    env.out.extend_from_slice(xml.as_bytes());
    (offered, version)
}

/// XEP-0509.
pub(super) const IAP: &str = "urn:xmpp:iap:0";

/// XEP-0388 2.1.
fn sasl2(xml: &mut String, offered: &Offered, host: &Doors) {
    xml.push_str(&format!("<authentication xmlns='{}'>", ns::SASL2));
    for name in offered.mechanism_names() {
        xml.push_str(&format!("<mechanism>{name}</mechanism>"));
    }
    xml.push_str("<inline>");
    if offers(host, SaslInline::Bind) {
        let mut inside: Vec<&str> = host.bind_inline.iter().map(|door| door.ns.as_str()).collect();
        inside.extend(offers(host, SaslInline::StreamManagement).then_some(ns::SM));
        inside.sort_unstable();
        inside.dedup();
        xml.push_str(&format!("<bind xmlns='{}'><inline>", ns::BIND2));
        for feature in inside {
            xml.push_str(&format!("<feature var='{}'/>", escape_attr(feature)));
        }
        xml.push_str("</inline></bind>");
    }
    if offers(host, SaslInline::StreamManagement) {
        xml.push_str(&format!("<sm xmlns='{}'/>", ns::SM));
    }
    if offers(host, SaslInline::Fast) {
        xml.push_str(&format!("<fast xmlns='{}'>", ns::FAST));
        for mechanism in fast::offered(offered) {
            xml.push_str(&format!("<mechanism>{}</mechanism>", mechanism.name()));
        }
        xml.push_str("</fast>");
    }
    xml.push_str("</inline>");
    if offers(host, SaslInline::Upgrade) {
        for hash in upgrade::HASHES {
            xml.push_str(&format!("<upgrade xmlns='{}'>{}</upgrade>", upgrade::NS, upgrade::task(hash)));
        }
    }
    xml.push_str("</authentication>");
}

/// After authentication: bind (unless that is done), and whatever the rooms offer that is not done already.
pub(super) fn authenticated(host: &Doors, done: &Done, env: &mut Env<'_>) {
    let mut xml = String::from("<stream:features>");
    if !done.bound {
        xml.push_str(&format!("<bind xmlns='{}'/>", ns::BIND));
        // Not needed by anybody since RFC 6121, still asked for by old clients; marked optional.
        xml.push_str(&format!("<session xmlns='{}'><optional/></session>", ns::SESSION));
    }
    xml.push_str(&format!("<ver xmlns='{}'/><sub xmlns='{}'/>", ns::ROSTER_VERSIONING, ns::PRE_APPROVAL));
    xml.push_str(&host.stream_features(When::Always));
    // Offered again, xmpp.js would enable it again, and drop what it has when that is refused.
    let rest = host.stream_features(When::Authenticated);
    let sm = format!("<sm xmlns='{}'/>", ns::SM);
    xml.push_str(&if done.stream_management { rest.replace(&sm, "") } else { rest });
    limits(&mut xml, env.limits.stanza_size_bytes_max, env.limits.idle_timeout.as_secs());
    xml.push_str("</stream:features>");
    env.out.extend_from_slice(xml.as_bytes());
}

/// What needs no more offering.
#[derive(Default)]
pub(super) struct Done {
    pub bound: bool,
    /// XEP-0198 was enabled with the bind.
    pub stream_management: bool,
}

/// XEP-0478: what the scanner enforces, and after how long a silent client is asked whether it lives.
fn limits(xml: &mut String, size: usize, idle: u64) {
    xml.push_str(&format!(
        "<limits xmlns='{}'><max-bytes>{size}</max-bytes><idle-seconds>{idle}</idle-seconds></limits>",
        ns::STREAM_LIMITS
    ));
}

/// PLAIN never travels in the clear, except where development asks for it.
fn mechanisms(security: Option<&Security>, host: &Doors, hashes: HashSet, env: &Env<'_>) -> Option<Offered> {
    let domain = DomainPart::new(&host.domain).ok()?.into_owned();
    let is_allowed = |mechanism: &Mechanism| mechanism.hash().map_or(env.policy.plain_sasl, |hash| hashes.has(hash.bit()));
    let allowed: Vec<Mechanism> = Mechanism::ALL.into_iter().filter(is_allowed).collect();
    let (bindings, version) = security.map_or((Vec::new(), None), |it| (it.bindings.clone(), Some(it.version)));
    let certified = security.is_some_and(|it| it.addresses.iter().any(|address| *address.domain().as_str() == host.domain));
    // RFC 6120 6.3.4: EXTERNAL only to who has shown a certificate that speaks for somebody here.
    let others = [(certified, passwordless::EXTERNAL), (host.guests, passwordless::ANONYMOUS)];
    let others = others.into_iter().filter(|(offered, _)| *offered).map(|(_, name)| name);
    Some(Offered::new(domain, &allowed, bindings, version).with_others(others))
}
