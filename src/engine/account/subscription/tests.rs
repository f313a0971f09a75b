//! Every row of RFC 6121 Appendix A, tables 2 to 9, and the pre-approval of 3.4.

use super::*;

const NONE: State = State::NONE;
const NONE_OUT: State = State { ask: true, ..NONE };
const NONE_IN: State = State { pending_in: true, ..NONE };
const NONE_OUT_IN: State = State { ask: true, pending_in: true, ..NONE };
const TO: State = State { to: true, ..NONE };
const TO_IN: State = State { to: true, pending_in: true, ..NONE };
const FROM: State = State { from: true, ..NONE };
const FROM_OUT: State = State { from: true, ask: true, ..NONE };
const BOTH: State = State { to: true, from: true, ..NONE };

const STATES: [State; 9] = [NONE, NONE_OUT, NONE_IN, NONE_OUT_IN, TO, TO_IN, FROM, FROM_OUT, BOTH];
const APPROVABLE: [State; 3] = [NONE, NONE_OUT, TO];
const KINDS: [Kind; 4] = [Kind::Subscribe, Kind::Subscribed, Kind::Unsubscribe, Kind::Unsubscribed];

const fn approved(state: State) -> State {
    State { approved: true, ..state }
}

fn check_outbound(kind: Kind, rows: [(State, bool, State); 9]) {
    for (row, (state, route, next)) in rows.into_iter().enumerate() {
        assert_eq!(state, STATES[row], "row {row}");
        assert_eq!(outbound(kind, state), Outbound { route, next, changed: next != state }, "{kind:?} from {state:?}");
    }
}

fn check_inbound(kind: Kind, rows: [(State, bool, State, Option<Kind>); 9]) {
    for (row, (state, deliver, next, auto_reply)) in rows.into_iter().enumerate() {
        assert_eq!(state, STATES[row], "row {row}");
        let expected = Inbound { deliver, next, auto_reply, changed: next != state };
        assert_eq!(inbound(kind, state), expected, "{kind:?} at {state:?}");
    }
}

#[test]
fn s_a_2_1_outbound_subscribe() {
    check_outbound(
        Kind::Subscribe,
        [
            (NONE, true, NONE_OUT),
            (NONE_OUT, true, NONE_OUT),
            (NONE_IN, true, NONE_OUT_IN),
            (NONE_OUT_IN, true, NONE_OUT_IN),
            (TO, true, TO),
            (TO_IN, true, TO_IN),
            (FROM, true, FROM_OUT),
            (FROM_OUT, true, FROM_OUT),
            (BOTH, true, BOTH),
        ],
    );
}

#[test]
fn s_a_2_2_outbound_unsubscribe() {
    check_outbound(
        Kind::Unsubscribe,
        [
            (NONE, true, NONE),
            (NONE_OUT, true, NONE),
            (NONE_IN, true, NONE_IN),
            (NONE_OUT_IN, true, NONE_IN),
            (TO, true, NONE),
            (TO_IN, true, NONE_IN),
            (FROM, true, FROM),
            (FROM_OUT, true, FROM),
            (BOTH, true, FROM),
        ],
    );
}

#[test]
fn s_a_2_3_outbound_subscribed() {
    check_outbound(
        Kind::Subscribed,
        [
            (NONE, false, approved(NONE)),
            (NONE_OUT, false, approved(NONE_OUT)),
            (NONE_IN, true, FROM),
            (NONE_OUT_IN, true, FROM_OUT),
            (TO, false, approved(TO)),
            (TO_IN, true, BOTH),
            (FROM, false, FROM),
            (FROM_OUT, false, FROM_OUT),
            (BOTH, false, BOTH),
        ],
    );
}

