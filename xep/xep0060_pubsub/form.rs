//! XEP-0004 forms as far as pubsub needs them: what was filled in, and what is offered.

use iris_core::xml::{Build, El};
use iris_core::{Bounce, Changed, Condition, ns};

/// More fields than any form of ours has.
const FIELDS_MAX: usize = 100;

/// A form that somebody has filled in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filled {
    pub cancelled: bool,
    /// Empty: without FORM_TYPE.
    pub form_type: String,
    /// In the order of the form, without FORM_TYPE: the name of a field, and its values.
    pub fields: Vec<(String, Vec<String>)>,
}

impl Filled {
    pub fn parse(form: &El<'_>) -> Result<Filled, Bounce> {
        match form.attr("type").as_deref() {
            // Some clients forget it.
            Some("submit") | None => Filled::told(form),
            Some("cancel") => Ok(Filled { cancelled: true, ..Filled::told(form)? }),
            Some(_) => Err(Bounce::bad_request("the form is not submitted")),
        }
    }

    /// What a form says, whatever it is for.
    pub fn told(form: &El<'_>) -> Result<Filled, Bounce> {
        let mut filled = Filled::default();
        for field in form.children().filter(|child| child.is(ns::DATA_FORMS, "field")) {
            let Some(var) = field.attr("var") else { continue };
            let values = field.children().filter(|child| child.is(ns::DATA_FORMS, "value"));
            let mut values: Vec<String> = values.map(|value| value.text().into_owned()).collect();
            if &*var == "FORM_TYPE" {
                filled.form_type = values.pop().unwrap_or_default();
                continue;
            }
            if filled.fields.len() >= FIELDS_MAX {
                let what = format!("a form has at most {FIELDS_MAX} fields");
                let help = Changed::ByNobody("leave out what stays as it is");
                return Err(Bounce::new(Condition::BadRequest).limit(what, help));
            }
            filled.fields.push((var.into_owned(), values));
        }
        Ok(filled)
    }

    /// The first form inside an element, of the type wanted.
    pub fn within(parent: &El<'_>, form_type: &str) -> Result<Option<Filled>, Bounce> {
        let Some(form) = parent.child(ns::DATA_FORMS, "x") else { return Ok(None) };
        let filled = Filled::parse(&form)?;
        if filled.form_type != form_type && !(filled.form_type.is_empty() && filled.fields.is_empty()) {
            return Err(Bounce::bad_request("that is another form"));
        }
        Ok(Some(filled))
    }

    pub fn value(&self, var: &str) -> Option<&str> {
        let (_, values) = self.fields.iter().find(|(name, _)| name == var)?;
        values.first().map(String::as_str)
    }
}

/// Begins `<x xmlns='jabber:x:data'/>` with its FORM_TYPE; the caller closes it.
pub fn open(xml: &mut Build, kind: &str, form_type: &str) {
    xml.open_ns("x", ns::DATA_FORMS).attr("type", kind);
    xml.open("field").attr("var", "FORM_TYPE").attr("type", "hidden").leaf("value", form_type).close();
}

pub fn field(xml: &mut Build, var: &str, kind: Option<&str>, label: Option<&str>, options: &[&str], values: &[String]) {
    xml.open("field").attr("var", var).attr_opt("type", kind).attr_opt("label", label);
    for option in options {
        xml.open("option").leaf("value", option).close();
    }
    for value in values {
        xml.leaf("value", value);
    }
    xml.close();
}

/// XEP-0004 3.3 with XML Schema: what a boolean may be.
pub fn boolean(value: &str) -> Option<bool> {
    match value {
        "1" | "true" => Some(true),
        "0" | "false" => Some(false),
        _ => None,
    }
}
