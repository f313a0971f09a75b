//! The corpus of the fuzz target `negotiate`, and elements put together at random.

use super::oracle::{PLAIN, check};

#[test]
fn the_corpus_of_the_fuzz_target_lets_in_who_has_the_password_and_nobody_else() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../conformance/fuzz/corpus/negotiate");
    let (mut files, mut inside) = (0, 0);
    for file in std::fs::read_dir(folder).expect("the corpus") {
        let path = file.expect("a file").path();
        let came_in = check(&std::fs::read(&path).expect("a file"));
        let expected = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("in_"));
        assert_eq!(came_in, expected, "{}", path.display());
        files += 1;
        inside += usize::from(came_in);
    }
    assert!(files >= 12 && inside >= 4, "{files} files, {inside} inside");
}

#[test]
fn b13_elements_in_any_order_let_nobody_in_without_the_password() {
    let words = [
        "<?xml version='1.0'?><stream:stream to='a.test' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>",
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'>biwsbj1hbGljZSxyPWFiYw==</auth>",
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'/>",
        "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>AGFsaWNlAHdyb25n</response>",
        "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='SCRAM-SHA-1'><initial-response>biwsbj1hbGljZSxyPWFiYw==</initial-response></authenticate>",
        "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><bind xmlns='urn:xmpp:bind:0'/></authenticate>",
        "<response xmlns='urn:xmpp:sasl:2'>AGFsaWNlAHdyb25n</response>",
        "<abort xmlns='urn:xmpp:sasl:2'/>",
        "<next xmlns='urn:xmpp:sasl:2' task='UPGR-SCRAM-SHA-256'/>",
        "<task-data xmlns='urn:xmpp:sasl:2'/>",
        "<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
        "<resume xmlns='urn:xmpp:sm:3' previd='x' h='0'/>",
        "</stream:stream>",
    ];
    let mut seed = 7u32;
    let mut roll = |sides: usize| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 16) as usize % sides
    };
    for _ in 0..150 {
        let stream: String = std::iter::once(words[0]).chain((0..6).map(|_| words[roll(words.len())])).collect();
        assert!(!stream.contains(PLAIN) && !check(stream.as_bytes()), "{stream}");
    }
}
