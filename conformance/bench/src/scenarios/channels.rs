//! A channel (XEP-0060): one publishes, many have subscribed.

use anyhow::{Result, ensure};

use super::flow::Flow;
use super::{Bench, users};
use crate::client::Goal;
use crate::frame;
use crate::report::Outcome;

const NODE: &str = "channel";
const PUBSUB: &str = "http://jabber.org/protocol/pubsub";

/// The next item is published when all subscribers have the last. Nothing of it is kept: what is measured is the way out.
pub fn fan_out(bench: &mut Bench) -> Result<Vec<Outcome>> {
    let (subscribers, domain) = (bench.options.occupants, &bench.options.domain);
    let service = format!("pubsub.{domain}");
    bench.pool.log_in(&users(0, subscribers + 1, "r"), Goal::Available)?;
    let field = |var: &str, value: &str| format!("<field var='{var}'><value>{value}</value></field>");
    let form = field("FORM_TYPE", &format!("{PUBSUB}#node_config")) + &field("pubsub#persist_items", "0");
    let create = format!(
        "<iq type='set' to='{service}' id='create'><pubsub xmlns='{PUBSUB}'><create node='{NODE}'/><configure>\
         <x xmlns='jabber:x:data' type='submit'>{form}</x></configure></pubsub></iq>"
    );
    is_result(&bench.pool.ask(0, "create", &create)?)?;
    for index in 1..=subscribers {
        let subscribe = format!(
            "<iq type='set' to='{service}' id='subscribe'><pubsub xmlns='{PUBSUB}'>\
             <subscribe node='{NODE}' jid='{}@{domain}'/></pubsub></iq>",
            super::user(index)
        );
        is_result(&bench.pool.ask(index, "subscribe", &subscribe)?)?;
    }
    bench.settle(1.0)?;
    let o = bench.options;
    let mut flow = Flow::new("");
    let sinks: Vec<usize> = (1..=subscribers).collect();
    flow.publishing(0, &service, NODE, &sinks);
    let (deliveries, span) = flow.closed(&mut bench.pool, 1, o.warmup, o.seconds, o.pid)?;
    let outcome = Outcome::new(&format!("channel-{subscribers}"), span.server_us(deliveries), "us");
    Ok(vec![outcome.spent(deliveries, span).note("one item at a time".into())])
}

fn is_result(answer: &[u8]) -> Result<()> {
    ensure!(frame::attribute(answer, "type") == Some(b"result"), "refused: {}", String::from_utf8_lossy(answer));
    Ok(())
}
