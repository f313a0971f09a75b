//! The errors of the text, each with its pubsub-specific condition (section 11).

use iris_core::xml::escape_attr;
use iris_core::{Bounce, Condition, ErrorType};

use super::ERRORS;

fn with(condition: Condition, kind: ErrorType, specific: &str) -> Bounce {
    Bounce::new(condition).kind(kind).extra(format!("<{specific} xmlns='{ERRORS}'/>"))
}

pub fn bad_request(specific: &str) -> Bounce {
    with(Condition::BadRequest, ErrorType::Modify, specific)
}

pub fn not_acceptable(specific: &str) -> Bounce {
    with(Condition::NotAcceptable, ErrorType::Modify, specific)
}

pub fn not_authorized(specific: &str) -> Bounce {
    with(Condition::NotAuthorized, ErrorType::Auth, specific)
}

pub fn forbidden() -> Bounce {
    Bounce::new(Condition::Forbidden)
}

pub fn not_found() -> Bounce {
    Bounce::new(Condition::ItemNotFound)
}

/// 6.1.3.5.
pub fn closed_node() -> Bounce {
    with(Condition::NotAllowed, ErrorType::Cancel, "closed-node")
}

/// 7.1.3.4.
pub fn node_full() -> Bounce {
    with(Condition::Conflict, ErrorType::Cancel, "node-full")
}

/// 7.1.5.
pub fn precondition_not_met(why: &str) -> Bounce {
    with(Condition::Conflict, ErrorType::Cancel, "precondition-not-met").text(why)
}

/// 6.1.3.9.
pub fn too_many_subscriptions() -> Bounce {
    with(Condition::PolicyViolation, ErrorType::Wait, "too-many-subscriptions")
}

/// XEP-0248 7.2.3.
pub fn not_allowed(specific: &str) -> Bounce {
    with(Condition::NotAllowed, ErrorType::Cancel, specific)
}

/// 6.2.3.2.
pub fn not_subscribed() -> Bounce {
    with(Condition::UnexpectedRequest, ErrorType::Cancel, "not-subscribed")
}

pub fn unsupported(feature: &str) -> Bounce {
    let specific = format!("<unsupported xmlns='{ERRORS}' feature='{}'/>", escape_attr(feature));
    Bounce::new(Condition::FeatureNotImplemented).extra(specific)
}

/// A quota of the service: later, or with less, it may work.
pub fn quota(why: &str) -> Bounce {
    Bounce::new(Condition::ResourceConstraint).text(why)
}
