//! B11: how long a refusal takes says nothing about where a guess is wrong.

use std::time::Instant;

use super::*;

/// Samples of each kind; those of two kinds alternate, so that whatever else the machine does falls on both alike.
const SAMPLES: usize = 10_000;

/// Welch's t of two series of nanoseconds, each without its slowest tenth (interrupts, other tests).
fn welch_t(a: &mut [f64], b: &mut [f64]) -> f64 {
    let describe = |series: &mut [f64]| {
        series.sort_unstable_by(f64::total_cmp);
        let kept = &series[..series.len() * 9 / 10];
        let n = kept.len() as f64;
        let mean = kept.iter().sum::<f64>() / n;
        let variance = kept.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
        (mean, variance / n)
    };
    let ((mean_a, error_a), (mean_b, error_b)) = (describe(a), describe(b));
    (mean_a - mean_b) / (error_a + error_b).sqrt().max(f64::EPSILON)
}

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
        let mut took = [Vec::with_capacity(SAMPLES), Vec::with_capacity(SAMPLES)];
        for round in 0..SAMPLES * 2 {
            let which = round % 2;
            let (_, exchange) = begin();
            let begun = Instant::now();
            let step = exchange.respond(bent[which].as_bytes());
            took[which].push(begun.elapsed().as_nanos() as f64);
            assert_eq!(refused(step), SaslError::NotAuthorized);
        }
        let [first, last] = &mut took;
        let t = welch_t(first, last);
        // 4.5 is what a laboratory calls a leak; a shared machine gets some slack, an early exit would show as hundreds.
        assert!(t.abs() < 15.0, "{attribute} t = {t}");
    }
}

#[test]
fn b11_the_measure_sees_an_early_exit() {
    let secret = vec![7u8; 4_096];
    let early = |guess: &[u8]| secret.iter().zip(guess).all(|(a, b)| std::hint::black_box(a) == std::hint::black_box(b));
    let (mut at_once, mut in_the_end) = (vec![8u8; 4_096], secret.clone());
    at_once[0] = 1;
    in_the_end[4_095] = 1;
    let mut took = [Vec::new(), Vec::new()];
    for round in 0..2_000 {
        let guess = if round % 2 == 0 { &at_once } else { &in_the_end };
        let begun = Instant::now();
        assert!(!std::hint::black_box(early(guess)));
        took[round % 2].push(begun.elapsed().as_nanos() as f64);
    }
    let [first, last] = &mut took;
    assert!(welch_t(first, last).abs() > 15.0);
}
