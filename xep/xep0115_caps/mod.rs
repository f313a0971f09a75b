//! XEP-0115: Entity Capabilities - what a server or a client can do, as a hash that is asked for once.
//! Spec 1.6.0, https://xmpp.org/extensions/xep-0115.html. Not done: caps optimisation (section 8.4, optional): what clients
//! say of themselves travels in their presence untouched.
//!
//! `known` learns what our own clients can do: only what has been verified counts (5.4), and of all of it only which news they
//! want (XEP-0060 9.2); `far` the same of clients that no account of the house knows. XEP-0390 joins it with its own hash.

pub mod far;
mod hash;
pub mod known;

use std::sync::{Arc, OnceLock};

use iris_core::mount::Doors;
use iris_core::xml::{El, escape_attr};
use iris_core::{At, Card, Event, Mount, MountError, Room, Status, Step, When, ns};

use hash::{Named, text};
use known::{Algo, Known};

pub const ROOM: Room = Room {
    card: Card { xep: Some(115), name: "Entity Capabilities", version: "1.6.0", status: Status::Complete, needs: &[30] },
    mount,
};

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    m.feature(At::Host, ns::CAPS);
    // Section 6.3. The doors are frozen when the first stream asks, so once is enough.
    let feature = OnceLock::new();
    m.stream_feature(When::Authenticated, move |doors| {
        feature
            .get_or_init(|| {
                let (node, ver) = (node_of(doors), ver_of(doors));
                format!("<c xmlns='{}' hash='sha-1' node='{}' ver='{}'/>", ns::CAPS, escape_attr(&node), escape_attr(&ver))
            })
            .clone()
    });
    m.state(&known::CLAIMS, &[], |_| Vec::new())?;
    let shared = Arc::new(Known::default());
    let theirs = shared.clone();
    let accounts = m.domains().to_vec();
    m.rules(far::Accounts(accounts));
    m.state(&far::FAR, &[], |_| far::Far::default())?;
    m.on(Step::PresenceIn, move |turn| far::heard(turn, &theirs));
    m.on(Step::PresenceOut, move |turn| known::heard(turn, &shared));
    m.on_event(Event::SessionEnded, known::forget);
    Ok(())
}

/// Is this `node#ver` what we announce (section 6.2)?
pub fn is_node_of(doors: &Doors, node: &str) -> bool {
    let announced = doors.features_at(At::Host).any(|feature| feature == ns::CAPS);
    announced && node.strip_prefix(&node_of(doors)).and_then(|it| it.strip_prefix('#')).is_some_and(|ver| ver == ver_of(doors))
}

/// Section 4: "an HTTP URL at which a user could find further information about the software product". That is the start page of
/// the house itself, which says what it is and which version; without a web side the address of the domain.
fn node_of(doors: &Doors) -> String {
    node(doors.site.as_deref(), &doors.domain)
}

fn node(site: Option<&str>, domain: &str) -> String {
    site.map_or_else(|| format!("xmpp:{domain}"), |site| format!("{site}/"))
}

