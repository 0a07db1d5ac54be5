//! `fairlead controller`: from the objects of a cluster to its proxies, and back to their statuses.
//!
//! ```text
//! main thread: watches, push channel, status and fleet writers, Lease, signals          plan thread: change ─► plan ─► pushes
//! ```

mod args;
mod ca;
mod core;
mod delay;
mod metrics;
mod obstacles;
mod pages;
mod token;

pub use args::Args;

use crate::log::Logs;
use crate::process::Signals;
use crate::thread::Thread;
use crate::{live, log};
use anyhow::Context as _;
use core::Core;
use fairlead_publish::{Role, Server, Settings as ServerSettings, enroller};
use fairlead_status::{Events, Leadership, Lease, LeaseSettings, Reporter, Writer};
use fairlead_translate::{Settings, fleet};
use fairlead_watch::Watch;
use fairlead_wire::Clock;
use metrics::Metrics;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Name of the Lease.
const LEASE: &str = "fairlead-controller";

/// Runs until it is told to stop.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let logs = log::start(&args.log_level)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
    runtime.block_on(control(args, logs))
}

async fn control(args: Args, logs: Logs) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new()?;
    let client = live::client(&live::Cluster::default()).await?;
    let reporter = Reporter { controller: args.controller_name.clone(), instance: args.pod.clone() };
    let push = SocketAddr::new(args.pod_ip, args.push_address.port());
    let identity = format!("{}_{push}", args.pod);
    let events = Events::start(client.clone(), reporter);
    let election = LeaseSettings::new(&args.namespace, LEASE, &args.controller_name, identity);
    let lease = Lease::start(client.clone(), election, Some(events));

    let keeper = tokio::select! {
        keeper = ca::Keeper::open(client.clone(), &args.namespace, lease.leading()) => keeper,
        () = signals.end() => return Ok(ExitCode::SUCCESS),
    };
    let bundle = keeper.bundle();
    let accounts = watch::Sender::new(token::Accounts::default());
    let (asking, known) = (client.clone(), accounts.subscribe());
    let host = args.push_service.rsplit_once(':').map_or(&*args.push_service, |(host, _)| host);
    let listener = TcpListener::bind(args.push_address).await;
    let listener = listener.with_context(|| format!("cannot listen on --push-address {}", args.push_address))?;
    let server = Server::start(
        listener,
        ServerSettings {
            names: vec![host.to_owned()],
            authority: keeper.authority(),
            enroller: enroller(move |token| token::judge(asking.clone(), known.clone(), token)),
            role: role(lease.leadership()),
            clock: Clock::default(),
        },
    )?;
    tokio::spawn(keeper.run());

    let status = fairlead_status::Settings::new(args.controller_name.as_str(), args.pod.as_str());
    let tardy = args.test_delay.map_or_else(|| client.clone(), |delay| delay.slow(client.clone()));
    let writer = Writer::start(tardy, lease.leading(), server.progress(), status);
    let fleets = fairlead_fleet::Settings {
        namespaces: args.watch_namespaces.clone(),
        controller: args.controller_name.clone(),
    };
    let applier = fairlead_fleet::Applier::start(client.clone(), lease.leading(), fleets);
    tokio::spawn(obstacles::tell(applier.problems(), writer.clone()));
    let objects = Watch::start(client, watched(&args)).await?;
    let stopper = objects.stopper();
    let metrics = Arc::new(Metrics::new()?);
    let core = Core::new(
        settings(&args, bundle.borrow().clone()),
        server.clone(),
        applier,
        writer.clone(),
        metrics.clone(),
        accounts,
        args.test_delay,
    );
    let state = pages::State {
        progress: server.progress(),
        versions: core.versions(),
        leadership: lease.leadership(),
        health: objects.health(),
        complete: core.complete(),
        writer,
        metrics,
        logs,
    };
    let _pages = pages::start(args.health_address, args.admin_address, state)?;

    let handle = tokio::runtime::Handle::current();
    let mut plans = Thread::start("plan", move || {
        handle.block_on(core.follow(objects, bundle));
        Ok(())
    })?;
    tokio::select! {
        () = signals.end() => {}
        _ = plans.ended() => {}
    }
    tracing::info!("ending: giving the Lease back");
    stopper.stop();
    server.stop();
    lease.release().await;
    plans.join().await?;
    Ok(ExitCode::SUCCESS)
}

/// Which objects are read.
fn watched(args: &Args) -> fairlead_watch::Settings {
    fairlead_watch::Settings {
        namespaces: args.watch_namespaces.clone(),
        secret_namespaces: args.secret_namespaces.clone(),
    }
}

/// What plans depend on besides the objects.
fn settings(args: &Args, ca_bundle: Arc<str>) -> Settings {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok().and_then(|now| i64::try_from(now.as_secs()).ok());
    let fleet = fleet::Settings {
        image: args.image.as_str().into(),
        image_pull_policy: Some(args.image_pull_policy.as_str().into()),
        image_pull_secrets: args.image_pull_secrets.iter().map(|name| name.as_str().into()).collect(),
        controller: format!("https://{}", args.push_service).into(),
        ca_bundle,
    };
    Settings { controller_name: args.controller_name.as_str().into(), now, ..Settings::in_cluster(fleet) }
}

/// Proxies belong to the replica that leads: it needs to know what they serve.
fn role(mut leadership: watch::Receiver<Leadership>) -> watch::Receiver<Role> {
    let role = |leadership: &Leadership| match leadership {
        Leadership::Follower { holder } => {
            let address = holder.rsplit_once('_').and_then(|(_, address)| address.parse().ok());
            address.map_or(Role::Serve, Role::Redirect)
        }
        Leadership::Leader | Leadership::Elsewhere { .. } | Leadership::Unknown => Role::Serve,
    };
    let (tell, told) = watch::channel(role(&leadership.borrow()));
    tokio::spawn(async move {
        while leadership.changed().await.is_ok() {
            tell.send_replace(role(&leadership.borrow_and_update()));
        }
    });
    told
}
