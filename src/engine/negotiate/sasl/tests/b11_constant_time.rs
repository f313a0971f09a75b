//! B11: how long a refusal takes says nothing about where a guess is wrong.

use std::time::Instant;

use super::*;
use crate::testing::constant_time::alike;

/// Of each kind.
const SAMPLES: usize = 10_000;

/// An honest last message with one letter of an attribute's value replaced by another.
fn wrong_at(honest: &str, attribute: &str, last: bool) -> String {
    let from = honest.find(attribute).unwrap() + attribute.len();
    let to = honest[from..].find(',').map_or(honest.len(), |end| from + end);
    // The last base64 group of a proof may end in padding: stay inside it.
    let at = if last { to - 5 } else { from };
    let other = if honest.as_bytes()[at] == b'B' { "C" } else { "B" };
    format!("{}{other}{}", &honest[..at], &honest[at + 1..])
}

#[test]
fn b11_a_wrong_proof_or_nonce_is_refused_as_slowly_wherever_it_is_wrong() {
    let client = Client::new(Hash::Sha256);
    let begin = || challenged(found(start(Mechanism::ScramSha256, &everything(), &client.first())));
    let honest = client.last(&begin().0);
    for attribute in ["p=", "r="] {
        let bent = [wrong_at(&honest, attribute, false), wrong_at(&honest, attribute, true)];
        alike(attribute, SAMPLES, |which| {
            let (_, exchange) = begin();
            let begun = Instant::now();
            let step = exchange.respond(bent[which].as_bytes());
            let took = begun.elapsed().as_nanos();
            assert_eq!(refused(step), SaslError::NotAuthorized);
            took
        });
    }
}
