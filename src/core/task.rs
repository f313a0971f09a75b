//! Long work: an async function with nothing but reads and its own state, ending in an answer or in a closing turn that checks
//! again and writes. No executor of the network is involved: a shard polls its tasks, and a test steps them by hand.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::effects::Out;
use crate::envelope::Envelope;
use crate::error::Bounce;
use crate::receipt::SessionRef;
use crate::store::{Read, Rows, StoreError};
use crate::turn::{Reply, Turn};

/// How a task ends.
pub enum Finish {
    /// The iq's result; `before` goes to the asking session first, in one piece.
    Answer {
        before: Vec<Out>,
        result: String,
    },
    /// A turn of the account: look again, write, answer.
    Turn(Box<dyn FnOnce(&mut Turn<'_>) -> Reply>),
    Error(Bounce),
    /// Nobody waits for an answer.
    Done,
}

pub type TaskFuture = Pin<Box<dyn Future<Output = Finish>>>;

/// Work that a turn has begun.
pub struct Pending {
    pub future: TaskFuture,
    pub cx: Cx,
    /// The iq that waits for the end, if any.
    pub asked: Option<Asked>,
}

/// An iq whose answer is not there yet.
pub struct Asked {
    pub envelope: Envelope,
    pub session: Option<SessionRef>,
}

/// What a task may do: ask the store.
#[derive(Clone, Default)]
pub struct Cx {
    shared: Rc<RefCell<Shared>>,
}

#[derive(Default)]
struct Shared {
    /// Asked and not yet given to the store.
    asked: Vec<(u32, Read)>,
    answered: Vec<(u32, Result<Rows, StoreError>)>,
    next: u32,
}

impl Cx {
    /// Ask the store; the answer contains everything this account had written when the task began.
    pub fn read(&self, read: Read) -> impl Future<Output = Result<Rows, StoreError>> + use<> {
        let mut shared = self.shared.borrow_mut();
        let ticket = shared.next;
        shared.next += 1;
        shared.asked.push((ticket, read));
        Reading { shared: self.shared.clone(), ticket }
    }

    /// For the executor: reads to be given to the store.
    pub fn take_reads(&self) -> Vec<(u32, Read)> {
        std::mem::take(&mut self.shared.borrow_mut().asked)
    }

    /// For the executor: an answer has come.
    pub fn answer(&self, ticket: u32, rows: Result<Rows, StoreError>) {
        self.shared.borrow_mut().answered.push((ticket, rows));
    }
}

struct Reading {
    shared: Rc<RefCell<Shared>>,
    ticket: u32,
}

impl Future for Reading {
    type Output = Result<Rows, StoreError>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        let mut shared = self.shared.borrow_mut();
        match shared.answered.iter().position(|(ticket, _)| *ticket == self.ticket) {
            Some(at) => Poll::Ready(shared.answered.swap_remove(at).1),
            None => Poll::Pending,
        }
    }
}

/// Poll once. There is nothing to wake: the executor polls when an answer has come.
pub fn poll(future: &mut TaskFuture) -> Poll<Finish> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}
