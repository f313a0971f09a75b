use std::time::Duration;

use iris_core::blobs::BlobId;
use iris_core::limits::Limits;
use iris_core::ports::Forget;
use iris_core::{Ask, Stanza};
use iris_engine::shard_of;
use iris_engine::testing::{Client, House};

use super::*;
use crate::ROOMS;

const UPLOAD: &str = "upload.house";

fn ask(house: &mut House, who: &Client, attributes: &str, inside: &str) -> Stanza {
    house.iq(who, "get", Some(UPLOAD), &format!("<request xmlns='{NS}' {attributes}>{inside}</request>"))
}

fn token(answer: &Stanza) -> String {
    let text = answer.as_str();
    let begin = text.find("Bearer ").unwrap_or_else(|| panic!("{text}")) + "Bearer ".len();
    text[begin..].split('<').next().expect("a token").to_owned()
}

fn seal(house: &House) -> Seal {
    use iris_core::store::Store;
    Seal::new(house.store.secret())
}

fn slot_of(house: &House, answer: &Stanza) -> Slot {
    seal(house).open_slot(&token(answer)).expect("a token of ours")
}

fn promised(house: &mut House, who: &Client, attributes: &str, inside: &str) -> Slot {
    let answer = ask(house, who, attributes, inside);
    slot_of(house, &answer)
}

/// A slot, an upload, and its end: as the web side does it.
fn upload(house: &mut House, who: &Client, attributes: &str, inside: &str) -> Slot {
    let slot = promised(house, who, attributes, inside);
    assert_eq!(put(house, &slot), Ok(()));
    slot
}

fn put(house: &mut House, slot: &Slot) -> Result<(), Denied> {
    let (account, begun, kept) = (slot.owner.to_string(), slot.clone(), slot.clone());
    in_account(house, &account, move |turn| begin(turn, &begun))?;
    in_account(house, &account, move |turn| keep(turn, &kept, None))
}

fn in_account<R: Send + 'static>(
    house: &mut House,
    account: &str,
    f: impl FnOnce(&mut iris_core::Turn<'_>) -> R + Send + 'static,
) -> R {
    house.account(account, f).expect("an answer").expect("kept").expect("an account")
}

fn used(house: &mut House, account: &str) -> (u64, usize) {
    let listed = in_account(house, account, list);
    (listed.used_bytes, listed.files.len())
}

#[track_caller]
fn refused(answer: &Stanza, parts: &[&str]) {
    let text = answer.as_str();
    assert!(text.contains("type='error'"), "{text}");
    for part in parts {
        assert!(text.contains(part), "{part}: {text}");
    }
}

/// One of these lives on the shard of the service and one on the other.
const USERS: [&str; 2] = ["romeo@house", "juliet@house"];

#[test]
fn the_users_of_these_plays_live_on_both_shards() {
    assert_ne!(shard_of(USERS[0], 2), shard_of(USERS[1], 2));
}

#[test]
fn s2_the_service_is_found_and_says_how_large_a_file_may_be() {
    let mut house = House::with_config(ROOMS, "[plans.enterprise]\nfile_bytes_max = 5242880\n");
    let romeo = house.online("romeo@house/orchard");
    let items = house.iq(&romeo, "get", Some("house"), "<query xmlns='http://jabber.org/protocol/disco#items'/>");
    assert!(items.as_str().contains("<item jid='upload.house'/>"), "{}", items.as_str());
    let info = house.iq(&romeo, "get", Some(UPLOAD), "<query xmlns='http://jabber.org/protocol/disco#info'/>");
    for part in [
        "category='store'",
        "type='file'",
        "<feature var='urn:xmpp:http:upload:0'/>",
        "<feature var='urn:xmpp:http:upload:purpose:0#message'/>",
        "<feature var='urn:xmpp:http:upload:purpose:0#ephemeral'/>",
        "<value>urn:xmpp:http:upload:0</value>",
        "<field var='max-file-size' type='text-single'><value>5242880</value></field>",
    ] {
        assert!(info.as_str().contains(part), "{part}: {}", info.as_str());
    }
    let node = house.iq(&romeo, "get", Some(UPLOAD), "<query xmlns='http://jabber.org/protocol/disco#info' node='x'/>");
    refused(&node, &["item-not-found"]);
}

