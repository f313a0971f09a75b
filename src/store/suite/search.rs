//! Entries found by their words, entries that expire, pages that are too large.

use iris_core::store::{PAGE_BYTES_MAX, words};

use super::*;

fn say<S: Store>(client: &Client<S>, owner: OwnerId, id: u64, peer: u64, text: &str) {
    let entry = text.as_bytes().to_vec().into();
    client.commit([Write::Append { owner, shelf: ARCHIVE, id: EntryId(id), peer, tag: 0, entry }]);
}

/// More than the steps that ride in commits, so that some of it is indexed and some is not.
fn verona<S: Store>(client: &Client<S>) {
    for n in 1..=60_u64 {
        let word = if n % 3 == 0 { "balcony" } else { "orchard" };
        say(client, ROMEO, n * 10, 7 + n % 2, &format!("Number{n} in the {word}"));
        say(client, JULIET, n * 10 + 1, 7, "in the balcony, too");
    }
}

fn asking(text: &str, max: u32) -> LogQuery {
    LogQuery { words: words::of(text).into_iter().collect(), max, ..LogQuery::default() }
}

fn balconies(numbers: impl IntoIterator<Item = u64>) -> Vec<u64> {
    numbers.into_iter().filter(|n| n % 3 == 0).map(|n| n * 10).collect()
}

pub(super) fn words_of_an_entry_find_it<S: Store>(client: &Client<S>) {
    verona(client);
    assert_eq!(client.ids(asking("number42", 9)), (vec![420], true));
    assert_eq!(client.ids(asking("NUMBER42 bálcony", 9)), (vec![420], true));
    assert_eq!(client.ids(asking("number42 orchard", 9)), (vec![], true));
    assert_eq!(client.ids(asking("balc", 99)), (balconies(1..=60), true));
    assert_eq!(client.ids(asking("alcony", 99)), (vec![], true));
    // The newest is found as the oldest is.
    assert_eq!(client.ids(asking("number60", 9)), (vec![600], true));
    assert_eq!(client.ids(asking("number1", 99)).0, [10, 100, 110, 120, 130, 140, 150, 160, 170, 180, 190]);
}

pub(super) fn a_search_pages_both_ways_and_combines_with_every_bound<S: Store>(client: &Client<S>) {
    verona(client);
    let all = balconies(1..=60);
    let (mut forward, mut after) = (Vec::new(), None);
    loop {
        let (ids, complete) = client.ids(LogQuery { after, ..asking("balcony", 7) });
        after = ids.last().copied().map(EntryId);
        forward.extend(ids);
        if complete {
            break;
        }
    }
    let (mut backward, mut before) = (Vec::new(), None);
    loop {
        let (ids, complete) = client.ids(LogQuery { before, last: true, ..asking("balcony", 7) });
        before = ids.first().copied().map(EntryId);
        backward.splice(0..0, ids);
        if complete {
            break;
        }
    }
    assert_eq!((&forward, &backward), (&all, &all));
    let with = LogQuery { peer: Some(7), ..asking("balcony", 99) };
    assert_eq!(client.ids(with).0, balconies((1..=60).filter(|n| n % 2 == 0)));
    let bounds = LogQuery { from: Some(EntryId(60)), until: Some(EntryId(570)), ..asking("balcony", 99) };
    assert_eq!(client.ids(bounds.clone()).0, balconies(6..=57));
    let page = client.page(ROMEO, ARCHIVE, LogQuery { count: true, max: 2, last: true, peer: Some(7), ..bounds });
    assert_eq!((page.entries.len(), page.complete, page.count), (2, false, Some(9)));
    assert_eq!(page.entries[1].id, EntryId(540));
    let ids = Some([30, 40, 60].map(EntryId).to_vec());
    assert_eq!(client.ids(LogQuery { ids, ..asking("balcony", 9) }), (vec![30, 60], true));
}

