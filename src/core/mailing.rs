//! Mail that the house sends for its users: to whom, how much, and how much at once. The port that sends is `ports::Mailer`.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use jid::BareJid;

/// Conversations that are being made into mails in the house at once. Each takes some times `size_bytes_max` of memory at most: while it is
/// written down, and again while the mail is made of it.
pub const UNDERWAY_MAX: usize = 8;

/// What the configuration says of it, `[mail]`; one for all domains.
#[derive(Debug)]
pub struct Mailing {
    /// Domains that mail is sent to.
    pub recipients: Vec<Domain>,
    /// By one user in one day (UTC).
    pub conversations_per_day_max: u32,
    /// Of an attachment.
    pub size_bytes_max: usize,
    underway: Mutex<BTreeSet<BareJid>>,
}

/// As people write it, and in ASCII (RFC 5890); in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    pub name: String,
    pub ascii: String,
}

/// Why another one has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Busy {
    /// One of this user is being made.
    Own,
    House,
}

impl Mailing {
    pub fn new(recipients: Vec<Domain>, conversations_per_day_max: u32, size_bytes_max: usize) -> Mailing {
        Mailing { recipients, conversations_per_day_max, size_bytes_max, underway: Mutex::default() }
    }

    /// The domain in ASCII, if mail is sent to it.
    pub fn recipient(&self, domain: &str) -> Option<&str> {
        let domain = domain.to_lowercase();
        self.recipients.iter().find(|it| it.name == domain || it.ascii == domain).map(|it| it.ascii.as_str())
    }

    /// One mail of this user is underway as long as the value lives.
    ///
    /// # Errors
    /// There are enough.
    pub fn begin(self: &Arc<Self>, user: BareJid) -> Result<Underway, Busy> {
        let mut underway = self.underway.lock().unwrap_or_else(PoisonError::into_inner);
        if underway.contains(&user) {
            return Err(Busy::Own);
        }
        if underway.len() >= UNDERWAY_MAX {
            return Err(Busy::House);
        }
        underway.insert(user.clone());
        Ok(Underway { mailing: self.clone(), user })
    }
}

/// Ends when it is dropped, however the work ended.
#[derive(Debug)]
pub struct Underway {
    mailing: Arc<Mailing>,
    user: BareJid,
}

impl Drop for Underway {
    fn drop(&mut self) {
        self.mailing.underway.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.user);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_each_user_and_some_of_the_house() {
        let mailing = Arc::new(Mailing::new(vec![Domain { name: "häuser".into(), ascii: "xn--huser-gra".into() }], 1, 1));
        let user = |n: usize| BareJid::new(&format!("user{n}@house")).expect("a JID");
        let first = mailing.begin(user(0)).expect("the first");
        assert_eq!(mailing.begin(user(0)).expect_err("a second"), Busy::Own);
        let others: Vec<_> = (1..UNDERWAY_MAX).map(|n| mailing.begin(user(n)).expect("another user")).collect();
        assert_eq!(mailing.begin(user(UNDERWAY_MAX)).expect_err("too many"), Busy::House);
        drop(first);
        assert!(mailing.begin(user(UNDERWAY_MAX)).is_ok());
        drop(others);
        assert_eq!(mailing.recipient("HÄUSER"), Some("xn--huser-gra"));
        assert_eq!(mailing.recipient("XN--huser-gra"), Some("xn--huser-gra"));
        assert_eq!(mailing.recipient("x.häuser"), None);
    }
}
