//! `iris export` and `iris import`: a domain in the portable format of XEP-0227, from and to other servers.

mod export;
mod import;
mod reader;

pub(super) use export::{ExportArguments, export};
pub(super) use import::{ImportArguments, import};
