//! Section 5.1: what is hashed, and section 5.4: whether an answer may be hashed at all.

use std::borrow::Cow;

use iris_core::ns;
use iris_core::xml::El;

use crate::xep0030_disco::INFO;

#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub struct Named<'a> {
    pub category: &'a str,
    pub kind: &'a str,
    pub lang: &'a str,
    pub name: &'a str,
}

/// The name of a field and its values.
type Field = (String, Vec<String>);

/// Section 5.1: the verification string.
pub fn text(mut identities: Vec<Named<'_>>, mut features: Vec<&str>, forms: &[El<'_>]) -> String {
    let mut text = String::new();
    identities.sort();
    for it in &identities {
        text.push_str(&format!("{}/{}/{}/{}<", it.category, it.kind, it.lang, it.name));
    }
    features.sort_unstable();
    features.dedup();
    for feature in features {
        text.push_str(feature);
        text.push('<');
    }
    let mut described: Vec<(String, Vec<Field>)> = forms.iter().filter_map(fields).collect();
    described.sort();
    for (form_type, fields) in described {
        text.push_str(&form_type);
        text.push('<');
        for (var, values) in fields {
            text.push_str(&var);
            text.push('<');
            for value in values {
                text.push_str(&value);
                text.push('<');
            }
        }
    }
    text
}

/// A form's FORM_TYPE and its other fields, sorted. `None`: without a FORM_TYPE it does not count (section 5.4).
fn fields(form: &El<'_>) -> Option<(String, Vec<Field>)> {
    let mut form_type = None;
    let mut fields = Vec::new();
    for field in form.children().filter(|field| field.local() == "field") {
        let Some(var) = field.attr("var").map(Cow::into_owned) else { continue };
        let mut values: Vec<String> =
            field.children().filter(|it| it.local() == "value").map(|it| it.text().into_owned()).collect();
        if var == "FORM_TYPE" {
            if field.attr("type").is_some_and(|kind| kind != "hidden") {
                return None;
            }
            form_type = values.into_iter().next();
            continue;
        }
        values.sort();
        fields.push((var, values));
    }
    fields.sort();
    Some((form_type?, fields))
}

/// The text of a disco#info answer. `None`: section 5.4 calls it ill-formed.
pub fn text_of(query: &El<'_>) -> Option<String> {
    let attr = |el: &El<'_>, name: &str| el.attr(name).unwrap_or_default().into_owned();
    let mut identities: Vec<[String; 4]> = Vec::new();
    let mut features: Vec<String> = Vec::new();
    let mut forms: Vec<El<'_>> = Vec::new();
    for child in query.children() {
        if child.is(INFO, "identity") {
            identities.push(["category", "type", "xml:lang", "name"].map(|name| attr(&child, name)));
        } else if child.is(INFO, "feature") {
            features.push(attr(&child, "var"));
        } else if child.is(ns::DATA_FORMS, "x") {
            forms.push(child);
        }
    }
    let twice = |mut all: Vec<String>| {
        all.sort_unstable();
        all.windows(2).any(|pair| pair[0] == pair[1])
    };
    let types: Vec<String> = forms.iter().filter_map(fields).map(|(form_type, _)| form_type).collect();
    if twice(features.clone()) || twice(identities.iter().map(|it| it.join("/")).collect()) || twice(types) {
        return None;
    }
    let split = |form: &El<'_>| {
        let types = form.children().filter(|it| it.attr("var").as_deref() == Some("FORM_TYPE"));
        let mut values: Vec<String> = types.flat_map(|it| it.children()).map(|it| it.text().into_owned()).collect();
        values.dedup();
        values.len() > 1
    };
    if forms.iter().any(split) {
        return None;
    }
    // What is inside one part must not look like two: a `<` begins nothing in honest names (the known weakness of section 8.3).
    if features.iter().chain(identities.iter().flatten()).any(|part| part.contains('<')) {
        return None;
    }
    let named = identities.iter().map(|[category, kind, lang, name]| Named { category, kind, lang, name });
    Some(text(named.collect(), features.iter().map(String::as_str).collect(), &forms))
}
