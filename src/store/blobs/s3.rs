//! Files in a bucket of S3, or of anything that speaks its language: `PREFIXab/abcdef…` for each that is kept, `PREFIXhouse` says whose
//! they are. What is there and what belongs to nobody the shelves say, as with a folder.
//!
//! Requests are made on a runtime of one thread; who asks waits for it on a thread that may. A file comes in part by part, and goes out
//! in windows that grow: so neither a large file nor a slow reader takes more memory than one part, and no connection to the store is
//! held for somebody who does not read.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use hyper::body::Bytes;
use iris_core::blobs::{BlobId, Blobs, Content, NewBlob, OpenBlob};
use iris_fetch::{Client, Reach, Trust};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{BackoffConfig, Error, GetOptions, GetRange, ObjectStore, ObjectStoreExt, RetryConfig};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

mod arriving;
mod http;
mod trouble;

use arriving::Arriving;
pub use trouble::Trouble;
use trouble::io_error;

/// Files that arrive at once; each has a part in memory (`arriving::PART_BYTES`).
const ARRIVALS_MAX: usize = 32;
/// What is asked for at once: little at first, for somebody who wants only a part, then more.
const WINDOW_BYTES_FIRST: u64 = 256 * 1024;
const WINDOW_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// A request is tried again so often, and not for longer than this.
const TRIES_MORE: usize = 3;
const TRY_FOR: Duration = Duration::from_secs(60);

/// Under the prefix: whose files these are.
const HOUSE: &str = "house";
/// Never there. Who may remove it may remove.
const NOTHING: &str = "nothing";

#[derive(Clone)]
pub struct S3Options {
    pub bucket: String,
    /// `https://host[:port]`; `None`: Amazon's for the region.
    pub endpoint: Option<String>,
    pub region: String,
    /// Before each name; empty, or with a slash at its end.
    pub prefix: String,
    pub access_key_id: String,
    pub secret_access_key: String,
    /// Of keys that are good for a while.
    pub session_token: Option<String>,
    /// Whose certificates are believed; `None`: those that the system believes.
    pub authorities: Option<PathBuf>,
    /// `https://bucket.host/` instead of `https://host/bucket/`.
    pub virtual_hosts: bool,
    /// A folder of this machine in which is written down what arrives.
    pub journal: PathBuf,
}

impl fmt::Debug for S3Options {
    /// Keys have no place in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Options").field("bucket", &self.bucket).field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// What everything that is underway shares.
struct Shared {
    store: AmazonS3,
    prefix: String,
    journal: PathBuf,
    runtime: Handle,
    arriving: AtomicUsize,
    arrivals: AtomicU64,
    /// Dropped: the thread of the requests ends.
    _stop: oneshot::Sender<()>,
}

impl Shared {
    fn path(&self, id: BlobId) -> Path {
        Path::from(format!("{}{:02x}/{id}", self.prefix, id.0[0]))
    }

    fn named(&self, name: &str) -> Path {
        Path::from(format!("{}{name}", self.prefix))
    }

    fn wait<T>(&self, asked: impl Future<Output = object_store::Result<T>>) -> io::Result<T> {
        self.runtime.block_on(asked).map_err(|error| io_error(&error))
    }
}

pub struct S3Blobs {
    shared: Arc<Shared>,
}

impl S3Blobs {
    /// Asks nobody yet: see `look`.
    ///
    /// # Errors
    /// What cannot be: one sentence for an operator.
    pub fn open(options: &S3Options) -> Result<S3Blobs, String> {
        let in_journal = |error: io::Error| format!("{}: {error}", options.journal.display());
        super::disk::make(&options.journal).map_err(in_journal)?;
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
        let handle = runtime.handle().clone();
        let store = connect(options)?;
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name("iris-s3".into()).spawn(move || {
            let _ = runtime.block_on(stopped);
        });
        thread.map_err(|error| format!("cannot start a thread: {error}"))?;
        let shared = Arc::new(Shared {
            store,
            prefix: options.prefix.clone(),
            journal: options.journal.clone(),
            runtime: handle,
            arriving: AtomicUsize::new(0),
            arrivals: AtomicU64::new(0),
            _stop: stop,
        });
        Ok(S3Blobs { shared })
    }

    /// Is the bucket there, may the key do what is needed, and are the files there those of this house (if it is said which that is)?
    /// Changes nothing.
    ///
    /// # Errors
    /// What is wrong.
    pub fn look(&self, house: Option<&str>) -> Result<(), Trouble> {
        let shared = &self.shared;
        shared.runtime.block_on(async {
            // First what says best that there is no bucket.
            let listed = shared.store.list(Some(&shared.named("00"))).next().await;
            if let Some(Err(error)) = listed {
                return Err(Trouble::from(&error));
            }
            match shared.store.get(&shared.named(HOUSE)).await {
                Ok(found) => {
                    let known = found.bytes().await.map_err(|error| Trouble::from(&error))?;
                    if house.is_some_and(|house| known.as_ref() != house.as_bytes()) {
                        return Err(Trouble::OtherHouse);
                    }
                }
                Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(Trouble::from(&error)),
            }
            match shared.store.delete(&shared.named(NOTHING)).await {
                Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(Trouble::from(&error)),
            }
        })
    }

