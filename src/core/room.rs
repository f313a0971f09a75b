//! A room: one extension with one door.

use crate::mount::{Mount, MountError};

/// How much of the specification is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Complete,
    /// What is missing stands in the header of the room's file.
    Partial,
}

/// What the world is told of a room: the README's table and `doap.xml` are made of cards.
#[derive(Clone, Copy, Debug)]
pub struct Card {
    /// `None`: not a XEP.
    pub xep: Option<u16>,
    pub name: &'static str,
    /// Of the specification that was read.
    pub version: &'static str,
    pub status: Status,
    /// Rooms without which this one would lie.
    pub needs: &'static [u16],
}

#[derive(Clone, Copy)]
pub struct Room {
    pub card: Card,
    pub mount: fn(&mut Mount<'_>) -> Result<(), MountError>,
}

impl Room {
    /// A room that needs no code of its own: other rooms or the engine keep its rules.
    pub fn no_door(_: &mut Mount<'_>) -> Result<(), MountError> {
        Ok(())
    }
}
