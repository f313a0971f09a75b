//! XEP-0215: External Service Discovery - where a client finds STUN and TURN.
//! Spec 1.0.0, https://xmpp.org/extensions/xep-0215.html. Not done: pushes of changed lists (section 3.2, a MAY): services change with
//! the configuration, and a client asks before each call.
//!
//! Credentials for TURN are made by the server and the relay out of a secret that both know, without talking to each other (the TURN
//! REST draft of the text's section 3.3, as coturn and others have it): `username` is `UNIX-TIME-OF-EXPIRY:NAME`, `password` the
//! Base64 of HMAC-SHA1(secret, username). NAME is an image of the account: a relay's log does not say who calls.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use iris_core::xml::{Build, El};
use iris_core::{At, Bounce, Card, Condition, GetOrSet, HostTurn, Mount, MountError, Reply, Room, Status, time};
use serde::Deserialize;
use sha1::Sha1;

use crate::result;

pub const ROOM: Room = Room {
    card: Card { xep: Some(215), name: "External Service Discovery", version: "1.0.0", status: Status::Complete, needs: &[30] },
    mount,
};

const NS: &str = "urn:xmpp:extdisco:2";

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    credentials_seconds: u32,
    service: Vec<Service>,
}

impl Default for Config {
    fn default() -> Config {
        Config { credentials_seconds: 86_400, service: Vec::new() }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Service {
    #[serde(rename = "type")]
    kind: String,
    host: String,
    port: Option<u16>,
    transport: Option<String>,
    name: Option<String>,
    username: Option<String>,
    password: Option<String>,
    secret: Option<String>,
}

impl iris_core::mount::Settings for Config {
    const TABLE: &'static str = "external_services";
    const REFERENCE: &'static str = "\
# Relays and other services beside this server that calls need (XEP-0215), each a table of its own:
#   [[xep.external_services.service]]
#   type = \"turn\"                # stun, stuns, turn, turns, or another that is registered
#   host = \"turn.example.org\"
#   port = 3478
#   transport = \"udp\"            # or \"tcp\"
#   secret = \"…\"                 # what coturn calls static-auth-secret; or username and password that are everybody's
# How long credentials that are made of a secret are good.
credentials_seconds = 86400
";
}

impl Service {
    fn check(&self) -> Result<(), String> {
        let is_name =
            |text: &str| !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '/');
        if !is_name(&self.kind) || !is_name(&self.host) {
            return Err(format!("type {:?} at host {:?}: both are words", self.kind, self.host));
        }
        if self.transport.as_deref().is_some_and(|it| !matches!(it, "udp" | "tcp")) {
            return Err(format!("transport of {} is \"udp\" or \"tcp\"", self.host));
        }
        match (&self.username, &self.password, &self.secret) {
            (None, None, _) | (Some(_), Some(_), None) => Ok(()),
            (_, _, Some(_)) => Err(format!("{} has a secret and a username or password: one of both", self.host)),
            _ => Err(format!("{} has a username or a password and not the other", self.host)),
        }
    }

    /// With what the one who asks may show there.
    fn write(&self, xml: &mut Build, turn: &HostTurn<'_>, seconds: u32) {
        xml.open("service").attr("type", &self.kind).attr("host", &self.host);
        xml.attr_opt("port", self.port.map(|port| port.to_string()).as_deref());
        xml.attr_opt("transport", self.transport.as_deref()).attr_opt("name", self.name.as_deref());
        if let (Some(username), Some(password)) = (&self.username, &self.password) {
            xml.attr("restricted", "1").attr("username", username).attr("password", password);
        }
        if let Some(secret) = &self.secret {
            let until = turn.now.wall_us / 1_000_000 + u64::from(seconds);
            let person = turn.from.to_bare();
            let username = format!("{until}:{}", turn.house.keyed.name(&["relay", person.as_str()]));
            xml.attr("restricted", "1").attr("expires", &time::datetime(until * 1_000_000));
            xml.attr("password", &password(secret, &username)).attr("username", &username);
        }
        xml.close();
    }
}

fn password(secret: &str, username: &str) -> String {
    // An HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(username.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    let config = std::sync::Arc::new(m.config::<Config>()?);
    for (number, service) in config.service.iter().enumerate() {
        service.check().map_err(|why| m.wrong::<Config>(&format!("service.{number}"), why))?;
    }
    if config.service.is_empty() {
        return Ok(());
    }
    m.feature(At::Host, NS);
    let all = config.clone();
    m.host_iq_named(GetOrSet::Get, NS, "services", move |turn, el| services(turn, &el, &all))?;
    m.host_iq_named(GetOrSet::Get, NS, "credentials", move |turn, el| credentials(turn, &el, &config))
}

/// What opens a relay that somebody pays for is for the people of this server.
fn is_ours(turn: &HostTurn<'_>) -> Result<(), Bounce> {
    if turn.is_local() { Ok(()) } else { Err(Bounce::new(Condition::Forbidden).text("only accounts of this server are told")) }
}

/// 3.1, 3.2
fn services(turn: &mut HostTurn<'_>, el: &El<'_>, config: &Config) -> Reply {
    if let Err(why) = is_ours(turn) {
        return why.into();
    }
    let kind = el.attr("type");
    let mut xml = Build::new();
    xml.open_ns("services", NS).attr_opt("type", kind.as_deref());
    for service in config.service.iter().filter(|it| kind.as_deref().is_none_or(|kind| kind == it.kind)) {
        service.write(&mut xml, turn, config.credentials_seconds);
    }
    xml.close();
    result(xml)
}

/// 3.3: "MUST include the 'host' and 'type' attributes"; there may be several ports.
fn credentials(turn: &mut HostTurn<'_>, el: &El<'_>, config: &Config) -> Reply {
    if let Err(why) = is_ours(turn) {
        return why.into();
    }
    let Some(asked) = el.child(NS, "service") else { return Bounce::bad_request("no <service/> is named").into() };
    let (Some(kind), Some(host)) = (asked.attr("type"), asked.attr("host")) else {
        return Bounce::bad_request("a service has a type and a host").into();
    };
    let port = asked.attr("port");
    let is_it = |it: &&Service| {
        let same_port = port.as_deref().is_none_or(|port| it.port.is_some_and(|its| its.to_string() == port));
        it.kind == *kind && it.host.eq_ignore_ascii_case(&host) && same_port && (it.secret.is_some() || it.username.is_some())
    };
    let found: Vec<&Service> = config.service.iter().filter(is_it).collect();
    if found.is_empty() {
        return Bounce::new(Condition::ItemNotFound).text("there are no credentials for such a service").into();
    }
    let mut xml = Build::new();
    xml.open_ns("credentials", NS);
    for service in found {
        service.write(&mut xml, turn, config.credentials_seconds);
    }
    xml.close();
    result(xml)
}

#[cfg(test)]
mod tests {
    use iris_core::mount::{Doors, RoomConfig};
    use iris_core::time;
    use iris_core::xml::names::NameTable;
    use iris_engine::testing::House;
    use xmpp_parsers::extdisco::ServicesResult;

