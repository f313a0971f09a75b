//! Addresses (RFC 7622). The crate `jid` reads them for us, prepared by `../stringprep`; this is what it leaves out, and what the house
//! relies on, held against a corpus and at random.

use jid::{Error, Jid, NodePart};

#[cfg(test)]
mod oracle;

/// An address as somebody wrote it.
///
/// RFC 7622 3.2: the dot at the end of a domain is taken away before anything else is done with it. `Jid::new` (0.12) judges the
/// domain without the dot and keeps the text with it, so `romeo@house./x` would be somebody else than `romeo@house/x`, with the
/// resource `/x`.
///
/// And an address has to be prepared when it has been prepared. Nodeprep folds letters before it decomposes them, so that `🄰` becomes
/// `A` and, said again, `a`: who is written one way in one place and the other way in the next could be taken for somebody else (C9).
/// RFC 8265 6.1 wants rules that come to an end; what does not is no address here.
///
/// # Errors
/// It is none.
pub fn address(text: &str) -> Result<Jid, Error> {
    let end = text.find('/').unwrap_or(text.len());
    let jid = match text.get(..end).and_then(|bare| bare.strip_suffix('.')) {
        Some(bare) if bare.is_empty() || bare.ends_with(['.', '@']) => return Err(Error::Idna),
        Some(bare) => Jid::new(&[bare, text.get(end..).unwrap_or_default()].concat())?,
        None => Jid::new(text)?,
    };
    // Every stanza comes by here; of ASCII nothing is left to prepare.
    let is_done = text.is_ascii() || Jid::new(jid.as_str()).is_ok_and(|again| again.as_str() == jid.as_str());
    if is_done { Ok(jid) } else { Err(Error::NodePrep) }
}

/// The bare part of an address that is one, without copying it.
pub fn bare(jid: &str) -> &str {
    memchr::memchr(b'/', jid.as_bytes()).and_then(|at| jid.get(..at)).unwrap_or(jid)
}

/// The local part of an address, by the same rules.
///
/// # Errors
/// It is none.
pub fn localpart(text: &str) -> Result<NodePart, Error> {
    let node = NodePart::new(text)?.into_owned();
    let is_done = text.is_ascii() || NodePart::new(node.as_str()).is_ok_and(|again| again.as_str() == node.as_str());
    if is_done { Ok(node) } else { Err(Error::NodePrep) }
}

#[cfg(test)]
mod tests {
    use super::{address, oracle};

    #[test]
    fn the_corpus_of_the_fuzz_target_is_addresses_and_what_is_none() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../conformance/fuzz/corpus/jid");
        let mut files = 0;
        for file in std::fs::read_dir(folder).expect("the corpus") {
            let path = file.expect("a file").path();
            let expected = path.file_name().is_some_and(|name| !name.to_string_lossy().starts_with("bad_"));
            assert_eq!(oracle::check(&std::fs::read(&path).expect("its bytes")), expected, "{}", path.display());
            files += 1;
        }
        assert!(files >= 30, "{files}");
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config { cases: 2_000, failure_persistence: None, ..Default::default() })]
        #[test]
        fn a18_whatever_is_an_address_is_the_same_when_it_is_said_again(text in "\\PC{0,12}(@\\PC{1,12})?(/\\PC{1,12})?") {
            oracle::check(text.as_bytes());
        }

        #[test]
        fn a18_separators_and_letters_that_deceive_in_any_order(
            parts in proptest::collection::vec(
                proptest::sample::select(vec![
                    "a", "B", "é", "e\u{301}", "ß", "ſ", "K", "ﬁ", "Ａ", "\u{fdfa}", "\u{200d}", "\u{ad}", "א", "ا", "1", "٣", "xn--", "-",
                    ".", "。", "@", "/", " ", "\u{a0}", "'", "<", "&", "\\20", "[::1]", "127.0.0.1", "\u{0}", "\u{1d165}", "İ", "ς", "Σ",
                ]),
                0..12,
            ),
        ) {
            oracle::check(parts.concat().as_bytes());
        }
    }

    #[test]
    fn s3_2_the_dot_at_the_end_of_a_domain_is_nothing() {
        for (said, meant) in [("a@b.c./x.", "a@b.c/x."), ("a@b.c.", "a@b.c"), ("b.c./x", "b.c/x"), ("b.c.", "b.c")] {
            let jid = address(said).expect("an address");
            assert_eq!(jid.as_str(), meant);
            assert_eq!((jid.domain().as_str(), jid.to_bare().as_str()), ("b.c", meant.split('/').next().unwrap_or_default()));
        }
        assert!(address("a@b..").is_err() && address("a@.").is_err() && address("./x").is_err());
    }

    #[test]
    fn c9_what_becomes_somebody_else_when_it_is_said_again_is_nobody() {
        // Letters in boxes: Unicode knows them, the stringprep of 2002 does not.
        for text in ["\u{1f141}omeo@house", "romeo@house.\u{1f141}", "\u{1f130}dmin@house/x"] {
            assert!(jid::Jid::new(text).is_ok_and(|jid| jid::Jid::new(jid.as_str()).is_ok_and(|again| again != jid)), "{text}");
            assert!(address(text).is_err(), "{text}");
        }
        assert!(super::localpart("\u{1f141}omeo").is_err());
        // Full width, ligatures, capitals of any script come to an end at once.
        for (said, meant) in [("ＲＯＭＥＯ@house", "romeo@house"), ("oﬃce@house", "office@house"), ("ΣΑΣ@house", "σασ@house")]
        {
            assert_eq!(address(said).expect("an address").as_str(), meant);
        }
    }
}
