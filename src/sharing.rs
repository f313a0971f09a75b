//! What the web side is told of files (XEP-0363): between requests (`iris-web`), the shelves of the accounts (room 0363), and where
//! files lie (`iris_core::blobs`).
//!
//! A file can be fetched when its entry on its owner's shelf is on disk, and not before and not after: the bytes are there earlier
//! and go later. So a process that dies at any moment leaves bytes that nobody finds, and the keeper finds them: a thread that
//! removes what is said to be no longer wanted, and every hour what belongs to nobody.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::sync::mpsc::{Receiver as Wishes, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use iris_core::blobs::{BlobId, Blobs, Content, NewBlob, OpenBlob};
use iris_core::ports::{Forget, Forgetter};
use iris_core::store::{Read, Rows, Store};
use iris_core::task::AccountFn;
use iris_core::{BareJid, Turn};
use iris_net::Net;
use iris_web::files::{Answer, Chunk, Files, Found, Put, Receiver, Refused, Source};
use iris_xep::xep0363_upload::{self as upload, Denied, File, Pass, Seal, Slot};
use tokio::sync::oneshot;

/// What is said to be no longer wanted and was not removed yet; more is found within the hour.
const WISHES_MAX: usize = 10_000;
/// How often what belongs to nobody is looked for, and how soon after somebody has gone.
const LOOK_EVERY: Duration = Duration::from_secs(3_600);
const LOOK_AFTER: Duration = Duration::from_secs(2);
/// Between two folders of 256, so that a look takes no disk away from others.
const PAUSE: Duration = Duration::from_millis(20);

/// Uploads whose bytes have their name already and whose entry is not on disk yet.
type Underway = Arc<Mutex<HashSet<BlobId>>>;

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

pub struct Sharing {
    net: Arc<Net>,
    store: Arc<dyn Store>,
    blobs: Arc<dyn Blobs>,
    seal: Seal,
    underway: Underway,
    /// `https://host[:port]` of each domain.
    sites: Vec<(String, String)>,
}

impl Sharing {
    pub fn new(net: Arc<Net>, store: Arc<dyn Store>, blobs: Arc<dyn Blobs>, sites: Vec<(String, String)>) -> Sharing {
        let seal = Seal::new(store.secret());
        Sharing { net, store, blobs, seal, underway: Underway::default(), sites }
    }

    /// Removes what is not wanted, until the house closes.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn keep_clean(&self, wishes: Wishes<Forget>) -> Result<(), String> {
        let keeper = Keeper {
            store: Arc::downgrade(&self.store),
            blobs: self.blobs.clone(),
            seal: self.seal.clone(),
            underway: self.underway.clone(),
        };
        let thread = std::thread::Builder::new().name("iris-files".into()).spawn(move || keeper.run(&wishes));
        thread.map(drop).map_err(|error| format!("cannot start a thread: {error}"))
    }
}

/// What turns say, and where it comes out.
pub fn wishes() -> (Forgetter, Wishes<Forget>) {
    let (sender, wishes): (SyncSender<Forget>, _) = sync_channel(WISHES_MAX);
    // What is lost here is found by the next look.
    let say = move |what| {
        let _ = sender.try_send(what);
    };
    (Arc::new(say), wishes)
}

// --- asking the house ---------------------------------------------------------------------------------------------------

/// In the turn of an account; when its writes are on disk.
async fn in_account<R: Send + 'static>(
    net: &Net,
    account: &BareJid,
    f: impl FnOnce(&mut Turn<'_>) -> R + Send + 'static,
) -> Result<R, Refused> {
    let (sender, receiver) = oneshot::channel();
    let f: AccountFn = Box::new(move |turn| Box::new(f(turn)));
    net.in_account(account, f, Box::new(move |answer| drop(sender.send(answer))));
    match receiver.await {
        Ok(Ok(Some(result))) => result.downcast().map(|result| *result).map_err(|_| Refused::Failed),
        Ok(Ok(None)) => Err(Refused::Forbidden),
        Ok(Err(error)) => {
            tracing::warn!(%error, "an account could not be asked for its files");
            Err(Refused::Failed)
        }
        Err(_) => Err(Refused::Failed),
    }
}

