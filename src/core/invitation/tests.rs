use proptest::prelude::*;

use super::*;

const NOW: u64 = 1_767_225_600_000_000;
const WEEK: u64 = 7 * 86_400 * 1_000_000;

fn jid(text: &str) -> BareJid {
    BareJid::new(text).expect("a bare JID")
}

fn token(n: u8) -> Token {
    Token::new([n; 16])
}

fn of(purpose: Purpose) -> Invitation {
    let romeo = jid("romeo@house");
    let contact = (purpose == Purpose::Contact).then(|| romeo.clone());
    Invitation { purpose, inviter: Some(romeo), contact, created_us: NOW, expires_us: NOW + WEEK, state: State::Open }
}

fn with(purpose: Purpose) -> (Ledger, InvitationId) {
    let mut ledger = Ledger::default();
    let id = token(1).id();
    ledger.invite(id, of(purpose), &Rules::default(), NOW).expect("there is room");
    (ledger, id)
}

fn granted(admission: Result<Admission, Refusal>) -> Change {
    match admission {
        Ok(Admission::Granted(change)) => change,
        other => panic!("{other:?}"),
    }
}

/// What a process finds that comes after one that died.
fn reborn(ledger: &Ledger) -> Ledger {
    let stored: Vec<(Arc<str>, bytes::Bytes)> = ledger.iter().map(|(id, it)| (id.key(), stored::encode(it))).collect();
    let reborn = Ledger::load(stored.iter().map(|(key, value)| (&**key, value)));
    assert_eq!(reborn.unreadable(), 0);
    reborn
}

#[test]
fn d10_a_token_has_128_bits_and_all_of_them_count() {
    let mut seen = std::collections::HashSet::new();
    for bit in 0..128 {
        let token = Token::new((1u128 << bit).to_be_bytes());
        assert_eq!(token.as_str().len(), 26);
        assert!(token.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric()), "{}", token.as_str());
        assert!(Token::from_str(token.as_str()).is_ok_and(|read| read == token));
        assert!(seen.insert(token.as_str().to_owned()), "bit {bit} is lost");
    }
    assert_eq!(seen.len(), 128);
}

#[test]
fn what_is_no_token_is_not_looked_for() {
    for text in [
        "",
        "a",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "AAAAAAAAAAAAAAAAAAAAAAAAAA",
        "../../../etc/passwdaaaaaaaa",
        "äaaaaaaaaaaaaaaaaaaaaaaaaa",
    ] {
        assert!(Token::from_str(text).is_err(), "{text}");
    }
}

#[test]
fn the_store_knows_the_hash_of_a_token_and_not_the_token() {
    let (ledger, id) = with(Purpose::Contact);
    let value = stored::encode(ledger.get(&id).expect("it is there"));
    let text = format!("{}{}", id.key(), String::from_utf8_lossy(&value));
    assert!(!text.contains(token(1).as_str()));
    assert_eq!(InvitationId::from_key(&id.key()), Some(id));
    assert_eq!(InvitationId::from_key("xyz"), None);
}

#[test]
fn d10_of_two_at_once_exactly_one_wins() {
    let (mut ledger, id) = with(Purpose::Account { username: None });
    granted(ledger.claim(&id, "juliet", false, NOW));
    assert_eq!(ledger.claim(&id, "rosaline", false, NOW + 1), Err(Refusal::Busy));
    ledger.spend(&id, jid("juliet@house"), NOW + 2).expect("a change");
    assert_eq!(ledger.claim(&id, "rosaline", false, NOW + 3), Err(Refusal::Gone));
    assert_eq!(ledger.open(&id, NOW + 3), Err(Refusal::Gone));
}

#[test]
fn d10_an_account_that_was_not_made_leaves_the_invitation_as_it_was() {
    let (mut ledger, id) = with(Purpose::Account { username: None });
    granted(ledger.claim(&id, "juliet", false, NOW));
    ledger.release(&id).expect("a change");
    granted(ledger.claim(&id, "rosaline", false, NOW + 1));
}

