//! Files (XEP-0363): into the server and out of it, over HTTPS, on a few connections at once.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use super::{Bench, users};
use crate::client::Goal;
use crate::frame;
use crate::measure::{Mark, Span};
use crate::report::Outcome;
use crate::tls;

const CONNECTIONS: usize = 4;
const BLOCK_BYTES: usize = 64 * 1024;

struct Slot {
    put: String,
    get: String,
    /// Lines of a request's head.
    headers: String,
}

/// Server CPU per megabyte (10^6 bytes), and megabytes per second of one file after the other on each connection.
pub fn run(bench: &mut Bench) -> Result<Vec<Outcome>> {
    bench.pool.log_in(&users(0, 1, "r"), Goal::Available)?;
    let (files, bytes) = (bench.options.files, bench.options.file_mib << 20);
    let slots = (0..files).map(|number| slot(bench, number, bytes)).collect::<Result<Vec<Slot>>>()?;
    let pid = bench.options.pid;
    let put = |at: usize| slots.get(at).map(|slot| exchange("PUT", &slot.put, &slot.headers, bytes));
    let up = together(pid, &put)?;
    let end = Instant::now() + Duration::from_secs_f64(bench.options.seconds);
    // Each at least once.
    let get = |at: usize| (at < files || Instant::now() < end).then(|| exchange("GET", &slots[at % files].get, "", bytes));
    let down = together(pid, &get)?;
    let outcome = |key: &str, (files, span): (usize, Span)| {
        let megabytes = (files * bytes) as f64 / 1e6;
        let note = format!("{files} files of {} MiB, {CONNECTIONS} connections", bytes >> 20);
        [
            Outcome::new(key, span.server.as_secs_f64() * 1e3 / megabytes, "ms").spent(files as u64, span).note(note),
            Outcome::new(&format!("{key}-rate"), megabytes / span.wall.as_secs_f64(), "MB/s"),
        ]
    };
    Ok(outcome("upload", up).into_iter().chain(outcome("download", down)).collect())
}

/// Section 3: a place for a file.
fn slot(bench: &mut Bench, number: usize, bytes: usize) -> Result<Slot> {
    let domain = &bench.options.domain;
    let id = format!("slot{number}");
    let request = format!(
        "<iq type='get' to='upload.{domain}' id='{id}'><request xmlns='urn:xmpp:http:upload:0' filename='f{number}.bin' \
         size='{bytes}' content-type='application/octet-stream'/></iq>"
    );
    let answer = bench.pool.ask(0, &id, &request)?;
    let text = String::from_utf8_lossy(&answer).replace('"', "'");
    ensure!(!frame::is_error(&answer), "no slot: {text}");
    let url = |element: &str| {
        let found = frame::between(text.as_bytes(), &format!("<{element} url='"), "'");
        found.map(|url| String::from_utf8_lossy(url).into_owned()).context("no address in the slot")
    };
    let mut headers = String::new();
    for header in text.split("<header ").skip(1) {
        let name = frame::between(header.as_bytes(), "name='", "'").context("a header without a name")?;
        let value = header.split_once('>').and_then(|(_, rest)| rest.split_once('<')).context("a header without a value")?.0;
        headers += &format!("{}: {value}\r\n", String::from_utf8_lossy(name));
    }
    Ok(Slot { put: url("put")?, get: url("get")?, headers })
}

/// Several threads take one number after the other until there is nothing to do for it. How many were done, and what passed.
fn together(pid: u32, work: &(dyn Fn(usize) -> Option<Result<()>> + Sync)) -> Result<(usize, Span)> {
    let (next, before) = (AtomicUsize::new(0), Mark::now(pid));
    let counts: Vec<Result<usize>> = std::thread::scope(|scope| {
        let one = || {
            let mut done = 0;
            while let Some(outcome) = work(next.fetch_add(1, Ordering::Relaxed)) {
                outcome?;
                done += 1;
            }
            Ok(done)
        };
        let threads: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| anyhow::bail!("a thread was lost"))).collect()
    });
    let span = Mark::now(pid).since(&before);
    let mut done = 0;
    for count in counts {
        done += count?;
    }
    Ok((done, span))
}

/// One request on a connection of its own: so many bytes are put, or fetched to their end.
fn exchange(method: &str, url: &str, headers: &str, bytes: usize) -> Result<()> {
    let rest = url.strip_prefix("https://").with_context(|| format!("{url} is not https"))?;
    let (authority, path) = rest.split_once('/').context("an address without a path")?;
    let port: u16 = authority.rsplit_once(':').context("an address without a port")?.1.parse()?;
    let socket = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port)))?;
    socket.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut config = (*tls::config()?).clone();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let connection = ClientConnection::new(config.into(), ServerName::try_from("localhost")?)?;
    let mut stream = StreamOwned::new(connection, socket);
    let length = if method == "PUT" {
        format!("Content-Type: application/octet-stream\r\nContent-Length: {bytes}\r\n")
    } else {
        String::new()
    };
    stream.write_all(format!("{method} /{path} HTTP/1.1\r\nHost: {authority}\r\n{headers}{length}\r\n").as_bytes())?;
    let mut block = vec![0x5a; BLOCK_BYTES];
    let mut left = if method == "PUT" { bytes } else { 0 };
    while left > 0 {
        let now = left.min(BLOCK_BYTES);
        stream.write_all(&block[..now])?;
        left -= now;
    }
    stream.flush()?;
    let mut head = Vec::new();
    let body_begins = loop {
        if let Some(at) = head.windows(4).position(|it| it == b"\r\n\r\n") {
            break at + 4;
        }
        let count = stream.read(&mut block)?;
        ensure!(count > 0 && head.len() < 64 * 1024, "no answer to {method}");
        head.extend_from_slice(&block[..count]);
    };
    let text = String::from_utf8_lossy(&head[..body_begins]).to_ascii_lowercase();
    ensure!(text.starts_with("http/1.1 20"), "{method} {url}: {text}");
    if method == "PUT" {
        return Ok(());
    }
    let said = text.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()).context("no length")?;
    ensure!(said.parse::<usize>()? == bytes, "another length: {said}");
    let mut received = head.len() - body_begins;
    while received < bytes {
        let count = stream.read(&mut block)?;
        ensure!(count > 0, "the file ends after {received} bytes");
        received += count;
    }
    Ok(())
}
