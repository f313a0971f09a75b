//! The house's secret: what is made of it can be made again after a restart, and by nobody else.

use zeroize::Zeroizing;

use super::sasl::Hash;

/// 32 bytes that live as long as the data.
#[derive(Clone)]
pub struct HouseSecret(Zeroizing<[u8; 32]>);

impl HouseSecret {
    pub fn new(secret: [u8; 32]) -> HouseSecret {
        HouseSecret(Zeroizing::new(secret))
    }

    /// A value of its own for each purpose and each list of parts.
    pub(super) fn derive(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
        let mut framed: Vec<&[u8]> = vec![purpose.as_bytes()];
        let lengths: Vec<[u8; 8]> = parts.iter().map(|part| (part.len() as u64).to_be_bytes()).collect();
        for (part, length) in parts.iter().zip(&lengths) {
            framed.extend([length.as_slice(), part]);
        }
        let mac = Hash::Sha256.hmac(self.0.as_slice(), &framed);
        let mut out = [0; 32];
        out.iter_mut().zip(mac.as_slice()).for_each(|(to, from)| *to = *from);
        out
    }
}

impl std::fmt::Debug for HouseSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HouseSecret")
    }
}
