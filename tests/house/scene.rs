//! A house with two domains where alice and bob see each other, mallory is a stranger, and a canary sings after every probe.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use iris::cli::control::{Admin, Client as Control, NewUser};
use iris_core::BareJid;

use crate::client::{Client, DOMAIN, PASSWORD, PATIENCE, attribute};
use crate::scram::Scram;
use crate::server::{Data, Server, With};

/// The second domain. Its account eve has the same password as everybody.
pub const OTHER: &str = "other.test";

pub struct Scene {
    pub data: Data,
    pub server: Server,
    pub alice: Client,
    pub bob: Client,
    sung: u32,
    memory_kib: u64,
}

/// What may be resident more after a probe than before it.
const GROWTH_KIB_MAX: u64 = 32 * 1024;

/// A data folder as it is on disk: relative paths, modes, bytes. Accounts cost a second of PBKDF2 in a debug build, so the
/// folder is made once and copied for every test.
type Image = Vec<(PathBuf, u32, Vec<u8>)>;

fn read_image(folder: &Path, below: &Path, into: &mut Image) {
    for entry in fs::read_dir(folder.join(below)).expect("a folder") {
        let entry = entry.expect("an entry");
        let path = below.join(entry.file_name());
        let kind = entry.file_type().expect("a kind");
        if kind.is_dir() {
            read_image(folder, &path, into);
        } else if kind.is_file() {
            let mode = entry.metadata().expect("a file").permissions().mode();
            into.push((path, mode, fs::read(entry.path()).expect("a file")));
        }
    }
}

fn image() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let mut scene = Scene::fresh();
        scene.server.terminate(PATIENCE);
        let mut image = Image::new();
        read_image(&scene.data.path(), Path::new(""), &mut image);
        image
    })
}

fn write_image(folder: &Path) {
    for (path, mode, bytes) in image() {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, bytes).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).expect("a mode");
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).expect("a mode");
}

fn start(data: &Data, config: &str) -> Server {
    let config = Some(format!("domains = [\"{DOMAIN}\", \"{OTHER}\"]\n{config}"));
    data.start_with(&With { config, ..With::default() })
}

/// Reads until presence of all of these has come.
fn sees(client: &mut Client, mut awaited: Vec<&str>) {
    while !awaited.is_empty() {
        let presence = client.expect("<presence");
        awaited.retain(|from| attribute(&presence, "from") != Some(from));
    }
}

impl Scene {
    pub fn new() -> Scene {
        Scene::with("")
    }

    /// `config`: tables of the configuration file.
    pub fn with(config: &str) -> Scene {
        let data = Data::new();
        write_image(&data.path());
        let server = start(&data, config);
        let (alice, bob) = (arrive(&server, "alice", "desk"), arrive(&server, "bob", "phone"));
        Scene::ready(data, server, alice, bob)
    }

    /// As `new`, everything made by this very server.
    pub fn fresh() -> Scene {
        let data = Data::new();
        let server = start(&data, "");
        let control = Control::connect(&data.path().join("control.sock")).expect("a control socket").expect("a server");
        let users: Vec<NewUser> = ["alice@localhost", "bob@localhost", "mallory@localhost", "eve@other.test"]
            .into_iter()
            .map(|jid| NewUser { jid: BareJid::new(jid).expect("a JID"), password: PASSWORD.to_owned() })
            .collect();
        for outcome in control.user_add_many(&users) {
            outcome.expect("a new account");
        }
        let (mut alice, mut bob) = (arrive(&server, "alice", "desk"), arrive(&server, "bob", "phone"));
        sees(&mut alice, vec!["alice@localhost/desk"]);
        sees(&mut bob, vec!["bob@localhost/phone"]);
        alice.send("<presence type='subscribe' to='bob@localhost'/>");
        bob.expect("type='subscribe'");
        bob.send("<presence type='subscribed' to='alice@localhost'/><presence type='subscribe' to='alice@localhost'/>");
        alice.expect("type='subscribe'");
        alice.send("<presence type='subscribed' to='bob@localhost'/>");
        bob.expect("from='alice@localhost/desk'");
        // Once more, as everybody comes who is known already.
        for client in [alice, bob] {
            client.close();
        }
        let (alice, bob) = (arrive(&server, "alice", "desk"), arrive(&server, "bob", "phone"));
        Scene::ready(data, server, alice, bob)
    }

