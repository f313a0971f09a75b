//! XEP-0004 data forms: what the server asks, what it is told, and whether that is an answer. `xep/xep0004_data_forms.rs` has the card.
//!
//! A form that the server shows ([`Form`]) is also the rule for what comes back: [`Form::check`] takes a submission apart, and
//! says in one sentence, with the field's name, what is wrong with it.

use std::fmt;

use crate::error::{Bounce, Condition};
use crate::ns;
use crate::xml::{Build, El};

mod submitted;
#[cfg(test)]
mod tests;

pub use submitted::Submitted;

/// Fields of one submission; whoever sends more has not been given such a form by us.
pub const FIELDS_MAX: usize = 256;
/// Values of one field.
pub const VALUES_PER_FIELD_MAX: usize = 10_000;

/// Section 3.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    Boolean,
    Fixed,
    Hidden,
    JidMulti,
    JidSingle,
    ListMulti,
    ListSingle,
    TextMulti,
    TextPrivate,
    TextSingle,
}

impl FieldKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            FieldKind::Boolean => "boolean",
            FieldKind::Fixed => "fixed",
            FieldKind::Hidden => "hidden",
            FieldKind::JidMulti => "jid-multi",
            FieldKind::JidSingle => "jid-single",
            FieldKind::ListMulti => "list-multi",
            FieldKind::ListSingle => "list-single",
            FieldKind::TextMulti => "text-multi",
            FieldKind::TextPrivate => "text-private",
            FieldKind::TextSingle => "text-single",
        }
    }

    /// Section 3.2: which fields may have more than one value.
    const fn is_multi(self) -> bool {
        matches!(self, FieldKind::JidMulti | FieldKind::ListMulti | FieldKind::TextMulti | FieldKind::Hidden)
    }
}

/// XEP-0221: a picture beside a field.
#[derive(Clone, Debug, PartialEq)]
struct Picture {
    url: String,
    mime: &'static str,
    /// Wide and high, as it is best shown.
    pixels: u16,
}

/// A field as the server shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    kind: FieldKind,
    var: String,
    label: Option<String>,
    desc: Option<String>,
    required: bool,
    values: Vec<String>,
    /// Label and value.
    options: Vec<(String, String)>,
    /// XEP-0122: a number from this one on.
    least: Option<i64>,
    /// XEP-0122: the options are not all there is.
    open: bool,
    /// XEP-0122: a day, `xs:date`.
    day: bool,
    picture: Option<Picture>,
}

impl Field {
    pub fn new(kind: FieldKind, var: &str, label: &str) -> Field {
        let label = (!label.is_empty()).then(|| label.to_owned());
        let (var, desc) = (var.to_owned(), None);
        Field {
            kind,
            var,
            label,
            desc,
            required: false,
            values: Vec::new(),
            options: Vec::new(),
            least: None,
            open: false,
            day: false,
            picture: None,
        }
    }

    pub fn text(var: &str, label: &str) -> Field {
        Field::new(FieldKind::TextSingle, var, label)
    }

    pub fn jid(var: &str, label: &str) -> Field {
        Field::new(FieldKind::JidSingle, var, label)
    }

    pub fn jids(var: &str, label: &str) -> Field {
        Field::new(FieldKind::JidMulti, var, label)
    }

    /// Several lines, one value each.
    pub fn lines(var: &str, label: &str) -> Field {
        Field::new(FieldKind::TextMulti, var, label)
    }

    pub fn secret(var: &str, label: &str) -> Field {
        Field::new(FieldKind::TextPrivate, var, label)
    }

    pub fn hidden(var: &str, value: &str) -> Field {
        Field::new(FieldKind::Hidden, var, "").value(value)
    }

    pub fn boolean(var: &str, label: &str, value: bool) -> Field {
        Field::new(FieldKind::Boolean, var, label).value(if value { "1" } else { "0" })
    }

    /// One of `options` (label and value).
    pub fn choice<L: Into<String>, V: Into<String>>(
        var: &str,
        label: &str,
        options: impl IntoIterator<Item = (L, V)>,
    ) -> Field {
        let options = options.into_iter().map(|(label, value)| (label.into(), value.into())).collect();
        Field { options, ..Field::new(FieldKind::ListSingle, var, label) }
    }

    /// Any of `options` (label and value).
    pub fn choices(var: &str, label: &str, options: Vec<(String, String)>) -> Field {
        Field { options, ..Field::new(FieldKind::ListMulti, var, label) }
    }

    /// XEP-0122: a number that is not less than this.
    pub fn integer_from(self, least: i64) -> Field {
        Field { least: Some(least), ..self }
    }

    /// XEP-0122: a day as XEP-0082 writes it, `2026-11-26`.
    pub fn day(var: &str, label: &str) -> Field {
        Field { day: true, ..Field::text(var, label) }
    }

    /// XEP-0122 3.2.2 `<open/>`: the options are suggestions.
    pub fn open(self) -> Field {
        Field { open: true, ..self }
    }

    /// XEP-0221: a square picture that shows what is in the field, to be fetched at `url`.
    pub fn picture(self, url: impl Into<String>, mime: &'static str, pixels: u16) -> Field {
        Field { picture: Some(Picture { url: url.into(), mime, pixels }), ..self }
    }

    /// Text between fields.
    pub fn fixed(text: &str) -> Field {
        Field::new(FieldKind::Fixed, "", "").value(text)
    }

    pub fn required(self) -> Field {
        Field { required: true, ..self }
    }

    pub fn desc(self, desc: &str) -> Field {
        Field { desc: Some(desc.to_owned()), ..self }
    }

