use super::*;

fn it(purpose: Purpose) -> Invitation {
    Invitation {
        domain: "house".into(),
        purpose,
        inviter: Some("romeo@house".into()),
        contact: Some("romeo@house".into()),
        username: None,
        uri: Some("xmpp:romeo@house?roster;preauth=token;ibr=y".into()),
        url: Some("https://house:5443/invite/token".into()),
        expires: "2026-12-03T14:05:00Z".into(),
        password_chars_min: 8,
    }
}

#[test]
fn what_comes_from_outside_cannot_become_markup() {
    let evil = "\"><script>alert(1)</script>&'";
    let hostile = Invitation {
        domain: evil.into(),
        inviter: Some(evil.into()),
        contact: Some(format!("{evil}@x")),
        uri: Some(format!("xmpp:{evil}")),
        expires: evil.into(),
        ..it(Purpose::Contact)
    };
    let filling = Filling { username: evil.into(), username_wrong: Some(evil.into()), ..Filling::default() };
    for device in [Device::Android, Device::Apple, Device::Linux, Device::Other] {
        let html = open(&hostile, evil, device, &filling);
        assert!(!html.contains("<script") && !html.contains(evil), "{html}");
    }
    let named = Invitation { username: Some(evil.into()), ..hostile };
    assert!(!open(&named, evil, Device::Other, &filling).contains("<script"));
    let welcome = Welcome { address: evil.into(), contact: Some(evil.into()), new: true };
    assert!(!form::welcomed(&welcome, Device::Other).contains("<script"));
}

#[test]
fn the_link_for_an_app_is_where_a_finger_finds_it() {
    let phone = open(&it(Purpose::Contact), "token", Device::Android, &Filling::default());
    let place = |html: &str, what: &str| html.find(what).unwrap_or_else(|| panic!("no {what}: {html}"));
    assert!(place(&phone, "Conversations") < place(&phone, "href=\"xmpp:romeo@house?roster;preauth=token;ibr=y\""));
    assert!(place(&phone, "href=\"xmpp:") < place(&phone, "<form"), "on a phone the app comes first");
    let computer = open(&it(Purpose::Contact), "token", Device::Linux, &Filling::default());
    assert!(place(&computer, "<form") < place(&computer, "href=\"xmpp:"), "on a computer the form comes first");
    assert!(computer.contains("<svg class=\"qr\"") && !phone.contains("<svg class=\"qr\""));
}

#[test]
fn every_field_has_a_label_and_a_wrong_one_says_why() {
    let filling = Filling { password_wrong: Some("Too short.".into()), ..Filling::default() };
    let html = open(&it(Purpose::Account), "token", Device::Other, &filling);
    for id in ["username", "password", "again"] {
        assert!(html.contains(&format!("<label for=\"{id}\">")) && html.contains(&format!("id=\"{id}\"")), "{id}");
    }
    assert!(html.contains("aria-invalid=\"true\" aria-describedby=\"password-wrong\""), "{html}");
    assert!(html.contains("id=\"password-wrong\" role=\"alert\">Too short."), "{html}");
    assert!(html.contains("autocomplete=\"new-password\""));
}

#[test]
fn a_form_for_a_password_asks_for_no_name() {
    let named = Invitation { username: Some("juliet".into()), uri: None, ..it(Purpose::Password) };
    let html = open(&named, "token", Device::Other, &Filling::default());
    assert!(html.contains("juliet@house") && !html.contains("name=\"username\"") && !html.contains("xmpp:"), "{html}");
}
