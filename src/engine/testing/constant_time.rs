//! How long two kinds of one thing take, and whether somebody could tell them apart by it (B11).

/// 4.5 is what a laboratory calls a leak; a shared machine gets some slack, an early exit would show as hundreds.
const T_MAX: f64 = 15.0;
/// What there really is shows each time; what the machine does beside shows once.
const TRIES: u32 = 3;

/// Welch's t of two kinds of a call, each so often. `nanos`: makes one of the kind 0 or 1, and says how long the part took that counts.
/// The two alternate (0, 1, 1, 0), so that whatever else the machine does falls on both alike.
pub fn difference(samples: usize, nanos: &mut dyn FnMut(usize) -> u128) -> f64 {
    let mut took = [Vec::with_capacity(samples), Vec::with_capacity(samples)];
    for round in 0..samples * 2 {
        let which = (round ^ round >> 1) & 1;
        took[which].push(nanos(which) as f64);
    }
    let [a, b] = &mut took;
    welch_t(a, b)
}

/// Two kinds of a call take the same time, as far as can be told from the outside.
///
/// # Panics
/// They do not.
#[track_caller]
pub fn alike(what: &str, samples: usize, mut nanos: impl FnMut(usize) -> u128) {
    let mut least = f64::INFINITY;
    for _ in 0..TRIES {
        let t = difference(samples, &mut nanos);
        least = if t.abs() < least.abs() { t } else { least };
        if least.abs() < T_MAX {
            return;
        }
    }
    panic!("{what}: t = {least}");
}

/// Of two series of nanoseconds, each without its slowest tenth (interrupts, other tests).
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

/// The same with the letter at this place replaced by another one of every alphabet that is used for secrets.
#[must_use]
pub fn bent(text: &str, at: usize) -> String {
    let mut bytes = text.as_bytes().to_vec();
    bytes[at] = if bytes[at] == b'b' { b'c' } else { b'b' };
    String::from_utf8(bytes).expect("a letter took the place of a letter")
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn b11_the_measure_sees_an_early_exit() {
        // As long as what is compared with it: 64 letters, and a comparison that ends at the first wrong one.
        let secret = "a".repeat(64);
        let early =
            |guess: &str| secret.bytes().zip(guess.bytes()).all(|(a, b)| std::hint::black_box(a) == std::hint::black_box(b));
        let guesses = [bent(&secret, 0), bent(&secret, 63)];
        let t = difference(2_000, &mut |which| {
            let begun = Instant::now();
            assert!(!std::hint::black_box(early(&guesses[which])));
            begun.elapsed().as_nanos()
        });
        assert!(t.abs() > T_MAX, "t = {t}");
    }
}
