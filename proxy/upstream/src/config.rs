//! What a cluster is like, compiled once by the control side and shared by all workers.

use crate::budget::RetryBudget;
use fairlead_ir as ir;
use fairlead_net::ConnectOptions;
use fairlead_net::tls::{ALPN_H2, ALPN_HTTP11, ClientTls, ClientTlsBuilder, Identity, Roots, San};
use std::sync::Arc;
use std::time::Duration;

/// What to speak on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Want {
    /// HTTP/1.1, one exchange at a time; the only one that can be upgraded to a WebSocket.
    Http1,
    /// HTTP/2, many streams on a connection.
    Http2,
}

/// How to speak to a cluster.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// As in the IR.
    pub id: ir::Id,
    /// What the backend speaks, unless the request needs something else (gRPC: HTTP/2, WebSocket: HTTP/1.1). Without meaning for
    /// clusters that only carry bytes or datagrams: there is nothing but [`Cluster::link`](crate::Cluster::link) for those.
    pub protocol: Want,
    /// How endpoints are chosen.
    pub load_balancing: ir::LoadBalancing,
    /// For TCP, TLS and (HTTP/2) the peer's SETTINGS together; `None` waits as long as the kernel does.
    pub connect_timeout: Option<Duration>,
    /// An idle connection is closed after this time; `None` keeps it until the peer closes it.
    pub idle_timeout: Option<Duration>,
    /// Circuit breakers.
    pub thresholds: Thresholds,
    /// How much of the traffic may be retries, beside `thresholds`.
    pub retry_budget: Option<Arc<RetryBudget>>,
    /// Socket options.
    pub connect: ConnectOptions,
    pub(crate) tls: Option<Box<Tls>>,
}

/// Circuit breakers: upper bounds **per worker**. What would go over is refused with
/// [`Overflow`](crate::ConnectErrorKind::Overflow), except connections: requests wait for one to come free.
///
/// Envoy's default of 1024 for each, over all its workers, turns a burst of clients into errors before a backend is in any
/// trouble. These defaults only bound what the proxy itself can hold: more connections than there are ephemeral ports to one
/// address make no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Open connections, connecting and idle ones included. An endpoint without any may always open one, as in Envoy. 28,000.
    pub connections: u32,
    /// Requests that wait for a connection. 28,000.
    pub pending: u32,
    /// Requests that have a connection. 100,000.
    pub requests: u32,
    /// Retries, from the decision to retry to the end of the attempt. 1024, Envoy Gateway's default.
    pub retries: u32,
    /// Idle HTTP/1.1 connections kept per endpoint; further ones are closed when their exchange ends. 256.
    pub idle_per_endpoint: u32,
}

impl Default for Thresholds {
    fn default() -> Self {
        Thresholds { connections: 28_000, pending: 28_000, requests: 100_000, retries: 1024, idle_per_endpoint: 256 }
    }
}

/// TLS settings, which differ in ALPN.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    http1: ClientTls,
    http2: ClientTls,
}

impl Tls {
    pub(crate) fn of(&self, want: Want) -> &ClientTls {
        match want {
            Want::Http1 => &self.http1,
            Want::Http2 => &self.http2,
        }
    }
}

impl ClusterConfig {
    /// Compiles a cluster. `secrets` finds CA bundles and key pairs by id.
    ///
    /// # Errors
    /// When TLS settings name secrets that are not there or can't be used. The cluster can't be served then; no other is harmed.
    pub fn compile(
        cluster: &ir::Cluster,
        secrets: impl Fn(&str) -> Option<Arc<ir::Secret>>,
    ) -> Result<Arc<ClusterConfig>, Problem> {
        let http = matches!(cluster.protocol, ir::Protocol::Http1 | ir::Protocol::Http2);
        let tls = cluster.tls.as_ref().map(|tls| compile_tls(tls, http, &secrets)).transpose()?.map(Box::new);
        Ok(Arc::new(ClusterConfig {
            id: cluster.id.clone(),
            protocol: match cluster.protocol {
                ir::Protocol::Http1 | ir::Protocol::Tcp | ir::Protocol::Udp => Want::Http1,
                ir::Protocol::Http2 => Want::Http2,
            },
            load_balancing: cluster.load_balancing,
            connect_timeout: cluster.connect_timeout.limit(),
            idle_timeout: cluster.idle_timeout.limit(),
            thresholds: Thresholds::default(),
            retry_budget: cluster.retry_budget.as_ref().map(|budget| Arc::new(RetryBudget::new(budget))),
            connect: ConnectOptions::default(),
            tls,
        }))
    }

    /// Whether connections are encrypted.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }
}

/// Why a cluster can't be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct Problem {
    /// Path of the field in the IR resource: `tls.ca`.
    pub field: &'static str,
    /// What is wrong with it.
    pub message: String,
}

/// Without `http` no protocol is offered: what is spoken inside is not ours to know.
fn compile_tls(
    tls: &ir::ClusterTls,
    http: bool,
    secrets: &impl Fn(&str) -> Option<Arc<ir::Secret>>,
) -> Result<Tls, Problem> {
    let find = |field, id: &str| secrets(id).ok_or_else(|| Problem { field, message: format!("{id} does not exist") });
    let roots = match &tls.ca {
        ir::CaSource::Insecure => Roots::insecure(),
        ir::CaSource::System => Roots::system().map_err(|e| Problem { field: CA, message: e.to_string() })?,
        ir::CaSource::Secrets(ids) => {
            let bundles = ids.iter().map(|id| find(CA, id)).collect::<Result<Vec<_>, _>>()?;
            // One by one first, so that the message names the one that is wrong.
            for bundle in &bundles {
                Roots::from_pem([bundle.certificates.as_bytes()])
                    .map_err(|e| Problem { field: CA, message: format!("{}: {e}", bundle.id) })?;
            }
            Roots::from_pem(bundles.iter().map(|b| b.certificates.as_bytes()))
                .map_err(|e| Problem { field: CA, message: e.to_string() })?
        }
    };
    let mut builder =
        ClientTls::builder(&roots, &tls.hostname).subject_alt_names(tls.sans.iter().map(|san| match san {
            ir::SubjectAltName::Dns(name) => San::Dns(name.clone()),
            ir::SubjectAltName::Uri(uri) => San::Uri(uri.clone()),
        }));
    if let Some(id) = &tls.client_certificate {
        builder = builder.identity(identity(&*find(CLIENT_CERTIFICATE, id)?)?);
    }
    let build = |builder: ClientTlsBuilder, alpn| {
        builder.alpn(http.then_some(alpn)).build().map_err(|e| Problem { field: "tls", message: e.to_string() })
    };
    let http1 = build(builder.clone(), ALPN_HTTP11)?;
    let http2 = if http { build(builder, ALPN_H2)? } else { http1.clone() };
    Ok(Tls { http1, http2 })
}

fn identity(secret: &ir::Secret) -> Result<Arc<Identity>, Problem> {
    let problem = |message: String| Problem { field: CLIENT_CERTIFICATE, message: format!("{}: {message}", secret.id) };
    let key = secret.key.as_deref().ok_or_else(|| problem("has no private key".into()))?;
    let identity =
        Identity::from_pem(secret.certificates.as_bytes(), key.as_bytes()).map_err(|e| problem(e.to_string()))?;
    Ok(Arc::new(identity))
}

const CA: &str = "tls.ca";
const CLIENT_CERTIFICATE: &str = "tls.clientCertificate";

#[cfg(test)]
mod tests;
