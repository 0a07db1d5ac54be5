//! Instructions and heap allocations, counted by valgrind's callgrind: the same every time.
//!
//! Allocations are calls of the allocator's functions, so the product needs no allocator of its own for the count.

use crate::{AccessLog, Subject};
use fairlead_testkit::TempDir;
use std::collections::HashMap;
use std::process::Command;

/// A proxy under callgrind.
pub struct Callgrind {
    /// The proxy.
    pub subject: Subject,
    dir: TempDir,
    dumps: u32,
}

/// What a thread did between two dumps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    /// Executed instructions.
    pub instructions: u64,
    /// Calls that allocate or grow heap memory, by function.
    pub allocations: HashMap<String, u64>,
    /// Instructions of each function itself, without those it calls; the greatest first.
    pub functions: Vec<(String, u64)>,
}

impl Callgrind {
    /// Starts a proxy with these manifests.
    pub fn start(manifests: &str, log: AccessLog) -> Callgrind {
        let dir = TempDir::new();
        let file = format!("--callgrind-out-file={}/callgrind.out", dir.path().display());
        let subject =
            Subject::under(&["valgrind", "--tool=callgrind", "--separate-threads=yes", &file], manifests, log);
        Callgrind { subject, dir, dumps: 0 }
    }

    /// What the worker did since the start or the last call.
    pub fn take(&mut self) -> Counts {
        self.dumps += 1;
        let pid = self.subject.process.id().to_string();
        let asked = Command::new("callgrind_control").args(["--dump", &pid]).output().expect("callgrind_control");
        assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
        let prefix = format!("callgrind.out.{}-", self.dumps);
        let files =
            std::fs::read_dir(self.dir.path()).expect("the dumps' directory").map(|entry| entry.expect("an entry"));
        let dumps = files.filter(|file| file.file_name().to_string_lossy().starts_with(&prefix));
        let threads = dumps.map(|file| Counts::read(&std::fs::read_to_string(file.path()).expect("a dump")));
        // What other threads do – following files, writing the log – depends on time, not on requests.
        threads.max_by_key(|counts| counts.instructions).expect("a dump of each thread")
    }
}

impl Counts {
    /// All allocations.
    pub fn allocated(&self) -> u64 {
        self.allocations.values().sum()
    }

    /// The costliest functions, with their instructions per request.
    pub fn costliest(&self, requests: f64) -> String {
        let lines =
            self.functions.iter().take(15).map(|(name, cost)| format!("{:8.0}  {name}", *cost as f64 / requests));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Reads callgrind's format 1: a name is given once as `(id) name` and then as `(id)`. `calls=` belongs to the `cfn=` before it,
    /// and the cost in the line after it to the function called; other lines of cost belong to the last `fn=`.
    fn read(text: &str) -> Counts {
        let mut reader = Reader::default();
        text.lines().for_each(|line| reader.line(line));
        let mut functions: Vec<_> = reader.costs.iter().map(|(id, cost)| (reader.name(id).to_owned(), *cost)).collect();
        functions.sort_by_key(|(_, cost)| std::cmp::Reverse(*cost));
        Counts { instructions: reader.total, allocations: reader.allocations, functions }
    }
}

#[derive(Default)]
struct Reader<'a> {
    names: HashMap<&'a str, &'a str>,
    function: &'a str,
    callee: &'a str,
    after_call: bool,
    costs: HashMap<&'a str, u64>,
    allocations: HashMap<String, u64>,
    total: u64,
}

impl<'a> Reader<'a> {
    fn line(&mut self, line: &'a str) {
        if let Some(name) = line.strip_prefix("fn=") {
            self.function = self.id(name);
        } else if let Some(name) = line.strip_prefix("cfn=") {
            self.callee = self.id(name);
        } else if let Some(calls) = line.strip_prefix("calls=") {
            self.after_call = true;
            let name = self.name(self.callee);
            if allocates(name) {
                *self.allocations.entry(name.to_owned()).or_default() += first_number(calls);
            }
        } else if let Some(total) = line.strip_prefix("totals: ") {
            self.total = first_number(total);
        } else if line.starts_with(|c: char| c.is_ascii_digit() || "+-*".contains(c))
            && !std::mem::take(&mut self.after_call)
        {
            let cost = line.split(' ').nth(1).map_or(0, first_number);
            *self.costs.entry(self.function).or_default() += cost;
        }
    }

    /// The id of a name, which is remembered when it is given.
    fn id(&mut self, name: &'a str) -> &'a str {
        let (id, name) = name.split_once(' ').unwrap_or((name, ""));
        if !name.is_empty() {
            self.names.insert(id, name);
        }
        id
    }

    fn name(&self, id: &str) -> &'a str {
        self.names.get(id).copied().unwrap_or_default()
    }
}

fn first_number(text: &str) -> u64 {
    text.split(' ').next().and_then(|n| n.parse().ok()).expect("a number")
}

/// Functions of jemalloc and of the C library that hand out memory. Callgrind marks recursion with a quote and a number.
fn allocates(function: &str) -> bool {
    let name = function.split('\'').next().unwrap_or(function);
    let name = name.strip_prefix("_rjem_").unwrap_or(name);
    matches!(
        name,
        "malloc" | "calloc" | "realloc" | "memalign" | "posix_memalign" | "aligned_alloc" | "mallocx" | "rallocx"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_with_names_given_once() {
        let text = "version: 1\nevents: Ir\nfn=(1) serve\n10 5\ncfn=(2) _rjem_malloc\ncalls=3 20\n10 90\ncfn=(3) memcpy\ncalls=7 1\n10 9\n\
                    fn=(4) grow\ncfi=(9) x.c\ncfn=(2)\ncalls=2 20\n1 60\ncfn=(5) _rjem_realloc'2\ncalls=1 30\n1 1\n+3 1\n\ntotals: 165\n";
        let counts = Counts::read(text);
        assert_eq!(counts.instructions, 165);
        assert_eq!(counts.allocations["_rjem_malloc"], 5);
        assert_eq!(counts.allocated(), 6);
        assert_eq!(counts.functions, [("serve".to_owned(), 5), ("grow".to_owned(), 1)]);
    }

    #[test]
    fn functions_that_only_look_like_allocators_do_not_count() {
        for name in ["malloc_usable_size", "_rjem_sdallocx", "free", "my_malloc_wrapper", "alloc::alloc::alloc"] {
            assert!(!allocates(name), "{name}");
        }
    }
}
