//! The end of an account, at those to whom it was something (`Doors::farewells`): rooms it belonged to, nodes it owned.
//!
//! The set that removes the account leaves a record under its name. As long as the record is there, whatever is said to the name waits
//! (so nobody is given it) until everybody has been told and has it on disk; then the record goes. What a crash or a full disk
//! interrupts is done anew when the name is next read: at the start of the house, or when somebody asks for it.

use iris_core::store::{OwnerId, Write, WriteSet};
use iris_core::task::Cx;

use super::*;

/// What a removal adds to its set of writes.
pub(super) fn owe(entity: &AccountEntity, cx: &mut Ctx<'_>) {
    if entity.doors.farewells.is_empty() {
        return;
    }
    let (owner, name) = (OwnerId(cx.house.clock.mint(cx.now).0), entity.bare.clone());
    cx.fx.write.push(Write::Own { owner, name });
    cx.fx.write.push(Write::Put { owner, shelf: login::FAREWELL, key: Arc::from(""), value: bytes::Bytes::new() });
    // The name is read again after the commit.
    cx.fx.list.push(Effect::TellAccount(entity.jid.clone(), Box::new(|_| Box::new(()))));
}

impl Shard {
    /// The record was found: everybody is told. What waits goes on waiting.
    pub(super) fn say_farewell(&mut self, key: Arc<str>, jid: &BareJid, doors: &Doors, owner: OwnerId) {
        let cx = Cx::default();
        let told: Vec<_> = doors.farewells.iter().map(|tell| tell(jid.clone(), cx.clone())).collect();
        let (home, name) = (self.inbound[usize::from(self.id)].clone(), key.clone());
        let future = Box::pin(async move {
            let mut outcome = Ok(());
            for telling in told {
                // One that cannot be told keeps no other from it.
                outcome = outcome.and(telling.await);
            }
            home.post_one(Post::Parted(name, owner, outcome));
            Finish::Done
        });
        self.begin(key, Pending { future, cx, asked: None });
    }

    /// Everybody has it on disk: the name is free, once the record is gone.
    pub(super) fn parted(&mut self, key: Arc<str>, owner: OwnerId, outcome: Result<(), StoreError>) {
        if let Err(error) = outcome {
            tracing::warn!(%error, "not everybody could be told that an account has ended: its name stays taken until they are");
            return self.loaded(key, Err(StoreError::Unavailable(error.to_string())));
        }
        let mut set = WriteSet::default();
        set.push(Write::Disown { owner });
        self.last_ticket = self.store.submit(set, self.progress.epoch);
        let home = self.inbound[usize::from(self.id)].clone();
        let then: AfterCommit = Box::new(move |kept| {
            let rows = kept.map(|()| Rows::Woken(None)).map_err(|why| StoreError::Unavailable(why.to_string()));
            home.post_one(Post::Woken(key, rows));
        });
        self.when_committed(self.last_ticket, then);
    }
}
