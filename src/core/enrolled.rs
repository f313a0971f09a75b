//! Accounts that hear of what is said in rooms while they are away (XEP-0357). A room asks this list before it wakes anybody: of a
//! thousand members who are away, those with a phone that wants to be told are few.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// Bare JIDs, read from the store at the start (`Doors::enrolled`) and kept by the accounts after their commits. One too many costs a
/// read; one too few, a notification.
#[derive(Debug, Default)]
pub struct Enrolled(Mutex<HashSet<Box<str>>>);

impl Enrolled {
    pub fn new(accounts: impl IntoIterator<Item = Box<str>>) -> Enrolled {
        Enrolled(Mutex::new(accounts.into_iter().collect()))
    }

    pub fn set(&self, account: &str, enrolled: bool) {
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if enrolled {
            accounts.insert(account.into());
        } else {
            accounts.remove(account);
        }
    }

    pub fn has(&self, account: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(account)
    }

    /// Those of `accounts` that are on it; the list is looked at once.
    pub fn among<'a>(&self, accounts: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
        let enrolled = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.filter(|account| enrolled.contains(*account)).collect()
    }
}
