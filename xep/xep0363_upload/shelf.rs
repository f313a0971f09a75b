//! The files of one account: who may put another one there, which there are, and that they go. All in the account's own turn.
//!
//! A slot takes its part of the quota until it is over; what is kept counts until it expires or is removed. Slots are remembered in
//! memory only: after a restart, or when the account has slept, an upload is counted when it begins and again when it ends.

use std::collections::BTreeMap;
use std::sync::Arc;

use iris_core::blobs::{BlobId, Content};
use iris_core::effects::Effect;
use iris_core::entitlements::Plan;
use iris_core::ports::Forget;
use iris_core::store::{Item, Shelf};
use iris_core::{Bounce, Changed, Condition, ErrorType, StateSlot, Turn, limit};

use super::file::{File, Purpose, Wanted, stamp};
use super::seal::{Pass, Seal, Slot};
use super::{NS, Settings};

/// Key: the file's address. Value: `File`.
pub const SHELF: Shelf = Shelf::map("files");
/// What was uploaded in the last 24 hours and is not there any more, where that is counted: lines of an hour since 1970 and bytes.
pub const SPENT: Shelf = Shelf::record("files-spent");
pub static FILES: StateSlot<Files> = StateSlot::new();

/// Section 7: "relatively low timeout values of around 300s are RECOMMENDED".
pub const SLOT_US: u64 = 300 * 1_000_000;
/// An upload that has begun ends before this, well or not.
pub const UPLOAD_US: u64 = 24 * 3_600 * 1_000_000;
/// How long one may look through one's files with one token.
pub const PASS_US: u64 = 600 * 1_000_000;
/// Slots of one account that are not used yet, and uploads underway.
const SLOTS_MAX: usize = 50;
const UPLOADS_MAX: usize = 20;
/// Files that were removed within the five minutes of their slots, remembered for that long.
const GONE_MAX: usize = 5_000;
const HOUR_US: u64 = 3_600 * 1_000_000;
const DAY_US: u64 = 24 * HOUR_US;

pub struct Files {
    kept: BTreeMap<BlobId, File>,
    slots: Vec<Promised>,
    /// Removed before their slots were over, and until when: what lies at an address never becomes something else.
    gone: BTreeMap<BlobId, u64>,
    /// `SPENT`: bytes, by the hour of the upload.
    spent: BTreeMap<u64, u64>,
}

struct Promised {
    id: BlobId,
    size_bytes: u64,
    purpose: Purpose,
    until_us: u64,
    underway: bool,
}

/// Why an upload is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// Nobody was given this slot, or not any more.
    Forbidden,
    /// It was used.
    Used,
    /// It is more than may be kept: which limit that is, and who can change it.
    Full(String),
    /// So many at once.
    Busy,
}

/// What an account has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub plan: Arc<str>,
    pub quota_bytes: u64,
    pub used_bytes: u64,
    /// Newest first.
    pub files: Vec<(BlobId, File)>,
}

impl Files {
    pub fn load(items: &[Item]) -> Files {
        let read = |item: &Item| Some((BlobId::parse(&item.key)?, File::read(&item.value)?));
        let (spent, kept): (Vec<&Item>, Vec<&Item>) = items.iter().partition(|item| item.shelf == SPENT);
        let line = |line: &str| line.split_once(' ').and_then(|(hour, bytes)| Some((hour.parse().ok()?, bytes.parse().ok()?)));
        let spent = spent.first().and_then(|item| std::str::from_utf8(&item.value).ok()).unwrap_or_default();
        Files {
            kept: kept.into_iter().filter_map(read).collect(),
            slots: Vec::new(),
            gone: BTreeMap::new(),
            spent: spent.lines().filter_map(line).collect(),
        }
    }

    /// What was uploaded within 24 hours and is gone counts as if it were there, or nobody's day would have an end: a file that is removed
    /// makes room, and no time. True if that has to be kept.
    fn spend(&mut self, file: &File, now_us: u64) -> bool {
        if file.time_us.saturating_add(DAY_US) <= now_us {
            return false;
        }
        let hour = self.spent.entry(file.time_us / HOUR_US).or_default();
        *hour = hour.saturating_add(file.size_bytes);
        // At most 25 hours touch a day.
        self.spent.retain(|hour, _| hour.saturating_add(1).saturating_mul(HOUR_US).saturating_add(DAY_US) > now_us);
        true
    }

    /// Nothing that is over counts any more. The files that were.
    fn forget_old(&mut self, now_us: u64) -> Vec<(BlobId, File)> {
        self.slots.retain(|slot| slot.until_us > now_us);
        self.gone.retain(|_, until_us| *until_us > now_us);
        self.kept.extract_if(.., |_, file| file.is_over(now_us)).collect()
    }

