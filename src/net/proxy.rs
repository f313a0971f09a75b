//! The PROXY protocol, versions 1 and 2 (HAProxy's `proxy-protocol.txt`): a load balancer says first who is really there. It is read
//! only where the operator said so, and there it is required: who can leave it out can also make it up.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    Address(IpAddr),
    /// `UNKNOWN` or `LOCAL`: the balancer speaks for itself (a health check).
    Unsaid,
}

/// It is no header: the connection is closed without a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoHeader;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// 2.1: "the longest line is 107 bytes".
const LINE_BYTES_MAX: usize = 107;

/// 2.2: addresses and extensions (TLVs) of a version 2 header. Nobody needs more.
const REST_BYTES_MAX: usize = 4 * 1024;

/// The header at the beginning of `bytes` and how long it is; `None`: it has not arrived completely.
pub fn read(bytes: &[u8]) -> Result<Option<(Peer, usize)>, NoHeader> {
    let common = SIGNATURE.len().min(bytes.len());
    if bytes[..common] == SIGNATURE[..common] {
        return if common < SIGNATURE.len() { Ok(None) } else { version_2(bytes) };
    }
    version_1(bytes)
}

fn version_1(bytes: &[u8]) -> Result<Option<(Peer, usize)>, NoHeader> {
    const BEGIN: &[u8] = b"PROXY ";
    let common = BEGIN.len().min(bytes.len());
    if bytes[..common] != BEGIN[..common] {
        return Err(NoHeader);
    }
    let window = bytes.get(..LINE_BYTES_MAX).unwrap_or(bytes);
    let Some(end) = window.windows(2).position(|it| it == b"\r\n") else {
        return if window.len() < LINE_BYTES_MAX { Ok(None) } else { Err(NoHeader) };
    };
    let line = std::str::from_utf8(&bytes[BEGIN.len()..end]).map_err(|_| NoHeader)?;
    let length = end + 2;
    let words: Vec<&str> = line.split(' ').collect();
    let ports =
        |ports: [&str; 2]| ports.iter().all(|port| port.parse::<u16>().is_ok_and(|number| number.to_string() == **port));
    match words.as_slice() {
        ["UNKNOWN", ..] => Ok(Some((Peer::Unsaid, length))),
        ["TCP4", from, to, a, b] if ports([a, b]) => match (from.parse::<Ipv4Addr>(), to.parse::<Ipv4Addr>()) {
            (Ok(from), Ok(_)) => Ok(Some((Peer::Address(from.into()), length))),
            _ => Err(NoHeader),
        },
        ["TCP6", from, to, a, b] if ports([a, b]) => match (from.parse::<Ipv6Addr>(), to.parse::<Ipv6Addr>()) {
            (Ok(from), Ok(_)) => Ok(Some((Peer::Address(from.into()), length))),
            _ => Err(NoHeader),
        },
        _ => Err(NoHeader),
    }
}

