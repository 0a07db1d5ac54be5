//! `fairlead serve`: from files to sockets in one process.
//!
//! ```text
//! main thread: signals, drain          watch thread: change ─► plan ─► push ─► data plane ─► report
//! ```

mod args;
pub mod log;
pub mod ports;
mod report;
mod session;
pub mod table;
pub mod view;

#[cfg(test)]
mod tests;

pub use args::Args;

use crate::dataplane::{self, DataPlane};
use crate::input::{self, Bar};
use crate::output;
use anyhow::Context as _;
use fairlead_admin::{Admin, AdminState, Readiness};
use fairlead_store::Watch;
use fairlead_telemetry::{LogWriter, Registry};
use report::Reporter;
use session::Session;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, oneshot, watch};

/// Serves until it is told to stop.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let logs = log::start(&args.log_level)?;
    let plan = args.plan()?;
    let mut bar = Bar::default();
    let mut watch = Watch::open(args.input.settings(), |progress| bar.show(progress));
    bar.clear();
    let first = watch.next().context("reading the manifests was interrupted")?;
    input::require_paths(&first)?;

    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
    let _entered = runtime.enter();
    let registry = Registry::new(plan.workers);
    let access_log = args.access_log(&registry)?;
    let writer = access_log.as_ref().map(|(_, writer)| writer.clone());
    let settings = dataplane::Settings {
        workers: plan.workers,
        port_map: plan.port_map.clone(),
        registry: registry.clone(),
        access_log,
    };
    let data_plane = Arc::new(DataPlane::start(settings)?);
    let (ready, readiness) = watch::channel(Readiness::Starting);
    let wish = Arc::new(Notify::new());
    let admin = admin(&args, &data_plane, &registry, readiness, &wish, logs)?;

    let reporter = Reporter::new(args.output, output::style(), Box::new(output::print));
    let mut session = Session::new(data_plane.clone(), plan, reporter, ready.clone());
    session.begin(&first, started, admin.as_ref().map(Admin::address))?;
    let stopper = watch.stopper();
    let (ended, end) = oneshot::channel();
    let handle = runtime.handle().clone();
    let follow = move || {
        let _entered = handle.enter();
        // The receiver is gone when the process is about to end.
        let _ = ended.send(session.follow(watch));
    };
    let thread =
        std::thread::Builder::new().name("watch".into()).spawn(follow).context("cannot start the watch thread")?;
    let drain = (args.drain_lead, args.drain_timeout);
    let code = runtime.block_on(until_told(&data_plane, &ready, &wish, writer.as_deref(), end, drain));
    stopper.stop();
    if thread.join().is_err() {
        tracing::error!("the watch thread panicked");
    }
    drop(admin);
    // The last lines of the access log are with the workers, then with its writer.
    if let Some(data_plane) = Arc::into_inner(data_plane) {
        data_plane.stop();
    }
    if let Some(writer) = writer.and_then(Arc::into_inner) {
        writer.close();
    }
    code
}

/// Waits for SIGTERM, SIGINT or the admin interface's wish, then drains. A second signal ends at once.
async fn until_told(
    data_plane: &DataPlane,
    ready: &watch::Sender<Readiness>,
    wish: &Notify,
    writer: Option<&LogWriter>,
    mut ended: oneshot::Receiver<anyhow::Result<()>>,
    (lead, timeout): (Duration, Duration),
) -> anyhow::Result<ExitCode> {
    let (mut signals, mut reopen) = (Signals::new()?, listen(SignalKind::user_defined1())?);
    loop {
        tokio::select! {
            () = signals.end() => break,
            () = wish.notified() => break,
            _ = reopen.recv() => {
                tracing::info!("opening the access log again");
                if let Some(writer) = writer {
                    writer.reopen();
                }
            }
            result = &mut ended => {
                // The watch ends when it is stopped or its output can't be written: both are an end.
                result.unwrap_or(Ok(()))?;
                break;
            }
        }
    }
    ready.send_replace(Readiness::Draining);
    tracing::info!(?lead, ?timeout, "draining");
    tokio::select! {
        all = data_plane.drain(lead, timeout) => {
            if all {
                tracing::info!("drained: every connection ended by itself");
            } else {
                tracing::warn!("some connections did not end within the drain timeout");
            }
            Ok(ExitCode::SUCCESS)
        }
        () = signals.end() => {
            tracing::warn!("ended by a second signal while draining");
            Ok(ExitCode::FAILURE)
        }
    }
}

fn listen(kind: SignalKind) -> anyhow::Result<Signal> {
    signal(kind).context("cannot listen to signals")
}

/// What ends the process.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Signals> {
        Ok(Signals { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn admin(
    args: &Args,
    data_plane: &Arc<DataPlane>,
    registry: &Arc<Registry>,
    readiness: watch::Receiver<Readiness>,
    wish: &Arc<Notify>,
    logs: log::Logs,
) -> anyhow::Result<Option<Admin>> {
    let Some(address) = args.admin_address() else { return Ok(None) };
    let (plane, wish, level) = (data_plane.clone(), wish.clone(), logs.clone());
    let state = AdminState {
        registry: registry.clone(),
        readiness,
        config: Box::new(move || Arc::new(plane.config())),
        drain: Box::new(move || wish.notify_one()),
        log_level: Box::new(move || level.level()),
        set_log_level: Box::new(move |filter| logs.set(filter)),
    };
    let admin = Admin::start(address, state).context("give another --admin-address, or `off`")?;
    Ok(Some(admin))
}
