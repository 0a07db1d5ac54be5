//! Listeners and the ports they share.

use crate::Route;
use crate::route::auths;
use fairlead_filter::Chain;
use fairlead_ir as ir;
use fairlead_net::tls::{ALPN_H2, ALPN_HTTP10, ALPN_HTTP11, ClientAuth, Identity, Roots, ServerTls, Tickets};
use fairlead_route::Connection;
use fairlead_route::{ListenerIndex, Table};
use fairlead_telemetry::ListenerMetrics;
use fairlead_telemetry::trace::Tracer;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// One listener, with the routes attached to it.
#[derive(Clone)]
pub struct Listener {
    /// What it was compiled from.
    pub config: Arc<ir::Listener>,
    /// Its routes.
    pub table: Table<Arc<Route>>,
    /// Its counters.
    pub metrics: Arc<ListenerMetrics>,
    /// A stream that makes no progress for this time is given up.
    pub stream_idle_timeout: Option<Duration>,
    /// Spans of its requests.
    pub tracer: Option<Arc<Tracer>>,
    /// What requests pass before they are routed; `None` for nothing.
    pub filters: Option<Arc<ListenerFilters>>,
}

/// What requests pass before they are routed, compiled.
pub enum ListenerFilters {
    /// These.
    Run {
        /// The filters.
        chain: Chain,
        /// Slots of the clusters of its authorisation services, in their order.
        auths: Box<[u32]>,
    },
    /// Something of them can't be served: 500 for all.
    Broken,
}

impl ListenerFilters {
    /// Compiles the filters; `slot` gives the slot of a cluster id.
    ///
    /// # Errors
    /// What is wrong and with which filter.
    pub(crate) fn compile(
        source: &ir::ListenerFilters,
        mut slot: impl FnMut(&ir::Id) -> u32,
    ) -> Result<ListenerFilters, String> {
        let ir::ListenerFilters::Run(filters) = source else { return Ok(ListenerFilters::Broken) };
        let chain = Chain::compile(filters).map_err(|problem| problem.to_string())?;
        if chain.rewrites_host() {
            return Err("filters: a listener's filter can't change the host".to_owned());
        }
        Ok(ListenerFilters::Run { auths: auths(&chain, &mut slot), chain })
    }
}

impl Listener {
    /// Whether its TLS connections go on to the backends as they are.
    pub fn is_passthrough(&self) -> bool {
        self.config.protocol == ir::ListenerProtocol::Tls
            && self.config.tls.as_ref().is_none_or(|tls| tls.certificates.is_empty())
    }

    /// The rule that takes connections, of a TLS, TCP or UDP listener; `server_name` is what a TLS client asked for, in lower case.
    pub fn connection_route(&self, server_name: &str) -> Option<&Arc<Route>> {
        self.table.find(&Connection { host: server_name }).map(|hit| hit.route)
    }
}

/// What HTTPS clients are offered, preferred first.
pub(crate) const HTTP_ALPN: &[&[u8]] = &[ALPN_H2, ALPN_HTTP11, ALPN_HTTP10];

/// All listeners on one address and port.
pub struct Port {
    /// Where it listens.
    pub bind: ir::Bind,
    /// By host name.
    pub listeners: ListenerIndex<Arc<Listener>>,
    /// What its connections are served as. `Tls` when one of its listeners is a TLS listener: the name that a client asks for tells
    /// whether TLS is passed through, ends here, or is HTTPS.
    pub protocol: ir::ListenerProtocol,
    /// TLS that ends here, by server name; `None` on plain ports.
    pub tls: Option<ListenerIndex<ServerTls>>,
    /// Limits and timers, of the port's first listener.
    pub http: ir::HttpSettings,
    /// Counters of connections.
    pub metrics: Arc<ListenerMetrics>,
}

/// Compiled secrets, by id.
#[derive(Default)]
pub(crate) struct Secrets {
    pub identities: HashMap<ir::Id, Arc<Identity>>,
    pub bundles: HashMap<ir::Id, Arc<ir::Secret>>,
}

/// Compiles the TLS side of a listener; `alpn` are the protocols to agree on. With none of its certificates usable the listener has no TLS, and handshakes for its name fail.
///
/// # Errors
/// What is wrong with the certificates or CAs.
pub(crate) fn tls(
    config: &ir::ListenerTls,
    alpn: &[&[u8]],
    secrets: &Secrets,
    tickets: &Tickets,
) -> Result<ServerTls, String> {
    let mut builder = ServerTls::builder(tickets).alpn(alpn.iter().copied());
    let mut found = false;
    for id in &config.certificates {
        if let Some(identity) = secrets.identities.get(id) {
            builder = builder.identity(identity.clone());
            found = true;
        }
    }
    if !found {
        return Err(format!("none of the certificates {:?} is usable", config.certificates));
    }
    if let Some(validation) = &config.client_validation {
        let bundles = validation.cas.iter().filter_map(|id| secrets.bundles.get(id)).map(|s| s.certificates.as_bytes());
        let roots = Roots::from_pem(bundles).map_err(|e| e.to_string())?;
        builder = builder.client_auth(match validation.mode {
            ir::ClientValidationMode::AllowValidOnly => ClientAuth::Required(roots),
            ir::ClientValidationMode::AllowInsecureFallback => ClientAuth::Fallback(roots),
        });
    }
    builder.build().map_err(|e| e.to_string())
}
