//! What the directory knows of somebody: four short texts of the vCard.

use iris_core::xml::El;

/// Names of section 2.1 and labels; the order of an entry's texts.
pub(super) const FIELDS: [(&str, &str); 4] =
    [("first", "Given Name"), ("last", "Family Name"), ("nick", "Nickname"), ("email", "Email")];

/// Of each text.
const TEXT_SIZE_BYTES_MAX: usize = 128;

const VCARD: &str = "vcard-temp";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    texts: [Box<str>; 4],
    /// The same in small letters, and the full name behind: what is looked through.
    small: [Box<str>; 4],
}

impl Entry {
    fn new(texts: [String; 4]) -> Entry {
        let texts: [Box<str>; 4] = texts.map(|text| {
            let one_line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            Box::from(one_line[..one_line.floor_char_boundary(TEXT_SIZE_BYTES_MAX)].trim())
        });
        let small = texts.clone().map(|text| Box::from(text.to_lowercase()));
        Entry { texts, small }
    }

    /// A card without `N` has at least a full name: then that is what one is found by.
    pub fn of_card(card: &El<'_>) -> Entry {
        let text = |parent: &El<'_>, name: &str| parent.child(VCARD, name).map(|it| it.text().into_owned()).unwrap_or_default();
        let n = card.child(VCARD, "N");
        let part = |name: &str| n.as_ref().map(|n| text(n, name)).unwrap_or_default();
        let (mut first, last) = (part("GIVEN"), part("FAMILY"));
        if first.trim().is_empty() && last.trim().is_empty() {
            first = text(card, "FN");
        }
        let email =
            card.children().find(|child| child.is(VCARD, "EMAIL")).map(|email| text(&email, "USERID")).unwrap_or_default();
        Entry::new([first, last, text(card, "NICKNAME"), email])
    }

    pub fn is_empty(&self) -> bool {
        self.texts.iter().all(|text| text.is_empty())
    }

    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(|text| &**text)
    }

    /// Every term that is not empty is a part of its field. In small letters.
    pub fn matches(&self, wanted: &[String; 4]) -> bool {
        self.small.iter().zip(wanted).all(|(text, term)| term.is_empty() || text.contains(term.as_str()))
    }

    /// One text a line.
    pub fn encode(&self) -> String {
        self.texts.join("\n")
    }

    pub fn decode(bytes: &[u8]) -> Option<Entry> {
        let lines: Vec<String> = std::str::from_utf8(bytes).ok()?.split('\n').map(str::to_owned).collect();
        Some(Entry::new(lines.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_made_of_a_card_and_round_trips() {
        let card = "<vCard xmlns='vcard-temp'><FN>J</FN><N><FAMILY>Capulet</FAMILY><GIVEN>Juliet\n</GIVEN></N><NICKNAME>JuliC</NICKNAME>\
                    <EMAIL><INTERNET/><USERID>j@x</USERID></EMAIL></vCard>";
        let entry = Entry::of_card(&El::parse(card.as_bytes()).expect("a card"));
        assert_eq!(entry.texts().collect::<Vec<_>>(), ["Juliet", "Capulet", "JuliC", "j@x"]);
        assert_eq!(Entry::decode(entry.encode().as_bytes()), Some(entry));
        assert_eq!(Entry::decode(b"one\ntwo"), None);
        let full = El::parse(b"<vCard xmlns='vcard-temp'><FN>Juliet Capulet</FN></vCard>").expect("a card").clone();
        assert_eq!(Entry::of_card(&full).texts().next(), Some("Juliet Capulet"));
        assert!(Entry::of_card(&El::parse(b"<vCard xmlns='vcard-temp'/>").expect("a card")).is_empty());
    }
}
