//! The house connects to another server.

use std::collections::HashSet;

use super::fake::{Fake, Names, listen, name_server, showing};
use super::*;

impl Siege {
    /// From juliet to mercutio of theirs.
    fn says(&mut self, body: &str) {
        self.juliet.send(&format!("<message to='mercutio@{THEM}' type='chat' id='{body}'><body>{body}</body></message>"));
    }

    #[track_caller]
    fn is_bounced(&mut self, id: &str, condition: &str) {
        let back = self.juliet.expect(&format!("id='{id}'"));
        assert!(back.contains("type='error'") && back.contains(&format!("<{condition} ")), "{back}");
    }
}

#[test]
fn e3_who_cannot_prove_who_they_are_hear_nothing() {
    let mut siege = Siege::new();
    let listener = listen(siege.there);
    for (n, (which, shown)) in useless(&siege.authority).into_iter().enumerate() {
        let secret = format!("secret-{n}");
        siege.says(&secret);
        let mut fake = Fake::accept(&listener);
        fake.secure(showing(&shown));
        // Whatever is offered, and whatever is said next.
        fake.say("<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism></mechanisms></stream:features>");
        let heard = fake.rest();
        assert_eq!(heard, "</stream:stream>", "{which}");
        drop(fake);
        siege.is_bounced(&secret, "remote-server-timeout");
    }
    siege.canary();
}

#[test]
fn b2_who_offers_no_tls_hears_nothing() {
    let mut siege = Siege::with("certificate_required = false");
    let listener = listen(siege.there);
    for (n, features) in [
        "<stream:features/>",
        "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism></mechanisms></stream:features>",
        "<stream:features><dialback xmlns='urn:xmpp:features:dialback'/></stream:features>",
    ]
    .into_iter()
    .enumerate()
    {
        let secret = format!("secret-{n}");
        siege.says(&secret);
        let mut fake = Fake::accept(&listener);
        fake.header("1");
        fake.say(features);
        assert_eq!(fake.rest(), "</stream:stream>");
        drop(fake);
        siege.is_bounced(&secret, "remote-server-timeout");
    }
    siege.canary();
}

/// Somebody on the way says in the clear what only the server may say.
#[test]
fn b1_what_stands_in_the_clear_behind_proceed_is_never_heard() {
    let mut siege = Siege::with("certificate_required = false");
    let listener = listen(siege.there);
    siege.says("hello");
    let mut fake = Fake::accept(&listener);
    fake.header("1");
    fake.say("<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>");
    fake.until("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    fake.say(&format!(
        "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><stream:stream id='9' from='{THEM}' version='1.0' xmlns='jabber:server' \
         xmlns:db='jabber:server:dialback' xmlns:stream='http://etherx.jabber.org/streams'><stream:features/>\
         <db:result from='{THEM}' to='{US}' type='valid'/>"
    ));
    fake.shake_hands(showing(&siege.shown(&[THEM])));
    fake.header("2");
    fake.say("<stream:features/>");
    // The key is of the stream in TLS, and nothing is open yet.
    let heard = fake.until("</db:result>");
    assert!(!heard.contains("hello"), "{heard}");
    fake.say(&format!("<db:result from='{THEM}' to='{US}' type='valid'/>"));
    fake.until("<body>hello</body></message>");
    siege.canary();
}

/// XEP-0178 3: first the certificate, then a key; XEP-0220: an answer about somebody else is none.
#[test]
fn e2_the_house_is_believed_by_a_certificate_or_by_a_key() {
    let mut siege = Siege::new();
    let listener = listen(siege.there);
    siege.says("hello");
    let mut fake = Fake::accept(&listener);
    fake.secure(showing(&siege.shown(&[THEM])));
    fake.say(
        "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism></mechanisms>\
         <dialback xmlns='urn:xmpp:features:dialback'/></stream:features>",
    );
    let heard = fake.until("</auth>");
    // capulet.test
    assert!(heard.contains(">Y2FwdWxldC50ZXN0<"), "{heard}");
    fake.say("<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>");
    let shown = fake.until("</db:result>");
    fake.say(&format!(
        "<db:result from='{OTHERS}' to='{US}' type='valid'/><db:result from='{THEM}' to='{OTHERS}' type='valid'/>"
    ));
    fake.say(&format!("<db:verify from='{THEM}' to='{US}' id='2' type='valid'/>"));
    // The house knows its key, for this stream and this pair.
    let key =
        shown.rsplit_once("</").and_then(|(rest, _)| rest.rsplit_once('>')).map(|(_, key)| key).expect("a key").to_owned();
    let mut asker = siege.opened(&siege.shown(&[THEM]));
    for (from, id, answer) in [(THEM, "2", "valid"), (THEM, "1", "invalid"), (OTHERS, "2", "invalid")] {
        asker.send(&format!("<db:verify from='{from}' to='{US}' id='{id}'>{key}</db:verify>"));
        let said = asker.expect("<db:verify");
        assert!(said.contains(&format!("type='{answer}'")), "{from} {id}: {said}");
    }
    fake.say(&format!("<db:result from='{THEM}' to='{US}' type='valid'/>"));
    let heard = fake.until("<body>hello</body></message>");
    assert!(heard.contains(" from='juliet@capulet.test/desk'"), "{heard}");
    siege.canary();
}

