//! A process that proxies: data plane, admin interface, access log, signals and the drain at the end. `serve` and `proxy`
//! differ in where their configuration comes from.

use crate::dataplane::{self, DataPlane};
use crate::log::Logs;
use crate::thread::Thread;
use crate::version;
use anyhow::Context as _;
use fairlead_admin::{Admin, AdminState, PublicState, Readiness};
use fairlead_telemetry::{AccessLog, Caps, LogTarget, LogWriter, Registry};
use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, watch};

/// How the process runs.
pub struct Settings {
    /// Number of workers.
    pub workers: usize,
    /// Listener port → port that is really taken.
    pub port_map: BTreeMap<u16, u16>,
    /// Format and place of the access log, if there is one.
    pub access_log: Option<(AccessLog, LogTarget)>,
    /// Where the admin interface is, if there is one.
    pub admin_address: Option<SocketAddr>,
    /// Where `/ready`, `/live` and `/metrics` are besides.
    pub health_address: Option<SocketAddr>,
    /// How long new connections are still taken once it is told to end.
    pub drain_lead: Duration,
    /// How long requests may go on after that.
    pub drain_timeout: Duration,
    /// Whether host names of backends may stand for addresses of this machine.
    pub local_names: bool,
    /// The program's own log.
    pub logs: Logs,
}

/// A running process.
pub struct Process {
    /// Takes the configuration.
    pub data_plane: Arc<DataPlane>,
    /// Whether it should get traffic.
    pub ready: watch::Sender<Readiness>,
    wish: Arc<Notify>,
    writer: Option<Arc<LogWriter>>,
    admin: Option<Admin>,
    health: Option<Admin>,
    drain: (Duration, Duration),
}

impl Process {
    /// Starts all but what brings the configuration. Needs a tokio runtime.
    pub fn start(settings: Settings) -> anyhow::Result<Process> {
        let registry = Registry::with(settings.workers, Caps::default(), version::build());
        let access_log = match settings.access_log {
            None => None,
            Some((format, target)) => {
                let writer = LogWriter::start(&target, registry.clone()).context("cannot open the access log")?;
                Some((format, Arc::new(writer)))
            }
        };
        let writer = access_log.as_ref().map(|(_, writer)| writer.clone());
        let data_plane = Arc::new(DataPlane::start(dataplane::Settings {
            workers: settings.workers,
            port_map: settings.port_map,
            registry: registry.clone(),
            access_log,
            local_names: settings.local_names,
        })?);
        let (ready, readiness) = watch::channel(Readiness::Starting);
        let wish = Arc::new(Notify::new());
        let (plane, notify, level, logs) = (data_plane.clone(), wish.clone(), settings.logs.clone(), settings.logs);
        let state = AdminState {
            registry: registry.clone(),
            readiness: readiness.clone(),
            config: Box::new(move || Arc::new(plane.config())),
            drain: Box::new(move || notify.notify_one()),
            log_level: Box::new(move || level.level()),
            set_log_level: Box::new(move |filter| logs.set(filter)),
        };
        let admin = settings.admin_address.map(|address| Admin::start(address, state)).transpose();
        let admin = admin.context("give another --admin-address, or `off`")?;
        let public = |address| Admin::start_public(address, PublicState { registry, readiness });
        let health = settings.health_address.map(public).transpose().context("give another --health-address")?;
        let drain = (settings.drain_lead, settings.drain_timeout);
        Ok(Process { data_plane, ready, wish, writer, admin, health, drain })
    }

    /// Where the admin interface is, if there is one.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(Admin::address)
    }

    /// Serves what `source` brings until it is told to end, or `source` ends; then drains, and stops `source` and everything else.
    ///
    /// # Errors
    ///
    /// Those of `source`, with which nothing is drained.
    pub fn run(self, runtime: &Runtime, mut source: Thread, stop: impl FnOnce()) -> anyhow::Result<ExitCode> {
        let code = runtime.block_on(self.until_told(&mut source));
        stop();
        // Tasks of the source run on this thread until it has ended.
        let ended = runtime.block_on(source.join());
        self.end();
        ended.and(code)
    }

    /// Waits for SIGTERM, SIGINT, the admin interface's wish or the end of the source, then drains. A second signal ends at once.
    async fn until_told(&self, source: &mut Thread) -> anyhow::Result<ExitCode> {
        let (mut signals, mut reopen) = (Signals::new()?, listen(SignalKind::user_defined1())?);
        loop {
            tokio::select! {
                () = signals.end() => break,
                () = self.wish.notified() => break,
                _ = reopen.recv() => {
                    tracing::info!("opening the access log again");
                    if let Some(writer) = &self.writer {
                        writer.reopen();
                    }
                }
                well = source.ended() => {
                    if well {
                        break;
                    }
                    return Ok(ExitCode::FAILURE);
                }
            }
        }
        self.ready.send_replace(Readiness::Draining);
        let (lead, timeout) = self.drain;
        tracing::info!(?lead, ?timeout, "draining");
        tokio::select! {
            all = self.data_plane.drain(lead, timeout) => {
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

    /// Ends the workers and writes the last lines of the access log. Nobody else holds the data plane by now.
    fn end(self) {
        drop((self.admin, self.health));
        // The last lines are with the workers, then with the log's writer.
        if let Some(data_plane) = Arc::into_inner(self.data_plane) {
            data_plane.stop();
        }
        if let Some(writer) = self.writer.and_then(Arc::into_inner) {
            writer.close();
        }
    }
}

fn listen(kind: SignalKind) -> anyhow::Result<Signal> {
    signal(kind).context("cannot listen to signals")
}

/// What ends a process.
///
/// A terminal that goes (SIGHUP) takes the process that was started from it along; without one SIGHUP is the wish of who is used to
/// programs that read their files again on it, and is ignored.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    has_terminal: bool,
}

impl Signals {
    /// Listens from now on.
    pub fn new() -> anyhow::Result<Signals> {
        Ok(Signals {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
            has_terminal: std::io::stdin().is_terminal(),
        })
    }

    /// Waits for the next.
    pub async fn end(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => {
                    if self.has_terminal {
                        return;
                    }
                    tracing::info!("SIGHUP is ignored: changes are taken up as they come, nothing has to be read again");
                }
            }
        }
    }
}
