//! One lookup of one host, with the system's configuration as it is at that time.

use super::{MAX_REFRESH, NameServers};
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ProtocolConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use hickory_resolver::{Hosts, TokioResolver};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// What a lookup found.
#[derive(Debug)]
pub(super) enum Answer {
    /// An answer; without addresses when the name does not exist or has none.
    Addresses {
        /// In any order.
        addresses: Vec<IpAddr>,
        /// How long it may be used.
        ttl: Duration,
    },
    /// No answer, and why.
    Failed(String),
}

/// Makes lookups; reads the system's files again when they change (a laptop changes networks).
pub(super) struct Lookup {
    servers: NameServers,
    built: Option<(Stamps, Prepared)>,
}

/// When [`WATCHED_FILES`] were last modified.
type Stamps = [Option<SystemTime>; WATCHED_FILES.len()];

const WATCHED_FILES: [&str; 2] = ["/etc/resolv.conf", "/etc/hosts"];

impl Lookup {
    pub(super) fn new(servers: NameServers) -> Lookup {
        Lookup { servers, built: None }
    }

    /// A lookup with the configuration of now.
    pub(super) fn prepare(&mut self) -> Prepared {
        let stamps = WATCHED_FILES.map(|path| std::fs::metadata(path).and_then(|m| m.modified()).ok());
        if let Some((_, prepared)) = self.built.as_ref().filter(|(built, _)| *built == stamps) {
            return prepared.clone();
        }
        let prepared = Prepared::build(&self.servers);
        self.built = Some((stamps, prepared.clone()));
        prepared
    }
}

/// A resolver that is ready to ask.
#[derive(Clone)]
pub(super) struct Prepared {
    resolver: Result<TokioResolver, String>,
    pub(super) search: Vec<Name>,
    hosts: Arc<Hosts>,
}

impl Prepared {
    pub(super) fn build(servers: &NameServers) -> Prepared {
        let (mut config, mut options) = match servers {
            NameServers::System => read_system_conf().unwrap_or_else(|error| {
                // Hosts of /etc/hosts and `localhost` still resolve.
                tracing::warn!(%error, "no name servers: /etc/resolv.conf cannot be used");
                (ResolverConfig::from_parts(None, Vec::new(), Vec::new()), ResolverOpts::default())
            }),
            NameServers::Only(addresses) => {
                let servers = addresses.iter().copied().map(name_server).collect();
                let mut options = ResolverOpts::default();
                options.timeout = Duration::from_secs(2);
                (ResolverConfig::from_parts(None, Vec::new(), servers), options)
            }
        };
        // Search domains are our business: a name that could not be asked for must not count as absent because it is absent in
        // some search domain.
        let mut search = std::mem::take(&mut config.search);
        if search.is_empty() {
            search.extend(config.domain.take());
        }
        config.domain = None;
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        let resolver =
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()).with_options(options).build();
        let hosts = Arc::new(Hosts::from_system().unwrap_or_default());
        Prepared { resolver: resolver.map_err(|e| e.to_string()), search, hosts }
    }

    fn in_hosts_file(&self, name: &Name) -> Option<Vec<IpAddr>> {
        [RecordType::A, RecordType::AAAA].into_iter().find_map(|family| {
            let found = self.hosts.lookup_static_host(&Query::query(name.clone(), family))?;
            let addresses: Vec<_> = found.answers().iter().filter_map(|record| record.data.ip_addr()).collect();
            (!addresses.is_empty()).then_some(addresses)
        })
    }

    /// Looks `host` up as it is, then in the search domains.
    pub(super) async fn run(&self, host: &str) -> Answer {
        let resolver = match &self.resolver {
            Ok(resolver) => resolver,
            Err(reason) => return Answer::Failed(reason.clone()),
        };
        let mut name = match Name::from_utf8(host) {
            Ok(name) => name,
            Err(error) => return Answer::Failed(format!("not a host name: {error}")),
        };
        let absolute = name.is_fqdn();
        name.set_fqdn(true);
        if let Some(addresses) = self.in_hosts_file(&name) {
            return Answer::Addresses { addresses, ttl: MAX_REFRESH };
        }
        let mut answer = ask(resolver, name.clone()).await;
        if absolute {
            return answer;
        }
        name.set_fqdn(false);
        for domain in &self.search {
            if !matches!(&answer, Answer::Addresses { addresses, .. } if addresses.is_empty()) {
                return answer;
            }
            let Ok(mut name) = name.clone().append_domain(domain) else { continue };
            name.set_fqdn(true);
            answer = ask(resolver, name).await;
        }
        answer
    }
}

/// The IPv4 addresses of a name, or its IPv6 addresses when it has none. A failed question for IPv4 is no answer, even if the
/// one for IPv6 would be: a set must not change its family for a lost packet.
async fn ask(resolver: &TokioResolver, name: Name) -> Answer {
    match ask_for(resolver, name.clone(), RecordType::A).await {
        Answer::Addresses { addresses, .. } if addresses.is_empty() => ask_for(resolver, name, RecordType::AAAA).await,
        answer => answer,
    }
}

async fn ask_for(resolver: &TokioResolver, name: Name, family: RecordType) -> Answer {
    match resolver.lookup(name, family).await {
        Ok(found) => Answer::Addresses {
            addresses: found.answers().iter().filter_map(|record| record.data.ip_addr()).collect(),
            ttl: found.valid_until().saturating_duration_since(Instant::now()),
        },
        Err(NetError::Dns(DnsError::NoRecordsFound(none))) => Answer::Addresses {
            addresses: Vec::new(),
            ttl: none.negative_ttl.map_or(NEGATIVE_TTL, |seconds| Duration::from_secs(seconds.into())),
        },
        Err(error) => Answer::Failed(error.to_string()),
    }
}

/// Of answers without addresses and without a TTL of their own.
const NEGATIVE_TTL: Duration = Duration::from_secs(5);

fn name_server(address: SocketAddr) -> NameServerConfig {
    let connection = |protocol| {
        let mut connection = ConnectionConfig::new(protocol);
        connection.port = address.port();
        connection
    };
    let connections = vec![connection(ProtocolConfig::Udp), connection(ProtocolConfig::Tcp)];
    NameServerConfig::new(address.ip(), true, connections)
}