/// Nobody whom we have connected to may speak on that stream (RFC 6120 4.2: one way).
#[test]
fn e1_what_they_say_on_a_stream_of_ours_is_not_heard() {
    let mut siege = Siege::new();
    let listener = listen(siege.there);
    siege.says("hello");
    let mut fake = Fake::accept(&listener);
    fake.welcome(showing(&siege.shown(&[THEM])));
    fake.until("<body>hello</body></message>");
    fake.say(&message("back"));
    let heard = fake.rest();
    assert!(heard.contains("<stream:error>"), "{heard}");
    siege.romeo_has_heard_nothing();
    siege.canary();
}

// --- E5, R18: nobody is there -----------------------------------------------------------------------------------------

/// Each to a domain of its own: all come back, and nobody else waits.
fn two_hundred_domains(names: Names, condition: &str) {
    let at = name_server(names);
    let mut siege = Siege::with(&format!("name_server = \"{at}\"\n[limits]\npeer_queue_timeout = \"2s\"\n"));
    let began = Instant::now();
    let all: String = (0..200)
        .map(|n| format!("<message to='x@nowhere-{n}.test' type='chat' id='n{n}'><body>hello</body></message>"))
        .collect();
    siege.juliet.send(&all);
    // Meanwhile romeo, whom the canary needs, and the first bounces are skipped: so it is a question that is asked.
    let answer = siege.romeo.iq("get", Some(US), "<ping xmlns='urn:xmpp:ping'/>");
    assert!(answer.contains("type='result'") && began.elapsed() < Duration::from_secs(2), "{answer} {:?}", began.elapsed());
    let mut missing: HashSet<String> = (0..200).map(|n| format!("n{n}")).collect();
    while !missing.is_empty() {
        let back = siege.juliet.read_stanza();
        assert!(back.contains("type='error'") && back.contains(&format!("<{condition} ")), "{back}");
        assert!(missing.remove(attribute(&back, "id").expect("an id")), "{back}");
    }
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    siege.canary();
}

#[test]
fn e5_two_hundred_domains_that_do_not_exist() {
    two_hundred_domains(Names::None, "remote-server-not-found");
}

#[test]
fn e5_two_hundred_domains_of_which_nobody_knows() {
    two_hundred_domains(Names::Silent, "remote-server-timeout");
}

#[test]
fn e4_addresses_that_are_not_public_are_not_spoken_to() {
    let mut siege = Siege::new();
    let trap = std::net::TcpListener::bind("127.0.0.1:5269").ok();
    for domain in ["127.0.0.1", "[::1]", "169.254.169.254", "localhost", "10.0.0.1"] {
        siege.juliet.send(&format!("<message to='x@{domain}' type='chat' id='{domain}'><body>hello</body></message>"));
        siege.is_bounced(domain, "remote-server-not-found");
    }
    if let Some(trap) = trap {
        trap.set_nonblocking(true).expect("a socket");
        assert!(trap.accept().is_err(), "somebody has come");
    }
    siege.canary();
}

#[test]
fn r18_what_waits_comes_in_its_order_when_they_are_back() {
    let mut siege = Siege::new();
    for n in 0..10 {
        siege.says(&format!("m{n}"));
    }
    siege.canary();
    let listener = listen(siege.there);
    let mut fake = Fake::accept(&listener);
    let config = showing(&siege.shown(&[THEM]));
    fake.welcome(config);
    let mut heard = fake.until("<body>m9</body></message>");
    for n in 0..10 {
        let at =
            heard.find(&format!("<body>m{n}</body>")).unwrap_or_else(|| panic!("m{n} is not, or not in its place, in {heard}"));
        heard.drain(..at);
    }
    siege.canary();
}

#[test]
fn r18_what_waits_too_long_goes_back() {
    let mut siege = Siege::with("[limits]\npeer_queue_timeout = \"1s\"\n");
    for n in 0..3 {
        siege.says(&format!("m{n}"));
    }
    for n in 0..3 {
        siege.is_bounced(&format!("m{n}"), "remote-server-timeout");
    }
    siege.canary();
}