pub(super) fn a_search_finds_nothing_of_others_and_nothing_that_is_gone<S: Store>(client: &Client<S>) {
    verona(client);
    assert_eq!(client.ids(asking("too", 9)), (vec![], true));
    // Of the oldest, which every index has by now, and of the newest.
    for n in [42_u64, 60] {
        client.commit([Write::Replace { owner: ROMEO, shelf: ARCHIVE, id: EntryId(n * 10), entry: "retracted".into() }]);
        assert_eq!(client.ids(asking(&format!("number{n} balcony"), 9)), (vec![], true));
    }
    assert_eq!(client.ids(asking("retracted", 9)), (vec![420, 600], true));
    client.commit([Write::Remove { owner: ROMEO, shelf: ARCHIVE, id: EntryId(420) }]);
    assert_eq!(client.ids(asking("retracted", 9)), (vec![600], true));
    client.commit([Write::Trim { owner: ROMEO, shelf: ARCHIVE, upto: EntryId(590) }]);
    assert_eq!(client.ids(asking("number", 9)), (vec![], true));
    client.commit([Write::Disown { owner: ROMEO }]);
    assert_eq!(client.ids(asking("retracted", 9)), (vec![], true));
    let hers = client.page(JULIET, ARCHIVE, asking("balcony", 999));
    assert_eq!((hers.entries.len(), hers.complete), (60, true));
}

pub(super) fn d4_what_is_asked_is_never_a_query_language<S: Store>(client: &Client<S>) {
    verona(client);
    for text in ["number42 OR orchard", "number1 NOT balcony", "balcony* NEAR number1", "words:balcony", "^balcony -orchard"] {
        let raw: Vec<String> = words::of(text).into_iter().collect();
        assert!(raw.iter().all(|word| word.chars().all(char::is_alphanumeric)), "{raw:?}");
        assert_eq!(client.ids(asking(text, 9)).0, Vec::<u64>::new(), "{text}");
    }
    // Words that no `words::of` has made do no harm either.
    for word in ["\"", "\" OR \"balcony", "'; DROP TABLE log; --", "3e9_", "~7", "*", "(", "{words}:", "\0", "balcony\" *"] {
        let query = LogQuery { words: vec![word.to_owned()], max: 9, ..LogQuery::default() };
        assert_eq!(client.ids(query), (vec![], true), "{word}");
    }
    assert_eq!(client.ids(asking("number42", 9)), (vec![420], true));
}

pub(super) fn a_shelf_without_text_has_no_words<S: Store>(client: &Client<S>) {
    let entry = "balcony".into();
    client.commit([Write::Append { owner: ROMEO, shelf: OFFLINE, id: EntryId(5), peer: 0, tag: 0, entry }]);
    let page = client.page(ROMEO, OFFLINE, asking("balcony", 9));
    assert_eq!((page.entries.len(), page.complete), (0, true));
}

/// Both drivers get there; how soon is theirs to choose.
pub(super) fn what_expires_goes_for_every_owner_and_the_rest_stays<S: Store>(client: &Client<S>) {
    verona(client);
    let entry = "kept".into();
    client.commit([Write::Append { owner: ROMEO, shelf: OFFLINE, id: EntryId(5), peer: 0, tag: 0, entry }]);
    client.commit([Write::Expire { shelf: ARCHIVE, upto: EntryId(301) }]);
    let end = Instant::now() + PATIENCE;
    let counted = |owner| client.page(owner, ARCHIVE, LogQuery { count: true, ..first(1) }).count;
    while (counted(ROMEO), counted(JULIET)) != (Some(30), Some(30)) {
        assert!(Instant::now() < end, "{:?} {:?}", counted(ROMEO), counted(JULIET));
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(client.ids(first(1)).0, [310]);
    assert_eq!(client.ids(asking("number3", 9)).0, [310, 320, 330, 340, 350, 360, 370, 380, 390]);
    assert_eq!(client.ids(asking("number30", 9)).0, Vec::<u64>::new());
    assert_eq!(client.page(ROMEO, OFFLINE, first(9)).entries.len(), 1);
}

pub(super) fn a_page_is_limited_in_bytes_too<S: Store>(client: &Client<S>) {
    let large = PAGE_BYTES_MAX / 4 + 1;
    for id in 1..=6 {
        let entry = vec![b'x'; if id == 6 { PAGE_BYTES_MAX * 2 } else { large }].into();
        client.commit([Write::Append { owner: ROMEO, shelf: ARCHIVE, id: EntryId(id), peer: 7, tag: 0, entry }]);
    }
    assert_eq!(client.ids(first(9)), (vec![1, 2, 3], false));
    assert_eq!(client.ids(LogQuery { after: Some(EntryId(3)), ..first(9) }), (vec![4, 5], false));
    assert_eq!(client.ids(last(9)), (vec![6], false));
    assert_eq!(client.ids(LogQuery { after: Some(EntryId(5)), ..first(9) }), (vec![6], true));
}
