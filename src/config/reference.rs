//! Text made of the list of keys: the reference, and the file that `iris init` writes.

use super::keys::{Key, LISTEN, LISTEN_ABOUT, LISTEN_KEYS, ListenTable, SECTIONS, Section, XEP};
use super::wrap::wrap;
use super::{Config, values};

/// All keys with their defaults and what they mean; itself a configuration that says nothing but the defaults.
///
/// `rooms`: the tables `[xep.NAME]` of the rooms, name and text.
pub fn reference(rooms: &[(&str, &str)]) -> String {
    let config = Config::default();
    let mut out = comment(
        "All settings of iris with their defaults (made by `iris config-reference`). Everything is optional; a key that is not \
         known refuses to boot.",
    );
    out.push('\n');
    for section in SECTIONS {
        write_section(&mut out, section, &config);
        if section.name == "log" {
            write_listeners(&mut out, &config);
        }
    }
    out.push_str(iris_core::entitlements::REFERENCE);
    out.push('\n');
    for (name, text) in rooms {
        out.push_str(&room(name, text));
    }
    out.trim_end().to_owned() + "\n"
}

fn write_section(out: &mut String, section: &Section, config: &Config) {
    if !section.name.is_empty() {
        if !section.about.is_empty() {
            out.push_str(&comment(section.about));
        }
        out.push_str(&format!("[{}]\n", section.name));
    }
    for key in section.keys {
        write_key(out, key, config, true);
    }
    out.push('\n');
}

fn write_listeners(out: &mut String, config: &Config) {
    out.push_str(&comment(LISTEN_ABOUT));
    for (i, listener) in config.listeners.iter().enumerate() {
        out.push_str(&format!("[[{LISTEN}]]\n"));
        for key in LISTEN_KEYS {
            write_key(out, key, &ListenTable::of(listener), i == 0);
        }
        out.push('\n');
    }
}

fn write_key<T>(out: &mut String, key: &Key<T>, target: &T, explained: bool) {
    if explained {
        out.push_str(&comment(key.about));
    }
    let line = match (key.show)(target) {
        Some(value) => format!("{} = {value}\n", key.name),
        None => format!("# {} = {}\n", key.name, key.example),
    };
    out.push_str(&line);
}

fn room(name: &str, text: &str) -> String {
    let header = format!("[{XEP}.{name}]");
    match text.lines().any(|line| line.trim_start().starts_with(&header)) {
        true => format!("{}\n\n", text.trim()),
        false => format!("{header}\n{}\n\n", text.trim()),
    }
}

fn comment(text: &str) -> String {
    // The wrapped lines get "# " in front, so they are wrapped as if indented by it.
    let lines = wrap(text, 2, 2);
    lines.lines().map(|line| format!("# {}\n", line.trim_start())).collect()
}

/// A commented configuration to serve `domain` to the world: what `iris init` writes.
pub fn production(domain: &str) -> String {
    let domain_text = values::show_string(domain);
    let admin = values::show_string(&format!("admin@{domain}"));
    format!(
        r##"# iris.toml: iris serves {domain}.
# Check it: `iris check-config`. Start: `iris serve --config iris.toml`.
# All other settings and their defaults: `iris config-reference`.

domains = [{domain_text}]

# The database and everything else that has to survive. Back this folder up.
data_dir = "data"

[log]
level = "info"
format = "text"

# Clients, with STARTTLS. "[::]" is every address of this machine, IPv4 too.
# DNS: _xmpp-client._tcp.{domain}. SRV 0 5 5222 <this host>.
[[listen]]
kind = "c2s"
address = "[::]:5222"

# Clients, with direct TLS (XEP-0368): gets through where 5222 does not.
# DNS: _xmpps-client._tcp.{domain}. SRV 0 5 5223 <this host>.
[[listen]]
kind = "c2s-tls"
address = "[::]:5223"

# Other XMPP servers; without it, this one is by itself. The certificate has
# to name {domain}; for rooms and channels also *.{domain}.
# DNS: _xmpp-server._tcp.{domain}. SRV 0 5 5269 <this host>.
[[listen]]
kind = "s2s"
address = "[::]:5269"

# The web: WebSocket, BOSH, discovery, pages. Also on 443, if nothing else is.
[[listen]]
kind = "https"
address = "[::]:5443"

# The same for a proxy on this machine, metrics (/metrics), health (/healthz).
[[listen]]
kind = "http"
address = "127.0.0.1:5280"

# Here, both PEM, for each domain:
#   certs/{domain}.crt  the certificate, followed by its chain
#   certs/{domain}.key  its private key
# After a renewal: kill -HUP; nobody is disconnected.
[tls]
certificates = "certs"

[accounts]
# Who may administer the server. Make the account with `iris user add`.
admins = [{admin}]

# The limits that are most often changed; there are more.
[limits]
stanza_size_bytes_max = "256KiB"
offline_messages_max = 1000
resume_timeout = "10m"
"##
    )
}
