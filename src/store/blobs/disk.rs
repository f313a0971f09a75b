//! Files in a folder: `ab/abcdef…` for each that is kept, `arriving/…` for those that are not yet. Nothing of a path comes from
//! outside: a name is hexadecimal digits (`BlobId`).
//!
//! Where the same bytes are stored once, each of these is one more name of the file `content/ab/SHA-256` (a hard link), and the file system
//! counts them: bytes whose only name is that one belong to nobody. No count of ours can be wrong after a crash, and whatever is done
//! at the same time, a name that somebody has always has its bytes.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use iris_core::blobs::{BlobId, Blobs, Content, NewBlob, OpenBlob};
use sha2::{Digest, Sha256};

const ARRIVING: &str = "arriving";
const CONTENT: &str = "content";
/// The same bytes may go while they come again; then it is tried once more.
const TRIES_MAX: u32 = 8;

pub struct DiskBlobs {
    folder: PathBuf,
    /// Two that arrive at once never have the same file.
    arrivals: AtomicU64,
    deduplicate: bool,
}

impl DiskBlobs {
    /// The folder is made if it is not there. What was arriving when the process before ended is removed.
    ///
    /// # Errors
    /// The folder cannot be made or read.
    pub fn open(folder: &Path) -> io::Result<DiskBlobs> {
        let arriving = folder.join(ARRIVING);
        make(&arriving)?;
        for entry in fs::read_dir(&arriving)? {
            fs::remove_file(entry?.path())?;
        }
        Ok(DiskBlobs { folder: folder.to_owned(), arrivals: AtomicU64::new(0), deduplicate: false })
    }

    /// What comes from now on is stored once, however often it comes.
    #[must_use]
    pub fn deduplicating(self, deduplicate: bool) -> DiskBlobs {
        DiskBlobs { deduplicate, ..self }
    }

    fn shelf(&self, byte: u8) -> PathBuf {
        self.folder.join(format!("{byte:02x}"))
    }

    fn path(&self, id: BlobId) -> PathBuf {
        self.shelf(id.0[0]).join(id.to_string())
    }
}

fn content_path(folder: &Path, content: Content) -> PathBuf {
    folder.join(CONTENT).join(format!("{:02x}", content.0[0])).join(content.to_string())
}

/// The bytes go when they have no other name. Between the look and the removal they may get one: then they are kept under that, and only
/// not found for the next who has the same.
fn release(path: &Path) -> io::Result<()> {
    absent_is_fine(match fs::metadata(path) {
        Ok(file) if file.nlink() == 1 => fs::remove_file(path),
        Ok(_) => Ok(()),
        Err(error) => Err(error),
    })
}

