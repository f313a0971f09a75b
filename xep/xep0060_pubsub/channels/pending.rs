//! 8.7: the requests that wait for an owner, by an ad-hoc command.

use iris_core::command::{Command, Done, Next, Note, Who};
use iris_core::form::{Field, Form};
use iris_core::{Bounce, Condition};

use super::{CHANNELS, answer, deliver};

const NODE: &str = "http://jabber.org/protocol/pubsub#get-pending";
const FORM_TYPE: &str = "http://jabber.org/protocol/pubsub#subscribe_authorization";
const FIELD: &str = "pubsub#node";

pub(super) fn command() -> Command {
    Command::new(NODE, "Requests to subscribe to my channels", Who::User, |stage, cx| async move {
        let caller = stage.caller.clone();
        let service = stage.domain.clone();
        match stage.form {
            None => {
                let who = answer::stranger(&caller);
                let ask = move |turn: &mut iris_core::HostTurn<'_>| {
                    let nobody = || Err(Bounce::new(Condition::InternalServerError));
                    turn.state(&CHANNELS).map_or_else(nobody, |it| it.service.awaited(&who))
                };
                let nodes = cx.host(&service, ask).await??;
                if nodes.is_empty() {
                    return Ok(Next::Done(Done::empty().note(Note::Info, "Nobody waits for you.")));
                }
                let options = nodes.iter().map(|node| (node.to_string(), node.to_string()));
                let field = Field::choice(FIELD, "Node", options).required();
                Ok(Next::ask(Form::new("Requests to subscribe", "Choose a node.").of_type(FORM_TYPE).field(field)))
            }
            Some(answers) => {
                let node = answers.text(FIELD).unwrap_or_default().to_owned();
                let send = move |turn: &mut iris_core::HostTurn<'_>| -> Result<(), Bounce> {
                    let (house, now) = (turn.house, turn.now);
                    let mint = move || house.clock.mint(now).0;
                    let who = answer::stranger(&caller);
                    let Some(channels) = turn.state(&CHANNELS) else {
                        return Err(Bounce::new(Condition::InternalServerError));
                    };
                    for (xml, id) in channels.service.requests(&who, &node, &mint)? {
                        if let Some(stanza) = deliver::message(turn, &xml, "normal", Some(&id)) {
                            turn.send_stanza(caller.clone(), stanza);
                        }
                    }
                    Ok(())
                };
                cx.host(&service, send).await??;
                Ok(Next::Done(Done::empty()))
            }
        }
    })
}