#[test]
fn s3_a_slot_has_one_address_for_both_and_a_header_for_the_put() {
    for user in USERS {
        let mut house = House::with(ROOMS);
        let client = house.online(&format!("{user}/x"));
        let answer = ask(&mut house, &client, "filename='très cool.jpg' size='23456' content-type='image/jpeg'", "");
        let text = answer.as_str();
        assert!(text.contains("type='result'") && text.contains(&format!("<slot xmlns='{NS}'>")), "{text}");
        assert!(text.contains("<header name='Authorization'>Bearer "), "{text}");
        let slot = slot_of(&house, &answer);
        let url = format!("https://house:5443/upload/{}/tr%C3%A8s%20cool.jpg", slot.id);
        assert!(text.contains(&format!("<put url='{url}'>")) && text.contains(&format!("<get url='{url}'/>")), "{text}");
        assert_eq!((slot.owner.as_str(), slot.file.size_bytes, slot.file.content_type.as_str()), (user, 23_456, "image/jpeg"));
        assert_eq!(slot.file.purpose, Purpose::Message);
        let other = ask(&mut house, &client, "filename='a' size='1'", "");
        assert_ne!(slot_of(&house, &other).id, slot.id);
    }
}

#[test]
fn s3_what_is_no_request_is_refused() {
    let mut house = House::with(ROOMS);
    let romeo = house.online("romeo@house/orchard");
    for attributes in [
        "size='1'",
        "filename='' size='1'",
        "filename='a'",
        "filename='a' size='-1'",
        "filename='a' size='0'",
        "filename='a' size='9223372036854775808'",
        "filename='a' size='1e3'",
        "filename='a' size='1' content-type='text'",
        "filename='a' size='1' content-type='a/b&#10;X: y'",
    ] {
        let answer = ask(&mut house, &romeo, attributes, "");
        refused(&answer, &["bad-request"]);
    }
}

#[test]
fn d5_a_name_with_a_path_is_its_last_part() {
    let mut house = House::with(ROOMS);
    let romeo = house.online("romeo@house/orchard");
    for (name, kept) in [("../../etc/cron.d/x", "x"), ("a&#13;&#10;X: y", "aX: y"), ("..", "file")] {
        let answer = ask(&mut house, &romeo, &format!("filename='{name}' size='1'"), "");
        assert_eq!(slot_of(&house, &answer).file.name, kept);
    }
}

#[test]
fn s5_a_file_that_is_too_large_is_told_the_maximum() {
    let mut house = House::with_config(ROOMS, "[plans.enterprise]\nfile_bytes_max = 20000\n");
    let romeo = house.online("romeo@house/orchard");
    let answer = ask(&mut house, &romeo, "filename='très cool.jpg' size='20001' content-type='image/jpeg'", "");
    refused(
        &answer,
        &[
            "<error type='modify'><not-acceptable",
            "File too large. The maximum file size is 20000 bytes",
            &format!("<file-too-large xmlns='{NS}'><max-file-size>20000</max-file-size></file-too-large>"),
        ],
    );
    promised(&mut house, &romeo, "filename='a' size='20000'", "");
}

#[test]
fn s5_a_quota_counts_slots_and_files_and_says_when_there_may_be_room() {
    for user in USERS {
        let mut house = House::with_config(ROOMS, "[plans.enterprise]\nstorage_bytes_max = 1000\n");
        let client = house.online(&format!("{user}/x"));
        upload(&mut house, &client, "filename='a' size='600'", "");
        assert_eq!(used(&mut house, user), (600, 1));
        ask(&mut house, &client, "filename='b' size='300'", "");
        let full = ask(&mut house, &client, "filename='c' size='200'", "");
        // The slot that is not used is over in five minutes.
        refused(
            &full,
            &[
                "<error type='wait'><resource-constraint",
                "Quota reached",
                &format!("<retry xmlns='{NS}' stamp='2026-01-01T00:05:0"),
            ],
        );
        house.advance(Duration::from_secs(301));
        upload(&mut house, &client, "filename='c' size='400'", "");
        let full = ask(&mut house, &client, "filename='d' size='1'", "");
        refused(&full, &["resource-constraint"]);
        assert!(!full.as_str().contains("<retry"), "nothing of it expires: {}", full.as_str());
        assert_eq!(used(&mut house, user), (1_000, 2));
        // What is kept survives, and counts.
        let mut house = house.restart(ROOMS, Duration::from_secs(1));
        assert_eq!(used(&mut house, user), (1_000, 2));
    }
}

