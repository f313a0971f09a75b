//! Where a password comes from: an option, standard input, or a prompt that shows nothing.

use std::io::{BufRead, IsTerminal};

use clap::Args;

use super::Failure;

/// RFC 7613 leaves the length open; this is a limit for a wrong file on standard input.
const BYTES_MAX: u64 = 1024;

#[derive(Args, Default)]
pub(super) struct PasswordArguments {
    /// The password; other users of this machine can see it in the list of processes
    #[arg(long, value_name = "PASSWORD")]
    pub password: Option<String>,
    /// Read the password from the first line of standard input
    #[arg(long, conflicts_with = "password")]
    pub password_stdin: bool,
}

impl PasswordArguments {
    /// The password for `whom`, asked for twice if it is not given.
    pub fn get(&self, whom: &str) -> Result<String, Failure> {
        let password = match &self.password {
            Some(password) => password.clone(),
            None if self.password_stdin => first_line(std::io::stdin().lock())?,
            None if std::io::stdin().is_terminal() => ask(whom)?,
            None => {
                return Err(Failure::new(
                    format!("there is no password for {whom}, and no terminal to ask for it"),
                    "Give it on standard input (echo SECRET | iris user ... --password-stdin) or with --password SECRET.",
                ));
            }
        };
        match password.is_empty() {
            true => Err(Failure::new("the password is empty", "Choose another one.")),
            false => Ok(password),
        }
    }
}

pub(super) fn first_line(input: impl BufRead) -> Result<String, Failure> {
    let mut line = String::new();
    let cannot = |error| Failure::new(format!("cannot read the password from standard input: {error}"), "");
    input.take(BYTES_MAX + 2).read_line(&mut line).map_err(cannot)?;
    let password = line.strip_suffix('\n').unwrap_or(&line);
    let password = password.strip_suffix('\r').unwrap_or(password);
    match password.len() as u64 > BYTES_MAX {
        true => Err(Failure::new(format!("the password is longer than {BYTES_MAX} bytes"), "Choose another one.")),
        false => Ok(password.to_owned()),
    }
}

fn ask(whom: &str) -> Result<String, Failure> {
    let cannot = |error| Failure::new(format!("cannot ask for the password: {error}"), "Use --password-stdin.");
    let first = rpassword::prompt_password(format!("Password for {whom}: ")).map_err(cannot)?;
    let second = rpassword::prompt_password("The same again: ").map_err(cannot)?;
    match first == second {
        true => Ok(first),
        false => Err(Failure::new("the two passwords are not the same", "Nothing was changed. Try again.")),
    }
}
