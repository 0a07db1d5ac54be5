//! The proxy that is counted.

use crate::manifests::PORT;
use fairlead_testkit::{Answer, Process, TempDir, Wire, free_port, wait_until};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Valgrind slows a process down by a factor of fifty.
const START: Duration = Duration::from_secs(120);

/// Whether requests are logged. Metrics are always on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum AccessLog {
    /// Not at all.
    Off,
    /// As JSON, to `/dev/null`.
    Json,
}

/// `fairlead serve` with one worker, perhaps run by another command.
pub struct Subject {
    /// The process.
    pub process: Process,
    /// Where the Gateway's listener is.
    pub address: SocketAddr,
    _dir: TempDir,
}

impl Subject {
    /// Starts it as it is.
    pub fn start(manifests: &str, log: AccessLog) -> Subject {
        Subject::under(&[], manifests, log)
    }

    /// Starts it as argument of a command (`valgrind …`), and waits until it serves.
    pub fn under(wrapper: &[&str], manifests: &str, log: AccessLog) -> Subject {
        let dir = TempDir::new();
        dir.write("manifests.yaml", manifests);
        let binary = binary();
        let mut words = wrapper.to_vec();
        words.push(binary.to_str().expect("a path in UTF-8"));
        let (port, admin) = (free_port(), SocketAddr::from(([127, 0, 0, 1], free_port())));
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg("serve").arg("-f").arg(dir.path());
        command.args(["--workers", "1", "--admin-address", &admin.to_string()]);
        command.args(match log {
            AccessLog::Off => ["--access-log", "off"].as_slice(),
            AccessLog::Json => &["--access-log", "json", "--access-log-file", "/dev/null"],
        });
        command.args(["--port-map", &format!("{PORT}={port}")]);
        let mut subject = Subject {
            process: Process::start(&mut command),
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            _dir: dir,
        };
        wait_until(START, "the proxy to be ready", || {
            assert!(subject.process.is_running(), "{}", subject.process.output());
            ready(admin).then_some(())
        });
        subject
    }

    /// Anonymous memory (PSS), KiB. Pages of the binary don't count: who else runs it changes their share.
    pub fn memory_kib(&self) -> f64 {
        kib(&self.process, "Pss_Anon:")
    }
}

/// A process's memory of a kind, KiB.
pub(crate) fn kib(process: &Process, what: &str) -> f64 {
    let path = format!("/proc/{}/smaps_rollup", process.id());
    let text = std::fs::read_to_string(&path).expect("a kernel with smaps_rollup");
    let line = text.lines().find_map(|line| line.strip_prefix(what)).expect(what);
    line.trim_end_matches("kB").trim().parse().expect("a number")
}

/// Whether a tool is not installed, said aloud: its test is then skipped. `tests/install test` brings it.
pub fn is_missing(tool: &str) -> bool {
    let missing = Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err();
    if missing {
        eprintln!("SKIPPED: {tool} is not installed; run tests/install test");
    }
    missing
}

/// Lets this process and its children open as many files as they may.
pub fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
        .expect("soft limit up to the hard one");
}

/// Prints what was counted, and fails when it is more than it may be.
pub fn report(what: &str, measured: f64, budget: f64) {
    println!("{what}: {measured:.2} (budget {budget})");
    assert!(measured <= budget, "{what}: {measured:.2} is more than the budget of {budget}");
}

/// The optimised binary: counts of another one say nothing.
pub(crate) fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("FAIRLEAD_BIN") {
        return path.into();
    }
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/release/fairlead"));
    assert!(path.exists(), "{} is missing: run cargo build --release, or set FAIRLEAD_BIN", path.display());
    path
}

pub(crate) fn ready(admin: SocketAddr) -> bool {
    let answer = || -> Option<Answer> {
        TcpStream::connect(admin).ok()?;
        Wire::connect(admin)
            .send(format!("GET /ready HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n"))
            .response(false)
    };
    answer().is_some_and(|answer| answer.status == 200)
}
