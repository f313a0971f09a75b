//! XEP-0363: HTTP File Upload - files of any size, put once and fetched by everybody who was given their address.
//! Spec 1.2.0, https://xmpp.org/extensions/xep-0363.html. Not done: nothing. Where the same bytes are stored once (`[files]
//! deduplicate`), each still is uploaded whole and counts for each who has it, so nobody finds out whether somebody else has a file.
//!
//! Here are the slots and the shelf of each account; what is put and fetched goes through `iris-web`, and between the two stands
//! `src/sharing.rs`. The service is there when the configuration has a web side that people can reach, and not otherwise.

use iris_core::form::{Field, Form};
use iris_core::task::Finish;
use iris_core::xml::{Build, El};
use iris_core::{
    At, Bounce, Card, Condition, Cx, Event, GetOrSet, HostTurn, Mount, MountError, Reply, Room, Status, ports::Forget,
};
use serde::Deserialize;

use crate::xep0030_disco as disco;

mod commands;
mod file;
mod seal;
mod shelf;
#[cfg(test)]
mod tests;

pub use file::{File, Purpose, is_content_type, percent_encoded, same_type, stamp};
pub use seal::{Pass, Seal, Slot};
use shelf::SPENT;
pub use shelf::{Denied, Listed, SHELF, UPLOAD_US, abandon, admits, begin, keep, list, remove};

pub const NS: &str = "urn:xmpp:http:upload:0";
/// Section 4.
pub const PURPOSE: &str = "urn:xmpp:http:upload:purpose:0";
/// Where files are put and fetched, on the web side of a domain.
pub const PATH: &str = "/upload/";

pub const ROOM: Room = Room {
    card: Card { xep: Some(363), name: "HTTP File Upload", version: "1.2.0", status: Status::Complete, needs: &[30] },
    mount,
};

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub service: String,
    pub expire_days: u64,
    pub files_per_user_max: usize,
    pub bytes_per_day_max: u64,
    pub profile_bytes_max: u64,
    pub profile_file_bytes_max: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            service: "upload".into(),
            expire_days: 0,
            files_per_user_max: 5_000,
            bytes_per_day_max: 0,
            profile_bytes_max: 50 * 1024 * 1024,
            profile_file_bytes_max: 10 * 1024 * 1024,
        }
    }
}

impl iris_core::mount::Settings for Settings {
    const TABLE: &'static str = "upload";
    const REFERENCE: &'static str = "\
# The first part of the address of the service: upload.DOMAIN. What one user may keep, and how large a file may be, says the plan
# ([plans]).
service = \"upload\"
# Files that are sent in messages are removed after so many days; 0 keeps them. Pictures of people and what is published stay. What
# is there already keeps the time that it was given.
expire_days = 0
# Files of one user.
files_per_user_max = 5000
# What one user may upload in 24 hours, in bytes, what was removed meanwhile too; 0: no limit but the plan's.
bytes_per_day_max = 0
# Files for profiles (purpose \"profile\"): all of one user together, and one.
profile_bytes_max = 52428800
profile_file_bytes_max = 10485760
";
}

fn mount(m: &mut Mount<'_>) -> Result<(), MountError> {
    let settings = m.config::<Settings>()?;
    m.check_label::<Settings>(&settings.service)?;
    m.rules(settings.clone());
    // The shelf is there whatever the configuration says today: what lies on it can be seen, removed and moved out.
    m.shelf(SHELF)?;
    m.shelf(SPENT)?;
    m.state(&shelf::FILES, &[SHELF, SPENT], shelf::Files::load)?;
    m.on_event(Event::AccountRemoved, |turn| {
        let forget = turn.house.ports.forget.clone();
        turn.fx.list.push(iris_core::effects::Effect::AfterCommit(Box::new(move |kept| {
            if kept.is_ok() {
                forget(Forget::OfNobody);
            }
        })));
    });
    let Some(site) = m.site() else { return Ok(()) };
    commands::mount(m, &site)?;
    m.serve(&settings.service, |s| {
        // Section 2. The largest file is told as the domain's plan has it; who has another plan is told by the error.
        let most = s.plan().one_file_bytes_max().to_string();
        s.disco_form(At::Host, Form::default().of_type(NS).field(Field::text("max-file-size", "").value(most)).to_tell());
        s.identity(At::Host, "store", "file", Some("HTTP File Upload"));
        s.feature(At::Host, NS);
        for purpose in Purpose::ALL {
            s.feature(At::Host, &format!("{PURPOSE}#{}", purpose.as_str()));
        }
        disco::plain_service(s)?;
        s.host_iq_named(GetOrSet::Get, NS, "request", move |turn, request| slot(turn, &request, &site))
    })
}

/// Section 3.
fn slot(turn: &mut HostTurn<'_>, request: &El<'_>, site: &str) -> Reply {
    if !turn.is_local() || turn.from.node().is_none() {
        let text = "Files can be uploaded by those who have an account here.";
        return Bounce::new(Condition::Forbidden).text(text).into();
    }
    let wanted = match file::Wanted::read(request) {
        Ok(wanted) => wanted,
        Err(why) => return Bounce::bad_request(&why).into(),
    };
    let (user, site, seal) = (turn.from.to_bare(), site.to_owned(), Seal::new(turn.house.ids.secret()));
    Reply::Task(Box::new(move |cx: Cx| {
        Box::pin(async move {
            match cx.account(user, move |turn| shelf::promise(turn, &wanted)).await {
                Ok(Some(Ok(slot))) => {
                    Finish::Answer { before: Vec::new(), result: answer(&slot, &seal.sign_slot(&slot), &site) }
                }
                Ok(Some(Err(bounce))) => Finish::Error(bounce),
                Ok(None) => Finish::Error(Bounce::new(Condition::Forbidden)),
                Err(why) => Finish::Error(why.into()),
            }
        })
    }))
}

fn answer(slot: &Slot, token: &str, site: &str) -> String {
    let url = url(site, slot);
    let mut xml = Build::new();
    xml.open_ns("slot", NS);
    xml.open("put").attr("url", &url);
    xml.open("header").attr("name", "Authorization").text(&format!("Bearer {token}")).close();
    xml.close();
    xml.open("get").attr("url", &url).close();
    String::from_utf8_lossy(&xml.finish()).into_owned()
}

fn url(site: &str, slot: &Slot) -> String {
    url_of(site, slot.id, &slot.file.name)
}

/// "Non ASCII characters MUST be percent-encoded" (section 3).
pub fn url_of(site: &str, id: iris_core::blobs::BlobId, name: &str) -> String {
    format!("{site}{PATH}{id}/{}", percent_encoded(name))
}