    fn ready(data: Data, server: Server, mut alice: Client, mut bob: Client) -> Scene {
        sees(&mut alice, vec!["alice@localhost/desk", "bob@localhost/phone"]);
        sees(&mut bob, vec!["bob@localhost/phone", "alice@localhost/desk"]);
        for there in [true, false] {
            let (speaker, hearer) = if there { (&mut alice, &mut bob) } else { (&mut bob, &mut alice) };
            speaker.send(&format!("<message to='{}' type='chat'><body>are you ready?</body></message>", hearer.jid));
            hearer.expect("are you ready?");
            hearer.ping(PATIENCE).expect("a pong");
        }
        let memory_kib = server.memory_kib();
        Scene { data, server, alice, bob, sung: 0, memory_kib }
    }

    pub fn control(&self) -> Control {
        Control::connect(&self.data.path().join("control.sock")).expect("a control socket").expect("a server")
    }

    /// The global oracle: everybody lives, alice reaches bob, and bob has heard nothing else since the last time; nor alice.
    #[track_caller]
    pub fn canary(&mut self) {
        assert!(self.server.ended().is_none(), "the server has ended: {}", self.data.logged());
        self.sung += 1;
        for there in [true, false] {
            let (speaker, hearer) = if there { (&mut self.alice, &mut self.bob) } else { (&mut self.bob, &mut self.alice) };
            let song = format!("canary {} {there}", self.sung);
            let began = Instant::now();
            speaker.send(&format!("<message to='{}' type='chat'><body>{song}</body></message>", hearer.jid));
            let heard = hearer.read(PATIENCE).expect("the canary");
            assert!(heard.contains(&song), "{} heard: {heard}", hearer.jid);
            // A second on a quiet machine; tests share theirs with others.
            assert!(began.elapsed() < Duration::from_secs(5), "the canary took {:?}", began.elapsed());
        }
        let grown = self.server.memory_kib().saturating_sub(self.memory_kib);
        assert!(grown < GROWTH_KIB_MAX, "{grown} KiB more are resident");
        assert!(!self.data.logged().contains("panicked"), "{}", self.data.logged());
        assert!(!self.data.logged().contains(PASSWORD), "a password is in the log");
        assert!(!self.data.logged().contains("canary"), "a body is in the log");
    }

    /// Mallory, connected and available: for one probe.
    pub fn mallory(&self) -> Client {
        let mut mallory = arrive(&self.server, "mallory", "cave");
        sees(&mut mallory, vec!["mallory@localhost/cave"]);
        mallory
    }

    /// A connection that has opened a stream and not authenticated.
    pub fn stranger(&self) -> Client {
        let mut client = Client::connect(self.server.plain).expect("a connection");
        client.open();
        client
    }
}

/// Connected, bound and available, by SCRAM: in a debug build much cheaper for the server than PLAIN.
pub fn arrive(server: &Server, user: &str, resource: &str) -> Client {
    let mut client = Client::connect(server.plain).expect("a connection");
    client.open();
    Scram::new("SCRAM-SHA-1", user, PASSWORD).run(&mut client).expect("a login");
    client.open();
    client.bind(resource).expect("a resource");
    client.send("<presence/>");
    client
}

/// The stream must end with one of these stream errors, and the connection with it; nobody is let in.
#[track_caller]
pub fn refused(mut client: Client, conditions: &[&str], probe: &str) {
    let said = last_words(&mut client, probe);
    let errors: Vec<&String> = said.iter().filter(|it| it.starts_with("<stream:error")).collect();
    assert_eq!(errors.len(), 1, "{probe}: {said:?}");
    let known = conditions.iter().any(|condition| errors[0].contains(&format!("<{condition} xmlns=")));
    assert!(known, "{probe}: {conditions:?} expected, not {}", errors[0]);
    assert!(!said.iter().any(|it| it.starts_with("<success")), "{probe}: {said:?}");
}

/// What is said until the connection is closed, which has to happen.
#[track_caller]
pub fn last_words(client: &mut Client, probe: &str) -> Vec<String> {
    match client.read_to_end(PATIENCE) {
        Ok(said) => said,
        Err(error) if error.kind() == ErrorKind::TimedOut => panic!("{probe}: the connection stays open"),
        Err(error) => panic!("{probe}: {error}"),
    }
}