#[test]
fn d10_a_process_that_dies_between_claim_and_account_loses_neither() {
    let (mut ledger, id) = with(Purpose::Account { username: None });
    granted(ledger.claim(&id, "juliet", false, NOW));
    let doubt = Ok(Admission::Doubt { username: "juliet".into(), since_us: NOW });

    let mut after = reborn(&ledger);
    assert_eq!(after.claim(&id, "rosaline", false, NOW + 5), doubt);
    after.resolve(&id, None, NOW + 6).expect("a change");
    granted(after.claim(&id, "rosaline", false, NOW + 7));

    let mut after = reborn(&ledger);
    assert_eq!(after.claim(&id, "rosaline", false, NOW + 5), doubt);
    after.resolve(&id, Some(jid("juliet@house")), NOW + 6).expect("a change");
    assert_eq!(after.claim(&id, "rosaline", false, NOW + 7), Err(Refusal::Gone));
}

#[test]
fn a_claim_whose_end_nobody_tells_becomes_a_doubt() {
    let (mut ledger, id) = with(Purpose::Account { username: None });
    granted(ledger.claim(&id, "juliet", false, NOW));
    let later = NOW + ledger::CLAIM_TIME.as_micros() as u64;
    assert_eq!(ledger.claim(&id, "juliet", false, later - 1), Err(Refusal::Busy));
    assert!(matches!(ledger.claim(&id, "juliet", false, later), Ok(Admission::Doubt { .. })));
}

#[test]
fn xep0445_3_the_date_is_looked_at_once_a_stream() {
    let (mut ledger, id) = with(Purpose::Account { username: None });
    let late = NOW + WEEK;
    assert!(ledger.open(&id, late - 1).is_ok());
    assert_eq!(ledger.open(&id, late), Err(Refusal::Gone));
    assert_eq!(ledger.claim(&id, "juliet", false, late), Err(Refusal::Gone));
    granted(ledger.claim(&id, "juliet", true, late));
}

#[test]
fn xep0445_4_a_name_is_kept_until_its_invitation_ends() {
    let (mut ledger, id) = with(Purpose::Account { username: Some("juliet".into()) });
    assert!(ledger.is_reserved("juliet", None, NOW));
    assert!(!ledger.is_reserved("juliet", Some(&id), NOW));
    assert!(!ledger.is_reserved("juliet", None, NOW + WEEK));
    assert_eq!(ledger.claim(&id, "rosaline", false, NOW), Err(Refusal::OtherName));
    let other = token(2).id();
    ledger.invite(other, of(Purpose::Contact), &Rules::default(), NOW).expect("there is room");
    assert_eq!(ledger.claim(&other, "juliet", false, NOW), Err(Refusal::Reserved));
    let again = ledger.invite(token(3).id(), of(Purpose::Account { username: Some("juliet".into()) }), &Rules::default(), NOW);
    assert_eq!(again, Err(Refusal::Reserved));
    granted(ledger.claim(&id, "juliet", false, NOW));
}

#[test]
fn a_user_has_so_many_open_invitations_and_no_more() {
    let mut ledger = Ledger::default();
    let rules = Rules { live_per_user_max: 2, total_max: 100 };
    for n in 0..2 {
        ledger.invite(token(n).id(), of(Purpose::Contact), &rules, NOW).expect("there is room");
    }
    assert_eq!(ledger.invite(token(9).id(), of(Purpose::Contact), &rules, NOW), Err(Refusal::TooMany));
    ledger.revoke(&token(0).id(), NOW).expect("it is open");
    ledger.invite(token(9).id(), of(Purpose::Contact), &rules, NOW).expect("there is room again");
    let house = Invitation { inviter: None, ..of(Purpose::Account { username: None }) };
    ledger.invite(token(10).id(), house, &rules, NOW).expect("the house is no user");
}

#[test]
fn the_domain_forgets_what_is_over_before_it_refuses() {
    let mut ledger = Ledger::default();
    let rules = Rules { live_per_user_max: 100, total_max: 2 };
    for n in 0..2 {
        ledger.invite(token(n).id(), of(Purpose::Contact), &rules, NOW).expect("there is room");
    }
    assert_eq!(ledger.invite(token(9).id(), of(Purpose::Contact), &rules, NOW), Err(Refusal::TooMany));
    ledger.revoke(&token(0).id(), NOW).expect("it is open");
    let changes = ledger.invite(token(9).id(), of(Purpose::Contact), &rules, NOW).expect("there is room again");
    assert_eq!(changes.first(), Some(&Change { key: token(0).id().key(), value: None }));
}

