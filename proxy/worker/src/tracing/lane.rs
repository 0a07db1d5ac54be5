//! The way of one tracer's spans to its collector: a bounded queue, one request at a time, and patience with a collector that is
//! not there.

use super::exporter::Around;
use super::send::{Link, Refused};
use fairlead_telemetry::Export;
use fairlead_telemetry::trace::{Batch, Tracer};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

/// Bytes that may wait for the collector: 4 MiB.
const WAITING: usize = 4 * 1024 * 1024;
/// Bytes at which a request takes no more batches: collectors take 4 MiB.
const REQUEST: usize = 512 * 1024;
/// A collector that takes longer is given up for this time. OpenTelemetry's default.
const TIMEOUT: Duration = Duration::from_secs(10);
/// First and longest pause before a request is repeated; a random part of it is waited.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));
/// How long a request is repeated.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often idle connections are looked at.
const TICK: Duration = Duration::from_millis(500);
/// A lane that has nothing to do for this many ticks ends: 90 s.
const IDLE: u32 = 180;

/// The way of one tracer's spans.
pub(super) struct Lane {
    tracer: Arc<Tracer>,
    queue: Rc<Queue>,
    task: JoinHandle<()>,
}

/// What waits for the collector.
struct Queue {
    batches: RefCell<VecDeque<Batch>>,
    bytes: Cell<usize>,
    closed: Cell<bool>,
    changed: Notify,
    around: Rc<Around>,
}

impl Lane {
    pub fn open(tracer: Arc<Tracer>, around: Rc<Around>) -> Lane {
        let queue = Rc::new(Queue {
            batches: RefCell::default(),
            bytes: Cell::new(0),
            closed: Cell::new(false),
            changed: Notify::new(),
            around,
        });
        let task = tokio::task::spawn_local(serve(Link::new(tracer.clone()), queue.clone()));
        Lane { tracer, queue, task }
    }

    pub fn serves(&self, tracer: &Arc<Tracer>) -> bool {
        Arc::ptr_eq(&self.tracer, tracer)
    }

    pub fn is_over(&self) -> bool {
        self.task.is_finished()
    }

    /// Takes a batch, or drops it when too much waits already.
    pub fn push(&self, batch: Batch) {
        let bytes = self.queue.bytes.get() + batch.bytes.len();
        if bytes > WAITING {
            self.queue.count(Export::Dropped, batch.spans);
            return;
        }
        self.queue.bytes.set(bytes);
        self.queue.batches.borrow_mut().push_back(batch);
        self.queue.changed.notify_one();
    }

    /// No more comes: what waits is sent, but not waited for.
    pub fn close(&self) {
        self.queue.closed.set(true);
        self.queue.changed.notify_one();
    }

    pub async fn over(&mut self) {
        let _ = (&mut self.task).await;
    }
}

impl Queue {
    fn count(&self, outcome: Export, spans: u64) {
        if spans > 0 {
            self.around.registry.spans_exported(outcome, spans);
        }
    }

    /// What goes into the next request; nothing when there is nothing.
    fn take(&self) -> Vec<Batch> {
        let mut waiting = self.batches.borrow_mut();
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while bytes < REQUEST
            && let Some(batch) = waiting.pop_front()
        {
            bytes += batch.bytes.len();
            taken.push(batch);
        }
        self.bytes.set(self.bytes.get() - bytes);
        taken
    }

    /// Waits for batches. `None`: there are none, and none for long, or no more come.
    async fn next(&self, link: &Link) -> Option<Vec<Batch>> {
        for _ in 0..IDLE {
            let taken = self.take();
            if !taken.is_empty() {
                return Some(taken);
            }
            if self.closed.get() {
                return None;
            }
            if timeout(TICK, self.changed.notified()).await.is_err() {
                link.sweep();
            }
        }
        // Between this look and the end of the task nobody else runs.
        Some(self.take()).filter(|taken| !taken.is_empty())
    }

    /// Waits before a request is repeated; not once no more comes.
    async fn pause(&self, pause: Duration) {
        let until = Instant::now() + pause;
        while !self.closed.get() && tokio::time::timeout_at(until, self.changed.notified()).await.is_ok() {}
    }
}

async fn serve(mut link: Link, queue: Rc<Queue>) {
    let mut trouble = false;
    while let Some(batches) = queue.next(&link).await {
        let spans = batches.iter().map(|batch| batch.spans).sum();
        let body = link.body(&batches);
        drop(batches);
        Box::pin(deliver(&mut link, &queue, &body, spans, &mut trouble)).await;
    }
}