#[test]
fn s_a_2_4_outbound_unsubscribed() {
    check_outbound(
        Kind::Unsubscribed,
        [
            (NONE, false, NONE),
            (NONE_OUT, false, NONE_OUT),
            (NONE_IN, true, NONE),
            (NONE_OUT_IN, true, NONE_OUT),
            (TO, false, TO),
            (TO_IN, true, TO),
            (FROM, true, NONE),
            (FROM_OUT, true, NONE_OUT),
            (BOTH, true, TO),
        ],
    );
}

#[test]
fn s_a_3_1_inbound_subscribe() {
    let answered = Some(Kind::Subscribed);
    check_inbound(
        Kind::Subscribe,
        [
            (NONE, true, NONE_IN, None),
            (NONE_OUT, true, NONE_OUT_IN, None),
            (NONE_IN, false, NONE_IN, None),
            (NONE_OUT_IN, false, NONE_OUT_IN, None),
            (TO, true, TO_IN, None),
            (TO_IN, false, TO_IN, None),
            (FROM, false, FROM, answered),
            (FROM_OUT, false, FROM_OUT, answered),
            (BOTH, false, BOTH, answered),
        ],
    );
}

#[test]
fn s_a_3_2_inbound_unsubscribe() {
    let answered = Some(Kind::Unsubscribed);
    check_inbound(
        Kind::Unsubscribe,
        [
            (NONE, false, NONE, None),
            (NONE_OUT, false, NONE_OUT, None),
            (NONE_IN, true, NONE, answered),
            (NONE_OUT_IN, true, NONE_OUT, answered),
            (TO, false, TO, None),
            (TO_IN, true, TO, answered),
            (FROM, true, NONE, answered),
            (FROM_OUT, true, NONE_OUT, answered),
            (BOTH, true, TO, answered),
        ],
    );
}

#[test]
fn s_a_3_3_inbound_subscribed() {
    check_inbound(
        Kind::Subscribed,
        [
            (NONE, false, NONE, None),
            (NONE_OUT, true, TO, None),
            (NONE_IN, false, NONE_IN, None),
            (NONE_OUT_IN, true, TO_IN, None),
            (TO, false, TO, None),
            (TO_IN, false, TO_IN, None),
            (FROM, false, FROM, None),
            (FROM_OUT, true, BOTH, None),
            (BOTH, false, BOTH, None),
        ],
    );
}

#[test]
fn s_a_3_4_inbound_unsubscribed() {
    check_inbound(
        Kind::Unsubscribed,
        [
            (NONE, false, NONE, None),
            (NONE_OUT, true, NONE, None),
            (NONE_IN, false, NONE_IN, None),
            (NONE_OUT_IN, true, NONE_IN, None),
            (TO, true, NONE, None),
            (TO_IN, true, NONE_IN, None),
            (FROM, false, FROM, None),
            (FROM_OUT, true, FROM, None),
            (BOTH, true, FROM, None),
        ],
    );
}

#[test]
fn s3_4_2_a_pre_approval_is_noted_once_and_never_routed() {
    for state in APPROVABLE {
        let first = outbound(Kind::Subscribed, state);
        assert_eq!(first, Outbound { route: false, next: approved(state), changed: true });
        let again = outbound(Kind::Subscribed, first.next);
        assert_eq!(again, Outbound { route: false, next: approved(state), changed: false });
    }
}

#[test]
fn s3_4_2_a_pre_approved_request_is_answered_and_not_delivered() {
    for (state, next) in [(NONE, FROM), (NONE_OUT, FROM_OUT), (TO, BOTH)] {
        let expected = Inbound { deliver: false, next, auto_reply: Some(Kind::Subscribed), changed: true };
        assert_eq!(inbound(Kind::Subscribe, approved(state)), expected);
    }
}

#[test]
fn s3_2_2_a_pre_approval_is_taken_back_without_a_word_to_the_contact() {
    for state in APPROVABLE {
        let expected = Outbound { route: false, next: state, changed: true };
        assert_eq!(outbound(Kind::Unsubscribed, approved(state)), expected);
    }
}

