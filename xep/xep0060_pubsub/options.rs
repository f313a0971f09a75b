//! What a subscriber may choose (6.3, 16.4.2, XEP-0248 6.1).

use iris_core::time::{datetime, parse_datetime};
use iris_core::xml::{Build, El};
use iris_core::{Bounce, ns};

use super::form::{self, Filled, boolean};
use super::{SUBSCRIBE_OPTIONS, error};

/// XEP-0248 6.1: what of the nodes below a collection is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Nodes,
    Items,
    All,
}

impl Kind {
    const WORDS: [(&'static str, Kind); 3] = [("nodes", Kind::Nodes), ("items", Kind::Items), ("all", Kind::All)];

    fn as_str(self) -> &'static str {
        Kind::WORDS.iter().find(|(_, it)| *it == self).map_or("", |(word, _)| word)
    }

    fn parse(word: &str) -> Option<Kind> {
        Kind::WORDS.iter().find(|(it, _)| *it == word).map(|(_, it)| *it)
    }

    pub fn has(self, subject: Subject) -> bool {
        matches!((self, subject), (Kind::All, _) | (Kind::Nodes, Subject::Node) | (Kind::Items, Subject::Items))
    }
}

/// What a piece of news is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    Items,
    Node,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    pub deliver: bool,
    /// A `<body/>` beside the payload.
    pub include_body: bool,
    /// The end of a lease (12.18), in microseconds since 1970.
    pub expire_us: Option<u64>,
    pub kind: Kind,
    /// How far below the collection; `None`: however far.
    pub depth: Option<u32>,
}

impl Default for Options {
    fn default() -> Options {
        Options { deliver: true, include_body: false, expire_us: None, kind: Kind::Nodes, depth: Some(1) }
    }
}

const DELIVER: &str = "pubsub#deliver";
const INCLUDE_BODY: &str = "pubsub#include_body";
const EXPIRE: &str = "pubsub#expire";
const TYPE: &str = "pubsub#subscription_type";
const DEPTH: &str = "pubsub#subscription_depth";
const SHOW_VALUES: &str = "pubsub#show-values";
/// Registered, and not to be had here: with the values that say what is done all the same.
const FIXED: &[(&str, &[&str])] = &[("pubsub#digest", &["0", "false"]), ("pubsub#digest_frequency", &["0", ""])];

impl Options {
    /// What somebody wants changed, all of it or nothing (6.3.6). A cancelled form changes nothing.
    pub fn apply(&self, filled: &Filled, now_us: u64) -> Result<Options, Bounce> {
        let mut options = self.clone();
        if filled.cancelled {
            return Ok(options);
        }
        for (var, values) in &filled.fields {
            // Who wants news in each of these states, or says nothing, has what is done here.
            if var == SHOW_VALUES {
                let all = ["away", "chat", "dnd", "online", "xa"].iter().all(|show| values.iter().any(|it| it == show));
                if !all && !values.is_empty() {
                    return Err(invalid("news come whatever the subscriber's presence is"));
                }
                continue;
            }
            let value = match values.as_slice() {
                [value] => value.as_str(),
                [] => "",
                _ => return Err(invalid(&format!("{var} has one value"))),
            };
            let good = match var.as_str() {
                DELIVER => boolean(value).map(|on| options.deliver = on),
                INCLUDE_BODY => boolean(value).map(|on| options.include_body = on),
                EXPIRE if value.is_empty() => {
                    options.expire_us = None;
                    Some(())
                }
                // A lease that is over before it begins is none.
                EXPIRE => parse_datetime(value).filter(|end| *end > now_us).map(|end| options.expire_us = Some(end)),
                TYPE => Kind::parse(value).map(|kind| options.kind = kind),
                DEPTH if value == "all" => {
                    options.depth = None;
                    Some(())
                }
                DEPTH => number(value).map(|depth| options.depth = Some(depth)),
                var => match FIXED.iter().find(|(name, _)| *name == var) {
                    Some((_, fixed)) => fixed.contains(&value).then_some(()),
                    // XEP-0004 3.2: a field that is not understood.
                    None => continue,
                },
            };
            good.ok_or_else(|| invalid(&format!("{var} cannot have that value")))?;
        }
        Ok(options)
    }

    pub fn is_over(&self, now_us: u64) -> bool {
        self.expire_us.is_some_and(|end| end <= now_us)
    }

    /// The form with everything there is to choose, as it is now.
    pub fn write(&self, xml: &mut Build, kind: &str, of_collection: bool) {
        form::open(xml, kind, SUBSCRIBE_OPTIONS);
        let mut field = |var: &str, kind: &str, label: &str, options: &[&str], values: &[String]| {
            form::field(xml, var, Some(kind), Some(label), options, values);
        };
        let flag = |on: bool| [if on { "1" } else { "0" }.to_owned()];
        field(DELIVER, "boolean", "Deliver event notifications", &[], &flag(self.deliver));
        field(INCLUDE_BODY, "boolean", "Add a text for people to notifications", &[], &flag(self.include_body));
        let expire: Vec<String> = self.expire_us.map(datetime).into_iter().collect();
        field(EXPIRE, "text-single", "When the subscription ends", &[], &expire);
        if of_collection {
            let words = Kind::WORDS.map(|(word, _)| word);
            field(TYPE, "list-single", "What to be told of: items, or nodes", &words, &[self.kind.as_str().to_owned()]);
            let depth = self.depth.map_or_else(|| "all".to_owned(), |depth| depth.to_string());
            field(DEPTH, "text-single", "How far below the collection; 'all' for however far", &[], &[depth]);
        }
        xml.close();
    }

    /// What is kept: the form again.
    pub fn restore(el: &El<'_>) -> Options {
        let filled = el.child(ns::DATA_FORMS, "x").and_then(|form| Filled::told(&form).ok()).unwrap_or_default();
        Options::default().apply(&filled, 0).unwrap_or_default()
    }

    pub fn is_default(&self) -> bool {
        *self == Options::default()
    }
}

/// 6.3.6.
fn invalid(why: &str) -> Bounce {
    error::bad_request("invalid-options").text(why)
}

fn number(text: &str) -> Option<u32> {
    (!text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit())).then(|| text.parse().ok())?
}
