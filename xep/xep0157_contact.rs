//! XEP-0157: Contact Addresses for XMPP Services - whom to write to about this server.
//! Spec 1.1.1, https://xmpp.org/extensions/xep-0157.html. Not done: nothing. The mailbox of section 2 is the operator's.

use iris_core::form::{Field, FieldKind, Form};
use iris_core::{At, Card, Mount, MountError, Room, Status};
use serde::Deserialize;

pub const ROOM: Room = Room {
    card: Card {
        xep: Some(157),
        name: "Contact Addresses for XMPP Services",
        version: "1.1.1",
        status: Status::Complete,
        needs: &[4, 30],
    },
    mount,
};

const FORM_TYPE: &str = "http://jabber.org/network/serverinfo";

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Contact {
    abuse: Vec<String>,
    admin: Vec<String>,
    feedback: Vec<String>,
    sales: Vec<String>,
    security: Vec<String>,
    status: Vec<String>,
    support: Vec<String>,
}

impl iris_core::mount::Settings for Contact {
    const TABLE: &'static str = "contact";
    const REFERENCE: &'static str = "\
# Whom to write to about this server (XEP-0157): addresses with their scheme, \"mailto:…\", \"xmpp:…\", \"https:…\"; {domain} stands
# for the domain. Everybody can read them.
abuse = []
admin = []
feedback = []
sales = []
security = []
status = []
support = []
";
}

impl Contact {
    /// By the names that are registered (section 7.1).
    fn by_name(self) -> [(&'static str, Vec<String>); 7] {
        [
            ("abuse-addresses", self.abuse),
            ("admin-addresses", self.admin),
            ("feedback-addresses", self.feedback),
            ("sales-addresses", self.sales),
            ("security-addresses", self.security),
            ("status-addresses", self.status),
            ("support-addresses", self.support),
        ]
    }
}

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    let mut form = Form::default().of_type(FORM_TYPE);
    for (name, addresses) in m.config::<Contact>()?.by_name() {
        if addresses.is_empty() {
            continue;
        }
        let addresses: Vec<String> = addresses.iter().map(|address| address.replace("{domain}", m.domain())).collect();
        for address in &addresses {
            check(address).map_err(|why| m.wrong::<Contact>(name.trim_end_matches("-addresses"), why))?;
            m.contact(name, address);
        }
        form = form.field(Field::new(FieldKind::ListMulti, name, "").values(addresses));
    }
    let server_info = crate::xep0485_server_info::address(m)?;
    if let Some(address) = &server_info {
        form = form.field(Field::text(crate::xep0485_server_info::FIELD, "").value(address));
    }
    if !m.contacts().is_empty() || server_info.is_some() {
        m.disco_form(At::Host, form.to_tell());
    }
    Ok(())
}

/// Section 3: "MUST be valid URIs" (of status addresses; of others it SHOULD be so).
fn check(address: &str) -> Result<(), String> {
    let scheme = address.split_once(':').filter(|(scheme, rest)| {
        let letter = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
        letter && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)) && !rest.is_empty()
    });
    match scheme {
        Some(_) if !address.contains(char::is_whitespace) => Ok(()),
        _ => Err(format!("{address:?} has no scheme: write \"mailto:…\", \"xmpp:…\" or \"https:…\"")),
    }
}

#[cfg(test)]
mod tests {
    use iris_core::mount::{Doors, RoomConfig};
    use iris_core::xml::names::NameTable;
    use iris_engine::testing::House;

    use crate::ROOMS;

    const INFO: &str = "<query xmlns='http://jabber.org/protocol/disco#info'/>";

    #[test]
    fn s3_the_addresses_stand_in_a_form_at_the_domain() {
        let config = "[xep.contact]\nabuse = [\"mailto:abuse@{domain}\", \"xmpp:abuse@{domain}\"]\nstatus = [\"https://status.example\"]\n";
        let mut house = House::with_config(ROOMS, config);
        for (who, domain) in [("romeo@house/x", "house"), ("romeo@away/x", "away")] {
            let client = house.online(who);
            let info = house.iq(&client, "get", Some(domain), INFO);
            for part in [
                "<value>http://jabber.org/network/serverinfo</value>".to_owned(),
                format!(
                    "<field var='abuse-addresses' type='list-multi'><value>mailto:abuse@{domain}</value><value>xmpp:abuse@{domain}</value></field>"
                ),
                "<field var='status-addresses' type='list-multi'><value>https://status.example</value></field>".to_owned(),
            ] {
                assert!(info.as_str().contains(&part), "{part}: {}", info.as_str());
            }
            assert!(!info.as_str().contains("sales-addresses"));
        }
    }

    #[test]
    fn not_applicable_without_addresses_there_is_no_form() {
        let mut house = House::with(ROOMS);
        let client = house.online("romeo@house/x");
        assert!(!house.iq(&client, "get", Some("house"), INFO).as_str().contains("serverinfo"));
    }

    #[test]
    fn an_address_without_a_scheme_is_the_operators_mistake() {
        let open = |text: &str| {
            let config = RoomConfig::parse(text).expect("a table");
            Doors::open("house", &[super::ROOM], &mut NameTable::new(), &config).map(|doors| doors.contacts.len())
        };
        assert_eq!(open("[xep.contact]\nadmin = [\"xmpp:a@b\"]\n"), Ok(1));
        for wrong in ["abuse@example.org", "mailto:", "1:x", "mailto:a b"] {
            let error = open(&format!("[xep.contact]\nadmin = [\"{wrong}\"]\n")).expect_err("a mistake");
            assert!(error.text.contains("has no scheme"), "{error}");
        }
        assert!(open("[xep.contact]\nadmins = []\n").is_err());
    }
}
