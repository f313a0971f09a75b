//! XEP-0114: Jabber Component Protocol - programs that are domains of their own: bots, gateways.
//! Spec 1.6, https://xmpp.org/extensions/xep-0114.html. Not done: the method "connect", in which the server calls the component.
//!
//! Streams are shown in by `engine/negotiate/component.rs` and `net/pipe/component.rs`; a component is a service of a domain
//! (`Mount::component`) whose session hears everything that is sent to any of its addresses (`engine/component.rs`). One stream a
//! component: a new one that knows the secret takes the place of the old.

use iris_core::{Card, Mount, MountError, Room, Status};
use serde::Deserialize;

use crate::nearest_above;

pub const ROOM: Room = Room {
    card: Card { xep: Some(114), name: "Jabber Component Protocol", version: "1.6", status: Status::Complete, needs: &[30] },
    mount,
};

const SECRET_BYTES_MIN: usize = 8;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    component: Vec<Component>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Component {
    domain: String,
    secret: String,
}

impl iris_core::mount::Settings for Config {
    const TABLE: &'static str = "components";
    const REFERENCE: &'static str = "\
# Programs that are domains of their own: bots, gateways (XEP-0114). Each is a table, and they come in by a listener of the kind
# \"component\" ([[listen]] kind = \"component\", address = \"127.0.0.1:5347\"):
#   [[xep.components.component]]
#   domain = \"bot.example.org\"
#   secret = \"…\"                 # the same in the program's own configuration; at least 8 characters
";
}

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    let config = m.config::<Config>()?;
    for (number, component) in config.component.iter().enumerate() {
        let domain = component.domain.as_str();
        let wrong = |key: &str, why: String| Err(m.wrong::<Config>(&format!("component.{number}.{key}"), why));
        let jid = iris_core::Jid::new(domain).ok().filter(|jid| jid.node().is_none() && jid.resource().is_none());
        if jid.is_none_or(|jid| jid.as_str() != domain) {
            return wrong("domain", format!("{domain:?} is no domain in lower case"));
        }
        if component.secret.len() < SECRET_BYTES_MIN {
            return wrong("secret", format!("the secret of {domain} is shorter than {SECRET_BYTES_MIN} characters"));
        }
        if config.component[..number].iter().any(|other| other.domain == domain) {
            return wrong("domain", format!("{domain} stands there twice"));
        }
        if m.domains().iter().any(|other| other == domain) || m.serves(domain) {
            return wrong("domain", format!("{domain} is served by this server itself"));
        }
        if belongs_to(domain, m.domains()).is_none_or(|home| home == m.domain()) {
            m.component(domain, &component.secret);
        }
    }
    Ok(())
}

