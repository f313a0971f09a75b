//! What a user may have: a plan, by name on the account, or that of the domain. Rooms ask in the user's own turn (`Turn::plan`), in a
//! task (`Cx::plan`), or for everybody of a domain (`Doors::plan`); they never look where plans come from. Today that is the table
//! `[plans]` of the configuration ([`Plans`]).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;

use crate::mount::MountError;
use crate::store::Shelf;

/// On the account: the name of its plan. Nothing: it has that of its domain.
pub const SHELF: Shelf = Shelf::record("plan");

/// What somebody may have and do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub name: Arc<str>,
    /// All files of one user together.
    pub storage_bytes_max: u64,
    /// One file.
    pub file_bytes_max: u64,
    /// Members of a bubble that somebody with this plan has made.
    pub bubble_members_max: u32,
    pub bubbles_create: bool,
    /// May make channels; everybody may follow them.
    pub channels_create: bool,
}

impl Plan {
    /// The largest file that could ever be kept.
    pub fn one_file_bytes_max(&self) -> u64 {
        self.file_bytes_max.min(self.storage_bytes_max)
    }
}

/// Who knows what users may have.
pub trait Entitlements: fmt::Debug + Send + Sync {
    /// Of an account of the domain that has this plan on it; a name that is no plan (any more) is as none.
    fn plan(&self, domain: &str, name: Option<&str>) -> Arc<Plan>;

    /// Of all plans, in order.
    fn names(&self) -> Vec<Arc<str>>;
}

/// The table `[plans]`.
#[derive(Clone, Debug)]
pub struct Plans {
    plans: BTreeMap<Arc<str>, Arc<Plan>>,
    default: Arc<str>,
    /// By domain, each with its place in the file.
    domains: BTreeMap<String, (Arc<str>, usize)>,
}

/// Members of a bubble, storage, may make channels.
const BUILT_IN: [(&str, u32, u64, bool); 3] =
    [("essential", 20, 1_000_000_000, false), ("business", 100, 1_000_000_000, false), (LARGEST, 300, 20_000_000_000, true)];
/// What nobody has said less of.
const LARGEST: &str = "enterprise";
const FILE_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;
const PLANS_MAX: usize = 100;
const NAME_BYTES_MAX: usize = 64;

/// For `iris config-reference`.
pub const REFERENCE: &str = "\
# What users may have. A user has the plan that is on the account
# (`iris user plan`), or that of the domain, or the default one. There are
# three; a table [plans.NAME] changes one of them, or adds one that is as
# \"enterprise\" where it says nothing.
[plans]
default = \"enterprise\"
# By domain, where it is another one: { \"example.org\" = \"business\" }.
domains = {}

[plans.essential]
# All files of one user together, and one file, in bytes.
storage_bytes_max = 1000000000
file_bytes_max = 2147483648
# Members of a bubble that somebody with this plan has made.
bubble_members_max = 20
# Whether one may make bubbles, and channels. Everybody may join and follow.
bubbles_create = true
channels_create = false

[plans.business]
storage_bytes_max = 1000000000
file_bytes_max = 2147483648
bubble_members_max = 100
bubbles_create = true
channels_create = false

[plans.enterprise]
storage_bytes_max = 20000000000
file_bytes_max = 2147483648
bubble_members_max = 300
bubbles_create = true
channels_create = true
";

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Table {
    storage_bytes_max: Option<u64>,
    file_bytes_max: Option<u64>,
    bubble_members_max: Option<u32>,
    bubbles_create: Option<bool>,
    channels_create: Option<bool>,
}

impl Default for Plans {
    fn default() -> Plans {
        let plan = |(name, bubble_members_max, storage_bytes_max, channels_create)| {
            let name: Arc<str> = Arc::from(name);
            let file_bytes_max = FILE_BYTES_MAX;
            let bubbles_create = true;
            let plan = Plan {
                name: name.clone(),
                storage_bytes_max,
                file_bytes_max,
                bubble_members_max,
                bubbles_create,
                channels_create,
            };
            (name, Arc::new(plan))
        };
        Plans { plans: BUILT_IN.into_iter().map(plan).collect(), default: Arc::from(LARGEST), domains: BTreeMap::new() }
    }
}

