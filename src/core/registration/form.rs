//! What is filled in in a `<query xmlns='jabber:iq:register'/>`: its own fields, or a form (XEP-0077 4 and 6: the form counts).

use super::names;
use crate::ns;
use crate::xml::el::El;

/// Not `Debug`: a password has no place in a log.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Filled {
    pub username: Option<String>,
    /// XEP-0077 3.1, 3.3: an empty password is none.
    pub password: Option<String>,
    pub remove: bool,
    /// Children of the query, the form's fields not counted.
    pub children: usize,
}

impl Filled {
    pub fn of(query: &El<'_>) -> Filled {
        let register = query.ns();
        let text = |name: &str| query.child(register, name).map(|child| child.text().into_owned());
        let form = query.child(ns::DATA_FORMS, "x").filter(|x| x.attr("type").as_deref() == Some("submit"));
        let field = |name: &str| match &form {
            Some(form) => {
                let mut fields = form.children().filter(|child| child.is(ns::DATA_FORMS, "field"));
                let field = fields.find(|field| field.attr("var").as_deref() == Some(name))?;
                Some(field.child(ns::DATA_FORMS, "value")?.text().into_owned())
            }
            None => text(name),
        };
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        Filled {
            username: given(field("username")),
            password: given(field("password")),
            remove: query.child(register, "remove").is_some(),
            children: query.children().count(),
        }
    }

    /// Whoever names an account means this one (in any spelling that gives the same address; some write the whole of it).
    pub fn is_of(&self, local: &str, domain: &str) -> bool {
        let Some(named) = &self.username else { return true };
        let bare = named.strip_suffix(domain).and_then(|rest| rest.strip_suffix('@')).unwrap_or(named);
        bare == local || names::address(bare, domain).is_ok_and(|jid| jid.node().is_some_and(|node| node.as_str() == local))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(inside: &str) -> Filled {
        let xml = format!("<query xmlns='jabber:iq:register'>{inside}</query>");
        Filled::of(&El::parse(xml.as_bytes()).expect("an element"))
    }

    #[test]
    fn fields_are_read_as_they_are() {
        let filled = of("<username>bill</username><password> Cal&amp;liope </password>");
        assert_eq!((filled.username.as_deref(), filled.password.as_deref()), (Some("bill"), Some(" Cal&liope ")));
        assert!(!filled.remove && filled.children == 2);
        assert!(of("<username/><password></password>") == Filled { children: 2, ..Filled::default() });
        assert!(of("<remove/>").remove);
    }

    #[test]
    fn s6_a_form_counts_more_than_the_fields() {
        let form = "<username>bill</username><x xmlns='jabber:x:data' type='submit'><field var='username'><value>juliet</value></field>\
                    <field var='password'><value>R0m30</value></field></x>";
        let filled = of(form);
        assert_eq!((filled.username.as_deref(), filled.password.as_deref()), (Some("juliet"), Some("R0m30")));
    }

    #[test]
    fn s3_3_ones_own_name_has_many_spellings() {
        for name in ["juliet", "Juliet", "juliet@house"] {
            assert!(of(&format!("<username>{name}</username>")).is_of("juliet", "house"), "{name}");
        }
        assert!(of("").is_of("juliet", "house"));
        assert!(!of("<username>romeo</username>").is_of("juliet", "house"));
    }
}
