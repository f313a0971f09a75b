//! XEP-0428: Fallback Indication - what of a text only stands there for those who do not know the rest of the message.
//! Spec 0.2.1, https://xmpp.org/extensions/xep-0428.html. Not done: nothing. A message that has such a text travels and is archived
//! as any other ("Security Considerations": whether a text is one, only its sender says); what is only there as a fallback is not
//! what its sender says in it, so a search for words (XEP-0431) does not find it there.

use iris_core::xml::El;
use iris_core::{Card, Room, Status};

const NS: &str = "urn:xmpp:fallback:0";

pub const ROOM: Room = Room {
    card: Card { xep: Some(428), name: "Fallback Indication", version: "0.2.1", status: Status::Complete, needs: &[313, 431] },
    mount: Room::no_door,
};

/// "May be treated as if they were not present if the processing entity understands what the message is a fallback for": replies
/// (their quote), reactions, retractions, moderation. Of everything else the text is what people read.
const UNDERSTOOD: [&str; 4] =
    ["urn:xmpp:reply:0", "urn:xmpp:reactions:0", crate::xep0424_retraction::NS, "urn:xmpp:message-moderate:1"];

/// Regions of one text that are looked at.
const REGIONS_MAX: usize = 16;

/// From the first character to the one behind the last, in characters (XEP-0426).
type Region = (usize, usize);

/// What a body or a subject of a message says itself.
pub fn own_text(message: &El<'_>, text: &El<'_>) -> String {
    let said = text.text();
    let mut regions: Vec<Region> = message.children().filter(is_understood).flat_map(|it| regions(&it, text.local())).collect();
    if regions.is_empty() {
        return said.into_owned();
    }
    regions.truncate(REGIONS_MAX);
    let is_own = |at: usize| !regions.iter().any(|(start, end)| (*start..*end).contains(&at));
    said.chars().enumerate().filter(|(at, _)| is_own(*at)).map(|(_, c)| c).collect()
}

fn is_understood(child: &El<'_>) -> bool {
    child.is(NS, "fallback") && child.attr("for").is_some_and(|it| UNDERSTOOD.contains(&&*it))
}

/// Of the bodies, or of the subjects: "if the <fallback/> element does not have any childs, it is assumed to apply to every <body/>
/// and <subject/>"; without `start` and `end` to the whole of it.
fn regions(fallback: &El<'_>, of: &str) -> Vec<Region> {
    const WHOLE: Region = (0, usize::MAX);
    let mut named = fallback.children().filter(|it| it.ns() == NS).peekable();
    if named.peek().is_none() {
        return vec![WHOLE];
    }
    // What is no number marks nothing.
    let bound = |it: &El<'_>, name: &str, default: usize| it.attr(name).map_or(Some(default), |text| text.trim().parse().ok());
    let named = named.filter(|it| it.local() == of);
    named.filter_map(|it| Some((bound(&it, "start", WHOLE.0)?, bound(&it, "end", WHOLE.1)?))).take(REGIONS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::own_text;
    use crate::ROOMS;
    use crate::testing::{archived, of_words};
    use iris_core::ns;
    use iris_core::xml::El;
    use iris_engine::testing::House;

    fn own(inside: &str) -> String {
        let message = format!("<message xmlns='jabber:client'>{inside}</message>");
        let message = El::parse(message.as_bytes()).expect("a message");
        let body = message.child(ns::CLIENT, "body").expect("a body");
        own_text(&message, &body)
    }

    #[test]
    fn s2_2_a_region_is_counted_in_characters_and_nothing_named_is_everything() {
        let reply = |inside: &str| format!("<fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'>{inside}</fallback>");
        for (regions, left) in [
            ("<body start='0' end='7'/>", "Great"),
            ("<body/>", ""),
            ("", ""),
            ("<subject/>", "> é&😀 \nGreat"),
            ("<body start='7'/>", "> é&😀 \n"),
            ("<body end='7'/>", "Great"),
            ("<body start='2' end='4'/><body start='5' end='7'/>", "> 😀Great"),
            ("<body start='9' end='3'/>", "> é&😀 \nGreat"),
            ("<body start='-1' end='x'/>", "> é&😀 \nGreat"),
            ("<body start='3' end='99999999999999999999999999'/>", "> é&😀 \nGreat"),
        ] {
            assert_eq!(own(&format!("<body>&gt; é&amp;😀 \nGreat</body>{}", reply(regions))), left, "{regions}");
        }
    }

    #[test]
    fn s2_2_what_nobody_here_understands_is_read_by_everybody() {
        for fallback in ["", "for='urn:example:new:0'"] {
            assert_eq!(own(&format!("<body>here</body><fallback xmlns='urn:xmpp:fallback:0' {fallback}/>")), "here");
        }
        assert_eq!(own("<body>here</body><fallback xmlns='urn:example' for='urn:xmpp:reply:0'/>"), "here");
    }

    #[test]
    fn policy_a_fallback_is_kept_whole_and_found_by_nobody() {
        let mut house = House::with(ROOMS);
        let romeo = house.online("romeo@house/orchard");
        house.user("juliet@house");
        let retract = "<retract xmlns='urn:xmpp:message-retract:1' id='gone'/>\
             <fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:message-retract:1'/><body>a fallback of old clients</body>";
        let reaction = "<reactions xmlns='urn:xmpp:reactions:0' id='x'><reaction>👋</reaction></reactions>\
             <fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reactions:0'><body/></fallback><body>waves at old clients</body>";
        let unknown = "<body>new things for old clients</body><fallback xmlns='urn:xmpp:fallback:0' for='urn:example:0'/>";
        for (id, inside) in [("r", retract), ("w", reaction), ("n", unknown)] {
            house.send(&romeo, &format!("<message to='juliet@house' type='chat' id='{id}'>{inside}</message>"));
        }
        let all = archived(&mut house, &romeo, "");
        assert_eq!(all.len(), 3, "{all:?}");
        assert!(all[0].contains(retract) && all[1].contains(reaction) && all[2].contains(unknown), "{all:?}");
        let found = archived(&mut house, &romeo, &of_words("old clients"));
        assert!(found.len() == 1 && found[0].contains(unknown), "{found:?}");
    }
}
