// What must hold of every submission, however it was made: used by the replayed corpus and by the fuzz target.

use crate::form::{Field, Form};
use crate::xml::names::NameTable;
use crate::xml::scan::{Scanned, Scanner, XmlLimits};
use crate::xml::{El, Stanza};

fn form() -> Form {
    Form::new("A", "B")
        .of_type("urn:example")
        .field(Field::jid("jid", "").required())
        .field(Field::jids("jids", ""))
        .field(Field::secret("secret", ""))
        .field(Field::boolean("boolean", "", true))
        .field(Field::choice("choice", "", [("a", "1"), ("b", "2")]))
        .field(Field::choices("many", "", Vec::new()))
        .field(Field::lines("lines", ""))
        .field(Field::text("text", ""))
}

/// `bytes` stand where a client's form stands: inside a stanza that the scanner has passed.
pub fn check(bytes: &[u8]) {
    let mut document = b"<iq type='set' id='1'><command xmlns='http://jabber.org/protocol/commands'>".to_vec();
    document.extend_from_slice(bytes);
    document.extend_from_slice(b"</command></iq>");
    let mut scanner = Scanner::for_fragments(XmlLimits::OWN, std::sync::Arc::new(NameTable::new()));
    let Ok(Scanned::Stanza { stanza, .. }) = scanner.scan(&document) else { return };
    look_at(&stanza);
}

fn look_at(stanza: &Stanza) {
    let form = form();
    for child in stanza.children() {
        for x in stanza.child_el(child).children() {
            let Ok(answers) = form.check(&x) else { continue };
            // What was accepted is of its kind, and is accepted again when it is said again.
            assert!(answers.jid("jid").is_some());
            assert_eq!(answers.jids("jids").len(), answers.values("jids").len());
            assert!(answers.values("boolean").iter().all(|value| value == "0" || value == "1"));
            assert!(answers.values("choice").iter().all(|value| value == "1" || value == "2"));
            assert!(answers.values("lines").iter().all(|line| !line.contains('\n')));
            for var in ["secret", "boolean", "choice", "text", "jid"] {
                assert!(answers.values(var).len() <= 1, "{var}");
            }
            let mut again = Form::default();
            for var in ["jid", "jids", "secret", "boolean", "choice", "many", "lines", "text"] {
                if answers.has(var) {
                    again = again.field(Field::text(var, "").values(answers.values(var).iter().cloned()));
                }
            }
            let said = again.to_tell().replace("type='result'", "type='submit'");
            let el = El::parse(said.as_bytes()).expect("what we write is XML");
            let same = form.check(&el).unwrap_or_else(|problem| panic!("{problem}: {said}"));
            for var in ["jid", "jids", "secret", "boolean", "choice", "many", "lines", "text"] {
                assert_eq!((same.has(var), same.values(var)), (answers.has(var), answers.values(var)), "{var}: {said}");
            }
        }
    }
}
