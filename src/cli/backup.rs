//! `iris backup` and `iris restore`: everything of a house in one folder, taken while it runs, and back again.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use iris_store::backup::{self, Contents};

use super::control::Client;
use super::users::{Reached, reach};
use super::{Failure, Place, say};
use crate::config::{Config, FilesKind, Overrides};

/// Beside the database in the data folder.
const FILES: [&str; 3] = ["secret", crate::push::KEY_FILE, super::users::DOMAINS_FILE];
const CERTS: &str = "certs";
/// What users have uploaded.
const UPLOADED: &str = "files";
/// The configuration as it was, in the backup and in what is restored from it.
const CONFIG: &str = "iris.toml";

#[derive(Args)]
pub(super) struct BackupArguments {
    /// A new folder, readable by nobody else
    to: PathBuf,
    #[command(flatten)]
    place: Place,
}

#[derive(Args)]
pub(super) struct RestoreArguments {
    /// A folder that iris backup has made
    from: PathBuf,
    #[command(flatten)]
    place: Place,
}

pub(super) fn backup(arguments: &BackupArguments) -> Result<(), Failure> {
    let BackupArguments { to, place } = arguments;
    let began = Instant::now();
    // The same folder whether a server runs on it or not: SQLite lets others read beside the one that writes.
    let config = match reach(place, &[])? {
        Reached::Running(_) => place.load(Overrides::default())?,
        Reached::Closed(config) => *config,
    };
    let cannot = |error: &dyn std::fmt::Display| Failure::new(format!("no backup was made: {error}"), "");
    if lies_in(to, &config.data_dir) {
        let what = format!("no backup was made: {} lies in the data folder itself", to.display());
        return Err(Failure::new(what, "Name a folder elsewhere; best on another disk."));
    }
    make_folder(to).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            Failure::new(format!("{} is there already and was not touched", to.display()), "Name a new folder.")
        }
        _ => cannot(&format!("{}: {error}", to.display())),
    })?;
    let made = fill(&config, to);
    let contents = made.map_err(|why| {
        // Half a backup looks like a whole one.
        let _ = fs::remove_dir_all(to);
        cannot(&why)
    })?;
    let took = began.elapsed().as_millis();
    say(&format!(
        "Backed up to {} in {took} ms, and verified: {}.\n{}\
         It holds messages and keys: keep it secret. To look into it or to go back:\n  \
         {}\n  iris restore {} --data-dir NEW-FOLDER\n",
        to.display(),
        shown(&contents),
        elsewhere(&config),
        start(to),
        to.display()
    ))
}

/// How to start the house that lies in this folder. Without its configuration it knows its domains, and no more.
fn start(folder: &Path) -> String {
    let config = folder.join(CONFIG);
    let with = if config.is_file() { format!(" --config {}", config.display()) } else { String::new() };
    format!("iris serve{with} --data-dir {}", folder.display())
}

/// Files that lie in a bucket are not copied: what keeps them has its own ways for that.
fn elsewhere(config: &Config) -> String {
    let bucket = config.files.s3.bucket.as_deref().filter(|_| config.files.kind == FilesKind::S3);
    bucket.map_or_else(String::new, |bucket| {
        let what = format!(
            "What users uploaded lies in the bucket {bucket} and is NOT in it: keep versions of the bucket, or copy it. A house that is \
             started from this backup while the other one runs needs another prefix in [files], or it removes what it does not know."
        );
        crate::config::wrap::wrap(&what, 0, 0) + "\n"
    })
}

fn shown(contents: &Contents) -> String {
    let Contents { owners, items, entries, bytes } = contents;
    format!(
        "{owners} accounts, rooms and services,\n  {items} items, {entries} messages, {:.1} MiB",
        *bytes as f64 / 1024.0 / 1024.0
    )
}

fn fill(config: &Config, to: &Path) -> Result<Contents, String> {
    backup::copy(&config.data_dir, to).map_err(|error| error.to_string())?;
    for name in FILES {
        copy_file(&config.data_dir.join(name), &to.join(name))?;
    }
    // Test certificates belong to the data; those of production are renewed elsewhere, and a backup is no place for their keys.
    copy_folder(&config.test_certs_dir(), &to.join(CERTS))?;
    // After the database: what its entries name is there, unless it was removed meanwhile.
    link_files(&config.files_dir(), &to.join(UPLOADED))?;
    if !config.source.text.is_empty() {
        write_private(&to.join(CONFIG), config.source.text.as_bytes())?;
    }
    backup::verify(to).map_err(|error| error.to_string())
}

