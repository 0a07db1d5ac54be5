//! The proxy as one thing: pushes go in, sockets listen, and what could not be served comes back.
//!
//! `Push ──► Compiler ──► Snapshot ──► Cell ──► workers`, with the resolver's answers entering at the compiler.

use anyhow::Context as _;
use fairlead_ir::{Bind, Config, Push, ResourceId, is_local};
use fairlead_net::memory::Trim;
use fairlead_net::tls::Tickets;
use fairlead_snapshot::{Cell, Compiler};
use fairlead_telemetry::{AccessLog, LogWriter, PushOutcome, Registry};
use fairlead_upstream::dns::{NameServers, Resolver};
use fairlead_worker::Workers;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;

/// How the proxy runs.
pub struct Settings {
    /// Number of workers.
    pub workers: usize,
    /// Listener port → port that is really taken.
    pub port_map: BTreeMap<u16, u16>,
    /// Where everything counts.
    pub registry: Arc<Registry>,
    /// The access log, if there is one.
    pub access_log: Option<(AccessLog, Arc<LogWriter>)>,
    /// Whether host names of backends may stand for addresses of this machine. Not where those who name them are not those who run it:
    /// its admin interface is there.
    pub local_names: bool,
}

/// Where each bind listens, or why it does not.
pub type Binds = BTreeMap<Bind, Result<SocketAddr, String>>;

/// The running proxy.
pub struct DataPlane {
    shared: Arc<Shared>,
    workers: Workers,
    resolver: Resolver,
    port_map: BTreeMap<u16, u16>,
    bound: Mutex<Binds>,
    trim: Arc<Trim>,
    trimming: JoinHandle<()>,
}

struct Shared {
    compiler: Mutex<Compiler>,
    snapshots: Arc<Cell>,
    registry: Arc<Registry>,
    local_names: bool,
}

/// What became of a push.
#[derive(Debug, Default)]
pub struct Applied {
    /// What can't be served, and why; its last good version serves on.
    pub rejected: Vec<(ResourceId, String)>,
    /// Where each bind listens, or why it does not.
    pub binds: Binds,
}

impl DataPlane {
    /// Starts the workers, with nothing to serve yet. Needs a tokio runtime, on which names are resolved.
    pub fn start(settings: Settings) -> anyhow::Result<DataPlane> {
        let tickets = Tickets::new().context("cannot make TLS session ticket keys")?;
        let shared = Arc::new(Shared {
            compiler: Mutex::new(Compiler::new(settings.registry.clone(), tickets)),
            snapshots: Arc::default(),
            registry: settings.registry,
            local_names: settings.local_names,
        });
        let workers = Workers::start(&fairlead_worker::Settings {
            workers: settings.workers,
            snapshots: shared.snapshots.clone(),
            access_log: settings.access_log,
            registry: shared.registry.clone(),
        })
        .context("cannot start the workers")?;
        let resolved = shared.clone();
        let resolver = Resolver::start(NameServers::System, move |host, addresses| resolved.resolve(host, addresses));
        let trim = Arc::<Trim>::default();
        let trimming = tokio::spawn(trim.clone().run());
        let (port_map, bound) = (settings.port_map, Mutex::default());
        Ok(DataPlane { shared, workers, resolver, port_map, bound, trim, trimming })
    }

    /// Takes a push in: compiles it, shows it to the workers, opens and closes sockets. Returns when new requests are served by it.
    pub fn apply(&self, push: &Push) -> Applied {
        let mut compiler = self.shared.compiler();
        let rejected = compiler.apply(push).rejected;
        self.resolver.watch(compiler.hosts().map(Arc::from).collect());
        let snapshot = compiler.snapshot();
        let wanted: Vec<Bind> = snapshot.binds().collect();
        self.shared.snapshots.store(Arc::new(snapshot));
        drop(compiler);
        let outcome = if rejected.is_empty() { PushOutcome::Applied } else { PushOutcome::Partial };
        self.shared.registry.config_pushed(push.version, outcome, rejected.len() as u64);
        self.trim.pushed(push.upserts.len() + push.removals.len());
        Applied { rejected, binds: self.listen(&wanted) }
    }

