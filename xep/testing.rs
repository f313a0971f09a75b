//! What several plays need.

use iris_core::Stanza;

/// A stanza with nothing in it that differs from one question to the next: to compare what strangers and nobody are told.
pub fn anonymous(stanza: &Stanza) -> String {
    let mut text = stanza.as_str().to_owned();
    for attribute in ["from", "to", "id"] {
        if let Some(value) = stanza.attr(attribute) {
            text = text.replace(&format!("{attribute}='{value}'"), &format!("{attribute}=''"));
        }
    }
    text
}
