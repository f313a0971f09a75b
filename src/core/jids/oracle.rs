// What must hold of every address, whoever wrote it: used by the replayed corpus and by the fuzz target.

use crate::jids::address;
use crate::registration::names;
use crate::xml::escape::{escape_attr, unescape_attr};
use crate::{BareJid, FullJid, Jid};

/// RFC 7622 3.1: a part is no longer than this, measured after its preparation.
const PART_BYTES_MAX: usize = 1_023;

/// True: it is an address.
pub fn check(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    registered(text);
    let Ok(jid) = address(text) else {
        return false;
    };
    let prepared = jid.as_str();
    // Two spellings of one address become one, and stay one when they are said again: what is stored under the address is found again.
    assert_eq!(Jid::new(prepared).as_ref().map(Jid::as_str), Ok(prepared), "{text:?}");
    parts(&jid);
    let bare = jid.to_bare();
    assert_eq!(BareJid::new(bare.as_str()).as_ref(), Ok(&bare));
    // How the router cuts it.
    assert_eq!(prepared.split_once('/').map_or(prepared, |(bare, _)| bare), bare.as_str(), "{text:?}");
    assert_eq!(FullJid::new(prepared).is_ok(), jid.resource().is_some(), "{text:?}");
    assert_eq!(BareJid::new(prepared).is_ok(), jid.resource().is_none(), "{text:?}");
    // In an attribute of ours, and read again.
    let said = escape_attr(prepared);
    assert!(!said.contains(['<', '\'', '"']), "{said}");
    assert_eq!(unescape_attr(&said), prepared);
    true
}

fn parts(jid: &Jid) {
    let domain = jid.domain().as_str();
    let node = jid.node().map_or("", |node| node.as_str());
    let resource = jid.resource().map_or("", |resource| resource.as_str());
    for (part, there) in [(domain, true), (node, jid.node().is_some()), (resource, jid.resource().is_some())] {
        assert_eq!(!part.is_empty(), there, "an empty part: {jid:?}");
        assert!(part.len() <= PART_BYTES_MAX, "{} bytes", part.len());
        assert!(!part.contains('\0'), "{jid:?}");
    }
    // RFC 7622 3.3.1: what separates parts, and what XML has its own use for.
    assert!(!node.contains(['"', '&', '\'', '/', ':', '<', '>', '@', ' ']), "{node:?}");
    // (A name in a DNS has fewer letters; what no DNS knows goes nowhere. It is not ours.)
    assert!(!domain.contains(['@', '/', ' ', '<', '>']), "{domain:?}");
    // (An address of the network stays as it was written; it is never ours.)
    let named = !domain.starts_with('[');
    assert!(!node.chars().chain(domain.chars().filter(|_| named)).any(|c| c.is_ascii_uppercase()), "{jid:?}");
}

/// A name that somebody wants to be known by.
fn registered(text: &str) {
    let Ok(account) = names::address(text, "a.test") else { return };
    let name = account.node().map_or("", |node| node.as_str());
    assert!(!name.is_empty() && account.domain().as_str() == "a.test");
    assert!(!name.chars().any(|c| c.is_control() || c.is_whitespace()), "{name:?}");
    // C9: whoever asks for the same name again, in the form it was given or in the one it was asked for, asks for the same account.
    assert_eq!(names::address(name, "a.test").as_ref(), Ok(&account), "{text:?}");
    assert_eq!(BareJid::new(account.as_str()).as_ref(), Ok(&account), "{text:?}");
}
