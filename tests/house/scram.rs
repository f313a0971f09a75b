//! SCRAM (RFC 5802, RFC 7677), the client's side, written from the RFCs over another cryptographic library than the server's.

use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::client::{Client, PATIENCE, between};

const SASL2: &str = "urn:xmpp:sasl:2";

pub struct Scram {
    pub mechanism: &'static str,
    pub user: String,
    pub password: String,
    /// `n,,`, `y,,`, `p=tls-exporter,,`
    pub gs2_header: String,
    pub binding: Vec<u8>,
    pub nonce: String,
}

/// What the server said in its first message.
pub struct Challenge {
    pub text: String,
}

impl Challenge {
    /// `<challenge/>` of either profile; anything else is the failure.
    fn of(answer: String) -> Result<Challenge, String> {
        let Some(data) = answer.strip_prefix("<challenge").and_then(|it| between(it, ">", "<")) else { return Err(answer) };
        let text = String::from_utf8(STANDARD.decode(data).expect("base64")).expect("UTF-8");
        Ok(Challenge { text })
    }

    pub fn attribute(&self, name: char) -> &str {
        let found = self.text.split(',').find_map(|it| it.strip_prefix(name).and_then(|it| it.strip_prefix('=')));
        found.unwrap_or_else(|| panic!("no {name}= in {}", self.text))
    }
}

impl Scram {
    pub fn new(mechanism: &'static str, user: &str, password: &str) -> Scram {
        Scram {
            mechanism,
            user: user.into(),
            password: password.into(),
            gs2_header: "n,,".into(),
            binding: Vec::new(),
            nonce: "fyko+d2lbbFgONRv9qkxdawL".into(),
        }
    }

    pub fn bound_to(mut self, kind: &str, data: Vec<u8>) -> Scram {
        self.gs2_header = format!("p={kind},,");
        self.binding = data;
        self
    }

    fn algorithms(&self) -> (pbkdf2::Algorithm, hmac::Algorithm, &'static digest::Algorithm) {
        match self.mechanism.trim_end_matches("-PLUS") {
            "SCRAM-SHA-1" => (pbkdf2::PBKDF2_HMAC_SHA1, hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &digest::SHA1_FOR_LEGACY_USE_ONLY),
            "SCRAM-SHA-256" => (pbkdf2::PBKDF2_HMAC_SHA256, hmac::HMAC_SHA256, &digest::SHA256),
            "SCRAM-SHA-512" => (pbkdf2::PBKDF2_HMAC_SHA512, hmac::HMAC_SHA512, &digest::SHA512),
            other => panic!("{other}?"),
        }
    }

    /// The bare part of the first message, without gs2 header.
    pub fn bare(&self) -> String {
        format!("n={},r={}", self.user, self.nonce)
    }

    /// The challenge to the first message, or the failure.
    pub fn begin(&self, client: &mut Client) -> Result<Challenge, String> {
        self.begin_with(client, &format!("{}{}", self.gs2_header, self.bare()))
    }

    pub fn begin_with(&self, client: &mut Client, first: &str) -> Result<Challenge, String> {
        let auth = format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='{}'>", self.mechanism);
        client.send(&format!("{auth}{}</auth>", STANDARD.encode(first)));
        Challenge::of(client.read(PATIENCE).expect("an answer"))
    }

    /// The last message without its proof, as it should be.
    pub fn without_proof(&self, challenge: &Challenge) -> String {
        let binding = [self.gs2_header.as_bytes(), &self.binding].concat();
        format!("c={},r={}", STANDARD.encode(binding), challenge.attribute('r'))
    }

    /// The proof of this last message, and the signature that the server must answer it with.
    pub fn sign(&self, challenge: &Challenge, without_proof: &str) -> (String, String) {
        let (kdf, mac, hash) = self.algorithms();
        let salt = STANDARD.decode(challenge.attribute('s')).expect("base64");
        let iterations = challenge.attribute('i').parse().ok().and_then(std::num::NonZeroU32::new).expect("iterations");
        let mut salted = vec![0; hash.output_len()];
        pbkdf2::derive(kdf, iterations, &salt, self.password.as_bytes(), &mut salted);
        let hmac = |key: &[u8], data: &[u8]| hmac::sign(&hmac::Key::new(mac, key), data).as_ref().to_vec();
        let client_key = hmac(&salted, b"Client Key");
        let stored_key = digest::digest(hash, &client_key);
        let message = format!("{},{},{without_proof}", self.bare(), challenge.text);
        let signature = hmac(stored_key.as_ref(), message.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
        let server_key = hmac(&salted, b"Server Key");
        let verifier = hmac(&server_key, message.as_bytes());
        (STANDARD.encode(proof), STANDARD.encode(verifier))
    }

    pub fn respond(&self, client: &mut Client, last: &str) -> String {
        client.send(&format!("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{}</response>", STANDARD.encode(last)));
        client.read(PATIENCE).expect("an answer")
    }

    /// The whole exchange, on an open stream; the server's signature is checked. The failure, if there is one.
    pub fn run(&self, client: &mut Client) -> Result<(), String> {
        let challenge = self.begin(client)?;
        let last = self.without_proof(&challenge);
        let (proof, verifier) = self.sign(&challenge, &last);
        let answer = self.respond(client, &format!("{last},p={proof}"));
        if !answer.starts_with("<success") {
            return Err(answer);
        }
        let data = between(&answer, ">", "<").unwrap_or_default();
        let said = String::from_utf8(STANDARD.decode(data).expect("base64")).expect("UTF-8");
        assert_eq!(said, format!("v={verifier}"), "the server does not know the password");
        Ok(())
    }

    /// `begin` in the profile of XEP-0388; what stands inline is sent along.
    pub fn begin_sasl2(&self, client: &mut Client, inline: &str) -> Result<Challenge, String> {
        let first = STANDARD.encode(format!("{}{}", self.gs2_header, self.bare()));
        let initial = format!("<initial-response>{first}</initial-response>");
        let mechanism = self.mechanism;
        client.send(&format!("<authenticate xmlns='{SASL2}' mechanism='{mechanism}'>{initial}{inline}</authenticate>"));
        Challenge::of(client.read(PATIENCE).expect("an answer"))
    }

    pub fn respond_sasl2(&self, client: &mut Client, last: &str) -> String {
        client.send(&format!("<response xmlns='{SASL2}'>{}</response>", STANDARD.encode(last)));
        client.read(PATIENCE).expect("an answer")
    }

    /// `run` in the profile of XEP-0388. `<success/>`, or the failure.
    pub fn run_sasl2(&self, client: &mut Client, inline: &str) -> Result<String, String> {
        let challenge = self.begin_sasl2(client, inline)?;
        let last = self.without_proof(&challenge);
        let (proof, verifier) = self.sign(&challenge, &last);
        let answer = self.respond_sasl2(client, &format!("{last},p={proof}"));
        let Some(said) = between(&answer, "<additional-data>", "</additional-data>") else { return Err(answer) };
        assert_eq!(said, STANDARD.encode(format!("v={verifier}")), "the server does not know the password");
        Ok(answer)
    }
}

/// RFC 9266.
pub fn tls_exporter(client: &Client) -> Vec<u8> {
    let tls = client.tls().expect("TLS");
    tls.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b"")).expect("keying material").to_vec()
}

/// RFC 5929 4.1, for a certificate signed with SHA-256 (or weaker).
pub fn tls_server_end_point(client: &Client) -> Vec<u8> {
    digest::digest(&digest::SHA256, &client.certificate().expect("a certificate")).as_ref().to_vec()
}
