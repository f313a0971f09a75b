//! XEP-0388, XEP-0386, XEP-0198 and XEP-0484 over real sockets, with a client of our own that shares no code with the server.

use std::path::{Path, PathBuf};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use iris::cli::control::{Admin, Client as Control};
use iris_core::BareJid;

use crate::client::{Client, PASSWORD, PATIENCE, attribute, between, trusting};
use crate::scram::{Scram, tls_exporter, tls_server_end_point};
use crate::server::{Data, Server};

pub const AGENT: &str = "d4565fa7-4d72-4749-b3d3-740edbf87770";
const HEADER: &str = "<?xml version='1.0'?><stream:stream to='localhost' from='juliet@localhost' version='1.0' xml:lang='en' \
                      xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";

/// A house with juliet and romeo in it.
fn house() -> (Data, Server) {
    let data = Data::with_users(["juliet", "romeo"]);
    let server = data.start();
    (data, server)
}

fn user_agent(id: &str) -> String {
    format!("<user-agent id='{id}'><software>house test</software><device>a test</device></user-agent>")
}

/// SASL2 with a password: PLAIN, as cheap for the test as it is dear for the server.
pub fn by_password(client: &mut Client, user: &str, inline: &str) -> String {
    let initial = STANDARD.encode(format!("\0{user}\0{PASSWORD}"));
    client.send(&format!(
        "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>{initial}</initial-response>{inline}</authenticate>"
    ));
    client.read_stanza()
}

/// `authcid NUL HMAC(token, "Initiator" || cb)`, as draft-schmaus-kitten-sasl-ht has it.
fn proof(user: &str, token: &str, binding: &[u8]) -> String {
    let mut message = user.as_bytes().to_vec();
    message.push(0);
    message.extend_from_slice(mac(token, "Initiator", binding).as_ref());
    STANDARD.encode(message)
}

fn mac(token: &str, word: &str, binding: &[u8]) -> hmac::Tag {
    let key = hmac::Key::new(hmac::HMAC_SHA256, token.as_bytes());
    hmac::sign(&key, &[word.as_bytes(), binding].concat())
}

fn by_token(mechanism: &str, user: &str, token: &str, binding: &[u8], inline: &str) -> String {
    let initial = proof(user, token, binding);
    format!(
        "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='{mechanism}'><initial-response>{initial}</initial-response>{inline}</authenticate>"
    )
}

fn fast(agent: &str, attributes: &str) -> String {
    format!("{}<fast xmlns='urn:xmpp:fast:0' {attributes}/>", user_agent(agent))
}

const BIND: &str = "<bind xmlns='urn:xmpp:bind:0'><tag>house</tag><enable xmlns='urn:xmpp:sm:3' resume='true'/>\
                    <enable xmlns='urn:xmpp:carbons:2'/></bind>";

fn token_of(success: &str) -> String {
    let token = between(success, "<token ", "/>").unwrap_or_else(|| panic!("no token in {success}"));
    attribute(&format!("<x {token}>"), "token").expect("a token").to_owned()
}

#[test]
fn a_session_with_everything_begins_in_one_step_and_lives() {
    let (data, server) = house();
    let mut juliet = Client::starttls(server.starttls, trusting(&data.ca())).expect("TLS");
    let features = juliet.open();
    for part in [
        "<authentication xmlns='urn:xmpp:sasl:2'>",
        "<bind xmlns='urn:xmpp:bind:0'>",
        "urn:xmpp:carbons:2",
        "urn:xmpp:csi:0",
        "<fast ",
    ] {
        assert!(features.contains(part), "{part} is not in {features}");
    }
    let success = by_password(&mut juliet, "juliet", &format!("{}{BIND}", user_agent(AGENT)));
    assert!(success.starts_with("<success xmlns='urn:xmpp:sasl:2'>"), "{success}");
    assert!(
        success.contains("<enabled xmlns='urn:xmpp:sm:3'") && success.contains("<metadata xmlns='urn:xmpp:mam:2'"),
        "{success}"
    );
    let jid = between(&success, "<authorization-identifier>", "<").expect("an address").to_owned();
    assert!(jid.starts_with("juliet@localhost/house/") && !jid.contains(&AGENT[..8]), "{jid}");
    let features = juliet.read_stanza();
    assert!(features.starts_with("<stream:features>") && !features.contains("xmpp-bind"), "{features}");
    juliet.send("<presence/>");
    juliet.expect(&format!("from='{jid}'"));
    juliet.ping(PATIENCE).expect("a pong");
    // The same client comes again: the same address, and the earlier session is over.
    let mut again = Client::starttls(server.starttls, trusting(&data.ca())).expect("TLS");
    again.open();
    let success = by_password(&mut again, "juliet", &format!("{}{BIND}", user_agent(AGENT)));
    assert!(success.contains(&jid), "{success}");
    let last = juliet.read_to_end(PATIENCE).expect("an end");
    assert!(last.iter().any(|it| it.contains("<conflict ")), "{last:?}");
}

