//! The command's end of the control socket.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use iris_core::BareJid;

use super::{Admin, BareJidText, InvitationRow, Invited, NewUser, ReportRow, Request, Response, UserRow, Wanted};

/// The slowest answer is the one to a batch of additions.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// A list of a million accounts is smaller.
const ANSWER_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// A running server, seen from the command.
pub struct Client {
    stream: Mutex<BufReader<UnixStream>>,
}

impl Client {
    /// `Ok(None)`: no server is running there.
    ///
    /// # Errors
    /// A server is running, but not for us.
    pub fn connect(socket: &Path) -> Result<Option<Client>, String> {
        let connected = reachable(socket).and_then(|(path, _folder)| UnixStream::connect(path));
        let stream = match connected {
            Ok(stream) => stream,
            Err(error) => {
                return match error.kind() {
                    // What a server that was killed leaves behind refuses connections.
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(None),
                    io::ErrorKind::PermissionDenied => {
                        Err(format!("{} belongs to another user; run this as the server's user", socket.display()))
                    }
                    _ => Err(format!("cannot speak to the server at {}: {error}", socket.display())),
                };
            }
        };
        let timeouts =
            stream.set_read_timeout(Some(ANSWER_TIMEOUT)).and_then(|()| stream.set_write_timeout(Some(ANSWER_TIMEOUT)));
        timeouts.map_err(|error| error.to_string())?;
        Ok(Some(Client { stream: Mutex::new(BufReader::new(stream)) }))
    }

    fn ask(&self, request: &Request) -> Result<Response, String> {
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        stream.get_mut().write_all(&line(request)?).map_err(|error| broken(&error))?;
        read_answer(&mut stream)?.into_result()
    }

    /// Is it there, and does it answer? Its version.
    ///
    /// # Errors
    /// It does not.
    pub fn ping(&self) -> Result<String, String> {
        Ok(self.ask(&Request::Ping {})?.version.unwrap_or_default())
    }
}

fn line(request: &Request) -> Result<Vec<u8>, String> {
    let mut line = serde_json::to_vec(request).map_err(|error| error.to_string())?;
    line.push(b'\n');
    Ok(line)
}

fn broken(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            format!("the server is there but has not answered for {} s", ANSWER_TIMEOUT.as_secs())
        }
        _ => format!("the connection to the server broke: {error}"),
    }
}

fn read_answer(stream: &mut BufReader<UnixStream>) -> Result<Response, String> {
    let mut line = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_until(b'\n', &mut line).map_err(|error| broken(&error))?;
    if line.is_empty() {
        return Err("the server closed the connection without an answer".to_owned());
    }
    serde_json::from_slice(&line).map_err(|error| format!("the server's answer is not understood: {error}"))
}

/// A path that fits a socket's address (108 bytes on Linux): a long one is named by way of its opened folder, which has to
/// stay open until the path has been used.
pub(super) fn reachable(socket: &Path) -> io::Result<(PathBuf, Option<File>)> {
    const PATH_BYTES_MAX: usize = 100;
    let (Some(folder), Some(name), true) =
        (socket.parent(), socket.file_name(), socket.as_os_str().len() > PATH_BYTES_MAX && cfg!(target_os = "linux"))
    else {
        return Ok((socket.to_owned(), None));
    };
    let folder = File::open(folder)?;
    let short = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
    Ok((short, Some(folder)))
}

impl Admin for Client {
    fn user_add(&self, jid: &BareJid, password: &str) -> Result<(), String> {
        self.ask(&Request::UserAdd { jid: BareJidText(jid.clone()), password: password.to_owned() }).map(drop)
    }

    fn user_list(&self, domain: Option<&str>) -> Result<Vec<UserRow>, String> {
        Ok(self.ask(&Request::UserList { domain: domain.map(str::to_owned) })?.users.unwrap_or_default())
    }

    fn reports(&self, domain: Option<&str>, max: u32) -> Result<Vec<ReportRow>, String> {
        Ok(self.ask(&Request::Reports { domain: domain.map(str::to_owned), max })?.reports.unwrap_or_default())
    }

    fn user_passwd(&self, jid: &BareJid, password: &str) -> Result<(), String> {
        self.ask(&Request::UserPasswd { jid: BareJidText(jid.clone()), password: password.to_owned() }).map(drop)
    }

    fn user_set_enabled(&self, jid: &BareJid, enabled: bool) -> Result<(), String> {
        let jid = BareJidText(jid.clone());
        let request = if enabled { Request::UserEnable { jid } } else { Request::UserDisable { jid } };
        self.ask(&request).map(drop)
    }

    fn user_remove(&self, jid: &BareJid) -> Result<(), String> {
        self.ask(&Request::UserRemove { jid: BareJidText(jid.clone()) }).map(drop)
    }

    fn invite(&self, wanted: &Wanted) -> Result<Invited, String> {
        let response = self.ask(&Request::Invite { wanted: wanted.clone() })?;
        response.invited.ok_or_else(|| "the server's answer is not understood: there is no invitation in it".to_owned())
    }

    fn invite_list(&self, domain: Option<&str>) -> Result<Vec<InvitationRow>, String> {
        Ok(self.ask(&Request::InviteList { domain: domain.map(str::to_owned) })?.invitations.unwrap_or_default())
    }

    fn invite_revoke(&self, id: &str) -> Result<(), String> {
        self.ask(&Request::InviteRevoke { id: id.to_owned() }).map(drop)
    }

    /// All requests go out at once, so the server sees many and works on several.
    fn user_add_many(&self, users: &[NewUser]) -> Vec<Result<(), String>> {
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        let mut writer = match stream.get_ref().try_clone() {
            Ok(writer) => writer,
            Err(error) => return vec![Err(broken(&error)); users.len()],
        };
        std::thread::scope(|scope| {
            let writing = scope.spawn(move || -> Result<(), String> {
                for user in users {
                    let request = Request::UserAdd { jid: BareJidText(user.jid.clone()), password: user.password.clone() };
                    writer.write_all(&line(&request)?).map_err(|error| broken(&error))?;
                }
                Ok(())
            });
            let mut results = Vec::with_capacity(users.len());
            for _ in users {
                match read_answer(&mut stream) {
                    Ok(response) => results.push(response.into_result().map(drop)),
                    Err(why) => {
                        // Nothing more will come; the writer must not wait for a reader either.
                        let _ = stream.get_ref().shutdown(std::net::Shutdown::Both);
                        results.resize(users.len(), Err(why));
                        break;
                    }
                }
            }
            let _ = writing.join();
            results
        })
    }
}
