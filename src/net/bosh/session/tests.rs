//! The machine alone, with a clock of its own.

use super::*;

struct Client {
    it: Session,
    now: Instant,
    next: u64,
}

fn asks(rid: u64) -> Body {
    Body { rid, sid: Some("sid".into()), ..Body::default() }
}

fn first(wait: u64, hold: u64) -> Body {
    Body {
        rid: 1_000,
        to: Some("house".into()),
        ver: Some((1, 6)),
        version: Some("1.0".into()),
        wait_seconds: Some(wait),
        hold: Some(hold),
        ..Body::default()
    }
}

/// What a request was answered with, if it was.
struct Asked(oneshot::Receiver<Answer>);

impl Asked {
    fn answer(&mut self) -> Option<String> {
        self.0.try_recv().ok().map(|answer| String::from_utf8_lossy(&answer.body).into_owned())
    }

    #[track_caller]
    fn answered(mut self) -> String {
        self.answer().expect("an answer")
    }
}

impl Client {
    /// Connected, and its features have come.
    fn new(wait: u64, hold: u64) -> (Client, String) {
        let now = Instant::now();
        let body = first(wait, hold);
        let mut client = Client { it: Session::new("sid".into(), &body, now).expect("a session"), now, next: 1_001 };
        let mut asked = client.send(body);
        assert_eq!(asked.answer(), None, "it waits for the features");
        client.it.push("<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' id='a1' from='house' version='1.0'/>");
        client.it.push("<stream:features xmlns:stream='http://etherx.jabber.org/streams'/>");
        client.it.flush(now);
        assert!(client.pulled().starts_with("<open "));
        (client, asked.answered())
    }

    fn send(&mut self, body: Body) -> Asked {
        let (reply, receiver) = oneshot::channel();
        self.it.request(body, reply, self.now);
        Asked(receiver)
    }

    fn poll(&mut self) -> Asked {
        let rid = self.next;
        self.next += 1;
        self.send(asks(rid))
    }

    fn say(&mut self, xml: &str) -> Asked {
        let rid = self.next;
        self.next += 1;
        self.send(Body { payloads: xml.as_bytes().to_vec(), ..asks(rid) })
    }