    /// `look`, and say whose files these are from now on, which shows that the key may write. What was arriving when the process before
    /// ended is given up.
    ///
    /// # Errors
    /// What is wrong.
    pub fn take(&self, house: &str) -> Result<(), Trouble> {
        self.look(Some(house))?;
        let mark = self.shared.named(HOUSE);
        let written = self.shared.store.put(&mark, house.to_owned().into());
        self.shared.runtime.block_on(written).map_err(|error| Trouble::from(&error))?;
        arriving::give_up_old(&self.shared);
        Ok(())
    }
}

fn connect(options: &S3Options) -> Result<AmazonS3, String> {
    let trust = options.authorities.as_deref().map_or(Trust::System, Trust::Authorities);
    let door = http::Door(Arc::new(Client::new(trust.tls()?, Reach::Named)));
    let plain = options.endpoint.as_deref().is_some_and(|endpoint| endpoint.starts_with("http://"));
    let mut builder = AmazonS3Builder::new()
        .with_http_connector(door)
        .with_bucket_name(&options.bucket)
        .with_region(&options.region)
        .with_access_key_id(&options.access_key_id)
        .with_secret_access_key(&options.secret_access_key)
        .with_virtual_hosted_style_request(options.virtual_hosts)
        // One request for each is what all of them understand.
        .with_disable_bulk_delete(true)
        .with_allow_http(plain)
        .with_retry(RetryConfig { backoff: BackoffConfig::default(), max_retries: TRIES_MORE, retry_timeout: TRY_FOR });
    if let Some(endpoint) = &options.endpoint {
        builder = builder.with_endpoint(match options.virtual_hosts {
            true => before_the_host(&options.bucket, endpoint)?,
            false => endpoint.clone(),
        });
    }
    if let Some(token) = &options.session_token {
        builder = builder.with_token(token);
    }
    // Its errors are about what was given, which may be a key.
    builder.build().map_err(|_| "endpoint, region and bucket do not make an address together".to_owned())
}

/// `object_store` takes the endpoint of a virtual host as it is: the bucket has to stand there already.
fn before_the_host(bucket: &str, endpoint: &str) -> Result<String, String> {
    let (scheme, authority) = endpoint.split_once("://").unwrap_or(("https", endpoint));
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    if authority.starts_with('[') || host.parse::<IpAddr>().is_ok() {
        return Err(format!("virtual_hosts: {bucket} cannot stand before a number, and the endpoint is one"));
    }
    Ok(format!("{scheme}://{bucket}.{authority}"))
}

impl Blobs for S3Blobs {
    fn create(&self, id: BlobId, size_bytes: u64) -> io::Result<Box<dyn NewBlob>> {
        Ok(Box::new(Arriving::new(self.shared.clone(), id, size_bytes)?))
    }

    fn open(&self, id: BlobId) -> io::Result<Option<Box<dyn OpenBlob>>> {
        let path = self.shared.path(id);
        match self.shared.wait(self.shared.store.head(&path)) {
            Ok(meta) => Ok(Some(Box::new(Kept {
                shared: self.shared.clone(),
                path,
                size: meta.size,
                window: WINDOW_BYTES_FIRST,
                reading: None,
            }))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn remove(&self, id: BlobId, _: Option<Content>) -> io::Result<()> {
        match self.shared.wait(self.shared.store.delete(&self.shared.path(id))) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    fn beginning_with(&self, byte: u8) -> io::Result<Vec<BlobId>> {
        let folder = self.shared.named(&format!("{byte:02x}"));
        let mut listed = self.shared.store.list(Some(&folder));
        let mut found = Vec::new();
        self.shared.wait(async {
            while let Some(object) = listed.next().await {
                found.extend(object?.location.filename().and_then(BlobId::parse));
            }
            Ok(())
        })?;
        Ok(found)
    }
}

struct Kept {
    shared: Arc<Shared>,
    path: Path,
    size: u64,
    /// How much is asked for next.
    window: u64,
    reading: Option<Reading>,
}

/// A window of the file while it comes.
struct Reading {
    stream: BoxStream<'static, object_store::Result<Bytes>>,
    /// Came, and was not asked for yet.
    rest: Bytes,
    /// Where that stands in the file.
    at: u64,
    end: u64,
}

impl Kept {
    async fn ask(&mut self, offset: u64) -> object_store::Result<Reading> {
        let end = offset.saturating_add(self.window).min(self.size);
        self.window = self.window.saturating_mul(2).min(WINDOW_BYTES_MAX);
        let options = GetOptions { range: Some(GetRange::Bounded(offset..end)), ..GetOptions::default() };
        let stream = self.shared.store.get_opts(&self.path, options).await?.into_stream();
        Ok(Reading { stream, rest: Bytes::new(), at: offset, end })
    }

    async fn read(&mut self, offset: u64, bytes_max: usize) -> object_store::Result<Bytes> {
        let mut reading = match self.reading.take() {
            Some(reading) if reading.at == offset && (offset < reading.end || !reading.rest.is_empty()) => reading,
            other => {
                if other.is_some_and(|other| other.at != offset) {
                    self.window = WINDOW_BYTES_FIRST;
                }
                self.ask(offset).await?
            }
        };
        while reading.rest.is_empty() {
            match reading.stream.next().await {
                Some(piece) => reading.rest = piece?,
                None => return Ok(Bytes::new()),
            }
        }
        let piece = reading.rest.split_to(bytes_max.min(reading.rest.len()));
        reading.at += piece.len() as u64;
        self.reading = Some(reading);
        Ok(piece)
    }
}

impl OpenBlob for Kept {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&mut self, offset: u64, bytes_max: usize) -> io::Result<Vec<u8>> {
        if offset >= self.size || bytes_max == 0 {
            return Ok(Vec::new());
        }
        let runtime = self.shared.runtime.clone();
        let piece = runtime.block_on(async {
            match self.read(offset, bytes_max).await {
                // A connection that was kept while nobody read: once more from here.
                Err(_) => self.read(offset, bytes_max).await,
                piece => piece,
            }
        });
        piece.map(Vec::from).map_err(|error| io_error(&error))
    }
}

/// `folder` of this machine.
fn sync(folder: &FilePath) -> io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}