fn version_2(bytes: &[u8]) -> Result<Option<(Peer, usize)>, NoHeader> {
    let Some(&[command, family, high, low]) = bytes.get(12..16).and_then(|it| it.first_chunk::<4>()) else { return Ok(None) };
    let rest = usize::from(u16::from_be_bytes([high, low]));
    if rest > REST_BYTES_MAX {
        return Err(NoHeader);
    }
    let length = 16 + rest;
    let peer = match command {
        // LOCAL: whatever the rest says is to be skipped.
        0x20 => None,
        0x21 => Some(family),
        _ => return Err(NoHeader),
    };
    let Some(addresses) = bytes.get(16..length) else { return Ok(None) };
    let peer = match peer {
        None => Peer::Unsaid,
        // TCP over IPv4, TCP over IPv6.
        Some(0x11) if rest >= 12 => {
            let from = addresses.first_chunk::<4>().ok_or(NoHeader)?;
            Peer::Address(Ipv4Addr::from(*from).into())
        }
        Some(0x21) if rest >= 36 => {
            let from = addresses.first_chunk::<16>().ok_or(NoHeader)?;
            Peer::Address(Ipv6Addr::from(*from).into())
        }
        Some(0x00) => Peer::Unsaid,
        // Datagrams and Unix sockets do not come in here; an address that is cut off is none.
        Some(_) => return Err(NoHeader),
    };
    Ok(Some((peer, length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version_2_header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut out = SIGNATURE.to_vec();
        out.extend_from_slice(&[command, family]);
        out.extend_from_slice(&(rest.len() as u16).to_be_bytes());
        out.extend_from_slice(rest);
        out
    }

    fn address(text: &str) -> Peer {
        Peer::Address(text.parse().expect("an address"))
    }

    #[test]
    fn s2_headers_of_both_versions_are_read_however_they_are_cut() {
        let mut v4 = vec![192, 0, 2, 1, 198, 51, 100, 2, 0x30, 0x39, 0x14, 0x66];
        let plain_v4 = version_2_header(0x21, 0x11, &v4);
        v4.extend_from_slice(&[0x01, 0, 3, b'a', b'b', b'c']);
        let mut v6 = "2001:db8::7".parse::<Ipv6Addr>().expect("an address").octets().to_vec();
        v6.extend_from_slice(&[0; 20]);
        for (header, peer) in [
            (b"PROXY TCP4 192.0.2.1 198.51.100.2 12345 5222\r\n".to_vec(), address("192.0.2.1")),
            (b"PROXY TCP6 2001:db8::7 ::1 1 65535\r\n".to_vec(), address("2001:db8::7")),
            (b"PROXY UNKNOWN\r\n".to_vec(), Peer::Unsaid),
            (b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n".to_vec(), Peer::Unsaid),
            (plain_v4, address("192.0.2.1")),
            (version_2_header(0x21, 0x11, &v4), address("192.0.2.1")),
            (version_2_header(0x21, 0x21, &v6), address("2001:db8::7")),
            (version_2_header(0x20, 0x00, &[]), Peer::Unsaid),
            (version_2_header(0x20, 0x11, &v4), Peer::Unsaid),
        ] {
            let whole = [header.as_slice(), b"<stream"].concat();
            assert_eq!(read(&whole), Ok(Some((peer, header.len()))), "{header:?}");
            for cut in 0..header.len() {
                assert_eq!(read(&header[..cut]), Ok(None), "{header:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn s2_what_is_no_header_is_refused_at_the_first_byte_that_shows_it() {
        let long = format!("PROXY UNKNOWN {}", "a".repeat(200));
        let huge = [SIGNATURE.as_slice(), &[0x21, 0x11, 0xff, 0xff]].concat();
        for wrong in [
            b"<?xml version='1.0'?>".to_vec(),
            b"GET / HTTP/1.1\r\n".to_vec(),
            b"\x16\x03\x01".to_vec(),
            b"PROXX".to_vec(),
            b"\r\n\r\n\0\r\nQUIT?".to_vec(),
            b"PROXY TCP4 192.0.2.1 198.51.100.2 12345\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 198.51.100.2 12345 99999\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 198.51.100.2 +1 5222\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1  198.51.100.2 1 5222\r\n".to_vec(),
            b"PROXY TCP4 2001:db8::7 ::1 1 2\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.256 198.51.100.2 1 2\r\n".to_vec(),
            b"PROXY UDP4 192.0.2.1 198.51.100.2 1 2\r\n".to_vec(),
            b"PROXY \r\n".to_vec(),
            b"PROXY TCP4 \xff\r\n".to_vec(),
            long.into_bytes(),
            huge,
            version_2_header(0x31, 0x11, &[0; 12]),
            version_2_header(0x22, 0x11, &[0; 12]),
            version_2_header(0x21, 0x11, &[0; 11]),
            version_2_header(0x21, 0x21, &[0; 35]),
            version_2_header(0x21, 0x12, &[0; 12]),
            version_2_header(0x21, 0x31, &[0; 216]),
        ] {
            assert_eq!(read(&wrong), Err(NoHeader), "{wrong:?}");
        }
    }
}
