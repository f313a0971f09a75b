//! The errors of the text, each with its pubsub-specific condition (section 11).

use iris_core::xml::escape_attr;
use iris_core::{Bounce, Changed, Condition, ErrorType};

use super::{ERRORS, Quotas};

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

/// 6.1.3.11: it has moved for good.
pub fn gone(uri: &str) -> Bounce {
    Bounce::new(Condition::Gone).kind(ErrorType::Modify).address(uri)
}

/// 6.1.3.5.
pub fn closed_node() -> Bounce {
    with(Condition::NotAllowed, ErrorType::Cancel, "closed-node")
}

/// 7.1.3.4.
pub fn node_full(items_max: usize) -> Bounce {
    let full = with(Condition::Conflict, ErrorType::Cancel, "node-full");
    full.limit(format!("this node keeps {items_max} items (pubsub#max_items) and takes no more"), Changed::ByOwners("node"))
}

/// 7.1.3.5: the owner's limit, or what the service lets any node have.
pub fn payload_too_big(of_node: usize, of_service: usize) -> Bounce {
    let big = not_acceptable("payload-too-big");
    if of_node < of_service {
        let what = format!("an item of this node has at most {of_node} bytes (pubsub#max_payload_size)");
        return big.limit(what, Changed::ByOwners("node"));
    }
    big.limit(format!("an item has at most {of_service} bytes"), Changed::ByOperator)
}

/// 7.1.5.
pub fn precondition_not_met(why: &str) -> Bounce {
    with(Condition::Conflict, ErrorType::Cancel, "precondition-not-met").text(why)
}

/// 6.1.3.9.
pub fn too_many_subscribers(quotas: &Quotas) -> Bounce {
    let what = format!("a node has at most {} subscriptions", quotas.subscriptions_per_node_max);
    too_many_subscriptions().limit(what, Changed::ByOperator)
}

/// The same: of people whose server says itself how many there are.
pub fn too_many_of_server(quotas: &Quotas, domain: &str) -> Bounce {
    let what = format!("people of {domain} have at most {} subscriptions to a node", quotas.subscriptions_per_server_max);
    too_many_subscriptions().limit(what, Changed::ByOperator)
}

/// The same: their own.
pub fn too_many_of_one(quotas: &Quotas) -> Bounce {
    let what = format!("one person has at most {} subscriptions to a node", quotas.subscriptions_per_person_max);
    too_many_subscriptions().limit(what, Changed::ByNobody("unsubscribe another address first"))
}

fn too_many_subscriptions() -> Bounce {
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
pub fn quota(what: impl std::fmt::Display) -> Bounce {
    Bounce::over(what, Changed::ByOperator)
}
