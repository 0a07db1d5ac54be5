//! From files to sockets, in process.

use super::report::Reporter;
use super::session::{Plan, Session};
use crate::dataplane::{DataPlane, Settings as Proxy};
use crate::output::Format;
use fairlead_admin::Readiness;
use fairlead_ir::HttpSettings;
use fairlead_store::{Settings, Stopper, Style, Watch};
use fairlead_telemetry::Registry;
use fairlead_testkit::free_port;
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::sync::{oneshot, watch};

/// A session with its threads.
struct Running {
    dir: TempDir,
    port: u16,
    printed: Arc<Mutex<String>>,
    readiness: watch::Receiver<Readiness>,
    stopper: Stopper,
    follow: Option<JoinHandle<anyhow::Result<()>>>,
    runtime: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

fn manifests(path: &str, status: u16) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: web}}
spec:
  gatewayClassName: fairlead
  listeners:
  - {{name: http, port: 80, protocol: HTTP}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: away}}
spec:
  parentRefs: [{{name: web}}]
  rules:
  - matches: [{{path: {{value: {path}}}}}]
    filters:
    - type: RequestRedirect
      requestRedirect: {{hostname: a.example, statusCode: {status}}}
"
    )
}

impl Running {
    /// Serves [`manifests`] of `/a` with 302 on a port.
    fn start(port: u16, format: Format) -> Running {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("m.yaml"), manifests("/a", 302)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _entered = runtime.enter();
        let port_map = BTreeMap::from([(80, port)]);
        let settings = Proxy {
            workers: 1,
            port_map: port_map.clone(),
            registry: Registry::new(1),
            access_log: None,
            local_names: true,
        };
        let data_plane = Arc::new(DataPlane::start(settings).unwrap());
        let printed = Arc::new(Mutex::new(String::new()));
        let sink = printed.clone();
        let print = move |text: &str| {
            sink.lock().unwrap().push_str(text);
            Ok(())
        };
        let (ready, readiness) = watch::channel(Readiness::Starting);
        let reporter = Reporter::new(format, Style::Plain, Box::new(print));
        let mut session =
            Session::new(data_plane, Plan { workers: 1, port_map, http: HttpSettings::default() }, reporter, ready);
        let mut watch = Watch::open(Settings::new([dir.path()]), |_| {});
        let first = watch.next().unwrap();
        session.begin(&first, Instant::now(), None).unwrap();
        let stopper = watch.stopper();
        let handle = runtime.handle().clone();
        let follow = std::thread::spawn(move || {
            let _entered = handle.enter();
            session.follow(watch)
        });
        let (end, ended) = oneshot::channel::<()>();
        drop(_entered);
        let thread = std::thread::spawn(move || {
            let _ = runtime.block_on(ended);
        });
        Running { dir, port, printed, readiness, stopper, follow: Some(follow), runtime: Some((end, thread)) }
    }

    fn write(&self, text: &str) {
        fs::write(self.dir.path().join("m.yaml"), text).unwrap();
    }

    /// The status of a request.
    fn get(&self, path: &str) -> Option<u16> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.split(' ').nth(1)?.parse().ok()
    }

    fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let end = Instant::now() + Duration::from_secs(20);
        while !holds() {
            assert!(Instant::now() < end, "never: {what}\n{}", self.printed());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn printed(&self) -> String {
        self.printed.lock().unwrap().clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stopper.stop();
        if let Some(thread) = self.follow.take() {
            let result = thread.join();
            assert!(std::thread::panicking() || matches!(result, Ok(Ok(()))), "the session ends well: {result:?}");
        }
        if let Some((end, thread)) = self.runtime.take() {
            let _ = end.send(());
            let _ = thread.join();
        }
    }
}

#[test]
fn follows_the_files_and_keeps_what_was_good() {
    let running = Running::start(free_port(), Format::Text);
    assert_eq!(*running.readiness.borrow(), Readiness::Live);
    assert_eq!((running.get("/a"), running.get("/b")), (Some(302), Some(404)));
    assert!(running.printed().contains("default/web  http      HTTP      80"), "{}", running.printed());
    running.write(&manifests("/b", 301));
    running.until("the change", || running.get("/b") == Some(301));
    assert_eq!(running.get("/a"), Some(404));
    let line = "changed HTTPRoute default/away: 1 resource pushed, version 2 in ";
    running.until("the line", || running.printed().contains(line));
    running.write("kind: [\n");
    running.until("the problem", || running.printed().contains("m.yaml:1:7: error: unclosed bracket '['\n"));
    assert_eq!(running.get("/b"), Some(301), "the last good version");
    running.write(&manifests("/b", 418));
    running.until("the condition", || running.printed().contains("418 is none of 301"));
    assert!(running.printed().contains("solved "), "{}", running.printed());
    running.write(&manifests("/b", 302));
    running.until("the end of the condition", || {
        let solved = |line: &str| line.starts_with("solved ") && line.contains("418 is none of 301");
        running.printed().lines().any(solved)
    });
    running.write("---\n");
    running.until("the removal", || running.printed().contains(" removed, version "));
}

#[test]
fn a_vanished_directory_is_told_of_and_served_on() {
    let running = Running::start(free_port(), Format::Text);
    let away = running.dir.path().with_extension("away");
    fs::rename(running.dir.path(), &away).unwrap();
    running.until("the problem", || running.printed().contains("error: can't read: No such file or directory"));
    assert_eq!(running.get("/a"), Some(302));
    fs::rename(&away, running.dir.path()).unwrap();
    running.until("the solution", || running.printed().contains("solved "));
    running.write(&manifests("/c", 302));
    running.until("the change", || running.get("/c") == Some(302));
}

#[test]
fn a_taken_port_is_a_condition_and_tried_again() {
    let taken = TcpListener::bind("[::]:0").unwrap();
    let running = Running::start(taken.local_addr().unwrap().port(), Format::Json);
    let first: serde_json::Value = serde_json::from_str(running.printed().lines().next().unwrap()).unwrap();
    assert_eq!(first["event"], "serving");
    assert_eq!(first["listeners"][0]["addresses"][0], "not bound");
    let text = first["problems"].to_string();
    assert!(text.contains("PortUnavailable") && text.contains("cannot listen on"), "{text}");
    assert!(!text.contains("listeners say why"), "said once: {text}");
    assert!(matches!(&*running.readiness.borrow(), Readiness::ListenerDown(why) if why.contains("port 80")));
    drop(taken);
    running.until("the socket", || running.get("/a") == Some(302));
    running.until("the event", || running.printed().contains(r#""event":"listening""#));
    assert_eq!(*running.readiness.borrow(), Readiness::Live);
}
