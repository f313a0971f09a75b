//! Section 8: which property of the one card is which of the other.

use iris_core::xml::{Build, El};

use super::NS;

const TEMP: &str = "vcard-temp";

/// Properties that are one text: old name, new name, the element of its value, what an URI begins with.
const SIMPLE: &[(&str, &str, &str, &str)] = &[
    ("FN", "fn", "text", ""),
    ("NICKNAME", "nickname", "text", ""),
    ("BDAY", "bday", "date", ""),
    ("JABBERID", "impp", "uri", "xmpp:"),
    ("TZ", "tz", "text", ""),
    ("TITLE", "title", "text", ""),
    ("ROLE", "role", "text", ""),
    ("NOTE", "note", "text", ""),
    ("PRODID", "prodid", "text", ""),
    ("REV", "rev", "timestamp", ""),
    ("UID", "uid", "text", ""),
    ("URL", "url", "uri", ""),
];

/// Properties of parts: their old and new names, in the order of the old schema.
type Parts = &'static [(&'static str, &'static str)];
const NAME: Parts =
    &[("FAMILY", "surname"), ("GIVEN", "given"), ("MIDDLE", "additional"), ("PREFIX", "prefix"), ("SUFFIX", "suffix")];
const ADDRESS: Parts = &[
    ("POBOX", "pobox"),
    ("EXTADD", "ext"),
    ("STREET", "street"),
    ("LOCALITY", "locality"),
    ("REGION", "region"),
    ("PCODE", "code"),
    ("CTRY", "country"),
];
/// Types that both cards know (section 8.3).
const TYPES: &[&str] = &["home", "work", "voice", "fax", "pager", "cell", "video", "text"];

/// `<vcard/>` of `<vCard/>`.
pub fn from_temp(card: &El<'_>) -> Vec<u8> {
    let mut xml = Build::new();
    xml.open_ns("vcard", NS);
    for property in card.children().filter(|child| child.ns() == TEMP) {
        let of = |name: &str| property.child(TEMP, name).map(|it| it.text().trim().to_owned()).filter(|text| !text.is_empty());
        let text = property.text().trim().to_owned();
        if let Some((_, name, value, scheme)) = SIMPLE.iter().find(|(old, ..)| *old == property.local()) {
            if !text.is_empty() {
                xml.open(name).leaf(value, &format!("{scheme}{text}")).close();
            }
            continue;
        }
        match property.local() {
            // 8.1.1.
            "DESC" if !text.is_empty() => {
                xml.open("note").leaf("text", &text).close();
            }
            "N" => {
                xml.open("n");
                for (old, new) in NAME {
                    if let Some(text) = of(old) {
                        xml.leaf(new, &text);
                    }
                }
                xml.close();
            }
            "ADR" => {
                xml.open("adr");
                write_types(&mut xml, &property);
                for (old, new) in ADDRESS {
                    if let Some(text) = of(old) {
                        xml.leaf(new, &text);
                    }
                }
                xml.close();
            }
            "TEL" => {
                if let Some(number) = of("NUMBER") {
                    xml.open("tel");
                    write_types(&mut xml, &property);
                    xml.leaf("uri", &format!("tel:{number}")).close();
                }
            }
            "EMAIL" => {
                if let Some(address) = of("USERID") {
                    xml.open("email");
                    write_types(&mut xml, &property);
                    xml.leaf("text", &address).close();
                }
            }
            "GEO" => {
                if let (Some(lat), Some(lon)) = (of("LAT"), of("LON")) {
                    xml.open("geo").leaf("uri", &format!("geo:{lat},{lon}")).close();
                }
            }
            "ORG" => texts(&mut xml, "org", &property, &["ORGNAME", "ORGUNIT"]),
            "CATEGORIES" => texts(&mut xml, "categories", &property, &["KEYWORD"]),
            "KEY" => {
                if let Some(key) = of("CRED") {
                    xml.open("key").leaf("text", &key).close();
                }
            }
            _ => {}
        }
    }
    xml.finish()
}