fn denied(why: Denied) -> Refused {
    match why {
        Denied::Forbidden => Refused::Forbidden,
        Denied::Used => Refused::Used,
        Denied::Full(why) => Refused::Full(why),
        Denied::Busy => Refused::Busy,
    }
}

fn failed(error: &std::io::Error) -> Refused {
    if error.kind() == ErrorKind::ResourceBusy {
        return Refused::Busy;
    }
    tracing::error!(%error, "a file cannot be kept or read");
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Refused::DiskFull,
        _ => Refused::Failed,
    }
}

/// Something that waits for a disk, on a thread that may.
async fn waiting<R: Send + 'static>(f: impl FnOnce() -> std::io::Result<R> + Send + 'static) -> Result<R, Refused> {
    match tokio::task::spawn_blocking(f).await {
        Ok(result) => result.map_err(|error| failed(&error)),
        Err(_) => Err(Refused::Failed),
    }
}

// --- put ------------------------------------------------------------------------------------------------------------------

impl Files for Sharing {
    fn put(&self, id: &str, name: &str, put: Put) -> Answer<Result<Box<dyn Receiver>, Refused>> {
        let slot = self.seal.open_slot(&put.token).filter(|slot| BlobId::parse(id) == Some(slot.id) && slot.file.name == name);
        let slot = match slot.ok_or(Refused::Forbidden).and_then(|slot| fits(slot, &put)) {
            Ok(slot) => slot,
            Err(refused) => return Box::pin(async move { Err(refused) }),
        };
        let (net, blobs, underway) = (self.net.clone(), self.blobs.clone(), self.underway.clone());
        Box::pin(async move {
            let begun = slot.clone();
            in_account(&net, &slot.owner, move |turn| upload::begin(turn, &begun)).await?.map_err(denied)?;
            let mut arrival = Arrival { net, blobs: blobs.clone(), underway, slot, blob: None, over: false };
            let (id, size_bytes) = (arrival.slot.id, arrival.slot.file.size_bytes);
            arrival.blob = Some(waiting(move || blobs.create(id, size_bytes)).await?);
            Ok(Box::new(arrival) as Box<dyn Receiver>)
        })
    }

    fn fetch(&self, id: &str, name: &str) -> Answer<Result<Option<Found>, Refused>> {
        let Some(id) = BlobId::parse(id) else { return Box::pin(async { Ok(None) }) };
        let (sender, receiver) = oneshot::channel();
        let read = Read::Value { owner: self.seal.owner(id), shelf: upload::SHELF, key: Arc::from(id.to_string()) };
        self.store.read(0, read, Box::new(move |rows| drop(sender.send(rows))));
        let (blobs, name) = (self.blobs.clone(), name.to_owned());
        Box::pin(async move {
            let entry = match receiver.await {
                Ok(Ok(Rows::Value(entry))) => entry.as_ref().and_then(File::read),
                _ => return Err(Refused::Failed),
            };
            let Some(file) = entry.filter(|file| file.name == name && !file.is_over(now_us())) else { return Ok(None) };
            let Some(open) = waiting(move || blobs.open(id)).await? else { return Ok(None) };
            if open.size() != file.size_bytes {
                tracing::error!(?id, "a file on disk has not the size that it was kept with");
                return Err(Refused::Failed);
            }
            Ok(Some(Found {
                content_type: file.content_type().to_owned(),
                size_bytes: file.size_bytes,
                time: file.time_us / 1_000_000,
                expires: (file.expires_us != 0).then_some(file.expires_us / 1_000_000),
                tag: id.to_string(),
                name: file.name,
                source: Box::new(Opened(open)),
            }))
        })
    }

    fn list(&self, token: &str) -> Answer<Result<String, Refused>> {
        let Some(pass) = self.seal.open_pass(token) else { return Box::pin(async { Err(Refused::Forbidden) }) };
        let net = self.net.clone();
        let site = self.sites.iter().find(|(domain, _)| domain == pass.owner.domain().as_str());
        let site = site.map_or_else(String::new, |(_, site)| site.clone());
        Box::pin(async move {
            let listed = in_account(&net, &pass.owner.clone(), move |turn| admitted(turn, &pass, upload::list)).await??;
            Ok(json(&listed, &site))
        })
    }