#[test]
fn scram_in_sasl2_is_bound_to_the_channel_and_proves_the_server() {
    let (data, server) = house();
    let mut juliet = Client::direct_tls(server.direct_tls, trusting(&data.ca())).expect("TLS");
    juliet.open();
    let binding = tls_exporter(&juliet);
    let scram = Scram::new("SCRAM-SHA-256-PLUS", "juliet", PASSWORD).bound_to("tls-exporter", binding);
    scram.run_sasl2(&mut juliet, "").expect("a login");
    assert!(juliet.read_stanza().starts_with("<stream:features>"));
    juliet.bind("desk").expect("the old bind follows as well");
}

#[test]
fn b15_fast_over_every_binding_rotation_replay_and_the_end_of_a_token() {
    let (data, server) = house();
    let connect = || {
        let mut client = Client::direct_tls(server.direct_tls, trusting(&data.ca())).expect("TLS");
        client.open();
        client
    };
    for mechanism in ["HT-SHA-256-EXPR", "HT-SHA-256-ENDP", "HT-SHA-256-NONE"] {
        let binding = |client: &Client| match mechanism {
            "HT-SHA-256-EXPR" => tls_exporter(client),
            "HT-SHA-256-ENDP" => tls_server_end_point(client),
            _ => Vec::new(),
        };
        let mut first = connect();
        let request = format!("{}<request-token xmlns='urn:xmpp:fast:0' mechanism='{mechanism}'/>", user_agent(AGENT));
        let token = token_of(&by_password(&mut first, "juliet", &request));
        first.close();
        let mut second = connect();
        let bound_to = binding(&second);
        second.send(&by_token(mechanism, "juliet", &token, &bound_to, &format!("{}{BIND}", fast(AGENT, "count='1'"))));
        let success = second.read_stanza();
        let answer = STANDARD.encode(mac(&token, "Responder", &bound_to).as_ref());
        assert!(success.contains(&format!("<additional-data>{answer}</additional-data>")), "{mechanism}: {success}");
        assert!(success.contains("<bound ") && !success.contains("<token "), "{success}");
        // The same count, a lower one, another installation, another user: refused.
        for (user, agent, count) in [
            ("juliet", AGENT, 1),
            ("juliet", AGENT, 0),
            ("juliet", "d4565fa7-4d72-4749-b3d3-740edbf87771", 9),
            ("romeo", AGENT, 9),
            ("nobody", AGENT, 9),
        ] {
            let mut client = connect();
            let bound_to = binding(&client);
            client.send(&by_token(mechanism, user, &token, &bound_to, &fast(agent, &format!("count='{count}'"))));
            let said = client.read_stanza();
            assert!(said.contains("<failure xmlns='urn:xmpp:sasl:2'><not-authorized "), "{user} {agent} {count}: {said}");
        }
        // Invalidated: once more, then never again.
        for opens in [true, false] {
            let mut client = connect();
            let bound_to = binding(&client);
            client.send(&by_token(mechanism, "juliet", &token, &bound_to, &fast(AGENT, "invalidate='true'")));
            assert_eq!(client.read_stanza().starts_with("<success"), opens, "{mechanism}");
        }
    }
}

#[test]
fn b15_b18_a_token_dies_with_the_password_and_lies_nowhere() {
    let (data, server) = house();
    let mut first = Client::connect(server.plain).expect("a connection");
    first.open();
    let request = format!("{}<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>", user_agent(AGENT));
    let token = token_of(&by_password(&mut first, "juliet", &request));
    // B17: neither the token nor its hash is anywhere in the data or in the log.
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes());
    let secret = token.trim_start_matches("secret-token:");
    for path in files(&data.path()) {
        let bytes = std::fs::read(&path).expect("a file");
        let holds = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
        assert!(!holds(secret.as_bytes()), "{} holds a token", path.display());
        assert!(!holds(hash.as_ref()), "{} holds the hash of a token", path.display());
    }
    let control = Control::connect(&data.path().join("control.sock")).expect("a control socket").expect("a server");
    control.user_passwd(&BareJid::new("juliet@localhost").expect("a JID"), "another password").expect("a new password");
    let mut second = Client::connect(server.plain).expect("a connection");
    second.open();
    second.send(&by_token("HT-SHA-256-NONE", "juliet", &token, &[], &fast(AGENT, "")));
    let said = second.read_stanza();
    assert!(said.contains("<not-authorized "), "{said}");
}