/// The domain it is listed with: the nearest one above it, or else the house's own.
fn belongs_to<'a>(domain: &str, domains: &'a [String]) -> Option<&'a str> {
    nearest_above(domain, domains).or(domains.first().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use iris_core::mount::{Doors, RoomConfig};
    use iris_core::xml::names::NameTable;
    use iris_engine::testing::House;

    use super::belongs_to;
    use crate::ROOMS;

    const CONFIG: &str = "[[xep.components.component]]\ndomain = \"bot.house\"\nsecret = \"northnorthwest\"\n";

    #[test]
    fn a_component_is_listed_with_the_nearest_domain_above_it() {
        let domains = ["house", "west.house", "away"].map(String::from);
        for (domain, home) in
            [("bot.house", "house"), ("bot.west.house", "west.house"), ("a.b.away", "away"), ("irc.org", "house")]
        {
            assert_eq!(belongs_to(domain, &domains), Some(home), "{domain}");
        }
        assert_eq!(belongs_to("westhouse", &domains), Some("house"), "no label of it");
    }

    #[test]
    fn s3_what_is_sent_to_any_of_its_addresses_is_heard_as_it_was_sent() {
        let mut house = House::with_config(ROOMS, CONFIG);
        let romeo = house.online("romeo@house/orchard");
        let bot = house.component("bot.house");
        for to in ["bot.house", "echo@bot.house", "echo@bot.house/x y"] {
            house.send(&romeo, &format!("<message to='{to}' type='chat' id='m'><body>hi</body></message>"));
            let heard = house.one(&bot);
            assert_eq!(heard.to().as_deref(), Some(to));
            assert_eq!(heard.from().as_deref(), Some("romeo@house/orchard"));
        }
        house.send(&romeo, "<presence to='echo@bot.house' type='subscribe'/>");
        assert!(house.one(&bot).as_str().contains("type='subscribe'"));
        house.send(&romeo, "<iq to='bot.house' type='get' id='d'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>");
        assert!(house.one(&bot).as_str().contains("disco#info"));
        let items = house.iq(&romeo, "get", Some("house"), "<query xmlns='http://jabber.org/protocol/disco#items'/>");
        assert!(items.as_str().contains("jid='bot.house'"), "{}", items.as_str());
    }

    #[test]
    fn s3_it_speaks_for_all_of_its_domain_and_is_answered_there() {
        let mut house = House::with_config(ROOMS, CONFIG);
        let romeo = house.online("romeo@house/orchard");
        let bot = house.component("bot.house");
        house.send(&bot, "<message from='echo@bot.house/1' to='romeo@house' type='chat'><body>you said</body></message>");
        assert_eq!(house.one(&romeo).from().as_deref(), Some("echo@bot.house/1"));
        let ask = "<iq from='echo@bot.house/1' to='house' type='get' id='v'><query xmlns='jabber:iq:version'/></iq>";
        house.send(&bot, ask);
        let answer = house.one(&bot);
        assert!(
            answer.to().as_deref() == Some("echo@bot.house/1") && answer.as_str().contains("<name>Iris"),
            "{}",
            answer.as_str()
        );
        house.send(
            &bot,
            "<iq from='echo@bot.house/1' to='nobody@house' type='get' id='v'><query xmlns='jabber:iq:version'/></iq>",
        );
        let error = house.one(&bot);
        assert!(error.to().as_deref() == Some("echo@bot.house/1") && error.as_str().contains("service-unavailable"));
        house.send(&bot, "<iq from='echo@bot.house/1' type='get' id='v'><query xmlns='jabber:iq:version'/></iq>");
        let error = house.one(&bot);
        assert!(
            error.to().as_deref() == Some("echo@bot.house/1") && error.as_str().contains("bad-request"),
            "{}",
            error.as_str()
        );
    }

    #[test]
    fn c1_it_speaks_for_nobody_else() {
        for from in
            ["from='romeo@house'", "from='bot.house.example'", "from='@@'", "from='a b@house'", "from='a b@x.bot.house'", ""]
        {
            let mut house = House::with_config(ROOMS, CONFIG);
            let romeo = house.online("romeo@house/orchard");
            let bot = house.component("bot.house");
            house.send(&bot, &format!("<message {from} to='romeo@house'><body>forged</body></message>"));
            house.nothing(&romeo);
            assert!(house.is_over(&bot), "{from}");
        }
    }

    #[test]
    fn one_odd_name_is_an_error_and_the_stream_goes_on() {
        let mut house = House::with_config(ROOMS, CONFIG);
        let romeo = house.online("romeo@house/orchard");
        let bot = house.component("bot.house");
        let long = format!("{}@bot.house", "x".repeat(1_024));
        for from in ["a b@bot.house", "a@b@bot.house/1", "@bot.house", "echo@bot.house./", "echo@BOT.house/", &long] {
            house.send(&bot, &format!("<message from='{from}' to='romeo@house' id='m'><body>hi</body></message>"));
            let error = house.one(&bot);
            assert!(error.as_str().contains("<jid-malformed "), "{from}: {}", error.as_str());
            assert_eq!((error.to().as_deref(), error.id().as_deref()), (Some("bot.house"), Some("m")), "{from}");
            // What must not be answered is not.
            house.send(&bot, &format!("<message from='{from}' to='romeo@house' type='error'/>"));
            house.send(&bot, &format!("<iq from='{from}' to='romeo@house' type='result' id='r'/>"));
            house.nothing(&bot);
            house.nothing(&romeo);
        }
        house.send(&bot, "<message from='echo@bot.house' to='romeo@house'><body>still there</body></message>");
        assert!(house.one(&romeo).as_str().contains("still there"));
    }

    #[test]
    fn who_writes_to_one_that_is_not_there_hears_so() {
        let mut house = House::with_config(ROOMS, CONFIG);
        let romeo = house.online("romeo@house/orchard");
        house.send(&romeo, "<message to='echo@bot.house' id='m1'><body>hi</body></message>");
        assert!(house.one(&romeo).as_str().contains("service-unavailable"));
        house.send(&romeo, "<presence to='echo@bot.house'/>");
        house.nothing(&romeo);
        // It goes with something that it has not taken.
        let bot = house.component("bot.house");
        house.feed(&romeo, "<message to='echo@bot.house' id='m2'><body>hi</body></message>");
        house.run();
        house.close(&bot);
        let error = house.one(&romeo);
        assert!(error.as_str().contains("service-unavailable") && error.id().as_deref() == Some("m2"), "{}", error.as_str());
        let bot = house.component("bot.house");
        house.send(&romeo, "<iq to='echo@bot.house' type='get' id='i2'><query xmlns='jabber:iq:version'/></iq>");
        house.close(&bot);
        let error = house.one(&romeo);
        assert!(error.as_str().contains("service-unavailable") && error.id().as_deref() == Some("i2"), "{}", error.as_str());
    }

    #[test]
    fn a_new_stream_takes_the_place_of_the_old() {
        let mut house = House::with_config(ROOMS, CONFIG);
        let romeo = house.online("romeo@house/orchard");
        let (old, new) = (house.component("bot.house"), house.component("bot.house"));
        assert!(house.is_over(&old));
        house.send(&romeo, "<message to='bot.house'><body>hi</body></message>");
        assert!(house.one(&new).as_str().contains("hi"));
    }

    #[test]
    fn an_affiliation_of_a_room_may_be_a_components() {
        let mut house = House::with_config(ROOMS, CONFIG);
        let (romeo, bot) = (house.online("romeo@house/orchard"), house.component("bot.house"));
        let (muc, room) = ("http://jabber.org/protocol/muc", "hall@conference.house");
        house.send(&romeo, &format!("<presence to='{room}/romeo'><x xmlns='{muc}'/></presence>"));
        house.recv(&romeo);
        let submit = format!("<query xmlns='{muc}#owner'><x xmlns='jabber:x:data' type='submit'/></query>");
        house.iq(&romeo, "set", Some(room), &submit);
        for owner in ["bot.house", "guide@bot.house"] {
            let item = format!("<query xmlns='{muc}#admin'><item jid='{owner}' affiliation='owner'/></query>");
            assert!(house.iq(&romeo, "set", Some(room), &item).as_str().contains("type='result'"), "{owner}");
            let told = house.one(&bot);
            assert!(told.to().as_deref() == Some(owner) && told.as_str().contains("code='101'"), "{}", told.as_str());
        }
        house.send(&bot, &format!("<presence from='guide@bot.house/1' to='{room}/guide'><x xmlns='{muc}'/></presence>"));
        let heard = house.recv(&bot);
        assert!(heard.iter().all(|it| it.to().as_deref() == Some("guide@bot.house/1")), "{heard:?}");
        let own = heard.iter().find(|it| it.as_str().contains("code='110'")).expect("its own presence");
        assert!(own.as_str().contains("affiliation='owner'"), "{}", own.as_str());
        // The component itself need not be there to have a say.
        house.send(&bot, &format!("<iq from='bot.house' to='{room}' type='get' id='f'><query xmlns='{muc}#owner'/></iq>"));
        let form = house.one(&bot);
        assert!(
            form.to().as_deref() == Some("bot.house") && form.as_str().contains("muc#roomconfig_roomname"),
            "{}",
            form.as_str()
        );
    }

    #[test]
    fn what_makes_no_sense_is_an_error_of_the_configuration() {
        for (domain, secret, word) in [
            ("Bot.house", "northnorthwest", "no domain"),
            ("a@bot.house", "northnorthwest", "no domain"),
            ("bot.house", "north", "shorter"),
            ("house", "northnorthwest", "served"),
            ("conference.house", "northnorthwest", "served"),
        ] {
            let config = format!("[[xep.components.component]]\ndomain = {domain:?}\nsecret = {secret:?}\n");
            let config = RoomConfig::parse(&config).expect("TOML").with_domains(&["house".to_owned()]);
            let wrong = Doors::open("house", ROOMS, &mut NameTable::new(), &config).err().expect(domain);
            assert!(wrong.to_string().contains(word), "{wrong}");
        }
    }
}