#[test]
fn r18_what_waits_survives_a_crash() {
    let mut siege = Siege::new();
    for n in 0..5 {
        siege.says(&format!("m{n}"));
    }
    siege.juliet.send("<enable xmlns='urn:xmpp:sm:3'/><r xmlns='urn:xmpp:sm:3'/>");
    // On disk is what was handled: a question behind it is answered when it is.
    let answer = siege.juliet.iq("get", Some(US), "<ping xmlns='urn:xmpp:ping'/>");
    assert!(answer.contains("type='result'"), "{answer}");
    siege.says("m5");
    siege.juliet.send("<r xmlns='urn:xmpp:sm:3'/>");
    siege.juliet.expect("h='2'");
    let Siege { house, server, there, authority, .. } = siege;
    server.kill();
    let listener = listen(there);
    let server = house.start();
    let mut fake = Fake::accept(&listener);
    fake.welcome(showing(&authority.issue(&[THEM])));
    let mut heard = fake.until("<body>m5</body></message>");
    for n in 0..6 {
        let at =
            heard.find(&format!("<body>m{n}</body>")).unwrap_or_else(|| panic!("m{n} is not, or not in its place, in {heard}"));
        heard.drain(..at);
    }
    // Once.
    drop(fake);
    let mut server = server;
    server.terminate(PATIENCE);
    let _server = house.start();
    assert!(Fake::try_accept(&listener, Duration::from_millis(300)).is_none(), "it was said already");
}

// --- E6: they are there, and no good ----------------------------------------------------------------------------------

#[test]
fn e6_who_never_reads_costs_so_much_and_no_more() {
    let mut siege = Siege::with("[limits]\noutput_bytes_max = \"1MiB\"\n");
    let listener = listen(siege.there);
    siege.says("hello");
    let mut fake = Fake::accept(&listener);
    fake.welcome(showing(&siege.shown(&[THEM])));
    fake.until("<body>hello</body></message>");
    let body = "x".repeat(200_000);
    let mut said = 0;
    let why = loop {
        siege.juliet.send(&format!("<message to='mercutio@{THEM}' type='chat' id='big{said}'><body>{body}</body></message>"));
        said += 1;
        assert!(said < 200, "for ever");
        if let Ok(back) = siege.juliet.read(Duration::from_millis(5)) {
            break back;
        }
    };
    assert!(why.contains("<resource-constraint ") && why.contains("limits.output_bytes_max"), "{why}");
    siege.canary();
    drop(fake);
    siege.canary();
}

#[test]
fn e6_who_breaks_the_connection_again_and_again() {
    let mut siege = Siege::new();
    let listener = listen(siege.there);
    let config = showing(&siege.shown(&[THEM]));
    // Before TLS and in it; the message waits.
    siege.says("hello");
    for secured in [false, true] {
        let mut fake = Fake::accept(&listener);
        match secured {
            false => drop(fake.header("1")),
            true => fake.secure(config.clone()),
        }
        drop(fake);
        siege.canary();
    }
    let mut fake = Fake::accept(&listener);
    fake.welcome(config);
    fake.until("<body>hello</body></message>");
    siege.canary();
}

/// A server that takes the connection and says nothing, or for ever something that is no answer.
#[test]
fn e6_who_does_not_come_to_the_point() {
    let mut siege = Siege::with("[limits]\nnegotiation_timeout = \"1s\"\npeer_queue_timeout = \"3s\"\n");
    let listener = listen(siege.there);
    siege.says("hello");
    let mut fake = Fake::accept(&listener);
    fake.until("xml:lang='en'>");
    let began = Instant::now();
    assert_eq!(fake.rest(), "");
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    let mut fake = Fake::accept(&listener);
    fake.header("1");
    fake.say(&"<x xmlns='urn:x'/>".repeat(1_000));
    assert!(!fake.rest().contains("hello"));
    siege.is_bounced("hello", "remote-server-timeout");
    siege.canary();
}

/// A, on a stream that we have opened.
#[test]
fn a_attacks_on_xml_end_a_stream_of_ours() {
    let mut siege = Siege::with("[limits]\npeer_queue_timeout = \"60s\"\n");
    let listener = listen(siege.there);
    let config = showing(&siege.shown(&[THEM]));
    siege.says("hello");
    let mut fake = Fake::accept(&listener);
    fake.welcome(config.clone());
    fake.until("<body>hello</body></message>");
    fake.say("<!DOCTYPE x [<!ENTITY a 'b'>]>");
    assert!(fake.rest().contains("<restricted-xml "));
    // Before it is open: there is no stream of it, and another try.
    siege.says("again");
    let mut fake = Fake::accept(&listener);
    fake.secure(config.clone());
    fake.say(&format!("<a xmlns='urn:x'>{}", "<a>".repeat(5_000)));
    assert!(!fake.rest().contains("again"));
    drop(fake);
    siege.canary();
    let mut fake = Fake::accept(&listener);
    fake.welcome(config);
    fake.until("<body>again</body></message>");
    siege.canary();
}
