//! What a room is: its configuration, how it is kept, and its form (10.1.3, 16.5.3).
//!
//! Kept as the record `muc-room`: `<room>` with an element for each setting. What is missing is as it was before there was such a
//! setting.

use iris_core::form::{Field, Form, Problem, Submitted};
use iris_core::xml::{Build, El};
use iris_core::{Changed, limit};

use super::association::Role;
use super::settings;
use crate::xep0503_spaces as spaces;

pub const FORM_TYPE: &str = "http://jabber.org/protocol/muc#roomconfig";
/// A day.
const SLOW_MODE_SECONDS_MAX: usize = 86_400;
const TEXT_BYTES_MAX: usize = 4_096;

/// Who may send private messages (`muc#roomconfig_allowpm`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllowPm {
    Anyone,
    Participants,
    Moderators,
    Nobody,
}

impl AllowPm {
    const ALL: [(AllowPm, &'static str, &'static str); 4] = [
        (AllowPm::Anyone, "anyone", "Anyone"),
        (AllowPm::Participants, "participants", "Anyone with voice"),
        (AllowPm::Moderators, "moderators", "Moderators"),
        (AllowPm::Nobody, "none", "Nobody"),
    ];

    pub fn as_str(self) -> &'static str {
        AllowPm::ALL.into_iter().find(|(it, ..)| *it == self).map_or("anyone", |(_, text, _)| text)
    }

    fn parse(text: &str) -> Option<AllowPm> {
        AllowPm::ALL.into_iter().find(|(_, it, _)| *it == text).map(|(it, ..)| it)
    }

    pub fn lets(self, role: Role) -> bool {
        match self {
            AllowPm::Anyone => true,
            AllowPm::Participants => role >= Role::Participant,
            AllowPm::Moderators => role >= Role::Moderator,
            AllowPm::Nobody => false,
        }
    }
}

/// A set of roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    pub moderator: bool,
    pub participant: bool,
    pub visitor: bool,
}

impl Roles {
    pub const ALL: Roles = Roles { moderator: true, participant: true, visitor: true };
    const NAMES: [(&'static str, &'static str); 3] =
        [("moderator", "Moderators"), ("participant", "Participants"), ("visitor", "Visitors")];

    pub fn has(self, role: Role) -> bool {
        match role {
            Role::Moderator => self.moderator,
            Role::Participant => self.participant,
            Role::Visitor => self.visitor,
            Role::None => false,
        }
    }

