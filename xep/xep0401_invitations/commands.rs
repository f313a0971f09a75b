//! The two commands: a link of a user's own (section 4.1), and a link for an account that an administrator gives (4.4).

use iris_core::command::{Command, Done, Stage, Who};
use iris_core::form::{Field, Form, Submitted};
use iris_core::invitation::{Invitation, Purpose, Refusal, Token};
use iris_core::registration::{Refused, names};
use iris_core::time::datetime;
use iris_core::{Ask, AskAnswer, BareJid, Bounce, Changed, Cx, Mount, MountError};

use super::{Settings, invite};

const INVITE: &str = "urn:xmpp:invite#invite";
const CREATE_ACCOUNT: &str = "urn:xmpp:invite#create-account";
const INVITATION: &str = "urn:xmpp:invite#invitation";

/// How the QR code is best shown; the picture is that large or a little larger.
const QR_PIXELS: u16 = 240;

pub(super) fn mount(m: &mut Mount<'_>, settings: &Settings, page: &str) -> Result<(), MountError> {
    let (of_user, of_admin) = ((settings.clone(), page.to_owned()), (settings.clone(), page.to_owned()));
    let who = if settings.users_may_invite { Who::User } else { Who::Admin };
    m.command(Command::plain(INVITE, "Invite somebody", who, move |stage, cx| contact(stage, cx, of_user.clone())))?;
    m.command(Command::form(CREATE_ACCOUNT, "Invite somebody to an account", Who::Admin, form, move |stage, answers, cx| {
        account(stage, answers, cx, of_admin.clone())
    }))
}

async fn contact(stage: Stage, cx: Cx, settings: (Settings, String)) -> Result<Done, Bounce> {
    let inviter = stage.caller.to_bare();
    make(&cx, &stage, settings, Purpose::Contact, Some(inviter.clone()), Some(inviter)).await
}

fn form() -> Form {
    Form::new("Invite somebody to an account", "Without a name, whoever is invited chooses one.")
        .field(Field::text("username", "User name"))
        .field(Field::boolean("roster-subscription", "The new account is a contact of yours", false))
}

async fn account(stage: Stage, answers: Submitted, cx: Cx, settings: (Settings, String)) -> Result<Done, Bounce> {
    let inviter = stage.caller.to_bare();
    let username = match answers.text("username").filter(|name| !name.trim().is_empty()) {
        None => None,
        Some(name) => {
            let jid = names::address(name, &stage.domain).map_err(|why| why.bounce())?;
            if let AskAnswer::Credentials(Some(_)) = cx.ask(jid.clone(), Ask::Credentials).await {
                return Err(Refused::UsernameTaken.bounce());
            }
            jid.node().map(|node| node.as_str().to_owned())
        }
    };
    let contact = (answers.boolean("roster-subscription") == Some(true)).then(|| inviter.clone());
    make(&cx, &stage, settings, Purpose::Account { username }, Some(inviter), contact).await
}

async fn make(
    cx: &Cx,
    stage: &Stage,
    (settings, page): (Settings, String),
    purpose: Purpose,
    inviter: Option<BareJid>,
    contact: Option<BareJid>,
) -> Result<Done, Bounce> {
    let made = cx.host(&stage.domain, move |turn| invite(turn, &settings, purpose, inviter, contact, None));
    match made.await.map_err(Bounce::from)? {
        Ok((token, invitation)) => Ok(Done::empty().form(&result(&stage.domain, &page, &token, &invitation))),
        Err(Refusal::TooMany) => {
            Err(Bounce::over("There are as many open invitations of yours as there may be", Changed::ByOperator))
        }
        Err(why) => Err(Refused::from(why).bounce()),
    }
}

/// Section 4.1: the same for both.
fn result(domain: &str, page: &str, token: &Token, invitation: &Invitation) -> Form {
    let mut form = Form::new("Invitation", "Give this link to one person. It works once.").of_type(INVITATION);
    if let Some(uri) = invitation.uri(domain, token) {
        form = form.field(Field::text("uri", "Link for an app").value(uri));
    }
    if !page.is_empty() {
        let link = format!("{page}{}", token.as_str());
        let code = format!("{link}/qr.png");
        let field = Field::text("landing-url", "Link for a browser").value(link);
        form = form.field(field.picture(code, "image/png", QR_PIXELS));
    }
    form.field(Field::text("expire", "Works until").value(datetime(invitation.expires_us)))
}
