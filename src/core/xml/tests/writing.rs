//! Rendering.

use super::*;

#[test]
fn stamps_replace_what_the_client_said() {
    let s = stanza("<message to='a@b' from='x' id='1'><body>x</body></message>");
    let stamps = Stamps { from: Some("r@m/o".into()), ..Stamps::default() };
    let wire = render(&s, &stamps);
    let mut out = Vec::new();
    wire.write_to(Some("j'@c"), &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), "<message to='j&apos;@c' from='r@m/o' id='1'><body>x</body></message>");
}
