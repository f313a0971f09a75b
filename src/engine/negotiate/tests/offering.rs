//! What is offered to accounts that do not have keys for everything, and how they get them.

use iris_core::login::HashSet;

use super::super::sasl::Hash;
use super::*;

const STRONG: &str = "<mechanism>SCRAM-SHA-256</mechanism>";
const OLD: &str = "<mechanism>SCRAM-SHA-1</mechanism>";

/// As an account that moved in from a server that knew SCRAM-SHA-1 only.
fn old_login() -> AskAnswer {
    let credentials = Credentials::derive("secret", |salt| salt.fill(7), ITERATIONS_MIN).expect("a password");
    let credentials = credentials.only(Hash::Sha1).encode().into();
    AskAnswer::Credentials(Some(Login { enabled: true, created_us: 0, since_us: 0, credentials }))
}

/// `old` of the domain's accounts have keys for SHA-1 alone.
fn house(old: u64, whole: u64) -> Client {
    let client = Client::tls();
    let sha1 = HashSet::NONE.with(Hash::Sha1.bit());
    (0..old).for_each(|_| client.census.change(A, None, Some(sha1)));
    (0..whole).for_each(|_| client.census.change(A, None, Some(HashSet::ALL)));
    client
}

/// The features that a stream from `name` gets, and whether anybody was asked.
fn offered(mut client: Client, name: Option<&str>, answer: AskAnswer) -> (String, bool) {
    let from = name.map(|name| format!("{name}@{A}"));
    let actions = client.header(&StreamHeader { from: from.clone(), ..header(A) });
    let asked = match &actions[..] {
        [] => false,
        [Action::LookUp(account)] => {
            assert_eq!(Some(account.as_str()), from.as_deref());
            assert!(!client.heard.contains("features"), "nothing is offered before the answer");
            assert!(client.step(|it, env| it.looked_up(answer, false, env)).is_empty());
            true
        }
        other => panic!("{other:?}"),
    };
    (client.heard, asked)
}

#[test]
fn s6_4_1_where_all_have_the_same_keys_nobody_is_asked() {
    let (all, asked) = offered(house(0, 3), Some("alice"), login(true));
    assert!(all.contains(STRONG) && all.contains(OLD) && !asked);
    let (old, asked) = offered(house(3, 0), Some("alice"), old_login());
    assert!(!old.contains(STRONG) && !old.contains("<mechanism>SCRAM-SHA-512") && old.contains(OLD) && !asked, "{old}");
    assert!(old.contains("<mechanism>SCRAM-SHA-1-PLUS</mechanism>") && old.contains("<channel-binding "), "{old}");
}

#[test]
fn s4_7_1_a_header_that_names_its_account_is_offered_what_that_one_has() {
    let (old, asked) = offered(house(1, 9), Some("alice"), old_login());
    assert!(asked && !old.contains(STRONG) && old.contains(OLD), "{old}");
    let (whole, asked) = offered(house(1, 9), Some("alice"), login(true));
    assert!(asked && whole.contains(STRONG), "{whole}");
    let (nameless, asked) = offered(house(1, 9), None, login(true));
    assert!(!asked && !nameless.contains(STRONG) && nameless.contains(OLD) && nameless.contains("PLAIN"), "{nameless}");
}

#[test]
fn what_is_not_offered_is_not_taken() {
    let mut client = house(1, 9);
    client.header(&StreamHeader { from: Some(format!("alice@{A}")), ..header(A) });
    client.step(|it, env| it.looked_up(old_login(), false, env));
    let first = base64("n,,n=alice,r=abc");
    let actions = client.send(&format!("<auth xmlns='{}' mechanism='SCRAM-SHA-256'>{first}</auth>", ns::SASL));
    assert!(actions.is_empty(), "{actions:?}");
    client.heard("<invalid-mechanism/>");
    let actions = client.send(&format!("<auth xmlns='{}' mechanism='SCRAM-SHA-1'>{first}</auth>", ns::SASL));
    assert!(matches!(actions[..], [Action::LookUp(_)]), "{actions:?}");
}

#[test]
fn b10_names_of_nobody_are_answered_like_accounts_and_always_alike() {
    let nobody = || AskAnswer::Credentials(None);
    let is_old = |name: &str| !offered(house(300, 700), Some(name), nobody()).0.contains(STRONG);
    let names: Vec<String> = (0..200).map(|n| format!("nobody{n}")).collect();
    let first: Vec<bool> = names.iter().map(|name| is_old(name)).collect();
    let old = first.iter().filter(|old| **old).count();
    assert!((35..=85).contains(&old), "three of ten accounts are old, so are about three of ten strangers: {old} of 200");
    assert!(names.iter().zip(&first).take(20).all(|(name, old)| is_old(name) == *old), "the same every time");
    // An account that has no keys at all sounds the same.
    let empty = Login { enabled: true, created_us: 0, since_us: 0, credentials: Bytes::new() };
    let (said, _) = offered(house(300, 700), Some("nobody0"), AskAnswer::Credentials(Some(empty)));
    assert_eq!(!said.contains(STRONG), first[0]);
}

#[test]
fn nothing_is_asked_in_the_clear_and_nothing_comes_before_the_answer() {
    let mut client = Client::new(Transport::StartTls);
    client.census = house(1, 1).census;
    assert!(client.header(&StreamHeader { from: Some(format!("alice@{A}")), ..header(A) }).is_empty());
    client.heard("<starttls ");
    let mut early = house(1, 1);
    early.header(&StreamHeader { from: Some(format!("alice@{A}")), ..header(A) });
    closes(&early.send("<presence/>"));
    early.heard("<not-authorized ");
}

#[test]
fn a_password_that_is_shown_makes_the_keys_that_are_missing() {
    let mut client = house(1, 0);
    client.header(&header(A));
    let actions = client.plain_against("alice", "secret", old_login());
    let [Action::Keep(who, Ask::Upgrade { was, credentials }), Action::Authenticated(_), Action::Restart] = &actions[..] else {
        panic!("{actions:?}")
    };
    let AskAnswer::Credentials(Some(before)) = old_login() else { panic!("an account") };
    assert_eq!((who, was), (&alice(), &before.credentials));
    let better = Credentials::decode(credentials).expect("credentials");
    assert!(better.verify_plain("secret") && !better.verify_plain("Secret"));
    assert_eq!(better.hashes().count(), 3);
    let kept = |record: &Bytes| Credentials::decode(record).expect("credentials").only(Hash::Sha1).encode();
    assert_eq!(kept(credentials), kept(was), "keys that are as good as new ones stay");
    for (password, login) in [("wrong", old_login()), ("secret", login(true)), ("wrong", AskAnswer::Credentials(None))] {
        let mut client = house(1, 0);
        client.header(&header(A));
        let actions = client.plain_against("alice", password, login);
        assert!(!actions.iter().any(|action| matches!(action, Action::Keep(..))), "{actions:?}");
    }
}

#[test]
fn keys_that_are_easier_to_guess_than_new_ones_are_made_anew() {
    let mut client = Client::tls();
    client.policy.fake_salt = FakeSalt::new([9; 32], ITERATIONS_MIN + 1);
    client.header(&header(A));
    let actions = client.plain("alice", "secret");
    let Some(Action::Keep(_, Ask::Upgrade { credentials, .. })) = actions.first() else { panic!("{actions:?}") };
    let better = Credentials::decode(credentials).expect("credentials");
    assert!(!better.is_weaker_than(ITERATIONS_MIN + 1) && better.verify_plain("secret"));
}
