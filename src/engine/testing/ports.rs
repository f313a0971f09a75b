//! The outside of a play: "random" numbers that count, and keys that are not worth a millisecond.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use iris_core::ports::{
    DerivedReply, Forget, Mail, MailReply, Mailed, Passwords, Ports, Stop, WebPush, WebPushReply, WebPushed,
};

/// `stops`: what the house was ordered. `forgotten`: what was not wanted any more among the files. `pushed`: what browsers were told.
/// `mails`: what the mail server was given.
pub(super) fn ports(stops: Stops, forgotten: Forgotten, pushed: Pushed, mails: Mails) -> Ports {
    let counter = AtomicU64::new(1);
    let random = move |bytes: &mut [u8]| {
        let number = counter.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        bytes.iter_mut().rev().zip(number.iter().rev()).for_each(|(byte, digit)| *byte = *digit);
    };
    let stop = move |what, after| {
        stops.lock().expect("the orders").push((what, after));
        Ok(())
    };
    let forget = move |what| forgotten.lock().expect("what is forgotten").push(what);
    // The service answers as the address says.
    let web_push = move |push: WebPush, reply: WebPushReply| {
        let answer = match push.endpoint.rsplit('/').next() {
            Some("gone") => WebPushed::Gone,
            Some("waits") => WebPushed::Waits,
            Some("later") => WebPushed::Later,
            Some("refused") => WebPushed::Refused,
            _ => WebPushed::Taken,
        };
        pushed.lock().expect("what is pushed").push(push);
        reply(answer);
    };
    // The mail server answers as the address says; one hangs until the play lets it go on.
    let mailer = move |mail: Mail, reply: MailReply| {
        let mut mails = mails.lock().expect("the mails");
        let answer = match mail.to.split('@').next() {
            Some("busy") => Mailed::Busy,
            Some("unreachable") => Mailed::Unreachable,
            Some("login-refused") => Mailed::LoginRefused,
            Some("recipient-refused") => Mailed::RecipientRefused,
            Some("too-large") => Mailed::TooLarge,
            Some("refused") => Mailed::Refused,
            Some("unknown") => Mailed::Unknown,
            Some("hangs") => {
                mails.hanging.push(reply);
                return mails.sent.push(mail);
            }
            _ => Mailed::Taken,
        };
        mails.sent.push(mail);
        drop(mails);
        reply(answer);
    };
    let (random, stop, forget) = (Arc::new(random), Arc::new(stop), Arc::new(forget));
    Ports { random, passwords: Arc::new(Plain), stop, forget, web_push: Arc::new(web_push), mailer: Arc::new(mailer) }
}

/// What the mail server was given, and whom it has not answered yet.
#[derive(Default)]
pub struct MailServer {
    pub sent: Vec<Mail>,
    pub hanging: Vec<MailReply>,
}

pub type Mails = Arc<Mutex<MailServer>>;

pub type Pushed = Arc<Mutex<Vec<WebPush>>>;

pub type Forgotten = Arc<Mutex<Vec<Forget>>>;

pub type Stops = Arc<Mutex<Vec<(Stop, Duration)>>>;

/// "Keys" that a play can look at: the password itself behind a word.
struct Plain;

impl Passwords for Plain {
    fn derive(&self, password: String, reply: DerivedReply) {
        reply(match password.is_empty() {
            true => Err("the password is empty".into()),
            false => Ok(format!("keys of {password}").into()),
        });
    }
}
