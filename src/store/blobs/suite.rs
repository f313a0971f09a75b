//! How every driver of files behaves: one specification, run over each of them.

use iris_core::blobs::{BlobId, Blobs, Content};

/// More than a part of S3, and no multiple of anything.
const LARGE_BYTES: usize = 11 * 1024 * 1024 + 7;
const PIECE_BYTES: usize = 256 * 1024;

pub fn id(first: u8) -> BlobId {
    let mut id = [7; BlobId::BYTES];
    id[0] = first;
    BlobId(id)
}

/// # Panics
/// It cannot be kept.
pub fn put(blobs: &dyn Blobs, id: BlobId, bytes: &[u8]) -> Option<Content> {
    let mut new = blobs.create(id, bytes.len() as u64).expect("a file");
    for piece in bytes.chunks(PIECE_BYTES) {
        new.write(piece).expect("written");
    }
    new.keep().expect("kept")
}

/// # Panics
/// It cannot be read.
pub fn whole(blobs: &dyn Blobs, id: BlobId) -> Option<Vec<u8>> {
    let mut open = blobs.open(id).expect("no error")?;
    let mut all = Vec::new();
    loop {
        let piece = open.read_at(all.len() as u64, 64 * 1024).expect("bytes");
        if piece.is_empty() {
            assert_eq!(all.len() as u64, open.size());
            return Some(all);
        }
        assert!(piece.len() <= 64 * 1024);
        all.extend(piece);
    }
}

/// Of a driver where nothing lies yet; nothing lies there afterwards.
///
/// # Panics
/// It does not behave.
pub fn run(blobs: &dyn Blobs) {
    what_is_kept_is_found_and_what_is_not_leaves_nothing(blobs);
    parts_are_read_from_anywhere(blobs);
    a_large_file_comes_and_goes(blobs);
    names_are_listed_by_their_first_byte(blobs);
    blobs.sweep().expect("swept");
}

fn what_is_kept_is_found_and_what_is_not_leaves_nothing(blobs: &dyn Blobs) {
    let mut new = blobs.create(id(1), 11).expect("a file");
    new.write(b"hello ").expect("written");
    assert!(blobs.open(id(1)).expect("no error").is_none(), "it is not kept yet");
    new.write(b"world").expect("written");
    let content = new.keep().expect("kept");
    assert_eq!(whole(blobs, id(1)).as_deref(), Some(b"hello world".as_slice()));
    let mut lost = blobs.create(id(2), 8).expect("a file");
    lost.write(b"half").expect("written");
    drop(lost);
    assert!(blobs.open(id(2)).expect("no error").is_none());
    blobs.remove(id(1), content).expect("removed");
    blobs.remove(id(1), content).expect("again is no error");
    assert!(blobs.open(id(1)).expect("no error").is_none());
}

fn parts_are_read_from_anywhere(blobs: &dyn Blobs) {
    let content = put(blobs, id(1), b"hello world");
    let mut there = blobs.open(id(1)).expect("no error").expect("it is there");
    let read = |there: &mut Box<dyn iris_core::blobs::OpenBlob>, at, most| there.read_at(at, most).expect("bytes");
    assert_eq!((there.size(), read(&mut there, 6, 3)), (11, b"wor".to_vec()));
    assert_eq!(read(&mut there, 9, 100), b"ld");
    assert_eq!(read(&mut there, 0, 2), b"he");
    assert_eq!(read(&mut there, 2, 2), b"ll");
    assert!(read(&mut there, 11, 100).is_empty() && read(&mut there, u64::MAX, 1).is_empty());
    blobs.remove(id(1), content).expect("removed");
}

fn a_large_file_comes_and_goes(blobs: &dyn Blobs) {
    let large: Vec<u8> = (0..LARGE_BYTES).map(|at| (at % 251) as u8).collect();
    let content = put(blobs, id(3), &large);
    assert!(whole(blobs, id(3)).as_deref() == Some(large.as_slice()), "other bytes come out than went in");
    let mut there = blobs.open(id(3)).expect("no error").expect("it is there");
    let at = LARGE_BYTES - 5;
    assert_eq!(there.read_at(at as u64, 100).expect("bytes"), &large[at..]);
    // Half of it came and no more.
    let mut lost = blobs.create(id(4), LARGE_BYTES as u64).expect("a file");
    for piece in large[..LARGE_BYTES * 3 / 4].chunks(PIECE_BYTES) {
        lost.write(piece).expect("written");
    }
    drop(lost);
    assert!(blobs.open(id(4)).expect("no error").is_none());
    blobs.remove(id(3), content).expect("removed");
}

fn names_are_listed_by_their_first_byte(blobs: &dyn Blobs) {
    let (mut other, one) = (id(1), id(1));
    other.0[23] = 8;
    let kept = [put(blobs, one, b"a"), put(blobs, other, b"a"), put(blobs, id(0x10), b"a")];
    let mut found = blobs.beginning_with(1).expect("a list");
    found.sort_unstable();
    assert_eq!(found, [one, other]);
    assert_eq!(blobs.beginning_with(0x10).expect("a list"), [id(0x10)]);
    for (id, content) in [one, other, id(0x10)].into_iter().zip(kept) {
        blobs.remove(id, content).expect("removed");
    }
    for byte in 0..=u8::MAX {
        assert!(blobs.beginning_with(byte).expect("a list").is_empty(), "{byte:02x}");
    }
}