    use super::password;
    use crate::ROOMS;

    const CONFIG: &str = "
[xep.external_services]
credentials_seconds = 3600
[[xep.external_services.service]]
type = \"stun\"
host = \"stun.house\"
port = 3478
transport = \"udp\"
[[xep.external_services.service]]
type = \"turn\"
host = \"turn.house\"
port = 3478
transport = \"udp\"
secret = \"north\"
[[xep.external_services.service]]
type = \"turn\"
host = \"old.house\"
username = \"guest\"
password = \"guest\"
";

    fn all(kind: &str) -> String {
        format!("<services xmlns='urn:xmpp:extdisco:2'{kind}/>")
    }

    #[test]
    fn s3_1_and_2_services_are_told_with_credentials_of_ones_own() {
        let mut house = House::with_config(ROOMS, CONFIG);
        let (romeo, juliet) = (house.online("romeo@house/orchard"), house.online("juliet@house/balcony"));
        let mut ask = |who, kind: &str| {
            let answer = house.iq(who, "get", Some("house"), &all(kind));
            let told: ServicesResult = answer.parse_child(&answer.children()[0]).expect("services");
            let el = answer.child_el(&answer.children()[0]);
            let of = |name| el.children().map(|it| it.attr(name).map(std::borrow::Cow::into_owned)).collect::<Vec<_>>();
            (told.services.len(), ["type", "username", "password", "expires"].map(of))
        };
        assert_eq!(ask(&romeo, "").0, 3);
        let (count, [kinds, usernames, passwords, expires]) = ask(&romeo, " type='turn'");
        assert!(count == 2 && kinds.iter().all(|it| it.as_deref() == Some("turn")));
        let mine = usernames[0].clone().expect("a name");
        assert_eq!(passwords[0], Some(password("north", &mine)));
        let (until, name) = mine.split_once(':').expect("when, and who");
        assert!(!name.contains("romeo"), "{mine}");
        assert_eq!(expires[0], until.parse::<u64>().ok().map(|until| time::datetime(until * 1_000_000)));
        let (_, [_, usernames, ..]) = ask(&juliet, " type='turn'");
        assert_ne!(usernames[0].as_ref(), Some(&mine));
        let info = house.iq(&romeo, "get", Some("house"), "<query xmlns='http://jabber.org/protocol/disco#info'/>");
        assert!(info.as_str().contains("'urn:xmpp:extdisco:2'"));
    }

