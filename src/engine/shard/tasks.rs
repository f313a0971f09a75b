//! Long work: begun in a turn, polled when the store has answered, ended in a turn.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use iris_core::ask::Present;
use iris_core::ports::MAIL_TIME_MAX;

use super::*;

/// An account or a domain that has not answered a task's question by then will not: it hangs on a disk, most likely.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// The port has a time of its own; this is for one that does not keep to it.
const MAIL_TIMEOUT: Duration = Duration::from_secs(MAIL_TIME_MAX.as_secs() + 5);

impl Shard {
    pub(super) fn begin(&mut self, key: Arc<str>, work: Pending) {
        let id = self.next_task;
        self.next_task += 1;
        self.tasks.insert(id, Running { key, work, after: self.last_ticket });
        self.step_task(id);
    }

    pub(super) fn step_task(&mut self, id: u64) {
        let Some(running) = self.tasks.get_mut(&id) else { return };
        match task::poll(&mut running.work.future) {
            Poll::Ready(finish) => {
                if let Some(Running { key, work, .. }) = self.tasks.remove(&id) {
                    self.inbox.push_back((key, Input::Finished(work.asked, finish)));
                }
            }
            Poll::Pending => {
                let after = if self.progress.is_refused(running.after) { 0 } else { running.after };
                for (number, question) in running.work.cx.take_questions() {
                    self.put_question(id, number, question, after);
                }
            }
        }
    }

    /// To whoever knows. The answer comes back as a post, from whatever thread.
    fn put_question(&mut self, task: u64, question: u32, what: Question, after: Ticket) {
        let home = self.inbound[usize::from(self.id)].clone();
        let answered = move |answer| home.post_one(Post::Answer { task, question, answer });
        let shards = self.inbound.len() as u16;
        match what {
            Question::Read(read) => return self.store.read(after, read, Box::new(move |rows| answered(Answered::Read(rows)))),
            Question::Derive(password) => {
                let reply = Box::new(move |keys| answered(Answered::Derived(keys)));
                return self.house.ports.passwords.derive(password, reply);
            }
            Question::WebPush(push) => {
                let reply = Box::new(move |pushed| answered(Answered::WebPushed(pushed)));
                (self.house.ports.web_push)(push, reply);
            }
            Question::Mail(mail) => {
                (self.house.ports.mailer)(mail, Box::new(move |mailed| answered(Answered::Mailed(mailed))));
                return self.arm(self.now.mono + MAIL_TIMEOUT, Timer::Question(task, question));
            }
            Question::Account(account, ask) => {
                let reply: AskReply = Box::new(move |answer| answered(Answered::Account(answer)));
                let lives = shard_of(account.as_str(), shards);
                if lives == self.id {
                    self.ask(&account, ask, reply);
                } else {
                    self.outbox[usize::from(lives)].push(Post::Ask(account, ask, reply));
                }
            }
            Question::Host(domain, _) if !self.is_host(&domain) => return answered(Answered::Done(Ok(None))),
            Question::Host(domain, f) => {
                self.in_host(&domain, f, Box::new(move |result| answered(Answered::Done(result.map(Some)))))
            }
            Question::Turn(account, f) => {
                let reply: TurnReply = Box::new(move |result| answered(Answered::Done(result)));
                let lives = shard_of(account.as_str(), shards);
                if lives == self.id {
                    self.in_account(&account, f, reply);
                } else {
                    self.outbox[usize::from(lives)].push(Post::InAccount(account, f, reply));
                }
            }
            Question::Present(domain) => {
                let parts = Arc::new(Mutex::new((self.inbound.len(), Vec::new(), Some(answered))));
                for shard in &self.inbound {
                    let parts = parts.clone();
                    let reply = move |found: Vec<Present>| {
                        let mut parts = parts.lock().unwrap_or_else(PoisonError::into_inner);
                        parts.0 -= 1;
                        parts.1.extend(found);
                        if parts.0 == 0 {
                            let all = std::mem::take(&mut parts.1);
                            if let Some(answered) = parts.2.take() {
                                answered(Answered::Present(all));
                            }
                        }
                    };
                    shard.post_one(Post::Survey(domain.clone(), Box::new(reply)));
                }
            }
        }
        self.arm(self.now.mono + ANSWER_TIMEOUT, Timer::Question(task, question));
    }

    pub(super) fn answer_task(&mut self, task: u64, question: u32, answer: Answered) {
        if let Some(running) = self.tasks.get(&task)
            && running.work.cx.answer(question, answer)
        {
            self.step_task(task);
        }
    }
}

/// The turn in which the work ends.
pub(super) fn finish(entity: &mut AccountEntity, cx: &mut Ctx<'_>, asked: Option<Asked>, finish: Finish) {
    let outcome = match finish {
        Finish::Answer { before, result } => {
            match &asked {
                Some(Asked { session: Some(session), .. }) => {
                    cx.fx.list.extend(before.into_iter().map(|out| Effect::Out(*session, out)));
                }
                // Somebody else has asked: it goes to their session in one piece.
                Some(asked) if !before.is_empty() => {
                    cx.fx.list.push(Effect::Burst(asked.envelope.from.clone(), before));
                }
                _ => {}
            }
            Reply::Result(result)
        }
        Finish::Error(why) => Reply::Error(why),
        Finish::Done => Reply::Sent,
        // Work of a domain; an account began none of it.
        Finish::HostTurn(_) => Reply::Error(Bounce::new(Condition::InternalServerError)),
        Finish::Turn(then) => {
            let session = asked.as_ref().and_then(|asked| asked.session);
            path::with_turn(entity, cx, path::About { session, ..path::About::default() }, then)
        }
    };
    if let Some(asked) = asked {
        account::answer(entity, cx, asked, outcome);
    }
}
