//! A bucket of S3 in this process: what `iris` asks of one, with every signature checked (AWS Signature Version 4), and what it is able
//! to get wrong. The real ones are asked by `conformance/run full`.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard};

use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use rustls::{ServerConnection, StreamOwned};
use sha2::{Digest, Sha256};

use crate::authority;

pub const KEY: &str = "AKIAIOSFODNN7EXAMPLE";
pub const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
pub const BUCKET: &str = "files";
const REGION: &str = "us-east-1";

#[derive(Default)]
pub struct Bucket {
    pub objects: BTreeMap<String, Vec<u8>>,
    /// Uploads that are neither completed nor aborted: their parts.
    pub uploads: HashMap<String, BTreeMap<u32, Vec<u8>>>,
    /// Method and path of all that was asked.
    pub asked: Vec<String>,
    /// So many of the next requests are answered with 503.
    pub unwell: u32,
    made: u32,
}

/// Serves until the process ends.
#[derive(Clone)]
pub struct S3 {
    pub address: SocketAddr,
    bucket: Arc<Mutex<Bucket>>,
    /// PEM: who has issued its certificate, where it speaks TLS.
    pub authority: Option<String>,
    /// The bucket stands before the name of the host, not in the path.
    virtual_hosts: bool,
}

impl S3 {
    pub fn start() -> S3 {
        S3::start_with(false, false)
    }

    pub fn start_with(tls: bool, virtual_hosts: bool) -> S3 {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
        let name = if virtual_hosts { format!("{BUCKET}.localhost") } else { "localhost".to_owned() };
        let (config, authority) = tls.then(|| authority::server(&[&name])).unzip();
        let s3 = S3 { address: listener.local_addr().expect("an address"), bucket: Arc::default(), authority, virtual_hosts };
        let serving = s3.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let (s3, config) = (serving.clone(), config.clone());
                std::thread::spawn(move || match config.and_then(|config| ServerConnection::new(config).ok()) {
                    Some(tls) => s3.converse(StreamOwned::new(tls, socket)),
                    None => s3.converse(socket),
                });
            }
        });
        s3
    }

    pub fn endpoint(&self) -> String {
        let scheme = if self.authority.is_some() { "https" } else { "http" };
        let host = if self.authority.is_some() || self.virtual_hosts { "localhost" } else { "127.0.0.1" };
        format!("{scheme}://{host}:{}", self.address.port())
    }

    pub fn bucket(&self) -> MutexGuard<'_, Bucket> {
        self.bucket.lock().expect("the bucket")
    }

    /// The files in it.
    pub fn files(&self) -> Vec<String> {
        self.bucket().objects.keys().filter(|key| !key.ends_with("house")).cloned().collect()
    }

    fn converse(&self, socket: impl Read + Write) {
        let mut reader = BufReader::new(socket);
        while let Some(request) = Request::read(&mut reader) {
            let (status, headers, body) = self.answer(&request);
            let length =
                headers.iter().find(|(name, _)| name == "x-length").map_or(body.len().to_string(), |(_, it)| it.clone());
            let mut head = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n");
            for (name, value) in headers.iter().filter(|(name, _)| name != "x-length") {
                head += &format!("{name}: {value}\r\n");
            }
            let socket = reader.get_mut();
            let written = socket.write_all(format!("{head}\r\n").as_bytes()).and_then(|()| socket.write_all(&body));
            let written = written.and_then(|()| socket.flush());
            if written.is_err() {
                return;
            }
        }
    }

    fn answer(&self, request: &Request) -> Answer {
        if let Err(why) = signed(request, KEY, SECRET) {
            let code = if why == "another key" { "InvalidAccessKeyId" } else { "SignatureDoesNotMatch" };
            return error(403, code, &format!("{why} {}", request.target));
        }
        let mut bucket = self.bucket();
        bucket.asked.push(format!("{} {}", request.method, request.target));
        if bucket.unwell > 0 {
            bucket.unwell -= 1;
            return error(503, "SlowDown", "");
        }
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let query: HashMap<String, String> = query.split('&').filter(|it| !it.is_empty()).map(pair).collect();
        let host = request.headers.get("host").map(String::as_str).unwrap_or_default();
        let path = path.trim_start_matches('/');
        let (name, key) = match self.virtual_hosts {
            true => (host.split_once(".localhost:").map_or("", |(name, _)| name), path),
            false => path.split_once('/').unwrap_or((path, "")),
        };
        let key = decoded(key);
        if name != BUCKET {
            return error(404, "NoSuchBucket", name);
        }
        bucket.answer(&request.method, &key, &query, request)
    }
}

type Answer = (u16, Vec<(String, String)>, Vec<u8>);