#[test]
fn s5_the_plan_of_the_user_decides() {
    let mut house = House::with_config(ROOMS, "[plans.none]\nstorage_bytes_max = 0\n[plans.small]\nstorage_bytes_max = 10\n");
    let romeo = house.online("romeo@house/orchard");
    house.ask("romeo@house", Ask::SetPlan(Some("none".into())));
    refused(&ask(&mut house, &romeo, "filename='a' size='1'", ""), &["<error type='auth'><forbidden", "Your plan"]);
    house.ask("romeo@house", Ask::SetPlan(Some("small".into())));
    refused(&ask(&mut house, &romeo, "filename='a' size='11'", ""), &["<max-file-size>10</max-file-size>"]);
    upload(&mut house, &romeo, "filename='a' size='10'", "");
}

#[test]
fn s5_only_people_of_the_domain_upload() {
    let mut house = House::with(ROOMS);
    let paris = house.online("paris@away/x");
    refused(&ask(&mut house, &paris, "filename='a' size='1'", ""), &["<error type='auth'><forbidden"]);
}

#[test]
fn without_a_web_side_nothing_is_said_of_uploads() {
    // `Doors::open` without a site, as a house that has no listener for the web.
    let config = iris_core::mount::RoomConfig::parse("").expect("no configuration");
    let mut names = iris_core::xml::names::NameTable::new();
    let doors = iris_core::mount::Doors::open("house", ROOMS, &mut names, &config).expect("the rooms mount");
    assert!(!doors.items.iter().any(|item| item.starts_with("upload.")));
    assert!(!doors.commands.iter().any(|command| command.node.starts_with("urn:iris:files")));
}

#[test]
fn s7_a_slot_is_good_for_one_upload_and_for_five_minutes() {
    for user in USERS {
        let mut house = House::with(ROOMS);
        let client = house.online(&format!("{user}/x"));
        let slot = upload(&mut house, &client, "filename='a' size='5'", "");
        assert_eq!(put(&mut house, &slot), Err(Denied::Used));
        let late = promised(&mut house, &client, "filename='a' size='5'", "");
        house.advance(Duration::from_secs(301));
        assert_eq!(put(&mut house, &late), Err(Denied::Forbidden));
        let twice = promised(&mut house, &client, "filename='a' size='5'", "");
        let (first, second) = (twice.clone(), twice.clone());
        assert_eq!(in_account(&mut house, user, move |turn| begin(turn, &first)), Ok(()));
        assert_eq!(in_account(&mut house, user, move |turn| begin(turn, &second)), Err(Denied::Used), "it is underway");
        // It came to nothing; the same slot may be tried again as long as it is good.
        in_account(&mut house, user, move |turn| abandon(turn, twice.id));
        assert_eq!(used(&mut house, user), (5, 1));
    }
}

#[test]
fn an_upload_that_outlives_the_memory_of_its_account_is_counted_at_its_end() {
    let mut house = House::with_config(ROOMS, "[plans.enterprise]\nstorage_bytes_max = 10\n");
    let romeo = house.online("romeo@house/orchard");
    let slot = promised(&mut house, &romeo, "filename='a' size='6'", "");
    let begun = slot.clone();
    assert_eq!(in_account(&mut house, "romeo@house", move |turn| begin(turn, &begun)), Ok(()));
    let mut house = house.restart(ROOMS, Duration::from_secs(1));
    // `restart` knows no configuration: the quota is the large one, and it is kept.
    assert_eq!(in_account(&mut house, "romeo@house", move |turn| keep(turn, &slot, None)), Ok(()));
    assert_eq!(used(&mut house, "romeo@house"), (6, 1));
}

