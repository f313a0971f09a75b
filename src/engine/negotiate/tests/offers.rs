//! What a stream offers, before and after authentication.

use super::*;

#[test]
fn b2_before_tls_nothing_but_tls_is_offered_and_it_is_required() {
    let mut client = Client::new(Transport::StartTls);
    client.header(&header(A));
    let features = client.heard.split("<stream:features>").nth(1).expect("features");
    assert!(features.starts_with("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>"));
    assert!(!features.contains("mechanism") && !features.contains("compress") && !features.contains("bind"));
}

#[test]
fn the_features_of_a_secure_stream_come_in_order_strongest_mechanism_first() {
    let client = Client::open();
    let places: Vec<usize> = [
        "<mechanisms ",
        "SCRAM-SHA-512-PLUS<",
        "SCRAM-SHA-512<",
        "SCRAM-SHA-256-PLUS<",
        "SCRAM-SHA-256<",
        "SCRAM-SHA-1-PLUS<",
        "SCRAM-SHA-1<",
        "PLAIN<",
        "<authentication xmlns='urn:xmpp:sasl:2'><mechanism>SCRAM-SHA-512-PLUS<",
        "<inline><bind xmlns='urn:xmpp:bind:0'><inline><feature var='urn:xmpp:sm:3'/></inline></bind><sm xmlns='urn:xmpp:sm:3'/><fast xmlns='urn:xmpp:fast:0'>",
        "<sasl-channel-binding ",
        "'tls-exporter'",
        "'tls-server-end-point'",
        "<always ",
        "<limits ",
        "<max-bytes>8192<",
        "<idle-seconds>30<",
        "</stream:features>",
    ]
    .into_iter()
    .map(|part| client.heard.find(part).unwrap_or_else(|| panic!("{part} is not in {}", client.heard)))
    .collect();
    assert!(places.is_sorted(), "{}", client.heard);
    for absent in ["<starttls", "DIGEST-MD5", "ANONYMOUS", "compression", "<inside ", "<bind xmlns='urn:ietf"] {
        assert!(!client.heard.contains(absent), "{absent}");
    }
}

#[test]
fn the_features_behind_authentication_are_bind_the_rooms_and_larger_limits() {
    let mut client = Client::authenticated();
    client.heard.clear();
    client.header(&header(A));
    let parts = ["<bind ", "<session ", "<ver ", "<sub ", "<always ", "<inside ", "<max-bytes>262144<"];
    let places: Vec<usize> = parts.iter().map(|part| client.heard.find(part).expect("the feature")).collect();
    assert!(places.is_sorted(), "{}", client.heard);
    assert!(!client.heard.contains("<mechanism"));
}

#[test]
fn b8_plain_is_offered_only_where_the_policy_says_so() {
    let mut client = Client::tls();
    client.policy.plain_sasl = false;
    client.header(&header(A));
    assert!(client.heard.contains("SCRAM-SHA-256-PLUS") && !client.heard.contains("PLAIN"));
    let actions = client.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGFsaWNlAHNlY3JldA==</auth>");
    assert!(actions.is_empty(), "nobody is asked for a password: {actions:?}");
    client.heard("<invalid-mechanism/>");
}

#[test]
fn without_tls_no_channel_binding_is_offered() {
    let mut client = Client::new(Transport::Plain);
    client.header(&header(A));
    assert!(client.heard.contains("SCRAM-SHA-1<") && !client.heard.contains("-PLUS"));
    assert!(!client.heard.contains("channel-binding") && !client.heard.contains("starttls"));
}
