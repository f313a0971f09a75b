//! SCRAM keys as text, so that accounts travel without their passwords: the form of RFC 5803,
//! `SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY` with base64; one for each hash function, blanks between them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use iris_engine::negotiate::sasl::{Hash, ScramRecord};

pub(crate) fn format(records: &[ScramRecord]) -> String {
    let one = |record: &ScramRecord| {
        let (salt, stored) = (STANDARD.encode(&record.salt), STANDARD.encode(&record.stored_key));
        let server = STANDARD.encode(&record.server_key);
        format!("SCRAM-{}${}:{salt}${stored}:{server}", record.hash.name(), record.iterations)
    };
    records.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// # Errors
/// What is wrong with it, without showing it.
pub(crate) fn parse(text: &str) -> Result<Vec<ScramRecord>, String> {
    text.split_ascii_whitespace().map(one).collect()
}

fn one(text: &str) -> Result<ScramRecord, String> {
    let shape = || "not of the form SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY (RFC 5803)".to_owned();
    let mut parts = text.split('$');
    let (Some(mechanism), Some(parameters), Some(keys), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(shape());
    };
    let (iterations, salt) = parameters.split_once(':').ok_or_else(shape)?;
    let (stored, server) = keys.split_once(':').ok_or_else(shape)?;
    let iterations = iterations.parse().map_err(|_| "the iterations are not a number".to_owned())?;
    let decoded = |what: &str, text: &str| STANDARD.decode(text).map_err(|_| format!("the {what} is not base64"));
    Ok(ScramRecord {
        hash: hash(mechanism)?,
        iterations,
        salt: decoded("salt", salt)?,
        stored_key: decoded("StoredKey", stored)?,
        server_key: decoded("ServerKey", server)?,
    })
}

/// The hash function of a mechanism's name.
///
/// # Errors
/// Iris does not know it.
pub(crate) fn hash(mechanism: &str) -> Result<Hash, String> {
    let found = Hash::ALL.into_iter().find(|hash| mechanism.strip_prefix("SCRAM-") == Some(hash.name()));
    found.ok_or_else(|| format!("mechanism {mechanism:?} is none of SCRAM-SHA-1, SCRAM-SHA-256, SCRAM-SHA-512"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_written_and_read_as_rfc_5803_has_them() {
        // The example of RFC 5803 section 4.
        let example = "SCRAM-SHA-1$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:\
                       wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
        let [record] = &parse(example).expect("the example")[..] else { panic!("one record") };
        assert_eq!((record.hash, record.iterations, record.salt.len()), (Hash::Sha1, 4096, 16));
        assert_eq!(format(std::slice::from_ref(record)), example);
        let two = format(&[record.clone(), ScramRecord { hash: Hash::Sha256, ..record.clone() }]);
        assert_eq!(parse(&two).map(|records| records.len()), Ok(2));
        for (bad, why) in [
            ("x", "form"),
            ("SCRAM-MD5$1:eA==$eA==:eA==", "mechanism"),
            ("SCRAM-SHA-1$many:eA==$eA==:eA==", "number"),
            ("SCRAM-SHA-1$1:%$eA==:eA==", "salt"),
            ("SCRAM-SHA-1$1:eA==$%:eA==", "StoredKey"),
        ] {
            let said = parse(bad).map(drop).expect_err(bad);
            assert!(said.contains(why), "{said}");
        }
    }
}
