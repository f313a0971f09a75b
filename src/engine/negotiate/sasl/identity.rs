//! Who is authenticating, and as whom: the names a client gives, turned into an account.

use iris_core::jids::localpart;
use jid::{BareJid, DomainPart, Jid};

use super::error::SaslError;
use super::offered::Offered;

/// The authentication identity as an account of this domain: SASLprep (RFC 5802 section 5.1, RFC 4616 section 2), then
/// the localpart profile of the address format, because in XMPP the simple user name *is* the localpart
/// (RFC 6120 section 6.3.8). What can be no localpart can be no account: not-authorized.
pub(in crate::negotiate) fn account(authcid: &str, domain: &DomainPart) -> Result<BareJid, SaslError> {
    let prepared = stringprep::saslprep(authcid).map_err(|_| SaslError::NotAuthorized)?;
    let node = localpart(&prepared).map_err(|_| SaslError::NotAuthorized)?;
    Ok(BareJid::from_parts(Some(&node), domain))
}

/// The authorization identity may be absent or name the very account that authenticates, as a bare JID
/// (RFC 6120 section 6.3.8); nobody acts for somebody else here, whatever the password says (ejabberd's flaw of 26.07).
///
/// XEP-0388 5.4: under SASL2 the stream's `from` has to say the same.
pub(super) fn authorize(authzid: &str, account: &BareJid, offered: &Offered) -> Result<(), SaslError> {
    if authzid.is_empty() {
        return Ok(());
    }
    let named = BareJid::new(authzid).map_err(|_| SaslError::InvalidAuthzid)?;
    // `BareJid::new` refuses a resource; said once more because a session's address hangs on it.
    let fits_the_stream = offered.stream_from().is_none_or(|from| from == account);
    if fits_the_stream && named == *account && Jid::from(named).is_bare() { Ok(()) } else { Err(SaslError::InvalidAuthzid) }
}
