//! XEP-0441.

use super::*;

fn set(house: &mut House, client: &Client, default: &str, always: &[&str], never: &[&str]) -> Stanza {
    let list = |jids: &[&str]| jids.iter().map(|jid| format!("<jid>{jid}</jid>")).collect::<String>();
    let (always, never) = (list(always), list(never));
    let payload = format!("<prefs xmlns='{NS}' default='{default}'><always>{always}</always><never>{never}</never></prefs>");
    house.iq(client, "set", None, &payload)
}

#[test]
fn xep0441_s2_1_preferences_are_told_replaced_and_kept() {
    let mut house = House::with(ROOMS);
    let romeo = house.online(ROMEO);
    let get = format!("<prefs xmlns='{NS}'/>");
    let empty = format!("<prefs xmlns='{NS}' default='always'><always/><never/></prefs>");
    assert!(house.iq(&romeo, "get", None, &get).as_str().contains(&empty));
    set(&mut house, &romeo, "roster", &["juliet@house"], &["tybalt@house/sword", "Nurse@house", "nurse@house"]);
    let wanted = format!(
        "<prefs xmlns='{NS}' default='roster'><always><jid>juliet@house</jid></always>\
         <never><jid>nurse@house</jid><jid>tybalt@house/sword</jid></never></prefs>"
    );
    assert!(house.iq(&romeo, "get", None, &get).as_str().contains(&wanted));
    let mut house = house.restart(ROOMS, Duration::from_secs(1));
    let romeo = house.online(ROMEO);
    let kept = house.iq(&romeo, "get", None, &get);
    assert!(kept.as_str().contains(&wanted), "{}", kept.as_str());
}

#[test]
fn xep0441_s2_1_what_is_malformed_is_refused_and_changes_nothing() {
    let mut house = House::with(ROOMS);
    let romeo = house.online(ROMEO);
    assert!(set(&mut house, &romeo, "sometimes", &[], &[]).as_str().contains("<bad-request"));
    assert!(set(&mut house, &romeo, "never", &["@"], &[]).as_str().contains("<bad-request"));
    assert!(house.iq(&romeo, "set", None, &format!("<prefs xmlns='{NS}'/>")).as_str().contains("<bad-request"));
    let kept = house.iq(&romeo, "get", None, &format!("<prefs xmlns='{NS}'/>"));
    assert!(kept.as_str().contains("default='always'"));
}

#[test]
fn xep0441_s2_1_1_never_roster_and_always() {
    let mut house = House::with(ROOMS);
    house.friends("romeo@house", "juliet@house");
    let romeo = house.online(ROMEO);
    let juliet = house.online(JULIET);
    let tybalt = house.online("tybalt@house/sword");
    house.recv(&romeo);
    let mut kept = Vec::new();
    for (default, always, never) in [
        ("never", &[][..], &[][..]),
        ("never", &["tybalt@house"][..], &[][..]),
        ("roster", &[][..], &[][..]),
        ("always", &[][..], &["juliet@house"][..]),
    ] {
        set(&mut house, &romeo, default, always, never);
        let before = whole(&mut house, &romeo).ids.len();
        for peer in [&juliet, &tybalt] {
            house.send(peer, "<message to='romeo@house' type='chat'><body>in</body></message>");
            let heard = house.one(&romeo);
            house.send(&romeo, &format!("<message to='{}' type='chat'><body>out</body></message>", peer.jid));
            house.recv(peer);
            kept.push(stanza_id(&heard).is_some());
        }
        let added = whole(&mut house, &romeo).ids.len() - before;
        assert_eq!(added, 2 * kept.iter().rev().take(2).filter(|kept| **kept).count(), "both ways alike: {default}");
    }
    assert_eq!(kept, [false, false, false, true, true, false, false, true]);
    // The other side's archive is the other side's.
    assert_eq!(whole(&mut house, &juliet).ids.len(), 8);
}

#[test]
fn xep0441_s2_3_1_a_listed_resource_is_only_that_and_a_bare_jid_is_all() {
    let mut house = House::with(ROOMS);
    let romeo = house.online(ROMEO);
    let balcony = house.online(JULIET);
    let garden = house.online("juliet@house/garden");
    set(&mut house, &romeo, "always", &[], &[JULIET]);
    say(&mut house, &balcony, "romeo@house", "a");
    say(&mut house, &garden, "romeo@house", "b");
    assert_eq!(whole(&mut house, &romeo).bodies(), ["b"]);
    set(&mut house, &romeo, "always", &[], &["juliet@house"]);
    say(&mut house, &garden, "romeo@house", "c");
    assert_eq!(whole(&mut house, &romeo).bodies(), ["b"]);
}

#[test]
fn the_default_of_the_house_is_set_in_its_configuration() {
    let mut house = House::with_config(ROOMS, "[xep.archive_preferences]\ndefault = \"never\"\n");
    let romeo = house.online(ROMEO);
    say(&mut house, &romeo, "romeo@house", "a");
    assert!(whole(&mut house, &romeo).ids.is_empty());
}

#[test]
fn r15_a_reload_changes_the_default_of_whoever_has_said_nothing() {
    let mut house = House::with(ROOMS);
    let (romeo, juliet) = (house.online(ROMEO), house.online(JULIET));
    set(&mut house, &juliet, "always", &[], &[]);
    house.reload(ROOMS, "[xep.archive_preferences]\ndefault = \"never\"\n");
    let prefs = "<prefs xmlns='urn:xmpp:mam:2'/>";
    assert!(house.iq(&romeo, "get", None, prefs).as_str().contains("default='never'"));
    assert!(house.iq(&juliet, "get", None, prefs).as_str().contains("default='always'"));
}
