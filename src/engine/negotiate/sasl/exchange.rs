//! The exchange as a state machine; each state is a type, so a step that makes no sense cannot be written.

use jid::BareJid;
use zeroize::Zeroizing;

use super::credentials::Credentials;
use super::error::SaslError;
use super::fake::FakeSalt;
use super::mechanism::Mechanism;
use super::offered::Offered;
use super::{plain, scram};

/// Random bytes for the server's part of the nonce, from a cryptographically secure source, fresh for every exchange:
/// they are what makes an overheard exchange worthless (RFC 5802 section 5.1).
pub const NONCE_SIZE_BYTES: usize = 24;

/// A longer message of a client is malformed-request before anything in it is looked at.
pub const MESSAGE_SIZE_BYTES_MAX: usize = 4_096;

/// What to do next.
#[derive(Debug)]
#[must_use]
pub enum Step {
    /// Send these bytes (base64 in `<challenge/>`) and give the client's `<response/>` to [`Exchange::respond`].
    /// Empty bytes ask for the initial response that the client left out (RFC 4422 section 3.3).
    Challenge(Vec<u8>, Exchange),
    /// Find the password record of `account` and go on with [`Lookup::credentials`].
    ///
    /// `authcid` is the localpart of `account`: decoded, prepared and normalised. If the record could not be read,
    /// answer `TemporaryAuthFailure` and drop the lookup. If the account is disabled, go on with its real record and
    /// refuse on `Success`: so only its owner learns that it is.
    NeedCredentials {
        authcid: String,
        account: BareJid,
        exchange: Lookup,
    },
    /// The client is `account`. `additional` is the data of `<success/>`: with SCRAM the server's signature.
    Success {
        authcid: String,
        account: BareJid,
        additional: Option<Vec<u8>>,
    },
    Failure(SaslError),
}

/// An exchange that waits for the client.
#[derive(Debug)]
pub struct Exchange(Waiting);

#[derive(Debug)]
enum Waiting {
    First { mechanism: Mechanism, offered: Box<Offered>, nonce: [u8; NONCE_SIZE_BYTES] },
    ScramFinal(Box<scram::Challenged>),
}

/// An exchange that waits for the password record of one account. It is `Send`: see [`Lookup::is_expensive`].
#[derive(Debug)]
pub struct Lookup(Asking);

#[derive(Debug)]
enum Asking {
    Scram(Box<scram::First>),
    Plain(Box<plain::Request>),
}

impl Exchange {
    /// Begins an exchange. `initial` is the decoded initial response: `None` if the client sent none, empty if it sent
    /// an empty one (`=` in RFC 6120 section 6.4.2).
    ///
    /// A mechanism that this stream does not offer is invalid-mechanism, even if we could run it.
    pub fn start(mechanism: Mechanism, offered: &Offered, nonce: [u8; NONCE_SIZE_BYTES], initial: Option<&[u8]>) -> Step {
        if !offered.offers(mechanism) {
            return Step::Failure(SaslError::InvalidMechanism);
        }
        match initial {
            Some(message) => first(mechanism, offered, nonce, message),
            None => {
                let waiting = Waiting::First { mechanism, offered: Box::new(offered.clone()), nonce };
                Step::Challenge(Vec::new(), Exchange(waiting))
            }
        }
    }

    /// The client's (decoded) response to the last challenge.
    pub fn respond(self, message: &[u8]) -> Step {
        if message.len() > MESSAGE_SIZE_BYTES_MAX {
            return Step::Failure(SaslError::MalformedRequest);
        }
        match self.0 {
            Waiting::First { mechanism, offered, nonce } => first(mechanism, &offered, nonce, message),
            Waiting::ScramFinal(challenged) => finished(challenged.finish(message)),
        }
    }
}

impl Lookup {
    /// Does the next step cost a whole PBKDF2 (PLAIN), so that it should run on a side thread? With SCRAM it is a few
    /// HMACs. The answer depends on the mechanism only, never on the account.
    pub fn is_expensive(&self) -> bool {
        matches!(self.0, Asking::Plain(_))
    }

    /// Goes on with what was found; `None` if there is no such account. Both cases do the same work, take the same
    /// steps and end in the same not-authorized, and so does an account without keys for the hash in use.
    pub fn credentials(self, found: Option<&Credentials>, fake: &FakeSalt) -> Step {
        match self.0 {
            Asking::Scram(first) => {
                let (message, challenged) = first.challenge(found, fake);
                Step::Challenge(message, Exchange(Waiting::ScramFinal(Box::new(challenged))))
            }
            Asking::Plain(request) => {
                let account = request.account.clone();
                finished(request.verify(found, fake).map(|()| (account, None)))
            }
        }
    }

    /// As `credentials`; and with PLAIN, whose password is at hand, the keys to keep instead of those found, if they are fewer or
    /// weaker than new ones would be. `random` fills a slice from a cryptographically secure source.
    pub fn verify(
        self,
        found: Option<&Credentials>,
        fake: &FakeSalt,
        random: impl FnMut(&mut [u8]),
    ) -> (Step, Option<Credentials>) {
        let Asking::Plain(request) = &self.0 else { return (self.credentials(found, fake), None) };
        let password = request.password();
        let step = self.credentials(found, fake);
        let found = found.filter(|_| matches!(step, Step::Success { .. }));
        let better = found.and_then(|found| found.strengthened(&password, random, fake.iterations()));
        (step, better)
    }
}

fn first(mechanism: Mechanism, offered: &Offered, nonce: [u8; NONCE_SIZE_BYTES], message: &[u8]) -> Step {
    if message.len() > MESSAGE_SIZE_BYTES_MAX {
        return Step::Failure(SaslError::MalformedRequest);
    }
    let asked = match mechanism.hash() {
        Some(hash) => scram::First::read(mechanism, hash, offered, nonce, message)
            .map(|first| (first.account.clone(), Asking::Scram(Box::new(first)))),
        None => {
            plain::Request::read(offered, message).map(|request| (request.account.clone(), Asking::Plain(Box::new(request))))
        }
    };
    match asked {
        Ok((account, asking)) => Step::NeedCredentials { authcid: localpart(&account), account, exchange: Lookup(asking) },
        Err(error) => Step::Failure(error),
    }
}

fn finished(result: Result<(BareJid, Option<Vec<u8>>), SaslError>) -> Step {
    match result {
        Ok((account, additional)) => Step::Success { authcid: localpart(&account), account, additional },
        Err(error) => Step::Failure(error),
    }
}

fn localpart(account: &BareJid) -> String {
    account.node().map(|node| node.as_str().to_owned()).unwrap_or_default()
}

/// A password on its way from the message to the check.
pub(super) type Password = Zeroizing<String>;