fn error(status: u16, code: &str, message: &str) -> Answer {
    (status, Vec::new(), format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>").into_bytes())
}

fn ok(xml: String) -> Answer {
    (200, Vec::new(), xml.into_bytes())
}

fn pair(text: &str) -> (String, String) {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    (decoded(name), decoded(value))
}

impl Bucket {
    fn answer(&mut self, method: &str, key: &str, query: &HashMap<String, String>, request: &Request) -> Answer {
        let upload = query.get("uploadId");
        match (method, upload) {
            ("GET", None) if key.is_empty() => self.list(query),
            ("GET" | "HEAD", None) => self.get(method, key, request),
            ("PUT", None) => {
                self.objects.insert(key.to_owned(), request.body.clone());
                (200, vec![tag(&request.body)], Vec::new())
            }
            ("DELETE", None) => {
                self.objects.remove(key);
                (204, Vec::new(), Vec::new())
            }
            ("POST", None) if query.contains_key("uploads") => {
                self.made += 1;
                let id = format!("upload-{}", self.made);
                self.uploads.insert(id.clone(), BTreeMap::new());
                ok(format!("<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"))
            }
            ("PUT", Some(id)) => {
                let part: u32 = query["partNumber"].parse().expect("a number");
                let Some(parts) = self.uploads.get_mut(id) else { return error(404, "NoSuchUpload", id) };
                parts.insert(part, request.body.clone());
                (200, vec![tag(&request.body)], Vec::new())
            }
            ("POST", Some(id)) => {
                let Some(parts) = self.uploads.get(id) else { return error(404, "NoSuchUpload", id) };
                let last = parts.keys().last().copied().unwrap_or_default();
                if parts.iter().any(|(number, part)| *number != last && part.len() < 5 * 1024 * 1024) {
                    return error(400, "EntityTooSmall", "");
                }
                let text = String::from_utf8_lossy(&request.body);
                for (number, part) in parts {
                    let named = text.contains(&format!("<PartNumber>{number}</PartNumber>"));
                    assert!(named && text.contains(tag(part).1.trim_matches('"')), "{text}");
                }
                let whole = self.uploads.remove(id).unwrap_or_default().into_values().flatten().collect();
                self.objects.insert(key.to_owned(), whole);
                ok("<CompleteMultipartUploadResult><ETag>\"x\"</ETag></CompleteMultipartUploadResult>".to_owned())
            }
            ("DELETE", Some(id)) => match self.uploads.remove(id) {
                Some(_) => (204, Vec::new(), Vec::new()),
                None => error(404, "NoSuchUpload", id),
            },
            _ => error(405, "MethodNotAllowed", ""),
        }
    }

    fn list(&self, query: &HashMap<String, String>) -> Answer {
        assert_eq!(query.get("list-type").map(String::as_str), Some("2"));
        let prefix = query.get("prefix").map_or("", String::as_str);
        let entry = |(key, body): (&String, &Vec<u8>)| {
            let size = body.len();
            format!("<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00Z</LastModified><Size>{size}</Size></Contents>")
        };
        let found = self.objects.iter().filter(|(key, _)| key.starts_with(prefix));
        // Two at once: whoever asks has to ask for the rest.
        let after = query.get("continuation-token").map_or("", String::as_str);
        let mut rest = found.filter(|(key, _)| key.as_str() > after).peekable();
        let (mut page, mut last) = (String::new(), String::new());
        for _ in 0..2 {
            if let Some((key, body)) = rest.next() {
                page += &entry((key, body));
                last.clone_from(key);
            }
        }
        let more = rest.peek().map_or(String::new(), |_| format!("<NextContinuationToken>{last}</NextContinuationToken>"));
        ok(format!("<ListBucketResult>{page}{more}</ListBucketResult>"))
    }

    fn get(&self, method: &str, key: &str, request: &Request) -> Answer {
        let Some(body) = self.objects.get(key) else {
            return if method == "HEAD" { (404, Vec::new(), Vec::new()) } else { error(404, "NoSuchKey", key) };
        };
        let mut headers = vec![tag(body), ("Last-Modified".into(), "Thu, 01 Jan 2026 00:00:00 GMT".into())];
        if method == "HEAD" {
            headers.push(("x-length".into(), body.len().to_string()));
            return (200, headers, Vec::new());
        }
        let range = request.headers.get("range").and_then(|range| {
            let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
            Some((first.parse::<usize>().ok()?, last.parse::<usize>().ok()?.min(body.len().checked_sub(1)?)))
        });
        match range {
            None => (200, headers, body.clone()),
            Some((first, last)) if first <= last => {
                headers.push(("Content-Range".into(), format!("bytes {first}-{last}/{}", body.len())));
                (206, headers, body[first..=last].to_vec())
            }
            Some(_) => error(416, "InvalidRange", ""),
        }
    }
}

fn tag(body: &[u8]) -> (String, String) {
    ("ETag".into(), format!("\"{}\"", &hex(&Sha256::digest(body))[..32]))
}

struct Request {
    method: String,
    target: String,
    /// Lower-case names.
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Request {
    fn read(reader: &mut impl BufRead) -> Option<Request> {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let mut words = line.split_whitespace().map(str::to_owned);
        let (method, target) = (words.next()?, words.next()?);
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        Some(Request { method, target, headers, body })
    }
}

// --- AWS Signature Version 4 ----------------------------------------------------------------------------------------------

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((first, tail)) = rest.split_first() {
        let code = tail.get(..2).and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        match (first, code) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).expect("UTF-8")
}

fn encoded(text: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// Was it signed with this key, and does it say truly what it carries?
fn signed(request: &Request, key: &str, secret: &str) -> Result<(), &'static str> {
    let authorization = request.headers.get("authorization").ok_or("not signed")?;
    let rest = authorization.strip_prefix("AWS4-HMAC-SHA256 ").ok_or("another kind")?;
    let field = |name: &str| {
        rest.split(',').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('=')).ok_or("a field is missing")
    };
    let (credential, names, signature) = (field("Credential")?, field("SignedHeaders")?, field("Signature")?);
    let (given, scope) = credential.split_once('/').ok_or("no scope")?;
    if given != key {
        return Err("another key");
    }
    let header = |name: &str| request.headers.get(name).map(String::as_str).unwrap_or_default();
    let carried = header("x-amz-content-sha256");
    if carried != hex(&Sha256::digest(&request.body)) {
        return Err("other bytes");
    }
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let mut query: Vec<(String, String)> = query.split('&').filter(|it| !it.is_empty()).map(pair).collect();
    query.sort();
    let query: Vec<String> = query.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    let headers: String = names.split(';').map(|name| format!("{name}:{}\n", header(name))).collect();
    let canonical = format!("{}\n{path}\n{}\n{headers}\n{names}\n{carried}", request.method, query.join("&"));
    let date = header("x-amz-date");
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(&Sha256::digest(canonical.as_bytes())));
    let day = date.get(..8).ok_or("no date")?;
    if scope != format!("{day}/{REGION}/s3/aws4_request") {
        return Err("another scope");
    }
    let mut signing = format!("AWS4{secret}").into_bytes();
    for part in scope.split('/') {
        signing = hmac(&signing, part);
    }
    if hex(&hmac(&signing, &text)) == signature { Ok(()) } else { Err("another signature") }
}