    fn pulled(&mut self) -> String {
        let mut bytes = Vec::new();
        while self.it.is_readable() && self.it.pull(&mut bytes, self.now) {}
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn hears(&mut self, xml: &str) {
        self.it.push(xml);
        self.it.flush(self.now);
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.it.on_time(self.now);
    }
}

const LONG: Duration = Duration::from_secs(10);

#[test]
fn s7_2_the_answer_to_a_session_request_grants_no_more_than_was_asked_for() {
    let (_, answer) = Client::new(60, 1);
    for attribute in
        ["sid='sid'", "wait='60'", "hold='1'", "requests='2'", "ver='1.6'", "xmpp:restartlogic='true'", "from='house'"]
    {
        assert!(answer.contains(attribute), "{attribute}: {answer}");
    }
    assert!(answer.contains("<stream:features"), "{answer}");
    let (_, answer) = Client::new(1_000_000_000, 1_000_000_000);
    assert!(answer.contains("wait='60'") && answer.contains("hold='4'") && answer.contains("requests='5'"), "{answer}");
    let mut wrong = first(60, 1);
    wrong.content = Some("text/html\r\nSet-Cookie: a".into());
    assert!(Session::new("s".into(), &wrong, Instant::now()).is_err());
}

#[test]
fn s8_a_request_is_held_until_there_is_something_or_its_time_is_over() {
    let (mut client, _) = Client::new(60, 1);
    let mut held = client.poll();
    assert_eq!(held.answer(), None);
    client.pass(LONG);
    assert_eq!(held.answer(), None);
    client.hears("<message xmlns='jabber:client'/>");
    assert_eq!(held.answered(), "<body xmlns='http://jabber.org/protocol/httpbind'><message xmlns='jabber:client'/></body>");
    let mut held = client.poll();
    client.pass(WAIT_MAX);
    assert_eq!(held.answer().expect("its time is over"), "<body xmlns='http://jabber.org/protocol/httpbind'/>");
}

#[test]
fn s8_a_second_request_frees_the_first_and_payloads_go_on_in_order() {
    let (mut client, _) = Client::new(60, 1);
    let first = client.poll();
    let mut second = client.say("<a xmlns='x'/>");
    assert!(first.answered().ends_with("/>"));
    assert_eq!(second.answer(), None);
    assert_eq!(client.pulled(), "<a xmlns='x'/>");
    // Out of order: the later one waits for its turn.
    let rid = client.next;
    client.next += 2;
    let mut late = client.send(Body { payloads: b"<c xmlns='x'/>".to_vec(), ..asks(rid + 1) });
    assert_eq!((client.pulled().as_str(), late.answer()), ("", None));
    let _early = client.send(Body { payloads: b"<b xmlns='x'/>".to_vec(), ..asks(rid) });
    assert_eq!(client.pulled(), "<b xmlns='x'/><c xmlns='x'/>");
}

#[test]
fn s14_3_an_answer_that_got_lost_is_given_again_and_its_request_is_read_once() {
    let (mut client, _) = Client::new(60, 1);
    let asked = client.say("<a xmlns='x'/>");
    client.hears("<b xmlns='y'/>");
    let answer = asked.answered();
    assert_eq!(client.pulled(), "<a xmlns='x'/>");
    let again = Body { payloads: b"<a xmlns='x'/>".to_vec(), ..asks(client.next - 1) };
    assert_eq!(client.send(again).answered(), answer);
    assert_eq!(client.pulled(), "");
    // While it waits: the newer one waits on, the older one is told so.
    let held = client.poll();
    let mut newer = client.send(asks(client.next - 1));
    assert!(held.answered().contains("type='error'"));
    client.hears("<c xmlns='y'/>");
    assert!(newer.answer().expect("an answer").contains("<c "));
}

#[test]
fn d7_a_request_id_outside_of_the_window_ends_the_session() {
    for rid in [1, 999, 1_000 + 100, u64::MAX >> 11] {
        let (mut client, _) = Client::new(60, 1);
        // The first answers are not kept for ever.
        for _ in 0..4 {
            client.pass(LONG);
            drop(client.poll());
        }
        client.pass(LONG);
        let held = client.poll();
        let answer = client.send(asks(rid)).answered();
        assert!(answer.contains("condition='item-not-found'"), "{rid}: {answer}");
        assert!(held.answered().contains("item-not-found"));
        assert!(client.it.is_done() && client.it.is_readable());
        assert!(!client.it.pull(&mut Vec::new(), client.now));
    }
}

#[test]
fn d7_the_same_request_over_and_over_is_a_policy_violation() {
    let (mut client, _) = Client::new(60, 1);
    drop(client.poll());
    let last = (0..=REPEATS_MAX).map(|_| client.send(asks(client.next - 1))).last();
    assert!(last.expect("a request").answered().contains("policy-violation"));
}

#[test]
fn d7_polling_faster_than_allowed_is_a_policy_violation_and_slower_is_none() {
    let (mut client, _) = Client::new(0, 0);
    for _ in 0..5 {
        client.pass(POLLING);
        assert!(!client.poll().answered().contains("terminate"));
    }
    client.pass(POLLING / 2);
    assert!(client.poll().answered().contains("condition='policy-violation'"));
    // A session that holds: two empty requests at once. One with something in it is fine.
    let (mut client, _) = Client::new(60, 1);
    let _held = client.poll();
    let mut more = client.say("<a xmlns='x'/>");
    assert_eq!(more.answer(), None);
    let (mut client, _) = Client::new(60, 1);
    let _held = client.poll();
    assert!(client.poll().answered().contains("condition='policy-violation'"));
}

#[test]
fn s10_a_pause_is_granted_up_to_its_maximum_and_silence_ends_the_session() {
    let (mut client, _) = Client::new(60, 1);
    let held = client.poll();
    client.next += 1;
    let pause = client.send(Body { pause_seconds: Some(100), ..asks(client.next - 1) });
    assert!(held.answered().ends_with("/>") && pause.answered().ends_with("/>"));
    client.hears("<m xmlns='jabber:client'/>");
    client.pass(Duration::from_secs(99));
    assert!(!client.it.is_done());
    assert!(client.poll().answered().contains("<m "));
    client.pass(INACTIVITY);
    assert!(client.it.is_done() && !client.it.pull(&mut Vec::new(), client.now));
    let (mut client, _) = Client::new(60, 1);
    let answer = client.send(Body { pause_seconds: Some(1_000_000_000), ..asks(1_001) });
    assert!(answer.answered().contains("condition='policy-violation'"));
}

#[test]
fn s9_acknowledgements_say_what_came_without_a_hole_and_free_what_was_kept() {
    let mut body = first(60, 1);
    body.ack = Some(1);
    let now = Instant::now();
    let mut client = Client { it: Session::new("sid".into(), &body, now).expect("a session"), now, next: 1_001 };
    let created = client.send(body);
    client.hears("<stream:features xmlns:stream='http://etherx.jabber.org/streams'/>");
    assert!(created.answered().contains("ack='1000'"));
    let first = client.poll();
    let _second = client.say("<a xmlns='x'/>");
    assert!(first.answered().contains("ack='1002'"));
    client.next += 1;
    let _third = client.send(Body { ack: Some(1_001), payloads: b"<b xmlns='x'/>".to_vec(), ..asks(1_003) });
    assert!(client.send(asks(1_001)).answered().contains("item-not-found"));
}

#[test]
fn s13_the_client_ends_it_with_a_last_word_and_a_stream_error_ends_it_from_here() {
    let (mut client, _) = Client::new(60, 1);
    let held = client.poll();
    client.next += 1;
    let end = client.send(Body { terminate: true, payloads: b"<presence xmlns='jabber:client'/>".to_vec(), ..asks(1_002) });
    assert!(held.answered().contains("type='terminate'"));
    assert!(!end.answered().contains("terminate"));
    assert_eq!(client.pulled(), "<presence xmlns='jabber:client'/><close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>");
    assert!(client.poll().answered().contains("item-not-found"));

    let (mut client, _) = Client::new(60, 1);
    let held = client.poll();
    client.it.push("<message xmlns='jabber:client'/>");
    client.it.push("<stream:error xmlns:stream='http://etherx.jabber.org/streams'/>");
    client.it.push("<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>");
    client.it.flush(client.now);
    let last = held.answered();
    assert!(last.contains("type='terminate' condition='remote-stream-error'"), "{last}");
    assert!(last.contains("<message xmlns='jabber:client'/><stream:error"), "{last}");
    assert!(client.poll().answered().contains("item-not-found"));
}

#[test]
fn what_the_stream_does_not_read_stays_with_the_client() {
    let (mut client, _) = Client::new(60, 1);
    let large = format!("<a xmlns='x'>{}</a>", "b".repeat(INBOX_BYTES_MAX));
    let first = client.say(&large);
    let mut second = client.say("<c xmlns='x'/>");
    assert_eq!(second.answer(), None);
    // It has not been read, so it has not freed the first.
    let mut first = first;
    assert_eq!(first.answer(), None);
    assert_eq!(client.pulled(), format!("{large}<c xmlns='x'/>"));
    assert!(first.answer().is_some());
}

#[test]
fn xep0206_s4_a_client_that_says_no_version_speaks_the_one_there_is() {
    let now = Instant::now();
    let body = Body { version: None, ..first(60, 1) };
    let mut it = Session::new("sid".into(), &body, now).expect("a session");
    let mut pulled = Vec::new();
    it.pull(&mut pulled, now);
    assert!(String::from_utf8_lossy(&pulled).contains(" version='1.0'"), "{}", String::from_utf8_lossy(&pulled));
}

/// K(1) to K(n) of XEP-0124 15.2, K(n) last.
fn sequence(seed: &str, n: usize) -> Vec<String> {
    use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY as SHA1, digest};
    let hex = |text: &str| iris_core::hex::write(digest(&SHA1, text.as_bytes()).as_ref());
    std::iter::successors(Some(hex(seed)), |key| Some(hex(key))).take(n).collect()
}

