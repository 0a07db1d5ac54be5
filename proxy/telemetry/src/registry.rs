//! The registry: hands out scopes to the control side and writes all of them for a scrape.

use crate::clock::Timestamp;
use crate::encode::{self, Encoder, Kind};
use crate::labels::{ClusterLabels, EndpointLabels, Labels, ListenerLabels, RouteLabels, render, unescape};
use crate::process;
use crate::scope::{Family, Scope};
use crate::scopes::{
    ClusterCells, ClusterMetrics, EndpointCells, EndpointMetrics, ListenerCells, ListenerMetrics, RouteCells,
    RouteMetrics, WorkerCells,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};

/// How many scopes of a kind have series of their own; what comes beyond shares the scope `other`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Listeners; 5,000.
    pub listeners: usize,
    /// Route rules; 20,000.
    pub routes: usize,
    /// Clusters; 10,000.
    pub clusters: usize,
    /// Endpoints; 20,000.
    pub endpoints: usize,
}

impl Default for Caps {
    fn default() -> Self {
        Caps { listeners: 5_000, routes: 20_000, clusters: 10_000, endpoints: 20_000 }
    }
}

/// What program this is, for `fairlead_build_info`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildInfo {
    /// Of the program.
    pub version: String,
    /// Commit that it was built from, or empty.
    pub commit: String,
}

impl Default for BuildInfo {
    fn default() -> Self {
        BuildInfo { version: env!("CARGO_PKG_VERSION").into(), commit: String::new() }
    }
}

/// What became of a push of configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushOutcome {
    /// Everything is served.
    Applied,
    /// Some resources were rejected; their last good version is served.
    Partial,
    /// Nothing of it is served.
    Rejected,
}

impl PushOutcome {
    const NAMES: [&'static str; 3] = ["outcome=\"applied\"", "outcome=\"partial\"", "outcome=\"rejected\""];
}

/// What became of spans on their way to a collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Export {
    /// The collector took them.
    Exported,
    /// It did not, however often it was asked, or said that they are wrong.
    Failed,
    /// Too many waited for it.
    Dropped,
}

impl Export {
    const NAMES: [&'static str; 3] = ["outcome=\"exported\"", "outcome=\"failed\"", "outcome=\"dropped\""];
}

/// Where all numbers of the process are. Shared by the control side, which asks for scopes, and the admin interface, which
/// reads; workers hold scopes, never the registry.
#[derive(Debug)]
pub struct Registry {
    workers: usize,
    started: Timestamp,
    build: BuildInfo,
    listeners: Family<ListenerCells>,
    routes: Family<RouteCells>,
    clusters: Family<ClusterCells>,
    endpoints: Family<EndpointCells>,
    worker_scopes: Box<[Arc<Scope<WorkerCells>>]>,
    config: ConfigStatus,
    log_write_errors: AtomicU64,
    exported: [AtomicU64; Export::NAMES.len()],
    exports: [AtomicU64; 2],
}

#[derive(Debug, Default)]
struct ConfigStatus {
    version: AtomicU64,
    outcomes: [AtomicU64; 3],
    rejected_resources: AtomicU64,
    last_applied: AtomicBool,
    last_time: AtomicU64,
}

impl Registry {
    /// With the default caps.
    pub fn new(workers: usize) -> Arc<Self> {
        Self::with(workers, Caps::default(), BuildInfo::default())
    }

    /// With caps and build information of one's own. At least one worker.
    pub fn with(workers: usize, caps: Caps, build: BuildInfo) -> Arc<Self> {
        let workers = workers.max(1);
        let gone: Arc<AtomicUsize> = Arc::default();
        let other = "other";
        let worker_scopes = (0..workers)
            .map(|w| {
                let index = w.to_string();
                Arc::new(Scope::single(render(&[("worker", &index)]), gone.clone()))
            })
            .collect();
        Arc::new(Registry {
            workers,
            started: Timestamp::now(),
            build,
            listeners: Family::new(caps.listeners, workers, ListenerLabels { listener: other, gateway: "" }.render()),
            routes: Family::new(
                caps.routes,
                workers,
                RouteLabels { kind: "", namespace: "", route: other, rule: "" }.render(),
            ),
            clusters: Family::new(caps.clusters, workers + 1, ClusterLabels { cluster: other }.render()),
            endpoints: Family::new(
                caps.endpoints,
                workers + 1,
                EndpointLabels { cluster: other, endpoint: "" }.render(),
            ),
            worker_scopes,
            config: ConfigStatus::default(),
            log_write_errors: AtomicU64::new(0),
            exported: Default::default(),
            exports: Default::default(),
        })
    }

