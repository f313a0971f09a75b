//! What the DNS says about the domains, by a resolver of its own: a question, an answer, no cache (RFC 1035, RFC 2782). The name server
//! may be missing, silent or lying; each is a finding.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use super::Finding;
use crate::config::{Config, ListenKind};

const PATIENCE: Duration = Duration::from_secs(2);
const TRIES: usize = 2;
const DNS_PORT: u16 = 53;
const A: u16 = 1;
const CNAME: u16 = 5;
const AAAA: u16 = 28;
const SRV: u16 = 33;
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Records of one answer that are looked at.
const RECORDS_MAX: usize = 64;

pub(super) fn examine(config: &Config, server: Option<IpAddr>) -> Vec<Finding> {
    let public: Vec<&String> = config.domains.iter().filter(|domain| is_public(domain)).collect();
    if public.is_empty() {
        return vec![Finding::ok("dns", format!("nothing to ask: {} is not for others", config.domains.join(", ")))];
    }
    let Some(server) = server.or_else(configured) else {
        return vec![Finding::warn(
            "dns",
            "no name server is configured in /etc/resolv.conf",
            "Name one: iris doctor --dns ADDRESS.",
        )];
    };
    let server = SocketAddr::new(server, DNS_PORT);
    let mut findings = Vec::new();
    for domain in public {
        match of(config, server, domain) {
            Ok(more) => findings.extend(more),
            Err(why) => {
                let remedy = "Ask again later, ask another one (--dns ADDRESS), or leave it out (--no-dns).";
                findings.push(Finding::warn("dns", format!("{server} does not answer: {why}"), remedy));
                break;
            }
        }
    }
    findings
}

/// Nobody elsewhere looks these up (RFC 6761, RFC 6762), nor addresses.
fn is_public(domain: &str) -> bool {
    let special = ["localhost", "local", "test", "example", "invalid", "internal", "onion"];
    let last = domain.rsplit('.').next().unwrap_or(domain);
    domain.contains('.') && !special.contains(&last) && domain.parse::<IpAddr>().is_err() && !domain.starts_with('[')
}

fn configured() -> Option<IpAddr> {
    let text = std::fs::read_to_string("/etc/resolv.conf").ok()?;
    text.lines().find_map(|line| line.trim().strip_prefix("nameserver")?.split('%').next()?.trim().parse().ok())
}

fn of(config: &Config, server: SocketAddr, domain: &str) -> Result<Vec<Finding>, String> {
    let listens = |kind| config.listeners.iter().any(|listener| listener.kind == kind);
    let port = |kind| config.listeners.iter().find(|it| it.kind == kind).map(|it| it.address.port());
    let has_addresses = addresses(server, domain)?;
    let mut findings = Vec::new();
    // XEP-0368 2, RFC 6120 3.2.1.
    for (service, kind, default_port) in [
        ("_xmpp-client._tcp", ListenKind::C2s, Some(5222)),
        ("_xmpps-client._tcp", ListenKind::C2sTls, None),
        ("_xmpp-server._tcp", ListenKind::S2s, Some(5269)),
        ("_xmpps-server._tcp", ListenKind::S2sTls, None),
    ] {
        let about = format!("dns {service}.{domain}");
        let serves = listens(kind);
        let records = query(server, &format!("{service}.{domain}"), SRV)?;
        let targets: Vec<(u16, String)> = records
            .into_iter()
            .filter_map(|record| match record {
                Record::Srv { port, target } => Some((port, target)),
                Record::Address | Record::Alias => None,
            })
            .collect();
        if targets.is_empty() {
            let default = match default_port.filter(|_| has_addresses) {
                Some(port) => format!(" (the domain itself is tried then, port {port})"),
                None => String::new(),
            };
            let what = format!("there is no record{default}");
            let want = port(kind).or(default_port).unwrap_or_default();
            let remedy = format!("Add it: {service}.{domain}. 3600 IN SRV 0 5 {want} {domain}.");
            match serves {
                true if has_addresses => findings.push(Finding::warn(&about, what, remedy)),
                true => findings.push(Finding::error(&about, what, remedy)),
                false => findings.push(Finding::ok(&about, what)),
            }
            continue;
        }
        for (port, target) in targets {
            findings.push(judge(config, server, &about, kind, port, &target)?);
        }
    }
    if listens(ListenKind::Https) {
        findings.push(match has_addresses {
            true => Finding::ok(&format!("dns {domain}"), "has an address: browsers find host-meta there (XEP-0156)"),
            false => Finding::warn(
                &format!("dns {domain}"),
                "has no address: browsers look for https://DOMAIN/.well-known/host-meta (XEP-0156) in vain",
                "Give the domain an A or AAAA record, of this machine or of a web server that forwards that path.",
            ),
        });
    }
    Ok(findings)
}

