//! Which client it is, as it says itself: XEP-0388 2.4, `<user-agent/>`. Shown to nobody but the account's owner.

use iris_core::ns;
use iris_core::xml::El;

/// A description of a client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserAgent {
    /// The installation; the same at every login.
    pub id: Option<u128>,
    pub software: Option<Box<str>>,
    pub device: Option<Box<str>>,
}

/// Longer descriptions are cut.
const TEXT_SIZE_BYTES_MAX: usize = 128;

impl UserAgent {
    /// `None`: its id is no UUID v4 (RFC 9562 5.4), and it MUST be one.
    pub fn read(el: &El<'_>) -> Option<UserAgent> {
        let id = match el.attr("id") {
            Some(id) => Some(uuid_v4(&id)?),
            None => None,
        };
        let text = |name| el.child(ns::SASL2, name).and_then(|child| described(&child.text()));
        Some(UserAgent { id, software: text("software"), device: text("device") })
    }
}

fn described(text: &str) -> Option<Box<str>> {
    let text = text.trim();
    let mut end = text.len().min(TEXT_SIZE_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).filter(|text| !text.is_empty()).map(Into::into)
}

fn uuid_v4(text: &str) -> Option<u128> {
    let hyphens_stand_right = text.len() == 36
        && text.bytes().enumerate().all(
            |(at, byte)| {
                if matches!(at, 8 | 13 | 18 | 23) { byte == b'-' } else { byte.is_ascii_hexdigit() }
            },
        );
    if !hyphens_stand_right {
        return None;
    }
    let id = u128::from_str_radix(&text.replace('-', ""), 16).ok()?;
    let (version, variant) = (id >> 76 & 0xf, id >> 62 & 0b11);
    (version == 4 && variant == 0b10).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xep0388_2_4_the_id_is_a_uuid_v4_and_nothing_else() {
        let id = uuid_v4("d4565fa7-4d72-4749-b3d3-740edbf87770");
        assert_eq!(id, Some(0xd4565fa7_4d72_4749_b3d3_740edbf87770));
        assert_eq!(uuid_v4("D4565FA7-4D72-4749-B3D3-740EDBF87770"), id);
        for bad in [
            "",
            "d4565fa7",
            "d4565fa74d724749b3d3740edbf87770",
            "d4565fa7-4d72-1749-b3d3-740edbf87770",
            "d4565fa7-4d72-4749-73d3-740edbf87770",
            "d4565fa7-4d72-4749-b3d3-740edbf8777",
            "d4565fa7-4d72-4749-b3d3-740edbf877700",
            "{4565fa7-4d72-4749-b3d3-740edbf87770}",
            "d4565fa7+4d72-4749-b3d3-740edbf87770",
            "é4565fa7-4d72-4749-b3d3-740edbf8777",
        ] {
            assert_eq!(uuid_v4(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_long_description_is_cut_between_characters_and_an_empty_one_is_none() {
        let long = "é".repeat(TEXT_SIZE_BYTES_MAX);
        let cut = described(&long).expect("a text");
        assert_eq!(cut.len(), TEXT_SIZE_BYTES_MAX);
        assert_eq!(described(&format!("a{long}")).expect("a text").len(), TEXT_SIZE_BYTES_MAX - 1);
        assert_eq!(described(" \n "), None);
    }
}
