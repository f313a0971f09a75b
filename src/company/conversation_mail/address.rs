//! Where a mail may go: to an address of a domain that the administrator has named, and written so that nothing can hide in it.

use iris_core::mailing::Mailing;
use iris_core::store::{Read, Rows};
use iris_core::{BareJid, Bounce, Condition, Cx};

/// RFC 5321 4.5.3.1.
const LOCAL_BYTES_MAX: usize = 64;
const ADDRESS_BYTES_MAX: usize = 254;

/// The first of one's own card (XEP-0054, XEP-0292) that is allowed, else the account's own address, if it is.
pub async fn own(cx: &Cx, me: &BareJid, mailing: &Mailing) -> Result<Option<String>, Bounce> {
    let card = cx.account(me.clone(), |turn| turn.doors.mail_addresses.map(|it| (turn.account.owner(), it))).await?.flatten();
    let mut addresses = Vec::new();
    if let Some((owner, addresses_in)) = card
        && let Rows::Value(Some(card)) = cx.read(Read::Value { owner, shelf: addresses_in.shelf, key: "".into() }).await?
    {
        addresses = (addresses_in.of)(&card);
    }
    addresses.push(me.to_string());
    Ok(addresses.into_iter().find(|address| checked(address, mailing).is_ok()))
}

/// The address as it is sent to.
///
/// # Errors
/// What is wrong with it, for whoever has written it.
pub fn checked(text: &str, mailing: &Mailing) -> Result<String, Bounce> {
    let refuse = |why: String| Bounce::new(Condition::NotAcceptable).text(why);
    let text = text.trim();
    let parts = text.rsplit_once('@').filter(|(local, _)| is_local_part(local));
    let Some((local, domain)) = parts.filter(|_| text.len() <= ADDRESS_BYTES_MAX) else {
        return Err(refuse("address: that is no e-mail address that this server can send to".to_owned()));
    };
    let Some(domain) = mailing.recipient(domain) else {
        let allowed: Vec<&str> = mailing.recipients.iter().map(|domain| domain.name.as_str()).collect();
        let why = format!(
            "address: conversations are sent only to addresses at {}; an administrator of this server can allow others (recipients in [mail])",
            allowed.join(", ")
        );
        return Err(refuse(why));
    };
    Ok(format!("{local}@{domain}"))
}

/// RFC 5321 4.1.2 `Dot-string`. No quoted strings, and no letters beyond ASCII (RFC 6531): not every mail server takes them. Nor what some
/// mail servers make another address of, or a command: `somebody%elsewhere@house`, `elsewhere!somebody@house`, `|program`, `-option`.
fn is_local_part(text: &str) -> bool {
    let taken = |byte: u8| byte.is_ascii_alphanumeric() || b"#&'+-=_~".contains(&byte);
    let good = text.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(taken));
    text.len() <= LOCAL_BYTES_MAX && good && !text.starts_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use iris_core::mailing::Domain;

    #[test]
    fn only_plain_addresses_of_named_domains() {
        let domain = |name: &str, ascii: &str| Domain { name: name.into(), ascii: ascii.into() };
        let mailing = Mailing::new(vec![domain("house", "house"), domain("bücher.example", "xn--bcher-kva.example")], 1, 1);
        let good = |text: &str| checked(text, &mailing).expect(text);
        assert_eq!(good(" Juliet.Capulet+x@HOUSE "), "Juliet.Capulet+x@house");
        assert_eq!(good("juliet@Bücher.example"), "juliet@xn--bcher-kva.example");
        for bad in [
            "",
            "juliet",
            "@house",
            "juliet@",
            "juliet@elsewhere.example",
            "juliet@sub.house",
            "juliet@house.evil.example",
            "juliet@house@evil.example",
            "evil@evil.example,juliet@house",
            "evil@evil.example>\r\nRCPT TO:<juliet@house",
            "juliet@house\r\nBcc: evil@evil.example",
            "juliet\r\nBcc:evil@house",
            "Juliet <juliet@house>",
            "\"juliet capulet\"@house",
            "jülïet@house",
            "a..b@house",
            ".a@house",
            "a b@house",
            "a\0@house",
            "evil%evil.example@house",
            "evil.example!evil@house",
            "|evil@house",
            "-evil@house",
            &format!("{}@house", "a".repeat(65)),
        ] {
            assert!(checked(bad, &mailing).is_err(), "{bad:?}");
        }
        let why = checked("juliet@elsewhere.example", &mailing).expect_err("elsewhere").text.expect("a text");
        assert!(why.contains("house, bücher.example") && why.contains("administrator"), "{why}");
    }
}
