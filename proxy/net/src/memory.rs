//! Memory that a process does not need any more, given back to the system.
//!
//! Two things stay in a process's memory after it has read its configuration. What was read and thrown away is kept by the allocator,
//! which gives free pages back only while its thread goes on to allocate: those that read configuration are done then. And the program's
//! pages that ran once, with 64 KiB around each (the kernel's fault-around): reading arguments, setting up TLS and parsing take
//! more of them than serving does.
//!
//! Pages of the program come back with a fault of about a microsecond when they are used again. That is a millisecond in all, so this is
//! for the moments after a large change, not for requests.

mod trim;

pub use trim::Trim;

use std::ffi::CStr;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::ops::Range;

/// Gives free memory back, and the program's own pages until they are used again. Takes some milliseconds; for a thread that serves
/// nothing.
pub fn give_back() {
    purge();
    if let Ok(maps) = File::open("/proc/self/smaps") {
        for range in files(BufReader::new(maps)) {
            forget(range);
        }
    }
}

/// The allocator's free pages, of all its arenas. Does nothing where another allocator is used.
fn purge() {
    // jemalloc(3): `arena.<i>.purge`, with MALLCTL_ARENAS_ALL (4096) as index.
    const PURGE: &CStr = c"arena.4096.purge";
    let null = std::ptr::null_mut();
    // SAFETY: the name ends with a zero, and the control neither reads nor writes a value.
    let code = unsafe { tikv_jemalloc_sys::mallctl(PURGE.as_ptr(), null, null.cast(), null, 0) };
    if code != 0 {
        tracing::debug!(code, "the allocator does not purge");
    }
}

fn forget(range: Range<usize>) {
    let start = std::ptr::with_exposed_provenance_mut(range.start);
    // SAFETY: the mapping is one of a file, cannot be written, and has no page that differs from the file (see `files`). What
    // is dropped is read again from the file when it is used. Should it have been unmapped meanwhile, this fails; nothing of
    // the program or its libraries is ever unmapped, so that nothing else can be in its place.
    unsafe { libc::madvise(start, range.len(), libc::MADV_DONTNEED) };
}

/// The mappings of files, in the form of `/proc/self/smaps` (proc_pid_smaps(5)), that are as the files are: read-only or executable, and
/// without pages of the process's own. Those are the program and its libraries. Not: what relocations were written to and is read-only
/// since.
fn files(smaps: impl BufRead) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut candidate = None;
    for line in smaps.lines().map_while(Result::ok) {
        let mut words = line.split_ascii_whitespace();
        let Some(first) = words.next() else { continue };
        if first == "Anonymous:" {
            let own = words.next() != Some("0");
            found.extend(candidate.take().filter(|_| !own));
        } else if !first.ends_with(':') {
            let unchanging = matches!(words.next(), Some("r-xp" | "r--p"));
            // Offset, device, inode, path.
            let path = words.nth(3).filter(|path| path.starts_with('/'));
            candidate = path.filter(|_| unchanging).and_then(|_| range(first));
        }
    }
    found
}

/// `7f0c3a000000-7f0c3a022000`
fn range(text: &str) -> Option<Range<usize>> {
    let (start, end) = text.split_once('-')?;
    let parse = |text| usize::from_str_radix(text, 16).ok();
    Some(parse(start)?..parse(end)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    /// Mappings as (addresses, permissions, path, anonymous KiB).
    fn smaps(maps: &[(&str, &str, &str, u32)]) -> String {
        maps.iter().fold(String::new(), |mut text, (addresses, permissions, path, anonymous)| {
            let inode = if path.starts_with('/') { 77 } else { 0 };
            writeln!(text, "{addresses} {permissions} 00000000 fe:00 {inode}    {path}").unwrap();
            writeln!(text, "Size: 8 kB\nRss: 8 kB\nAnonymous: {anonymous} kB\nVmFlags: rd ex mr").unwrap();
            text
        })
    }

    #[test]
    fn only_pages_that_are_as_in_the_file_are_dropped() {
        let text = smaps(&[
            ("1000-2000", "r--p", "/usr/bin/fairlead", 0),
            ("2000-5000", "r-xp", "/usr/bin/fairlead", 0),
            ("5000-6000", "r--p", "/usr/bin/fairlead", 4),
            ("6000-7000", "rw-p", "/usr/bin/fairlead", 0),
            ("7000-8000", "rw-p", "", 0),
            ("8000-9000", "r--s", "/var/run/shared", 0),
            ("9000-a000", "r-xp", "/usr/lib/libc.so.6", 8),
            ("a000-b000", "r-xp", "[vdso]", 0),
            ("b000-c000", "r-xp", "/usr/lib/with space.so", 0),
        ]);
        assert_eq!(files(text.as_bytes()), [0x1000..0x2000, 0x2000..0x5000, 0xb000..0xc000]);
    }

    #[test]
    fn the_program_goes_on_and_has_fewer_pages() {
        let resident = || -> usize {
            let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
            let mut ours = false;
            let mut sum = 0;
            for line in smaps.lines() {
                match line.split_ascii_whitespace().collect::<Vec<_>>()[..] {
                    [_, permissions, _, _, _, path] => ours = permissions == "r-xp" && path.contains("fairlead"),
                    ["Rss:", size, _] if ours => sum += size.parse::<usize>().unwrap(),
                    _ => {}
                }
            }
            sum
        };
        let _all = std::env::current_exe().and_then(std::fs::read).unwrap();
        let before = resident();
        give_back();
        let after = resident();
        assert!(after < before, "{before} KiB before, {after} KiB after");
    }
}
