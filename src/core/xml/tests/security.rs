//! Security checklist A: what a hostile peer may send, and what must come of it.

use super::*;
use XmlErrorKind::*;

#[test]
fn a1_billion_laughs_is_restricted_xml() {
    let seen = once(b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'aaa'>]><stream:stream>");
    let [Seen::Refused(e)] = seen.as_slice() else { panic!("{seen:?}") };
    assert_eq!(e.condition(), "restricted-xml");
}