fn texts(xml: &mut Build, name: &str, property: &El<'_>, parts: &[&str]) {
    xml.open(name);
    for part in property.children().filter(|part| part.ns() == TEMP && parts.contains(&part.local())) {
        let text = part.text();
        if !text.trim().is_empty() {
            xml.leaf("text", text.trim());
        }
    }
    xml.close();
}

fn write_types(xml: &mut Build, property: &El<'_>) {
    let flags = property.children().filter(|flag| flag.ns() == TEMP).map(|flag| flag.local().to_ascii_lowercase());
    let types: Vec<String> = flags.filter(|flag| TYPES.contains(&flag.as_str())).collect();
    if !types.is_empty() {
        xml.open("parameters").open("type");
        for it in &types {
            xml.leaf("text", it);
        }
        xml.close().close();
    }
}

/// `<vCard/>` of `<vcard/>`.
pub fn to_temp(card: &El<'_>) -> Vec<u8> {
    let mut xml = Build::new();
    xml.open_ns("vCard", TEMP);
    for property in card.children().filter(|child| child.ns() == NS) {
        // The first value, whatever its type.
        let value = || {
            let value = property.children().find(|it| it.ns() == NS && it.local() != "parameters");
            value.map(|it| it.text().trim().to_owned()).filter(|text| !text.is_empty())
        };
        if let Some((name, _, _, scheme)) = SIMPLE.iter().find(|(_, new, ..)| *new == property.local()) {
            // An address of another network is no JABBERID.
            if let Some(text) = value().and_then(|text| Some(text.strip_prefix(scheme)?.to_owned())) {
                xml.leaf(name, &text);
            }
            continue;
        }
        match property.local() {
            "n" => parts(&mut xml, "N", &property, NAME, false),
            "adr" => parts(&mut xml, "ADR", &property, ADDRESS, true),
            "tel" => {
                if let Some(number) = value() {
                    xml.open("TEL");
                    write_flags(&mut xml, &property);
                    xml.leaf("NUMBER", number.strip_prefix("tel:").unwrap_or(&number)).close();
                }
            }
            "email" => {
                if let Some(address) = value() {
                    xml.open("EMAIL");
                    write_flags(&mut xml, &property);
                    xml.leaf("USERID", &address).close();
                }
            }
            "geo" => {
                let place = value().and_then(|text| {
                    let (lat, lon) = text.strip_prefix("geo:")?.split_once(',')?;
                    Some((lat.to_owned(), lon.split([',', ';']).next()?.to_owned()))
                });
                if let Some((lat, lon)) = place {
                    xml.open("GEO").leaf("LAT", &lat).leaf("LON", &lon).close();
                }
            }
            "org" => {
                xml.open("ORG");
                let texts = property.children().filter(|it| it.is(NS, "text"));
                for (at, text) in texts.enumerate() {
                    xml.leaf(if at == 0 { "ORGNAME" } else { "ORGUNIT" }, text.text().trim());
                }
                xml.close();
            }
            "categories" => {
                xml.open("CATEGORIES");
                for text in property.children().filter(|it| it.is(NS, "text")) {
                    xml.leaf("KEYWORD", text.text().trim());
                }
                xml.close();
            }
            "key" => {
                if let Some(key) = value() {
                    xml.open("KEY").leaf("CRED", &key).close();
                }
            }
            _ => {}
        }
    }
    xml.finish()
}

fn parts(xml: &mut Build, name: &str, property: &El<'_>, parts: Parts, flags: bool) {
    xml.open(name);
    if flags {
        write_flags(xml, property);
    }
    for (old, new) in parts {
        let text = property.child(NS, new).map(|it| it.text().trim().to_owned()).filter(|text| !text.is_empty());
        if let Some(text) = text {
            xml.leaf(old, &text);
        }
    }
    xml.close();
}

fn write_flags(xml: &mut Build, property: &El<'_>) {
    let types = property.child(NS, "parameters").and_then(|it| it.child(NS, "type"));
    let types = types.iter().flat_map(|it| it.children()).map(|it| it.text().trim().to_ascii_lowercase());
    for flag in types.filter(|it| TYPES.contains(&it.as_str())) {
        xml.open(&flag.to_ascii_uppercase()).close();
    }
}
