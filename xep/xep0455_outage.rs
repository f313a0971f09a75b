//! XEP-0455: Service Outage Status - where to look when the house cannot be reached.
//! Spec 0.4.0, https://xmpp.org/extensions/xep-0455.html. Not done: nothing that a server does. The file itself is the operator's, on
//! another machine: whoever fetches it cannot ask this one.

use iris_core::form::{Field, FieldKind, Form};
use iris_core::{At, Card, Mount, MountError, Room, Status};
use serde::Deserialize;

/// The type of the form; not a feature.
const NS: &str = "urn:xmpp:sos:0";

pub const ROOM: Room = Room {
    card: Card { xep: Some(455), name: "Service Outage Status", version: "0.4.0", status: Status::Complete, needs: &[4, 30] },
    mount,
};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Outage {
    status_addresses: Vec<String>,
}

impl iris_core::mount::Settings for Outage {
    const TABLE: &'static str = "outage";
    const REFERENCE: &'static str = "\
# Where clients look when this server cannot be reached (XEP-0455): \"https://status.example.org/{domain}.json\", files on another machine;
# {domain} stands for the domain. In such a file is {} while all is well, else {\"planned\": true, \"beginning\": \"2027-01-12T01:00:00Z\",
# \"expected_end\": \"2027-01-12T05:00:00Z\", \"message\": {\"default\": \"We are moving.\"}}. Clients read the addresses as long as all is well.
status_addresses = []
";
}

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    let addresses = m.config::<Outage>()?.status_addresses;
    for (number, address) in addresses.iter().enumerate() {
        // "Links SHOULD use HTTP/HTTPS protocol": nothing else is fetched by anybody.
        let has_host = |rest: &str| !rest.is_empty() && !rest.starts_with('/') && !rest.contains(char::is_whitespace);
        if !["https://", "http://"].iter().any(|scheme| address.strip_prefix(scheme).is_some_and(has_host)) {
            let why = format!("{address:?} is no web address: write \"https://…\"");
            return Err(m.wrong::<Outage>(&format!("status_addresses.{number}"), why));
        }
    }
    if !addresses.is_empty() {
        let addresses = addresses.iter().map(|address| address.replace("{domain}", m.domain()));
        let field = Field::new(FieldKind::ListMulti, "external-status-addresses", "").values(addresses);
        m.disco_form(At::Host, Form::default().of_type(NS).field(field).to_tell());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::ROOMS;
    use iris_core::mount::{Doors, RoomConfig};
    use iris_core::xml::names::NameTable;
    use iris_engine::testing::House;

    const INFO: &str = "<query xmlns='http://jabber.org/protocol/disco#info'/>";

    fn told(config: &str) -> String {
        let mut house = House::with_config(ROOMS, config);
        let romeo = house.online("romeo@house/orchard");
        house.iq(&romeo, "get", Some("house"), INFO).as_str().to_owned()
    }

    #[test]
    fn s3_1_the_domain_says_where_its_status_is_when_the_operator_does() {
        let info = told("[xep.outage]\nstatus_addresses = [\"https://status.example/{domain}.json\"]\n");
        assert!(info.contains("<value>urn:xmpp:sos:0</value>"), "{info}");
        assert!(info.contains("var='external-status-addresses'"), "{info}");
        assert!(info.contains("<value>https://status.example/house.json</value>"), "{info}");
        assert!(!told("").contains("urn:xmpp:sos:0"));
    }

    #[test]
    fn what_is_no_web_address_is_told_with_its_place() {
        for address in ["status.example", "ftp://status.example/x", "https://", "https:///x", "https://a b"] {
            let text = format!("[xep.outage]\nstatus_addresses = [\n  \"https://fine.example\",\n  {address:?}]\n");
            let config = RoomConfig::parse(&text).expect("TOML");
            let error = Doors::open("house", &[super::ROOM], &mut NameTable::new(), &config).err().expect(address);
            assert_eq!(error.at, text.find(&format!("{address:?}")), "{error}");
        }
    }
}
