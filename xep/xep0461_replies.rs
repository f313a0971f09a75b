//! XEP-0461: Message Replies - which message an answer answers.
//! Spec 0.2.1, https://xmpp.org/extensions/xep-0461.html. Not done: nothing that is a server's. Replies travel and are archived as
//! they are; the ids that they name are XEP-0359's, and what they quote for older clients is XEP-0428's.

use iris_core::{Card, Room, Status};

pub const ROOM: Room = Room {
    card: Card { xep: Some(461), name: "Message Replies", version: "0.2.1", status: Status::Complete, needs: &[359, 428] },
    mount: Room::no_door,
};

#[cfg(test)]
mod tests {
    use crate::ROOMS;
    use crate::testing::{archived, of_words};
    use iris_engine::testing::House;

    #[test]
    fn policy_a_reply_is_kept_whole_and_found_by_what_it_says_and_not_by_what_it_quotes() {
        let mut house = House::with(ROOMS);
        let romeo = house.online("romeo@house/orchard");
        house.user("juliet@house");
        let reply = "<body>&gt; Anna wrote:\n&gt; We should bake a cake\nGreat idea!</body>\
             <reply xmlns='urn:xmpp:reply:0' to='anna@house/laptop' id='message-id1'/>\
             <fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'><body start='0' end='38'/></fallback>";
        for (id, inside) in [("1", "<body>We should bake a cake</body>"), ("2", reply)] {
            house.send(&romeo, &format!("<message to='juliet@house' type='chat' id='{id}'>{inside}</message>"));
        }
        assert!(archived(&mut house, &romeo, "")[1].contains(reply));
        let cake = archived(&mut house, &romeo, &of_words("cake"));
        assert!(cake.len() == 1 && cake[0].contains("id='1'"), "{cake:?}");
        let idea = archived(&mut house, &romeo, &of_words("great idea"));
        assert!(idea.len() == 1 && idea[0].contains(reply), "{idea:?}");
    }
}