#[test]
fn a_used_link_says_gone_for_a_while_and_is_forgotten_then() {
    let (mut ledger, id) = with(Purpose::Contact);
    ledger.redeem(&id, &jid("romeo@house"), &jid("juliet@away"), NOW).expect("it is open");
    let later = NOW + ledger::REMEMBERED.as_micros() as u64;
    assert!(ledger.sweep(later - 1, false).is_empty());
    assert_eq!(ledger.open(&id, later - 1), Err(Refusal::Gone));
    assert_eq!(ledger.sweep(later, false).len(), 1);
    assert_eq!(ledger.open(&id, later), Err(Refusal::Unknown));
}

#[test]
fn xep0379_3_4_a_token_is_for_one_inviter_and_for_one_contact() {
    let (mut ledger, id) = with(Purpose::Contact);
    let (romeo, juliet) = (jid("romeo@house"), jid("juliet@away"));
    assert_eq!(ledger.redeem(&id, &jid("mercutio@house"), &juliet, NOW), Err(Refusal::NotForThis));
    assert!(ledger.redeem(&id, &romeo, &juliet, NOW).expect("it is open").is_some());
    assert_eq!(ledger.redeem(&id, &romeo, &juliet, NOW), Ok(None), "she asks again");
    assert_eq!(ledger.redeem(&id, &romeo, &jid("rosaline@away"), NOW), Err(Refusal::Gone));
    let (mut ledger, id) = with(Purpose::Account { username: None });
    assert_eq!(ledger.redeem(&id, &romeo, &juliet, NOW), Err(Refusal::NotForThis));
}

#[test]
fn what_an_inviter_leaves_behind_lets_nobody_in() {
    let (mut ledger, id) = with(Purpose::Contact);
    assert_eq!(ledger.inviter_gone(&jid("romeo@house"), NOW).len(), 1);
    assert_eq!(ledger.claim(&id, "juliet", false, NOW), Err(Refusal::Gone));
}

#[test]
fn a_password_is_set_for_the_account_it_was_made_for() {
    let (mut ledger, id) = with(Purpose::Password { username: "juliet".into() });
    assert_eq!(ledger.claim(&id, "romeo", false, NOW), Err(Refusal::OtherName));
    granted(ledger.claim(&id, "juliet", false, NOW));
    assert!(!ledger.is_reserved("juliet", None, NOW), "the account is there already");
}

#[test]
fn uris_are_those_of_the_texts() {
    let token = token(0);
    let t = token.as_str();
    assert_eq!(
        of(Purpose::Contact).uri("house", &token).as_deref(),
        Some(&*format!("xmpp:romeo@house?roster;preauth={t};ibr=y"))
    );
    let named = of(Purpose::Account { username: Some("juliet".into()) });
    assert_eq!(named.uri("house", &token).as_deref(), Some(&*format!("xmpp:juliet@house?register;preauth={t}")));
    let free = of(Purpose::Account { username: None });
    assert_eq!(free.uri("house", &token).as_deref(), Some(&*format!("xmpp:house?register;preauth={t}")));
    assert_eq!(uri_jid("a?b#c%d;e@h"), "a%3Fb%23c%25d%3Be@h");
    assert_eq!(uri_jid("jülich@house"), "j%C3%BClich@house");
}

proptest! {
    #[test]
    fn records_round_trip(
        kind in 0..3u8,
        name in "[a-z]{1,20}",
        inviter in proptest::option::of(Just("romeo@house")),
        contact in proptest::option::of(Just("paris@away")),
        created_us: u64,
        expires_us: u64,
        state in 0..4u8,
        at_us: u64,
    ) {
        let purpose = match kind {
            0 => Purpose::Contact,
            1 => Purpose::Account { username: (at_us % 2 == 0).then(|| name.clone()) },
            _ => Purpose::Password { username: name.clone() },
        };
        let state = match state {
            0 => State::Open,
            1 => State::Claimed { username: name, at_us },
            2 => State::Spent { by: jid("juliet@house"), at_us },
            _ => State::Revoked { at_us },
        };
        let it = Invitation { purpose, inviter: inviter.map(jid), contact: contact.map(jid), created_us, expires_us, state };
        let value = stored::encode(&it);
        prop_assert_eq!(stored::decode(&value), Some(it));
        for cut in 0..value.len() {
            prop_assert_eq!(stored::decode(&value.slice(..cut)), None);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        let _ = stored::decode(&bytes::Bytes::from(bytes));
    }
}
