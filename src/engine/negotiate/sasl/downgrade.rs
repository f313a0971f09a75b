//! Protection from downgrades by somebody who rewrites our stream features: XEP-0474 0.5.0 (attribute `h`) and XEP-0515
//! 0.1.0 (attribute `t`). Both are optional attributes of SCRAM's server-first message and so covered by the proof.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::hash::Hash;
use super::offered::Offered;

/// The attributes to append to the server-first message, each with its leading comma; empty when switched off.
pub(super) fn attributes(hash: Hash, offered: &Offered) -> String {
    if !offered.protects_from_downgrade() {
        return String::new();
    }
    let digest = hash.digest(&hashed_string(offered));
    let mut attributes = format!(",h={}", STANDARD.encode(digest.as_slice()));
    // XEP-0515 says nothing of a connection without TLS, so nothing is claimed there.
    if let Some(tls) = offered.tls() {
        attributes.push_str(",t=");
        attributes.push_str(tls.hex());
    }
    attributes
}

/// XEP-0474 "Server Sends Downgrade Protection Hash": both lists sorted by octets (RFC 4790 section 9.3), entries joined
/// by U+001E; U+001F and the second list only if XEP-0440 was used.
fn hashed_string(offered: &Offered) -> Vec<u8> {
    let mut mechanisms: Vec<&str> = offered.mechanism_names().collect();
    mechanisms.sort_unstable();
    let mut bindings: Vec<&str> = offered.binding_types().collect();
    bindings.sort_unstable();
    let mut string = mechanisms.join("\u{1e}");
    if !bindings.is_empty() {
        string.push('\u{1f}');
        string.push_str(&bindings.join("\u{1e}"));
    }
    string.into_bytes()
}
