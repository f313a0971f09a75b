//! A house with two domains where alice and bob see each other, mallory is a stranger, and a canary sings after every probe.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use iris::cli::control::{Admin, Client as Control, NewUser};
use iris_core::BareJid;

use crate::client::{Client, DOMAIN, PASSWORD, PATIENCE};
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

impl Scene {
    pub fn new() -> Scene {
        Scene::with("")
    }

    /// `config`: tables of the configuration file.
    pub fn with(config: &str) -> Scene {
        let data = Data::new();
        let config = Some(format!("domains = [\"{DOMAIN}\", \"{OTHER}\"]\n{config}"));
        let server = data.start_with(&With { config, ..With::default() });
        let control = Control::connect(&data.path().join("control.sock")).expect("a control socket").expect("a server");
        let users: Vec<NewUser> = ["alice@localhost", "bob@localhost", "mallory@localhost", "eve@other.test"]
            .into_iter()
            .map(|jid| NewUser { jid: BareJid::new(jid).expect("a JID"), password: PASSWORD.to_owned() })
            .collect();
        for outcome in control.user_add_many(&users) {
            outcome.expect("a new account");
        }
        let mut alice = Client::online(server.plain, "alice", "desk");
        let mut bob = Client::online(server.plain, "bob", "phone");
        alice.send("<presence type='subscribe' to='bob@localhost'/>");
        bob.expect("type='subscribe'");
        bob.send("<presence type='subscribed' to='alice@localhost'/><presence type='subscribe' to='alice@localhost'/>");
        alice.expect("type='subscribe'");
        alice.send("<presence type='subscribed' to='bob@localhost'/>");
        bob.expect("from='alice@localhost/desk'");
        let mut scene = Scene { data, server, alice, bob, sung: 0, memory_kib: 0 };
        // What came of all that has been read when these have come.
        for (from, to) in [(true, "bob@localhost/phone"), (false, "alice@localhost/desk")] {
            let (speaker, hearer) = match from {
                true => (&mut scene.alice, &mut scene.bob),
                false => (&mut scene.bob, &mut scene.alice),
            };
            speaker.send(&format!("<message to='{to}' type='chat'><body>are you ready?</body></message>"));
            hearer.expect("are you ready?");
            hearer.ping(PATIENCE).expect("a pong");
        }
        scene.memory_kib = scene.server.memory_kib();
        scene
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
        Client::online(self.server.plain, "mallory", "cave")
    }

    /// A connection that has opened a stream and not authenticated.
    pub fn stranger(&self) -> Client {
        let mut client = Client::connect(self.server.plain).expect("a connection");
        client.open();
        client
    }
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
