//! What is said to a mail server (RFC 5321, RFC 4954), line by line.
//!
//! Written here and not taken from a library: replies have a limit in bytes, what came in clear before TLS is never taken for something
//! that was said under TLS (the injection that RFC 3207 6 warns of), and each failure says in which step it was, in the server's words.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use iris_core::ports::Mailed;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::server::{Address, Login, Security, Server};

/// RFC 5321 4.5.3.1.5 says 512 for a line; a reply of EHLO has a few dozen of them.
const REPLY_BYTES_MAX: usize = 16 * 1_024;
/// Of a name, and for each.
const ADDRESSES_MAX: usize = 4;
const ADDRESS_TIME_MAX: Duration = Duration::from_secs(4);
/// Of a reply, in a log.
const SHOWN_CHARS_MAX: usize = 300;

/// Why it did not work: for whoever asked, and in the exact words for the log.
#[derive(Debug)]
pub struct Failed {
    pub what: Mailed,
    pub why: String,
}

fn failed(what: Mailed, why: impl Into<String>) -> Failed {
    Failed { what, why: why.into() }
}

/// How far it is: for whoever gives up waiting.
#[derive(Default)]
pub struct Phase(Mutex<Step>);

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Step {
    #[default]
    Connecting,
    Tls,
    Greeting,
    Login,
    Envelope,
    Content,
    /// All was sent.
    End,
}

