//! What cannot be made outside: the address of a file, and the tokens that say who may put one there (section 10.1: "Headers may be
//! signed so that receiving HTTP entities can verify these haven't been tempered with by clients").
//!
//! A token carries what it allows, signed with HMAC-SHA-256 (RFC 2104) under the secret of the data; nothing is stored for it, and a
//! restart does not end it. It is bound to the account's login as well: after a change of the password, or when the account is
//! disabled, it is worth nothing.
//!
//! The address of a file is 16 random bytes, and the number of its owner under a mask that only the house can make of those: so the
//! file is looked up on its owner's shelf, and nobody sees which files are of the same owner.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use iris_core::BareJid;
use iris_core::blobs::BlobId;
use iris_core::store::OwnerId;
use sha2::Sha256;

use super::file::File;

/// What a token is for.
const SLOT: &str = "slot";
const LOOK: &str = "look";
/// Longer ones are none of ours.
const TOKEN_BYTES_MAX: usize = 4_096;

/// A place for one file (section 3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    pub id: BlobId,
    pub owner: BareJid,
    /// `Seal::mark` of the owner's login.
    pub mark: u64,
    /// An upload begins before this; microseconds since 1970.
    pub until_us: u64,
    pub file: File,
}

/// Somebody may look through the files of an account, and remove some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pass {
    pub owner: BareJid,
    pub mark: u64,
    pub until_us: u64,
}

#[derive(Clone)]
pub struct Seal {
    secret: [u8; 16],
}

impl Seal {
    /// `secret`: `Store::secret`, `IdSeal::secret`.
    pub fn new(secret: [u8; 16]) -> Seal {
        Seal { secret }
    }

