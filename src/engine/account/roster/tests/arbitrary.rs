//! Whatever a contact is: it comes back. Whatever bytes are stored: no panic. Whatever happens: disk and memory agree.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;

fn contact() -> impl Strategy<Value = Contact> {
    let text = || "\\PC{1,40}".prop_map(String::into_boxed_str);
    let flags = (any::<[bool; 6]>(), any::<u64>());
    (flags, option::of(text()), vec(text(), 0..5), vec(any::<u8>(), 0..300)).prop_map(
        |((flags, ver), name, groups, request)| {
            let [to, from, ask, pending_in, approved, listed] = flags;
            let mut state = State { to, from, ask, pending_in, approved }.defined();
            if !listed {
                state = State { pending_in, ..State::NONE };
            }
            Contact {
                jid: jid("juliet@house.example"),
                name: name.filter(|_| listed),
                groups: groups.into_boxed_slice(),
                state,
                pending: state.pending_in.then(|| Bytes::from(request)),
                ver,
                listed,
            }
        },
    )
}

/// A step of a life with three contacts: (who, what, does the contact do it).
fn step() -> impl Strategy<Value = (usize, usize, bool)> {
    (0..3usize, 0..6usize, any::<bool>())
}

proptest! {
    #[test]
    fn what_is_stored_comes_back(contact in contact()) {
        let value = stored::encode(&contact);
        prop_assert_eq!(stored::decode("juliet@house.example", &value), Some(contact));
    }

    #[test]
    fn a_shortened_or_lengthened_value_is_refused(contact in contact(), cut in any::<prop::sample::Index>(), more in any::<u8>()) {
        let value = stored::encode(&contact);
        let short = value.slice(..cut.index(value.len()));
        prop_assert_eq!(stored::decode("juliet@house.example", &short), None);
        let long = Bytes::from([&value[..], &[more]].concat());
        prop_assert_eq!(stored::decode("juliet@house.example", &long), None);
    }

    /// A damaged value is refused, or is a contact that a value could have said: never a panic, never a state A.1 does not know.
    #[test]
    fn a_damaged_value_is_refused_or_sound(contact in contact(), at in any::<prop::sample::Index>(), with in 1..=255u8) {
        let mut value = stored::encode(&contact).to_vec();
        let at = at.index(value.len());
        value[at] ^= with;
        if let Some(read) = stored::decode("juliet@house.example", &Bytes::from(value)) {
            prop_assert_eq!(read.state, read.state.defined());
            prop_assert_eq!(read.pending.is_some(), read.state.pending_in);
            let again = stored::decode("juliet@house.example", &stored::encode(&read));
            prop_assert_eq!(again, Some(read));
        }
    }

    #[test]
    fn noise_is_refused_or_sound(key in "\\PC{0,30}", value in vec(any::<u8>(), 0..100)) {
        let item = Item { shelf: SHELF, key: Arc::from(key), value: Bytes::from(value) };
        let roster = Roster::load(std::slice::from_ref(&item));
        prop_assert!(roster.contacts.len() + roster.unreadable() <= 1);
    }

    #[test]
    fn disk_and_memory_agree_after_any_life(steps in vec(step(), 0..40)) {
        let kinds = [Kind::Subscribe, Kind::Subscribed, Kind::Unsubscribe, Kind::Unsubscribed];
        let mut house = House::default();
        for (who, what, theirs) in steps {
            let contact = ["a@b.example", "c@d.example", "house.example"][who];
            match kinds.get(what) {
                Some(kind) if theirs => drop(house.receives(*kind, contact)),
                Some(kind) => drop(house.sends(*kind, contact)),
                None if what == 4 => drop(house.set(&format!("<item jid='{contact}' name='{who}'/>"))),
                None => {
                    let ver = house.tick();
                    let inside = format!("<item jid='{contact}' subscription='remove'/>");
                    if let Ok(change) = set(&mut house.roster, &inside, ver) {
                        house.write(&change);
                    }
                }
            }
            let woken = house.woken();
            prop_assert_eq!(&woken.contacts, &house.roster.contacts);
            prop_assert_eq!((woken.listed, woken.latest), (house.roster.listed, house.roster.latest));
            for contact in &woken.contacts {
                prop_assert_eq!(contact.state, contact.state.defined());
                prop_assert_eq!(contact.pending.is_some(), contact.state.pending_in);
            }
        }
    }
}
