//! A mail server on loopback that takes one login and keeps what it takes. `refused@` is nobody, for `later@` it has no time, for `large@` no
//! room.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::authority;
use crate::client::PATIENCE;

pub const USERNAME: &str = "iris";
pub const PASSWORD: &str = "pässword of the house";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Implicit,
    StartTls,
    /// No TLS at all.
    Plain,
    /// `AUTH LOGIN` alone, over STARTTLS.
    OldLogin,
    /// Somebody in between has taken STARTTLS out.
    Stripped,
    /// Somebody in between says something in clear behind the answer to STARTTLS.
    Injecting,
    /// By somebody else.
    AnotherCertificate,
    /// Takes a mail, and never says so.
    Hangs,
}

/// What was taken.
#[derive(Debug, Default)]
pub struct Taken {
    pub encrypted: bool,
    pub logged_in: bool,
    pub from: String,
    pub to: Vec<String>,
    pub head: String,
    body: String,
}

impl Taken {
    /// All headers of that name, unfolded.
    pub fn header(&self, name: &str) -> Vec<String> {
        of_head(&self.head, name)
    }

    /// The second part of two, decoded.
    pub fn attachment(&self) -> String {
        let kind = self.header("Content-Type").concat();
        assert!(kind.starts_with("multipart/mixed;"), "{kind}");
        let boundary = kind.split("boundary=\"").nth(1).and_then(|it| it.split('"').next()).expect("a boundary");
        let parts: Vec<&str> = self.body.split(&format!("--{boundary}")).collect();
        assert!(parts.len() == 4 && parts[3].trim() == "--", "a preamble, a text, a file, an end: {}", self.body);
        let (head, body) = parts[2].trim_start().split_once("\r\n\r\n").expect("a head");
        assert_eq!(of_head(head, "Content-Type"), ["text/plain; charset=utf-8"]);
        assert_eq!(of_head(head, "Content-Transfer-Encoding"), ["base64"]);
        let disposition = of_head(head, "Content-Disposition").concat();
        assert!(disposition.starts_with("attachment; filename=\"") && disposition.ends_with(".txt\""), "{disposition}");
        let bytes = BASE64_STANDARD.decode(body.split_whitespace().collect::<String>()).expect("base64");
        String::from_utf8(bytes).expect("UTF-8")
    }
}

fn of_head(head: &str, name: &str) -> Vec<String> {
    let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
    let named = unfolded.split("\r\n").filter_map(|line| line.split_once(": "));
    named.filter(|(it, _)| it.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).collect()
}

pub struct Sink {
    /// As the configuration has it.
    pub url: String,
    /// PEM: who has issued its certificate.
    pub authority: String,
    taken: Receiver<Taken>,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Sink {
    pub fn open(mode: Mode) -> Sink {
        let (config, mut authority) = authority::server(&["localhost"]);
        if mode == Mode::AnotherCertificate {
            authority = authority::server(&["localhost"]).1;
        }
        let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
        let port = listener.local_addr().expect("an address").port();
        let (sender, taken) = channel();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let ears = heard.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (config, sender, ears) = (config.clone(), sender.clone(), ears.clone());
                std::thread::spawn(move || serve(stream, mode, &config, &sender, &ears));
            }
        });
        let scheme = match mode {
            Mode::Implicit => "smtps",
            Mode::Plain => "smtp-plain",
            _ => "smtp",
        };
        Sink { url: format!("{scheme}://localhost:{port}"), authority, taken, heard }
    }

    /// Nobody listens.
    pub fn closed() -> Sink {
        let (_, taken) = channel();
        let authority = authority::server(&["localhost"]).1;
        // RFC 863 discards; on a machine of tests nobody does.
        Sink { url: "smtp://localhost:9".to_owned(), authority, taken, heard: Arc::default() }
    }

    pub fn next(&self) -> Taken {
        self.taken.recv_timeout(PATIENCE).expect("a mail")
    }

    pub fn nothing(&self) {
        let more = self.taken.recv_timeout(Duration::from_millis(300));
        assert!(matches!(more, Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected)), "{more:?}");
    }

    /// Every command of every connection, in clear or not; what follows AUTH is left out.
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().expect("what was heard").clone()
    }

    /// Waits until it has heard this so often.
    pub fn heard_of(&self, command: &str, times: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.heard().iter().filter(|line| *line == command).count() < times {
            assert!(Instant::now() < deadline, "{:?}", self.heard());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

struct Dialog<'a> {
    stream: BufReader<Box<dyn Stream>>,
    heard: &'a Mutex<Vec<String>>,
}

impl Dialog<'_> {
    fn say(&mut self, text: &str) -> Option<()> {
        self.stream.get_mut().write_all(format!("{text}\r\n").as_bytes()).ok()?;
        self.stream.get_mut().flush().ok()
    }

    fn hear(&mut self) -> Option<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let line = line.strip_suffix("\r\n").expect("RFC 5321 2.3.8").to_owned();
        let shown = line.split(' ').next().filter(|word| *word == "AUTH").unwrap_or(&line);
        self.heard.lock().expect("what was heard").push(shown.to_owned());
        Some(line)
    }
}