    /// Tries the binds again that could not be taken.
    pub fn retry_binds(&self) -> Binds {
        let wanted: Vec<Bind> = self.bound().keys().copied().collect();
        self.listen(&wanted)
    }

    /// What is served.
    pub fn config(&self) -> Config {
        self.shared.compiler().config().clone()
    }

    /// Goes on accepting for `lead`, while answers tell clients to go elsewhere; then stops accepting and lets connections finish, at
    /// most for `timeout`. True when all did.
    pub async fn drain(&self, lead: Duration, timeout: Duration) -> bool {
        if !lead.is_zero() {
            self.workers.announce_end();
            tokio::time::sleep(lead).await;
        }
        self.workers.drain(timeout).await
    }

    /// Ends the workers, with what they still serve; what they wrote to the access log is handed over by then.
    pub fn stop(self) {
        self.trimming.abort();
        self.workers.stop();
    }

    fn listen(&self, wanted: &[Bind]) -> Binds {
        let mut bound = self.bound();
        bound.retain(|bind, result| {
            let keep = wanted.contains(bind);
            if !keep && result.is_ok() {
                self.workers.close(*bind);
            }
            keep
        });
        for bind in wanted {
            if !matches!(bound.get(bind), Some(Ok(_))) {
                let port = self.port_map.get(&bind.port).copied().unwrap_or(bind.port);
                let address = SocketAddr::new(bind.address.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED)), port);
                let result = self.workers.listen(*bind, address).map_err(|error| error.to_string());
                bound.insert(*bind, result);
            }
        }
        bound.clone()
    }

    fn bound(&self) -> MutexGuard<'_, Binds> {
        self.bound.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn compiler(&self) -> MutexGuard<'_, Compiler> {
        self.compiler.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn resolve(&self, host: &str, addresses: &[IpAddr]) {
        let allowed: Vec<IpAddr> = addresses.iter().copied().filter(|a| self.local_names || !is_local(*a)).collect();
        if allowed.len() < addresses.len() {
            tracing::warn!(host, ?addresses, "addresses of this machine are left out: a host name may not lead there");
        }
        let addresses = &allowed;
        let mut compiler = self.compiler();
        compiler.resolve(host, addresses);
        self.snapshots.store(Arc::new(compiler.snapshot()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fairlead_ir::{Cluster, Discovery, LoadBalancing, Millis, Protocol, Resource};

    fn addresses(local_names: bool) -> Vec<String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _entered = runtime.enter();
        let settings = Settings {
            workers: 1,
            port_map: BTreeMap::new(),
            registry: Registry::new(1),
            access_log: None,
            local_names,
        };
        let plane = DataPlane::start(settings).unwrap();
        let cluster = Cluster {
            id: "xbackend/shop/api".into(),
            protocol: Protocol::Http1,
            tls: None,
            discovery: Discovery::Dns { host: "api.example".into(), port: 15000 },
            load_balancing: LoadBalancing::RoundRobin,
            connect_timeout: Millis(1000),
            idle_timeout: Millis(1000),
            retry_budget: None,
        };
        plane.apply(&Push { version: 1, upserts: vec![Resource::Cluster(Arc::new(cluster))], removals: vec![] });
        plane.shared.resolve("api.example", &["10.0.0.1".parse().unwrap(), "127.0.0.1".parse().unwrap()]);
        let snapshot = plane.shared.snapshots.load().1;
        let clusters = snapshot.clusters.iter().flatten().flat_map(|entry| entry.endpoints.targets.to_vec());
        clusters.map(|target| target.address.to_string()).collect()
    }

    #[test]
    fn names_that_others_give_do_not_lead_to_the_admin_interface() {
        assert_eq!(addresses(false), ["10.0.0.1:15000"]);
        assert_eq!(addresses(true), ["10.0.0.1:15000", "127.0.0.1:15000"]);
    }
}
