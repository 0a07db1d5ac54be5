//! A proxy within the test's own process: real workers and real sockets, and a configuration made by hand.

use crate::config::HTTP;
use crate::{TempDir, Wire, wait_until};
use fairlead_ir as ir;
use fairlead_net::tls::Tickets;
use fairlead_snapshot::{Cell, Compiler};
use fairlead_telemetry::{AccessLog, LogTarget, LogWriter, Registry};
use fairlead_worker::{Settings, Workers};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// See the module. Its listeners stand on one bind.
pub struct House {
    /// Where it listens, on loopback.
    pub address: SocketAddr,
    /// What it counts.
    pub registry: Arc<Registry>,
    /// Its threads.
    pub workers: Workers,
    bind: ir::Bind,
    source: Mutex<Source>,
    snapshots: Arc<Cell>,
    log: TempDir,
    /// The log ends with it.
    _writer: Arc<LogWriter>,
}

/// Where snapshots come from.
struct Source {
    compiler: Compiler,
    version: u64,
}

impl House {
    /// One worker at [`HTTP`].
    pub fn start(resources: Vec<ir::Resource>) -> House {
        House::of(HTTP, 1, resources)
    }

    /// Any number of workers at any bind.
    pub fn of(bind: ir::Bind, workers: usize, resources: Vec<ir::Resource>) -> House {
        let registry = Registry::new(workers);
        let compiler = Compiler::new(registry.clone(), Tickets::new().expect("a ticket key"));
        let snapshots: Arc<Cell> = Arc::default();
        let log = TempDir::new();
        let target = LogTarget::File(log.path().join("log"));
        let writer = Arc::new(LogWriter::start(&target, registry.clone()).expect("a log"));
        let format = AccessLog::parse("json").expect("a format");
        let workers = Workers::start(&Settings {
            workers,
            snapshots: snapshots.clone(),
            access_log: Some((format, writer.clone())),
            registry: registry.clone(),
        });
        let workers = workers.expect("workers");
        let source = Mutex::new(Source { compiler, version: 0 });
        let address = ([127, 0, 0, 1], 0).into();
        let mut house = House { address, registry, workers, bind, source, snapshots, log, _writer: writer };
        house.push(resources, vec![]);
        house.address = house.workers.listen(bind, house.address).expect("a socket");
        house
    }

    /// Changes the configuration; nothing of it may be rejected.
    pub fn push(&self, upserts: Vec<ir::Resource>, removals: Vec<ir::ResourceId>) {
        let mut source = self.source.lock().expect("no panic while pushing");
        source.version += 1;
        let push = ir::Push { version: source.version, upserts, removals };
        let applied = source.compiler.apply(&push);
        assert!(applied.rejected.is_empty(), "{applied:?}");
        self.snapshots.store(Arc::new(source.compiler.snapshot()));
    }

    /// Stops listening.
    pub fn close(&self) {
        self.workers.close(self.bind);
    }

    /// A connection for HTTP/1.1.
    pub fn wire(&self) -> Wire {
        Wire::connect(self.address)
    }

    /// All metrics, as they are scraped.
    pub fn metrics(&self) -> String {
        let mut text = String::new();
        self.registry.encode(&mut text);
        text
    }

    /// The value of a series, such as `fairlead_cluster_retries_total{cluster="c"}`; 0 when there is none.
    pub fn metric(&self, series: &str) -> f64 {
        let text = self.metrics();
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.trim().parse().expect("a number"))
    }

    /// The lines of the access log once there are `n`.
    pub fn log(&self, n: usize) -> Vec<serde_json::Value> {
        let path: PathBuf = self.log.path().join("log");
        wait_until(Duration::from_secs(10), &format!("{n} lines of the log"), || {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            // What has no end yet is still being written.
            let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            let lines: Vec<_> = whole.map(|line| serde_json::from_str(line).expect("JSON")).collect();
            (lines.len() >= n).then_some(lines)
        })
    }
}