impl Plans {
    /// Out of the whole file.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn parse(text: &str) -> Result<Plans, MountError> {
        let at = |at: usize, text: String| MountError { at: Some(at), text };
        let broken = |error: &toml::de::Error, or: Option<usize>, of: &str| MountError {
            at: error.span().map(|span| span.start).or(or),
            text: format!("{of}{}", error.message()),
        };
        let mut plans = Plans::default();
        let mut document = toml::de::DeTable::parse(text).map_err(|error| broken(&error, None, ""))?.into_inner();
        let Some(given) = document.remove("plans") else { return Ok(plans) };
        let start = given.span().start;
        let toml::de::DeValue::Table(tables) = given.into_inner() else {
            return Err(at(start, "plans is a table: [plans]".into()));
        };
        let (mut default, mut domains) = (None, Vec::new());
        for (name, value) in tables {
            let (start, name) = (value.span().start, name.into_inner());
            match (&*name, value.get_ref()) {
                ("default", toml::de::DeValue::String(plan)) => default = Some((plan.to_string(), start)),
                ("default", _) => return Err(at(start, "default: expected the name of a plan".into())),
                ("domains", toml::de::DeValue::Table(of)) => {
                    for (domain, plan) in of {
                        let Some(plan) = plan.get_ref().as_str().map(|text| (text.to_owned(), plan.span().start)) else {
                            return Err(at(plan.span().start, format!("{}: expected the name of a plan", domain.get_ref())));
                        };
                        domains.push((domain.get_ref().to_string(), plan));
                    }
                }
                ("domains", _) => {
                    return Err(at(start, "domains: expected a table, { \"example.org\" = \"business\" }".into()));
                }
                _ => {
                    let table = Table::deserialize(toml::de::ValueDeserializer::from(value));
                    let table = table.map_err(|error| broken(&error, Some(start), &format!("[plans.{name}]: ")))?;
                    plans.change(&name, &table).map_err(|why| at(start, why))?;
                }
            }
        }
        for (domain, (plan, start)) in domains {
            let plan = plans.known(&plan).map_err(|why| at(start, why))?;
            plans.domains.insert(domain, (plan, start));
        }
        if let Some((plan, start)) = default {
            plans.default = plans.known(&plan).map_err(|why| at(start, why))?;
        }
        Ok(plans)
    }

    fn change(&mut self, name: &str, table: &Table) -> Result<(), String> {
        let good = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(good) {
            return Err(format!("{name:?} cannot be the name of a plan: letters, digits, \"-\" and \"_\""));
        }
        let was = self.plans.get(name).or(self.plans.get(LARGEST)).cloned();
        let Some(was) = was else { return Err("there is no largest plan".into()) };
        let name: Arc<str> = Arc::from(name);
        let plan = Plan {
            name: name.clone(),
            storage_bytes_max: table.storage_bytes_max.unwrap_or(was.storage_bytes_max),
            file_bytes_max: table.file_bytes_max.unwrap_or(was.file_bytes_max),
            bubble_members_max: table.bubble_members_max.unwrap_or(was.bubble_members_max),
            bubbles_create: table.bubbles_create.unwrap_or(was.bubbles_create),
            channels_create: table.channels_create.unwrap_or(was.channels_create),
        };
        self.plans.insert(name, Arc::new(plan));
        if self.plans.len() > PLANS_MAX { Err(format!("more than {PLANS_MAX} plans")) } else { Ok(()) }
    }

    fn known(&self, name: &str) -> Result<Arc<str>, String> {
        match self.plans.get_key_value(name) {
            Some((name, _)) => Ok(name.clone()),
            None => Err(format!("there is no plan {name:?}; there are: {}", self.names().join(", "))),
        }
    }

    /// The same, with every domain that has a plan of its own being one of these.
    ///
    /// # Errors
    /// One is not.
    pub fn for_domains(&self, served: &[String]) -> Result<(), MountError> {
        match self.domains.iter().find(|(domain, _)| !served.contains(domain)) {
            None => Ok(()),
            Some((domain, (_, at))) => {
                Err(MountError { at: Some(*at), text: format!("plans.domains: {domain} is not served here") })
            }
        }
    }
}

impl Entitlements for Plans {
    fn plan(&self, domain: &str, name: Option<&str>) -> Arc<Plan> {
        let of_domain = || self.domains.get(domain).map_or(&self.default, |(plan, _)| plan);
        let plan = name.and_then(|name| self.plans.get(name)).or_else(|| self.plans.get(of_domain()));
        // The default is one of them, always.
        plan.or_else(|| self.plans.values().next()).cloned().unwrap_or_else(|| Arc::new(Plan::nothing()))
    }

    fn names(&self) -> Vec<Arc<str>> {
        self.plans.keys().cloned().collect()
    }
}

impl Plan {
    fn nothing() -> Plan {
        Plan {
            name: Arc::from(""),
            storage_bytes_max: 0,
            file_bytes_max: 0,
            bubble_members_max: 0,
            bubbles_create: false,
            channels_create: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_says_the_defaults() {
        let (said, default) = (Plans::parse(REFERENCE).expect("a table"), Plans::default());
        assert_eq!(said.plans, default.plans);
        assert_eq!(said.default, default.default);
    }

    #[test]
    fn the_account_is_asked_before_the_domain_and_the_domain_before_the_default() {
        let plans = Plans::parse(
            "[plans]\ndefault = \"essential\"\ndomains = { \"a.example\" = \"club\" }\n[plans.club]\nbubble_members_max = 7\n",
        );
        let plans = plans.expect("a table");
        assert_eq!(plans.plan("a.example", Some("business")).bubble_members_max, 100);
        assert_eq!(plans.plan("a.example", None).bubble_members_max, 7);
        assert_eq!(plans.plan("a.example", None).storage_bytes_max, 20_000_000_000, "as enterprise where it says nothing");
        assert_eq!(&*plans.plan("b.example", Some("of yesterday")).name, "essential");
        assert!(plans.for_domains(&["a.example".into()]).is_ok());
        assert!(plans.for_domains(&["b.example".into()]).is_err());
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, place, said) in [
            ("[plans]\ndefault = \"gold\"\n", "\"gold\"", "there is no plan \"gold\""),
            ("[plans.club]\nmembers = 7\n", "members", "unknown field"),
            ("[plans]\nclub = 7\n", "7", "[plans.club]"),
            ("[plans]\ndomains = { \"a.example\" = 7 }\n", "7", "the name of a plan"),
            ("[plans.\"a b\"]\nbubbles_create = true\n", "[plans", "cannot be the name"),
            ("plans = 7\n", "7", "[plans]"),
        ] {
            let error = Plans::parse(text).expect_err(text);
            assert!(error.text.contains(said), "{text}: {error}");
            let at = error.at.unwrap_or_else(|| panic!("{text}: no place"));
            assert!(text[at..].starts_with(place), "{text}: {}", &text[at..]);
        }
    }
}