    fn mac(&self, purpose: &str, bytes: &[u8]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).ok()?;
        for part in [b"xep0363", purpose.as_bytes(), bytes] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        Some(mac)
    }

    fn first_eight(&self, purpose: &str, bytes: &[u8]) -> u64 {
        let code = self.mac(purpose, bytes).map(|mac| mac.finalize().into_bytes()).unwrap_or_default();
        code.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    pub fn id(&self, owner: OwnerId, random: [u8; 16]) -> BlobId {
        let masked = owner.0 ^ self.first_eight("owner", &random);
        let mut id = [0; BlobId::BYTES];
        let (front, back) = id.split_at_mut(random.len());
        front.copy_from_slice(&random);
        back.copy_from_slice(&masked.to_be_bytes());
        BlobId(id)
    }

    /// Whose file that would be. Of an address that nobody has made this is nobody's number.
    pub fn owner(&self, id: BlobId) -> OwnerId {
        let (random, masked) = id.0.split_at(16);
        let masked = masked.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        OwnerId(masked ^ self.first_eight("owner", random))
    }

    /// Of `Account::login_mark`: nothing about the login can be made of it.
    pub fn mark(&self, login_mark: u64) -> u64 {
        self.first_eight("login", &login_mark.to_be_bytes())
    }

    /// Another number for another house: who keeps files elsewhere knows its own by it.
    pub fn house(&self) -> u64 {
        self.first_eight("house", b"")
    }

    fn sign(&self, purpose: &str, text: &str) -> String {
        let code = self.mac(purpose, text.as_bytes()).map(|mac| mac.finalize().into_bytes()).unwrap_or_default();
        format!("{}.{}", URL_SAFE_NO_PAD.encode(text), URL_SAFE_NO_PAD.encode(code))
    }

    fn open(&self, purpose: &str, token: &str) -> Option<String> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let (text, code) = token.split_once('.')?;
        let (text, code) = (URL_SAFE_NO_PAD.decode(text).ok()?, URL_SAFE_NO_PAD.decode(code).ok()?);
        // Compares in constant time.
        self.mac(purpose, &text)?.verify_slice(&code).ok()?;
        String::from_utf8(text).ok()
    }

    pub fn sign_slot(&self, slot: &Slot) -> String {
        let Slot { id, owner, mark, until_us, file } = slot;
        self.sign(SLOT, &format!("{id}\n{owner}\n{mark}\n{until_us}\n{}", file.encode()))
    }

    /// Whoever shows it was given it by us; whether it is late, and whether it was used, is for the caller to see.
    pub fn open_slot(&self, token: &str) -> Option<Slot> {
        let text = self.open(SLOT, token)?;
        let mut lines = text.splitn(5, '\n');
        Some(Slot {
            id: BlobId::parse(lines.next()?)?,
            owner: BareJid::new(lines.next()?).ok()?,
            mark: lines.next()?.parse().ok()?,
            until_us: lines.next()?.parse().ok()?,
            file: File::decode(lines.next()?)?,
        })
    }

    pub fn sign_pass(&self, pass: &Pass) -> String {
        let Pass { owner, mark, until_us } = pass;
        self.sign(LOOK, &format!("{owner}\n{mark}\n{until_us}"))
    }

    pub fn open_pass(&self, token: &str) -> Option<Pass> {
        let text = self.open(LOOK, token)?;
        let mut lines = text.splitn(3, '\n');
        Some(Pass {
            owner: BareJid::new(lines.next()?).ok()?,
            mark: lines.next()?.parse().ok()?,
            until_us: lines.next()?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use iris_engine::testing::constant_time::{alike, bent};

    use super::super::file::Purpose;
    use super::*;

    fn slot(seal: &Seal) -> Slot {
        Slot {
            id: seal.id(OwnerId(42), [3; 16]),
            owner: BareJid::new("romeo@house").expect("a bare JID"),
            mark: seal.mark(7),
            until_us: 1_000,
            file: File {
                name: "a b.txt".into(),
                content_type: "text/plain".into(),
                size_bytes: 5,
                purpose: Purpose::Message,
                time_us: 1,
                expires_us: 0,
                content: None,
            },
        }
    }

    #[test]
    fn the_owner_of_an_address_is_found_by_the_house_and_by_nobody_else() {
        let seal = Seal::new([1; 16]);
        let (one, other) = (seal.id(OwnerId(42), [3; 16]), seal.id(OwnerId(42), [4; 16]));
        assert_eq!((seal.owner(one), seal.owner(other)), (OwnerId(42), OwnerId(42)));
        assert_ne!(one.0[16..], other.0[16..], "two files of one owner look like those of two");
        assert_ne!(Seal::new([2; 16]).owner(one), OwnerId(42));
    }

    #[test]
    fn d5_a_token_is_what_was_signed_and_nothing_else() {
        let seal = Seal::new([1; 16]);
        let token = seal.sign_slot(&slot(&seal));
        assert_eq!(seal.open_slot(&token), Some(slot(&seal)));
        assert_eq!(Seal::new([2; 16]).open_slot(&token), None);
        let (text, code) = token.split_once('.').expect("two parts");
        let larger = String::from_utf8(URL_SAFE_NO_PAD.decode(text).expect("Base64")).expect("UTF-8").replace("\n5\n", "\n6\n");
        for forged in [
            format!("{}.{code}", URL_SAFE_NO_PAD.encode(larger)),
            format!("{text}."),
            format!("{text}.{}", &code[..code.len() - 2]),
            text.to_owned(),
            String::new(),
            "x".repeat(10_000),
        ] {
            assert_eq!(seal.open_slot(&forged), None, "{forged}");
        }
        let pass = Pass { owner: slot(&seal).owner, mark: 1, until_us: 2 };
        let pass_token = seal.sign_pass(&pass);
        assert_eq!(seal.open_pass(&pass_token), Some(pass));
        assert_eq!(seal.open_slot(&pass_token), None, "who may look may not put");
        assert_eq!(seal.open_pass(&token), None);
    }

    #[test]
    fn b11_a_forged_token_is_refused_as_slowly_wherever_it_is_wrong() {
        let seal = Seal::new([1; 16]);
        let token = seal.sign_slot(&slot(&seal));
        let code = token.find('.').expect("two parts") + 1;
        // Of the last letter of the code not all bits count.
        let forged = [bent(&token, code), bent(&token, token.len() - 2)];
        alike("upload token", 5_000, |which| {
            let begun = Instant::now();
            let slot = seal.open_slot(&forged[which]);
            let took = begun.elapsed().as_nanos();
            assert_eq!(slot, None);
            took
        });
    }
}
