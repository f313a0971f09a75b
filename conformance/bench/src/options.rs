//! The command line: `--name value` pairs.

use std::net::SocketAddr;
use std::str::FromStr;

use anyhow::{Context, Result, bail};

use crate::client::{Mechanism, Target, Transport};
use crate::tls;

#[derive(Clone, Debug)]
pub struct Options {
    pub host: String,
    pub port: u16,
    pub pid: u32,
    pub domain: String,
    pub password: String,
    pub transport: Transport,
    pub mechanism: Mechanism,
    pub server: String,
    pub durability: String,
    /// Where the relay finds its certificate.
    pub dir: String,
    pub json: Option<String>,
    pub seconds: f64,
    pub warmup: f64,
    /// Sender-receiver pairs in chat; connections in queries.
    pub pairs: usize,
    /// Messages of a pair, or requests of a connection, under way at once.
    pub window: u64,
    /// Messages per second in open loop.
    pub rate: u64,
    pub connections: usize,
    pub contacts: usize,
    pub entries: usize,
    /// Messages in the archive.
    pub archive: u64,
    pub rooms: usize,
    /// Per room.
    pub occupants: usize,
    /// Accounts.
    pub count: usize,
    /// What is put and fetched, and how large each is.
    pub files: usize,
    pub file_mib: usize,
}

impl Options {
    pub fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Options {
            host: "127.0.0.1".into(),
            port: 0,
            pid: 0,
            domain: "localhost".into(),
            password: "bench-password".into(),
            transport: Transport::Direct,
            mechanism: Mechanism::Plain,
            server: "server".into(),
            durability: String::new(),
            dir: String::new(),
            json: None,
            seconds: 8.0,
            warmup: 2.0,
            pairs: 50,
            window: 8,
            rate: 3000,
            connections: 5000,
            contacts: 50,
            entries: 500,
            archive: 10_000,
            rooms: 1,
            occupants: 300,
            count: 200,
            // An account has not more slots than this at a time, nor files of one day: a quota of the peers.
            files: 24,
            file_mib: 16,
        };
        while let Some(name) = arguments.next() {
            let value = arguments.next().with_context(|| format!("{name} wants a value"))?;
            options.set(&name, value)?;
        }
        Ok(options)
    }

    /// Not a server, but the relay that shows what could be reached.
    pub fn is_limit(&self) -> bool {
        self.server == "limit"
    }

    fn set(&mut self, name: &str, value: String) -> Result<()> {
        match name {
            "--host" => self.host = value,
            "--port" => self.port = number(name, &value)?,
            "--pid" => self.pid = number(name, &value)?,
            "--domain" => self.domain = value,
            "--password" => self.password = value,
            "--server" => self.server = value,
            "--durability" => self.durability = value,
            "--dir" => self.dir = value,
            "--json" => self.json = Some(value),
            "--seconds" => self.seconds = number(name, &value)?,
            "--warmup" => self.warmup = number(name, &value)?,
            "--pairs" => self.pairs = number(name, &value)?,
            "--window" => self.window = number(name, &value)?,
            "--rate" => self.rate = number(name, &value)?,
            "--connections" => self.connections = number(name, &value)?,
            "--contacts" => self.contacts = number(name, &value)?,
            "--entries" => self.entries = number(name, &value)?,
            "--archive" => self.archive = number(name, &value)?,
            "--rooms" => self.rooms = number(name, &value)?,
            "--occupants" => self.occupants = number(name, &value)?,
            "--files" => self.files = number(name, &value)?,
            "--file-mib" => self.file_mib = number(name, &value)?,
            "--count" => self.count = number(name, &value)?,
            "--transport" => {
                self.transport = match value.as_str() {
                    "direct" => Transport::Direct,
                    "starttls" => Transport::StartTls,
                    "plain" => Transport::Plain,
                    "websocket" => Transport::WebSocket,
                    _ => bail!("unknown transport {value}"),
                }
            }
            "--mechanism" => {
                self.mechanism = match value.as_str() {
                    "plain" => Mechanism::Plain,
                    "scram" => Mechanism::ScramSha1,
                    _ => bail!("unknown mechanism {value}"),
                }
            }
            _ => bail!("unknown option {name}"),
        }
        Ok(())
    }

    pub fn target(&self) -> Result<Target> {
        Ok(Target {
            address: SocketAddr::new(self.host.parse().context("--host wants an IP address")?, self.port),
            domain: self.domain.clone(),
            password: self.password.clone(),
            transport: self.transport,
            mechanism: self.mechanism,
            tls: tls::config()?,
        })
    }
}

fn number<T: FromStr>(name: &str, value: &str) -> Result<T> {
    value.parse().ok().with_context(|| format!("{name} wants a number, not {value}"))
}
