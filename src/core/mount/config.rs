//! The settings of rooms, `[xep.*]`, and what else all domains share.

use super::*;

/// The `[xep.*]` tables, not yet understood by anybody, and what else all domains share.
#[derive(Clone, Debug, Default)]
pub struct RoomConfig {
    /// The whole file: a room's table is read from it when the room asks, so that errors know their place.
    pub(super) text: String,
    /// Where each table stands.
    pub(super) tables: BTreeMap<String, usize>,
    /// `accounts.admins`: each may administrate the domain of its own address.
    pub(super) admins: Vec<BareJid>,
    /// All domains of the house; the first one is its own.
    pub(super) domains: Vec<String>,
    pub(super) site: Option<String>,
    pub(super) vapid: Option<String>,
    pub(super) plans: Arc<Plans>,
    pub(super) mailing: Option<Arc<Mailing>>,
}

impl RoomConfig {
    /// From a whole file: its tables `[xep.*]` and `[plans]`. The rest of the file is the caller's.
    pub fn parse(text: &str) -> Result<RoomConfig, MountError> {
        let tables = rooms_of(text)?.into_iter().map(|(name, table)| (name, table.span().start)).collect();
        let plans = Arc::new(Plans::parse(text)?);
        let (admins, domains) = (Vec::new(), Vec::new());
        Ok(RoomConfig { text: text.to_owned(), tables, admins, domains, site: None, vapid: None, plans, mailing: None })
    }

    /// The web side of the house as people reach it, `https://host[:port]`; `{domain}` stands for each domain.
    pub fn with_site(self, site: Option<String>) -> RoomConfig {
        RoomConfig { site, ..self }
    }

    /// The key by which push services of the web know the house (RFC 8292 3.2): an uncompressed point, base64url. `None`: it pushes nothing
    /// to browsers.
    pub fn with_vapid(self, vapid: Option<String>) -> RoomConfig {
        RoomConfig { vapid, ..self }
    }

    /// What users may have sent by mail; `None`: there is no mail server.
    pub fn with_mailing(self, mailing: Option<Arc<Mailing>>) -> RoomConfig {
        RoomConfig { mailing, ..self }
    }

    /// The table `[plans]`.
    pub fn plans(&self) -> &Plans {
        &self.plans
    }

    pub fn with_admins(self, admins: &[BareJid]) -> RoomConfig {
        RoomConfig { admins: admins.to_vec(), ..self }
    }

    pub fn with_domains(self, domains: &[String]) -> RoomConfig {
        RoomConfig { domains: domains.to_vec(), ..self }
    }

    /// Where in the file the value at `path` of a table stands; else what it would stand in.
    pub(super) fn place(&self, table: &str, path: &str) -> Option<usize> {
        let rooms = rooms_of(&self.text).ok()?;
        let mut value = &rooms.iter().find(|(name, _)| name == table)?.1;
        for part in path.split('.') {
            let inner = match value.get_ref() {
                toml::de::DeValue::Table(keys) => keys.get(part),
                toml::de::DeValue::Array(all) => part.parse::<usize>().ok().and_then(|at| all.get(at)),
                _ => None,
            };
            let Some(inner) = inner else { break };
            value = inner;
        }
        Some(value.span().start)
    }

    pub(super) fn error_at(&self, table: &str, why: &str) -> MountError {
        MountError { at: self.tables.get(table).copied(), text: why.to_owned() }
    }
}

pub(super) fn rooms_of(text: &str) -> Result<Vec<(String, toml::Spanned<toml::de::DeValue<'_>>)>, MountError> {
    let wrong =
        |error: toml::de::Error| MountError { at: error.span().map(|span| span.start), text: error.message().to_owned() };
    let mut document = toml::de::DeTable::parse(text).map_err(wrong)?.into_inner();
    let Some(xep) = document.remove("xep") else { return Ok(Vec::new()) };
    let at = xep.span().start;
    match xep.into_inner() {
        toml::de::DeValue::Table(rooms) => {
            Ok(rooms.into_iter().map(|(name, table)| (name.into_inner().into_owned(), table)).collect())
        }
        _ => Err(MountError { at: Some(at), text: "xep is a table of tables: [xep.archive]".into() }),
    }
}

/// Why a domain cannot be mounted: an operator's mistake (`at` is its place in the configuration file) or a bug.
#[derive(Debug, PartialEq, Eq)]
pub struct MountError {
    /// Byte offset in the configuration file.
    pub at: Option<usize>,
    pub text: String,
}

impl fmt::Display for MountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for MountError {}

/// A room's settings: a table `[xep.NAME]`; unknown keys refuse to boot.
pub trait Settings: DeserializeOwned + Default {
    /// NAME.
    const TABLE: &'static str;
    /// The table as TOML with every key at its default, each with a comment: for `iris config-reference`.
    const REFERENCE: &'static str;
}
