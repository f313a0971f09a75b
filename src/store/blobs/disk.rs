//! Files in a folder: `ab/abcdef…` for each that is kept, `arriving/…` for those that are not yet. Nothing of a path comes from
//! outside: a name is hexadecimal digits (`BlobId`).

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use iris_core::blobs::{BlobId, Blobs, NewBlob, OpenBlob};

const ARRIVING: &str = "arriving";

pub struct DiskBlobs {
    folder: PathBuf,
    /// Two that arrive at once never have the same file.
    arrivals: AtomicU64,
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
        Ok(DiskBlobs { folder: folder.to_owned(), arrivals: AtomicU64::new(0) })
    }

    fn shelf(&self, byte: u8) -> PathBuf {
        self.folder.join(format!("{byte:02x}"))
    }

    fn path(&self, id: BlobId) -> PathBuf {
        self.shelf(id.0[0]).join(id.to_string())
    }
}

fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// What was put into a folder, or taken out, is on disk.
fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

impl Blobs for DiskBlobs {
    fn create(&self, id: BlobId) -> io::Result<Box<dyn NewBlob>> {
        let arrival = self.arrivals.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(ARRIVING).join(format!("{id}.{arrival}"));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Box::new(Arriving { file, path: Some(path), kept: self.path(id), folder: self.folder.clone() }))
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

    fn remove(&self, id: BlobId) -> io::Result<()> {
        match fs::remove_file(self.path(id)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            other => other,
        }
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
}

impl NewBlob for Arriving {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    fn keep(mut self: Box<Self>) -> io::Result<()> {
        self.file.sync_all()?;
        let shelf = self.kept.parent().unwrap_or(&self.folder).to_owned();
        if !shelf.is_dir() {
            make(&shelf)?;
            sync(&self.folder)?;
        }
        if let Some(path) = &self.path {
            fs::rename(path, &self.kept)?;
        }
        self.path = None;
        sync(&shelf)
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
    use super::*;

    fn id(first: u8) -> BlobId {
        let mut id = [7; BlobId::BYTES];
        id[0] = first;
        BlobId(id)
    }

    fn arriving(folder: &Path) -> usize {
        fs::read_dir(folder.join(ARRIVING)).expect("a folder").count()
    }

    #[test]
    fn what_is_kept_is_found_and_what_is_not_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let blobs = DiskBlobs::open(folder.path()).expect("a folder");
        let mut new = blobs.create(id(1)).expect("a file");
        new.write(b"hello ").expect("written");
        assert!(blobs.open(id(1)).expect("no error").is_none(), "it is not kept yet");
        new.write(b"world").expect("written");
        new.keep().expect("kept");
        let mut there = blobs.open(id(1)).expect("no error").expect("it is there");
        assert_eq!((there.size(), there.read_at(6, 3).expect("bytes")), (11, b"wor".to_vec()));
        assert_eq!(there.read_at(9, 100).expect("bytes"), b"ld");
        assert!(there.read_at(11, 100).expect("bytes").is_empty());
        let mut lost = blobs.create(id(2)).expect("a file");
        lost.write(b"half").expect("written");
        assert_eq!(arriving(folder.path()), 1);
        drop(lost);
        assert_eq!(arriving(folder.path()), 0);
        assert!(blobs.open(id(2)).expect("no error").is_none());
        assert_eq!(blobs.beginning_with(1).expect("a list"), [id(1)]);
        assert!(blobs.beginning_with(2).expect("a list").is_empty());
        blobs.remove(id(1)).expect("removed");
        blobs.remove(id(1)).expect("again is no error");
        assert!(blobs.open(id(1)).expect("no error").is_none());
    }

    #[test]
    fn what_arrived_when_the_process_was_killed_is_removed_at_the_next_start() {
        let folder = tempfile::tempdir().expect("a folder");
        let blobs = DiskBlobs::open(folder.path()).expect("a folder");
        let mut lost = blobs.create(id(1)).expect("a file");
        lost.write(b"half").expect("written");
        // A killed process drops nothing.
        std::mem::forget(lost);
        assert_eq!(arriving(folder.path()), 1);
        let blobs = DiskBlobs::open(folder.path()).expect("a folder");
        assert_eq!(arriving(folder.path()), 0);
        assert!(blobs.open(id(1)).expect("no error").is_none());
    }
}