impl Phase {
    fn is(&self, step: Step) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = step;
    }

    fn now(&self) -> Step {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn late(&self, after: Duration) -> Failed {
        let (what, of) = match self.now() {
            Step::Connecting => (Mailed::Unreachable, "to a connection"),
            Step::Tls => (Mailed::Unreachable, "in the TLS handshake"),
            Step::Greeting => (Mailed::Unreachable, "with its greeting"),
            Step::Login => (Mailed::Unreachable, "to the login"),
            Step::Envelope => (Mailed::Unreachable, "to sender and recipient"),
            Step::Content => (Mailed::Refused, "while the mail is being sent"),
            Step::End => (Mailed::Unknown, "to the end of the mail"),
        };
        failed(what, format!("it did not answer within {} s {of}", after.as_secs()))
    }

    /// The connection broke.
    fn broken(&self, why: &std::io::Error) -> Failed {
        let what = if self.now() == Step::End { Mailed::Unknown } else { Mailed::Unreachable };
        failed(what, format!("the connection broke: {why}"))
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A connection that is ready to take mail.
pub struct Dialog {
    stream: Box<dyn Stream>,
    /// Read, and not yet looked at.
    unread: Vec<u8>,
    /// What EHLO was answered with, one extension a line, in upper case.
    extensions: Vec<String>,
    about: &'static str,
}

/// A reply of the server (RFC 5321 4.2).
struct Reply {
    code: u16,
    lines: Vec<String>,
}

impl Reply {
    fn is_good(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// Ends in this unless it says yes. `4xx`: not now.
    fn or(self, to: &str, what: Mailed) -> Result<Reply, Failed> {
        if self.is_good() || self.code == 354 { Ok(self) } else { Err(self.refuses(to, what)) }
    }

    fn refuses(&self, to: &str, what: Mailed) -> Failed {
        let words: String =
            self.lines.join(" ").chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN_CHARS_MAX).collect();
        failed(what, format!("to {to} it says {} {words}", self.code))
    }

    /// RFC 3463: 5.3.4 "message too big for system", 5.2.3 "message length exceeds administrative limit".
    fn is_too_large(&self) -> bool {
        let says = |code: &str| self.lines.first().is_some_and(|line| line.starts_with(code));
        self.code == 552 && !says("5.2.2") || says("5.3.4") || says("5.2.3")
    }
}

impl Dialog {
    /// Connect, agree on TLS, log in.
    pub async fn open(server: &Server, name: &str, phase: &Phase) -> Result<Dialog, Failed> {
        phase.is(Step::Connecting);
        let socket = connect(&server.address)
            .await
            .map_err(|why| failed(Mailed::Unreachable, format!("it cannot be reached: {why}")))?;
        // A mail is a few large writes, and what is said before it waits for answers.
        let _ = socket.set_nodelay(true);
        if server.address.security == Security::None
            && !socket.peer_addr().is_ok_and(|peer| peer.ip().to_canonical().is_loopback())
        {
            return Err(failed(Mailed::Unreachable, "it is not on this machine, and without TLS nothing leaves it"));
        }
        let mut dialog = match server.address.security {
            Security::Implicit => {
                let stream = secure(server, Box::new(socket), phase).await?;
                let mut dialog = Dialog::new(stream, "TLS");
                dialog.greet(name, phase).await?;
                dialog
            }
            Security::None => {
                let mut dialog = Dialog::new(Box::new(socket), "no TLS, on this machine");
                dialog.greet(name, phase).await?;
                dialog
            }
            Security::StartTls => {
                let mut clear = Dialog::new(Box::new(socket), "");
                clear.greet(name, phase).await?;
                if !clear.offers("STARTTLS") {
                    // Whoever is in between may have taken it out (RFC 3207 6): nothing more is said.
                    return Err(failed(Mailed::Unreachable, "it does not offer STARTTLS; nothing was said to it"));
                }
                clear.ask("STARTTLS", phase).await?.or("STARTTLS", Mailed::Unreachable)?;
                if !clear.unread.is_empty() {
                    return Err(failed(Mailed::Unreachable, "something was said in clear behind its answer to STARTTLS"));
                }
                let mut dialog = Dialog::new(secure(server, clear.stream, phase).await?, "STARTTLS");
                dialog.hello(name, phase).await?;
                dialog
            }
        };
        if let Some(login) = &server.login {
            dialog.login(login, phase).await?;
        }
        Ok(dialog)
    }

    fn new(stream: Box<dyn Stream>, about: &'static str) -> Dialog {
        Dialog { stream, unread: Vec::new(), extensions: Vec::new(), about }
    }

    pub fn about(&self) -> String {
        self.about.to_owned()
    }

    async fn greet(&mut self, name: &str, phase: &Phase) -> Result<(), Failed> {
        phase.is(Step::Greeting);
        self.reply(phase).await?.or("the connection", Mailed::Unreachable)?;
        self.hello(name, phase).await
    }

    async fn hello(&mut self, name: &str, phase: &Phase) -> Result<(), Failed> {
        phase.is(Step::Greeting);
        let reply = self.ask(&format!("EHLO {name}"), phase).await?.or("EHLO", Mailed::Unreachable)?;
        self.extensions = reply.lines.iter().skip(1).map(|line| line.to_ascii_uppercase()).collect();
        Ok(())
    }

    fn offers(&self, keyword: &str) -> bool {
        self.parameters(keyword).is_some()
    }

    fn parameters(&self, keyword: &str) -> Option<Vec<&str>> {
        let mut words = self.extensions.iter().map(|line| line.split([' ', '=']));
        words.find_map(|mut words| (words.next() == Some(keyword)).then(|| words.filter(|word| !word.is_empty()).collect()))
    }

    /// RFC 4954.
    async fn login(&mut self, login: &Login, phase: &Phase) -> Result<(), Failed> {
        phase.is(Step::Login);
        let offered = self.parameters("AUTH").unwrap_or_default();
        let (plain, old) = (offered.contains(&"PLAIN"), offered.contains(&"LOGIN"));
        let reply = if plain {
            // RFC 4616.
            let secret = STANDARD.encode(format!("\0{}\0{}", login.username, login.password));
            self.ask(&format!("AUTH PLAIN {secret}"), phase).await?
        } else if old {
            let mut reply = self.ask("AUTH LOGIN", phase).await?;
            for secret in [&login.username, &login.password] {
                if reply.code == 334 {
                    reply = self.ask(&STANDARD.encode(secret), phase).await?;
                }
            }
            reply
        } else {
            return Err(failed(Mailed::LoginRefused, "it offers no login that is known here (PLAIN, LOGIN)"));
        };
        // RFC 4954 4: 454 is "temporary authentication failure".
        let what = if (400..500).contains(&reply.code) { Mailed::Unreachable } else { Mailed::LoginRefused };
        reply.or("the login", what).map(drop)
    }

    /// One mail, to its end.
    pub async fn send(&mut self, from: &str, to: &str, letter: &[u8], phase: &Phase) -> Result<(), Failed> {
        phase.is(Step::Envelope);
        // RFC 1870.
        let size = self.parameters("SIZE");
        let most = size.as_ref().and_then(|it| it.first()).and_then(|it| it.parse::<usize>().ok()).filter(|most| *most > 0);
        if let Some(most) = most.filter(|most| letter.len() > *most) {
            return Err(failed(Mailed::TooLarge, format!("it takes mails of {most} bytes, and this one has {}", letter.len())));
        }
        let size = if size.is_some() { format!(" SIZE={}", letter.len()) } else { String::new() };
        let reply = self.ask(&format!("MAIL FROM:<{from}>{size}"), phase).await?;
        match reply.code {
            _ if reply.is_too_large() => return Err(reply.refuses("the sender", Mailed::TooLarge)),
            // RFC 4954 6: it wants a login.
            530 => return Err(reply.refuses("the sender", Mailed::LoginRefused)),
            _ => reply.or("the sender", Mailed::Refused)?,
        };
        let reply = self.ask(&format!("RCPT TO:<{to}>"), phase).await?;
        match reply.code {
            _ if reply.is_too_large() => return Err(reply.refuses("the recipient", Mailed::TooLarge)),
            530 => return Err(reply.refuses("the recipient", Mailed::LoginRefused)),
            // RFC 5321 4.2.1: 5xx is for ever.
            500.. => return Err(reply.refuses("the recipient", Mailed::RecipientRefused)),
            _ => reply.or("the recipient", Mailed::Refused)?,
        };
        let reply = self.ask("DATA", phase).await?;
        if reply.code != 354 {
            return Err(reply.refuses("DATA", Mailed::Refused));
        }
        phase.is(Step::Content);
        self.write(&stuffed(letter), phase).await?;
        phase.is(Step::End);
        self.write(b".\r\n", phase).await?;
        let reply = self.reply(phase).await?;
        match reply.is_good() {
            true => Ok(()),
            false if reply.is_too_large() => Err(reply.refuses("the mail", Mailed::TooLarge)),
            false => Err(reply.refuses("the mail", Mailed::Refused)),
        }
    }

    pub async fn quit(mut self) {
        let phase = Phase::default();
        let _ = self.ask("QUIT", &phase).await;
        let _ = self.stream.shutdown().await;
    }

    async fn ask(&mut self, command: &str, phase: &Phase) -> Result<Reply, Failed> {
        // No command of ours has a line break in it; should one ever, it is none.
        if command.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(failed(Mailed::Refused, "a command would have a control character in it"));
        }
        self.write(format!("{command}\r\n").as_bytes(), phase).await?;
        self.reply(phase).await
    }

    async fn write(&mut self, bytes: &[u8], phase: &Phase) -> Result<(), Failed> {
        self.stream.write_all(bytes).await.map_err(|why| phase.broken(&why))?;
        self.stream.flush().await.map_err(|why| phase.broken(&why))
    }

    /// RFC 5321 4.2.1: `250-first`, `250 last`.
    async fn reply(&mut self, phase: &Phase) -> Result<Reply, Failed> {
        let mut lines = Vec::new();
        let mut bytes = 0;
        loop {
            let line = self.line(phase).await?;
            bytes += line.len();
            let code =
                line.get(..3).filter(|code| code.bytes().all(|byte| byte.is_ascii_digit())).and_then(|it| it.parse().ok());
            let (Some(code), true) = (code, bytes <= REPLY_BYTES_MAX) else {
                return Err(failed(Mailed::Unreachable, "it answers something that is no SMTP"));
            };
            lines.push(line.get(4..).unwrap_or_default().to_owned());
            match line.as_bytes().get(3) {
                Some(b'-') => {}
                None | Some(b' ') => return Ok(Reply { code, lines }),
                Some(_) => return Err(failed(Mailed::Unreachable, "it answers something that is no SMTP")),
            }
        }
    }

    /// Without its end.
    async fn line(&mut self, phase: &Phase) -> Result<String, Failed> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned());
            }
            if self.unread.len() > REPLY_BYTES_MAX {
                return Err(failed(Mailed::Unreachable, "it answers something that is no SMTP"));
            }
            let mut some = [0; 1_024];
            match self.stream.read(&mut some).await.map_err(|why| phase.broken(&why))? {
                0 => return Err(phase.broken(&std::io::ErrorKind::UnexpectedEof.into())),
                read => self.unread.extend_from_slice(&some[..read]),
            }
        }
    }
}

