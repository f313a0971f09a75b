//! The clients of an account, as they come in: what they say of themselves (XEP-0388 2.4), what proved who they are, and the
//! tokens they are given (XEP-0484).

use std::sync::Arc;

use crate::ns;
use crate::xml::El;

/// Which client it is, as it says itself: `<user-agent/>`. Shown to nobody but the account's owner.
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

/// How a client has shown that it may come in; bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ways(pub u8);

impl Ways {
    pub const PASSWORD: Ways = Ways(1);
    pub const TOKEN: Ways = Ways(2);
    pub const CERTIFICATE: Ways = Ways(4);

    pub fn has(self, way: Ways) -> bool {
        self.0 & way.0 != 0
    }

    pub fn add(&mut self, way: Ways) {
        self.0 |= way.0;
    }
}

/// A token as it lies at rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The mechanism it was issued for, and the only one it opens (`HtMechanism::number`).
    pub mechanism: u8,
    /// Random; names the mask.
    pub mask: [u8; 16],
    /// SHA-256 of the token under its mask.
    pub sealed: [u8; 32],
    /// Microseconds since 1970; set when it is issued.
    pub issued_us: u64,
    pub expires_us: u64,
    /// The highest `count` it was used with.
    pub count: Option<u32>,
}

/// Somebody has proved to be this account; what is to be remembered of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    pub agent: UserAgent,
    /// The login that was proved (`Login::since_us`). `None`: nobody who came by a stream.
    pub login_us: Option<u64>,
    pub way: Ways,
    /// The token that proved it, and how the client wants it treated.
    pub used: Option<Used>,
    /// A token that may be issued. `asked`: the client wants one; otherwise only when the one it used is due for rotation.
    pub token: Option<Token>,
    pub asked: bool,
    /// 96 random bits as text, for a client that is not known yet.
    pub id: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Used {
    pub mask: [u8; 16],
    pub count: Option<u32>,
    pub invalidate: bool,
}

/// What became of an [`Admission`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// The client's id.
    pub client: Arc<str>,
    /// The token was issued, until then (microseconds since 1970).
    pub token_until_us: Option<u64>,
}

/// Why a token that fits opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenRefused {
    /// XEP-0484 4.2.
    Expired,
    /// It is gone, or its `count` was there before.
    Unknown,
}

/// A client that has access to an account (XEP-0494).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAccess {
    /// For its owner only.
    pub id: String,
    /// It has a session, attached or to be resumed.
    pub connected: bool,
    /// Those of its sessions.
    pub resources: Vec<String>,
    /// Microseconds since 1970.
    pub first_seen_us: u64,
    pub last_seen_us: u64,
    /// It has shown the password.
    pub password: bool,
    /// It has a token (XEP-0484) that opens.
    pub token: bool,
    /// It has shown a certificate.
    pub certificate: bool,
    pub software: Option<String>,
    pub device: Option<String>,
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
