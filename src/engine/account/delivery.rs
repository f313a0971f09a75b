//! RFC 6121 8.5: where a message goes, as a pure table.
//!
//! ```text
//!                                        normal   chat     groupchat  headline  error
//! bare JID, somebody non-negative        all      all      bounce     all       drop
//! bare JID, nobody non-negative          offline  offline  bounce     drop      drop
//! full JID, that session                 it       it       it         it        it
//! full JID, no such session              bounce   as bare  bounce     drop      drop
//! ```
//! "all" are the available sessions whose priority is not negative. RFC 6121 8.5.2.1.1 lets a server choose between the most
//! available and all of them: all, because XEP-0280 and people with several devices expect it.

use iris_core::StanzaType;

/// How the message was addressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressed<T> {
    Bare,
    /// To a full JID whose session is bound.
    Full(T),
    /// To a full JID that no session has.
    Gone,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery<T> {
    /// To exactly this session.
    One(T),
    /// To every available session of non-negative priority.
    All,
    /// Nobody awake takes it: keep it (`Step::Unseen`).
    Offline,
    /// Silently ignored.
    Drop,
    /// `service-unavailable` to the sender.
    Bounce,
}

/// `listening`: some session is available with a priority that is not negative.
pub fn deliver<T>(kind: StanzaType, addressed: Addressed<T>, listening: bool) -> Delivery<T> {
    use StanzaType::{Chat, Error, Groupchat, Headline};
    match (addressed, kind) {
        // 8.5.3.1: the session it was meant for gets anything.
        (Addressed::Full(session), _) => Delivery::One(session),
        // 8.5.2.1.1, 8.5.2.2.1, 8.5.3.2.1: an error is never answered and never kept.
        (_, Error) => Delivery::Drop,
        (Addressed::Bare, Groupchat) => Delivery::Bounce,
        (Addressed::Bare, Headline) => {
            if listening {
                Delivery::All
            } else {
                Delivery::Drop
            }
        }
        // 8.5.3.2.1: a chat message to a session that is gone is treated as if it were to the bare JID.
        (Addressed::Bare, _) | (Addressed::Gone, Chat) => {
            if listening {
                Delivery::All
            } else {
                Delivery::Offline
            }
        }
        (Addressed::Gone, Headline) => Delivery::Drop,
        (Addressed::Gone, _) => Delivery::Bounce,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use StanzaType::{Chat, Error, Groupchat, Headline, Normal};

    #[test]
    fn s8_5_2_1_1_to_the_bare_jid_with_available_resources() {
        for kind in [Normal, Chat, Headline] {
            assert_eq!(deliver::<u8>(kind, Addressed::Bare, true), Delivery::All, "{kind:?}");
        }
        assert_eq!(deliver::<u8>(Groupchat, Addressed::Bare, true), Delivery::Bounce);
        assert_eq!(deliver::<u8>(Error, Addressed::Bare, true), Delivery::Drop);
    }

    #[test]
    fn s8_5_2_2_1_to_the_bare_jid_without_available_resources() {
        for kind in [Normal, Chat] {
            assert_eq!(deliver::<u8>(kind, Addressed::Bare, false), Delivery::Offline, "{kind:?}");
        }
        assert_eq!(deliver::<u8>(Groupchat, Addressed::Bare, false), Delivery::Bounce);
        for kind in [Headline, Error] {
            assert_eq!(deliver::<u8>(kind, Addressed::Bare, false), Delivery::Drop, "{kind:?}");
        }
    }

    #[test]
    fn s8_5_3_1_a_full_jid_that_matches_gets_everything() {
        for kind in [Normal, Chat, Groupchat, Headline, Error] {
            for listening in [false, true] {
                assert_eq!(deliver(kind, Addressed::Full(7), listening), Delivery::One(7), "{kind:?}");
            }
        }
    }

    #[test]
    fn s8_5_3_2_1_a_full_jid_that_matches_nobody() {
        for listening in [false, true] {
            for kind in [Normal, Groupchat] {
                assert_eq!(deliver::<u8>(kind, Addressed::Gone, listening), Delivery::Bounce, "{kind:?}");
            }
            for kind in [Headline, Error] {
                assert_eq!(deliver::<u8>(kind, Addressed::Gone, listening), Delivery::Drop, "{kind:?}");
            }
        }
        assert_eq!(deliver::<u8>(Chat, Addressed::Gone, true), Delivery::All);
        assert_eq!(deliver::<u8>(Chat, Addressed::Gone, false), Delivery::Offline);
    }
}
