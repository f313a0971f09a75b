//! What an account makes of tokens. How a client proves to have one is tested where that is done (`engine/negotiate`).

use std::time::Duration;

use iris_core::clients::{Admission, Admitted, Token, TokenRefused, Used, UserAgent, Ways};
use iris_core::limits::Limits;
use iris_core::{Ask, AskAnswer};
use iris_engine::testing::{BEGIN_US, House};

use crate::ROOMS;

const JULIET: &str = "juliet@house";
const PHONE: u128 = 1;
const DAY: Duration = Duration::from_secs(86_400);

fn token(mask: u8) -> Token {
    Token { mechanism: 1, mask: [mask; 16], sealed: [mask; 32], issued_us: 0, expires_us: 0, count: None }
}

fn by_password(agent: u128, wanted: Option<u8>) -> Admission {
    Admission {
        agent: UserAgent { id: Some(agent), ..UserAgent::default() },
        login_us: None,
        way: Ways::PASSWORD,
        used: None,
        token: wanted.map(token),
        asked: wanted.is_some(),
        id: format!("client{agent}"),
    }
}

/// With the token of this mask; another one is ready in case it is due.
fn by_token(used: u8, next: u8) -> Admission {
    let used = Some(Used { mask: [used; 16], count: None, invalidate: false });
    Admission { way: Ways::TOKEN, used, token: Some(token(next)), asked: false, ..by_password(PHONE, None) }
}

fn admit(house: &mut House, admission: Admission) -> Result<Admitted, TokenRefused> {
    match house.ask(JULIET, Ask::Admit(Box::new(admission))) {
        Some(AskAnswer::Admitted(admitted)) => Ok(admitted),
        Some(AskAnswer::TokenRefused(why)) => Err(why),
        other => panic!("{other:?}"),
    }
}

/// The masks of the tokens that the account has for the phone.
fn tokens(house: &mut House) -> Vec<u8> {
    match house.ask(JULIET, Ask::Tokens { agent: PHONE }) {
        Some(AskAnswer::Tokens(Some(_), tokens)) => tokens.iter().map(|token| token.mask[0]).collect(),
        other => panic!("{other:?}"),
    }
}

fn with_token(limits: Limits) -> House {
    let mut house = House::with_limits(ROOMS, limits);
    house.user(JULIET);
    let admitted = admit(&mut house, by_password(PHONE, Some(1))).expect("admitted");
    assert!(admitted.token_until_us.is_some_and(|until| until > BEGIN_US));
    house
}

#[test]
fn s3_3_a_token_is_given_to_who_asks_and_belongs_to_that_client() {
    let mut house = with_token(Limits::default());
    assert_eq!(tokens(&mut house), [1]);
    assert_eq!(admit(&mut house, by_password(2, None)).expect("admitted").token_until_us, None);
    // B15: the same token from another installation.
    let stolen = Admission { agent: UserAgent { id: Some(2), ..UserAgent::default() }, ..by_token(1, 9) };
    assert_eq!(admit(&mut house, stolen), Err(TokenRefused::Unknown));
    let unknown = Admission { agent: UserAgent { id: Some(3), ..UserAgent::default() }, ..by_token(1, 9) };
    assert_eq!(admit(&mut house, unknown), Err(TokenRefused::Unknown));
    assert!(admit(&mut house, by_token(1, 9)).is_ok());
}

#[test]
fn s3_5_a_token_is_replaced_when_it_is_due_and_lives_until_the_new_one_is_used() {
    let mut house = with_token(Limits::default());
    assert_eq!(admit(&mut house, by_token(1, 2)).expect("admitted").token_until_us, None, "it is fresh");
    house.advance(DAY);
    assert!(admit(&mut house, by_token(1, 2)).expect("admitted").token_until_us.is_some());
    assert_eq!(tokens(&mut house), [2, 1]);
    // The client never got it: the old one opens, and another new one takes the place of the unused.
    assert!(admit(&mut house, by_token(1, 3)).expect("admitted").token_until_us.is_some());
    assert_eq!(tokens(&mut house), [3, 1]);
    assert_eq!(admit(&mut house, by_token(2, 4)), Err(TokenRefused::Unknown));
    // Used: everything before it is dead.
    assert!(admit(&mut house, by_token(3, 4)).is_ok());
    assert_eq!(tokens(&mut house), [3]);
    assert_eq!(admit(&mut house, by_token(1, 4)), Err(TokenRefused::Unknown));
}

#[test]
fn s4_2_an_expired_token_is_told_so() {
    let lifetime = Duration::from_secs(3_600);
    let mut house = with_token(Limits { token_lifetime: lifetime, ..Limits::default() });
    house.advance(lifetime - Duration::from_secs(1));
    // Half of its life is over: a new one comes with it.
    assert!(admit(&mut house, by_token(1, 2)).expect("admitted").token_until_us.is_some());
    house.advance(Duration::from_secs(2));
    assert_eq!(admit(&mut house, by_token(1, 3)), Err(TokenRefused::Expired));
    assert!(admit(&mut house, by_token(2, 3)).is_ok());
}

