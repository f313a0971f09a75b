//! Which mechanisms a stream offers when not every account has keys for each of them (RFC 6120 6.3.3, 6.4.1).
//!
//! A client takes the strongest of what is offered, and does not try the next when that fails. Accounts that moved in from another
//! server may have keys for SCRAM-SHA-1 alone: offered SCRAM-SHA-256, their clients never get in. So:
//!
//! * As long as all accounts of the domain have the same keys, that is what is offered, and nobody is asked: the ordinary case.
//! * Otherwise the account that the stream's header names (RFC 6120 4.7.1, XEP-0388 2.1) says what it has.
//! * A header that names nobody gets what every account can do. That is weaker than most could have, until the last old account
//!   has logged in; the alternative is that some never do.
//!
//! Names without an account are answered as if they were one of the domain's accounts, drawn by lot (B10): the lot is as probable as
//! such accounts are many and always falls the same for the same name, so that an answer says nothing about the name. Nobody between
//! can make use of any of this: it is said inside TLS, and XEP-0474's hash covers the list as it was told to this client.

use iris_core::login::HashSet;
use iris_core::{AskAnswer, BareJid};

use super::sasl::Credentials;
use super::{Action, Env, Negotiator, State, features};

/// A header has been answered.
pub(super) fn begin(it: &mut Negotiator, env: &mut Env<'_>) -> Vec<Action> {
    let Some(host) = &it.doors else { return Vec::new() };
    let kinds = env.census.of(&host.domain);
    let named = it.from.clone().filter(|from| from.node().is_some() && !it.is_clear());
    match (kinds.alike(), named) {
        (Some(all), _) => offer(it, all, env),
        (None, Some(account)) => {
            it.state = State::Offering(account.clone());
            vec![Action::LookUp(account)]
        }
        (None, None) => offer(it, kinds.common(), env),
    }
}

/// The account has said what it has.
pub(super) fn answered(it: &mut Negotiator, account: &BareJid, answer: &AskAnswer, env: &mut Env<'_>) -> Vec<Action> {
    let kinds = env.census.of(account.domain().as_str());
    let hashes = match answer {
        AskAnswer::Credentials(Some(login)) => Credentials::set_of(&login.credentials),
        _ => HashSet::NONE,
    };
    // Nobody, and whoever has no keys at all: both get in by no means, and look like anybody.
    let hashes = if hashes == HashSet::NONE { kinds.drawn(env.policy.fake_salt.draw(account.as_str())) } else { hashes };
    offer(it, hashes, env)
}

fn offer(it: &mut Negotiator, hashes: HashSet, env: &mut Env<'_>) -> Vec<Action> {
    it.state = State::Open;
    if let Some(host) = &it.doors {
        (it.offered, it.config_version) = features::open(it.is_clear(), it.security.as_ref(), host, hashes, env);
    }
    Vec::new()
}
