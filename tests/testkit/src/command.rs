//! Processes that end with the test.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The binary under test.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("FAIRLEAD_BIN") {
        return path.into();
    }
    let exe = std::env::current_exe().expect("own path");
    let dir = exe.ancestors().nth(2).expect("a test binary lies in target/<profile>/deps");
    let path = dir.join("fairlead");
    assert!(path.exists(), "{} is missing: build the binary first (cargo build), or set FAIRLEAD_BIN", path.display());
    path
}

/// A tool that `tests/install` put into `target/tools/bin`, or one on the PATH.
pub fn tool(name: &str) -> PathBuf {
    let local = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/tools/bin")).join(name);
    if local.exists() { local } else { name.into() }
}

/// Whether a command runs here.
pub fn has_command(name: &str) -> bool {
    Command::new(tool(name)).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// A port that nobody listens on now.
///
/// It is none of those that the kernel gives to outgoing connections, which a process that starts a moment later could find taken; and
/// no port is given twice.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    const PORTS: std::ops::Range<u32> = 10_000..32_000;
    let start = std::process::id().wrapping_mul(7919);
    let free = |port: u16| TcpListener::bind(("::", port)).is_ok() && TcpListener::bind(("127.0.0.1", port)).is_ok();
    for _ in PORTS {
        let n = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = (PORTS.start + n % PORTS.len() as u32) as u16;
        if free(port) {
            return port;
        }
    }
    panic!("no port is free");
}

/// Waits until `check` gives a value, at most for `limit`.
pub fn wait_until<T>(limit: Duration, what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = check() {
            return value;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Runs curl with a limit of ten seconds.
pub fn curl(args: &[&str]) -> Output {
    Command::new("curl").args(["--silent", "--show-error", "--max-time", "10"]).args(args).output().expect("curl")
}

/// A process that is killed when dropped; what it prints is kept.
pub struct Process {
    child: Child,
    output: Arc<Mutex<String>>,
}

impl Process {
    /// Starts a command and collects its standard output and error.
    pub fn start(command: &mut Command) -> Process {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("process starts");
        let output = Arc::new(Mutex::new(String::new()));
        let pipes: [Option<Box<dyn std::io::Read + Send>>; 2] =
            [child.stdout.take().map(|p| Box::new(p) as _), child.stderr.take().map(|p| Box::new(p) as _)];
        for pipe in pipes.into_iter().flatten() {
            let output = output.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    let mut output = output.lock().expect("no panic while printing");
                    output.push_str(&line);
                    output.push('\n');
                }
            });
        }
        Process { child, output }
    }

    /// All it printed so far.
    pub fn output(&self) -> String {
        self.output.lock().expect("no panic while printing").clone()
    }

    /// Process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory, in KiB.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("status of the process");
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).expect("VmRSS");
        line.trim().trim_end_matches(" kB").parse().expect("a number of KiB")
    }

    /// Sends a signal, `TERM` for example.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.id().to_string()]).status().expect("kill");
        assert!(status.success(), "kill -{name}");
    }

    /// Waits for its end; the exit code, `None` when a signal ended it.
    pub fn wait(&mut self, limit: Duration) -> Option<i32> {
        let status = wait_until(limit, "the process to end", || self.child.try_wait().expect("wait"));
        status.code()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("wait").is_none()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- output of process {} ---\n{}", self.child.id(), self.output());
        }
    }
}
