//! What a mail looks like: from the house, to one person, a word and a file.

use std::time::SystemTime;

use iris_core::ports::Mail;
use lettre::Address;
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Body, Mailbox, Message, MultiPart, SinglePart};

/// Whom the mails of the house are from: `Iris <iris@example.org>`, or the address alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    mailbox: Mailbox,
    address: String,
}

impl Sender {
    /// `None`: that is no address, or none in ASCII.
    pub fn parse(text: &str) -> Option<Sender> {
        let mailbox: Mailbox = text.parse().ok()?;
        let address = mailbox.email.to_string();
        let plain = address.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>\"".contains(&byte));
        plain.then_some(Sender { mailbox, address })
    }

    pub fn address(&self) -> &str {
        &self.address
    }
}

/// Lines end with CRLF, all is ASCII, and no line is longer than SMTP allows.
///
/// # Errors
/// It cannot be written: an address that is none.
pub fn write(mail: Mail, sender: &Sender, now: SystemTime) -> Result<Vec<u8>, String> {
    let to: Address = mail.to.parse().map_err(|why| format!("the address of the recipient: {why}"))?;
    let domain = sender.mailbox.email.domain();
    // RFC 3834 5: no answer machine answers it.
    let auto = HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned());
    let file = Body::new_with_encoding(Vec::from(mail.file), ContentTransferEncoding::Base64);
    let file = file.map_err(|_| "the file cannot be encoded".to_owned())?;
    let text = ContentType::parse("text/plain; charset=utf-8").map_err(|why| why.to_string())?;
    let parts = MultiPart::mixed()
        .singlepart(SinglePart::plain(mail.text))
        .singlepart(Attachment::new(one_line(&mail.file_name)).body(file, text));
    let message = Message::builder()
        .from(sender.mailbox.clone())
        .to(Mailbox::new(None, to))
        .subject(one_line(&mail.subject))
        .date(now)
        .message_id(Some(format!("<{}@{domain}>", mail.id)))
        .raw_header(auto)
        .multipart(parts)
        .map_err(|why| why.to_string())?;
    Ok(message.formatted())
}

/// Whoever wrote it: a header is one line.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use bytes::Bytes;

    use super::*;

    fn written(mail: Mail) -> String {
        let sender = Sender::parse("Büro <iris@example.org>").expect("a sender");
        let bytes = write(mail, &sender, UNIX_EPOCH + Duration::from_secs(1_800_000_000)).expect("a letter");
        String::from_utf8(bytes).expect("ASCII")
    }

    fn mail() -> Mail {
        Mail {
            id: "0123".into(),
            to: "juliet@example.org".into(),
            subject: "Conversation with Roméo".into(),
            text: "Below. Ünïcode\r\n.\r\n".into(),
            file_name: "romeo.txt".into(),
            file: Bytes::from_static("é\r\n.\r\n".as_bytes()),
        }
    }

    #[test]
    fn a_letter_is_ascii_with_one_recipient() {
        let text = written(mail());
        let (head, _) = text.split_once("\r\n\r\n").expect("a head");
        for line in [
            "From: =?utf-8?b?QsO8cm8=?= <iris@example.org>",
            "To: juliet@example.org",
            "Message-ID: <0123@example.org>",
            "Auto-Submitted: auto-generated",
            "MIME-Version: 1.0",
            "Date: Fri, 15 Jan 2027 08:00:00 +0000",
        ] {
            assert!(head.lines().any(|it| it == line), "{line} in {head}");
        }
        assert!(head.contains("Subject: Conversation with =?utf-8?b?"), "{head}");
        assert!(text.is_ascii() && text.contains("Content-Transfer-Encoding: base64\r\n\r\nw6kNCi4NCg==\r\n"), "{text}");
        assert!(text.replace("\r\n", "").find(['\r', '\n']).is_none(), "only CRLF ends a line");
        assert!(text.lines().all(|line| line.len() <= 998), "RFC 5322 2.1.1");
    }

    #[test]
    fn no_header_is_smuggled_in() {
        let evil = "x\r\nBcc: evil@evil.example\r\n\r\nbody\n\nx\u{85}y\u{2028}z";
        let text = written(Mail { subject: evil.into(), file_name: evil.into(), ..mail() });
        assert!(!text.lines().any(|line| line.to_ascii_lowercase().starts_with("bcc")), "{text}");
        let to =
            |to: &str| write(Mail { to: to.into(), ..mail() }, &Sender::parse("iris@example.org").expect("one"), UNIX_EPOCH);
        assert!(to("a@b.example, c@d.example").is_err() && to("a@b.example\r\nBcc: c@d.example").is_err());
    }

    #[test]
    fn a_sender_is_one_address() {
        assert_eq!(Sender::parse("Iris <iris@example.org>").expect("one").address(), "iris@example.org");
        for bad in ["", "iris", "iris@", "a@b.example, c@d.example", "îris@example.org", "Iris <iris@example.org"] {
            assert!(Sender::parse(bad).is_none(), "{bad}");
        }
    }
}
