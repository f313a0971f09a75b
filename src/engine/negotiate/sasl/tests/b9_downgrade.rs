//! B9: `h` (XEP-0474) and `t` (XEP-0515) are present and say what was advertised.

use super::*;

fn server_first(mechanism: Mechanism, offered: &Offered, client: &Client) -> String {
    challenged(found(start(mechanism, offered, &client.first()))).0
}

/// The document's own words, applied to lists written out by hand.
fn hash_of(hash: Hash, advertised: &str) -> String {
    STANDARD.encode(hash.digest(advertised.as_bytes()).as_slice())
}

const MECHANISMS: &str =
    "PLAIN\x1eSCRAM-SHA-1\x1eSCRAM-SHA-1-PLUS\x1eSCRAM-SHA-256\x1eSCRAM-SHA-256-PLUS\x1eSCRAM-SHA-512\x1eSCRAM-SHA-512-PLUS";

#[test]
fn b9_xep0474_example_hash() {
    // Published in the document; `vectors` replays the conversation around it.
    let advertised = "SCRAM-SHA-1\x1eSCRAM-SHA-1-PLUS\x1ftls-exporter\x1etls-server-end-point";
    assert_eq!(hash_of(Hash::Sha1, advertised), "G6k/rBLDqgOhRRaCuuatSDFkJ08=");
}

#[test]
fn b9_h_covers_mechanisms_and_binding_types_with_the_mechanisms_hash() {
    let advertised = format!("{MECHANISMS}\x1ftls-exporter\x1etls-server-end-point");
    for (mechanism, hash) in
        [(Mechanism::ScramSha1, Hash::Sha1), (Mechanism::ScramSha256, Hash::Sha256), (Mechanism::ScramSha512, Hash::Sha512)]
    {
        let message = server_first(mechanism, &everything(), &Client::new(hash));
        assert_eq!(attribute(&message, "h="), hash_of(hash, &advertised));
    }
}

#[test]
fn b9_h_of_a_list_without_binding_types_has_no_second_part() {
    let offered = without_binding();
    let message = server_first(Mechanism::ScramSha1, &offered, &Client::new(Hash::Sha1));
    let advertised = "PLAIN\x1eSCRAM-SHA-1\x1eSCRAM-SHA-256\x1eSCRAM-SHA-512";
    assert_eq!(attribute(&message, "h="), hash_of(Hash::Sha1, advertised));
}

#[test]
fn b9_h_covers_mechanisms_that_run_elsewhere() {
    let offered = without_binding().with_others(["EXTERNAL"]);
    assert!(offered.mechanism_names().any(|name| name == "EXTERNAL"));
    let message = server_first(Mechanism::ScramSha1, &offered, &Client::new(Hash::Sha1));
    let advertised = "EXTERNAL\x1ePLAIN\x1eSCRAM-SHA-1\x1eSCRAM-SHA-256\x1eSCRAM-SHA-512";
    assert_eq!(attribute(&message, "h="), hash_of(Hash::Sha1, advertised));
}

#[test]
fn b9_fast_mechanisms_are_neither_advertised_in_the_list_nor_hashed() {
    let fast = ["HT-SHA-256-EXPR", "HT-SHA-256-NONE"];
    let offered = everything().with_others(fast);
    assert!(!offered.mechanism_names().any(|name| name.starts_with("HT-")));
    let client = Client::new(Hash::Sha1);
    assert_eq!(
        attribute(&server_first(Mechanism::ScramSha1, &offered, &client), "h="),
        attribute(&server_first(Mechanism::ScramSha1, &everything(), &client), "h=")
    );
}

#[test]
fn b9_t_is_the_tls_version_of_the_connection() {
    for (tls, expected) in [(TlsVersion::V1_2, "0303"), (TlsVersion::V1_3, "0304")] {
        let offered = Offered::new(domain(), &Mechanism::ALL, bindings(), Some(tls));
        let message = server_first(Mechanism::ScramSha1, &offered, &Client::new(Hash::Sha1));
        assert_eq!(attribute(&message, "t="), expected);
    }
    let no_tls = Offered::new(domain(), &Mechanism::ALL, vec![], None);
    let message = server_first(Mechanism::ScramSha1, &no_tls, &Client::new(Hash::Sha1));
    assert!(!message.contains(",t="), "{message}");
}

#[test]
fn b9_a_client_that_was_shown_something_else_does_not_get_in() {
    // The man in the middle corrects `h` for the client; the client signs what it saw.
    for (name, forged) in [("h=", "forged"), ("t=", "0303"), ("i=", "4097")] {
        let client = Client::new(Hash::Sha256);
        let step = start(Mechanism::ScramSha256, &everything(), &client.first());
        let (sent, exchange) = challenged(found(step));
        let seen = sent.replace(attribute(&sent, name), forged);
        assert_ne!(seen, sent);
        let step = exchange.respond(client.last(&seen).as_bytes());
        assert_eq!(refused(step), SaslError::NotAuthorized, "{name}");
    }
}

#[test]
fn b9_the_attributes_can_be_left_out() {
    let offered = everything().without_downgrade_protection();
    let message = server_first(Mechanism::ScramSha1, &offered, &Client::new(Hash::Sha1));
    assert_eq!(message.split(',').count(), 3, "{message}");
}

#[test]
fn b9_xep0440_list_is_what_works() {
    let offered = everything();
    let types: Vec<_> = offered.binding_types().collect();
    assert_eq!(types, ["tls-exporter", "tls-server-end-point"]);
    for (name, data) in types.into_iter().zip([EXPORTER, END_POINT]) {
        let client = Client::binding(Hash::Sha1, name, data);
        let step = client.run(Mechanism::ScramSha1Plus, &offered);
        assert_eq!(succeeded(step).0, "alice@house.example", "{name}");
    }
}

#[test]
fn b9_xep0440_rule_5_no_binding_types_without_a_mechanism_that_binds() {
    let mechanisms = [Mechanism::ScramSha1, Mechanism::Plain];
    let offered = Offered::new(domain(), &mechanisms, bindings(), Some(TlsVersion::V1_3));
    assert_eq!(offered.binding_types().count(), 0);
    // And then `y` is the truth.
    let client = Client { gs2_header: "y,,".into(), ..Client::new(Hash::Sha1) };
    succeeded(client.run(Mechanism::ScramSha1, &offered));
}
