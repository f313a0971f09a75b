//! The command's end of the control socket.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use iris_core::BareJid;

use super::{
    AccountPart, AccountPiece, Admin, BareJidText, ClientRow, InvitationRow, Invited, NewUser, PlanRow, ReportRow, Request,
    Response, UserExport, UserImport, UserRow, Wanted,
};

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

    fn user_plan(&self, jid: &BareJid, to: Option<&str>) -> Result<PlanRow, String> {
        let response = self.ask(&Request::UserPlan { jid: BareJidText(jid.clone()), to: to.map(str::to_owned) })?;
        response.plan.ok_or_else(|| "the server's answer is not understood: there is no plan in it".to_owned())
    }

    fn user_remove(&self, jid: &BareJid) -> Result<(), String> {
        self.ask(&Request::UserRemove { jid: BareJidText(jid.clone()) }).map(drop)
    }

    fn user_clients(&self, jid: &BareJid) -> Result<Vec<ClientRow>, String> {
        Ok(self.ask(&Request::UserClients { jid: BareJidText(jid.clone()) })?.clients.unwrap_or_default())
    }

    fn user_logout(&self, jid: &BareJid, client: Option<&str>) -> Result<(), String> {
        let client = client.map(str::to_owned);
        self.ask(&Request::UserLogout { jid: BareJidText(jid.clone()), client }).map(drop)
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

    fn domains(&self) -> Result<Vec<String>, String> {
        Ok(self.ask(&Request::Domains {})?.domains.unwrap_or_default())
    }

    fn user_import(&self, user: &UserImport) -> Result<(), String> {
        self.ask(&Request::UserImport { user: user.clone() }).map(drop)
    }

    fn user_export(&self, domain: Option<&str>, after: Option<&str>, max: u32) -> Result<Vec<UserExport>, String> {
        let request = Request::UserExport { domain: domain.map(str::to_owned), after: after.map(str::to_owned), max };
        Ok(self.ask(&request)?.accounts.unwrap_or_default())
    }

    fn account_import(&self, part: &AccountPart) -> Result<Vec<String>, String> {
        Ok(self.ask(&Request::AccountImport { part: part.clone() })?.notes.unwrap_or_default())
    }

    fn account_export(&self, jid: &BareJid, at: u64) -> Result<AccountPiece, String> {
        Ok(self.ask(&Request::AccountExport { jid: BareJidText(jid.clone()), at })?.piece.unwrap_or_default())
    }

    fn log(&self, filter: Option<&str>) -> Result<String, String> {
        Ok(self.ask(&Request::Log { filter: filter.map(str::to_owned) })?.log.unwrap_or_default())
    }

    fn user_add_many(&self, users: &[NewUser]) -> Vec<Result<(), String>> {
        self.ask_many(users, |user| Request::UserAdd { jid: BareJidText(user.jid.clone()), password: user.password.clone() })
    }

    fn user_import_many(&self, users: &[UserImport]) -> Vec<Result<(), String>> {
        self.ask_many(users, |user| Request::UserImport { user: user.clone() })
    }
}

impl Client {
    /// All requests go out at once, so the server sees many and works on several.
    fn ask_many<T: Sync>(&self, items: &[T], request: impl Fn(&T) -> Request + Send) -> Vec<Result<(), String>> {
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        let mut writer = match stream.get_ref().try_clone() {
            Ok(writer) => writer,
            Err(error) => return vec![Err(broken(&error)); items.len()],
        };
        std::thread::scope(|scope| {
            let writing = scope.spawn(move || -> Result<(), String> {
                items.iter().try_for_each(|item| writer.write_all(&line(&request(item))?).map_err(|error| broken(&error)))
            });
            let mut results = Vec::with_capacity(items.len());
            for _ in items {
                match read_answer(&mut stream) {
                    Ok(response) => results.push(response.into_result().map(drop)),
                    Err(why) => {
                        // Nothing more will come; the writer must not wait for a reader either.
                        let _ = stream.get_ref().shutdown(std::net::Shutdown::Both);
                        results.resize(items.len(), Err(why));
                        break;
                    }
                }
            }
            let _ = writing.join();
            results
        })
    }
}