#[test]
fn one_round_trip_from_tls_to_a_resumed_session() {
    let (data, server) = house();
    let config = trusting(&data.ca());
    let mut first = Client::direct_tls(server.direct_tls, config.clone()).expect("TLS");
    first.open();
    let version = attribute(
        between(&first.features, "<config-version ", "/>").map(|it| format!("<x {it}>")).expect("a version").as_str(),
        "value",
    )
    .expect("a value")
    .to_owned();
    let request = format!("{}<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-EXPR'/>{BIND}", user_agent(AGENT));
    let success = by_password(&mut first, "juliet", &request);
    let token = token_of(&success);
    let enabled = between(&success, "<enabled ", "/>").map(|it| format!("<x {it}>")).expect("enabled");
    let previd = attribute(&enabled, "id").expect("an id").to_owned();
    first.expect("<stream:features>");
    assert_eq!(first.flights, 2, "who does not know what is offered asks first");
    first.send("<presence/>");
    first.expect("<presence");
    drop(first);
    // TLS 1.3: its handshake is one round trip of its own, and a ticket spares the certificate. Then everything in one flight.
    let mut second = Client::direct_tls(server.direct_tls, config).expect("TLS");
    let kind = second.tls().and_then(|tls| tls.handshake_kind());
    assert_eq!(kind, Some(rustls::HandshakeKind::Resumed), "the ticket of the first connection");
    let binding = tls_exporter(&second);
    let resume = format!("<resume xmlns='urn:xmpp:sm:3' previd='{previd}' h='0'/>");
    let known = format!("<config-version xmlns='urn:xmpp:iap:0' scheme='opaque' value='{version}'/>");
    let inline = format!("{}{resume}{known}", fast(AGENT, "count='1'"));
    let authenticate = by_token("HT-SHA-256-EXPR", "juliet", &token, &binding, &inline);
    second.send(&format!("{HEADER}{authenticate}"));
    let header = second.read_stanza();
    assert!(header.contains("<stream:stream"), "{header}");
    assert!(second.read_stanza().starts_with("<stream:features>"));
    let success = second.read_stanza();
    assert!(success.contains(&format!("<resumed xmlns='urn:xmpp:sm:3' previd='{previd}'")), "{success}");
    assert!(second.read_stanza().contains("<presence"), "what was not acknowledged comes again");
    assert_eq!(second.flights, 1, "all of that was the answer to one flight");
    second.ping(PATIENCE).expect("a pong");
}

#[test]
fn xep0509_a_pipelined_login_with_other_features_in_mind_is_turned_back_without_prejudice() {
    let (_data, server) = house();
    for _ in 0..8 {
        let mut client = Client::connect(server.plain).expect("a connection");
        let initial = STANDARD.encode(format!("\0juliet\0{PASSWORD}"));
        let version = "<config-version xmlns='urn:xmpp:iap:0' value='old'/>";
        let authenticate = format!(
            "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>{initial}</initial-response>{version}</authenticate>"
        );
        client.send(&format!("{HEADER}{}", authenticate.repeat(8)));
        client.expect("<stream:features>");
        for _ in 0..8 {
            let said = client.read_stanza();
            assert!(said.contains("<aborted ") && said.contains("<config-version-mismatch xmlns='urn:xmpp:iap:0'/>"), "{said}");
        }
        // The attempts did not count, so there is no end of patience.
        assert!(by_password(&mut client, "juliet", "").starts_with("<success"));
    }
}

#[test]
fn xep0494_a_client_is_seen_and_logged_out() {
    let (_data, server) = house();
    let mut phone = Client::connect(server.plain).expect("a connection");
    phone.open();
    let request = format!("{}<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>{BIND}", user_agent(AGENT));
    let token = token_of(&by_password(&mut phone, "juliet", &request));
    phone.expect("<stream:features>");
    let mut desk = Client::online(server.plain, "juliet", "desk");
    let listed = desk.iq("get", None, "<list xmlns='urn:xmpp:cam:0'/>");
    assert!(listed.contains("<software>house test</software>") && listed.contains("<fast/>"), "{listed}");
    let ids: Vec<&str> = listed
        .split("<client ")
        .skip(1)
        .filter(|it| it.contains("house test"))
        .filter_map(|it| attribute_of(it, "id"))
        .collect();
    assert_eq!(ids.len(), 1, "{listed}");
    let revoked = desk.iq("set", None, &format!("<revoke xmlns='urn:xmpp:cam:0' id='{}'/>", ids[0]));
    assert!(revoked.contains("<password-reset-required "), "it knows the password: {revoked}");
    let last = phone.read_to_end(PATIENCE).expect("its end");
    assert!(last.iter().any(|it| it.contains("<not-authorized ")), "{last:?}");
    let mut again = Client::connect(server.plain).expect("a connection");
    again.open();
    again.send(&by_token("HT-SHA-256-NONE", "juliet", &token, &[], &fast(AGENT, "")));
    assert!(again.read_stanza().contains("<not-authorized "));
    desk.ping(PATIENCE).expect("who revoked is still there");
}

fn attribute_of<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = tag.split_once(&format!("{name}='"))?;
    rest.split_once('\'').map(|(value, _)| value)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).filter(|path| path.is_file()).collect()
}