/// A session that began with a sequence of keys, and what is left of it.
fn keyed(n: usize) -> (Client, Vec<String>) {
    let mut keys = sequence("seed", n);
    let (now, mut body) = (Instant::now(), first(60, 1));
    body.new_key = keys.pop();
    let mut client = Client { it: Session::new("sid".into(), &body, now).expect("a session"), now, next: 1_001 };
    let asked = client.send(body);
    client.hears("<stream:features xmlns:stream='http://etherx.jabber.org/streams'/>");
    asked.answered();
    client.pulled();
    (client, keys)
}

impl Client {
    fn shows(&mut self, key: Option<&str>, new_key: Option<&str>, xml: &str) -> Asked {
        let rid = self.next;
        self.next += 1;
        let text = |key: Option<&str>| key.map(str::to_owned);
        self.send(Body { key: text(key), new_key: text(new_key), payloads: xml.as_bytes().to_vec(), ..asks(rid) })
    }
}

const KEYS_WRONG: &str = "<body xmlns='http://jabber.org/protocol/httpbind' type='terminate' condition='item-not-found'/>";

#[test]
fn s15_4_a_session_with_keys_hears_whoever_has_the_next_one() {
    let (mut client, mut keys) = keyed(3);
    let held = client.shows(keys.pop().as_deref(), None, "<a/>");
    assert_eq!(client.pulled(), "<a/>");
    // 15.5: the last key brings the first one of another sequence; case does not matter where keys are compared.
    let mut others = sequence("another seed", 2);
    let first = others.pop().expect("K(n)").to_uppercase();
    let _second = client.shows(keys.pop().as_deref(), Some(&first), "<b/>");
    assert_eq!(client.pulled(), "<b/>");
    held.answered();
    let _third = client.shows(others.pop().as_deref(), None, "<c/>");
    assert_eq!(client.pulled(), "<c/>");
    assert!(!client.it.is_done());
}

