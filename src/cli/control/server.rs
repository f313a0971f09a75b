//! The server's end of the control socket: a thread that accepts, a thread for each command that is connected.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use super::client::reachable;
use super::{Admin, LINE_BYTES_MAX, NewUser, Request, Response, UserImport, answer};

/// Commands at once; more are told to come again.
const CONNECTIONS_MAX: usize = 16;
/// For lines of the usual length, and many of them.
const BUFFER_BYTES: usize = 64 * 1024;
/// Additions that are worked on together.
const BATCH_MAX: usize = 256;

/// The open socket. Dropped: closed and removed.
pub struct ControlServer {
    socket: PathBuf,
    stopping: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

/// Opens the socket, mode 0600, in place of one that a dead server left.
///
/// # Errors
/// `AddrInUse`: another server runs on this data folder. Otherwise what the system says.
pub fn serve(socket: &Path, admin: Arc<dyn Admin>) -> io::Result<ControlServer> {
    let (path, _folder) = reachable(socket)?;
    if UnixStream::connect(path).is_ok() {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "iris is running on this data folder already"));
    }
    let listener = bind_private(socket)?;
    let stopping = Arc::new(AtomicBool::new(false));
    let accepting = std::thread::Builder::new().name("control".to_owned()).spawn({
        let stopping = stopping.clone();
        move || accept(&listener, &admin, &stopping)
    })?;
    Ok(ControlServer { socket: socket.to_owned(), stopping, accepting: Some(accepting) })
}

/// Bound inside a folder that nobody else may enter and then moved out, so there is no moment with wider permissions.
fn bind_private(socket: &Path) -> io::Result<UnixListener> {
    let folder = socket.with_file_name(format!(".control-{}", std::process::id()));
    match DirBuilder::new().mode(0o700).create(&folder) {
        // Left by a process of the same number that was killed at this moment.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::set_permissions(&folder, Permissions::from_mode(0o700))?
        }
        other => other?,
    }
    let inner = folder.join("s");
    let bound = (|| {
        let _ = fs::remove_file(&inner);
        let (path, _folder) = reachable(&inner)?;
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(&inner, Permissions::from_mode(0o600))?;
        fs::rename(&inner, socket)?;
        Ok(listener)
    })();
    let _ = fs::remove_dir(&folder);
    bound
}

fn accept(listener: &UnixListener, admin: &Arc<dyn Admin>, stopping: &Arc<AtomicBool>) {
    let connections = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        if stopping.load(Ordering::Acquire) {
            break;
        }
        let Ok(stream) = stream else {
            // Out of descriptors, most likely: not a reason to spin.
            std::thread::sleep(std::time::Duration::from_millis(100));
            continue;
        };
        if connections.fetch_add(1, Ordering::AcqRel) >= CONNECTIONS_MAX {
            connections.fetch_sub(1, Ordering::AcqRel);
            let busy = Response { ok: false, error: Some("too many commands at once".to_owned()), ..Response::default() };
            let _ = write_answers(&stream, &[busy]);
            continue;
        }
        let (admin, connections) = (admin.clone(), connections.clone());
        let counted = Counted(connections);
        let _ = std::thread::Builder::new().name("control".to_owned()).spawn(move || {
            let _counted = counted;
            if let Err(error) = talk(&stream, &*admin) {
                tracing::debug!("control connection ended: {error}");
            }
        });
    }
}

/// Counts down also when its thread panics or never starts.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Answers until the command goes away.
fn talk(stream: &UnixStream, admin: &dyn Admin) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, stream);
    let mut next = read_request(&mut reader)?;
    while let Some(request) = next.take() {
        let mut answers = Vec::new();
        match request {
            Ok(Request::UserAdd { jid, password }) => {
                let mut batch = vec![NewUser { jid: jid.0, password }];
                next = more(&mut reader, &mut batch, |request| match request {
                    Request::UserAdd { jid, password } => Ok(NewUser { jid: jid.0, password }),
                    other => Err(other),
                })?;
                answers.extend(admin.user_add_many(&batch).into_iter().map(Response::of));
            }
            Ok(Request::UserImport { user }) => {
                let mut batch: Vec<UserImport> = vec![user];
                next = more(&mut reader, &mut batch, |request| match request {
                    Request::UserImport { user } => Ok(user),
                    other => Err(other),
                })?;
                answers.extend(admin.user_import_many(&batch).into_iter().map(Response::of));
            }
            Ok(request) => answers.push(answer(admin, request)),
            Err(why) => answers.push(Response::of(Err(why))),
        }
        write_answers(stream, &answers)?;
        if next.is_none() {
            next = read_request(&mut reader)?;
        }
    }
    Ok(())
}

/// Puts what comes next into the batch as long as it is of the same kind: only what has arrived already, because a command that
/// waits for its answer must get it. What is of another kind.
fn more<T>(
    reader: &mut BufReader<&UnixStream>,
    batch: &mut Vec<T>,
    same: impl Fn(Request) -> Result<T, Request>,
) -> io::Result<Option<Result<Request, String>>> {
    while batch.len() < BATCH_MAX && reader.buffer().contains(&b'\n') {
        match read_request(reader)? {
            Some(Ok(request)) => match same(request) {
                Ok(one) => batch.push(one),
                Err(other) => return Ok(Some(Ok(other))),
            },
            other => return Ok(other),
        }
    }
    Ok(None)
}

/// The next line: `None` at the end, `Err` inside for one that is no request.
fn read_request(reader: &mut BufReader<&UnixStream>) -> io::Result<Option<Result<Request, String>>> {
    let mut line = Vec::new();
    reader.take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut line)?;
    match line.as_slice() {
        [] => Ok(None),
        [.., b'\n'] => Ok(Some(serde_json::from_slice(&line).map_err(|error| format!("not understood: {error}")))),
        _ if line.len() >= LINE_BYTES_MAX => Err(io::Error::new(io::ErrorKind::InvalidData, "the line is too long")),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn write_answers(mut stream: &UnixStream, answers: &[Response]) -> io::Result<()> {
    let mut out = Vec::new();
    for answer in answers {
        serde_json::to_writer(&mut out, answer)?;
        out.push(b'\n');
    }
    stream.write_all(&out)
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        // Wakes the thread that accepts.
        let woken = reachable(&self.socket).and_then(|(path, _folder)| UnixStream::connect(path)).is_ok();
        let _ = fs::remove_file(&self.socket);
        if let Some(accepting) = self.accepting.take().filter(|_| woken) {
            let _ = accepting.join();
        }
    }
}
