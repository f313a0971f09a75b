//! A form that was filled in.

use std::collections::BTreeSet;

use jid::{BareJid, Jid};

use super::{FIELDS_MAX, Field, FieldKind, Form, Problem, VALUES_PER_FIELD_MAX};
use crate::limit::{self, Changed};
use crate::ns;
use crate::time;
use crate::xml::El;

/// The answers to a form, each of the kind that was asked for. Of fields that were not asked for nothing is left.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Submitted {
    fields: Vec<(String, Vec<String>)>,
}

impl Submitted {
    /// Was the field given at all? An empty one is: "the values of the omitted fields SHOULD keep their current value" (3.5).
    pub fn has(&self, var: &str) -> bool {
        self.fields.iter().any(|(name, _)| name == var)
    }

    /// Its values; none for a field that is empty or missing.
    pub fn values(&self, var: &str) -> &[String] {
        self.fields.iter().find(|(name, _)| name == var).map_or(&[], |(_, values)| values)
    }

    /// `None` when it is empty or missing.
    pub fn text(&self, var: &str) -> Option<&str> {
        self.values(var).first().map(String::as_str)
    }

    /// The lines of a `text-multi` as one text.
    pub fn lines(&self, var: &str) -> String {
        self.values(var).join("\n")
    }

    pub fn boolean(&self, var: &str) -> Option<bool> {
        self.text(var).map(|value| value == "1")
    }

    pub fn jids(&self, var: &str) -> Vec<Jid> {
        self.values(var).iter().filter_map(|value| Jid::new(value).ok()).collect()
    }

    pub fn jid(&self, var: &str) -> Option<Jid> {
        Jid::new(self.text(var)?).ok()
    }

    /// The bare part of each.
    pub fn bare_jids(&self, var: &str) -> Vec<BareJid> {
        let mut jids: Vec<BareJid> = self.jids(var).iter().map(Jid::to_bare).collect();
        jids.sort_unstable();
        jids.dedup();
        jids
    }
}

pub(super) fn check(form: &Form, x: &El<'_>) -> Result<Submitted, Problem> {
    if !x.is(ns::DATA_FORMS, "x") {
        return Err(Problem("that is no data form".into()));
    }
    match x.attr("type").as_deref() {
        // XEP-0050 3.5.1: "Responders SHOULD consider any <x type='cancel'/> to be <x type='submit'/>."
        Some("submit" | "cancel") => {}
        _ => return Err(Problem("a form that is filled in has the type \"submit\"".into())),
    }
    let mut given: Vec<(String, Vec<String>)> = Vec::new();
    for field in x.children().filter(|child| child.is(ns::DATA_FORMS, "field")) {
        if given.len() >= FIELDS_MAX {
            let what = format!("a form has at most {FIELDS_MAX} fields");
            return Err(Problem(limit::text(what, Changed::ByNobody("leave out what was not asked for"))));
        }
        let Some(var) = field.attr("var").filter(|var| !var.is_empty()) else {
            if field.attr("type").as_deref() == Some("fixed") {
                continue;
            }
            return Err(Problem("a field has no \"var\"".into()));
        };
        if given.iter().any(|(name, _)| *name == *var) {
            return Err(Problem::of_field(&var, "given twice"));
        }
        let values = field.children().filter(|child| child.is(ns::DATA_FORMS, "value"));
        let values: Vec<String> = values.take(VALUES_PER_FIELD_MAX + 1).map(|value| value.text().into_owned()).collect();
        if values.len() > VALUES_PER_FIELD_MAX {
            let what = format!("{var}: at most {VALUES_PER_FIELD_MAX} values");
            return Err(Problem(limit::text(what, Changed::ByNobody("submit it several times"))));
        }
        given.push((var.into_owned(), values));
    }
    let mut submitted = Submitted::default();
    for field in &form.fields {
        let found = given.iter_mut().find(|(name, _)| *name == field.var).map(|(_, values)| std::mem::take(values));
        let Some(values) = found else {
            // XEP-0068 2.2: without a FORM_TYPE it is still the answer to what we asked.
            if field.required {
                return Err(Problem::of_field(&field.var, "is required"));
            }
            continue;
        };
        let values = check_field(field, values)?;
        submitted.fields.push((field.var.clone(), values));
    }
    Ok(submitted)
}

fn check_field(field: &Field, values: Vec<String>) -> Result<Vec<String>, Problem> {
    let wrong = |what: &str| Err(Problem::of_field(&field.var, what));
    if !field.kind.is_multi() && values.len() > 1 {
        return wrong("has more than one value");
    }
    let mut values = values;
    if field.kind == FieldKind::TextMulti {
        // One line a value; whoever sends several in one means several.
        values = values.iter().flat_map(|value| value.split('\n')).map(|line| line.trim_end_matches('\r').to_owned()).collect();
        while values.last().is_some_and(String::is_empty) {
            values.pop();
        }
    } else {
        // An empty value says that there is none (3.6).
        values.retain(|value| !value.is_empty());
    }
    if field.required && values.is_empty() {
        return wrong("is required");
    }
    match field.kind {
        FieldKind::Hidden if field.var == "FORM_TYPE" => {
            if !values.is_empty() && values != field.values {
                return wrong(&format!("is not {}", field.values.join(" ")));
            }
        }
        FieldKind::Boolean => {
            for value in &mut values {
                let normal = match value.as_str() {
                    "1" | "true" => "1",
                    "0" | "false" => "0",
                    _ => return wrong("is neither true nor false"),
                };
                normal.clone_into(value);
            }
        }
        FieldKind::JidSingle | FieldKind::JidMulti => {
            // 3.3: "duplicate JIDs MUST be ignored".
            let mut seen = BTreeSet::new();
            let mut jids = Vec::with_capacity(values.len());
            for value in values {
                match Jid::new(value.trim()) {
                    Ok(jid) => {
                        if seen.insert(jid.clone()) {
                            jids.push(jid.as_str().to_owned());
                        }
                    }
                    Err(_) => return wrong(&format!("{value:?} is no Jabber ID")),
                }
            }
            values = jids;
        }
        FieldKind::ListSingle | FieldKind::ListMulti if field.open => {}
        FieldKind::ListSingle | FieldKind::ListMulti => {
            let offered = |value: &String| field.options.iter().any(|(_, option)| option == value);
            if let Some(other) = values.iter().find(|value| !offered(value)) {
                return wrong(&format!("{other:?} is not one of the options"));
            }
        }
        FieldKind::TextSingle if field.day => {
            for value in &mut values {
                *value = value.trim().to_owned();
                if time::parse_day(value).is_none() {
                    return wrong(&format!("{value:?} is no day; write it like 2026-11-26"));
                }
            }
        }
        FieldKind::Fixed | FieldKind::Hidden | FieldKind::TextMulti | FieldKind::TextPrivate | FieldKind::TextSingle => {}
    }
    Ok(values)
}
