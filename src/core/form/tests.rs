//! XEP-0004: forms as they are shown, and every way to fill one in wrongly.

use super::*;

#[path = "tests/oracle.rs"]
mod oracle;
use crate::xml::El;

fn form() -> Form {
    Form::new("Adding a User", "Fill out this form.")
        .of_type("http://jabber.org/protocol/admin")
        .field(Field::jid("accountjid", "The Jabber ID").required())
        .field(Field::jids("friends", "Friends"))
        .field(Field::secret("password", "Password"))
        .field(Field::boolean("public", "Public?", true).desc("Is it?"))
        .field(Field::choice("delay", "Delay", [("30 seconds", "30"), ("1 minute", "60")]).value("30"))
        .field(Field::lines("motd", "Message"))
        .field(Field::fixed("That is all."))
}

fn check(xml: &str) -> Result<Submitted, String> {
    let el = El::parse(xml.as_bytes()).unwrap_or_else(|| panic!("not an element: {xml}"));
    form().check(&el).map_err(|problem| problem.to_string())
}

fn submit(fields: &str) -> Result<Submitted, String> {
    check(&format!("<x xmlns='jabber:x:data' type='submit'>{fields}</x>"))
}

const JID: &str = "<field var='accountjid'><value>Juliet@Shakespeare.lit</value></field>";

#[test]
fn s3_2_a_form_shows_its_fields_and_a_parser_of_others_reads_it() {
    let parsed: xmpp_parsers::data_forms::DataForm = xso::from_bytes(form().to_ask().as_bytes()).expect("a data form");
    assert_eq!(parsed.title.as_deref(), Some("Adding a User"));
    assert_eq!(parsed.form_type(), Some("http://jabber.org/protocol/admin"));
    let field = |var: &str| parsed.fields.iter().find(|field| field.var.as_deref() == Some(var)).expect("the field");
    assert!(field("accountjid").required && !field("password").required);
    assert_eq!(field("delay").options.len(), 2);
    assert_eq!(field("delay").values, ["30"]);
    let told = Form::default().field(Field::text("n", "The number").value("7")).to_tell();
    assert_eq!(
        told,
        "<x xmlns='jabber:x:data' type='result'><field var='n' type='text-single' label='The number'><value>7</value></field></x>"
    );
}

#[test]
fn s3_4_a_result_may_be_a_table() {
    let table = Form::default().table([Field::jid("jid", "Who"), Field::text("name", "Name")]).row(["a@b", "A & B"]).to_tell();
    let parsed: xmpp_parsers::data_forms::DataForm = xso::from_bytes(table.as_bytes()).expect("a data form");
    assert!(parsed.fields.is_empty());
    assert!(table.contains("<item><field var='jid'><value>a@b</value></field><field var='name'><value>A &amp; B</value>"));
}

#[test]
fn s3_3_answers_are_of_the_kind_that_was_asked_for() {
    let answers = submit(&format!(
        "{JID}<field var='friends'><value>a@b</value><value>A@b/C</value><value>a@B</value><value/></field>\
         <field var='public'><value>true</value></field><field var='delay'><value>60</value></field>\
         <field var='motd'><value>one</value><value>two\nthree</value><value/></field><field var='unknown'><value>x</value></field>"
    ))
    .expect("an answer");
    assert_eq!(answers.text("accountjid"), Some("juliet@shakespeare.lit"));
    assert_eq!(answers.values("friends"), ["a@b", "a@b/C"], "duplicates are ignored");
    assert_eq!(answers.bare_jids("friends").len(), 1);
    assert_eq!(answers.boolean("public"), Some(true));
    assert_eq!(answers.text("delay"), Some("60"));
    assert_eq!(answers.lines("motd"), "one\ntwo\nthree");
    assert!(!answers.has("unknown") && !answers.has("password"));
}

#[test]
fn s3_5_what_is_missing_is_not_what_is_empty() {
    let answers = submit(&format!("{JID}<field var='password'/><field var='motd'><value/></field>")).expect("an answer");
    assert!(answers.has("password") && answers.has("motd") && !answers.has("delay"));
    assert_eq!((answers.text("password"), answers.lines("motd").as_str()), (None, ""));
}

#[test]
fn s4_what_is_wrong_is_said_with_the_name_of_the_field() {
    let wrong = |fields: &str| submit(fields).expect_err("a problem");
    assert_eq!(wrong(""), "accountjid: is required");
    assert_eq!(wrong("<field var='accountjid'><value/></field>"), "accountjid: is required");
    assert_eq!(wrong("<field var='accountjid'><value>@</value></field>"), "accountjid: \"@\" is no Jabber ID");
    assert_eq!(
        wrong("<field var='accountjid'><value>a@b</value><value>c@d</value></field>"),
        "accountjid: has more than one value"
    );
    assert_eq!(wrong(&format!("{JID}{JID}")), "accountjid: given twice");
    let with = |more: &str| wrong(&format!("{JID}{more}"));
    assert_eq!(with("<field var='public'><value>maybe</value></field>"), "public: is neither true nor false");
    assert_eq!(with("<field var='delay'><value>31</value></field>"), "delay: \"31\" is not one of the options");
    assert_eq!(
        with("<field var='FORM_TYPE'><value>jabber:iq:register</value></field>"),
        "FORM_TYPE: is not http://jabber.org/protocol/admin"
    );
    assert_eq!(with("<field><value>x</value></field>"), "a field has no \"var\"");
    assert_eq!(
        check("<x xmlns='jabber:x:data' type='form'/>").expect_err("a problem"),
        "a form that is filled in has the type \"submit\""
    );
    assert_eq!(check("<x xmlns='urn:other' type='submit'/>").expect_err("a problem"), "that is no data form");
    let many: String = (0..300).map(|n| format!("<field var='f{n}'/>")).collect();
    assert_eq!(wrong(&many), "a form has at most 256 fields; that is the same for everybody: leave out what was not asked for");
    let bounce = Bounce::from(Problem::of_field("a", "b"));
    assert_eq!((bounce.condition, bounce.text.as_deref()), (Condition::NotAcceptable, Some("a: b")));
}

#[test]
fn the_corpus_of_the_fuzz_target_gives_answers_or_problems() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../conformance/fuzz/corpus/forms");
    let mut files = 0;
    for file in std::fs::read_dir(folder).expect("the corpus") {
        oracle::check(&std::fs::read(file.expect("a file").path()).expect("its bytes"));
        files += 1;
    }
    assert!(files >= 10, "{files}");
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { failure_persistence: None, ..Default::default() })]
    #[test]
    fn no_arrangement_of_fields_and_values_is_more_than_a_problem(
        fields in proptest::collection::vec(
            (
                proptest::sample::select(vec!["jid", "jids", "secret", "boolean", "choice", "many", "lines", "text", "FORM_TYPE", ""]),
                proptest::collection::vec(
                    proptest::sample::select(vec!["", "a@b", "A@B/c", "1", "true", "x y", "\n\n", "two\r\nlines", "@", "urn:example"]),
                    0..4,
                ),
            ),
            0..8,
        )
    ) {
        let fields: String = fields
            .iter()
            .map(|(var, values)| {
                let values: String = values.iter().map(|value| format!("<value>{value}</value>")).collect();
                format!("<field var='{var}'>{values}</field>")
            })
            .collect();
        oracle::check(format!("<x xmlns='jabber:x:data' type='submit'>{fields}</x>").as_bytes());
        oracle::check(
            format!("<x xmlns='jabber:x:data' type='submit'><field var='jid'><value>a@b</value></field>{}</x>",
                fields.replace("var='jid'", "var='other'")).as_bytes(),
        );
    }
}
