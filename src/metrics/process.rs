//! What the system says of this process, under the names that every program uses (Prometheus, "standard process metrics").

use std::fs;

/// Ticks of `/proc/self/stat`: `USER_HZ`, which is 100 on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// What cannot be read is `None`: not every system has `/proc`.
#[derive(Debug, Default, PartialEq)]
pub struct Process {
    pub cpu_seconds: Option<f64>,
    pub start_time_seconds: Option<f64>,
    pub threads: Option<u64>,
    pub resident_bytes: Option<u64>,
    pub virtual_bytes: Option<u64>,
    pub open_fds: Option<u64>,
    pub max_fds: Option<u64>,
}

impl Process {
    pub fn read() -> Process {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let mut process =
            Process::of(&text("/proc/self/stat"), &text("/proc/self/status"), &text("/proc/self/limits"), &text("/proc/stat"));
        // The directory that is being read is open too.
        process.open_fds = fs::read_dir("/proc/self/fd").ok().map(|all| (all.count() as u64).saturating_sub(1));
        process
    }

    fn of(stat: &str, status: &str, limits: &str, system: &str) -> Process {
        // proc(5): the second field is the program's name in brackets, and may hold anything.
        let fields: Vec<&str> = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
        let ticks = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        let boot = number(system, "btime", 1.0);
        Process {
            cpu_seconds: ticks(14).zip(ticks(15)).map(|(user, kernel)| (user + kernel) as f64 / TICKS_PER_SECOND),
            start_time_seconds: ticks(22).zip(boot).map(|(ticks, boot)| boot as f64 + ticks as f64 / TICKS_PER_SECOND),
            threads: ticks(20),
            resident_bytes: number(status, "VmRSS:", 1_024.0),
            virtual_bytes: number(status, "VmSize:", 1_024.0),
            open_fds: None,
            max_fds: number(limits, "Max open files", 1.0),
        }
    }
}

/// The number behind `name` at the beginning of a line, times `unit`.
fn number(text: &str, name: &str, unit: f64) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?;
    value.parse::<u64>().ok().map(|value| (value as f64 * unit) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_proc_are_read_by_field_whatever_the_program_is_called() {
        let stat = "4711 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 250 50 13 14 15 16 9 18 1000 20 21";
        let status = "Name:\tx\nVmSize:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024     4096     files\n";
        let seen = Process::of(stat, status, limits, "cpu 1 2\nbtime 1700000000\n");
        assert_eq!(
            seen,
            Process {
                cpu_seconds: Some(3.0),
                start_time_seconds: Some(1_700_000_010.0),
                threads: Some(9),
                resident_bytes: Some(1 << 20),
                virtual_bytes: Some(2 << 20),
                open_fds: None,
                max_fds: Some(1_024),
            }
        );
        assert_eq!(Process::of("", "", "", ""), Process::default());
    }
}