/// The examples of "Signature Calculations for the Authorization Header" in Amazon's reference of S3.
#[test]
fn sigv4_signatures_are_checked_as_amazon_has_published_them() {
    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let example = |method: &str, target: &str, extra: &[(&str, &str)], body: &str, names: &str, signature: &str| {
        let mut headers: BTreeMap<String, String> = BTreeMap::new();
        let hash = hex(&Sha256::digest(body.as_bytes()));
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={KEY}/20130524/us-east-1/s3/aws4_request,SignedHeaders={names},Signature={signature}"
        );
        let common = [
            ("host", "examplebucket.s3.amazonaws.com"),
            ("x-amz-date", "20130524T000000Z"),
            ("x-amz-content-sha256", &hash),
            ("authorization", &authorization),
        ];
        for (name, value) in common.iter().chain(extra) {
            headers.insert((*name).to_owned(), (*value).to_owned());
        }
        let request = |body: &str| Request {
            method: method.into(),
            target: target.into(),
            headers: headers.clone(),
            body: body.as_bytes().to_vec(),
        };
        assert_eq!(signed(&request(body), KEY, SECRET), Ok(()), "{method} {target}");
        assert_eq!(signed(&request(body), KEY, "another"), Err("another signature"));
        assert_eq!(signed(&request(body), "AKIA", SECRET), Err("another key"));
        assert_eq!(signed(&request("other"), KEY, SECRET), Err("other bytes"));
        hash
    };
    let hash = example(
        "GET",
        "/test.txt",
        &[("range", "bytes=0-9")],
        "",
        "host;range;x-amz-content-sha256;x-amz-date",
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    );
    assert_eq!(hash, EMPTY);
    example(
        "PUT",
        "/test%24file.text",
        &[("date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")],
        "Welcome to Amazon S3.",
        "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    );
    example(
        "GET",
        "/?lifecycle",
        &[],
        "",
        "host;x-amz-content-sha256;x-amz-date",
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    );
    example(
        "GET",
        "/?max-keys=2&prefix=J",
        &[],
        "",
        "host;x-amz-content-sha256;x-amz-date",
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    );
}
