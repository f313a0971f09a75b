//! The mail server, where there is one: is it there, is it the one that it should be, does it let us in? No mail is sent.

use std::time::Duration;

use iris_connectors::smtp;
use iris_core::ports::Mailed;

use super::{Finding, one_line};
use crate::config::Config;
use crate::mail;

const PATIENCE: Duration = Duration::from_secs(8);

pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let about = "mail";
    let server = match mail::server(config) {
        Ok(Some(server)) => server,
        Ok(None) => return Vec::new(),
        Err(error) => return vec![Finding::error(about, one_line(&error), "Mend the file or the key that is named.")],
    };
    let address = server.address.to_string();
    let as_whom = server.login.as_ref().map_or_else(|| "without a login".to_owned(), |login| format!("as {}", login.username));
    let found = match smtp::look(&server, &mail::own_name(config), PATIENCE) {
        Ok(security) => Finding::ok(about, format!("{address} answers ({security}) and lets this server in, {as_whom}")),
        Err(failed) => {
            let remedy = match failed.what {
                Mailed::LoginRefused => "Look at username and password_file in [mail]; the mail server's log says more.",
                _ => {
                    "Look at server and authorities in [mail], and whether this machine may connect there. Until then users are told that the \
                      mail server cannot be reached."
                }
            };
            Finding::error(about, format!("{address}: {}", failed.why), remedy)
        }
    };
    let mut findings = vec![found];
    findings.extend(mail::readable_by_others(config).map(|file| {
        Finding::warn(
            about,
            format!("{} can be read by others on this machine", file.display()),
            format!("chmod 600 {}", file.display()),
        )
    }));
    findings
}
