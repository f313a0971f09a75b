//! Where files lie: a port with two adapters (`iris-store`), a folder and a bucket of S3. Everything here waits for a disk or for a
//! network: it is for threads that may, never for a turn. What a turn wants removed it says to [`crate::ports::Ports::forget`].

use std::fmt;
use std::io;

use crate::hex;

/// The name of a file as everybody sees it who may have it: whoever knows it, may. 16 of its bytes are random.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobId(pub [u8; BlobId::BYTES]);

impl BlobId {
    pub const BYTES: usize = 24;

    /// Lower-case hexadecimal digits, and nothing else.
    pub fn parse(text: &str) -> Option<BlobId> {
        hex::read(text).map(BlobId)
    }
}

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::write(&self.0))
    }
}

/// Who has the name has the file, so it has no place in a log: the first half byte is enough to see that two are not the same.
impl fmt::Debug for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobId({:02x}..)", self.0[0])
    }
}

/// The SHA-256 of what a file holds, where files with the same bytes are stored once.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Content(pub [u8; Content::BYTES]);

impl Content {
    pub const BYTES: usize = 32;

    /// Lower-case hexadecimal digits, and nothing else.
    pub fn parse(text: &str) -> Option<Content> {
        hex::read(text).map(Content)
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::write(&self.0))
    }
}

/// It says what somebody has uploaded to whoever knows such a file.
impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({:02x}..)", self.0[0])
    }
}

pub trait Blobs: Send + Sync {
    /// A new file of so many bytes that nobody finds before it is kept.
    ///
    /// # Errors
    /// The disk's. `ResourceBusy`: too many are arriving.
    fn create(&self, id: BlobId, size_bytes: u64) -> io::Result<Box<dyn NewBlob>>;

    /// # Errors
    /// The disk's. A file that is not there is none.
    fn open(&self, id: BlobId) -> io::Result<Option<Box<dyn OpenBlob>>>;

    /// Nothing there is no error. `content`: what `keep` has said; the bytes go when nobody else has the same.
    ///
    /// # Errors
    /// The disk's.
    fn remove(&self, id: BlobId, content: Option<Content>) -> io::Result<()>;

    /// Remove bytes that no file has any more: those of a removal that was interrupted.
    ///
    /// # Errors
    /// The disk's.
    fn sweep(&self) -> io::Result<()> {
        Ok(())
    }

    /// All that are kept and whose name begins with this byte.
    ///
    /// # Errors
    /// The disk's.
    fn beginning_with(&self, byte: u8) -> io::Result<Vec<BlobId>>;
}

/// Dropped without `keep`: removed.
pub trait NewBlob: Send {
    /// # Errors
    /// The disk's.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// It is on disk, whole and under its name, when this returns. What it holds, if that was looked at.
    ///
    /// # Errors
    /// The disk's; the file is removed.
    fn keep(self: Box<Self>) -> io::Result<Option<Content>>;
}

pub trait OpenBlob: Send {
    fn size(&self) -> u64;

    /// Some bytes from there, `bytes_max` at most; none at the end.
    ///
    /// # Errors
    /// The disk's.
    fn read_at(&mut self, offset: u64, bytes_max: usize) -> io::Result<Vec<u8>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d5_a_name_is_hexadecimal_digits_and_nothing_else() {
        let id = BlobId(std::array::from_fn(|at| at as u8 * 11));
        assert_eq!(BlobId::parse(&id.to_string()), Some(id));
        let good = "0".repeat(48);
        assert!(BlobId::parse(&good).is_some());
        for bad in
            ["", "00", &"0".repeat(47), &"0".repeat(49), &"A".repeat(48), &format!("../{}", "0".repeat(45)), &"é".repeat(24)]
        {
            assert_eq!(BlobId::parse(bad), None, "{bad}");
        }
    }
}