pub(super) fn restore(arguments: &RestoreArguments) -> Result<(), Failure> {
    let RestoreArguments { from, place } = arguments;
    let config = place.load(Overrides::default())?;
    let into = &config.data_dir;
    let nothing = "Nothing was changed.";
    let running = Config { data_dir: from.clone(), ..config.clone() };
    if let Ok(Some(_)) = Client::connect(&running.control_socket()) {
        let what = format!("{} is no backup: a server runs on it", from.display());
        return Err(Failure::new(what, format!("Make one: iris backup NEW-FOLDER --data-dir {}", from.display())));
    }
    let contents = backup::verify(from)
        .map_err(|error| Failure::new(format!("{} cannot be restored: {error}", from.display()), nothing))?;
    make_folder(into).or_else(|error| match error.kind() {
        io::ErrorKind::AlreadyExists if is_empty(into) => Ok(()),
        io::ErrorKind::AlreadyExists => {
            let remedy = "A restore never overwrites: name a new folder with --data-dir, or move the old one away.";
            Err(Failure::new(format!("{} is not empty", into.display()), remedy))
        }
        _ => Err(Failure::new(format!("{}: {error}", into.display()), nothing)),
    })?;
    let restored = backup::copy(from, into).map_err(|error| error.to_string()).and_then(|()| {
        FILES.iter().chain([&CONFIG]).try_for_each(|name| copy_file(&from.join(name), &into.join(name)))?;
        copy_folder(&from.join(CERTS), &into.join(CERTS))?;
        link_files(&from.join(UPLOADED), &config.files_dir())?;
        backup::verify(into).map_err(|error| error.to_string())
    });
    let restored = restored.map_err(|why| Failure::new(format!("not restored: {why}"), "The backup is as it was."))?;
    if (restored.owners, restored.items, restored.entries) != (contents.owners, contents.items, contents.entries) {
        let what = format!("not restored: {} was read, {} was written", shown(&contents), shown(&restored));
        return Err(Failure::new(what, "The backup is as it was."));
    }
    let start = match (&place.config, into.join(CONFIG).is_file()) {
        (Some(_), _) => format!("Start it: iris serve{}\n", place.as_arguments()),
        (None, false) => format!("Start it: {}\n", start(into)),
        (None, true) => format!("Look at the paths and ports in its configuration, then start it:\n  {}\n", start(into)),
    };
    say(&format!("Restored to {}, and verified: {}.\n{start}", into.display(), shown(&restored)))
}

/// Of a path that is not there yet.
fn lies_in(path: &Path, folder: &Path) -> bool {
    let parent = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
    matches!((parent.canonicalize(), folder.canonicalize()), (Ok(parent), Ok(folder)) if parent.starts_with(&folder))
}

/// For nobody else from the first moment on.
fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

/// What is not there is not missed.
fn copy_file(from: &Path, to: &Path) -> Result<(), String> {
    match fs::read(from) {
        Ok(bytes) => write_private(to, &bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(format!("{}: {error}", from.display())),
    }
}

fn write_private(to: &Path, bytes: &[u8]) -> Result<(), String> {
    let write = || -> io::Result<()> {
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(to)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|error| format!("{}: {error}", to.display()))
}

/// The files of the users, which never change: another name for each where the file system can do that, else a copy.
fn link_files(from: &Path, to: &Path) -> Result<(), String> {
    let in_from = |error: io::Error| format!("{}: {error}", from.display());
    let in_to = |error: io::Error| format!("{}: {error}", to.display());
    let shelves = match fs::read_dir(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        shelves => shelves.map_err(in_from)?,
    };
    make_folder(to).map_err(in_to)?;
    for shelf in shelves {
        let shelf = shelf.map_err(in_from)?;
        // Two digits; what is arriving is nothing yet.
        if shelf.file_name().len() != 2 {
            continue;
        }
        let into = to.join(shelf.file_name());
        make_folder(&into).map_err(in_to)?;
        for file in fs::read_dir(shelf.path()).map_err(in_from)? {
            let file = file.map_err(in_from)?;
            match link(&file.path(), &into.join(file.file_name())) {
                // Somebody has removed it meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                outcome => outcome.map_err(in_to)?,
            }
        }
        File::open(&into).and_then(|folder| folder.sync_all()).map_err(in_to)?;
    }
    Ok(())
}

fn link(from: &Path, to: &Path) -> io::Result<()> {
    if fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    fs::copy(from, to)?;
    File::open(to)?.sync_all()
}

fn copy_folder(from: &Path, to: &Path) -> Result<(), String> {
    let in_from = |error: io::Error| format!("{}: {error}", from.display());
    let entries = match fs::read_dir(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(in_from)?,
    };
    make_folder(to).map_err(|error| format!("{}: {error}", to.display()))?;
    for entry in entries {
        let entry = entry.map_err(in_from)?;
        if entry.file_type().map_err(in_from)?.is_file() {
            let target = to.join(entry.file_name());
            copy_file(&entry.path(), &target)?;
            let mode = entry.metadata().map_err(in_from)?.permissions().mode() & 0o777;
            fs::set_permissions(&target, fs::Permissions::from_mode(mode)).map_err(in_from)?;
        }
    }
    Ok(())
}
