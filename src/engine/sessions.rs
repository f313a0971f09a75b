//! All sessions of a shard, by slot. A generation tells a slot used again from the session that was meant.

use iris_core::SessionRef;

use crate::account::session::Session;

#[derive(Default)]
pub struct Sessions {
    shard: u16,
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// Ended in this turn: their pipes are to be woken.
    pub ended: Vec<SessionRef>,
}

#[derive(Default)]
struct Slot {
    generation: u32,
    session: Option<Box<Session>>,
}

impl Sessions {
    pub fn of_shard(shard: u16) -> Sessions {
        Sessions { shard, ..Sessions::default() }
    }

    /// Make room; the session is built knowing its own reference.
    pub fn insert(&mut self, build: impl FnOnce(SessionRef) -> Session) -> SessionRef {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() as u32 - 1
        });
        let place = &mut self.slots[slot as usize];
        let this = SessionRef { shard: self.shard, slot, generation: place.generation };
        place.session = Some(Box::new(build(this)));
        this
    }

    pub fn get(&self, at: SessionRef) -> Option<&Session> {
        let slot = self.slots.get(at.slot as usize)?;
        if slot.generation != at.generation { None } else { slot.session.as_deref() }
    }

    pub fn get_mut(&mut self, at: SessionRef) -> Option<&mut Session> {
        let slot = self.slots.get_mut(at.slot as usize)?;
        if slot.generation != at.generation { None } else { slot.session.as_deref_mut() }
    }

    pub fn remove(&mut self, at: SessionRef) -> Option<Box<Session>> {
        let slot = self.slots.get_mut(at.slot as usize)?;
        if slot.generation != at.generation {
            return None;
        }
        let session = slot.session.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(at.slot);
        Some(session)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Session> {
        self.slots.iter().filter_map(|slot| slot.session.as_deref())
    }

    pub fn iter_refs(&self) -> impl Iterator<Item = SessionRef> + '_ {
        self.slots.iter().filter_map(|slot| slot.session.as_ref().map(|session| session.card.this))
    }

    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
