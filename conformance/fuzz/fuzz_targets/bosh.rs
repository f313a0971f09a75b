//! BOSH bodies: whatever is accepted comes apart into elements that each stand alone, and nothing panics.
//! `cargo test -p iris-net` replays the corpus without any fuzzer.
#![no_main]

use std::sync::Arc;

use iris_core::ns;
use iris_core::xml::limits::XmlLimits;
use iris_core::xml::names::NameTable;
use iris_core::xml::scan::{Scanned, Scanner};

#[path = "../../../src/net/bosh/body.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let names = Arc::new(NameTable::new());
    let Ok(body) = body::parse(bytes, XmlLimits::C2S, &names) else { return };
    let mut scanner = Scanner::for_fragments(XmlLimits::OWN, names);
    let mut at = 0;
    while at < body.payloads.len() {
        match scanner.scan(&body.payloads[at..]) {
            Ok(Scanned::Stanza { consumed, stanza }) => {
                assert!(!stanza.is(ns::HTTP_BIND, "message"));
                at += consumed;
            }
            other => panic!("no element: {other:?}"),
        }
    }
});
