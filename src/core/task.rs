//! Long work: an async function with nothing but questions and its own state, ending in an answer or in a closing turn that
//! checks again and writes. No executor of the network is involved: a shard polls its tasks, and a test steps them by hand.

use std::any::Any;
use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use jid::BareJid;

use crate::ask::{Ask, AskAnswer, Present};
use crate::effects::Out;
use crate::entitlements::Plan;
use crate::envelope::Envelope;
use crate::error::Bounce;
use crate::host::HostTurn;
use crate::ports::{Mail, Mailed, WebPush, WebPushed};
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
    /// A turn of the account that began it: look again, write, answer.
    Turn(Box<dyn FnOnce(&mut Turn<'_>) -> Reply>),
    /// The same for work that a domain began.
    HostTurn(Box<dyn FnOnce(&mut HostTurn<'_>) -> Reply>),
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
    pub envelope: Box<Envelope>,
    pub session: Option<SessionRef>,
}

/// Something to be done in the turn of one of our domains; what it returns is the answer.
pub type HostFn = Box<dyn FnOnce(&mut HostTurn<'_>) -> Box<dyn Any + Send> + Send>;

/// The same in the turn of an account.
pub type AccountFn = Box<dyn FnOnce(&mut Turn<'_>) -> Box<dyn Any + Send> + Send>;

/// What a task asks; the shard finds who knows.
pub enum Question {
    /// The store.
    Read(Read),
    /// An account of the house, on whatever shard it lives.
    Account(BareJid, Ask),
    /// A domain of the house. Answered when what it wrote is on disk.
    Host(Arc<str>, HostFn),
    /// An account of the house. Answered when what it wrote is on disk.
    Turn(BareJid, AccountFn),
    /// All shards: who of this domain has a session?
    Present(Arc<str>),
    /// The keys of a password.
    Derive(String),
    /// A message for a browser.
    WebPush(WebPush),
    /// A mail.
    Mail(Mail),
}

pub enum Answered {
    Read(Result<Rows, StoreError>),
    Account(AskAnswer),
    /// `Host` and `Turn`; `None`: there is nobody of that address.
    Done(Result<Option<Box<dyn Any + Send>>, StoreError>),
    Present(Vec<Present>),
    Derived(Result<Bytes, String>),
    WebPushed(WebPushed),
    Mailed(Mailed),
    /// Too many questions at once, nobody who could answer, or no answer in time.
    Lost,
}

/// Questions of one task that wait for their answers; one more is `Lost` at once.
pub const QUESTIONS_PER_TASK_MAX: usize = 256;

/// What a task may do: ask.
#[derive(Clone, Default)]
pub struct Cx {
    shared: Rc<RefCell<Shared>>,
}

#[derive(Default)]
struct Shared {
    /// Asked and not yet taken by the shard.
    asked: Vec<(u32, Question)>,
    /// Taken, and not answered.
    open: Vec<u32>,
    answered: Vec<(u32, Answered)>,
    next: u32,
}

impl Cx {
    /// Ask the store; the answer contains everything this account had written when the task began.
    pub fn read(&self, read: Read) -> impl Future<Output = Result<Rows, StoreError>> + use<> {
        let answer = self.ask_for(Question::Read(read));
        async move {
            match answer.await {
                Answered::Read(rows) => rows,
                _ => Err(StoreError::Unavailable("too many questions at once".into())),
            }
        }
    }

    /// Ask an account of the house. `AskAnswer::Failed` when it does not answer in time.
    pub fn ask(&self, account: BareJid, ask: Ask) -> impl Future<Output = AskAnswer> + use<> {
        let answer = self.ask_for(Question::Account(account, ask));
        async move {
            match answer.await {
                Answered::Account(answer) => answer,
                _ => AskAnswer::Failed("the account does not answer".into()),
            }
        }
    }

    /// Do something in the turn of one of our domains, which may be this task's own: read what it remembers, write, send.
    /// `Ok` when everything it wrote is on disk.
    pub fn host<R, F>(&self, domain: &str, f: F) -> impl Future<Output = Result<R, StoreError>> + use<R, F>
    where
        R: Send + 'static,
        F: FnOnce(&mut HostTurn<'_>) -> R + Send + 'static,
    {
        let f: HostFn = Box::new(move |turn| Box::new(f(turn)));
        let answer = self.ask_for(Question::Host(Arc::from(domain), f));
        async move {
            match answer.await {
                Answered::Done(Ok(Some(result))) => result.downcast().map(|result| *result).map_err(|_| StoreError::Refused),
                Answered::Done(Err(why)) => Err(why),
                _ => Err(StoreError::Unavailable("the domain does not answer".into())),
            }
        }
    }

    /// The same for what may live behind a service of the house. `None`: the address is nobody's whom a service answers for.
    pub fn behind<R, F>(&self, address: &BareJid, f: F) -> impl Future<Output = Result<Option<R>, StoreError>> + use<R, F>
    where
        R: Send + 'static,
        F: FnOnce(&mut HostTurn<'_>) -> R + Send + 'static,
    {
        let f: HostFn = Box::new(move |turn| Box::new(f(turn)));
        done(self.ask_for(Question::Host(Arc::from(address.as_str()), f)), "what lives there does not answer")
    }

    /// Do something in the turn of an account of the house. `Ok` when everything it wrote is on disk; `None`: there is no such
    /// account.
    pub fn account<R, F>(&self, account: BareJid, f: F) -> impl Future<Output = Result<Option<R>, StoreError>> + use<R, F>
    where
        R: Send + 'static,
        F: FnOnce(&mut Turn<'_>) -> R + Send + 'static,
    {
        let f: AccountFn = Box::new(move |turn| Box::new(f(turn)));
        done(self.ask_for(Question::Turn(account, f)), "the account does not answer")
    }

    /// What an account of the house may have. `None`: there is no such account.
    pub fn plan(&self, account: BareJid) -> impl Future<Output = Result<Option<Arc<Plan>>, StoreError>> + use<> {
        self.account(account, |turn| turn.plan())
    }

    /// Everybody of the domain who has a session, in no order. A shard that does not answer in time is left out.
    pub fn present(&self, domain: &str) -> impl Future<Output = Vec<Present>> + use<> {
        let answer = self.ask_for(Question::Present(Arc::from(domain)));
        async move {
            match answer.await {
                Answered::Present(present) => present,
                _ => Vec::new(),
            }
        }
    }

    /// The keys of a password as `Ask::Provision` and `Ask::SetCredentials` take them.
    ///
    /// The error is one sentence: why it can be no password (RFC 8265), or that nobody has the time to compute it.
    pub fn derive(&self, password: String) -> impl Future<Output = Result<Bytes, String>> + use<> {
        let answer = self.ask_for(Question::Derive(password));
        async move {
            match answer.await {
                Answered::Derived(keys) => keys,
                _ => Err("too many passwords are being set at once".into()),
            }
        }
    }

    /// Hand a message to a push service of the web.
    pub fn web_push(&self, push: WebPush) -> impl Future<Output = WebPushed> + use<> {
        let answer = self.ask_for(Question::WebPush(push));
        async move {
            match answer.await {
                Answered::WebPushed(pushed) => pushed,
                _ => WebPushed::Later,
            }
        }
    }

    /// Hand a mail to the mail server. `Unknown` when the port does not keep to its time.
    pub fn mail(&self, mail: Mail) -> impl Future<Output = Mailed> + use<> {
        let answer = self.ask_for(Question::Mail(mail));
        async move {
            match answer.await {
                Answered::Mailed(mailed) => mailed,
                _ => Mailed::Unknown,
            }
        }
    }

    fn ask_for(&self, question: Question) -> Answering {
        let mut shared = self.shared.borrow_mut();
        let number = shared.next;
        shared.next += 1;
        if shared.asked.len() + shared.open.len() < QUESTIONS_PER_TASK_MAX {
            shared.asked.push((number, question));
        } else {
            shared.answered.push((number, Answered::Lost));
        }
        Answering { shared: self.shared.clone(), number }
    }

    /// For the executor: questions to be asked.
    pub fn take_questions(&self) -> Vec<(u32, Question)> {
        let mut shared = self.shared.borrow_mut();
        let asked = std::mem::take(&mut shared.asked);
        shared.open.extend(asked.iter().map(|(number, _)| *number));
        asked
    }

    /// For the executor: an answer has come. False: it was answered before.
    pub fn answer(&self, number: u32, answer: Answered) -> bool {
        let mut shared = self.shared.borrow_mut();
        let Some(at) = shared.open.iter().position(|open| *open == number) else { return false };
        shared.open.swap_remove(at);
        shared.answered.push((number, answer));
        true
    }
}

/// What was done in the turn of somebody, if there is such a one.
async fn done<R: 'static>(answer: Answering, silence: &str) -> Result<Option<R>, StoreError> {
    match answer.await {
        Answered::Done(Ok(None)) => Ok(None),
        Answered::Done(Ok(Some(result))) => result.downcast().map(|result| Some(*result)).map_err(|_| StoreError::Refused),
        Answered::Done(Err(why)) => Err(why),
        _ => Err(StoreError::Unavailable(silence.into())),
    }
}

struct Answering {
    shared: Rc<RefCell<Shared>>,
    number: u32,
}

impl Future for Answering {
    type Output = Answered;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        let mut shared = self.shared.borrow_mut();
        match shared.answered.iter().position(|(number, _)| *number == self.number) {
            Some(at) => Poll::Ready(shared.answered.swap_remove(at).1),
            None => Poll::Pending,
        }
    }
}

/// Poll once. There is nothing to wake: the executor polls when an answer has come.
pub fn poll(future: &mut TaskFuture) -> Poll<Finish> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}
