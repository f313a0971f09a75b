//! XEP-0472: Pubsub Social Feed - channels of posts that people read.
//! Spec 0.2.1, https://xmpp.org/extensions/xep-0472.html. The server's part: the options of nodes of these types (5: feed, gallery, the
//! microblog of XEP-0277, the stories of XEP-0501), what a post is (4.2), where it is (4.3: the `xmpp:` link that is inserted into a post
//! without one; a page on the web there is none), a text beside notifications (4.6.2). Replies (4.4), repeated posts (4.5) and places
//! (4.6.3) are what clients write into them. One item that is no post is let in: the picture of the node, which Movim keeps in it as an item
//! `urn:xmpp:avatar:metadata` (or `:data`) with the payload of XEP-0084. Nodes of accounts have the same rules when they have the type
//! (`xep0060_pubsub/social.rs`).

use iris_core::{At, Card, Room, Status};

use crate::xep0060_pubsub::social;

pub const ROOM: Room = Room {
    card: Card { xep: Some(472), name: "Pubsub Social Feed", version: "0.2.1", status: Status::Complete, needs: &[60] },
    // Section 3: nodes of accounts may be feeds; the channels say so for themselves.
    mount: |m| {
        [social::FEED, social::GALLERY].into_iter().for_each(|feature| m.feature(At::Account, feature));
        Ok(())
    },
};
