//! What has to be true after any number of crashes, said as a function: what happened, what is kept, what is wrong with it.
//! The numbers are those of the invariants I1 to I8.

use std::collections::{BTreeMap, HashMap, HashSet};

/// Accounts are numbers here.
pub type Account = usize;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub from: Account,
    pub to: Account,
    /// Unlike all others; says who sent it, and when.
    pub body: String,
}

/// An entry of an archive, or a copy that was delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    pub id: String,
    pub body: String,
}

/// What the clients did and saw.
#[derive(Debug, Default)]
pub struct Journal {
    /// Each message once, however often it was sent; in the order of its sender.
    pub sent: Vec<Message>,
    /// Bodies that the server acknowledged.
    pub acked: HashSet<String>,
    /// Delivered live: to whom, with the stanza-id it carried.
    pub delivered: Vec<(Account, Copy)>,
    /// Entries that an archive had at some time.
    pub seen: Vec<(Account, Copy)>,
    /// Roster items whose iq had a result: account, contact, name.
    pub roster: Vec<(Account, String, String)>,
}

/// What is there at the end.
#[derive(Debug, Default)]
pub struct Kept {
    /// In the order in which the archive tells it.
    pub archives: BTreeMap<Account, Vec<Copy>>,
    /// Name by account and contact.
    pub roster: HashMap<(Account, String), String>,
}

/// Everything that is wrong, one line each.
pub fn judge(journal: &Journal, kept: &Kept) -> Vec<String> {
    let mut wrong = Vec::new();
    let sent: HashMap<&str, (usize, &Message)> =
        journal.sent.iter().enumerate().map(|(order, message)| (message.body.as_str(), (order, message))).collect();
    let mut places: HashMap<(Account, &str), &str> = HashMap::new();
    for (account, archive) in &kept.archives {
        let mut ids = HashSet::new();
        let mut last: HashMap<(Account, Account), usize> = HashMap::new();
        for Copy { id, body } in archive {
            if !ids.insert(id) {
                wrong.push(format!("I6: the archive of {account} has the id {id} twice"));
            }
            let Some((order, message)) = sent.get(body.as_str()) else {
                wrong.push(format!("I5/I8: the archive of {account} has {body:?} ({id}), which nobody sent"));
                continue;
            };
            if message.from != *account && message.to != *account {
                wrong.push(format!("I5: the archive of {account} has {body:?}, which is not theirs"));
            }
            if let Some(first) = places.insert((*account, body), id) {
                wrong.push(format!("I1: the archive of {account} has {body:?} twice: {first}, {id}"));
            }
            let before = last.insert((message.from, message.to), *order);
            if before.is_some_and(|before| before > *order) {
                wrong.push(format!("I4: in the archive of {account}, {body:?} stands after what was sent later"));
            }
        }
    }
    for Message { from, to, body } in journal.sent.iter().filter(|message| journal.acked.contains(&message.body)) {
        for account in [from, to] {
            if !places.contains_key(&(*account, body.as_str())) {
                wrong.push(format!("I1: {body:?} was acknowledged and is not in the archive of {account}"));
            }
        }
    }
    let same = |(account, copy): &(Account, Copy)| {
        let kept = places.get(&(*account, copy.body.as_str()));
        (kept != Some(&copy.id.as_str())).then(|| format!("{:?} at {account}: then {}, now {kept:?}", copy.body, copy.id))
    };
    wrong.extend(journal.delivered.iter().filter_map(same).map(|what| format!("I2: another stanza-id than delivered: {what}")));
    wrong.extend(journal.seen.iter().filter_map(same).map(|what| format!("I6: an entry has changed or gone: {what}")));
    for (account, contact, name) in &journal.roster {
        let now = kept.roster.get(&(*account, contact.clone()));
        if now != Some(name) {
            wrong.push(format!("I7: the roster of {account} has {now:?} for {contact}, not {name:?}"));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(from: Account, to: Account, body: &str) -> Message {
        Message { from, to, body: body.into() }
    }

    fn copy(id: &str, body: &str) -> Copy {
        Copy { id: id.into(), body: body.into() }
    }

    /// 1 sends a and b to 2; everything is as it should be.
    fn good() -> (Journal, Kept) {
        let journal = Journal {
            sent: vec![message(1, 2, "a"), message(1, 2, "b"), message(1, 2, "never acked")],
            acked: ["a", "b"].map(String::from).into(),
            delivered: vec![(2, copy("11", "a")), (2, copy("11", "a"))],
            seen: vec![(1, copy("10", "a"))],
            roster: vec![(1, "c@x".into(), "n".into())],
        };
        let archives =
            [(1, vec![copy("10", "a"), copy("20", "b")]), (2, vec![copy("11", "a"), copy("21", "b")])].into_iter().collect();
        let roster = [((1, "c@x".to_owned()), "n".to_owned())].into_iter().collect();
        (journal, Kept { archives, roster })
    }

    /// The good story with one thing changed: which invariants are said to be broken.
    fn broken(change: impl FnOnce(&mut Journal, &mut Kept)) -> Vec<String> {
        let (mut journal, mut kept) = good();
        change(&mut journal, &mut kept);
        let wrong = judge(&journal, &kept);
        wrong.iter().map(|line| line.split(':').next().unwrap_or_default().to_owned()).collect()
    }

    fn archive(kept: &mut Kept, account: Account) -> &mut Vec<Copy> {
        kept.archives.get_mut(&account).expect("an archive")
    }

    #[test]
    fn finds_nothing_where_nothing_is_wrong() {
        assert_eq!(broken(|_, _| {}), Vec::<String>::new());
        let kept_unacked = broken(|_, kept| archive(kept, 1).push(copy("30", "never acked")));
        assert_eq!(kept_unacked, Vec::<String>::new(), "what was not acknowledged may be kept, or not");
    }

    #[test]
    fn i1_finds_what_is_lost_on_either_side_and_what_is_there_twice() {
        assert_eq!(broken(|_, kept| drop(archive(kept, 1).pop())), ["I1"]);
        assert_eq!(broken(|_, kept| drop(archive(kept, 2).pop())), ["I1"]);
        assert!(broken(|_, kept| archive(kept, 2).push(copy("31", "b"))).contains(&"I1".to_owned()));
    }

    #[test]
    fn i2_and_i6_find_ids_that_change() {
        assert_eq!(broken(|journal, _| journal.delivered.push((2, copy("12", "a")))), ["I2"]);
        assert_eq!(broken(|journal, _| journal.seen.push((1, copy("19", "b")))), ["I6"]);
        assert_eq!(broken(|journal, _| journal.seen.push((1, copy("9", "never acked")))), ["I6"]);
        assert_eq!(broken(|_, kept| archive(kept, 1)[1].id = "10".into()), ["I6"]);
    }

    #[test]
    fn i4_finds_what_is_out_of_order() {
        assert_eq!(broken(|_, kept| archive(kept, 2).swap(0, 1)), ["I4"]);
    }

    #[test]
    fn i5_and_i8_find_what_nobody_sent_and_what_is_half_written() {
        assert_eq!(broken(|_, kept| archive(kept, 2).push(copy("31", "never ack"))), ["I5/I8"]);
        assert_eq!(broken(|_, kept| drop(kept.archives.insert(3, vec![copy("31", "a")]))), ["I5"]);
    }

    #[test]
    fn i7_finds_a_roster_write_that_is_gone() {
        assert_eq!(broken(|_, kept| kept.roster.clear()), ["I7"]);
        assert_eq!(broken(|_, kept| drop(kept.roster.insert((1, "c@x".into()), "old".into()))), ["I7"]);
    }
}
