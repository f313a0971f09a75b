//! PLAIN (RFC 4616): `[authzid] NUL authcid NUL passwd`.

use jid::BareJid;
use zeroize::Zeroizing;

use super::credentials::{Credentials, PLAIN_HASH};
use super::error::SaslError;
use super::exchange::Password;
use super::fake::FakeSalt;
use super::identity;
use super::offered::Offered;

pub(super) struct Request {
    pub(super) account: BareJid,
    password: Password,
}

impl Request {
    pub(super) fn read(offered: &Offered, message: &[u8]) -> Result<Self, SaslError> {
        let message = std::str::from_utf8(message).map_err(|_| SaslError::MalformedRequest)?;
        let mut fields = message.split('\0');
        // Exactly two NULs: a third would let somebody hide a second identity behind the first.
        let (Some(authzid), Some(authcid), Some(password), None) = (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err(SaslError::MalformedRequest);
        };
        if authcid.is_empty() || password.is_empty() {
            return Err(SaslError::MalformedRequest);
        }
        let account = identity::account(authcid, offered.domain())?;
        identity::authorize(authzid, &account, offered)?;
        Ok(Request { account, password: Zeroizing::new(password.to_owned()) })
    }

    pub(super) fn password(&self) -> Password {
        self.password.clone()
    }

    pub(super) fn verify(&self, found: Option<&Credentials>, fake: &FakeSalt) -> Result<(), SaslError> {
        // Made up for everybody, used for nobodies: the work is the same.
        let made_up = fake.keys(PLAIN_HASH, self.account.as_str());
        let known = found.and_then(Credentials::for_plain);
        let (hash, keys) = known.unwrap_or((PLAIN_HASH, &made_up));
        let matches = bool::from(keys.matches_password(hash, &self.password));
        if matches && known.is_some() { Ok(()) } else { Err(SaslError::NotAuthorized) }
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("plain::Request")
    }
}
