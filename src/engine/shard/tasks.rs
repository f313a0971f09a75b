//! Long work: begun in a turn, polled when the store has answered, ended in a turn.

use super::*;

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
                for (read, question) in running.work.cx.take_reads() {
                    let home = self.inbound[usize::from(self.id)].clone();
                    let answer = Box::new(move |rows| home.post_one(Post::Rows { task: id, read, rows }));
                    self.store.read(after, question, answer);
                }
            }
        }
    }

    pub(super) fn rows_for_task(&mut self, task: u64, read: u32, rows: Result<Rows, StoreError>) {
        if let Some(running) = self.tasks.get(&task) {
            running.work.cx.answer(read, rows);
            self.step_task(task);
        }
    }
}

/// The turn in which the work ends.
pub(super) fn finish(entity: &mut AccountEntity, cx: &mut Ctx<'_>, asked: Option<Asked>, finish: Finish) {
    let outcome = match finish {
        Finish::Answer { before, result } => {
            if let Some(session) = asked.as_ref().and_then(|asked| asked.session) {
                cx.fx.list.extend(before.into_iter().map(|out| Effect::Out(session, out)));
            }
            Reply::Result(result)
        }
        Finish::Error(why) => Reply::Error(why),
        Finish::Done => Reply::Sent,
        Finish::Turn(then) => {
            let session = asked.as_ref().and_then(|asked| asked.session);
            path::with_turn(entity, cx, path::About { session, ..path::About::default() }, then)
        }
    };
    if let Some(asked) = asked {
        account::answer(entity, cx, asked, outcome);
    }
}
