//! `fairlead proxy`: serves what the controller pushes.
//!
//! ```text
//! main thread: signals, drain, push channel          push thread: push ─► data plane ─► answer
//! ```

use crate::dataplane::{Binds, DataPlane};
use crate::process::{Process, Settings};
use crate::thread::Thread;
use crate::{findings, log, options};
use anyhow::Context as _;
use fairlead_admin::Readiness;
use fairlead_ir::{Bind, Id, Transport};
use fairlead_telemetry::LogTarget;
use fairlead_wire::Clock;
use fairlead_wire::client::{self, Answers, Client, Received};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// See the module.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Run by the pods that the controller makes for each Gateway; there is seldom a reason to run it by hand.

Signals: SIGTERM and SIGINT drain and end (a second one ends at once).")]
pub struct Args {
    /// Where the controller is: https://HOST:PORT. Its certificate must name HOST.
    #[arg(long, value_name = "URL")]
    controller: String,

    /// The Gateway to serve.
    #[arg(long, value_name = "NAMESPACE/NAME")]
    gateway: String,

    /// Our name among the Gateway's proxies: that of the pod; POD_NAME of the environment, or the host's name, when absent.
    #[arg(long, value_name = "NAME")]
    pod: Option<String>,

    /// Certificates of the CAs that may have signed the controller's, PEM.
    #[arg(long, value_name = "PATH")]
    ca_file: PathBuf,

    /// Token with which we show who we are.
    #[arg(long, value_name = "PATH")]
    token_file: PathBuf,

    /// Where the last configuration is kept, for a start without a controller.
    #[arg(long, value_name = "PATH")]
    cache_dir: Option<PathBuf>,

    /// Worker threads; one per core when absent.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: Option<u16>,

    /// Where /ready, /live and /metrics are.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:15020")]
    health_address: SocketAddr,

    /// Where the admin interface is.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:15000")]
    admin_address: SocketAddr,

    /// How long new connections are still taken after SIGTERM, while /ready says no and answers tell clients to go elsewhere: the time
    /// in which the cluster learns that this pod goes.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = options::duration)]
    drain_lead: Duration,

    /// How long requests may go on after SIGTERM, and after the lead.
    #[arg(long, value_name = "DURATION", default_value = "45s", value_parser = options::duration)]
    drain_timeout: Duration,

    /// `json`, `text`, `off`, or a line with Envoy's operators (%REQ(NAME)%, %RESPONSE_CODE%, …); on stdout.
    #[arg(long, value_name = "FORMAT", default_value = "json")]
    access_log: String,

    /// What the program tells about itself on stderr: error, warn, info, debug, trace, or a filter as `info,fairlead_wire=debug`.
    #[arg(long, value_name = "FILTER", default_value = "info")]
    log_level: String,
}

/// Sockets that could not be opened are tried again after this time.
const RETRY: Duration = Duration::from_secs(5);
/// A proxy that starts waits so long for the controller before it takes what it served last.
const PATIENCE: Duration = Duration::from_secs(1);

/// Serves until it is told to stop.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let logs = log::start(&args.log_level)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
    let _entered = runtime.enter();
    let process = Process::start(args.settings(logs)?)?;
    let client = Client::start(args.client()?)?;
    let (stop, stopped) = oneshot::channel::<()>();
    let session = Session { data_plane: process.data_plane.clone(), ready: process.ready.clone(), binds: Binds::new() };
    let handle = runtime.handle().clone();
    let source = Thread::start("push", move || {
        let _entered = handle.enter();
        handle.block_on(session.follow(client, stopped));
        Ok(())
    })?;
    process.run(&runtime, source, || drop(stop))
}

/// Takes pushes in and answers them.
struct Session {
    data_plane: Arc<DataPlane>,
    ready: watch::Sender<Readiness>,
    binds: Binds,
}

impl Session {
    async fn follow(mut self, mut client: Client, mut stopped: oneshot::Receiver<()>) {
        let answers = client.answers();
        loop {
            let retry = async {
                match self.binds.values().any(Result::is_err) {
                    true => tokio::time::sleep(RETRY).await,
                    false => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = &mut stopped => break,
                received = client.next() => match received {
                    Some(received) => self.take(&received, &answers),
                    None => break,
                },
                () = retry => {
                    let binds = self.data_plane.retry_binds();
                    if binds != self.binds {
                        self.bound(binds);
                        answers.unbound(unbound(&self.binds));
                    }
                }
            }
        }
        client.close().await;
    }

    /// Serves a push and says what can't be served.
    fn take(&mut self, received: &Received, answers: &Answers) {
        let push = match received {
            Received::Push(push) => push,
            Received::Cached(push) => {
                tracing::warn!("no controller: serving what was served last");
                push
            }
        };
        let applied = self.data_plane.apply(push);
        tracing::debug!(version = push.version, upserts = push.upserts.len(), removals = push.removals.len(), "pushed");
        for (id, why) in &applied.rejected {
            tracing::warn!("can't serve {}: {why}; its last good version serves on", findings::resource(id));
        }
        self.bound(applied.binds);
        // A socket that can't be opened is its listener's problem: the others are to get their traffic.
        self.ready.send_if_modified(|ready| {
            let starting = *ready == Readiness::Starting;
            if starting {
                *ready = Readiness::Live;
            }
            starting
        });
        answers.ack(push.version, applied.rejected, unbound(&self.binds));
    }

    fn bound(&mut self, binds: Binds) {
        for (bind, result) in &binds {
            if self.binds.get(bind) != Some(result) {
                match result {
                    Ok(address) => tracing::info!(%address, "listening"),
                    Err(why) => tracing::warn!("not listening on {}: {why}", socket(bind)),
                }
            }
        }
        self.binds = binds;
    }
}

fn unbound(binds: &Binds) -> BTreeMap<String, String> {
    binds.iter().filter_map(|(bind, result)| Some((socket(bind), result.as_ref().err()?.clone()))).collect()
}

/// `port`, or `address:port`; with `/udp` behind it for UDP.
fn socket(bind: &Bind) -> String {
    let transport = if bind.transport == Transport::Udp { "/udp" } else { "" };
    match bind.address {
        None => format!("{}{transport}", bind.port),
        Some(address) => format!("{}{transport}", SocketAddr::new(address, bind.port)),
    }
}

impl Args {
    fn settings(&self, logs: log::Logs) -> anyhow::Result<Settings> {
        Ok(Settings {
            workers: options::workers(self.workers)?,
            port_map: BTreeMap::new(),
            access_log: options::access_log(&self.access_log, LogTarget::Stdout)?,
            admin_address: Some(self.admin_address),
            health_address: Some(self.health_address),
            drain_lead: self.drain_lead,
            drain_timeout: self.drain_timeout,
            // Whoever may write routes and backends names hosts.
            local_names: false,
            logs,
        })
    }

    fn client(&self) -> anyhow::Result<client::Settings> {
        let environment = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let pod = self.pod.clone().or_else(|| environment("POD_NAME")).or_else(|| environment("HOSTNAME"));
        let pod: Id = pod.context("no name of our own; give --pod")?.into();
        Ok(client::Settings {
            controller: self.controller.clone(),
            ca_file: self.ca_file.clone(),
            token_file: self.token_file.clone(),
            gateway: self.gateway.as_str().into(),
            pod,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            cache: self.cache_dir.clone(),
            patience: PATIENCE,
            clock: Clock::default(),
        })
    }
}
