//! The thread that exports spans: workers hand batches over and go on.
//!
//! `worker ──(bounded channel)──► exporter ──► lane of the tracer ──► collector`

use super::lane::Lane;
use fairlead_snapshot::Cell as Snapshots;
use fairlead_telemetry::Registry;
use fairlead_telemetry::trace::Batch;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc;

/// Batches of all workers that may wait for the thread: 4 MiB.
const QUEUE: usize = 64;

/// How long the last spans may take once the workers are gone.
const LAST: Duration = Duration::from_secs(3);

/// Where lanes find their cluster, and where they count.
pub(super) struct Around {
    pub snapshots: Arc<Snapshots>,
    pub registry: Arc<Registry>,
}

/// Starts the thread. It ends when all senders are gone, at most [`LAST`] later.
///
/// # Errors
/// When no thread can be started.
pub fn start(
    snapshots: Arc<Snapshots>,
    registry: Arc<Registry>,
) -> std::io::Result<(mpsc::Sender<Batch>, JoinHandle<()>)> {
    let (sender, batches) = mpsc::channel(QUEUE);
    let thread = std::thread::Builder::new().name("spans".to_owned()).spawn(move || {
        let options = tokio::runtime::LocalOptions::default();
        match tokio::runtime::Builder::new_current_thread().enable_all().build_local(options) {
            Ok(runtime) => runtime.block_on(run(batches, Rc::new(Around { snapshots, registry }))),
            Err(error) => tracing::error!(%error, "cannot make the event loop that exports spans"),
        }
    })?;
    Ok((sender, thread))
}

async fn run(mut batches: mpsc::Receiver<Batch>, around: Rc<Around>) {
    let mut lanes: Vec<Lane> = Vec::new();
    while let Some(batch) = batches.recv().await {
        lanes.retain(|lane| !lane.is_over());
        let at = lanes.iter().position(|lane| lane.serves(&batch.tracer)).unwrap_or_else(|| {
            lanes.push(Lane::open(batch.tracer.clone(), around.clone()));
            lanes.len() - 1
        });
        if let Some(lane) = lanes.get(at) {
            lane.push(batch);
        }
    }
    for lane in &lanes {
        lane.close();
    }
    let all = async {
        for lane in &mut lanes {
            lane.over().await;
        }
    };
    let _ = tokio::time::timeout(LAST, all).await;
}