/// One address after the other: whoever has two, of which one leads nowhere, is reached all the same.
async fn connect(address: &Address) -> std::io::Result<TcpStream> {
    let mut last = std::io::Error::new(std::io::ErrorKind::NotFound, "its name has no address");
    let addresses = lookup_host((address.host.as_str(), address.port)).await?;
    for address in addresses.take(ADDRESSES_MAX) {
        match timeout(ADDRESS_TIME_MAX, TcpStream::connect(address)).await {
            Ok(Ok(socket)) => return Ok(socket),
            Ok(Err(why)) => last = why,
            Err(_) => last = std::io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

async fn secure(server: &Server, stream: Box<dyn Stream>, phase: &Phase) -> Result<Box<dyn Stream>, Failed> {
    phase.is(Step::Tls);
    let name = ServerName::try_from(server.address.host.clone());
    let name = name.map_err(|why| failed(Mailed::Unreachable, format!("it has no name for a certificate: {why}")))?;
    let tls = server.tls.clone().ok_or_else(|| failed(Mailed::Unreachable, "nobody's certificates are believed"))?;
    let stream = TlsConnector::from(tls).connect(name, stream).await;
    Ok(Box::new(stream.map_err(|why| failed(Mailed::Unreachable, format!("TLS fails: {why}")))?))
}

/// RFC 5321 4.5.2: a line that begins with a dot gets another one. It ends with a line break.
fn stuffed(letter: &[u8]) -> Cow<'_, [u8]> {
    let is_plain = !letter.starts_with(b".") && !letter.windows(2).any(|it| it == b"\n.");
    if is_plain && letter.ends_with(b"\r\n") {
        return Cow::Borrowed(letter);
    }
    let mut out = Vec::with_capacity(letter.len() + letter.len() / 64 + 2);
    for line in letter.split_inclusive(|byte| *byte == b'\n') {
        if line.first() == Some(&b'.') {
            out.push(b'.');
        }
        out.extend_from_slice(line);
    }
    if !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s4_5_2_a_dot_alone_does_not_end_a_mail() {
        assert_eq!(*stuffed(b".\r\na.\r\n..b"), *b"..\r\na.\r\n...b\r\n");
        assert_eq!(*stuffed(b"a\r\n.b\r\n"), *b"a\r\n..b\r\n");
        assert_eq!(*stuffed(b"a"), *b"a\r\n");
        assert!(matches!(stuffed(b"a\r\n"), Cow::Borrowed(b"a\r\n")));
    }
}
