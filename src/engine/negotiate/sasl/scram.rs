//! SCRAM (RFC 5802, RFC 7677), the server's side.
//!
//! What a client gets wrong in the grammar is malformed-request. What is about trust (channel binding, nonce, proof) is
//! not-authorized, and all of it is looked at before the answer is given: nobody learns which part was wrong.

mod message;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use jid::BareJid;
use subtle::{Choice, ConstantTimeEq};

use super::credentials::{Credentials, Keys};
use super::error::SaslError;
use super::exchange::NONCE_SIZE_BYTES;
use super::fake::FakeSalt;
use super::hash::{Hash, Octets};
use super::mechanism::Mechanism;
use super::offered::Offered;
use super::{downgrade, identity};
use message::{BindingFlag, ClientFinal, ClientFirst};

/// The client's first message, understood and allowed; its account's keys are being looked up.
#[derive(Debug)]
pub(super) struct First {
    pub(super) account: BareJid,
    hash: Hash,
    /// What `c=` must decode to: the gs2 header as received and the channel binding data (RFC 5802 section 5.1).
    binding: Vec<u8>,
    /// client-first-message-bare as received.
    bare: String,
    /// The client's nonce followed by ours.
    nonce: String,
    /// `h` and `t`, see `downgrade`.
    attributes: String,
}

/// The server's first message is sent; the client's proof is awaited.
#[derive(Debug)]
pub(super) struct Challenged {
    first: First,
    server_first: String,
    stored: Octets,
    server: Octets,
    /// Nobody can prove to know made-up keys; that it also needs this bit is belt and braces.
    known: Choice,
}

impl First {
    pub(super) fn read(
        mechanism: Mechanism,
        hash: Hash,
        offered: &Offered,
        nonce: [u8; NONCE_SIZE_BYTES],
        message: &[u8],
    ) -> Result<Self, SaslError> {
        let nonce = STANDARD_NO_PAD.encode(nonce);
        Self::read_with(mechanism, hash, offered, &nonce, message)
    }

    /// `nonce` is our part, printable and without a comma.
    pub(super) fn read_with(
        mechanism: Mechanism,
        hash: Hash,
        offered: &Offered,
        nonce: &str,
        message: &[u8],
    ) -> Result<Self, SaslError> {
        let message = ClientFirst::read(message)?;
        let account = identity::account(&message.username, offered.domain())?;
        identity::authorize(&message.authzid, &account, offered)?;
        let mut binding = message.gs2_header.as_bytes().to_vec();
        binding.extend_from_slice(bound(mechanism, offered, &message.flag)?);
        Ok(First {
            account,
            hash,
            binding,
            bare: message.bare.to_owned(),
            nonce: format!("{}{nonce}", message.nonce),
            attributes: downgrade::attributes(hash, offered),
        })
    }

    pub(super) fn challenge(self, found: Option<&Credentials>, fake: &FakeSalt) -> (Vec<u8>, Challenged) {
        // Made up for everybody, used for nobodies: the work is the same for both.
        let made_up = fake.keys(self.hash, self.account.as_str());
        let found: Option<&Keys> = found.and_then(|credentials| credentials.keys(self.hash));
        let keys = found.unwrap_or(&made_up);
        let known = Choice::from(u8::from(found.is_some()));
        let server_first =
            format!("r={},s={},i={}{}", self.nonce, STANDARD.encode(&keys.salt), keys.iterations, self.attributes);
        let challenged = Challenged {
            server_first: server_first.clone(),
            stored: Octets::select(&made_up.stored, &keys.stored, known),
            server: Octets::select(&made_up.server, &keys.server, known),
            known,
            first: self,
        };
        (server_first.into_bytes(), challenged)
    }
}

/// The data that the chosen binding adds to `c=`, or why the choice is refused (RFC 5802 section 6).
fn bound<'o>(mechanism: Mechanism, offered: &'o Offered, flag: &BindingFlag<'_>) -> Result<&'o [u8], SaslError> {
    match flag {
        // A type that was not offered fails; the client may choose any that was.
        BindingFlag::Used(kind) if mechanism.binds_channel() => {
            offered.binding(kind).map(|binding| binding.data.as_slice()).ok_or(SaslError::ChannelBinding)
        }
        BindingFlag::Used(_) => Err(SaslError::ChannelBinding),
        _ if mechanism.binds_channel() => Err(SaslError::ChannelBinding),
        // "I could, but you did not offer": we did, so somebody in between removed it.
        BindingFlag::NotOffered if offered.offers_channel_binding() => Err(SaslError::ChannelBinding),
        BindingFlag::NotOffered | BindingFlag::Unsupported => Ok(&[]),
    }
}

impl Challenged {
    /// The account and the server's final message, if the client proved that it knows the password.
    pub(super) fn finish(self, message: &[u8]) -> Result<(BareJid, Option<Vec<u8>>), SaslError> {
        let message = ClientFinal::read(message)?;
        let hash = self.first.hash;
        let auth_message: [&[u8]; 5] =
            [self.first.bare.as_bytes(), b",", self.server_first.as_bytes(), b",", message.without_proof.as_bytes()];
        let client_signature = hash.hmac(self.stored.as_slice(), &auth_message);
        let client_key = client_signature.xor(&message.proof);
        let server_signature = hash.hmac(self.server.as_slice(), &auth_message);

        let right_length = Choice::from(u8::from(message.proof.len() == hash.size_bytes()));
        let proven = hash.digest(client_key.as_slice()).ct_eq(&self.stored);
        let same_binding = message.binding.ct_eq(&self.first.binding);
        let same_nonce = message.nonce.as_bytes().ct_eq(self.first.nonce.as_bytes());
        if bool::from(self.known & right_length & proven & same_binding & same_nonce) {
            let verifier = format!("v={}", STANDARD.encode(server_signature.as_slice()));
            Ok((self.first.account, Some(verifier.into_bytes())))
        } else {
            Err(SaslError::NotAuthorized)
        }
    }
}
