//! What a company expects of its server and no XEP describes. One room per file or folder, as in `xep/`; rooms of the two know of each
//! other only what core says (`conversation`, `mailing`).

use iris_core::Room;

mod conversation_mail;

pub const ROOMS: &[Room] = &[conversation_mail::ROOM];
