//! Numbers of the controller, for Prometheus.

use fairlead_publish::Progress;
use fairlead_status::Writer;
use prometheus::{Encoder as _, Histogram, HistogramOpts, IntCounter, IntGauge, Opts, Registry, TextEncoder};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// All of them.
pub struct Metrics {
    registry: Registry,
    plans: Histogram,
    objects: IntCounter,
    pushes: IntCounter,
    proxies: IntGauge,
    rejected: IntGauge,
    leading: IntGauge,
    written: IntGauge,
    gateways: IntGauge,
    conflicts: IntGauge,
    failed: IntGauge,
}

impl Metrics {
    /// All zero.
    pub fn new() -> prometheus::Result<Metrics> {
        let registry = Registry::new_custom(Some("fairlead_controller".to_owned()), None)?;
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::with_opts(Opts::new(name, help))?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::with_opts(Opts::new(name, help))?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let buckets = vec![0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];
        let opts = HistogramOpts::new("plan_seconds", "From a change of objects to its pushes").buckets(buckets);
        let plans = Histogram::with_opts(opts)?;
        registry.register(Box::new(plans.clone()))?;
        Ok(Metrics {
            plans,
            objects: counter("changed_objects_total", "Objects that were new, different or gone")?,
            pushes: counter("pushes_total", "Pushes to all proxies of a Gateway")?,
            proxies: gauge("connected_proxies", "Proxies that are connected to this replica")?,
            rejected: gauge("rejected_resources", "Resources that connected proxies can't serve")?,
            leading: gauge("leader", "1 while this replica leads")?,
            written: gauge("status_writes", "Statuses written since the start")?,
            gateways: gauge("gateway_status_writes", "Statuses of Gateways written since the start")?,
            conflicts: gauge(
                "status_conflicts",
                "Status writes since the start that came second and were tried again",
            )?,
            failed: gauge("status_failures", "Status writes since the start that failed")?,
            registry,
        })
    }

    /// A change was planned and pushed.
    pub fn planned(&self, took: Duration, objects: usize, pushes: usize) {
        self.plans.observe(took.as_secs_f64());
        self.objects.inc_by(objects as u64);
        self.pushes.inc_by(pushes as u64);
    }

    /// Prometheus text format.
    pub fn text(&self, progress: &Progress, leading: bool, writer: &Writer) -> String {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let proxies = || progress.values().flat_map(|gateway| gateway.proxies.values());
        self.proxies.set(number(proxies().count()));
        self.rejected.set(number(proxies().map(|proxy| proxy.rejected.len()).sum()));
        self.leading.set(leading.into());
        let counts = writer.counts();
        for (gauge, count) in [
            (&self.written, &counts.written),
            (&self.gateways, &counts.gateways),
            (&self.conflicts, &counts.conflicts),
            (&self.failed, &counts.failed),
        ] {
            gauge.set(i64::try_from(count.load(Ordering::Relaxed)).unwrap_or(i64::MAX));
        }
        let mut text = Vec::new();
        match TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            Ok(()) => String::from_utf8_lossy(&text).into_owned(),
            Err(error) => format!("# {error}\n"),
        }
    }
}