#[test]
fn b18_slots_and_passes_die_with_the_password_and_with_the_account() {
    for order in [Ask::SetCredentials { credentials: "new".into() }, Ask::SetEnabled(false)] {
        let mut house = House::with(ROOMS);
        let romeo = house.online("romeo@house/orchard");
        let slot = promised(&mut house, &romeo, "filename='a' size='5'", "");
        let begun = slot.clone();
        assert_eq!(in_account(&mut house, "romeo@house", move |turn| begin(turn, &begun)), Ok(()));
        let (token, _) = in_account(&mut house, "romeo@house", |turn| shelf::pass(turn));
        let pass = seal(&house).open_pass(&token).expect("a pass of ours");
        let shown = pass.clone();
        assert!(in_account(&mut house, "romeo@house", move |turn| admits(turn, &shown)));
        house.ask("romeo@house", order.clone());
        assert_eq!(
            in_account(&mut house, "romeo@house", move |turn| keep(turn, &slot, None)),
            Err(Denied::Forbidden),
            "{order:?}"
        );
        assert!(!in_account(&mut house, "romeo@house", move |turn| admits(turn, &pass)), "{order:?}");
    }
}

#[test]
fn s4_each_purpose_lives_as_long_as_it_should() {
    let day = Duration::from_secs(86_400);
    let mut house = House::with_config(ROOMS, "[xep.upload]\nexpire_days = 2\n");
    let romeo = house.online("romeo@house/orchard");
    for (name, inside) in [
        ("message", String::new()),
        ("asked", format!("<message xmlns='{PURPOSE}'/>")),
        ("profile", format!("<profile xmlns='{PURPOSE}'/>")),
        ("permanent", format!("<permanent xmlns='{PURPOSE}'/>")),
        ("ephemeral", format!("<ephemeral xmlns='{PURPOSE}' expire-before='2026-01-02T00:00:00Z'/>")),
        ("long", format!("<ephemeral xmlns='{PURPOSE}' expire-before='2036-01-02T00:00:00Z'/>")),
    ] {
        upload(&mut house, &romeo, &format!("filename='{name}' size='5'"), &inside);
    }
    let names = |house: &mut House| {
        let mut names: Vec<String> =
            in_account(house, "romeo@house", list).files.into_iter().map(|(_, file)| file.name).collect();
        names.sort();
        names.join(" ")
    };
    assert_eq!(names(&mut house), "asked ephemeral long message permanent profile");
    for inside in [
        format!("<ephemeral xmlns='{PURPOSE}'/>"),
        format!("<ephemeral xmlns='{PURPOSE}' expire-before='soon'/>"),
        format!("<ephemeral xmlns='{PURPOSE}' expire-before='2026-01-01T00:00:00Z'/>"),
        format!("<fun xmlns='{PURPOSE}'/>"),
        format!("<profile xmlns='{PURPOSE}'/><permanent xmlns='{PURPOSE}'/>"),
    ] {
        refused(&ask(&mut house, &romeo, "filename='a' size='5'", &inside), &["bad-request"]);
    }
    house.advance(day);
    assert_eq!(names(&mut house), "asked long message permanent profile");
    assert_eq!(house.forgotten.lock().expect("the list").len(), 1);
    house.advance(day);
    assert_eq!(names(&mut house), "permanent profile");
    assert_eq!(used(&mut house, "romeo@house"), (10, 2));
    assert_eq!(house.forgotten.lock().expect("the list").len(), 4);
}

#[test]
fn s4_2_files_for_profiles_are_smaller_and_have_a_quota_of_their_own() {
    let mut house = House::with_config(ROOMS, "[xep.upload]\nprofile_file_bytes_max = 10\nprofile_bytes_max = 15\n");
    let romeo = house.online("romeo@house/orchard");
    let profile = format!("<profile xmlns='{PURPOSE}'/>");
    refused(&ask(&mut house, &romeo, "filename='a' size='11'", &profile), &["<max-file-size>10</max-file-size>"]);
    upload(&mut house, &romeo, "filename='a' size='10'", &profile);
    refused(
        &ask(&mut house, &romeo, "filename='a' size='6'", &profile),
        &["Quota reached. The pictures you show of yourself may take 15 bytes, and 10"],
    );
    upload(&mut house, &romeo, "filename='a' size='6'", "");
}

