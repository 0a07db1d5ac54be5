//! System calls, counted by strace.

use fairlead_testkit::{Process, wait_until};
use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

/// Number of calls by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calls(BTreeMap<String, u64>);

impl Calls {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// The most frequent ones, per request.
    pub fn per_request(&self, requests: usize) -> String {
        let mut calls: Vec<_> = self.0.iter().collect();
        calls.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let shares =
            calls.iter().take(6).map(|(name, count)| format!("{name} {:.2}", **count as f64 / requests as f64));
        shares.collect::<Vec<_>>().join(", ")
    }

    /// Reads the table of `strace -c`.
    fn read(text: &str) -> Calls {
        let rows = text.lines().filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            fields.first()?.parse::<f64>().ok()?;
            let (name, calls) = (fields.last()?, fields.get(3)?.parse().ok()?);
            (*name != "total").then(|| ((*name).to_owned(), calls))
        });
        Calls(rows.collect())
    }
}

/// What all threads of a process call while `work` runs.
pub fn count_calls(pid: u32, work: impl FnOnce()) -> Calls {
    let mut strace = Process::start(Command::new("strace").args(["-c", "-f", "-p", &pid.to_string()]));
    wait_until(Duration::from_secs(20), "strace to attach", || {
        let output = strace.output();
        assert!(strace.is_running(), "strace: {output}");
        output.contains("attached").then_some(())
    });
    work();
    strace.signal("INT");
    strace.wait(Duration::from_secs(20));
    let table = wait_until(Duration::from_secs(5), "strace's table", || {
        let output = strace.output();
        output.lines().any(|line| line.ends_with(" total")).then_some(output)
    });
    Calls::read(&table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_read_with_and_without_errors() {
        let table = "strace: Process 7 attached with 3 threads\n\
            % time     seconds  usecs/call     calls    errors syscall\n\
            ------ ----------- ----------- --------- --------- ----------------\n\
            \x20 60.00    0.004000           2      2000         3 recvfrom\n\
            \x20 40.00    0.003000           1      2001           sendto\n\
            ------ ----------- ----------- --------- --------- ----------------\n\
            100.00    0.007000           1      4001         3 total\n";
        let calls = Calls::read(table);
        assert_eq!(calls.total(), 4001);
        assert_eq!(calls.per_request(1000), "sendto 2.00, recvfrom 2.00");
    }
}
