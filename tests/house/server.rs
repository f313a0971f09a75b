//! The real program on a data folder of its own, on free ports of loopback.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::client::{DOMAIN, PASSWORD, PATIENCE, between};

const IRIS: &str = env!("CARGO_BIN_EXE_iris");

/// A data folder that lives as long as the test. Keep it outside of `Server` to start again on it.
pub struct Data {
    dir: TempDir,
}

/// How to start.
#[derive(Clone, Debug, Default)]
pub struct With {
    /// `IRIS_FAILPOINT`
    pub failpoint: Option<String>,
    /// The whole configuration file, TOML. `--dev` stays on the command line, and so do the listeners unless it has some.
    pub config: Option<String>,
    /// `ulimit -n`
    pub descriptors: Option<u32>,
}

impl Data {
    pub fn new() -> Data {
        Data { dir: tempfile::Builder::new().prefix("iris-house-").tempdir().expect("a temporary folder") }
    }

    /// With accounts, all with `PASSWORD`. Written by `iris user add --bulk` while no server runs.
    pub fn with_users<'a>(users: impl IntoIterator<Item = &'a str>) -> Data {
        let data = Data::new();
        let lines: String = users.into_iter().map(|user| format!("{user}@{DOMAIN},{PASSWORD}\n")).collect();
        let file = data.dir.path().join("users.csv");
        fs::write(&file, lines).expect("users.csv");
        // Passwords that are quick to check, in a build that is not: the least that RFC 7677 allows.
        let quick = data.dir.path().join("quick.toml");
        fs::write(&quick, "[accounts]\nscram_iterations = 4096\n").expect("quick.toml");
        data.iris(&["user", "add", "--bulk", &file.display().to_string(), "--config", &quick.display().to_string()]);
        data
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Beside the data, for whatever else a test needs.
    pub fn folder(&self) -> &Path {
        self.dir.path()
    }

    pub fn database(&self) -> PathBuf {
        self.path().join("iris.sqlite3")
    }

    /// Where `With::config` is written.
    pub fn config(&self) -> PathBuf {
        self.dir.path().join("iris.toml")
    }

    pub fn ca(&self) -> PathBuf {
        self.path().join("certs/ca.crt")
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    /// What the servers on this folder logged so far.
    pub fn logged(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// Another command of the program on this folder; it has to succeed.
    pub fn iris(&self, arguments: &[&str]) -> String {
        let output = Command::new(IRIS).args(arguments).arg("--data-dir").arg(self.path()).output().expect("iris runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "iris {arguments:?}: {said}{complaint}");
        said
    }

    pub fn start(&self) -> Server {
        self.start_with(&With::default())
    }

    pub fn start_with(&self, with: &With) -> Server {
        self.try_start(with).unwrap_or_else(|why| panic!("{why}\n{}", self.logged()))
    }

    /// The error is what it said before it ended.
    pub fn try_start(&self, with: &With) -> Result<Server, String> {
        let mut command = match with.descriptors {
            None => Command::new(IRIS),
            Some(most) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("ulimit -n {most}; exec \"$0\" \"$@\""), IRIS]);
                shell
            }
        };
        command.args(["serve", "--dev", "--data-dir"]).arg(self.path());
        let listens = with.config.as_ref().is_some_and(|text| text.contains("[[listen]]"));
        for kind in ["c2s-plain", "c2s", "c2s-tls", "https", "http"].iter().filter(|_| !listens) {
            command.args(["--listen", &format!("{kind}=127.0.0.1:0")]);
        }
        if let Some(text) = &with.config {
            let file = self.config();
            fs::write(&file, text).expect("iris.toml");
            command.arg("--config").arg(file);
        }
        command.env_remove("IRIS_FAILPOINT");
        if let Some(failpoint) = &with.failpoint {
            command.env("IRIS_FAILPOINT", failpoint);
        }
        let log = File::options().create(true).append(true).open(self.log()).expect("a log");
        let began = Instant::now();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().expect("iris can be started");
        let (sender, lines) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut said = String::new();
        loop {
            match lines.recv_timeout((began + PATIENCE).saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    said += &line;
                    said.push('\n');
                    if line.starts_with("iris ready") {
                        break;
                    }
                }
                Err(_) => {
                    let _ = child.kill();
                    let status = child.wait();
                    return Err(format!("iris is not ready ({status:?}): {said}"));
                }
            }
        }
        let address = |purpose: &str| {
            let line = said.lines().find(|line| line.contains(purpose));
            line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_else(|| panic!("no {purpose}: {said}"))
        };
        Ok(Server {
            plain: address("clients, NO TLS"),
            starttls: address("clients, STARTTLS"),
            direct_tls: address("clients, direct TLS"),
            https: address("web (HTTPS)"),
            http: address("metrics and health"),
            child,
            said,
        })
    }
}

/// The program while it runs; killed when dropped.
pub struct Server {
    child: Child,
    pub plain: SocketAddr,
    pub starttls: SocketAddr,
    pub direct_tls: SocketAddr,
    pub https: SocketAddr,
    pub http: SocketAddr,
    /// What it said on standard output, up to and with `iris ready`.
    pub said: String,
}

impl Server {
    /// As its own line says: the time it needed, without that of the system to load it.
    pub fn ready_after(&self) -> Duration {
        let ms = between(&self.said, "iris ready after ", " ms").and_then(|ms| ms.parse().ok());
        Duration::from_millis(ms.unwrap_or_else(|| panic!("no time in: {}", self.said)))
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status().expect("kill runs");
        assert!(status.success(), "kill -s {name} {pid}");
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().expect("a child");
        self.child.wait().expect("a child");
    }

    /// Has it ended by itself?
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child")
    }

    pub fn wait(&mut self, within: Duration) -> ExitStatus {
        let end = Instant::now() + within;
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(Instant::now() < end, "iris did not end within {within:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// SIGTERM: how it ended, and after how long.
    pub fn terminate(&mut self, within: Duration) -> (ExitStatus, Duration) {
        let began = Instant::now();
        self.signal("TERM");
        (self.wait(within), began.elapsed())
    }

    /// What it has worked so far, all threads together (proc(5): `utime` and `stime`, in hundredths of a second).
    pub fn worked(&self) -> Duration {
        let stat = fs::read_to_string(Path::new("/proc").join(self.child.id().to_string()).join("stat"));
        let stat = stat.expect("a living process");
        // Its name may hold anything; the third field is the first behind it.
        let fields: Vec<&str> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
        let ticks = |field: usize| fields[field - 3].parse::<u64>().expect("a number");
        Duration::from_millis((ticks(14) + ticks(15)) * 10)
    }

    /// Which of its memory a core dump would hold (core(5)), in hexadecimal.
    pub fn dumps(&self) -> String {
        let path = Path::new("/proc").join(self.child.id().to_string()).join("coredump_filter");
        fs::read_to_string(path).expect("a living process").trim().to_owned()
    }

    /// Resident memory.
    pub fn memory_kib(&self) -> u64 {
        let status = fs::read_to_string(Path::new("/proc").join(self.child.id().to_string()).join("status"));
        let status = status.expect("a living process");
        between(&status, "VmRSS:", "kB").and_then(|kib| kib.trim().parse().ok()).expect("VmRSS")
    }

    /// GET from the HTTP listener: the whole answer.
    pub fn get(&self, path: &str) -> std::io::Result<String> {
        let mut socket = std::net::TcpStream::connect_timeout(&self.http, PATIENCE)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        write!(socket, "GET {path} HTTP/1.1\r\nHost: {DOMAIN}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        std::io::Read::read_to_string(&mut socket, &mut answer)?;
        Ok(answer)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