    fn used_bytes(&self) -> u64 {
        self.kept.values().fold(0, |sum, file| sum.saturating_add(file.size_bytes))
    }

    /// With what may still come, but for one slot.
    fn taken_bytes(&self, but: Option<BlobId>, of: Option<Purpose>) -> u64 {
        let counts = |purpose: Purpose| of.is_none_or(|of| of == purpose);
        let kept = self.kept.values().filter(|file| counts(file.purpose)).map(|file| file.size_bytes);
        let slots = self.slots.iter().filter(|slot| Some(slot.id) != but && counts(slot.purpose));
        kept.chain(slots.map(|slot| slot.size_bytes)).fold(0, u64::saturating_add)
    }

    /// When there may be more room; `None`: only when something is removed.
    fn again_us(&self) -> Option<u64> {
        let files = self.kept.values().map(|file| file.expires_us).filter(|us| *us != 0);
        self.slots.iter().map(|slot| slot.until_us).chain(files).min()
    }

    fn limit_reached(&self, settings: &Settings, plan: &Plan, file: (u64, Purpose), but: Option<BlobId>) -> Option<String> {
        let (size_bytes, purpose) = file;
        if self.kept.len() >= settings.files_per_user_max {
            let what = format!("You have {} files, as many as one may. Remove some", self.kept.len());
            return Some(limit::text(what, Changed::ByOperator));
        }
        let reached = |whose: Option<Purpose>, most: u64| {
            let taken = self.taken_bytes(but, whose);
            (taken.saturating_add(size_bytes) > most).then_some((most, taken))
        };
        if purpose == Purpose::Profile
            && let Some((most, taken)) = reached(Some(Purpose::Profile), settings.profile_bytes_max)
        {
            let what = format!(
                "Quota reached. The pictures you show of yourself may take {most} bytes, and {taken} are taken. Remove some"
            );
            return Some(limit::text(what, Changed::ByOperator));
        }
        let (most, taken) = reached(None, plan.storage_bytes_max)?;
        let what = format!("Quota reached. Your files may take {most} bytes, and {taken} are taken. Remove some");
        Some(limit::text(what, Changed::ByPlan(&plan.name)))
    }
}

/// What the account's memory says, without what is over.
fn files<'a>(turn: &'a mut Turn<'_>) -> Option<&'a mut Files> {
    let now_us = turn.now.wall_us;
    let over = turn.state(&FILES).map(|files| files.forget_old(now_us)).unwrap_or_default();
    for (id, file) in over {
        drop_entry(turn, id, &file);
    }
    turn.state(&FILES)
}

/// It is in nobody's memory any more, and goes from the disk.
fn drop_entry(turn: &mut Turn<'_>, id: BlobId, file: &File) {
    turn.delete(SHELF, &id.to_string());
    forget(turn, id, file.content);
    let (now_us, rules) = (turn.now.wall_us, turn.doors.rules::<Settings>());
    let is_counted = rules.is_some_and(|rules| rules.bytes_per_day_max > 0);
    let Some(files) = turn.state(&FILES) else { return };
    if files.gone.len() < GONE_MAX {
        // Its slot was given a while before it was there.
        files.gone.insert(id, file.time_us.saturating_add(SLOT_US));
    }
    if is_counted && files.spend(file, now_us) {
        let lines: String = files.spent.iter().map(|(hour, bytes)| format!("{hour} {bytes}\n")).collect();
        turn.put(SPENT, "", lines);
    }
}

/// Once this turn's writes are on disk.
fn forget(turn: &mut Turn<'_>, id: BlobId, content: Option<Content>) {
    let forget = turn.house.ports.forget.clone();
    turn.fx.list.push(Effect::AfterCommit(Box::new(move |kept| {
        if kept.is_ok() {
            forget(Forget::One(id, content));
        }
    })));
}

fn seal(turn: &Turn<'_>) -> Seal {
    Seal::new(turn.house.ids.secret())
}

fn mark(turn: &Turn<'_>) -> u64 {
    seal(turn).mark(turn.account.login_mark())
}

/// Section 5: errors that may pass say when.
fn wait(text: String, again_us: Option<u64>) -> Bounce {
    let bounce = Bounce::new(Condition::ResourceConstraint).kind(ErrorType::Wait).text(text);
    match again_us {
        // Rounded up: whoever comes at that second finds it so.
        Some(us) => bounce.extra(format!("<retry xmlns='{NS}' stamp='{}'/>", stamp(us.saturating_add(999_999)))),
        None => bounce,
    }
}