#[test]
fn s3_4_a_pre_approval_outlives_what_is_not_about_it() {
    for state in APPROVABLE {
        for kind in [Kind::Subscribe, Kind::Unsubscribe] {
            let plain = outbound(kind, state);
            let expected = Outbound { next: approved(plain.next), ..plain };
            assert_eq!(outbound(kind, approved(state)), expected, "{kind:?} from {state:?}");
        }
        for kind in [Kind::Subscribed, Kind::Unsubscribe, Kind::Unsubscribed] {
            let plain = inbound(kind, state);
            let expected = Inbound { next: approved(plain.next), ..plain };
            assert_eq!(inbound(kind, approved(state)), expected, "{kind:?} at {state:?}");
        }
    }
}

#[test]
fn s3_3_3_a_pre_approval_is_used_up_by_the_request_it_was_for() {
    let subscribed = inbound(Kind::Subscribe, approved(NONE)).next;
    let left = inbound(Kind::Unsubscribe, subscribed).next;
    assert_eq!(left, NONE);
    assert!(inbound(Kind::Subscribe, left).deliver, "asks again");
}

#[test]
fn s_a_1_every_stanza_leads_from_a_defined_state_to_a_defined_state() {
    let with_approval = APPROVABLE.into_iter().map(approved);
    let known: Vec<State> = STATES.into_iter().chain(with_approval).collect();
    for flags in 0..32u8 {
        let bit = |n: u8| flags & (1 << n) != 0;
        let raw = State { to: bit(0), from: bit(1), ask: bit(2), pending_in: bit(3), approved: bit(4) };
        assert!(known.contains(&raw.defined()), "{raw:?}");
        assert_eq!(known.contains(&raw), raw.defined() == raw, "{raw:?}");
        for kind in KINDS {
            assert!(known.contains(&outbound(kind, raw).next), "{kind:?} from {raw:?}");
            assert!(known.contains(&inbound(kind, raw).next), "{kind:?} at {raw:?}");
        }
    }
}

#[test]
fn s_a_a_stanza_sent_twice_changes_nothing_the_second_time() {
    for state in STATES.into_iter().chain(APPROVABLE.into_iter().map(approved)) {
        for kind in KINDS {
            let (out, inn) = (outbound(kind, state).next, inbound(kind, state).next);
            // `subscribed` says yes and, said again after a request was answered, stays that.
            assert!(!outbound(kind, out).changed, "{kind:?} from {state:?}");
            assert!(!inbound(kind, inn).changed, "{kind:?} at {state:?}");
        }
    }
}

/// Two honest servers, each with its tables, agree whatever the two people do, however often, in whatever order.
#[test]
fn s_a_both_sides_agree_after_every_sequence_of_five() {
    fn send(kind: Kind, me: &mut State, other: &mut State) {
        let out = outbound(kind, *me);
        *me = out.next;
        if out.route {
            let inn = inbound(kind, *other);
            *other = inn.next;
            if let Some(reply) = inn.auto_reply {
                // A reply on the user's behalf is no outbound stanza: `next` tells already what it says.
                *me = inbound(reply, *me).next;
            }
        }
    }
    for moves in 0..8usize.pow(5) {
        let (mut romeo, mut juliet) = (NONE, NONE);
        for step in (0..5).map(|n| moves / 8usize.pow(n) % 8) {
            let kind = KINDS[step % 4];
            if step < 4 {
                send(kind, &mut romeo, &mut juliet)
            } else {
                send(kind, &mut juliet, &mut romeo)
            }
            assert_eq!((romeo.to, romeo.from), (juliet.from, juliet.to), "moves {moves}: {romeo:?} {juliet:?}");
            assert_eq!((romeo.ask, romeo.pending_in), (juliet.pending_in, juliet.ask), "moves {moves}: {romeo:?} {juliet:?}");
        }
    }
}

#[test]
fn s2_1_2_5_the_value_of_subscription() {
    let values = STATES.map(State::subscription);
    assert_eq!(values, ["none", "none", "none", "none", "to", "to", "from", "from", "both"]);
}
