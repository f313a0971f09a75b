//! What is said to whoever reaches a limit: which one it is, and who can change it. There is no way to say one without the other.

use std::fmt;

use crate::error::{Bounce, Condition};

/// Who can change a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed<'a> {
    /// A key of the configuration.
    ByOperator,
    /// The plan of this name.
    ByPlan(&'a str),
    /// A plan whose name is not known where this is said.
    BySomePlan,
    /// Those who own it: "room", "node".
    ByOwners(&'a str),
    /// The same for everybody; what helps.
    ByNobody(&'a str),
}

impl fmt::Display for Changed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Changed::ByOperator => f.write_str("whoever runs this server can change that"),
            Changed::ByPlan(plan) => write!(f, "that is the plan \"{plan}\", and whoever runs this server gives plans"),
            Changed::BySomePlan => f.write_str("your plan says so, and whoever runs this server gives plans"),
            Changed::ByOwners(of) => write!(f, "the owners of the {of} can change that"),
            Changed::ByNobody(help) => write!(f, "that is the same for everybody: {help}"),
        }
    }
}

/// `what`: the limit, with its number and unit.
pub fn text(what: impl fmt::Display, changed: Changed<'_>) -> String {
    format!("{what}; {changed}")
}

impl Bounce {
    /// A limit is reached: `resource-constraint`.
    pub fn over(what: impl fmt::Display, changed: Changed<'_>) -> Bounce {
        Bounce::new(Condition::ResourceConstraint).limit(what, changed)
    }

    /// The same, where the text of a specification wants another condition.
    pub fn limit(self, what: impl fmt::Display, changed: Changed<'_>) -> Bounce {
        self.text(text(what, changed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_reaches_a_limit_hears_which_and_who_can_change_it() {
        for (changed, who) in [
            (Changed::ByOperator, "whoever runs this server"),
            (Changed::ByPlan("small"), "plan \"small\""),
            (Changed::BySomePlan, "your plan"),
            (Changed::ByOwners("room"), "the owners of the room"),
            (Changed::ByNobody("remove one first"), "the same for everybody: remove one first"),
        ] {
            let why = Bounce::over("a room has at most 3 hats", changed);
            let text = why.text.expect("a text");
            assert_eq!(why.condition, Condition::ResourceConstraint);
            assert!(text.starts_with("a room has at most 3 hats; ") && text.contains(who), "{text}");
        }
        let why = Bounce::new(Condition::NotAcceptable).limit("a nickname has at most 128 bytes", Changed::ByOperator);
        assert_eq!(why.condition, Condition::NotAcceptable);
    }
}
