//! A file that comes in. A small one is put at once when all of it is there; a larger one part by part, and nobody sees it before it is
//! completed. Parts of an upload that is never completed cost money and are in no list of files, so each such upload is written down
//! on this machine before its first part, and what stands there at a start is given up.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use iris_core::blobs::{BlobId, Content, NewBlob};
use object_store::multipart::{MultipartStore, PartId};
use object_store::{ObjectStoreExt, PutPayload};

use super::{ARRIVALS_MAX, Shared, sync};

/// The least that S3 takes for any part but the last.
const PART_BYTES: u64 = 5 * 1024 * 1024;
/// The most that S3 takes of them.
const PARTS_MAX: u64 = 10_000;
/// A line of the journal.
const JOURNAL_BYTES_MAX: u64 = 4_096;

pub(super) struct Arriving {
    shared: Arc<Shared>,
    id: BlobId,
    part_bytes: usize,
    /// Of the file, not here yet.
    left_bytes: u64,
    /// What came and was not sent on; made as large as it will be.
    part: Vec<u8>,
    /// Since the first part was full.
    upload: Option<Upload>,
    done: bool,
}

struct Upload {
    id: String,
    parts: Vec<PartId>,
    journal: PathBuf,
}

impl Arriving {
    pub fn new(shared: Arc<Shared>, id: BlobId, size_bytes: u64) -> io::Result<Arriving> {
        let part_bytes = PART_BYTES.max(size_bytes.div_ceil(PARTS_MAX));
        let part_bytes = usize::try_from(part_bytes).map_err(|_| io::Error::from(ErrorKind::FileTooLarge))?;
        if shared.arriving.fetch_add(1, Ordering::Relaxed) >= ARRIVALS_MAX {
            shared.arriving.fetch_sub(1, Ordering::Relaxed);
            return Err(ErrorKind::ResourceBusy.into());
        }
        Ok(Arriving { shared, id, part_bytes, left_bytes: size_bytes, part: Vec::new(), upload: None, done: false })
    }

    fn begin(&mut self) -> io::Result<()> {
        let path = self.shared.path(self.id);
        let id = self.shared.wait(self.shared.store.create_multipart(&path))?;
        let arrival = self.shared.arrivals.fetch_add(1, Ordering::Relaxed);
        let journal = self.shared.journal.join(format!("{}.{arrival}", self.id));
        // Before anything that can fail: whatever comes now, it is given up.
        let upload = self.upload.insert(Upload { id, parts: Vec::new(), journal });
        write_down(upload, self.id)?;
        sync(&self.shared.journal)
    }

    fn send_part(&mut self) -> io::Result<()> {
        if self.upload.is_none() {
            self.begin()?;
        }
        let Some(upload) = &mut self.upload else { return Err(ErrorKind::Other.into()) };
        let part = PutPayload::from(std::mem::take(&mut self.part));
        let (path, at) = (self.shared.path(self.id), upload.parts.len());
        let sent = self.shared.wait(self.shared.store.put_part(&path, &upload.id, at, part))?;
        upload.parts.push(sent);
        Ok(())
    }
}

fn write_down(upload: &Upload, id: BlobId) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&upload.journal)?;
    file.write_all(format!("{id}\n{}\n", upload.id).as_bytes())?;
    file.sync_all()
}

impl NewBlob for Arriving {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.part.is_empty() {
                self.part = Vec::with_capacity(usize::try_from(self.left_bytes).unwrap_or(usize::MAX).min(self.part_bytes));
            }
            let (now, later) = rest.split_at(rest.len().min(self.part_bytes - self.part.len()));
            self.part.extend_from_slice(now);
            self.left_bytes = self.left_bytes.saturating_sub(now.len() as u64);
            rest = later;
            if self.part.len() == self.part_bytes {
                self.send_part()?;
            }
        }
        Ok(())
    }

    fn keep(mut self: Box<Self>) -> io::Result<Option<Content>> {
        let path = self.shared.path(self.id);
        if self.upload.is_none() {
            let all = PutPayload::from(std::mem::take(&mut self.part));
            self.shared.wait(self.shared.store.put(&path, all))?;
            self.done = true;
            return Ok(None);
        }
        if !self.part.is_empty() {
            self.send_part()?;
        }
        if let Some(upload) = &mut self.upload {
            let parts = std::mem::take(&mut upload.parts);
            self.shared.wait(self.shared.store.complete_multipart(&path, &upload.id, parts))?;
            forget(&upload.journal);
        }
        self.done = true;
        Ok(None)
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.shared.arriving.fetch_sub(1, Ordering::Relaxed);
        if let Some(upload) = self.upload.take().filter(|_| !self.done) {
            let (shared, id) = (self.shared.clone(), self.id);
            // Nobody waits for it: this may be anybody's thread.
            self.shared.runtime.spawn(async move { give_up(&shared, id, &upload.id, &upload.journal).await });
        }
    }
}

async fn give_up(shared: &Shared, id: BlobId, upload: &str, journal: &Path) {
    match shared.store.abort_multipart(&shared.path(id), &upload.to_owned()).await {
        Ok(()) | Err(object_store::Error::NotFound { .. }) => forget(journal),
        Err(error) => {
            let error = super::io_error(&error);
            tracing::warn!(%error, "parts of a file that did not arrive stay in the bucket until the next start");
        }
    }
}

fn forget(journal: &Path) {
    if let Err(error) = fs::remove_file(journal)
        && error.kind() != ErrorKind::NotFound
    {
        tracing::warn!(%error, "a note of an upload cannot be removed; the next start does it");
    }
}

/// What the process before has left, given up while this one serves.
pub(super) fn give_up_old(shared: &Arc<Shared>) {
    let entries = match fs::read_dir(&shared.journal) {
        Ok(entries) => entries,
        Err(error) => return tracing::warn!(%error, "what was arriving at the last end cannot be seen"),
    };
    let notes: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    let shared = shared.clone();
    let runtime = shared.runtime.clone();
    runtime.spawn(async move {
        for note in notes {
            let known = fs::metadata(&note)
                .ok()
                .filter(|it| it.len() <= JOURNAL_BYTES_MAX)
                .and_then(|_| fs::read_to_string(&note).ok());
            let known = known.as_deref().and_then(|text| {
                let (id, upload) = text.trim_end().split_once('\n')?;
                Some((BlobId::parse(id)?, upload.to_owned()))
            });
            match known {
                Some((id, upload)) => give_up(&shared, id, &upload, &note).await,
                // Nothing was sent before it was written whole; and files of a time when these lay in this folder.
                None => forget(&note),
            }
        }
    });
}