/// `None`: the client has gone.
fn serve(
    stream: TcpStream,
    mode: Mode,
    config: &Arc<ServerConfig>,
    sender: &Sender<Taken>,
    heard: &Mutex<Vec<String>>,
) -> Option<()> {
    stream.set_read_timeout(Some(Duration::from_secs(60))).ok()?;
    let secure = |stream: TcpStream| -> Option<Box<dyn Stream>> {
        Some(Box::new(StreamOwned::new(ServerConnection::new(config.clone()).ok()?, stream)))
    };
    let mut encrypted = mode == Mode::Implicit;
    let clear = stream.try_clone().ok()?;
    let first: Box<dyn Stream> = if encrypted { secure(stream)? } else { Box::new(stream) };
    let mut dialog = Dialog { stream: BufReader::new(first), heard };
    dialog.say("220-localhost ESMTP\r\n220 at your service")?;
    let mut taken = Taken::default();
    loop {
        let line = dialog.hear()?;
        let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
        match verb {
            "EHLO" => {
                assert_eq!(rest, "localhost", "RFC 5321 4.1.1.1: the house says its name");
                dialog.say("250-localhost\r\n250-SIZE 20000000")?;
                match (encrypted, mode) {
                    (false, Mode::Stripped | Mode::Plain) => dialog.say("250-AUTH PLAIN LOGIN")?,
                    (false, _) => dialog.say("250-STARTTLS")?,
                    (true, Mode::OldLogin) => dialog.say("250-AUTH LOGIN")?,
                    (true, _) => dialog.say("250-AUTH LOGIN PLAIN")?,
                }
                dialog.say("250 8BITMIME")?;
            }
            "STARTTLS" if mode == Mode::Injecting => dialog.say("220 go ahead\r\n250 AUTH PLAIN")?,
            "STARTTLS" => {
                dialog.say("220 go ahead")?;
                dialog = Dialog { stream: BufReader::new(secure(clear.try_clone().ok()?)?), heard };
                encrypted = true;
            }
            "AUTH" => {
                assert!(encrypted || mode == Mode::Plain, "no password in clear");
                let mut given: VecDeque<String> = VecDeque::new();
                if let Some(plain) = rest.strip_prefix("PLAIN ") {
                    let plain = String::from_utf8(BASE64_STANDARD.decode(plain).expect("base64")).expect("UTF-8");
                    given.extend(plain.split('\0').skip(1).map(str::to_owned));
                } else {
                    for question in ["VXNlcm5hbWU6", "UGFzc3dvcmQ6"] {
                        dialog.say(&format!("334 {question}"))?;
                        let answer = BASE64_STANDARD.decode(dialog.hear()?).expect("base64");
                        given.push_back(String::from_utf8(answer).expect("UTF-8"));
                    }
                }
                taken.logged_in = given == [USERNAME, PASSWORD];
                dialog.say(if taken.logged_in { "235 2.7.0 welcome" } else { "535 5.7.8 who are you?" })?;
            }
            _ if !taken.logged_in => dialog.say("530 5.7.0 log in first")?,
            "MAIL" => {
                taken.from = rest.strip_prefix("FROM:<").and_then(|it| it.split('>').next()).expect("a sender").to_owned();
                dialog.say("250 2.1.0 fine")?;
            }
            "RCPT" => {
                let to = rest.strip_prefix("TO:<").and_then(|it| it.strip_suffix('>')).expect("a recipient").to_owned();
                match to.split('@').next() {
                    Some("refused") => dialog.say("550-5.1.1 no such user here\r\n550 5.1.1 really")?,
                    Some("later") => dialog.say("451 4.7.1 greylisted")?,
                    Some("large") => dialog.say("552 5.3.4 too big")?,
                    _ => dialog.say("250 2.1.5 fine")?,
                }
                taken.to.push(to);
            }
            "DATA" => {
                dialog.say("354 end with a dot")?;
                let mut text = String::new();
                loop {
                    let mut line = String::new();
                    dialog.stream.read_line(&mut line).ok().filter(|read| *read > 0)?;
                    assert!(line.ends_with("\r\n") && line.len() <= 1_000 && line.is_ascii(), "RFC 5321 4.5.3.1.6: {line:?}");
                    if line == ".\r\n" {
                        break;
                    }
                    text.push_str(line.strip_prefix('.').unwrap_or(&line));
                }
                if mode == Mode::Hangs {
                    std::thread::sleep(Duration::from_secs(60));
                    return None;
                }
                let (head, body) = text.split_once("\r\n\r\n").expect("a head");
                (taken.head, taken.body, taken.encrypted) = (head.to_owned(), body.to_owned(), encrypted);
                sender.send(std::mem::replace(&mut taken, Taken { logged_in: true, ..Taken::default() })).ok()?;
                dialog.say("250 2.0.0 taken")?;
            }
            "QUIT" => {
                dialog.say("221 2.0.0 goodbye")?;
                return Some(());
            }
            other => panic!("{other}"),
        }
    }
}
