//! Names that the engine itself looks for on the stanza path.

use iris_core::ns;
use iris_core::xml::names::{NameId, NameTable};

/// Interned once, before any stream is scanned; after that every check is an integer comparison.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    pub roster_query: NameId,
    pub session: NameId,
    pub invisible: NameId,
    pub visible: NameId,
    pub bind: NameId,
    pub stanza_id: NameId,
    pub body: NameId,
    pub sm_r: NameId,
    pub sm_a: NameId,
    pub sm_enable: NameId,
    pub sm_resume: NameId,
}

impl Known {
    pub fn intern(names: &mut NameTable) -> Known {
        Known {
            roster_query: names.intern(ns::ROSTER, "query"),
            session: names.intern(ns::SESSION, "session"),
            invisible: names.intern(ns::INVISIBLE, "invisible"),
            visible: names.intern(ns::INVISIBLE, "visible"),
            bind: names.intern(ns::BIND, "bind"),
            stanza_id: names.intern(ns::STANZA_ID, "stanza-id"),
            body: names.intern(ns::CLIENT, "body"),
            sm_r: names.intern(ns::SM, "r"),
            sm_a: names.intern(ns::SM, "a"),
            sm_enable: names.intern(ns::SM, "enable"),
            sm_resume: names.intern(ns::SM, "resume"),
        }
    }
}