fn ver_of(doors: &Doors) -> String {
    let identities = doors.identities.iter().filter(|(at, _)| *at == At::Host).map(|(_, it)| Named {
        category: it.category,
        kind: it.kind,
        lang: "",
        name: it.name.as_deref().unwrap_or_default(),
    });
    let forms: Vec<El<'_>> =
        doors.forms.iter().filter(|(at, _)| *at == At::Host).filter_map(|(_, form)| El::parse(form.as_bytes())).collect();
    Algo::Sha1.digest(text(identities.collect(), doors.features_at(At::Host).collect(), &forms).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ROOMS;
    use base64::Engine as _;

    fn ver(identities: Vec<Named<'_>>, features: Vec<&str>, forms: &[El<'_>]) -> String {
        Algo::Sha1.digest(text(identities, features, forms).as_bytes())
    }

    use iris_engine::testing::House;
    use xmpp_parsers::caps::{compute_disco, hash_caps};
    use xmpp_parsers::disco::DiscoInfoResult;

    /// Section 5.3.
    #[test]
    fn s5_3_the_complex_generation_example() {
        let psi = |lang, name| Named { category: "client", kind: "pc", lang, name };
        let form = "<x xmlns='jabber:x:data' type='result'>\
            <field var='FORM_TYPE' type='hidden'><value>urn:xmpp:dataforms:softwareinfo</value></field>\
            <field var='ip_version' type='text-multi'><value>ipv4</value><value>ipv6</value></field>\
            <field var='os'><value>Mac</value></field><field var='os_version'><value>10.5.1</value></field>\
            <field var='software'><value>Psi</value></field><field var='software_version'><value>0.11</value></field></x>";
        let features = vec![
            "http://jabber.org/protocol/caps",
            "http://jabber.org/protocol/disco#info",
            "http://jabber.org/protocol/disco#items",
            "http://jabber.org/protocol/muc",
        ];
        let form = El::parse(form.as_bytes()).expect("a form");
        assert_eq!(ver(vec![psi("en", "Psi 0.11"), psi("el", "Ψ 0.11")], features, &[form]), "q07IKJEyjvHSyhy//CH0CxmKi8w=");
    }

    /// Section 5.2.
    #[test]
    fn s5_2_the_simple_generation_example() {
        let exodus = Named { category: "client", kind: "pc", lang: "", name: "Exodus 0.9.1" };
        let features = vec![
            "http://jabber.org/protocol/muc",
            "http://jabber.org/protocol/disco#info",
            "http://jabber.org/protocol/disco#items",
            "http://jabber.org/protocol/caps",
        ];
        assert_eq!(ver(vec![exodus], features, &[]), "QgayPKawpkPSDYmwT/WM94uAlu0=");
    }

    /// Section 6.2: the hash in the stream features is the hash of what the server answers, computed here by somebody else.
    #[test]
    fn s6_3_the_stream_feature_stands_for_what_disco_says() {
        let mut house = House::with(ROOMS);
        let romeo = house.online("romeo@house/orchard");
        let doors = house.shards[0].hosts().get("house").expect("the domain").clone();
        let features = doors.stream_features(When::Authenticated);
        let at = features.find("<c xmlns=").expect("caps among the features");
        let caps = El::parse(&features.as_bytes()[at..]).expect("an element");
        let (node, ver) = (caps.attr("node").expect("a node"), caps.attr("ver").expect("a ver"));
        assert_eq!(caps.attr("hash").as_deref(), Some("sha-1"));
        let ask = format!("<query xmlns='http://jabber.org/protocol/disco#info' node='{node}#{ver}'/>");
        let answer = house.iq(&romeo, "get", Some("house"), &ask);
        let info: DiscoInfoResult = answer.parse_child(&answer.children()[0]).expect("a disco#info result");
        assert_eq!(info.node.as_deref(), Some(&*format!("{node}#{ver}")));
        // Step 6 of 5.1 by hand: xmpp-parsers sorts the features with their `<`, which puts `a#b` before `a`.
        let generated = String::from_utf8(compute_disco(&info)).expect("UTF-8");
        let (identities, rest) = generated.split_at(info.identities.iter().map(identity_chars).sum());
        let (_, forms) = rest.split_at(info.features.iter().map(|feature| feature.len() + 1).sum());
        let mut features: Vec<&str> = info.features.iter().map(String::as_str).collect();
        features.sort_unstable();
        let features: String = features.iter().map(|feature| format!("{feature}<")).collect();
        let all = format!("{identities}{features}{forms}");
        let hash = hash_caps(all.as_bytes(), xmpp_parsers::hashes::Algo::Sha_1).expect("a hash");
        assert_eq!(base64::engine::general_purpose::STANDARD.encode(&hash.hash), ver);
    }

    #[test]
    fn s4_the_node_is_an_address_of_ours_and_nobody_elses() {
        assert_eq!(node(Some("https://house:5443"), "house"), "https://house:5443/");
        assert_eq!(node(None, "house"), "xmpp:house");
    }

    /// `category/type/lang/name<`
    fn identity_chars(identity: &xmpp_parsers::disco::Identity) -> usize {
        let lang = identity.lang.as_deref().map_or(0, str::len);
        identity.category.len() + identity.type_.len() + lang + identity.name.as_deref().map_or(0, str::len) + 4
    }

    #[test]
    fn not_applicable_an_old_hash_is_no_node() {
        let mut house = House::with(ROOMS);
        let romeo = house.online("romeo@house/orchard");
        let ask =
            "<query xmlns='http://jabber.org/protocol/disco#info' node='https://house:5443/#AAAAAAAAAAAAAAAAAAAAAAAAAAA='/>";
        assert!(house.iq(&romeo, "get", Some("house"), ask).as_str().contains("item-not-found"));
    }
}
