//! A domain that is a program of its own (XEP-0114). What is sent to any of its addresses goes to the session of its stream; what it
//! says comes from any of its addresses.

use std::sync::Arc;

use iris_core::effects::{Effect, Out, StreamError, To};
use iris_core::error::{Bounce, Condition};
use iris_core::xml::wire;
use iris_core::{Envelope, Kind, Receipt, SessionRef, Stanza};

use crate::domain::{Around, DomainEntity, Outcome};

impl DomainEntity {
    /// Everything that is for it.
    pub(crate) fn hear_for_component(&mut self, cx: &mut Around<'_>, envelope: Box<Envelope>) -> Outcome {
        let Some(at) = self.link else {
            return match envelope.stanza.kind() {
                Kind::Presence => Outcome::Done(envelope),
                _ => {
                    let why =
                        Bounce::new(Condition::ServiceUnavailable).text("the program behind this address is not connected");
                    Outcome::Bounce(envelope, why)
                }
            };
        };
        let wire = Arc::new(wire::render_to(&envelope.stanza, &envelope.stamps, envelope.to.as_str()));
        let mut out = Out { after: envelope.after, ..Out::new(wire, To::Nobody) };
        if crate::account::reply::answerable(&envelope.stanza) {
            out.origin = Some(Arc::new(iris_core::effects::Undelivered {
                stanza: envelope.stanza.clone(),
                from: envelope.from.clone(),
                to: envelope.to.clone(),
                stamps: envelope.stamps.clone(),
                kept_id: None,
                shared: Vec::new(),
                said: None,
            }));
        }
        cx.fx.list.push(Effect::Out(at, out));
        Outcome::Done(envelope)
    }

    /// What it says. It speaks for all of its domain, and for nobody else.
    pub(crate) fn hear_component(&mut self, cx: &mut Around<'_>, at: SessionRef, stanza: Arc<Stanza>, receipt: Receipt) {
        if self.link != Some(at) {
            return cx.fx.list.push(Effect::Settle(receipt.settle()));
        }
        let from = match stanza.from_jid() {
            Ok(Some(from)) if from.domain() == self.jid.domain() => from,
            // A name that somebody of another network has, and that is none here, is not worth the stream of all others.
            Err(_) if stanza.from().is_some_and(|from| self.would_be_own(&from)) => {
                let why = Bounce::new(Condition::JidMalformed).text("the \"from\" of this stanza is no address");
                return cx.fx.list.push(Effect::Settle(receipt.refuse(why)));
            }
            _ => {
                cx.fx.list.push(Effect::Settle(receipt.settle()));
                let why = StreamError::new("invalid-from").text(format!("you are {}, and speak for nobody else", self.jid));
                return cx.fx.list.push(Effect::End(at, why));
            }
        };
        let why = match stanza.to_jid() {
            Ok(Some(to)) => {
                let mut envelope = Envelope::new(stanza, from, to);
                envelope.receipt = Some(receipt);
                return cx.fx.list.push(Effect::Send(envelope));
            }
            // Section 3: whoever speaks for a whole domain says to whom.
            Ok(None) => Bounce::bad_request("a component's stanza has a \"to\""),
            Err(_) => Bounce::new(Condition::JidMalformed),
        };
        cx.fx.list.push(Effect::Settle(receipt.refuse(why)));
    }

    /// Is what stands where an address has its domain our domain? The name before it may be anything, so the last `@` counts.
    fn would_be_own(&self, from: &str) -> bool {
        let bare = iris_core::jids::bare(from);
        let domain = bare.rsplit_once('@').map_or(bare, |(_, domain)| domain);
        let domain = jid::DomainPart::new(domain.strip_suffix('.').unwrap_or(domain));
        domain.is_ok_and(|domain| &*domain == self.jid.domain())
    }
}
