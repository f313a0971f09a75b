//! The machine: descriptors, disk, database, clock.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use iris_store::backup;

use super::Finding;
use crate::config::Config;

/// A connection is one descriptor; so many are left for files and for others.
const DESCRIPTORS_GOOD: u64 = 10_000;
const SPACE_WARN_BYTES: u64 = 2 * 1024 * 1024 * 1024;
const SPACE_ERROR_BYTES: u64 = 200 * 1024 * 1024;
/// Group commits carry many messages, so this bounds what one connection waits for, not how many messages there are.
const FSYNC_SLOW: Duration = Duration::from_millis(30);
const FSYNCS: u32 = 8;
const BLOCK_BYTES: usize = 16 * 1024;

pub(super) fn examine(config: &Config, running: bool) -> Vec<Finding> {
    let mut findings = vec![descriptors(config, running), clock(config)];
    let folder = &config.data_dir;
    if !folder.is_dir() {
        findings.push(Finding::ok("data", format!("{} is made at the first start", folder.display())));
        return findings;
    }
    findings.extend(mode(folder));
    findings.push(space(folder));
    findings.push(speed(folder));
    findings.push(database(folder));
    findings
}

/// The limit of the running server, or the one that a server started here would have.
fn descriptors(config: &Config, running: bool) -> Finding {
    let about = "descriptors";
    let server = running.then(|| server_limit(config)).flatten();
    let whose = if server.is_some() { "the server may have" } else { "a process started here may have" };
    let Some(limit) = server.or_else(|| limit_of(Path::new("/proc/self/limits"))) else {
        return Finding::warn(about, "the limit cannot be read on this system", "Each connection needs one: see ulimit -n.");
    };
    judge_limit(whose, limit)
}

fn judge_limit(whose: &str, limit: u64) -> Finding {
    let about = "descriptors";
    let what = format!("{whose} {limit} open files; each connection is one");
    let remedy = "Raise it: LimitNOFILE=65536 in the systemd unit, or ulimit -n 65536 before the start.";
    match limit < DESCRIPTORS_GOOD {
        true => Finding::warn(about, what, remedy),
        false => Finding::ok(about, what),
    }
}

/// The lock says which process it is.
fn server_limit(config: &Config) -> Option<u64> {
    let lock = fs::read_to_string(config.data_dir.join("iris.lock")).ok()?;
    let pid: u32 = lock.trim().strip_prefix("process ")?.parse().ok()?;
    limit_of(&Path::new("/proc").join(pid.to_string()).join("limits"))
}

fn limit_of(file: &Path) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

/// What is there to compare with without a network: what was written here cannot be of the future.
fn clock(config: &Config) -> Finding {
    let newest = ["iris.sqlite3", "iris.sqlite3-wal", "domains"]
        .iter()
        .filter_map(|name| fs::metadata(config.data_dir.join(name)).and_then(|file| file.modified()).ok())
        .max();
    judge_clock(SystemTime::now(), newest)
}

fn judge_clock(now: SystemTime, newest: Option<SystemTime>) -> Finding {
    let about = "clock";
    let built = UNIX_EPOCH + Duration::from_secs(1_790_000_000);
    let text = iris_core::time::datetime(now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() * 1_000_000));
    let remedy = "Set the clock, and let it be kept: timedatectl set-ntp true.";
    if now < built {
        return Finding::error(about, format!("it says {text}, which is before this program was made"), remedy);
    }
    match newest.and_then(|newest| newest.duration_since(now).ok()) {
        Some(ahead) if ahead > Duration::from_secs(60) => {
            let what = format!("it says {text}, but the data was written {} s later", ahead.as_secs());
            Finding::error(about, what, remedy)
        }
        _ => Finding::ok(about, format!("{text}; not before anything that was written here (no other clock was asked)")),
    }
}

fn mode(folder: &Path) -> Option<Finding> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(folder).ok()?.permissions().mode() & 0o777;
    let what = format!("others can look into {} (mode {mode:o})", folder.display());
    (mode & 0o007 != 0).then(|| Finding::warn("data", what, format!("chmod 700 {}", folder.display())))
}

