//! Whatever bytes come: no panic, and nobody is let in.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Bytes that get further than noise: pieces of real messages, mixed.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"n,,".to_vec()),
        Just(b"y,,".to_vec()),
        Just(b"p=tls-exporter,,".to_vec()),
        Just(b"a=alice@house.example".to_vec()),
        Just(b"n=alice".to_vec()),
        Just(b",r=romeo".to_vec()),
        Just(b",r=romeoBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH".to_vec()),
        Just(b"c=biws".to_vec()),
        Just(b",p=".to_vec()),
        Just(b",p=AAAAAAAAAAAAAAAAAAAAAAAAAAA=".to_vec()),
        Just(b",m=x".to_vec()),
        Just(b"=2C".to_vec()),
        Just(b"=".to_vec()),
        Just(b",".to_vec()),
        Just(b"\0".to_vec()),
        Just(b"alice".to_vec()),
        Just("\u{fdfa}".as_bytes().to_vec()),
        Just("\u{202e}\u{ad}".as_bytes().to_vec()),
        vec(any::<u8>(), 0..8),
        any::<String>().prop_map(String::into_bytes),
    ];
    prop_oneof![vec(any::<u8>(), 0..200), vec(piece, 0..12).prop_map(|pieces| pieces.concat()),]
}

fn any_mechanism() -> impl Strategy<Value = Mechanism> {
    (0..Mechanism::ALL.len()).prop_map(|index| Mechanism::ALL[index])
}

/// Runs until the exchange ends or the messages do.
fn play(mechanism: Mechanism, offered: &Offered, messages: Vec<Vec<u8>>) -> Step {
    let mut messages = messages.into_iter();
    let initial = messages.next();
    let mut step = found(Exchange::start(mechanism, offered, NONCE, initial.as_deref()));
    loop {
        step = match (step, messages.next()) {
            (Step::Challenge(_, exchange), Some(message)) => found(exchange.respond(&message)),
            (step, _) => return step,
        };
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_messages_never_panic_and_never_succeed(
        mechanism in any_mechanism(),
        messages in vec(message(), 0..4),
        binding in any::<bool>(),
    ) {
        let offered = if binding { everything() } else { without_binding() };
        let step = play(mechanism, &offered, messages);
        prop_assert!(!matches!(step, Step::Success { .. }), "{step:?}");
    }

    #[test]
    fn arbitrary_last_messages_never_succeed(last in message()) {
        let client = Client::new(Hash::Sha256);
        let step = play(
            Mechanism::ScramSha256,
            &everything(),
            vec![client.first().into_bytes(), last],
        );
        prop_assert!(matches!(step, Step::Failure(_)), "{step:?}");
    }

    #[test]
    fn an_honest_last_message_with_one_byte_changed_never_succeeds(
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let client = Client::new(Hash::Sha1);
        let (server_first, exchange) =
            challenged(found(start(Mechanism::ScramSha1, &everything(), &client.first())));
        let honest = honest_last(&server_first);
        let mut bent = honest.clone();
        let place = place.index(bent.len());
        bent[place] = byte;
        prop_assume!(bent != honest);
        let step = exchange.respond(&bent);
        prop_assert!(matches!(step, Step::Failure(_)), "{step:?}");
    }

    #[test]
    fn arbitrary_records_never_panic(record in vec(any::<u8>(), 0..400)) {
        prop_assert!(Credentials::decode(&record).is_err());
    }

    #[test]
    fn whatever_name_is_given_the_session_is_the_account_that_was_looked_up(
        authzid in "(alice@house.example|\\PC{0,8}|)",
        name in "(alice|\\PC{1,8})",
    ) {
        let message = format!("{authzid}\0{name}\0{PASSWORD}");
        if let Step::NeedCredentials { authcid, account, .. } =
            start(Mechanism::Plain, &everything(), &message)
        {
            prop_assert_eq!(account.domain().as_str(), "house.example");
            prop_assert_eq!(account.node().map(|node| node.as_str()), Some(authcid.as_str()));
            prop_assert_eq!(&jid::BareJid::new(account.as_str()).unwrap(), &account);
            let own = authzid.is_empty() || jid::BareJid::new(&authzid) == Ok(account);
            prop_assert!(own, "{:?} as {:?}", name, authzid);
        }
    }

    #[test]
    fn user_names_survive_escaping(name in "[a-z=,]{1,20}") {
        let escaped = name.replace('=', "=3D").replace(',', "=2C");
        let message = format!("n,,n={escaped},r=romeo");
        match start(Mechanism::ScramSha256, &everything(), &message) {
            Step::NeedCredentials { authcid, .. } => prop_assert_eq!(authcid, name),
            other => prop_assert!(false, "{:?}", other),
        }
    }
}

/// Derived once: the nonces are the same in every case.
fn honest_last(server_first: &str) -> Vec<u8> {
    static LAST: OnceLock<Vec<u8>> = OnceLock::new();
    LAST.get_or_init(|| Client::new(Hash::Sha1).last(server_first).into_bytes()).clone()
}
