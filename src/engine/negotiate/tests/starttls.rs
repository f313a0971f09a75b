//! STARTTLS: RFC 6120 5, security B1 to B3.

use super::*;

#[test]
fn s5_4_2_starttls_proceeds_and_a_new_header_is_due() {
    let mut client = Client::new(Transport::StartTls);
    client.header(&header(A));
    client.heard.clear();
    let actions = client.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    assert!(matches!(actions[..], [Action::StartTls]), "{actions:?}");
    assert_eq!(client.heard, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    client.it.secured(tls());
    client.heard.clear();
    client.header(&header(A));
    client.heard("<mechanism>SCRAM-SHA-256-PLUS</mechanism>");
}

#[test]
fn b3_a_second_starttls_fails_and_closes_as_does_one_where_none_was_offered() {
    for mut client in [Client::open(), Client::new(Transport::Plain)] {
        if client.heard.is_empty() {
            client.header(&header(A));
        }
        client.heard.clear();
        let actions = client.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
        closes(&actions);
        assert_eq!(client.heard, "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>");
    }
}

#[test]
fn b2_sasl_without_tls_is_refused_and_nobody_is_asked() {
    let mut client = Client::new(Transport::StartTls);
    client.header(&header(A));
    let actions = client.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGFsaWNlAHNlY3JldA==</auth>");
    assert!(actions.is_empty(), "{actions:?}");
    client.heard("<encryption-required/>");
}

#[test]
fn b2_anything_else_without_tls_ends_the_stream() {
    for xml in [
        "<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
        "<iq type='set' id='1'><query xmlns='jabber:iq:register'/></iq>",
        "<message to='bob@a.test'><body>x</body></message>",
        "<presence/>",
        "<compress xmlns='http://jabber.org/protocol/compress'><method>zlib</method></compress>",
        "<resume xmlns='urn:xmpp:sm:3' previd='x' h='0'/>",
        "<unknown xmlns='urn:x'/>",
    ] {
        for transport in [Transport::StartTls, Transport::Plain] {
            let mut client = Client::new(transport);
            client.header(&header(A));
            closes(&client.send(xml));
            client.heard("<stream:error><not-authorized ");
        }
    }
}
