//! What the kernel says about this process, under the names that Prometheus clients share (`process_*`).

use crate::Timestamp;
use crate::encode::{Encoder, Kind};
use std::fs;

/// Ticks of `/proc/<pid>/stat` in a second: part of Linux's interface to user space.
const USER_HZ: f64 = 100.0;

/// Writes what can be read; elsewhere than on Linux that is the start time only.
pub(crate) fn encode(started: Timestamp, out: &mut Encoder<'_>) {
    let mut gauge = |name: &str, help: &str, value: Option<f64>| {
        if let Some(value) = value {
            out.plain(name, Kind::Gauge, help, &[("", value)]);
        }
    };
    gauge("process_start_time_seconds", "Start of the process since 1970.", Some(started.0 as f64 / 1e6));
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    gauge("process_resident_memory_bytes", "Resident memory.", kib(&status, "VmRSS:"));
    gauge("process_virtual_memory_bytes", "Virtual memory.", kib(&status, "VmSize:"));
    gauge("process_threads", "Threads.", field(&status, "Threads:"));
    gauge(
        "process_open_fds",
        "Open file descriptors.",
        fs::read_dir("/proc/self/fd").ok().map(|dir| dir.count() as f64),
    );
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    gauge("process_max_fds", "Limit of open file descriptors.", field(&limits, "Max open files"));
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    if let Some(cpu) = cpu_seconds(&stat) {
        out.plain("process_cpu_seconds_total", Kind::Counter, "User and system time.", &[("", cpu)]);
    }
}

/// First number after a key at the start of a line.
fn field(text: &str, key: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(key))?.split_whitespace().next()?.parse().ok()
}

fn kib(text: &str, key: &str) -> Option<f64> {
    Some(field(text, key)? * 1024.0)
}

/// `utime` and `stime`: the 14th and 15th fields; the second is a name in parentheses that may hold anything.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) / USER_HZ)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_procfs() {
        let stat = "7 (a) b) R 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 4 0 100 1000 200";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(kib("Name:\tx\nVmRSS:\t     512 kB\n", "VmRSS:"), Some(524_288.0));
        assert_eq!(
            field("Max open files            1024                 4096                 files", "Max open files"),
            Some(1024.0)
        );
        assert_eq!(cpu_seconds(""), None);
    }
}
