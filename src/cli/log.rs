//! `iris log`: what the running server logs.

use clap::Args;

use super::control::Admin;
use super::users::{Reached, reach};
use super::{Failure, Place, say};

#[derive(Args)]
pub(super) struct LogArguments {
    /// LEVEL (error, warn, info, debug, trace, off), TARGET=LEVEL such as iris_net=debug, several with commas, or reset
    #[arg(value_name = "FILTER")]
    filter: Option<String>,
    #[command(flatten)]
    place: Place,
}

pub(super) fn log(arguments: &LogArguments) -> Result<(), Failure> {
    let Reached::Running(server) = reach(&arguments.place, &[])? else {
        return Err(Failure::new(
            "no server is running there",
            "The level of the next start is log.level in the configuration, or the environment variable IRIS_LOG.",
        ));
    };
    let filter = server.log(arguments.filter.as_deref()).map_err(|why| Failure::new(why, ""))?;
    say(&format!("Log: {filter}\n"))
}