#[test]
fn d5_a_day_has_a_quota_where_one_is_configured() {
    let mut house = House::with_config(ROOMS, "[xep.upload]\nbytes_per_day_max = 10\n");
    let romeo = house.online("romeo@house/orchard");
    upload(&mut house, &romeo, "filename='a' size='8'", "");
    let full = ask(&mut house, &romeo, "filename='a' size='3'", "");
    refused(&full, &["<error type='wait'>", "in 24 hours", "stamp='2026-01-02T00:00:0"]);
    house.advance(Duration::from_secs(86_401));
    upload(&mut house, &romeo, "filename='a' size='3'", "");
}

/// Removing makes room, and no time: or whoever uploads and removes by turns had no limit at all.
#[test]
fn d5_what_was_removed_today_counts_for_the_day_over_a_restart_too() {
    let config = "[xep.upload]\nbytes_per_day_max = 10\n";
    let mut house = House::with_config(ROOMS, config);
    let romeo = house.online("romeo@house/orchard");
    let slot = upload(&mut house, &romeo, "filename='a' size='6'", "");
    assert!(in_account(&mut house, "romeo@house", move |turn| remove(turn, slot.id)));
    let short = format!("<ephemeral xmlns='{PURPOSE}' expire-before='2026-01-01T00:10:00Z'/>");
    upload(&mut house, &romeo, "filename='a' size='3'", &short);
    house.advance(Duration::from_secs(1_200));
    assert_eq!(used(&mut house, "romeo@house"), (0, 0), "one was removed, one is over");
    refused(&ask(&mut house, &romeo, "filename='a' size='2'", ""), &["in 24 hours", "<retry"]);
    // The clock of a play begins where it began.
    let mut house = House::build(ROOMS, config, Limits::default(), house.store.clone());
    let romeo = house.online("romeo@house/orchard");
    refused(&ask(&mut house, &romeo, "filename='a' size='2'", ""), &["in 24 hours"]);
    upload(&mut house, &romeo, "filename='a' size='1'", "");
    house.advance(Duration::from_secs(90_000));
    upload(&mut house, &romeo, "filename='a' size='10'", "");
}

#[test]
fn d5_a_slot_is_used_even_when_its_file_is_not_there_any_more() {
    let mut house = House::with(ROOMS);
    let romeo = house.online("romeo@house/orchard");
    let slot = upload(&mut house, &romeo, "filename='a' size='5'", "");
    let id = slot.id;
    assert!(in_account(&mut house, "romeo@house", move |turn| remove(turn, id)));
    let again = in_account(&mut house, "romeo@house", move |turn| begin(turn, &slot));
    assert_eq!(again, Err(Denied::Used), "what lies at an address never changes");
}

#[test]
fn there_is_a_limit_of_slots() {
    let mut house = House::with(ROOMS);
    let romeo = house.online("romeo@house/orchard");
    for _ in 0..50 {
        assert!(ask(&mut house, &romeo, "filename='a' size='1'", "").as_str().contains("<slot"));
    }
    refused(&ask(&mut house, &romeo, "filename='a' size='1'", ""), &["resource-constraint", "<retry"]);
    house.advance(Duration::from_secs(301));
    assert!(ask(&mut house, &romeo, "filename='a' size='1'", "").as_str().contains("<slot"));
}

fn command(house: &mut House, who: &Client, node: &str, rest: &str, inside: &str) -> Stanza {
    house.iq(
        who,
        "set",
        None,
        &format!("<command xmlns='http://jabber.org/protocol/commands' node='{node}' {rest}>{inside}</command>"),
    )
}

