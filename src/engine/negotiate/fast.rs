//! FAST (XEP-0484): tokens, and the mechanisms HT-SHA-256-NONE, -EXPR and -ENDP (draft-schmaus-kitten-sasl-ht) that prove to have
//! one in one message. -UNIQ does not exist here: TLS 1.3 has no such binding.
//!
//! A token is longer than a block of SHA-256, so HMAC hashes it before anything else (RFC 2104 2). Its hash is all that the server
//! ever needs again, and that lies at rest under a mask made of the house's secret.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use iris_core::BareJid;
use iris_core::clients::Token;
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use super::sasl::{BindingKind, Hash, MESSAGE_SIZE_BYTES_MAX, Offered, SaslError, account_of};
use super::{Env, HouseSecret};

/// The family, by what a client's proof is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HtMechanism {
    /// tls-exporter.
    Exporter,
    /// tls-server-end-point.
    EndPoint,
    None,
}

impl HtMechanism {
    pub(super) const ALL: [HtMechanism; 3] = [HtMechanism::Exporter, HtMechanism::EndPoint, HtMechanism::None];

    pub fn name(self) -> &'static str {
        match self {
            HtMechanism::Exporter => "HT-SHA-256-EXPR",
            HtMechanism::EndPoint => "HT-SHA-256-ENDP",
            HtMechanism::None => "HT-SHA-256-NONE",
        }
    }

    /// As it is stored.
    fn number(self) -> u8 {
        match self {
            HtMechanism::None => 1,
            HtMechanism::Exporter => 2,
            HtMechanism::EndPoint => 3,
        }
    }

    /// What the proof has to be bound to. `None`: this connection has no such thing.
    fn binding(self, offered: &Offered) -> Option<&[u8]> {
        match self {
            HtMechanism::None => Some(&[]),
            HtMechanism::Exporter => offered.binding_data(BindingKind::TlsExporter),
            HtMechanism::EndPoint => offered.binding_data(BindingKind::TlsServerEndPoint),
        }
    }
}

/// What this stream can check.
pub(super) fn offered(offered: &Offered) -> impl Iterator<Item = HtMechanism> {
    HtMechanism::ALL.into_iter().filter(|mechanism| mechanism.binding(offered).is_some())
}

pub(super) fn mechanism(name: &str, on: &Offered) -> Option<HtMechanism> {
    offered(on).find(|mechanism| mechanism.name() == name)
}

/// The client's one message: `authcid NUL HMAC(token, "Initiator" || cb-data)`.
#[derive(Debug)]
pub(super) struct Proof {
    pub account: BareJid,
    mechanism: HtMechanism,
    binding: Vec<u8>,
    mac: Vec<u8>,
}

impl Proof {
    pub fn read(mechanism: HtMechanism, offered: &Offered, message: &[u8]) -> Result<Proof, SaslError> {
        if message.len() > MESSAGE_SIZE_BYTES_MAX {
            return Err(SaslError::MalformedRequest);
        }
        let at = message.iter().position(|byte| *byte == 0).ok_or(SaslError::MalformedRequest)?;
        let (authcid, mac) = message.split_at(at);
        let authcid = std::str::from_utf8(authcid).map_err(|_| SaslError::MalformedRequest)?;
        let binding = mechanism.binding(offered).ok_or(SaslError::InvalidMechanism)?.to_vec();
        let account = account_of(authcid, offered.domain())?;
        Ok(Proof { account, mechanism, binding, mac: mac.get(1..).unwrap_or_default().to_vec() })
    }

    /// The token that was used, and the data that proves to the client that the server has it too. Two comparisons, whatever there
    /// is to compare with.
    pub fn check(&self, tokens: &[Token], secret: &HouseSecret) -> Option<([u8; 16], Vec<u8>)> {
        let nothing = Token { mechanism: 0, mask: [0; 16], sealed: [0; 32], issued_us: 0, expires_us: 0, count: None };
        let slots = [tokens.first(), tokens.get(1)];
        let mut found = None;
        for slot in slots {
            let token = slot.unwrap_or(&nothing);
            let key = unseal(token, &self.account, secret);
            let expected = Hash::Sha256.hmac(key.as_slice(), &[b"Initiator", &self.binding]);
            // XEP-0484 3.4: bound to the mechanism it was asked for.
            let right = Choice::from(u8::from(slot.is_some() && token.mechanism == self.mechanism.number()));
            if bool::from(expected.as_slice().ct_eq(&self.mac) & right) {
                let answer = Hash::Sha256.hmac(key.as_slice(), &[b"Responder", &self.binding]);
                found = Some((token.mask, answer.as_slice().to_vec()));
            }
        }
        found
    }

    /// What a token that replaces the used one is for.
    pub fn mechanism(&self) -> HtMechanism {
        self.mechanism
    }
}

/// A token for the client, and what is kept of it.
pub(super) fn mint(mechanism: HtMechanism, account: &BareJid, env: &mut Env<'_>) -> (Zeroizing<String>, Token) {
    let mut random = Zeroizing::new([0; 48]);
    (env.random)(random.as_mut_slice());
    let mut mask = [0; 16];
    (env.random)(&mut mask);
    // RFC 8959, so that a token that leaks into a log is found by whoever looks for secrets there. 77 bytes.
    let token = Zeroizing::new(format!("secret-token:{}", URL_SAFE_NO_PAD.encode(random.as_slice())));
    let hash = Hash::Sha256.digest(token.as_bytes());
    let sealed = masked(hash.as_slice(), &mask, account, &env.policy.secret);
    let kept = Token { mechanism: mechanism.number(), mask, sealed, issued_us: 0, expires_us: 0, count: None };
    (token, kept)
}

fn unseal(token: &Token, account: &BareJid, secret: &HouseSecret) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(masked(&token.sealed, &token.mask, account, secret))
}

/// Exclusive or with a mask that nobody can make who does not have the secret; the same twice is nothing.
fn masked(hash: &[u8], mask: &[u8; 16], account: &BareJid, secret: &HouseSecret) -> [u8; 32] {
    let mut out = secret.derive("fast token", &[account.as_str().as_bytes(), mask]);
    out.iter_mut().zip(hash).for_each(|(to, from)| *to ^= from);
    out
}
