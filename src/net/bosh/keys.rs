//! Key sequencing (XEP-0124 15): who sees the requests of a session cannot make its next one. Each request shows a text whose
//! SHA-1 the one before it has shown.

use std::collections::VecDeque;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use iris_core::hex;

use super::body::Body;

/// Of a session that has begun without a sequence it stays empty, and nothing is asked for: the mechanism is the client's to use.
#[derive(Default)]
pub(super) struct Keys {
    /// The hash of the key of the next request, in lower case.
    expected: Option<String>,
    /// The keys of the last requests, for who asks again.
    shown: VecDeque<(u64, String)>,
}

impl Keys {
    /// The next request in order. False: it is not the client's.
    pub fn take(&mut self, body: &Body, hold: usize) -> bool {
        match &self.expected {
            // 15.3: only the first request begins without one.
            None if body.sid.is_some() => return true,
            None => {}
            Some(expected) => {
                let Some(key) = body.key.as_deref().filter(|key| *expected == hash(key)) else { return false };
                self.shown.push_back((body.rid, key.to_owned()));
                // As many as answers are kept: one more than are held, and those that wait.
                while self.shown.len() > 2 * (hold + 1) {
                    self.shown.pop_front();
                }
            }
        }
        // 15.5: a new sequence follows the last key of the old one, whichever that is.
        self.expected =
            body.new_key.as_ref().or(body.key.as_ref().filter(|_| self.expected.is_some())).map(|it| it.to_lowercase());
        true
    }

    /// Is this the key that the request showed the first time?
    pub fn was(&self, rid: u64, key: Option<&str>) -> bool {
        match self.shown.iter().find(|(of, _)| *of == rid) {
            Some((_, shown)) => key.is_some_and(|key| key.eq_ignore_ascii_case(shown)),
            None => true,
        }
    }
}

/// 15.2: hexadecimal, of the text of the key as it was sent.
fn hash(key: &str) -> String {
    hex::write(digest(&SHA1_FOR_LEGACY_USE_ONLY, key.as_bytes()).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys of the text's own examples.
    #[test]
    fn s15_the_example_of_the_text() {
        let request = |rid: u64, key: Option<&str>, new_key: Option<&str>| Body {
            rid,
            sid: key.map(|_| "SomeSID".to_owned()),
            key: key.map(str::to_owned),
            new_key: new_key.map(str::to_owned),
            ..Body::default()
        };
        let mut keys = Keys::default();
        for (rid, key, new_key) in [
            (1_573_741_820, None, Some("ca393b51b682f61f98e7877d61146407f3d0a770")),
            (1_573_741_821, Some("bfb06a6f113cd6fd3838ab9d300fdb4fe3da2f7d"), None),
            (1_573_741_822, Some("6f825e81f4532b2c5fa2d12457d8a1f22e8f838e"), Some("113f58a37245ec9637266cf2fb6e48bfeaf7964e")),
        ] {
            assert!(keys.take(&request(rid, key, new_key), 1), "{rid}");
        }
        assert_eq!(keys.expected.as_deref(), Some("113f58a37245ec9637266cf2fb6e48bfeaf7964e"));
        assert!(!keys.take(&request(1_573_741_823, Some("6f825e81f4532b2c5fa2d12457d8a1f22e8f838e"), None), 1));
    }
}