    fn remove(&self, token: &str, id: &str) -> Answer<Result<(), Refused>> {
        let Some(pass) = self.seal.open_pass(token) else { return Box::pin(async { Err(Refused::Forbidden) }) };
        let Some(id) = BlobId::parse(id) else { return Box::pin(async { Err(Refused::NotFound) }) };
        let net = self.net.clone();
        Box::pin(async move {
            let remove = move |turn: &mut Turn<'_>| upload::remove(turn, id);
            let removed = in_account(&net, &pass.owner.clone(), move |turn| admitted(turn, &pass, remove)).await??;
            if removed { Ok(()) } else { Err(Refused::NotFound) }
        })
    }
}

fn admitted<R>(turn: &mut Turn<'_>, pass: &Pass, f: impl FnOnce(&mut Turn<'_>) -> R) -> Result<R, Refused> {
    if upload::admits(turn, pass) { Ok(f(turn)) } else { Err(Refused::Forbidden) }
}

/// Section 6: "The upload service MUST reject the file upload if the Content-Length does not match the size of the slot request",
/// and the Content-Type, if it was said before. One that was not is taken from the upload.
fn fits(mut slot: Slot, put: &Put) -> Result<Slot, Refused> {
    if put.size_bytes != slot.file.size_bytes {
        return Err(Refused::WrongSize { larger: put.size_bytes > slot.file.size_bytes });
    }
    match &put.content_type {
        Some(given) if slot.file.content_type.is_empty() => {
            if upload::is_content_type(given) {
                slot.file.content_type.clone_from(given);
            }
            Ok(slot)
        }
        Some(given) if !upload::same_type(given, &slot.file.content_type) => Err(Refused::WrongType),
        _ => Ok(slot),
    }
}

fn json(listed: &upload::Listed, site: &str) -> String {
    let time = |us: u64| (us != 0).then(|| upload::stamp(us));
    let files = listed.files.iter().map(|(id, file)| {
        serde_json::json!({
            "id": id.to_string(),
            "url": upload::url_of(site, *id, &file.name),
            "name": file.name,
            "type": file.content_type(),
            "size_bytes": file.size_bytes,
            "time": time(file.time_us),
            "purpose": file.purpose.as_str(),
            "expires": time(file.expires_us),
        })
    });
    serde_json::json!({
        "plan": &*listed.plan,
        "quota_bytes": listed.quota_bytes,
        "used_bytes": listed.used_bytes,
        "files": files.collect::<Vec<_>>(),
    })
    .to_string()
}

/// An upload while it comes. Dropped before it is over: nothing is left of it.
struct Arrival {
    net: Arc<Net>,
    blobs: Arc<dyn Blobs>,
    underway: Underway,
    slot: Slot,
    blob: Option<Box<dyn NewBlob>>,
    over: bool,
}

impl Receiver for Arrival {
    fn write(mut self: Box<Self>, bytes: Vec<u8>) -> Answer<Result<Box<dyn Receiver>, Refused>> {
        Box::pin(async move {
            let mut blob = self.blob.take().ok_or(Refused::Failed)?;
            let write = move || blob.write(&bytes).map(|()| blob);
            self.blob = Some(waiting(write).await?);
            Ok(self as Box<dyn Receiver>)
        })
    }

    fn finish(mut self: Box<Self>) -> Answer<Result<(), Refused>> {
        // On a task of its own: a client that goes away now has put it all the same, or not at all.
        let finishing = tokio::spawn(async move {
            let blob = self.blob.take().ok_or(Refused::Failed)?;
            let (id, slot) = (self.slot.id, self.slot.clone());
            lock(&self.underway).insert(id);
            let (kept, content) = match waiting(move || blob.keep()).await {
                Ok(content) => {
                    let keep = move |turn: &mut Turn<'_>| upload::keep(turn, &slot, content);
                    let kept = in_account(&self.net, &self.slot.owner, keep).await;
                    (kept.and_then(|kept| kept.map_err(denied)), content)
                }
                Err(why) => (Err(why), None),
            };
            // `Used`: it is there from another upload, which was the first.
            if kept.is_err() && kept != Err(Refused::Used) {
                let blobs = self.blobs.clone();
                let _ = waiting(move || blobs.remove(id, content)).await;
            }
            lock(&self.underway).remove(&id);
            self.over = kept.is_ok();
            kept
        });
        Box::pin(async move { finishing.await.unwrap_or(Err(Refused::Failed)) })
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let id = self.slot.id;
        let f: AccountFn = Box::new(move |turn| {
            upload::abandon(turn, id);
            Box::new(())
        });
        self.net.in_account(&self.slot.owner, f, Box::new(|_| {}));
        // Its bytes go where a thread may wait for the disk, if there is still one.
        if let Some(blob) = self.blob.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            drop(runtime.spawn_blocking(move || drop(blob)));
        }
    }
}