/// Sends until the collector has taken the spans, or it is of no use to go on. `trouble`: the log was told that something is wrong.
async fn deliver(link: &mut Link, queue: &Queue, body: &[u8], spans: u64, trouble: &mut bool) {
    let (mut backoff, patience) = (BACKOFF.0, Instant::now() + PATIENCE);
    loop {
        let sent = timeout(TIMEOUT, link.send(&queue.around, body)).await;
        let sent = sent.unwrap_or_else(|_| Err(Refused::later("it took longer than 10 s")));
        queue.around.registry.export_ended(sent.is_ok());
        let refused = match sent {
            Ok(None) => {
                queue.count(Export::Exported, spans);
                if std::mem::take(trouble) {
                    tracing::info!(collector = link.name(), "spans are taken again");
                }
                return;
            }
            Ok(Some((rejected, why))) => {
                let rejected = rejected.min(spans);
                queue.count(Export::Exported, spans - rejected);
                queue.count(Export::Failed, rejected);
                tracing::warn!(collector = link.name(), rejected, why, "the collector did not take all spans");
                return;
            }
            Err(refused) => refused,
        };
        if !std::mem::replace(trouble, true) {
            tracing::warn!(collector = link.name(), why = %refused.why, again = refused.again, "cannot export spans");
        }
        let pause = refused.after.unwrap_or_else(|| backoff.mul_f64(0.5 + fastrand::f64() / 2.0));
        if !refused.again || queue.closed.get() || Instant::now() + pause > patience {
            queue.count(Export::Failed, spans);
            return;
        }
        queue.pause(pause).await;
        backoff = (backoff * 2).min(BACKOFF.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fairlead_telemetry::Registry;
    use fairlead_telemetry::trace::{Protocol, Rate, Settings};

    fn tracer() -> Arc<Tracer> {
        Arc::new(Tracer::new(Settings {
            destination: 7,
            protocol: Protocol::Grpc,
            authority: "nobody:4317".into(),
            headers: vec![],
            service_name: "test".into(),
            span_name: None,
            rate: Rate::new(1, 1),
            parent_rate: None,
            attributes: vec![],
            version: "1".into(),
        }))
    }

    fn count(registry: &Registry, series: &str) -> u64 {
        let mut text = String::new();
        registry.encode(&mut text);
        text.lines().find_map(|line| line.strip_prefix(series)).unwrap().trim().parse().unwrap()
    }

    /// Without a collector batches wait, but not all of them, and not for ever.
    #[test]
    fn what_waits_is_bounded() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build_local(tokio::runtime::LocalOptions::default())
            .unwrap();
        runtime.block_on(async {
            let (tracer, registry) = (tracer(), Registry::new(1));
            let around = Rc::new(Around { snapshots: Arc::default(), registry: registry.clone() });
            let mut lane = Lane::open(tracer.clone(), around);
            assert!(lane.serves(&tracer) && !lane.serves(&self::tracer()));
            let batch = || Batch { tracer: tracer.clone(), bytes: vec![0; 64 * 1024], spans: 100 };
            let fits = WAITING / (64 * 1024);
            for _ in 0..fits + 5 {
                lane.push(batch());
            }
            assert_eq!(count(&registry, "fairlead_trace_exported_spans_total{outcome=\"dropped\"}"), 500);
            assert_eq!(count(&registry, "fairlead_trace_exported_spans_total{outcome=\"failed\"}"), 0);
            // A request's worth is given up after a minute, the next one after another.
            tokio::time::sleep(PATIENCE + Duration::from_secs(1)).await;
            let failed = count(&registry, "fairlead_trace_exported_spans_total{outcome=\"failed\"}");
            assert_eq!(failed, 100 * (REQUEST / (64 * 1024)) as u64);
            lane.push(batch());
            assert_eq!(count(&registry, "fairlead_trace_exported_spans_total{outcome=\"dropped\"}"), 500, "room again");
            lane.close();
            lane.over().await;
            let failed = count(&registry, "fairlead_trace_exported_spans_total{outcome=\"failed\"}");
            assert_eq!(failed, 100 * (fits + 1) as u64, "nothing is lost without a count");
            assert!(lane.is_over());
        });
    }

    #[test]
    fn an_idle_lane_ends() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build_local(tokio::runtime::LocalOptions::default())
            .unwrap();
        runtime.block_on(async {
            let around = Rc::new(Around { snapshots: Arc::default(), registry: Registry::new(1) });
            let lane = Lane::open(tracer(), around);
            tokio::time::sleep(TICK * (IDLE - 2)).await;
            assert!(!lane.is_over());
            tokio::time::sleep(TICK * 4).await;
            assert!(lane.is_over());
        });
    }
}
