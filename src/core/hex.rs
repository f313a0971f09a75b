//! Bytes as hexadecimal digits (RFC 4648 8, lower case), the way ids and hashes are written.

use data_encoding::HEXLOWER;

pub fn write(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

/// Exactly that many bytes in lower case: one value, one text.
pub fn read<const BYTES: usize>(text: &str) -> Option<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    let fits = text.len() == 2 * BYTES && HEXLOWER.decode_mut(text.as_bytes(), &mut bytes).is_ok();
    fits.then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_has_one_text() {
        assert_eq!(write(&[0x00, 0xa0, 0xff]), "00a0ff");
        assert_eq!(read("00a0ff"), Some([0x00, 0xa0, 0xff]));
        for other in ["00A0FF", "00a0f", "00a0ff0", "00a0fg", "00a0ff00", ""] {
            assert_eq!(read::<3>(other), None, "{other}");
        }
    }
}
