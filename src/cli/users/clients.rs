//! `iris user clients` and `iris user logout`: who has access to an account, and shall have it no longer (XEP-0494).

use std::fmt::Write;

use super::{ClientsArguments, LogoutArguments, open, refused};
use crate::cli::control::ClientRow;
use crate::cli::{Failure, say};

pub(super) fn list(arguments: &ClientsArguments) -> Result<(), Failure> {
    let jid = &arguments.jid;
    let clients = open(&arguments.place, &[jid])?.user_clients(jid).map_err(|why| refused(why, "user clients"))?;
    match arguments.json {
        false => say(&table(&clients)),
        true => say(&serde_json::to_string(&clients).map_err(|error| Failure::new(error, ""))?),
    }
}

pub(super) fn logout(arguments: &LogoutArguments) -> Result<(), Failure> {
    let (jid, client) = (&arguments.jid, arguments.client.as_deref());
    open(&arguments.place, &[jid])?.user_logout(jid, client).map_err(|why| refused(why, "user logout"))?;
    let what = client.map_or_else(|| format!("all clients of {jid}"), |client| format!("the client {client} of {jid}"));
    say(&format!("Logged out {what}. Whoever knows the password can come again: iris user passwd {jid}\n"))
}

fn table(clients: &[ClientRow]) -> String {
    if clients.is_empty() {
        return "No client has access.\n".to_owned();
    }
    // What a client says of itself is shown without what a terminal would take for orders.
    let plain = |text: &str| text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    let width = clients.iter().map(|client| client.id.chars().count()).max().unwrap_or(0).max("CLIENT".len());
    let mut out = format!("{:width$}  {:9}  {:16}  HOW, AND WHAT IT SAYS IT IS\n", "CLIENT", "NOW", "LAST SEEN (UTC)");
    for client in clients {
        let seen = iris_core::time::datetime(client.last_seen.saturating_mul(1_000_000)).replace('T', " ");
        let now = if client.connected { "connected" } else { "-" };
        let said = [client.software.as_deref(), client.device.as_deref()].into_iter().flatten().map(plain);
        let said: Vec<String> = std::iter::once(client.ways.join("+")).chain(said).collect();
        let id = plain(&client.id);
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{id:width$}  {now:9}  {:16}  {}", seen.get(..16).unwrap_or(&seen), said.join(", "));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_shown_on_lines_that_a_terminal_survives() {
        let client = ClientRow {
            id: "abc".into(),
            connected: true,
            first_seen: 0,
            last_seen: 1_764_105_615,
            ways: vec!["password".into(), "token".into()],
            software: Some("Evil\u{1b}[2J".into()),
            device: None,
        };
        let text = table(&[client]);
        assert!(
            !text.contains('\u{1b}') && text.contains("abc     connected  2025-11-25 21:20  password+token, Evil"),
            "{text}"
        );
        assert_eq!(table(&[]), "No client has access.\n");
    }
}
