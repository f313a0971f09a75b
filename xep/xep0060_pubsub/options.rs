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

/// The states of presence in which somebody wants to hear (RFC 6121 4.7.2.1; "online": there, and says no more).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shows(u8);

impl Shows {
    const WORDS: [&str; 5] = ["away", "chat", "dnd", "online", "xa"];
    /// And when nobody is there at all: then it is not asked.
    pub const ALL: Shows = Shows(0b1_1111);

    fn bit(word: &str) -> Option<u8> {
        Shows::WORDS.iter().position(|it| *it == word).map(|at| 1 << at)
    }

    /// Whoever names none says nothing about it.
    fn parse(words: &[String]) -> Option<Shows> {
        let bits = words.iter().try_fold(0, |bits, word| Some(bits | Shows::bit(word)?))?;
        Some(if bits == 0 { Shows::ALL } else { Shows(bits) })
    }

    /// `show`: as presence has it, `None` if it has none.
    pub fn has(self, show: Option<&str>) -> bool {
        Shows::bit(show.unwrap_or("online")).is_some_and(|bit| self.0 & bit != 0)
    }

    fn words(self) -> Vec<String> {
        Shows::WORDS.iter().filter(|word| self.has(Some(word))).map(|word| (*word).to_owned()).collect()
    }
}

/// What there is to choose beside what there always is.
#[derive(Clone, Copy, Debug)]
pub struct Offered {
    /// XEP-0248.
    pub collection: bool,
    /// 12.8: only where the service can make a text of the payloads.
    pub body: bool,
    /// Whatever depends on the subscriber's presence: where the service hears of it.
    pub presence: bool,
    /// 12.5: the node has no subscriptions that last.
    pub temporary: bool,
}

impl Offered {
    pub const ALL: Offered = Offered { collection: true, body: true, presence: true, temporary: false };
}

#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    pub deliver: bool,
    /// A `<body/>` beside the payload.
    pub include_body: bool,
    /// The end of a lease (12.18), in microseconds since 1970.
    pub expire_us: Option<u64>,
    /// 12.5: it ends when the subscriber is not online any more.
    pub until_offline: bool,
    pub shows: Shows,
    pub kind: Kind,
    /// How far below the collection; `None`: however far.
    pub depth: Option<u32>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            deliver: true,
            include_body: false,
            expire_us: None,
            until_offline: false,
            shows: Shows::ALL,
            kind: Kind::Nodes,
            depth: Some(1),
        }
    }
}

const DELIVER: &str = "pubsub#deliver";
const INCLUDE_BODY: &str = "pubsub#include_body";
const EXPIRE: &str = "pubsub#expire";
const TYPE: &str = "pubsub#subscription_type";
const DEPTH: &str = "pubsub#subscription_depth";
const SHOW_VALUES: &str = "pubsub#show-values";
/// 12.5: as long as the subscriber is online.
const UNTIL_OFFLINE: &str = "presence";
/// Registered, and not to be had here: with the values that say what is done all the same.
const FIXED: &[(&str, &[&str])] = &[("pubsub#digest", &["0", "false"]), ("pubsub#digest_frequency", &["0", ""])];

impl Options {
    /// What somebody wants changed, all of it or nothing (6.3.6). A cancelled form changes nothing.
    pub fn apply(&self, filled: &Filled, now_us: u64, offered: Offered) -> Result<Options, Bounce> {
        let mut options = self.clone();
        if filled.cancelled {
            return Ok(options);
        }
        for (var, values) in &filled.fields {
            if var == SHOW_VALUES {
                let shows = Shows::parse(values).ok_or_else(|| invalid(&format!("{var}: there is no such state")))?;
                if shows != Shows::ALL && !offered.presence {
                    return Err(invalid(UNSEEN));
                }
                options.shows = shows;
                continue;
            }
            let value = match values.as_slice() {
                [value] => value.as_str(),
                [] => "",
                _ => return Err(invalid(&format!("{var} has one value"))),
            };
            let good = match var.as_str() {
                DELIVER => boolean(value).map(|on| options.deliver = on),
                INCLUDE_BODY if !offered.body && boolean(value) == Some(true) => {
                    return Err(invalid("nothing is known here that would make a text of the payloads of this node"));
                }
                INCLUDE_BODY => boolean(value).map(|on| options.include_body = on),
                EXPIRE if value == UNTIL_OFFLINE && !offered.presence => return Err(invalid(UNSEEN)),
                EXPIRE if value != UNTIL_OFFLINE && offered.temporary => {
                    return Err(invalid("subscriptions to this node last as long as you are online: 'presence'"));
                }
                EXPIRE if value.is_empty() || value == UNTIL_OFFLINE => {
                    (options.expire_us, options.until_offline) = (None, !value.is_empty());
                    Some(())
                }
                // A lease that is over before it begins is none.
                EXPIRE => parse_datetime(value).filter(|end| *end > now_us).map(|end| {
                    (options.expire_us, options.until_offline) = (Some(end), false);
                }),
                TYPE => Kind::parse(value).map(|kind| options.kind = kind),
                DEPTH if value == "all" => {
                    options.depth = None;
                    Some(())
                }
                DEPTH => number(value).map(|depth| options.depth = Some(depth)),
                var => match FIXED.iter().find(|(name, _)| *name == var) {
                    Some((_, fixed)) if fixed.contains(&value) => Some(()),
                    Some(_) => {
                        return Err(invalid("no digests are made here: what is new since a moment can be asked for in pages"));
                    }
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
    pub fn write(&self, xml: &mut Build, kind: &str, offered: Offered) {
        form::open(xml, kind, SUBSCRIBE_OPTIONS);
        let mut field = |var: &str, kind: &str, label: &str, options: &[&str], values: &[String]| {
            form::field(xml, var, Some(kind), Some(label), options, values);
        };
        let flag = |on: bool| [if on { "1" } else { "0" }.to_owned()];
        field(DELIVER, "boolean", "Deliver event notifications", &[], &flag(self.deliver));
        if offered.body {
            field(INCLUDE_BODY, "boolean", "Add a text for people to notifications", &[], &flag(self.include_body));
        }
        let expire: Vec<String> = match self.until_offline || offered.temporary {
            true => vec![UNTIL_OFFLINE.to_owned()],
            false => self.expire_us.map(datetime).into_iter().collect(),
        };
        if offered.presence {
            let label = "When the subscription ends; 'presence': when you go offline";
            field(EXPIRE, "text-single", label, &[], &expire);
            let label = "In which states of your presence to be notified; in all of them: even when you are offline";
            field(SHOW_VALUES, "list-multi", label, &Shows::WORDS, &self.shows.words());
        } else {
            field(EXPIRE, "text-single", "When the subscription ends", &[], &expire);
        }
        if offered.collection {
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
        Options::default().apply(&filled, 0, Offered::ALL).unwrap_or_default()
    }

    pub fn is_default(&self) -> bool {
        *self == Options::default()
    }
}

const UNSEEN: &str = "the presence of that address is not seen here";

/// 6.3.6.
fn invalid(why: &str) -> Bounce {
    error::bad_request("invalid-options").text(why)
}

fn number(text: &str) -> Option<u32> {
    (!text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit())).then(|| text.parse().ok())?
}