/// A slot for a file (section 3), or why there is none (section 5).
pub fn promise(turn: &mut Turn<'_>, wanted: &Wanted) -> Result<Slot, Bounce> {
    let forbidden = |text: &str| Err(Bounce::new(Condition::Forbidden).text(text));
    if turn.account.is_guest() || turn.account.login_mark() == 0 {
        return forbidden("Files can be uploaded by those who have an account here.");
    }
    let (plan, now_us) = (turn.plan(), turn.now.wall_us);
    let settings = turn.doors.rules::<Settings>();
    let Some((files, settings)) = files(turn).zip(settings) else { return Err(Bounce::new(Condition::InternalServerError)) };
    if plan.one_file_bytes_max() == 0 {
        return forbidden("Your plan has no room for files. The administrator of this server can give you another one.");
    }
    let (of_plan, of_profiles) = (plan.one_file_bytes_max(), settings.profile_file_bytes_max);
    let (most, changed) = match wanted.purpose {
        Purpose::Profile if of_profiles < of_plan => (of_profiles, Changed::ByOperator),
        _ => (of_plan, Changed::ByPlan(&plan.name)),
    };
    let size = wanted.size_bytes;
    if size > most {
        let too_large = format!("<file-too-large xmlns='{NS}'><max-file-size>{most}</max-file-size></file-too-large>");
        let what = format!("File too large. The maximum file size is {most} bytes");
        return Err(Bounce::new(Condition::NotAcceptable).limit(what, changed).extra(too_large));
    }
    if wanted.purpose == Purpose::Ephemeral && wanted.expire_before_us <= now_us {
        return Err(Bounce::bad_request("expire-before has passed"));
    }
    if files.slots.len() >= SLOTS_MAX {
        let what = format!("You have {SLOTS_MAX} slots that are not used yet, as many as one may");
        let text = limit::text(what, Changed::ByNobody("use one, or wait until it is over"));
        return Err(wait(text, files.slots.iter().map(|it| it.until_us).min()));
    }
    if let Some(text) = files.limit_reached(settings, &plan, (size, wanted.purpose), None) {
        return Err(wait(text, files.again_us()));
    }
    if settings.bytes_per_day_max > 0 {
        let today: Vec<&File> = files.kept.values().filter(|file| file.time_us.saturating_add(DAY_US) > now_us).collect();
        let promised = files.slots.iter().map(|slot| slot.size_bytes);
        let day = |hour: &u64| hour.saturating_add(1).saturating_mul(HOUR_US).saturating_add(DAY_US);
        let spent = files.spent.iter().filter(|(hour, _)| day(hour) > now_us);
        let bytes = today.iter().map(|file| file.size_bytes).chain(promised).chain(spent.clone().map(|(_, bytes)| *bytes));
        let sum = bytes.fold(size, u64::saturating_add);
        if sum > settings.bytes_per_day_max {
            let times = today.iter().map(|file| file.time_us.saturating_add(DAY_US));
            let oldest = times.chain(spent.map(|(hour, _)| day(hour))).min();
            let what = format!("Quota reached. You can upload {} bytes in 24 hours", settings.bytes_per_day_max);
            let text = limit::text(what, Changed::ByOperator);
            return Err(wait(text, oldest.or(files.again_us())));
        }
    }
    let lives_us = settings.expire_days.saturating_mul(DAY_US);
    let by_policy = if lives_us == 0 { 0 } else { now_us.saturating_add(lives_us) };
    let expires_us = match wanted.purpose {
        Purpose::Message => by_policy,
        Purpose::Ephemeral if by_policy == 0 => wanted.expire_before_us,
        Purpose::Ephemeral => wanted.expire_before_us.min(by_policy),
        Purpose::Profile | Purpose::Permanent => 0,
    };
    let mut random = [0; 16];
    (turn.house.ports.random)(&mut random);
    let slot = Slot {
        id: seal(turn).id(turn.account.owner(), random),
        owner: turn.me().clone(),
        mark: mark(turn),
        until_us: now_us.saturating_add(SLOT_US),
        file: File {
            name: wanted.name.clone(),
            content_type: wanted.content_type.clone(),
            size_bytes: size,
            purpose: wanted.purpose,
            time_us: now_us,
            expires_us,
            content: None,
        },
    };
    if let Some(files) = turn.state(&FILES) {
        let (id, until_us) = (slot.id, slot.until_us);
        files.slots.push(Promised { id, size_bytes: size, purpose: wanted.purpose, until_us, underway: false });
    }
    Ok(slot)
}