    /// Number of workers: the blocks of each scope.
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// The block of clusters and endpoints that belongs to no worker, but to the one thread that speaks to them in the
    /// background.
    pub fn background(&self) -> usize {
        self.workers
    }

    /// The cells of a listener.
    pub fn listener(&self, labels: &ListenerLabels<'_>) -> Arc<ListenerMetrics> {
        self.listeners.scope(labels.render())
    }

    /// The cells of a route rule.
    pub fn route(&self, labels: &RouteLabels<'_>) -> Arc<RouteMetrics> {
        self.routes.scope(labels.render())
    }

    /// The cells of a cluster, by id.
    pub fn cluster(&self, cluster: &str) -> Arc<ClusterMetrics> {
        self.clusters.scope(ClusterLabels { cluster }.render())
    }

    /// The cells of an endpoint of a cluster, by address.
    pub fn endpoint(&self, cluster: &str, address: &str) -> Arc<EndpointMetrics> {
        self.endpoints.scope(EndpointLabels { cluster, endpoint: address }.render())
    }

    /// The cells of a listener if somebody holds them.
    pub fn find_listener(&self, labels: &ListenerLabels<'_>) -> Option<Arc<ListenerMetrics>> {
        self.listeners.find(&labels.render())
    }

    /// The cells of a cluster if somebody holds them.
    pub fn find_cluster(&self, cluster: &str) -> Option<Arc<ClusterMetrics>> {
        self.clusters.find(&ClusterLabels { cluster }.render())
    }

    /// Addresses and cells of a cluster's endpoints, as far as somebody holds them; host names are resolved here.
    pub fn find_endpoints(&self, cluster: &str) -> Vec<(String, Arc<EndpointMetrics>)> {
        let mut prefix = ClusterLabels { cluster }.render();
        prefix.push_str(",endpoint=\"");
        let scopes = self.endpoints.with_prefix(&prefix);
        scopes
            .into_iter()
            .map(|scope| (unescape(scope.labels()[prefix.len()..].trim_end_matches('"')), scope))
            .collect()
    }

    /// What program this is.
    pub fn build(&self) -> &BuildInfo {
        &self.build
    }

    /// The cells of a worker: a scope with one block, that of the worker: `registry.worker(w).at(0)`.
    ///
    /// # Panics
    /// If there are not that many workers.
    pub fn worker(&self, worker: usize) -> Arc<Scope<WorkerCells>> {
        self.worker_scopes[worker].clone()
    }

    /// Notes what became of a push: the version that is served now, and how many resources were rejected.
    pub fn config_pushed(&self, version: u64, outcome: PushOutcome, rejected_resources: u64) {
        if outcome != PushOutcome::Rejected {
            self.config.version.store(version, Relaxed);
        }
        self.config.outcomes[outcome as usize].fetch_add(1, Relaxed);
        self.config.rejected_resources.store(rejected_resources, Relaxed);
        self.config.last_applied.store(outcome == PushOutcome::Applied, Relaxed);
        self.config.last_time.store(Timestamp::now().0, Relaxed);
    }

    /// Version of the configuration that was last applied; 0 before the first.
    pub fn config_version(&self) -> u64 {
        self.config.version.load(Relaxed)
    }

    /// Counts what became of spans on their way to a collector.
    pub fn spans_exported(&self, outcome: Export, spans: u64) {
        self.exported[outcome as usize].fetch_add(spans, Relaxed);
    }

    /// Counts an export request.
    pub fn export_ended(&self, taken: bool) {
        self.exports[usize::from(!taken)].fetch_add(1, Relaxed);
    }