#[test]
fn d7_s15_4_a_wrong_key_or_none_ends_the_session_and_what_it_brings_is_not_heard() {
    for wrong in [None, Some("ca393b51b682f61f98e7877d61146407f3d0a770"), Some(""), Some("the one that was shown")] {
        let (mut client, mut keys) = keyed(4);
        let good = keys.pop();
        let mut held = client.shows(good.as_deref(), None, "<a/>");
        client.pulled();
        let wrong = if wrong == Some("the one that was shown") { good.as_deref() } else { wrong };
        assert_eq!(client.shows(wrong, None, "<evil/>").answered(), KEYS_WRONG);
        assert_eq!(held.answer().as_deref(), Some(KEYS_WRONG), "whoever waits hears it too");
        assert!(client.it.is_done() && client.pulled().is_empty());
    }
}

#[test]
fn d7_s14_3_who_asks_again_shows_the_same_key_again() {
    for (again_with, works) in [(true, true), (false, false)] {
        let (mut client, mut keys) = keyed(4);
        let key = keys.pop();
        let asked = client.shows(key.as_deref(), None, "<a/>");
        client.hears("<b/>");
        let answer = asked.answered();
        client.next -= 1;
        let again = client.shows(key.as_deref().filter(|_| again_with), None, "<a/>").answered();
        assert_eq!((again == answer, again == KEYS_WRONG), (works, !works), "{again}");
    }
}

#[test]
fn s15_not_applicable_to_a_session_that_began_without_keys() {
    let (mut client, _) = Client::new(60, 1);
    let _held = client.shows(Some("whatever"), Some("ca393b51b682f61f98e7877d61146407f3d0a770"), "<a/>");
    let _next = client.shows(None, None, "<b/>");
    assert_eq!(client.pulled(), "<a/><b/>");
}