fn space(folder: &Path) -> Finding {
    let about = "disk";
    let stat = match rustix::fs::statvfs(folder) {
        Ok(stat) => stat,
        Err(error) => return Finding::error(about, format!("{}: {error}", folder.display()), "Mount it."),
    };
    let inodes = stat.f_files == 0 || stat.f_favail > 0;
    judge_space(folder, stat.f_bavail.saturating_mul(stat.f_frsize), inodes)
}

/// `inodes`: there are some left.
fn judge_space(folder: &Path, free: u64, inodes: bool) -> Finding {
    let about = "disk";
    let gib = free as f64 / 1024.0 / 1024.0 / 1024.0;
    let what = format!("{gib:.1} GiB are free for {}", folder.display());
    let remedy = "Make room: when it is full, messages are refused (nothing that was acknowledged is lost).";
    if !inodes {
        return Finding::error(about, format!("{what}, but no inodes are left"), remedy);
    }
    if free < SPACE_ERROR_BYTES {
        Finding::error(about, what, remedy)
    } else if free < SPACE_WARN_BYTES {
        Finding::warn(about, what, remedy)
    } else {
        Finding::ok(about, what)
    }
}

/// What every commit waits for.
fn speed(folder: &Path) -> Finding {
    let about = "disk speed";
    let path = folder.join(format!(".doctor-{}", std::process::id()));
    let measured = measure(&path);
    let _ = fs::remove_file(&path);
    match measured {
        Err(error) => Finding::error(
            about,
            format!("{} cannot be written: {error}", folder.display()),
            "Run this as the server's user; make the folder its own.",
        ),
        Ok(took) => {
            let what = format!("a write of {} KiB is on disk after {:.1} ms", BLOCK_BYTES / 1024, took.as_secs_f64() * 1e3);
            match took > FSYNC_SLOW {
                true => Finding::warn(about, what, "Every message waits for that: put data_dir on a faster disk (SSD)."),
                false => Finding::ok(about, what),
            }
        }
    }
}

/// The median of a few.
fn measure(path: &Path) -> std::io::Result<Duration> {
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    let block = [0x5a; BLOCK_BYTES];
    let mut times = Vec::new();
    for _ in 0..FSYNCS {
        let began = Instant::now();
        file.write_all(&block)?;
        file.sync_data()?;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    Ok(times.get(times.len() / 2).copied().unwrap_or_default())
}

fn database(folder: &Path) -> Finding {
    let about = "database";
    if !folder.join("iris.sqlite3").exists() {
        return Finding::ok(about, "none yet");
    }
    match backup::check(folder) {
        Ok(contents) => {
            let mib = contents.bytes as f64 / 1024.0 / 1024.0;
            Finding::ok(about, format!("sound; {mib:.1} MiB of {} accounts, rooms and services", contents.owners))
        }
        Err(error) => Finding::error(about, error.to_string(), "Restore the last backup: iris restore. Then look at the disk."),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Grade::{Error, Ok, Warn};
    use super::*;

    #[track_caller]
    fn is(found: &Finding, grade: super::super::Grade, what: &str) {
        assert_eq!(found.grade, grade, "{found:?}");
        assert!(found.what.contains(what), "{found:?}");
        assert_eq!(found.remedy.is_empty(), grade == Ok, "{found:?}");
    }

    #[test]
    fn too_few_descriptors_are_a_finding() {
        is(&judge_limit("the server may have", 1_024), Warn, "the server may have 1024 open files");
        is(&judge_limit("the server may have", 65_536), Ok, "65536");
    }

    #[test]
    fn a_full_disk_and_one_without_inodes_are_findings() {
        let judge = |mib: u64, inodes| judge_space(Path::new("/data"), mib << 20, inodes);
        is(&judge(100, true), Error, "0.1 GiB are free for /data");
        is(&judge(1_024, true), Warn, "1.0 GiB");
        is(&judge(4_096, true), Ok, "4.0 GiB");
        is(&judge(4_096, false), Error, "no inodes are left");
    }

    #[test]
    fn a_clock_that_is_before_what_was_written_is_a_finding() {
        let at = |seconds: u64| UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds);
        is(&judge_clock(at(0), Some(at(600))), Error, "the data was written 600 s later");
        is(&judge_clock(UNIX_EPOCH, None), Error, "1970-01-01T00:00:00Z, which is before this program was made");
        is(&judge_clock(at(600), Some(at(0))), Ok, "not before anything");
        is(&judge_clock(at(0), None), Ok, "2027-01-15T08:00:00Z");
    }
}