    /// Key and data are those of RFC 2202, test case 2.
    #[test]
    fn s3_3_a_password_is_an_hmac_of_the_name() {
        assert_eq!(password("Jefe", "what do ya want for nothing?"), "7/zfauXrL6LSdBbV8YTfnCWafHk=");
    }

    #[test]
    fn s3_3_credentials_at_one_service() {
        let mut house = House::with_config(ROOMS, CONFIG);
        let romeo = house.online("romeo@house/orchard");
        let mut ask = |service: &str| {
            let query = format!("<credentials xmlns='urn:xmpp:extdisco:2'>{service}</credentials>");
            house.iq(&romeo, "get", Some("house"), &query).as_str().to_owned()
        };
        let told = ask("<service host='turn.house' type='turn'/>");
        assert!(told.contains("type='result'") && told.contains(" username='") && !told.contains("old.house"), "{told}");
        assert!(ask("<service host='old.house' type='turn'/>").contains("username='guest'"));
        for (service, error) in [
            ("<service host='stun.house' type='stun'/>", "item-not-found"),
            ("<service host='turn.house' type='turn' port='99'/>", "item-not-found"),
            ("<service host='turn.house'/>", "bad-request"),
            ("", "bad-request"),
        ] {
            assert!(ask(service).contains(error), "{service}");
        }
    }

    #[test]
    fn nothing_is_said_where_there_is_nothing() {
        let mut house = House::with(ROOMS);
        let romeo = house.online("romeo@house/orchard");
        assert!(house.iq(&romeo, "get", Some("house"), &all("")).as_str().contains("service-unavailable"));
        let info = house.iq(&romeo, "get", Some("house"), "<query xmlns='http://jabber.org/protocol/disco#info'/>");
        assert!(!info.as_str().contains("extdisco"));
    }

    #[test]
    fn what_makes_no_sense_is_an_error_of_the_configuration() {
        for (line, word) in [
            ("transport = \"sctp\"", "transport"),
            ("username = \"x\"", "not the other"),
            ("secret = \"x\"\nusername = \"y\"\npassword = \"z\"", "one of both"),
        ] {
            let config = format!("[[xep.external_services.service]]\ntype = \"turn\"\nhost = \"h\"\n{line}\n");
            let config = RoomConfig::parse(&config).expect("TOML");
            let wrong = Doors::open("house", ROOMS, &mut NameTable::new(), &config).err().expect(line);
            assert!(wrong.to_string().contains(word), "{wrong}");
        }
    }
}
