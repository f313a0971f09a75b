//! A house with one tenant, alice, and a client whose every message can be bent.

mod arbitrary;
mod b10_nobody;
mod b11_constant_time;
mod b6_authzid;
mod b7_scram;
mod b8_offers;
mod b9_downgrade;
mod oracle;
mod plain;
mod records;
mod vectors;

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jid::DomainPart;

use super::*;

const PASSWORD: &str = "wherefore art thou";
const NONCE: [u8; NONCE_SIZE_BYTES] = [7; NONCE_SIZE_BYTES];
const EXPORTER: &[u8] = b"0123456789abcdef0123456789abcdef";
const END_POINT: &[u8] = b"fedcba9876543210fedcba9876543210";

fn domain() -> DomainPart {
    DomainPart::new("house.example").unwrap().into_owned()
}

fn bindings() -> Vec<ChannelBinding> {
    vec![
        ChannelBinding { kind: BindingKind::TlsExporter, data: EXPORTER.to_vec() },
        ChannelBinding { kind: BindingKind::TlsServerEndPoint, data: END_POINT.to_vec() },
    ]
}

fn everything() -> Offered {
    Offered::new(domain(), &Mechanism::ALL, bindings(), Some(TlsVersion::V1_3))
}

fn without_binding() -> Offered {
    Offered::new(domain(), &Mechanism::ALL, vec![], Some(TlsVersion::V1_3))
}

/// Not random, but different each time.
fn counting() -> impl FnMut(&mut [u8]) {
    let mut next = 0u8;
    move |bytes| {
        next += 1;
        bytes.fill(next);
    }
}

fn alice() -> &'static Credentials {
    static ALICE: OnceLock<Credentials> = OnceLock::new();
    ALICE.get_or_init(|| Credentials::derive(PASSWORD, counting(), ITERATIONS_MIN).unwrap())
}

fn fake() -> FakeSalt {
    FakeSalt::new([9; 32], ITERATIONS_MIN)
}

/// The account lookup of the house.
fn look_up(account: &jid::BareJid) -> Option<&'static Credentials> {
    (account.as_str() == "alice@house.example").then(alice)
}

fn start(mechanism: Mechanism, offered: &Offered, initial: &str) -> Step {
    Exchange::start(mechanism, offered, NONCE, Some(initial.as_bytes()))
}

/// Answers `NeedCredentials` as the house would, leaves everything else alone.
fn found(step: Step) -> Step {
    match step {
        Step::NeedCredentials { account, exchange, .. } => exchange.credentials(look_up(&account), &fake()),
        other => other,
    }
}

#[track_caller]
fn challenged(step: Step) -> (String, Exchange) {
    match step {
        Step::Challenge(bytes, exchange) => (String::from_utf8(bytes).unwrap(), exchange),
        other => panic!("expected a challenge, got {other:?}"),
    }
}

#[track_caller]
fn refused(step: Step) -> SaslError {
    match step {
        Step::Failure(error) => error,
        other => panic!("expected a failure, got {other:?}"),
    }
}

/// The account that was authenticated and the additional data.
#[track_caller]
fn succeeded(step: Step) -> (String, Option<String>) {
    match step {
        Step::Success { account, additional, .. } => {
            (account.to_string(), additional.map(|bytes| String::from_utf8(bytes).unwrap()))
        }
        other => panic!("expected success, got {other:?}"),
    }
}

/// A correct SCRAM client as long as nobody bends its fields.
struct Client {
    hash: Hash,
    username: &'static str,
    password: &'static str,
    gs2_header: String,
    binding: Vec<u8>,
    first_extensions: &'static str,
    final_extensions: &'static str,
}

impl Client {
    fn new(hash: Hash) -> Self {
        Client {
            hash,
            username: "alice",
            password: PASSWORD,
            gs2_header: "n,,".into(),
            binding: Vec::new(),
            first_extensions: "",
            final_extensions: "",
        }
    }

    fn binding(hash: Hash, name: &str, data: &[u8]) -> Self {
        Client { gs2_header: format!("p={name},,"), binding: data.to_vec(), ..Client::new(hash) }
    }

    fn bare(&self) -> String {
        format!("n={},r=romeo{}", self.username, self.first_extensions)
    }

    fn first(&self) -> String {
        format!("{}{}", self.gs2_header, self.bare())
    }

    /// client-final-message without its proof.
    fn without_proof(&self, server_first: &str) -> String {
        let nonce = attribute(server_first, "r=");
        let mut bound = self.gs2_header.clone().into_bytes();
        bound.extend_from_slice(&self.binding);
        let bound = STANDARD.encode(bound);
        format!("c={bound},r={nonce}{}", self.final_extensions)
    }

    /// Signs whatever it is given, right or wrong; also the server's signature to expect.
    fn sign(&self, server_first: &str, without_proof: &str) -> (String, String) {
        let salt = STANDARD.decode(attribute(server_first, "s=")).unwrap();
        let iterations = attribute(server_first, "i=").parse().unwrap();
        let salted = self.hash.salted_password(self.password.as_bytes(), &salt, iterations);
        let message = format!("{},{server_first},{without_proof}", self.bare());
        let client_key = self.hash.hmac(salted.as_slice(), &[b"Client Key"]);
        let stored_key = self.hash.digest(client_key.as_slice());
        let signature = self.hash.hmac(stored_key.as_slice(), &[message.as_bytes()]);
        let proof = STANDARD.encode(client_key.xor(signature.as_slice()).as_slice());
        let server_key = self.hash.hmac(salted.as_slice(), &[b"Server Key"]);
        let verifier = self.hash.hmac(server_key.as_slice(), &[message.as_bytes()]);
        (format!("{without_proof},p={proof}"), format!("v={}", STANDARD.encode(verifier.as_slice())))
    }

    fn last(&self, server_first: &str) -> String {
        self.sign(server_first, &self.without_proof(server_first)).0
    }

    /// The whole conversation; the last step is returned.
    fn run(&self, mechanism: Mechanism, offered: &Offered) -> Step {
        match found(start(mechanism, offered, &self.first())) {
            Step::Challenge(bytes, exchange) => {
                let server_first = String::from_utf8(bytes).unwrap();
                exchange.respond(self.last(&server_first).as_bytes())
            }
            other => other,
        }
    }
}

fn attribute<'m>(message: &'m str, name: &str) -> &'m str {
    let found = message.split(',').find_map(|part| part.strip_prefix(name));
    found.unwrap_or_else(|| panic!("no {name} in {message}"))
}