    pub fn value(mut self, value: impl Into<String>) -> Field {
        self.values.push(value.into());
        self
    }

    pub fn values<S: Into<String>>(mut self, values: impl IntoIterator<Item = S>) -> Field {
        self.values.extend(values.into_iter().map(Into::into));
        self
    }

    /// One value a line.
    pub fn lines_of(self, text: &str) -> Field {
        self.values(text.lines())
    }

    /// `asks`: in a form of type "result" nothing is asked any more. Its types could be left out (XEP-0004 3.2); some clients show no
    /// value without.
    fn write(&self, xml: &mut Build, asks: bool) {
        xml.open("field");
        if !self.var.is_empty() {
            xml.attr("var", &self.var);
        }
        xml.attr("type", self.kind.as_str());
        xml.attr_opt("label", self.label.as_deref());
        if let (true, Some(desc)) = (asks, &self.desc) {
            xml.leaf("desc", desc);
        }
        if asks && self.required {
            xml.open("required").close();
        }
        if let (true, Some(least)) = (asks, self.least) {
            xml.open_ns("validate", ns::DATA_VALIDATE).attr("datatype", "xs:integer");
            xml.open("range").attr("min", &least.to_string()).close().close();
        }
        if asks && self.open {
            xml.open_ns("validate", ns::DATA_VALIDATE).attr("datatype", "xs:string").open("open").close().close();
        }
        if asks && self.day {
            xml.open_ns("validate", ns::DATA_VALIDATE).attr("datatype", "xs:date").open("basic").close().close();
        }
        for value in &self.values {
            xml.leaf("value", value);
        }
        if let Some(picture) = &self.picture {
            let pixels = picture.pixels.to_string();
            xml.open_ns("media", ns::FORM_MEDIA).attr("height", &pixels).attr("width", &pixels);
            xml.open("uri").attr("type", picture.mime).text(&picture.url).close().close();
        }
        if asks {
            for (label, value) in &self.options {
                xml.open("option").attr("label", label).leaf("value", value).close();
            }
        }
        xml.close();
    }
}

/// A form as the server shows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Form {
    title: Option<String>,
    /// One element only: not every client's parser takes several.
    instructions: Option<String>,
    fields: Vec<Field>,
    /// XEP-0004 3.4: the columns of a table, and its rows.
    reported: Vec<Field>,
    items: Vec<Vec<String>>,
}

impl Form {
    pub fn new(title: &str, instructions: &str) -> Form {
        Form {
            title: (!title.is_empty()).then(|| title.to_owned()),
            instructions: (!instructions.is_empty()).then(|| instructions.to_owned()),
            ..Form::default()
        }
    }

    /// XEP-0068: what kind of form it is.
    pub fn of_type(self, form_type: &str) -> Form {
        self.field(Field::hidden("FORM_TYPE", form_type))
    }

    pub fn field(mut self, field: Field) -> Form {
        self.fields.push(field);
        self
    }

    pub fn fields(mut self, fields: impl IntoIterator<Item = Field>) -> Form {
        self.fields.extend(fields);
        self
    }

    /// Section 3.4: a result that is a table.
    pub fn table(mut self, columns: impl IntoIterator<Item = Field>) -> Form {
        self.reported.extend(columns);
        self
    }

    /// A row of the table: one value a column.
    pub fn row<S: Into<String>>(mut self, values: impl IntoIterator<Item = S>) -> Form {
        self.items.push(values.into_iter().map(Into::into).collect());
        self
    }

    pub fn form_type(&self) -> Option<&str> {
        self.field_named("FORM_TYPE")?.values.first().map(String::as_str)
    }

    fn field_named(&self, var: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.var == var)
    }

    /// `<x type='form'>`: to be filled in.
    pub fn to_ask(&self) -> String {
        self.write("form")
    }

    /// `<x type='result'>`: what came of it.
    pub fn to_tell(&self) -> String {
        self.write("result")
    }

    fn write(&self, kind: &str) -> String {
        let asks = kind == "form";
        let mut xml = Build::new();
        xml.open_ns("x", ns::DATA_FORMS).attr("type", kind);
        if let Some(title) = &self.title {
            xml.leaf("title", title);
        }
        if let Some(instructions) = &self.instructions {
            xml.leaf("instructions", instructions);
        }
        for field in &self.fields {
            field.write(&mut xml, asks);
        }
        if !self.reported.is_empty() {
            xml.open("reported");
            for column in &self.reported {
                column.write(&mut xml, true);
            }
            xml.close();
            for item in &self.items {
                xml.open("item");
                for (column, value) in self.reported.iter().zip(item) {
                    xml.open("field").attr("var", &column.var).leaf("value", value).close();
                }
                xml.close();
            }
        }
        xml.close();
        String::from_utf8_lossy(&xml.finish()).into_owned()
    }

    /// Is this `<x/>` an answer to this form? What the form did not ask for is passed over (3.1, "submit"), and what was not
    /// required may be missing; everything else is what its field's type says.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self, x: &El<'_>) -> Result<Submitted, Problem> {
        submitted::check(self, x)
    }
}

/// What is wrong with a submission, for whoever filled it in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem(pub String);

impl Problem {
    pub fn of_field(var: &str, what: &str) -> Problem {
        Problem(format!("{var}: {what}"))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Section 4: "it SHOULD return a Not Acceptable error, optionally providing a textual explanation".
impl From<Problem> for Bounce {
    fn from(problem: Problem) -> Bounce {
        Bounce::new(Condition::NotAcceptable).text(problem.0)
    }
}
