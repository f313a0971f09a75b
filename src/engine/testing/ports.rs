//! The outside of a play: "random" numbers that count, and keys that are not worth a millisecond.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use iris_core::ports::{DerivedReply, Forget, Passwords, Ports, Stop, WebPush, WebPushReply, WebPushed};

/// `stops`: what the house was ordered. `forgotten`: what was not wanted any more among the files. `pushed`: what browsers were told.
pub(super) fn ports(stops: Stops, forgotten: Forgotten, pushed: Pushed) -> Ports {
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
    let (random, stop, forget) = (Arc::new(random), Arc::new(stop), Arc::new(forget));
    Ports { random, passwords: Arc::new(Plain), stop, forget, web_push: Arc::new(web_push) }
}

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
