//! What the world is told of the rooms, made of their cards: the table in `README.md` and `conformance/doap.xml`. Both are
//! committed, and a test says when they no longer are what is made here.

use iris_core::xml::Build;
use iris_core::{Room, Status};

/// Where the project lives, once it does somewhere: `homepage` in this crate's Cargo.toml.
const HOMEPAGE: &str = env!("CARGO_PKG_HOMEPAGE");

const DESCRIPTION: &str = "An XMPP server for teams: messaging, presence, archive, and everything else in one program.";

/// What the core and the engine implement; it is no room's.
const RFCS: [u16; 6] = [6120, 6121, 7395, 7590, 7622, 7677];

/// `xep/README.md`.
pub fn readme(rooms: &[Room]) -> String {
    let mut text = String::from(
        "# Extensions\n\n\
         One file or folder per extension: `ls | grep carbons` and `grep 0280` both find it. What is missing of an extension stands\n\
         in the header of its file. This table is made of the cards of the rooms (`cards.rs`).\n\n\
         | XEP | name | version | status |\n| --- | --- | --- | --- |\n",
    );
    for card in rooms.iter().map(|room| &room.card) {
        let number = card.xep.map_or_else(String::new, |xep| format!("[{xep:04}]({})", url(xep)));
        text.push_str(&format!("| {number} | {} | {} | {} |\n", card.name, card.version, status(card.status)));
    }
    text
}

/// `conformance/doap.xml`: the description of the project as XEP-0453 wants it.
pub fn doap(rooms: &[Room]) -> String {
    let mut xml = Build::new();
    xml.raw(b"<?xml version='1.0' encoding='UTF-8'?>\n");
    xml.open("rdf:RDF")
        .attr("xmlns:rdf", "http://www.w3.org/1999/02/22-rdf-syntax-ns#")
        .attr("xmlns", "http://usefulinc.com/ns/doap#")
        .attr("xmlns:xmpp", "https://linkmauve.fr/ns/xmpp-doap#");
    xml.raw(b"\n").open("Project").raw(b"\n").leaf("name", "Iris").raw(b"\n");
    xml.open("shortdesc").attr("xml:lang", "en").text("XMPP server").close().raw(b"\n");
    xml.open("description").attr("xml:lang", "en").text(DESCRIPTION).close().raw(b"\n");
    if !HOMEPAGE.is_empty() {
        resource(&mut xml, "homepage", HOMEPAGE);
    }
    for license in ["MIT", "Apache-2.0"] {
        resource(&mut xml, "license", &format!("https://spdx.org/licenses/{license}.html"));
    }
    xml.leaf("programming-language", "Rust").raw(b"\n").leaf("os", "Linux").raw(b"\n");
    resource(&mut xml, "category", "https://linkmauve.fr/ns/xmpp-doap#category-server");
    for rfc in RFCS {
        resource(&mut xml, "implements", &format!("https://xmpp.org/rfcs/rfc{rfc}.html"));
    }
    for card in rooms.iter().map(|room| &room.card) {
        let Some(xep) = card.xep else { continue };
        xml.open("implements").raw(b"\n").open("xmpp:SupportedXep").raw(b"\n");
        resource(&mut xml, "xmpp:xep", &url(xep));
        xml.leaf("xmpp:status", status(card.status)).raw(b"\n").leaf("xmpp:version", card.version).raw(b"\n");
        xml.close().raw(b"\n").close().raw(b"\n");
    }
    xml.close().raw(b"\n").close();
    indented(&String::from_utf8_lossy(&xml.finish()))
}

/// Each line two spaces deeper than the element it stands in.
fn indented(xml: &str) -> String {
    let mut text = String::with_capacity(xml.len() * 2);
    let mut depth = 0usize;
    for line in xml.lines() {
        let (closes, whole) = (line.starts_with("</"), line.starts_with("<?") || line.ends_with("/>") || line.contains("</"));
        depth = depth.saturating_sub(usize::from(closes));
        text.push_str(&"  ".repeat(depth));
        text.push_str(line);
        text.push('\n');
        depth += usize::from(!whole);
    }
    text
}