    /// Counts batches of the access log that could not be written.
    pub fn log_write_failed(&self) {
        self.log_write_errors.fetch_add(1, Relaxed);
    }

    /// Writes everything as Prometheus text (version 0.0.4). Routes and endpoints that never had a request are left out.
    pub fn encode(&self, out: &mut String) {
        let routes =
            used(self.routes.held(), |c: &RouteCells| c.requests.total() + c.retries.value() + c.mirrored.value());
        let endpoints =
            used(self.endpoints.held(), |c: &EndpointCells| c.requests.value() + c.connect_failures.value());
        let mut encoder = Encoder::new(out);
        self.encode_process(&mut encoder);
        encoder.family(encode::WORKER, &self.worker_scopes);
        encoder.family(encode::LISTENER, &self.listeners.held());
        encoder.family(encode::ROUTE, &routes);
        encoder.family(encode::CLUSTER, &self.clusters.held());
        encoder.family(encode::ENDPOINT, &endpoints);
    }

    fn encode_process(&self, out: &mut Encoder<'_>) {
        let build = render(&[("version", &self.build.version), ("commit", &self.build.commit)]);
        out.plain("fairlead_build_info", Kind::Gauge, "Always 1; what program this is.", &[(&build, 1.0)]);
        process::encode(self.started, out);
        out.plain("fairlead_workers", Kind::Gauge, "Worker threads.", &[("", self.workers as f64)]);
        let config = &self.config;
        let of = |cell: &AtomicU64| cell.load(Relaxed) as f64;
        out.plain(
            "fairlead_config_version",
            Kind::Gauge,
            "Version that was last applied.",
            &[("", of(&config.version))],
        );
        let outcomes: Vec<(&str, f64)> = PushOutcome::NAMES.into_iter().zip(config.outcomes.iter().map(of)).collect();
        out.plain("fairlead_config_pushes_total", Kind::Counter, "Pushes of configuration by outcome.", &outcomes);
        let success = f64::from(u8::from(config.last_applied.load(Relaxed)));
        out.plain(
            "fairlead_config_last_push_success",
            Kind::Gauge,
            "1 if all of the last push is served.",
            &[("", success)],
        );
        let rejected = [("", of(&config.rejected_resources))];
        out.plain(
            "fairlead_config_rejected_resources",
            Kind::Gauge,
            "Resources of the last push that were rejected.",
            &rejected,
        );
        let time = [("", of(&config.last_time) / 1e6)];
        out.plain(
            "fairlead_config_last_push_timestamp_seconds",
            Kind::Gauge,
            "Time of the last push since 1970.",
            &time,
        );
        let merged = [
            ("kind=\"listener\"", self.listeners.merged() as f64),
            ("kind=\"route\"", self.routes.merged() as f64),
            ("kind=\"cluster\"", self.clusters.merged() as f64),
            ("kind=\"endpoint\"", self.endpoints.merged() as f64),
        ];
        out.plain(
            "fairlead_metrics_merged_total",
            Kind::Counter,
            "Scopes beyond a cap that were counted as `other`.",
            &merged,
        );
        let errors = [("", of(&self.log_write_errors))];
        out.plain(
            "fairlead_access_log_write_errors_total",
            Kind::Counter,
            "Batches of the access log that could not be written.",
            &errors,
        );
        let spans: Vec<(&str, f64)> = Export::NAMES.into_iter().zip(self.exported.iter().map(of)).collect();
        out.plain("fairlead_trace_exported_spans_total", Kind::Counter, "Spans by what became of them.", &spans);
        let exports: Vec<(&str, f64)> =
            ["outcome=\"ok\"", "outcome=\"failed\""].into_iter().zip(self.exports.iter().map(of)).collect();
        out.plain("fairlead_trace_exports_total", Kind::Counter, "Export requests, repeated ones too.", &exports);
    }
}

/// Those scopes that ever counted something.
fn used<C>(mut scopes: Vec<Arc<Scope<C>>>, activity: fn(&C) -> u64) -> Vec<Arc<Scope<C>>> {
    scopes.retain(|scope| scope.total(activity) > 0);
    scopes
}

#[cfg(test)]
mod tests;