/// Its upload begins.
///
/// # Errors
/// It does not.
pub fn begin(turn: &mut Turn<'_>, slot: &Slot) -> Result<(), Denied> {
    let (now_us, plan) = (turn.now.wall_us, turn.plan());
    if slot.mark != mark(turn) || slot.until_us <= now_us || slot.file.is_over(now_us) || turn.account.is_guest() {
        return Err(Denied::Forbidden);
    }
    let settings = turn.doors.rules::<Settings>();
    let Some((files, settings)) = files(turn).zip(settings) else { return Err(Denied::Forbidden) };
    if files.kept.contains_key(&slot.id) || files.gone.contains_key(&slot.id) {
        return Err(Denied::Used);
    }
    if files.slots.iter().any(|it| it.id == slot.id && it.underway) {
        return Err(Denied::Used);
    }
    if files.slots.iter().filter(|slot| slot.underway).count() >= UPLOADS_MAX {
        return Err(Denied::Busy);
    }
    if let Some(text) = files.limit_reached(settings, &plan, (slot.file.size_bytes, slot.file.purpose), Some(slot.id)) {
        return Err(Denied::Full(text));
    }
    files.slots.retain(|it| it.id != slot.id);
    let until_us = now_us.saturating_add(UPLOAD_US);
    let (id, size_bytes, purpose) = (slot.id, slot.file.size_bytes, slot.file.purpose);
    files.slots.push(Promised { id, size_bytes, purpose, until_us, underway: true });
    Ok(())
}

/// All of it has come and lies on disk: from the commit of this turn on it can be had. `content`: what it holds, if that was looked at.
///
/// # Errors
/// It may not be kept: remove it.
pub fn keep(turn: &mut Turn<'_>, slot: &Slot, content: Option<Content>) -> Result<(), Denied> {
    let (now_us, plan) = (turn.now.wall_us, turn.plan());
    // B18: who was logged out meanwhile has no upload underway either.
    if slot.mark != mark(turn) || slot.file.is_over(now_us) {
        return Err(Denied::Forbidden);
    }
    let settings = turn.doors.rules::<Settings>();
    let Some((files, settings)) = files(turn).zip(settings) else { return Err(Denied::Forbidden) };
    if files.kept.contains_key(&slot.id) {
        return Err(Denied::Used);
    }
    let full = files.limit_reached(settings, &plan, (slot.file.size_bytes, slot.file.purpose), Some(slot.id));
    files.slots.retain(|it| it.id != slot.id);
    if let Some(text) = full {
        return Err(Denied::Full(text));
    }
    let file = File { time_us: now_us, content, ..slot.file.clone() };
    files.kept.insert(slot.id, file.clone());
    turn.put(SHELF, &slot.id.to_string(), file.encode());
    Ok(())
}

/// The upload has come to nothing; the slot is used all the same.
pub fn abandon(turn: &mut Turn<'_>, id: BlobId) {
    if let Some(files) = turn.state(&FILES) {
        files.slots.retain(|slot| slot.id != id);
    }
}

pub fn list(turn: &mut Turn<'_>) -> Listed {
    let plan = turn.plan();
    let files = files(turn);
    let used_bytes = files.as_ref().map_or(0, |files| files.used_bytes());
    let mut files: Vec<(BlobId, File)> =
        files.map(|files| files.kept.iter().map(|(id, file)| (*id, file.clone())).collect()).unwrap_or_default();
    files.sort_by_key(|(_, file)| std::cmp::Reverse(file.time_us));
    Listed { plan: plan.name.clone(), quota_bytes: plan.storage_bytes_max, used_bytes, files }
}

/// False: there is none of that address.
pub fn remove(turn: &mut Turn<'_>, id: BlobId) -> bool {
    let Some(file) = files(turn).and_then(|files| files.kept.remove(&id)) else { return false };
    drop_entry(turn, id, &file);
    true
}

/// With it a program looks through the files of this account for some minutes.
pub fn pass(turn: &Turn<'_>) -> (String, u64) {
    let until_us = turn.now.wall_us.saturating_add(PASS_US);
    let pass = Pass { owner: turn.me().clone(), mark: mark(turn), until_us };
    (seal(turn).sign_pass(&pass), until_us)
}

/// Is it good, in the turn of the account that it names?
pub fn admits(turn: &Turn<'_>, pass: &Pass) -> bool {
    pass.mark == mark(turn) && pass.until_us > turn.now.wall_us && turn.account.login_mark() != 0
}