// --- get ------------------------------------------------------------------------------------------------------------------

struct Opened(Box<dyn OpenBlob>);

impl Source for Opened {
    fn read(mut self: Box<Self>, offset: u64, bytes_max: usize) -> Answer<Chunk> {
        Box::pin(async move {
            let read = tokio::task::spawn_blocking(move || {
                let bytes = self.0.read_at(offset, bytes_max);
                (self as Box<dyn Source>, bytes.map(Into::into))
            });
            match read.await {
                Ok(chunk) => chunk,
                Err(_) => (Box::new(Gone) as Box<dyn Source>, Err(ErrorKind::Other.into())),
            }
        })
    }
}

/// What is left when a thread was lost.
struct Gone;

impl Source for Gone {
    fn read(self: Box<Self>, _: u64, _: usize) -> Answer<Chunk> {
        Box::pin(async { (Box::new(Gone) as Box<dyn Source>, Err(ErrorKind::Other.into())) })
    }
}

// --- what is not wanted ---------------------------------------------------------------------------------------------------

struct Keeper {
    /// The house may close: then there is nothing to look after.
    store: Weak<dyn Store>,
    blobs: Arc<dyn Blobs>,
    seal: Seal,
    underway: Underway,
}

impl Keeper {
    fn run(&self, wishes: &Wishes<Forget>) {
        let mut look_at = Instant::now() + LOOK_AFTER;
        loop {
            match wishes.recv_timeout(look_at.saturating_duration_since(Instant::now())) {
                Ok(Forget::One(id, content)) => self.remove(id, content),
                Ok(Forget::OfNobody) => look_at = look_at.min(Instant::now() + LOOK_AFTER),
                Err(RecvTimeoutError::Timeout) => {
                    self.look();
                    look_at = Instant::now() + LOOK_EVERY;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn remove(&self, id: BlobId, content: Option<Content>) {
        if let Err(error) = self.blobs.remove(id, content) {
            tracing::warn!(%error, ?id, "a file that nobody wants cannot be removed; it will be tried again");
        }
    }

    /// Everything that lies there belongs to somebody, and is not over.
    fn look(&self) {
        let mut removed = 0u32;
        for byte in 0..=u8::MAX {
            let found = match self.blobs.beginning_with(byte) {
                Ok(found) => found,
                // The next look begins anew; until then there is time for those who wait.
                Err(error) => return tracing::warn!(%error, "the files cannot be looked through"),
            };
            for id in found {
                match self.is_wanted(id) {
                    Some(true) => {}
                    Some(false) => {
                        self.remove(id, None);
                        removed += 1;
                    }
                    // The house closes, or the store has no time.
                    None => return,
                }
            }
            std::thread::sleep(PAUSE);
        }
        if let Err(error) = self.blobs.sweep() {
            tracing::warn!(%error, "bytes that no file has any more cannot be removed; it will be tried again");
        }
        if removed > 0 {
            tracing::info!(removed, "files that are over, or belong to nobody, are removed");
        }
    }

    fn is_wanted(&self, id: BlobId) -> Option<bool> {
        // Before the store is asked: whatever is not underway now has its entry already, or will have none.
        if lock(&self.underway).contains(&id) {
            return Some(true);
        }
        let (sender, receiver) = sync_channel(1);
        let read = Read::Value { owner: self.seal.owner(id), shelf: upload::SHELF, key: Arc::from(id.to_string()) };
        self.store.upgrade()?.read(0, read, Box::new(move |rows| drop(sender.send(rows))));
        match receiver.recv_timeout(Duration::from_secs(30)) {
            Ok(Ok(Rows::Value(entry))) => Some(entry.as_ref().and_then(File::read).is_some_and(|file| !file.is_over(now_us()))),
            _ => None,
        }
    }
}