fn absent_is_fine(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

pub(super) fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// What was put into a folder, or taken out, is on disk.
fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

impl Blobs for DiskBlobs {
    fn create(&self, id: BlobId, _: u64) -> io::Result<Box<dyn NewBlob>> {
        let arrival = self.arrivals.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(ARRIVING).join(format!("{id}.{arrival}"));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let digest = self.deduplicate.then(Sha256::new);
        Ok(Box::new(Arriving { file, path: Some(path), kept: self.path(id), folder: self.folder.clone(), digest }))
    }

    fn open(&self, id: BlobId) -> io::Result<Option<Box<dyn OpenBlob>>> {
        match File::open(self.path(id)) {
            Ok(file) => {
                let size = file.metadata()?.len();
                Ok(Some(Box::new(Kept { file, size })))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn remove(&self, id: BlobId, content: Option<Content>) -> io::Result<()> {
        absent_is_fine(fs::remove_file(self.path(id)))?;
        content.map_or(Ok(()), |content| release(&content_path(&self.folder, content)))
    }

    fn sweep(&self) -> io::Result<()> {
        for byte in 0..=u8::MAX {
            let entries = match fs::read_dir(self.folder.join(CONTENT).join(format!("{byte:02x}"))) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                entries => entries?,
            };
            for entry in entries {
                release(&entry?.path())?;
            }
        }
        Ok(())
    }

    fn beginning_with(&self, byte: u8) -> io::Result<Vec<BlobId>> {
        let entries = match fs::read_dir(self.shelf(byte)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut found = Vec::new();
        for entry in entries {
            found.extend(entry?.file_name().to_str().and_then(BlobId::parse));
        }
        Ok(found)
    }
}

struct Arriving {
    file: File,
    /// `None`: it is kept.
    path: Option<PathBuf>,
    kept: PathBuf,
    folder: PathBuf,
    /// Where the same bytes are stored once.
    digest: Option<Sha256>,
}

impl Arriving {
    /// A folder for a file, itself on disk.
    fn place_for(&self, file: &Path) -> io::Result<PathBuf> {
        let shelf = file.parent().unwrap_or(&self.folder).to_owned();
        if !shelf.is_dir() {
            make(&shelf)?;
            shelf.ancestors().skip(1).take_while(|above| above.starts_with(&self.folder)).try_for_each(sync)?;
        }
        Ok(shelf)
    }

    /// Another name for bytes that are there, or for these, which are there from now on.
    fn keep_once(&self, content: Content) -> io::Result<()> {
        let shared = content_path(&self.folder, content);
        let shelf = self.place_for(&shared)?;
        let Some(path) = &self.path else { return Err(ErrorKind::NotFound.into()) };
        for _ in 0..TRIES_MAX {
            match fs::hard_link(&shared, &self.kept) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                // A file has so many names at most (65,000 on ext4): these bytes are stored once more.
                Err(_) => return fs::rename(path, &self.kept),
            }
            match fs::hard_link(path, &shared) {
                Ok(()) => {
                    sync(&shelf)?;
                    return fs::rename(path, &self.kept);
                }
                // Somebody was quicker with the same.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                // A file system without: it is a file as any other.
                Err(_) => return fs::rename(path, &self.kept),
            }
        }
        fs::rename(path, &self.kept)
    }
}

impl NewBlob for Arriving {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(digest) = &mut self.digest {
            digest.update(bytes);
        }
        self.file.write_all(bytes)
    }

    fn keep(mut self: Box<Self>) -> io::Result<Option<Content>> {
        self.file.sync_all()?;
        let shelf = self.place_for(&self.kept)?;
        let content = self.digest.take().map(|digest| Content(digest.finalize().into()));
        match (content, &self.path) {
            (Some(content), _) => self.keep_once(content)?,
            (None, Some(path)) => fs::rename(path, &self.kept)?,
            (None, None) => {}
        }
        sync(&shelf)?;
        // What is left of it when the same bytes were there.
        if let Some(path) = self.path.take() {
            absent_is_fine(fs::remove_file(path))?;
        }
        Ok(content)
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        if let Some(path) = self.path.take()
            && let Err(error) = fs::remove_file(&path)
        {
            tracing::warn!(%error, "a file that did not arrive stays on disk until the next start");
        }
    }
}

struct Kept {
    file: File,
    size: u64,
}

impl OpenBlob for Kept {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&mut self, offset: u64, bytes_max: usize) -> io::Result<Vec<u8>> {
        if offset >= self.size {
            return Ok(Vec::new());
        }
        let mut bytes = vec![0; bytes_max];
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, offset + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::suite::{self, id, put};
    use super::*;

    fn entries(folder: &Path) -> usize {
        fs::read_dir(folder).map_or(0, Iterator::count)
    }

    fn arriving(folder: &Path) -> usize {
        entries(&folder.join(ARRIVING))
    }

    /// Files of their own with bytes in them, whatever their names.
    fn contents(folder: &Path) -> usize {
        let folders = fs::read_dir(folder.join(CONTENT)).into_iter().flatten();
        folders.map(|folder| entries(&folder.expect("an entry").path())).sum()
    }

    fn open(folder: &tempfile::TempDir, deduplicate: bool) -> DiskBlobs {
        DiskBlobs::open(folder.path()).expect("a folder").deduplicating(deduplicate)
    }

    #[test]
    fn a_folder_behaves_as_every_driver_does() {
        for deduplicate in [false, true] {
            let folder = tempfile::tempdir().expect("a folder");
            suite::run(&open(&folder, deduplicate));
            assert_eq!((arriving(folder.path()), contents(folder.path())), (0, 0));
        }
    }

    #[test]
    fn what_arrived_when_the_process_was_killed_is_removed_at_the_next_start() {
        let folder = tempfile::tempdir().expect("a folder");
        let blobs = open(&folder, false);
        let mut lost = blobs.create(id(1), 4).expect("a file");
        lost.write(b"half").expect("written");
        // A killed process drops nothing.
        std::mem::forget(lost);
        assert_eq!(arriving(folder.path()), 1);
        let blobs = open(&folder, false);
        assert_eq!(arriving(folder.path()), 0);
        assert!(blobs.open(id(1)).expect("no error").is_none());
    }

    #[test]
    fn the_same_bytes_are_stored_once_and_go_with_the_last_who_has_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let blobs = open(&folder, true);
        let same = put(&blobs, id(1), b"the same");
        assert_eq!(put(&blobs, id(2), b"the same"), same);
        assert_ne!(put(&blobs, id(3), b"another"), same);
        assert!(same.is_some());
        let inode = |of: BlobId| fs::metadata(blobs.path(of)).expect("a file").ino();
        assert_eq!(inode(id(1)), inode(id(2)));
        assert_ne!(inode(id(1)), inode(id(3)));
        assert_eq!((contents(folder.path()), arriving(folder.path())), (2, 0));
        blobs.remove(id(1), same).expect("removed");
        assert_eq!(suite::whole(&blobs, id(2)).as_deref(), Some(b"the same".as_slice()));
        assert_eq!(contents(folder.path()), 2);
        // Twice is no harm: it has one name less only once.
        blobs.remove(id(1), same).expect("removed");
        assert_eq!(suite::whole(&blobs, id(2)).as_deref(), Some(b"the same".as_slice()));
        blobs.remove(id(2), same).expect("removed");
        assert_eq!(contents(folder.path()), 1);
    }

    #[test]
    fn a_process_that_died_between_two_steps_has_lost_no_bytes_and_leaves_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let blobs = open(&folder, true);
        let same = put(&blobs, id(1), b"the same").expect("looked at");
        // Killed when the name was gone and the bytes were not; or when the bytes had their name and no file had them.
        fs::remove_file(blobs.path(id(1))).expect("removed");
        assert_eq!(contents(folder.path()), 1);
        // They are good for the next one who comes.
        assert_eq!(put(&blobs, id(2), b"the same"), Some(same));
        blobs.sweep().expect("swept");
        assert_eq!(suite::whole(&blobs, id(2)).as_deref(), Some(b"the same".as_slice()));
        fs::remove_file(blobs.path(id(2))).expect("removed");
        blobs.sweep().expect("swept");
        assert_eq!(contents(folder.path()), 0);
    }

    #[test]
    fn many_who_bring_and_remove_the_same_at_once_find_what_is_theirs() {
        let folder = tempfile::tempdir().expect("a folder");
        let blobs = open(&folder, true);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let blobs = &blobs;
                scope.spawn(move || {
                    for _ in 0..50 {
                        let content = put(blobs, id(thread), b"the same");
                        assert_eq!(suite::whole(blobs, id(thread)).as_deref(), Some(b"the same".as_slice()));
                        blobs.remove(id(thread), content).expect("removed");
                        assert_eq!(suite::whole(blobs, id(thread)), None);
                    }
                });
            }
        });
        blobs.sweep().expect("swept");
        assert_eq!((contents(folder.path()), arriving(folder.path())), (0, 0));
    }

    #[test]
    fn what_was_kept_with_or_without_it_is_found_and_removed_with_or_without_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let (with, without) = (open(&folder, true), open(&folder, false));
        let content = put(&with, id(1), b"the same");
        assert_eq!(put(&without, id(2), b"the same"), None);
        without.remove(id(1), content).expect("removed");
        assert_eq!(contents(folder.path()), 0);
        with.remove(id(2), None).expect("removed");
        assert_eq!(suite::whole(&with, id(2)), None);
    }
}