#[test]
fn what_i_uploaded_is_listed_and_removed_by_me_alone() {
    for user in USERS {
        let mut house = House::with(ROOMS);
        let client = house.online(&format!("{user}/x"));
        let one = upload(&mut house, &client, "filename='one.txt' size='5' content-type='text/plain'", "");
        let two = upload(&mut house, &client, "filename='two.txt' size='6'", "");
        let shown = command(&mut house, &client, "urn:iris:files#list", "", "");
        let url = format!("https://house:5443/upload/{}/one.txt", one.id);
        for part in
            [url.as_str(), "two.txt", "text/plain", "<value>20000000000</value>", "<value>11</value>", "status='completed'"]
        {
            assert!(shown.as_str().contains(part), "{part}: {}", shown.as_str());
        }
        let asked = command(&mut house, &client, "urn:iris:files#remove", "", "");
        let text = asked.as_str();
        assert!(text.contains("list-multi") && text.contains(&format!("<value>{}</value>", two.id)), "{text}");
        let session = text.split("sessionid='").nth(1).and_then(|rest| rest.split('\'').next()).expect("a session").to_owned();
        let answers =
            format!("<x xmlns='jabber:x:data' type='submit'><field var='files'><value>{}</value></field></x>", one.id);
        let done = command(&mut house, &client, "urn:iris:files#remove", &format!("sessionid='{session}'"), &answers);
        assert!(done.as_str().contains("Removed 1."), "{}", done.as_str());
        assert_eq!(used(&mut house, user), (6, 1));
        assert_eq!(*house.forgotten.lock().expect("the list"), [Forget::One(one.id, None)]);
        let stranger = house.online("paris@away/x");
        let node = "<command xmlns='http://jabber.org/protocol/commands' node='urn:iris:files#list'/>";
        for to in [user, "house"] {
            let answer = house.iq(&stranger, "set", Some(to), node);
            assert!(answer.as_str().contains("type='error'"), "{}", answer.as_str());
        }
    }
}

#[test]
fn an_address_that_is_not_mine_is_not_removed() {
    let mut house = House::with(ROOMS);
    let romeo = house.online("romeo@house/orchard");
    let juliet = house.online("juliet@house/balcony");
    let hers = upload(&mut house, &juliet, "filename='a' size='5'", "");
    upload(&mut house, &romeo, "filename='a' size='5'", "");
    assert!(!in_account(&mut house, "romeo@house", move |turn| remove(turn, hers.id)));
    assert!(!in_account(&mut house, "romeo@house", |turn| remove(turn, BlobId([0; BlobId::BYTES]))));
    assert_eq!(used(&mut house, "juliet@house"), (5, 1));
}

#[test]
fn the_same_bytes_count_for_each_who_has_them_and_are_named_when_they_go() {
    let content = Some(iris_core::blobs::Content([0xab; 32]));
    for user in USERS {
        let mut house = House::with_config(ROOMS, "[plans.enterprise]\nstorage_bytes_max = 15\n");
        let client = house.online(&format!("{user}/x"));
        let slot = promised(&mut house, &client, "filename='a' size='8'", "");
        let kept = slot.clone();
        assert_eq!(in_account(&mut house, user, move |turn| keep(turn, &kept, content)), Ok(()));
        // Once more the same is eight bytes more of the quota, whatever the disk does with it.
        refused(&ask(&mut house, &client, "filename='b' size='8'", ""), &["Quota reached"]);
        // What it holds is remembered over a restart.
        let mut house = house.restart(ROOMS, Duration::from_secs(1));
        assert!(in_account(&mut house, user, move |turn| remove(turn, slot.id)));
        assert_eq!(*house.forgotten.lock().expect("the list"), [Forget::One(slot.id, content)]);
    }
}

#[test]
fn with_the_account_its_files_go() {
    let mut house = House::with(ROOMS);
    let romeo = house.online("romeo@house/orchard");
    upload(&mut house, &romeo, "filename='a' size='5'", "");
    house.ask("romeo@house", Ask::Remove);
    assert_eq!(*house.forgotten.lock().expect("the list"), [Forget::OfNobody]);
    house.user("romeo@house");
    assert_eq!(used(&mut house, "romeo@house"), (0, 0));
}
