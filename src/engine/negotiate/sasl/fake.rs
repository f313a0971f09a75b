//! What we say about people who do not exist, so that nobody can tell them from those who do.

use zeroize::Zeroizing;

use super::credentials::{ITERATIONS_DEFAULT, Keys, SALT_SIZE_BYTES, clamp_iterations};
use super::hash::{Hash, Octets};

/// Makes up the SCRAM parameters of unknown users: always the same for the same name, different between names and
/// between hash functions, as they are for real users. Without it a probe that asks twice, or that compares
/// SCRAM-SHA-1 with SCRAM-SHA-256, finds out who has an account.
#[derive(Clone)]
pub struct FakeSalt {
    secret: Zeroizing<[u8; 32]>,
    iterations: u32,
}

impl FakeSalt {
    /// `secret`: 32 random bytes that live as long as the server's data (a new secret would make every unknown user
    /// change salts at once). `iterations`: the number with which new passwords are derived.
    pub fn new(secret: [u8; 32], iterations: u32) -> Self {
        FakeSalt { secret: Zeroizing::new(secret), iterations: clamp_iterations(iterations) }
    }

    /// Like [`FakeSalt::new`] with [`ITERATIONS_DEFAULT`].
    pub fn with_default_iterations(secret: [u8; 32]) -> Self {
        Self::new(secret, ITERATIONS_DEFAULT)
    }

    /// How hard new passwords are to guess.
    pub fn iterations(&self) -> u32 {
        self.iterations
    }

    /// A number that nobody can foresee and that is always the same for the same name.
    pub fn draw(&self, account: &str) -> u64 {
        let lot = Hash::Sha256.hmac(self.secret.as_slice(), &[b"hashes\0", account.as_bytes()]);
        u64::from_be_bytes(lot.as_slice().first_chunk().copied().unwrap_or_default())
    }

    /// Keys nobody has a password for. `account` is the normalised bare JID, so that spelling differences fall together
    /// as they do for real accounts.
    pub(super) fn keys(&self, hash: Hash, account: &str) -> Keys {
        let of = |purpose: &str, with: Hash| -> Octets {
            let parts: [&[u8]; 5] = [purpose.as_bytes(), b"\0", hash.name().as_bytes(), b"\0", account.as_bytes()];
            with.hmac(self.secret.as_slice(), &parts)
        };
        let salt = of("salt", Hash::Sha256);
        Keys {
            iterations: self.iterations,
            salt: salt.as_slice().iter().copied().take(SALT_SIZE_BYTES).collect(),
            stored: of("stored", hash),
            server: of("server", hash),
        }
    }
}

impl std::fmt::Debug for FakeSalt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FakeSalt({} iterations)", self.iterations)
    }
}
