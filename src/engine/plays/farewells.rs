//! An account ends: its name is nobody's until those who knew it have forgotten it on disk.

use iris_core::store::{Shelf, Store};

use super::*;

const GONE: Shelf = Shelf::map("gone");
const BOOK: Room =
    Room { card: Card { xep: None, name: "The dead", version: "0", status: Status::Complete, needs: &[] }, mount };

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    m.shelf(GONE)?;
    m.on_farewell(|account, cx| cx.host("house", move |turn| turn.put(GONE, account.as_str(), "")));
    Ok(())
}

fn provision(house: &mut House) -> Option<AskAnswer> {
    house.ask("juliet@house", Ask::Provision { credentials: bytes::Bytes::new() })
}

/// Until nothing waits for the store any more.
fn settle(house: &mut House) {
    while house.store.queued() > 0 {
        house.store.commit();
        house.run();
    }
}

#[test]
fn a_name_is_free_when_everybody_has_forgotten_whose_it_was() {
    let mut house = House::manual(&[BOOK]);
    provision(&mut house);
    settle(&mut house);
    house.ask("juliet@house", Ask::Remove);
    house.store.commit();
    house.run();
    assert_eq!((house.store.queued(), provision(&mut house)), (1, None), "the domain writes it down");
    // It could not.
    house.store.refuse();
    house.run();
    assert!(matches!(provision(&mut house), None | Some(AskAnswer::Failed(_))), "it is told anew");
    house.store.refuse();
    house.run();
    // Nor after a restart.
    let mut house = house.restart(&[BOOK], Duration::from_secs(60));
    assert_eq!(provision(&mut house), None);
    assert_eq!(house.store.queued(), 1);
    settle(&mut house);
    assert_eq!(house.ask("juliet@house", Ask::Credentials).map(|it| matches!(it, AskAnswer::Credentials(Some(_)))), Some(true));
    // Once: the new account is told of by nobody.
    let mut house = house.restart(&[BOOK], Duration::from_secs(60));
    assert_eq!(provision(&mut house), Some(AskAnswer::Exists));
    assert_eq!(house.store.queued(), 0);
}

#[test]
fn whoever_asks_for_a_name_meanwhile_waits_for_it() {
    let mut house = House::with(&[BOOK]);
    house.login(JULIET);
    house.shards.iter_mut().for_each(|shard| assert!(!shard.turn(house.now, 64)));
    let at = usize::from(crate::shard_of("juliet@house", 2));
    let (now, juliet) = (house.now, BareJid::new("juliet@house").expect("a bare JID"));
    house.shards[at].ask(&juliet, Ask::Remove, Box::new(|_| {}));
    house.shards[at].turn(now, 1);
    assert_eq!(provision(&mut house), Some(AskAnswer::Done));
    let progress = house.store.progress();
    assert!(progress.refused.is_empty(), "{progress:?}");
    house.login(JULIET);
}