fn resource(xml: &mut Build, name: &str, url: &str) {
    xml.open(name).attr("rdf:resource", url).close().raw(b"\n");
}

fn url(xep: u16) -> String {
    format!("https://xmpp.org/extensions/xep-{xep:04}.html")
}

const fn status(status: Status) -> &'static str {
    match status {
        Status::Complete => "complete",
        Status::Partial => "partial",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use iris_core::mount::{Doors, RoomConfig};
    use iris_core::xml::names::NameTable;

    use super::*;
    use crate::ROOMS;

    /// Set to write the generated files anew instead of comparing them.
    const REWRITE: &str = "IRIS_REWRITE_GENERATED";

    fn is_committed(path: &str, text: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        if std::env::var_os(REWRITE).is_some() {
            fs::write(&path, text).expect("the file can be written");
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == text, "{} is not what the cards say; {REWRITE}=1 writes it", path.display());
    }

    #[test]
    fn the_readme_is_what_the_cards_say() {
        is_committed("README.md", &readme(ROOMS));
    }

    #[test]
    fn the_doap_file_is_what_the_cards_say() {
        is_committed("../conformance/doap.xml", &doap(ROOMS));
    }

    #[test]
    fn xep0453_the_doap_file_is_xml_with_one_entry_a_room() {
        let text = doap(ROOMS);
        let root: minidom::Element = text.parse().expect("XML");
        let doap = "http://usefulinc.com/ns/doap#";
        let project = root.get_child("Project", doap).expect("a project");
        let xmpp = "https://linkmauve.fr/ns/xmpp-doap#";
        let supported = project.children().filter_map(|it| it.get_child("SupportedXep", xmpp));
        let mut count = 0;
        for xep in supported {
            count += 1;
            let status = xep.get_child("status", xmpp).expect("a status").text();
            assert!(["complete", "partial"].contains(&status.as_str()), "{status}");
            let version = xep.get_child("version", xmpp).expect("a version").text();
            assert!(version.split('.').all(|part| part.parse::<u16>().is_ok()), "{version}");
        }
        assert_eq!(count, ROOMS.iter().filter(|room| room.card.xep.is_some()).count());
    }

    #[test]
    fn every_room_file_is_in_the_list_and_in_order() {
        let numbers: Vec<u16> = ROOMS.iter().filter_map(|room| room.card.xep).collect();
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "in the order of their numbers: {numbers:?}");
        let mut files = BTreeSet::new();
        for entry in fs::read_dir(env!("CARGO_MANIFEST_DIR")).expect("the folder") {
            let name = entry.expect("an entry").file_name().into_string().expect("UTF-8");
            if let Some(number) = name.strip_prefix("xep").and_then(|it| it.split_once('_')).map(|(number, _)| number) {
                files.insert(number.parse::<u16>().expect("xepNNNN_name"));
            }
        }
        assert_eq!(files, numbers.iter().copied().collect());
    }

    #[test]
    fn what_a_room_needs_is_there() {
        for room in ROOMS {
            for need in room.card.needs {
                let is_there = ROOMS.iter().any(|other| other.card.xep == Some(*need));
                assert!(is_there, "{} needs XEP-{need:04}", room.card.name);
            }
        }
    }

    /// `iris config-reference` prints these texts: whoever copies one into the configuration must be understood.
    #[test]
    fn every_table_of_the_reference_is_understood() {
        let open = |text: &str| {
            let config = RoomConfig::parse(text).expect("TOML");
            Doors::open("house", ROOMS, &mut NameTable::new(), &config)
        };
        let doors = open("").expect("the defaults");
        let all: String = doors.reference.iter().map(|(table, text)| format!("[xep.{table}]\n{text}\n")).collect();
        assert!(open(&all).is_ok());
        let first = doors.reference.first().expect("a table").0;
        let wrong = open(&format!("{all}\n[xep.{first}.no_such_key]\n"));
        assert!(wrong.is_err(), "an unknown key refuses to boot");
        assert!(open("[xep.no_such_room]\n").is_err());
    }
}
