//! Instructions and heap allocations, counted by valgrind's callgrind: the same every time.
//!
//! Allocations are calls of the allocator's functions, so the product needs no allocator of its own for the count.

use crate::Subject;
use fairlead_testkit::{TempDir, wait_until};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A proxy under callgrind.
pub struct Callgrind {
    /// The proxy.
    pub subject: Subject,
    out: PathBuf,
    dumps: u32,
    _dir: TempDir,
}

/// What happened between two dumps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    /// Executed instructions, of all threads.
    pub instructions: u64,
    /// Calls that allocate or grow heap memory, by function.
    pub allocations: HashMap<String, u64>,
}

impl Callgrind {
    /// Starts a proxy with these manifests.
    pub fn start(manifests: &str) -> Callgrind {
        let dir = TempDir::new();
        let out = dir.path().join("callgrind.out");
        let file = format!("--callgrind-out-file={}", out.display());
        let subject = Subject::under(&["valgrind", "--tool=callgrind", &file], manifests);
        Callgrind { subject, out, dumps: 0, _dir: dir }
    }

    /// What happened since the start or the last call.
    pub fn take(&mut self) -> Counts {
        self.dumps += 1;
        let pid = self.subject.process.id().to_string();
        let asked = Command::new("callgrind_control").args(["--dump", &pid]).output().expect("callgrind_control");
        assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
        let path = PathBuf::from(format!("{}.{}", self.out.display(), self.dumps));
        wait_until(Duration::from_secs(60), "callgrind's dump", || whole(&path).then_some(()));
        Counts::read(&std::fs::read_to_string(&path).expect("a dump"))
    }
}

impl Counts {
    /// All allocations.
    pub fn allocated(&self) -> u64 {
        self.allocations.values().sum()
    }

    /// Reads callgrind's format 1: names are given once as `(id) name` and then as `(id)`; `calls=` belongs to the `cfn=` before it.
    fn read(text: &str) -> Counts {
        let mut names: HashMap<&str, &str> = HashMap::new();
        let mut counts = Counts::default();
        let mut callee = "";
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("fn=").or_else(|| line.strip_prefix("cfn=")) {
                let (id, name) = name.split_once(' ').unwrap_or((name, ""));
                if !name.is_empty() {
                    names.insert(id, name);
                }
                callee = id;
            } else if let Some(calls) = line.strip_prefix("calls=") {
                let name = names.get(callee).copied().unwrap_or_default();
                if allocates(name) {
                    let calls: u64 = calls.split(' ').next().and_then(|n| n.parse().ok()).expect("a number of calls");
                    *counts.allocations.entry(name.to_owned()).or_default() += calls;
                }
            } else if let Some(total) = line.strip_prefix("totals: ").or_else(|| line.strip_prefix("summary: ")) {
                counts.instructions = total.trim().parse().expect("a number of instructions");
            }
        }
        counts
    }
}

/// Functions of jemalloc and of the C library that hand out memory. Callgrind marks recursion with a quote and a number.
fn allocates(function: &str) -> bool {
    let name = function.split('\'').next().unwrap_or(function);
    let name = name.strip_prefix("_rjem_").unwrap_or(name);
    matches!(name, "malloc" | "calloc" | "realloc" | "memalign" | "posix_memalign" | "aligned_alloc" | "mallocx" | "rallocx")
}

fn whole(path: &Path) -> bool {
    std::fs::read_to_string(path).is_ok_and(|text| text.contains("\ntotals: "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_with_names_given_once() {
        let text = "version: 1\nevents: Ir\nfn=(1) serve\n10 5\ncfn=(2) _rjem_malloc\ncalls=3 20\n10 90\ncfn=(3) memcpy\ncalls=7 1\n10 9\n\
                    fn=(4) grow\ncfi=(9) x.c\ncfn=(2)\ncalls=2 20\n1 60\ncfn=(5) _rjem_realloc'2\ncalls=1 30\n1 1\n\ntotals: 165\n";
        let counts = Counts::read(text);
        assert_eq!(counts.instructions, 165);
        assert_eq!(counts.allocations["_rjem_malloc"], 5);
        assert_eq!(counts.allocated(), 6);
    }

    #[test]
    fn functions_that_only_look_like_allocators_do_not_count() {
        for name in ["malloc_usable_size", "_rjem_sdallocx", "free", "my_malloc_wrapper", "alloc::alloc::alloc"] {
            assert!(!allocates(name), "{name}");
        }
    }
}
