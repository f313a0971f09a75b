use std::time::Duration;

use iris_core::invitation::{Invitation, Purpose, Refusal, State, Token};
use iris_core::registration::{Answer, Invite, Presented, Refused, Request};
use iris_core::{Ask, AskAnswer, BareJid};
use iris_engine::testing::House;

use crate::ROOMS;

const OPEN: &str = "[xep.registration]\nopen = true\n";

fn jid(text: &str) -> BareJid {
    BareJid::new(text).expect("a bare JID")
}

fn query(inside: &str) -> String {
    format!("<query xmlns='jabber:iq:register'>{inside}</query>")
}

fn register(house: &mut House, username: &str, invitation: Option<&Token>) -> Result<Option<BareJid>, Refused> {
    let invitation = invitation.map(|token| Presented { id: token.id(), checked: false });
    let request = Request::Register { username: username.into(), password: "correct horse".into(), invitation };
    match house.registrar("house", request).expect("an answer") {
        Answer::Registered { contact, .. } => Ok(contact),
        Answer::Refused(why) => Err(why),
        _ => panic!("another answer"),
    }
}

fn invite(house: &mut House, purpose: Purpose, contact: Option<&str>) -> Result<(Token, Invitation), Refused> {
    let wanted = Invite { purpose, contact: contact.map(jid), lifetime: None };
    match house.registrar("house", Request::Invite(Box::new(wanted))).expect("an answer") {
        Answer::Invited { token, invitation, link } => {
            assert_eq!(link, Some(format!("https://house:5443/invite/{}", token.as_str())));
            Ok((token, *invitation))
        }
        Answer::Refused(why) => Err(why),
        _ => panic!("another answer"),
    }
}

fn free(house: &mut House) -> Token {
    invite(house, Purpose::Account { username: None }, None).expect("an invitation").0
}

fn credentials(house: &mut House, account: &str) -> Option<String> {
    match house.ask(account, Ask::Credentials) {
        Some(AskAnswer::Credentials(login)) => login.map(|login| String::from_utf8_lossy(&login.credentials).into_owned()),
        _ => None,
    }
}

fn roster(house: &mut House, account: &str) -> Vec<(String, &'static str)> {
    match house.ask(account, Ask::Roster) {
        Some(AskAnswer::Roster(items)) => items.into_iter().map(|it| (it.jid.to_string(), it.subscription)).collect(),
        other => panic!("{other:?}"),
    }
}

// --- the own account ------------------------------------------------------------------------------------------------------

#[test]
fn s3_1_who_is_registered_is_told_so() {
    let mut house = House::with(ROOMS);
    let bill = house.login("bill@house/globe");
    for to in [None, Some("house"), Some("bill@house")] {
        let answer = house.iq(&bill, "get", to, &query(""));
        assert!(answer.as_str().contains("<registered/><username>bill</username><password/>"), "{}", answer.as_str());
    }
}

#[test]
fn s3_3_a_user_changes_the_password_and_only_the_other_sessions_end() {
    let mut house = House::with(ROOMS);
    let (globe, rose) = (house.login("bill@house/globe"), house.login("bill@house/rose"));
    for (to, password) in [(Some("house"), "newpass one"), (None, "newpass two")] {
        let answer = house.iq(&globe, "set", to, &query(&format!("<username>bill</username><password>{password}</password>")));
        assert!(answer.as_str().contains("type='result'"), "{}", answer.as_str());
        assert_eq!(credentials(&mut house, "bill@house"), Some(format!("keys of {password}")));
    }
    assert!(house.is_over(&rose), "an old session ends");
    assert!(!house.is_over(&globe));
}

#[test]
fn s3_3_an_empty_password_changes_nothing() {
    let mut house = House::with(ROOMS);
    let bill = house.login("bill@house/globe");
    let before = credentials(&mut house, "bill@house");
    for (inside, condition) in [
        ("<username>bill</username><password/>", "bad-request"),
        ("<username>bill</username>", "bad-request"),
        ("", "bad-request"),
        ("<username>bill</username><password>short</password>", "not-acceptable"),
        ("<username>romeo</username><password>long enough</password>", "bad-request"),
        ("<remove/><username>bill</username>", "bad-request"),
    ] {
        let answer = house.iq(&bill, "set", Some("house"), &query(inside));
        assert!(answer.as_str().contains(condition), "{inside}: {}", answer.as_str());
        assert!(!answer.as_str().contains("password>"), "the request is not sent back: {}", answer.as_str());
    }
    assert_eq!(credentials(&mut house, "bill@house"), before);
}