#[test]
fn b15_a_count_is_accepted_once_and_only_upwards() {
    let mut house = with_token(Limits::default());
    let counted = |count| {
        let used = Some(Used { mask: [1; 16], count: Some(count), invalidate: false });
        Admission { used, ..by_token(1, 9) }
    };
    assert!(admit(&mut house, counted(3)).is_ok());
    for again in [3, 2, 0] {
        assert_eq!(admit(&mut house, counted(again)), Err(TokenRefused::Unknown), "{again}");
    }
    assert!(admit(&mut house, counted(4)).is_ok());
    // After a restart as well.
    let mut house = house.restart(ROOMS, Duration::from_secs(1));
    assert_eq!(admit(&mut house, counted(4)), Err(TokenRefused::Unknown));
    assert!(admit(&mut house, counted(5)).is_ok());
}

#[test]
fn s3_6_an_invalidated_token_opens_once_more_and_never_again() {
    let mut house = with_token(Limits::default());
    house.advance(DAY);
    let invalidate = |asked| {
        let used = Some(Used { mask: [1; 16], count: None, invalidate: true });
        Admission { used, asked, ..by_token(1, 2) }
    };
    assert_eq!(admit(&mut house, invalidate(false)).expect("admitted").token_until_us, None, "no new one, though it is due");
    assert!(tokens(&mut house).is_empty());
    assert_eq!(admit(&mut house, by_token(1, 3)), Err(TokenRefused::Unknown));
    let mut house = with_token(Limits::default());
    assert!(admit(&mut house, invalidate(true)).expect("admitted").token_until_us.is_some(), "but if it asks for one");
    assert_eq!(tokens(&mut house), [2]);
}

#[test]
fn b18_a_changed_password_and_a_disabled_account_kill_every_token() {
    for ask in [Ask::SetCredentials { credentials: bytes::Bytes::new() }, Ask::SetEnabled(false)] {
        let mut house = with_token(Limits::default());
        assert_eq!(house.ask(JULIET, ask), Some(AskAnswer::Done));
        assert_eq!(house.ask(JULIET, Ask::SetEnabled(true)), Some(AskAnswer::Done));
        assert!(tokens(&mut house).is_empty());
        assert_eq!(admit(&mut house, by_token(1, 2)), Err(TokenRefused::Unknown));
        let mut house = house.restart(ROOMS, Duration::from_secs(1));
        assert!(tokens(&mut house).is_empty(), "nor are they on disk");
    }
    let mut house = with_token(Limits::default());
    house.ask(JULIET, Ask::Remove);
    house.user(JULIET);
    assert!(tokens(&mut house).is_empty());
}

#[test]
fn a_disabled_account_admits_nobody() {
    let mut house = with_token(Limits::default());
    house.ask(JULIET, Ask::SetEnabled(false));
    assert_eq!(house.ask(JULIET, Ask::Admit(Box::new(by_password(PHONE, Some(1))))), Some(AskAnswer::NotFound));
}

#[test]
fn ck_a_token_that_is_not_kept_is_not_told() {
    let mut house = House::manual(ROOMS);
    house.user(JULIET);
    house.store.commit();
    house.run();
    let ask = Ask::Admit(Box::new(by_password(PHONE, Some(1))));
    assert_eq!(house.ask(JULIET, ask.clone()), None, "it waits for the disk");
    house.store.refuse();
    house.run();
    assert!(tokens(&mut house).is_empty());
    assert_eq!(house.ask(JULIET, ask), None);
    house.store.commit();
    house.run();
    assert_eq!(tokens(&mut house), [1]);
}

#[test]
fn a_client_that_comes_often_is_not_written_often() {
    let mut house = House::manual(ROOMS);
    house.user(JULIET);
    house.store.commit();
    house.run();
    assert!(admit(&mut house, by_password(PHONE, None)).is_ok(), "a login waits for no disk");
    house.store.commit();
    house.run();
    let before = house.store.queued();
    assert!(admit(&mut house, by_password(PHONE, None)).is_ok());
    assert_eq!(house.store.queued(), before, "nothing was submitted");
}

#[test]
fn clients_are_bounded_and_the_one_seen_longest_ago_gives_way() {
    let mut house = House::with_limits(ROOMS, Limits { clients_per_account_max: 2, ..Limits::default() });
    house.user(JULIET);
    for agent in [PHONE, 2, 3] {
        admit(&mut house, by_password(agent, Some(agent as u8))).expect("admitted");
        house.advance(Duration::from_secs(1));
    }
    assert!(tokens(&mut house).is_empty(), "the phone was first");
    let three = house.ask(JULIET, Ask::Tokens { agent: 3 });
    assert!(matches!(three, Some(AskAnswer::Tokens(_, tokens)) if tokens.len() == 1));
}

#[test]
fn b18_what_was_proved_of_an_earlier_login_gets_no_token() {
    let mut house = House::with(ROOMS);
    house.user(JULIET);
    let since = |house: &mut House| match house.ask(JULIET, Ask::Credentials) {
        Some(AskAnswer::Credentials(Some(login))) => login.since_us,
        other => panic!("{other:?}"),
    };
    let proved = since(&mut house);
    let orders =
        [Ask::SetCredentials { credentials: bytes::Bytes::from_static(b"new") }, Ask::SetEnabled(false), Ask::SetEnabled(true)];
    for order in orders {
        house.ask(JULIET, order);
    }
    for (login_us, admitted) in [(proved, false), (since(&mut house), true)] {
        let admission = Admission { login_us: Some(login_us), ..by_password(PHONE, Some(1)) };
        let answer = house.ask(JULIET, Ask::Admit(Box::new(admission)));
        assert_eq!(matches!(answer, Some(AskAnswer::Admitted(_))), admitted, "{answer:?}");
    }
}