fn judge(
    config: &Config,
    server: SocketAddr,
    about: &str,
    kind: ListenKind,
    port: u16,
    target: &str,
) -> Result<Finding, String> {
    if target.is_empty() || target == "." {
        // RFC 2782: "the service is decidedly not available".
        let serves = config.listeners.iter().any(|it| it.kind == kind);
        return Ok(match serves {
            true => Finding::error(about, "says that there is no such service, but it listens here", "Correct the record."),
            false => Finding::ok(about, "says that there is no such service"),
        });
    }
    let shown = format!("{target}, port {port}");
    if !addresses(server, target)? {
        return Ok(Finding::error(
            about,
            format!("points to {shown}, which has no address"),
            "Give the target an A or AAAA record.",
        ));
    }
    let both = |it: ListenKind| it == kind || (kind == ListenKind::C2sTls && it == ListenKind::Https);
    let listens = config.listeners.iter().any(|it| both(it.kind) && it.address.port() == port);
    Ok(match listens {
        true => Finding::ok(about, format!("points to {shown}")),
        false => Finding::warn(
            about,
            format!("points to {shown}, where nothing of this configuration listens"),
            "If no proxy or port forwarding stands before this server: correct the record or [[listen]].",
        ),
    })
}

/// Has this name an address?
fn addresses(server: SocketAddr, name: &str) -> Result<bool, String> {
    for kind in [A, AAAA] {
        if query(server, name, kind)?.iter().any(|record| matches!(record, Record::Address)) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[derive(Debug, PartialEq, Eq)]
enum Record {
    Srv { port: u16, target: String },
    Address,
    Alias,
}

/// No such name is an empty answer.
fn query(server: SocketAddr, name: &str, kind: u16) -> Result<Vec<Record>, String> {
    let question = question(name, kind)?;
    let mut last = String::new();
    for _ in 0..TRIES {
        match ask_udp(server, &question).and_then(|answer| {
            // RFC 1035 4.2.2: cut off, so ask by TCP.
            if answer.get(2).is_some_and(|flags| flags & 0x02 != 0) { ask_tcp(server, &question) } else { Ok(answer) }
        }) {
            Ok(answer) => return read(&answer, kind),
            Err(error) => last = error.to_string(),
        }
    }
    Err(last)
}

fn question(name: &str, kind: u16) -> Result<Vec<u8>, String> {
    let mut id = [0; 2];
    getrandom::fill(&mut id).map_err(|error| error.to_string())?;
    let mut out = id.to_vec();
    // Recursion is desired; one question.
    out.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    let ascii = idna::domain_to_ascii(name.trim_end_matches('.')).unwrap_or_else(|_| name.to_owned());
    for label in ascii.split('.') {
        let size = u8::try_from(label.len()).ok().filter(|size| (1..64).contains(size));
        out.push(size.ok_or_else(|| format!("{name:?} is no name for the DNS"))?);
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&[0, 1]);
    if out.len() > 300 { Err(format!("{name:?} is too long")) } else { Ok(out) }
}

fn ask_udp(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let socket = UdpSocket::bind(if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
    socket.set_read_timeout(Some(PATIENCE))?;
    // Others' packets do not get in.
    socket.connect(server)?;
    socket.send(question)?;
    let mut answer = vec![0; 4096];
    let size = socket.recv(&mut answer)?;
    answer.truncate(size);
    match answer.get(..2) == question.get(..2) {
        true => Ok(answer),
        false => Err(io::Error::other("an answer to something else")),
    }
}

fn ask_tcp(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let mut socket = TcpStream::connect_timeout(&server, PATIENCE)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let size = u16::try_from(question.len()).map_err(io::Error::other)?;
    socket.write_all(&[&size.to_be_bytes(), question].concat())?;
    let mut size = [0; 2];
    socket.read_exact(&mut size)?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(size)).min(ANSWER_BYTES_MAX)];
    socket.read_exact(&mut answer)?;
    Ok(answer)
}

/// RFC 1035 4.1.
fn read(answer: &[u8], kind: u16) -> Result<Vec<Record>, String> {
    let broken = || "the answer is not understood".to_owned();
    let number = |at: usize| -> Result<u16, String> {
        let bytes = answer.get(at..at + 2).and_then(|bytes| <[u8; 2]>::try_from(bytes).ok());
        bytes.map(u16::from_be_bytes).ok_or_else(broken)
    };
    match number(2)? & 0x000f {
        0 => {}
        // NXDOMAIN: no such name.
        3 => return Ok(Vec::new()),
        2 => return Err("it failed (SERVFAIL)".to_owned()),
        5 => return Err("it refuses".to_owned()),
        other => return Err(format!("it answers with error {other}")),
    }
    let mut at = 12;
    for _ in 0..number(4)?.min(8) {
        at = name(answer, at).ok_or_else(broken)?.1 + 4;
    }
    let mut records = Vec::new();
    for _ in 0..usize::from(number(6)?).min(RECORDS_MAX) {
        at = name(answer, at).ok_or_else(broken)?.1;
        let (found, size) = (number(at)?, usize::from(number(at + 8)?));
        let data = at + 10;
        at = data + size;
        match found {
            CNAME => records.push(Record::Alias),
            A | AAAA if found == kind => records.push(Record::Address),
            SRV if found == kind => {
                let target = name(answer, data + 6).ok_or_else(broken)?.0;
                records.push(Record::Srv { port: number(data + 4)?, target });
            }
            _ => {}
        }
    }
    Ok(records)
}

/// A name at a place, and where it ends there. Pointers only lead back (RFC 1035 4.1.4), so this ends.
fn name(answer: &[u8], at: usize) -> Option<(String, usize)> {
    let (mut text, mut place, mut end, mut lowest) = (String::new(), at, None, at);
    loop {
        let size = usize::from(*answer.get(place)?);
        match size & 0xc0 {
            0xc0 => {
                let to = (size & 0x3f) << 8 | usize::from(*answer.get(place + 1)?);
                end.get_or_insert(place + 2);
                if to >= lowest {
                    return None;
                }
                (place, lowest) = (to, to);
            }
            0 if size == 0 => return Some((text, end.unwrap_or(place + 1))),
            0 => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(&String::from_utf8_lossy(answer.get(place + 1..place + 1 + size)?));
                place += 1 + size;
                if text.len() > 255 {
                    return None;
                }
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(rcode: u8, records: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let mut out = question("_xmpp-client._tcp.example.org", SRV).expect("a question");
        out[2..4].copy_from_slice(&[0x81, 0x80 | rcode]);
        out[7] = records.len() as u8;
        for (kind, data) in records {
            // The name of the question.
            out.extend_from_slice(&[0xc0, 12]);
            out.extend_from_slice(&kind.to_be_bytes());
            out.extend_from_slice(&[0, 1, 0, 0, 0, 60]);
            out.extend_from_slice(&(data.len() as u16).to_be_bytes());
            out.extend_from_slice(data);
        }
        out
    }

    fn srv(port: u16, target: &[u8]) -> (u16, Vec<u8>) {
        (SRV, [&[0, 0, 0, 5], &port.to_be_bytes()[..], target].concat())
    }

    #[test]
    fn answers_are_read_with_their_compressed_names() {
        // `example.org` stands 31 bytes into the question: 12 header, 1 + 12 and 1 + 4 labels.
        let target = [b"\x04xmpp".as_slice(), &[0xc0, 30]].concat();
        let read = read(&answer(0, &[srv(5222, &target), (CNAME, vec![0]), srv(443, b"\x00")]), SRV);
        assert_eq!(
            read,
            Ok(vec![
                Record::Srv { port: 5222, target: "xmpp.example.org".to_owned() },
                Record::Alias,
                Record::Srv { port: 443, target: String::new() },
            ])
        );
        assert_eq!(super::read(&answer(3, &[]), SRV), Ok(vec![]));
        assert!(super::read(&answer(2, &[]), SRV).is_err_and(|why| why.contains("SERVFAIL")));
    }

    #[test]
    fn a_lying_name_server_is_a_finding_and_no_crash() {
        let good = answer(0, &[srv(5222, b"\x04xmpp\x00")]);
        for cut in 0..good.len() {
            let _ = read(&good[..cut], SRV);
        }
        let mut state = 7u32;
        for _ in 0..2_000 {
            let mut bad = good.clone();
            for _ in 0..3 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let at = state as usize % bad.len();
                bad[at] = (state >> 24) as u8;
            }
            let _ = read(&bad, SRV);
        }
        // A pointer to itself.
        assert_eq!(name(&[0xc0, 0], 0), None);
    }

    /// A name server that knows these; of everything else it says that there is no such name.
    fn name_server(known: &'static [(&'static str, u16, &'static [u8])]) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let address = socket.local_addr().expect("an address");
        std::thread::spawn(move || {
            let mut bytes = [0; 512];
            while let Ok((size, from)) = socket.recv_from(&mut bytes) {
                let mut out = bytes[..size].to_vec();
                let (asked, end) = name(&out, 12).expect("a name");
                let kind = u16::from_be_bytes([out[end], out[end + 1]]);
                let found = known.iter().find(|(name, is, _)| *name == asked && *is == kind);
                out[2..4].copy_from_slice(&[0x81, if found.is_some() { 0x80 } else { 0x83 }]);
                if let Some((_, _, data)) = found {
                    out[7] = 1;
                    out.extend_from_slice(&[0xc0, 12]);
                    out.extend_from_slice(&kind.to_be_bytes());
                    out.extend_from_slice(&[0, 1, 0, 0, 0, 60]);
                    out.extend_from_slice(&(data.len() as u16).to_be_bytes());
                    out.extend_from_slice(data);
                }
                socket.send_to(&out, from).expect("sent");
            }
        });
        address
    }

    #[test]
    fn a_wrong_record_and_a_missing_one_are_findings_with_remedies() {
        let server = name_server(&[
            ("example.org", A, &[192, 0, 2, 1]),
            ("_xmpp-client._tcp.example.org", SRV, b"\0\0\0\x05\x14\x67\x07example\x03org\0"),
            ("_xmpps-client._tcp.example.org", SRV, b"\0\0\0\x05\x14\x67\x04gone\x03org\0"),
            ("_xmpp-client._tcp.bare.example.org", SRV, b"\0\0\0\x05\0\0\0"),
        ]);
        let listens = "[[listen]]\nkind = \"c2s\"\naddress = \"127.0.0.1:5222\"\n[[listen]]\nkind = \"c2s-tls\"\naddress = \"127.0.0.1:5223\"\n";
        let config = Config::parse(listens, None, &crate::config::Overrides::default()).expect("a configuration");
        let found = |domain: &str| of(&config, server, domain).expect("answers");
        let is = |found: &[Finding], about: &str, grade: super::super::Grade, what: &str| {
            let it = found.iter().find(|it| it.about.contains(about)).unwrap_or_else(|| panic!("{about}: {found:?}"));
            assert!(it.grade == grade && it.what.contains(what), "{it:?}");
            assert_eq!(it.remedy.is_empty(), grade == super::super::Grade::Ok, "{it:?}");
        };
        use super::super::Grade::{Error, Ok, Warn};
        let org = found("example.org");
        // Port 5223 is that of TLS from the first byte.
        is(&org, "_xmpp-client", Warn, "points to example.org, port 5223, where nothing of this configuration listens");
        is(&org, "_xmpps-client", Error, "points to gone.org, port 5223, which has no address");
        is(&org, "_xmpp-server", Ok, "there is no record");
        let bare = found("bare.example.org");
        is(&bare, "_xmpp-client", Error, "says that there is no such service, but it listens here");
        is(&bare, "_xmpps-client", Error, "there is no record");
    }

    #[test]
    fn silence_is_a_warning_within_seconds() {
        let deaf = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let began = std::time::Instant::now();
        assert!(query(deaf.local_addr().expect("an address"), "example.org", A).is_err());
        assert!(began.elapsed() < PATIENCE * 3);
    }

    #[test]
    fn only_what_others_look_up_is_asked_for() {
        for (domain, public) in
            [("localhost", false), ("house.test", false), ("192.0.2.1", false), ("[::1]", false), ("example.org", true)]
        {
            assert_eq!(is_public(domain), public, "{domain}");
        }
    }
}