#[test]
fn nobody_changes_what_is_somebody_elses() {
    let mut house = House::with(ROOMS);
    house.friends("bill@house", "eve@house");
    let before = credentials(&mut house, "bill@house");
    let (eve, far) = (house.login("eve@house/x"), house.login("eve@away/x"));
    for inside in ["<username>bill</username><password>long enough</password>", "<remove/>"] {
        let answer = house.iq(&eve, "set", Some("bill@house"), &query(inside));
        assert!(answer.as_str().contains("service-unavailable"), "{}", answer.as_str());
        let answer = house.iq(&far, "set", Some("house"), &query(inside));
        assert!(answer.as_str().contains("registration-required"), "{}", answer.as_str());
    }
    assert!(house.iq(&far, "get", Some("house"), &query("")).as_str().contains("service-unavailable"));
    assert_eq!(credentials(&mut house, "bill@house"), before);
    assert!(credentials(&mut house, "eve@away").is_some());
}

#[test]
fn d10_s3_2_removal_is_answered_ends_every_session_and_tells_the_contacts() {
    for to in [None, Some("house")] {
        let mut house = House::with(ROOMS);
        house.friends("bill@house", "juliet@away");
        let juliet = house.online("juliet@away/balcony");
        house.iq(&juliet, "get", None, "<query xmlns='jabber:iq:roster'/>");
        let (globe, rose) = (house.online("bill@house/globe"), house.online("bill@house/rose"));
        house.send(&rose, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
        house.recv(&rose);
        house.recv(&globe);
        house.recv(&juliet);
        let to = to.map_or(String::new(), |to| format!(" to='{to}'"));
        house.send(&globe, &format!("<iq type='set' id='unreg1'{to}>{}</iq>", query("<remove/>")));
        let heard = house.hear(&globe);
        let answer = heard.last().expect("an answer");
        assert!(answer.contains("id='unreg1'") && answer.contains("type='result'"), "{heard:?}");
        assert!(house.is_over(&globe) && house.is_over(&rose));
        let told = house.hear(&juliet).join("");
        for kind in ["unavailable", "unsubscribe", "unsubscribed"] {
            assert!(told.contains(&format!("type='{kind}'")), "{kind}: {told}");
        }
        assert_eq!(roster(&mut house, "juliet@away"), [("bill@house".to_owned(), "none")]);
        assert_eq!(credentials(&mut house, "bill@house"), None);
        assert!(house.try_login("bill@house/again").is_err());
        // Everything is free again, and nothing of it is left.
        house.user("bill@house");
        assert!(roster(&mut house, "bill@house").is_empty());
    }
}

#[test]
fn s3_2_nothing_is_answered_before_it_is_kept() {
    let mut house = House::manual(ROOMS);
    house.user("bill@house");
    house.store.commit();
    house.run();
    let bill = house.try_login("bill@house/globe").expect("a session");
    house.send(&bill, &format!("<iq type='set' id='unreg1'>{}</iq>", query("<remove/>")));
    house.nothing(&bill);
    assert!(!house.is_over(&bill), "its last word waits for the disk");
    house.store.commit();
    house.run();
    assert!(house.one(&bill).as_str().contains("unreg1"));
    assert!(house.is_over(&bill));
}

// --- new accounts ---------------------------------------------------------------------------------------------------------

#[test]
fn d10_registration_is_disabled_by_default() {
    let mut house = House::with(ROOMS);
    assert_eq!(register(&mut house, "juliet", None), Err(Refused::Closed));
    assert_eq!(credentials(&mut house, "juliet@house"), None);
}

#[test]
fn with_the_switch_everybody_comes_in() {
    let mut house = House::with_config(ROOMS, OPEN);
    assert_eq!(register(&mut house, "Juliet", None), Ok(None));
    assert_eq!(credentials(&mut house, "juliet@house"), Some("keys of correct horse".into()));
    assert!(house.try_login("juliet@house/balcony").is_ok());
}

#[test]
fn d10_an_existing_account_is_never_overwritten() {
    let mut house = House::with_config(ROOMS, OPEN);
    house.user("juliet@house");
    let before = credentials(&mut house, "juliet@house");
    for name in ["juliet", "JULIET", "ｊｕｌｉｅｔ"] {
        assert_eq!(register(&mut house, name, None), Err(Refused::UsernameTaken), "{name}");
    }
    let token = free(&mut house);
    assert_eq!(register(&mut house, "juliet", Some(&token)), Err(Refused::UsernameTaken));
    assert_eq!(credentials(&mut house, "juliet@house"), before);
    assert_eq!(register(&mut house, "rosaline", Some(&token)), Ok(None), "the invitation is as good as before");
}

#[test]
fn d10_the_houses_own_names_are_nobodys() {
    let bot = "[[xep.components.component]]\ndomain = \"irc.example\"\nsecret = \"northnorthwest\"\n";
    let mut house = House::with_config(ROOMS, &format!("{OPEN}{bot}"));
    let invitation = free(&mut house);
    for name in ["admin", "аdmin", "postmaster"] {
        assert_eq!(register(&mut house, name, None), Err(Refused::UsernameReserved), "{name}");
    }
    // Domains, their services, programs that are domains; of the domain itself and of its neighbours; with the look of one.
    let domains =
        ["house", "HOUSE", "h0use", "away", "conference.house", "conference-house", "pubsub.away", "irc.example", "ircexample"];
    for name in domains {
        assert_eq!(register(&mut house, name, None), Err(Refused::UsernameReserved), "{name}");
        assert_eq!(register(&mut house, name, Some(&invitation)), Err(Refused::UsernameReserved), "{name}, invited");
    }
    for name in ["a b", "x@house", ""] {
        assert_eq!(register(&mut house, name, None), Err(Refused::UsernameInvalid), "{name}");
    }
    for name in ["houses", "conference", "irc"] {
        assert_eq!(register(&mut house, name, None), Ok(None), "{name}");
    }
    for name in ["support", "house"] {
        let (token, _) = invite(&mut house, Purpose::Account { username: Some(name.into()) }, None).expect("an invitation");
        assert_eq!(register(&mut house, name, Some(&token)), Ok(None), "{name}: whom the administrator names comes in");
    }
    house.user("conference.house@house");
    assert!(credentials(&mut house, "conference.house@house").is_some(), "whom the administrator makes is there");
}

#[test]
fn a_short_password_is_refused() {
    let mut house = House::with_config(ROOMS, OPEN);
    let request = Request::Register { username: "juliet".into(), password: "short".into(), invitation: None };
    assert!(matches!(house.registrar("house", request), Some(Answer::Refused(Refused::PasswordShort { chars_min: 8 }))));
}

// --- with an invitation ---------------------------------------------------------------------------------------------------

#[test]
fn d10_an_invitation_lets_one_in_and_no_second() {
    let mut house = House::with(ROOMS);
    let token = free(&mut house);
    assert_eq!(register(&mut house, "juliet", Some(&token)), Ok(None));
    assert_eq!(register(&mut house, "rosaline", Some(&token)), Err(Refused::Invitation(Refusal::Gone)));
    assert_eq!(credentials(&mut house, "rosaline@house"), None);
}

#[test]
fn d10_of_two_at_once_exactly_one_comes_in() {
    let mut house = House::with(ROOMS);
    let token = free(&mut house);
    let answers = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    for name in ["juliet", "rosaline"] {
        let (slot, id) = (answers.clone(), token.id());
        let request = Request::Register {
            username: name.into(),
            password: "correct horse".into(),
            invitation: Some(Presented { id, checked: true }),
        };
        let ask: iris_core::task::HostFn = Box::new(move |turn| {
            let (_, registrar) = turn.doors.registration.as_ref().expect("a registrar");
            registrar(
                turn,
                request,
                Box::new(move |it| slot.lock().expect("answers").push(matches!(it, Answer::Registered { .. }))),
            );
            Box::new(())
        });
        house.shards[0].in_host("house", ask, Box::new(|_| {}));
    }
    house.run();
    let mut answers = answers.lock().expect("answers").clone();
    answers.sort_unstable();
    assert_eq!(answers, [false, true]);
    let made = ["juliet@house", "rosaline@house"].map(|name| credentials(&mut house, name).is_some());
    assert_ne!(made[0], made[1]);
}

#[test]
fn xep0401_4_5_the_new_user_and_the_contact_see_each_other_and_the_contact_hears_of_it() {
    let mut house = House::with(ROOMS);
    let romeo = house.online("romeo@house/orchard");
    house.iq(&romeo, "get", None, "<query xmlns='jabber:iq:roster'/>");
    let (token, _) = invite(&mut house, Purpose::Account { username: None }, Some("romeo@house")).expect("an invitation");
    assert_eq!(register(&mut house, "juliet", Some(&token)), Ok(Some(jid("romeo@house"))));
    let push = house.one(&romeo);
    assert!(push.as_str().contains("subscription='both'") && push.as_str().contains("jid='juliet@house'"), "{}", push.as_str());
    assert_eq!(roster(&mut house, "juliet@house"), [("romeo@house".to_owned(), "both")]);
    assert_eq!(roster(&mut house, "romeo@house"), [("juliet@house".to_owned(), "both")]);
    let juliet = house.try_login("juliet@house/balcony").expect("a session");
    house.send(&juliet, "<presence/>");
    assert!(house.hear(&juliet).join("").contains("from='romeo@house/orchard'"), "she sees him");
    assert!(house.hear(&romeo).join("").contains("from='juliet@house/balcony'"), "he sees her");
}

#[test]
fn d10_a_process_that_dies_after_the_claim_loses_neither_invitation_nor_account() {
    // The claim is on disk, the account is not.
    let mut house = House::manual(ROOMS);
    let kept = |house: &mut House| {
        for _ in 0..8 {
            house.store.commit();
            house.run();
        }
    };
    house.user("romeo@house");
    kept(&mut house);
    let wanted = Invite { purpose: Purpose::Account { username: None }, contact: Some(jid("romeo@house")), lifetime: None };
    let made = std::sync::Arc::new(std::sync::Mutex::new(None));
    let slot = made.clone();
    house.host("house", move |turn| {
        let (_, registrar) = turn.doors.registration.as_ref().expect("a registrar");
        registrar(turn, Request::Invite(Box::new(wanted)), Box::new(move |it| *slot.lock().expect("it") = Some(it)));
    });
    kept(&mut house);
    let Some(Answer::Invited { token, .. }) = made.lock().expect("it").take() else { panic!("an invitation") };
    let request = || Request::Register {
        username: "juliet".into(),
        password: "correct horse".into(),
        invitation: Some(Presented { id: token.id(), checked: false }),
    };
    assert!(house.registrar("house", request()).is_none(), "the claim waits for the disk");
    house.store.commit();
    let store = house.store.clone();
    drop(house);
    store.refuse();
    let mut house = House::build(ROOMS, "", Default::default(), store);
    let Some(Answer::Listed(all)) = house.registrar("house", Request::List) else { panic!("a list") };
    assert!(matches!(&all[..], [(_, Invitation { state: State::Claimed { username, .. }, .. })] if username == "juliet"));
    // Somebody comes back with the link, under another name even.
    let again = Request::Register {
        username: "rosaline".into(),
        password: "correct horse".into(),
        invitation: Some(Presented { id: token.id(), checked: false }),
    };
    assert!(house.registrar("house", again).is_none());
    for _ in 0..8 {
        house.store.commit();
        house.run();
    }
    assert!(credentials(&mut house, "rosaline@house").is_some());
    assert_eq!(credentials(&mut house, "juliet@house"), None);
    assert_eq!(roster(&mut house, "romeo@house"), [("rosaline@house".to_owned(), "both")]);
}

#[test]
fn d10_a_process_that_dies_after_the_account_tells_the_contact_later() {
    let mut house = House::with(ROOMS);
    house.user("romeo@house");
    let (token, _) = invite(&mut house, Purpose::Account { username: None }, Some("romeo@house")).expect("an invitation");
    // As it is on disk when the process dies right after the account was made: claimed, and romeo knows nothing.
    let id = token.id();
    house.host("house", move |turn| {
        let now_us = turn.now.wall_us;
        let ledger = turn.state(&crate::xep0401_invitations::LEDGER).expect("a ledger");
        let Ok(iris_core::invitation::Admission::Granted(change)) = ledger.claim(&id, "juliet", false, now_us) else {
            panic!("a claim")
        };
        crate::xep0401_invitations::keep(turn, [change]);
    });
    house.ask("juliet@house", Ask::Register { credentials: "keys".into(), contact: None });
    let mut house = house.restart(ROOMS, Duration::from_secs(1));
    assert_eq!(register(&mut house, "rosaline", Some(&token)), Err(Refused::Invitation(Refusal::Gone)), "juliet has used it");
    assert_eq!(credentials(&mut house, "rosaline@house"), None);
}

#[test]
fn the_contact_hears_of_it_when_the_new_user_comes_if_not_before() {
    let mut house = House::with(ROOMS);
    // The account is made while its contact cannot be asked: there is none yet.
    house.ask("juliet@house", Ask::Register { credentials: "keys".into(), contact: Some(jid("romeo@house")) });
    assert_eq!(roster(&mut house, "juliet@house"), [("romeo@house".to_owned(), "both")]);
    house.user("romeo@house");
    assert!(roster(&mut house, "romeo@house").is_empty(), "nobody was told: there was nobody");
}

#[test]
fn xep0445_4_a_name_in_an_invitation_is_kept_for_it() {
    let mut house = House::with_config(ROOMS, OPEN);
    let (token, _) = invite(&mut house, Purpose::Account { username: Some("Juliet".into()) }, None).expect("an invitation");
    assert_eq!(register(&mut house, "juliet", None), Err(Refused::UsernameReserved));
    let other = free(&mut house);
    assert_eq!(register(&mut house, "juliet", Some(&other)), Err(Refused::UsernameReserved));
    assert_eq!(register(&mut house, "rosaline", Some(&token)), Err(Refused::UsernameIs("juliet".into())));
    assert_eq!(register(&mut house, "JULIET", Some(&token)), Ok(None));
}

#[test]
fn an_invitation_is_not_made_for_what_cannot_be() {
    let mut house = House::with(ROOMS);
    house.user("romeo@house");
    let of = |name: &str| Purpose::Account { username: Some(name.into()) };
    assert_eq!(invite(&mut house, of("romeo"), None).err(), Some(Refused::UsernameTaken));
    assert_eq!(invite(&mut house, of("a b"), None).err(), Some(Refused::UsernameInvalid));
    assert_eq!(invite(&mut house, of("juliet"), Some("nobody@house")).err(), Some(Refused::NoAccount));
    let password = Purpose::Password { username: "nobody".into() };
    assert_eq!(invite(&mut house, password, None).err(), Some(Refused::NoAccount));
}

#[test]
fn a_link_for_a_new_password_sets_it_once_and_ends_the_old_sessions() {
    let mut house = House::with(ROOMS);
    let romeo = house.login("romeo@house/orchard");
    let (token, _) = invite(&mut house, Purpose::Password { username: "romeo".into() }, None).expect("an invitation");
    assert_eq!(register(&mut house, "romeo", Some(&token)), Err(Refused::Invitation(Refusal::NotForThis)));
    let set = |house: &mut House| {
        house.registrar("house", Request::SetPassword { password: "a new one".into(), invitation: token.id() })
    };
    assert!(matches!(set(&mut house), Some(Answer::PasswordSet(who)) if who == jid("romeo@house")));
    assert_eq!(credentials(&mut house, "romeo@house"), Some("keys of a new one".into()));
    assert!(house.is_over(&romeo));
    assert!(matches!(set(&mut house), Some(Answer::Refused(Refused::Invitation(Refusal::Gone)))));
}

#[test]
fn what_is_revoked_or_expired_lets_nobody_in() {
    let mut house = House::with(ROOMS);
    let token = free(&mut house);
    assert!(matches!(house.registrar("house", Request::Revoke(token.id().short())), Some(Answer::Done)));
    assert_eq!(register(&mut house, "juliet", Some(&token)), Err(Refused::Invitation(Refusal::Gone)));
    assert!(matches!(
        house.registrar("house", Request::Revoke("00000000".into())),
        Some(Answer::Refused(Refused::Invitation(Refusal::Unknown)))
    ));
    let token = free(&mut house);
    house.advance(Duration::from_secs(7 * 86_400));
    assert!(matches!(
        house.registrar("house", Request::Show(token.id())),
        Some(Answer::Refused(Refused::Invitation(Refusal::Gone)))
    ));
    assert_eq!(register(&mut house, "juliet", Some(&token)), Err(Refused::Invitation(Refusal::Gone)));
}

#[test]
fn invitations_are_there_after_a_restart_and_not_in_the_other_domain() {
    let mut house = House::with(ROOMS);
    let token = free(&mut house);
    let mut house = house.restart(ROOMS, Duration::from_secs(60));
    assert!(matches!(house.registrar("house", Request::Show(token.id())), Some(Answer::Shown { .. })));
    assert!(matches!(
        house.registrar("away", Request::Show(token.id())),
        Some(Answer::Refused(Refused::Invitation(Refusal::Unknown)))
    ));
    assert_eq!(register(&mut house, "juliet", Some(&token)), Ok(None));
}
