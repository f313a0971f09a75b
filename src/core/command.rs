//! What the house can be told to do, by a form that is filled in: a room gives its commands to `Mount::command`, XEP-0050 offers
//! them at the domain and at each account's own bare JID. A step is an async function of what was kept of the step before
//! ([`Stage::state`]) and of the checked answers; what it keeps lies in the domain's turn, for ten minutes, for that caller alone.

use std::any::Any;
use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use jid::{BareJid, Jid};

use crate::error::Bounce;
use crate::form::{Form, Submitted};
use crate::host::HostTurn;
use crate::store::{Item, Shelf};
use crate::task::Cx;
use crate::time::Now;
use crate::turn::StateSlot;

/// Who may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Administrators of the domain.
    Admin,
    /// Everybody who has an account of the domain.
    User,
}

/// A command of the domain.
pub struct Command {
    /// Unique in the domain, and what clients know it by.
    pub node: &'static str,
    /// For people.
    pub name: &'static str,
    pub who: Who,
    pub step: StepFn,
}

pub type StepFuture = Pin<Box<dyn Future<Output = Result<Next, Bounce>>>>;
pub type StepFn = Arc<dyn Fn(Stage, Cx) -> StepFuture + Send + Sync>;

/// What a step is told.
pub struct Stage {
    /// A full JID.
    pub caller: Jid,
    pub domain: Arc<str>,
    pub now: Now,
    /// What the step before has kept; `None` at the beginning.
    pub state: Option<Rc<dyn Any>>,
    /// The answers to the form of the step before, checked against it; `None` at the beginning.
    pub form: Option<Submitted>,
}

impl Stage {
    pub fn state<T: 'static>(&self) -> Option<&T> {
        self.state.as_deref()?.downcast_ref()
    }
}

/// What a step comes to.
pub enum Next {
    /// A form to be filled in. `state` is what the next step is given; going back shows the form of before, and the step is then
    /// given the state of before.
    Ask {
        form: Form,
        state: Rc<dyn Any>,
        /// More steps follow; otherwise the answers complete the command.
        more: bool,
    },
    Done(Done),
}

impl Next {
    pub fn ask(form: Form) -> Next {
        Next::Ask { form, state: Rc::new(()), more: false }
    }
}

/// XEP-0050 4.3: what is said with it, and how serious it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    Info,
    Warn,
    Error,
}

/// How a command ends.
#[derive(Debug, Default, PartialEq)]
pub struct Done {
    pub notes: Vec<(Note, String)>,
    /// Complete elements: forms of type "result", mostly.
    pub payload: String,
}

impl Done {
    pub fn empty() -> Done {
        Done::default()
    }

    pub fn note(mut self, note: Note, text: impl Into<String>) -> Done {
        self.notes.push((note, text.into()));
        self
    }

    pub fn form(mut self, form: &Form) -> Done {
        self.payload.push_str(&form.to_tell());
        self
    }
}

impl Command {
    pub fn new<F, R>(node: &'static str, name: &'static str, who: Who, step: F) -> Command
    where
        F: Fn(Stage, Cx) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Next, Bounce>> + 'static,
    {
        Command { node, name, who, step: Arc::new(move |stage, cx| Box::pin(step(stage, cx))) }
    }

    /// The most common kind: one form, the same for everybody, and what is done with the answers.
    pub fn form<F, R>(node: &'static str, name: &'static str, who: Who, form: fn() -> Form, run: F) -> Command
    where
        F: Fn(Stage, Submitted, Cx) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Result<Done, Bounce>> + 'static,
    {
        Command::new(node, name, who, move |mut stage: Stage, cx| {
            let run = run.clone();
            async move {
                match stage.form.take() {
                    None => Ok(Next::ask(form())),
                    Some(answers) => run(stage, answers, cx).await.map(Next::Done),
                }
            }
        })
    }

    /// No form at all.
    pub fn plain<F, R>(node: &'static str, name: &'static str, who: Who, run: F) -> Command
    where
        F: Fn(Stage, Cx) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Result<Done, Bounce>> + 'static,
    {
        Command::new(node, name, who, move |stage, cx| {
            let run = run.clone();
            async move { run(stage, cx).await.map(Next::Done) }
        })
    }
}

/// Administrators that were appointed while the house runs (XEP-0133 4.29), beside those of the configuration. Key: the bare JID.
pub const ADMINS: Shelf = Shelf::map("admins");
pub static APPOINTED: StateSlot<BTreeSet<BareJid>> = StateSlot::new();

pub fn load_admins(items: &[Item]) -> BTreeSet<BareJid> {
    items.iter().filter_map(|item| BareJid::new(&item.key).ok()).collect()
}

impl HostTurn<'_> {
    /// An administrator of this domain, by configuration or by appointment.
    pub fn is_admin(&mut self, jid: &BareJid) -> bool {
        self.doors.is_configured_admin(jid) || self.state(&APPOINTED).is_some_and(|appointed| appointed.contains(jid))
    }

    /// May the one who speaks do this?
    pub fn may(&mut self, who: Who) -> bool {
        match who {
            Who::User => self.is_local() && self.from.node().is_some(),
            Who::Admin => self.is_admin(&self.from.to_bare()),
        }
    }
}
