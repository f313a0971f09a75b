//! What a browser does with a file that somebody has uploaded.

/// Shown in the page: pictures, sound and films that can do nothing. SVG, HTML, XML and PDF can; they are saved.
const SHOWN: [&str; 18] = [
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
    "image/avif",
    "image/bmp",
    "audio/mpeg",
    "audio/ogg",
    "audio/opus",
    "audio/wav",
    "audio/webm",
    "audio/mp4",
    "audio/aac",
    "audio/flac",
    "video/mp4",
    "video/webm",
    "video/ogg",
    "video/quicktime",
];

/// `Content-Disposition` (RFC 6266), the name in both ways that are understood.
pub fn disposition(content_type: &str, name: &str) -> String {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let how = if SHOWN.contains(&essence.as_str()) { "inline" } else { "attachment" };
    let plain: String = name
        .chars()
        .map(|c| match c {
            '"' | '\\' | '%' => '_',
            ' '..='~' => c,
            _ => '_',
        })
        .collect();
    // RFC 8187 3.2.1: attr-char, everything else percent-encoded.
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    format!("{how}; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d5_only_what_can_do_nothing_is_shown() {
        for shown in ["image/jpeg", "IMAGE/PNG", "video/mp4; codecs=\"x\""] {
            assert!(disposition(shown, "a").starts_with("inline;"), "{shown}");
        }
        for saved in [
            "text/html",
            "image/svg+xml",
            "text/xml",
            "application/pdf",
            "text/plain",
            "",
            "application/octet-stream",
            "image/png,text/html",
        ] {
            assert!(disposition(saved, "a").starts_with("attachment;"), "{saved}");
        }
    }

    #[test]
    fn d5_a_name_cannot_leave_its_place() {
        let said = disposition("text/html", "a\"; x=\\ é\r\nX: y");
        assert_eq!(said, "attachment; filename=\"a_; x=_ ___X: y\"; filename*=UTF-8''a%22%3B%20x%3D%5C%20%C3%A9%0D%0AX%3A%20y");
    }
}