    fn of<'a>(names: impl Iterator<Item = &'a str>) -> Roles {
        let mut roles = Roles { moderator: false, participant: false, visitor: false };
        for name in names {
            match name {
                "moderator" => roles.moderator = true,
                "participant" => roles.participant = true,
                "visitor" => roles.visitor = true,
                _ => {}
            }
        }
        roles
    }

    fn names(self) -> Vec<&'static str> {
        [(self.moderator, "moderator"), (self.participant, "participant"), (self.visitor, "visitor")]
            .into_iter()
            .filter_map(|(is, name)| is.then_some(name))
            .collect()
    }

    fn field(self, var: &str, label: &str) -> Field {
        let options = Roles::NAMES.map(|(name, label)| (label.to_owned(), name.to_owned()));
        Field::choices(var, label, options.to_vec()).values(self.names())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomConfig {
    pub name: String,
    pub description: String,
    pub lang: String,
    pub pubsub: String,
    /// XEP-0503: the space it belongs to.
    pub space: String,
    pub persistent: bool,
    pub public: bool,
    pub members_only: bool,
    pub moderated: bool,
    /// Everybody sees the real addresses.
    pub non_anonymous: bool,
    /// `None`: no password is needed.
    pub password: Option<String>,
    pub occupants_max: usize,
    pub change_subject: bool,
    pub allow_invites: bool,
    pub allow_pm: AllowPm,
    pub presence_broadcast: Roles,
    pub get_member_list: Roles,
    /// Whoever might come in may read the archive, without coming in.
    pub logging: bool,
    pub archive: bool,
    pub history_max: usize,
    /// People may ask to become members (7.10).
    pub registration: bool,
    /// XEP-0500: seconds between two messages of one person; 0: as fast as they like.
    pub slow_mode: u64,
    /// XEP-0452.
    pub forward_mentions: bool,
    /// XEP-0486: the hash of the picture, or of each of its formats with spaces between.
    pub avatar: Option<String>,
    /// It is a bubble: the plan it was made under, and how many members that allows.
    pub bubble: Option<(String, usize)>,
    /// Nobody writes any more.
    pub archived: bool,
    /// Members come in under the nickname they have registered, and no other.
    pub reserved_nick: bool,
    /// The bare JID of who has made it; empty when their account has ended.
    pub creator: String,
}

impl RoomConfig {
    /// What a new room is.
    pub fn new(settings: &settings::Config) -> RoomConfig {
        RoomConfig {
            name: String::new(),
            description: String::new(),
            lang: String::new(),
            pubsub: String::new(),
            space: String::new(),
            persistent: settings.default_persistent,
            public: settings.default_public,
            members_only: false,
            moderated: false,
            non_anonymous: false,
            password: None,
            occupants_max: settings.occupants_max,
            change_subject: false,
            allow_invites: false,
            allow_pm: AllowPm::Anyone,
            presence_broadcast: Roles::ALL,
            get_member_list: Roles::ALL,
            logging: false,
            archive: settings.default_archive,
            history_max: settings.history_messages_max.min(20),
            registration: true,
            reserved_nick: false,
            slow_mode: 0,
            forward_mentions: false,
            avatar: None,
            bubble: None,
            archived: false,
            creator: String::new(),
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut xml = Build::new();
        xml.open("room");
        for (name, value) in [
            ("name", &self.name),
            ("description", &self.description),
            ("lang", &self.lang),
            ("pubsub", &self.pubsub),
            ("space", &self.space),
            ("creator", &self.creator),
        ] {
            xml.leaf(name, value);
        }
        for (name, value) in [
            ("persistent", self.persistent),
            ("public", self.public),
            ("members-only", self.members_only),
            ("moderated", self.moderated),
            ("non-anonymous", self.non_anonymous),
            ("change-subject", self.change_subject),
            ("allow-invites", self.allow_invites),
            ("logging", self.logging),
            ("archive", self.archive),
            ("registration", self.registration),
            ("reserved-nick", self.reserved_nick),
            ("forward-mentions", self.forward_mentions),
            ("archived", self.archived),
        ] {
            xml.leaf(name, if value { "1" } else { "0" });
        }
        if let Some(password) = &self.password {
            xml.leaf("password", password);
        }
        if let Some(avatar) = &self.avatar {
            xml.leaf("avatar", avatar);
        }
        if let Some((plan, most)) = &self.bubble {
            xml.open("bubble").attr("plan", plan).attr("members-max", &most.to_string()).close();
        }
        xml.leaf("slow-mode", &self.slow_mode.to_string());
        xml.leaf("occupants-max", &self.occupants_max.to_string());
        xml.leaf("history-max", &self.history_max.to_string());
        xml.leaf("allow-pm", self.allow_pm.as_str());
        xml.leaf("presence-broadcast", &self.presence_broadcast.names().join(" "));
        xml.leaf("get-member-list", &self.get_member_list.names().join(" "));
        xml.close();
        xml.finish()
    }

    pub fn decode(bytes: &[u8], settings: &settings::Config) -> Option<RoomConfig> {
        let mut config = RoomConfig::new(settings);
        let room = El::parse(bytes)?;
        for setting in room.children() {
            let text = setting.text();
            let is = &*text == "1";
            match setting.local() {
                "name" => config.name = text.into_owned(),
                "description" => config.description = text.into_owned(),
                "lang" => config.lang = text.into_owned(),
                "pubsub" => config.pubsub = text.into_owned(),
                "space" => config.space = text.into_owned(),
                "creator" => config.creator = text.into_owned(),
                "persistent" => config.persistent = is,
                "public" => config.public = is,
                "members-only" => config.members_only = is,
                "moderated" => config.moderated = is,
                "non-anonymous" => config.non_anonymous = is,
                "change-subject" => config.change_subject = is,
                "allow-invites" => config.allow_invites = is,
                "logging" => config.logging = is,
                "archive" => config.archive = is,
                "registration" => config.registration = is,
                "reserved-nick" => config.reserved_nick = is,
                "forward-mentions" => config.forward_mentions = is,
                "archived" => config.archived = is,
                "avatar" => config.avatar = Some(text.into_owned()),
                "slow-mode" => config.slow_mode = text.parse().unwrap_or(0),
                "bubble" => {
                    let most = setting.attr("members-max").and_then(|most| most.parse().ok()).unwrap_or(0);
                    config.bubble = Some((setting.attr("plan").unwrap_or_default().into_owned(), most));
                }
                "password" => config.password = Some(text.into_owned()),
                "occupants-max" => config.occupants_max = text.parse().unwrap_or(config.occupants_max),
                "history-max" => config.history_max = text.parse().unwrap_or(config.history_max),
                "allow-pm" => config.allow_pm = AllowPm::parse(&text).unwrap_or(config.allow_pm),
                "presence-broadcast" => config.presence_broadcast = Roles::of(text.split(' ')),
                "get-member-list" => config.get_member_list = Roles::of(text.split(' ')),
                _ => {}
            }
        }
        Some(config)
    }

    /// The form as it stands now. `owners` and `admins`: the full lists.
    pub fn form(&self, room: &str, owners: &[&str], admins: &[&str], settings: &settings::Config) -> Form {
        let mut sizes: Vec<usize> = [5, 10, 20, 30, 50, 100, 200, 300, 500, 1_000, 2_000, 5_000].to_vec();
        sizes.retain(|size| *size < settings.occupants_max);
        sizes.extend([settings.occupants_max, self.occupants_max]);
        sizes.sort_unstable();
        sizes.dedup();
        let sizes = sizes.iter().map(|size| (size.to_string(), size.to_string()));
        let boolean = |name: &str, label: &str, value: bool| Field::boolean(&var(name), label, value);
        Form::new(&format!("Configuration of {room}"), "Complete this form to say how the room is to be.")
            .of_type(FORM_TYPE)
            .fields([
                Field::text(&var("roomname"), "Name of the room").value(&self.name),
                Field::text(&var("roomdesc"), "Short description").value(&self.description),
                Field::text(&var("lang"), "Language of the discussions").value(&self.lang),
                boolean("persistentroom", "The room stays when the last person leaves", self.persistent),
                boolean("publicroom", "The room can be found by everybody", self.public),
                boolean("membersonly", "Only members may enter", self.members_only),
                boolean("moderatedroom", "Only those with voice may speak", self.moderated),
                boolean("passwordprotectedroom", "A password is needed to enter", self.password.is_some()),
                Field::secret(&var("roomsecret"), "The password").values(self.password.clone()),
                Field::choice(&var("whois"), "Who sees real addresses", [("Moderators", "moderators"), ("Anyone", "anyone")])
                    .value(if self.non_anonymous { "anyone" } else { "moderators" }),
                Field::choice(&var("maxusers"), "Most people at once", sizes).open().value(self.occupants_max.to_string()),
                boolean("changesubject", "Everybody with voice may change the subject", self.change_subject),
                boolean("allowinvites", "Members may invite others to a room of members", self.allow_invites),
                Field::choice(
                    &var("allowpm"),
                    "Who may send private messages",
                    AllowPm::ALL.map(|(_, value, label)| (label, value)),
                )
                .value(self.allow_pm.as_str()),
                self.presence_broadcast.field(&var("presencebroadcast"), "Whose presence is shown"),
                self.get_member_list.field(
                    &var("getmemberlist"),
                    "Who may see the list of members (participants and visitors: only where everybody sees real addresses)",
                ),
                boolean("enablearchiving", "What is said is kept, and can be read later", self.archive),
                boolean("enablelogging", "The archive can be read by whoever may enter, without entering", self.logging),
                Field::text(&var("slow_mode_duration"), "Seconds between two messages of one person; 0 for none")
                    .integer_from(0)
                    .value(self.slow_mode.to_string()),
                boolean("forwardmentions", "Members who are mentioned while they are away are told", self.forward_mentions),
                Field::text(HISTORY_MAX, "Most messages shown to somebody who enters").value(self.history_max.to_string()),
                boolean_x("registration", "People may ask to become members", self.registration),
                boolean_x("reservednick", "Members use the nickname they have registered", self.reserved_nick),
                Field::text(&var("pubsub"), "XMPP URI of a node that belongs to the room").value(&self.pubsub),
                Field::text(SPACE, "XMPP URI of the space that the room belongs to").value(&self.space),
                Field::jids(&var("roomadmins"), "Administrators").values(admins.iter().copied()),
                Field::jids(&var("roomowners"), "Owners").values(owners.iter().copied()),
            ])
    }

    /// This configuration with what was submitted; what was not keeps its value (XEP-0004 3.5).
    ///
    /// # Errors
    /// What cannot be (10.1.3: `not-acceptable`).
    pub fn with(&self, submitted: &Submitted, settings: &settings::Config) -> Result<RoomConfig, Problem> {
        let mut config = self.clone();
        let text = |name: &str, into: &mut String| match submitted.text(&var(name)) {
            Some(text) if text.len() > TEXT_BYTES_MAX => Err(too_long(name)),
            text => {
                if submitted.has(&var(name)) {
                    *into = text.unwrap_or_default().to_owned();
                }
                Ok(())
            }
        };
        text("roomname", &mut config.name)?;
        text("roomdesc", &mut config.description)?;
        text("lang", &mut config.lang)?;
        text("pubsub", &mut config.pubsub)?;
        if submitted.has(SPACE) {
            config.space = submitted.text(SPACE).unwrap_or_default().to_owned();
            if config.space.len() > TEXT_BYTES_MAX || !(config.space.is_empty() || spaces::is_node(&config.space)) {
                return Err(Problem::of_field(SPACE, "is the address of a node: xmpp:SERVICE?;node=NODE"));
            }
        }
        for (name, into) in [
            ("persistentroom", &mut config.persistent),
            ("publicroom", &mut config.public),
            ("membersonly", &mut config.members_only),
            ("moderatedroom", &mut config.moderated),
            ("changesubject", &mut config.change_subject),
            ("allowinvites", &mut config.allow_invites),
            ("enablearchiving", &mut config.archive),
            ("enablelogging", &mut config.logging),
            ("forwardmentions", &mut config.forward_mentions),
        ] {
            *into = submitted.boolean(&var(name)).unwrap_or(*into);
        }
        config.registration = submitted.boolean(&var_x("registration")).unwrap_or(config.registration);
        config.reserved_nick = submitted.boolean(&var_x("reservednick")).unwrap_or(config.reserved_nick);
        if let Some(whois) = submitted.text(&var("whois")) {
            config.non_anonymous = whois == "anyone";
        }
        if let Some(allow) = submitted.text(&var("allowpm")).and_then(AllowPm::parse) {
            config.allow_pm = allow;
        }
        for (name, into) in
            [("presencebroadcast", &mut config.presence_broadcast), ("getmemberlist", &mut config.get_member_list)]
        {
            if submitted.has(&var(name)) {
                *into = Roles::of(submitted.values(&var(name)).iter().map(String::as_str));
            }
        }
        match submitted.text(&var("maxusers")) {
            // 10.1.3: no limit but the service's.
            Some("none") => config.occupants_max = settings.occupants_max,
            _ => number(submitted, &var("maxusers"), &mut config.occupants_max)?,
        }
        if config.occupants_max == 0 || config.occupants_max > settings.occupants_max.max(self.occupants_max) {
            let most = settings.occupants_max;
            return Err(Problem::of_field(&var("maxusers"), &limit::text(format!("is from 1 to {most}"), Changed::ByOperator)));
        }
        let mut slow = usize::try_from(config.slow_mode).unwrap_or(usize::MAX);
        number(submitted, &var("slow_mode_duration"), &mut slow)?;
        if slow > SLOW_MODE_SECONDS_MAX {
            let what = format!("is at most {SLOW_MODE_SECONDS_MAX} seconds");
            let why = limit::text(what, Changed::ByNobody("choose less"));
            return Err(Problem::of_field(&var("slow_mode_duration"), &why));
        }
        config.slow_mode = slow as u64;
        number(submitted, HISTORY_MAX, &mut config.history_max)?;
        config.history_max = config.history_max.min(settings.history_messages_max);
        config.password = password(self, submitted)?;
        if config.bubble.is_some() && !config.is_as_a_bubble() {
            let text = "a bubble stays, only its members enter, everybody in it sees who is who, and it has an archive: \
                        persistentroom, membersonly, whois and enablearchiving are as they are";
            return Err(Problem(text.into()));
        }
        Ok(config)
    }
}

fn too_long(name: &str) -> Problem {
    let what = format!("has at most {TEXT_BYTES_MAX} bytes");
    Problem::of_field(&var(name), &limit::text(what, Changed::ByNobody("take a shorter one")))
}

fn password(before: &RoomConfig, submitted: &Submitted) -> Result<Option<String>, Problem> {
    let secret = submitted.text(&var("roomsecret")).map(str::to_owned);
    if secret.as_ref().is_some_and(|secret| secret.len() > TEXT_BYTES_MAX) {
        return Err(too_long("roomsecret"));
    }
    match submitted.boolean(&var("passwordprotectedroom")).unwrap_or(before.password.is_some()) {
        false => Ok(None),
        // 10.1.3: "because the password for a password-protected room is blank".
        true => match secret.or_else(|| before.password.clone().filter(|_| !submitted.has(&var("roomsecret")))) {
            Some(secret) => Ok(Some(secret)),
            None => Err(Problem::of_field(&var("roomsecret"), "a room that needs a password has one")),
        },
    }
}

fn number(submitted: &Submitted, var: &str, into: &mut usize) -> Result<(), Problem> {
    if let Some(text) = submitted.text(var) {
        *into = text.parse().map_err(|_| Problem::of_field(var, "is not a number"))?;
    }
    Ok(())
}

const SPACE: &str = "{urn:xmpp:spaces:0}parent";
const HISTORY_MAX: &str = "muc#maxhistoryfetch";

pub fn var(name: &str) -> String {
    format!("muc#roomconfig_{name}")
}

/// Fields that 0045 does not have, under the names that others have given them.
fn var_x(name: &str) -> String {
    format!("x-muc#roomconfig_{name}")
}

fn boolean_x(name: &str, label: &str, value: bool) -> Field {
    Field::boolean(&var_x(name), label, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> settings::Config {
        settings::Config::default()
    }

    fn submit(config: &RoomConfig, fields: &[(&str, &str)]) -> Result<RoomConfig, Problem> {
        let fields: String =
            fields.iter().map(|(var, value)| format!("<field var='{var}'><value>{value}</value></field>")).collect();
        let xml = format!("<x xmlns='jabber:x:data' type='submit'>{fields}</x>");
        let form = config.form("room@house", &[], &[], &settings());
        config.with(&form.check(&El::parse(xml.as_bytes()).expect("an element"))?, &settings())
    }

    #[test]
    fn what_is_kept_is_read_again() {
        let before = RoomConfig::new(&settings());
        let after = submit(
            &before,
            &[
                ("muc#roomconfig_roomname", "A &amp; B"),
                ("muc#roomconfig_membersonly", "1"),
                ("muc#roomconfig_passwordprotectedroom", "true"),
                ("muc#roomconfig_roomsecret", "cauldronburn"),
                ("muc#roomconfig_whois", "anyone"),
                ("muc#roomconfig_allowpm", "moderators"),
                ("muc#roomconfig_presencebroadcast", "moderator"),
                ("muc#roomconfig_maxusers", "20"),
            ],
        )
        .expect("a configuration");
        assert_eq!((after.name.as_str(), after.members_only, after.occupants_max), ("A & B", true, 20));
        assert_eq!(after.password.as_deref(), Some("cauldronburn"));
        assert!(!after.presence_broadcast.visitor && after.presence_broadcast.moderator);
        assert_eq!(RoomConfig::decode(&after.encode(), &settings()), Some(after));
    }

    #[test]
    fn s10_1_3_a_password_that_is_blank_is_not_acceptable() {
        let room = RoomConfig::new(&settings());
        assert!(submit(&room, &[("muc#roomconfig_passwordprotectedroom", "1")]).is_err());
        let kept = RoomConfig { password: Some("x".into()), ..room };
        let blank = [("muc#roomconfig_passwordprotectedroom", "1"), ("muc#roomconfig_roomsecret", "")];
        assert!(submit(&kept, &blank).is_err());
        assert_eq!(submit(&kept, &[("muc#roomconfig_roomname", "y")]).expect("it stays").password.as_deref(), Some("x"));
        assert_eq!(submit(&kept, &[("muc#roomconfig_passwordprotectedroom", "0")]).expect("open").password, None);
    }

    #[test]
    fn d2_what_is_no_number_or_too_large_is_named() {
        let room = RoomConfig::new(&settings());
        for (var, value) in [("muc#roomconfig_maxusers", "1000000"), ("muc#maxhistoryfetch", "many")] {
            let Err(Problem(text)) = submit(&room, &[(var, value)]) else { panic!("{var} {value}") };
            assert!(text.contains(var), "{text}");
        }
        let huge = submit(&room, &[("muc#maxhistoryfetch", "1000000000")]).expect("capped");
        assert_eq!(huge.history_max, settings().history_messages_max);
    }
}
