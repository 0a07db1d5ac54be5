//! `/listeners`: what listens, and how busy it is.

use crate::query::Query;
use crate::reply::Reply;
use crate::table;
use fairlead_ir::{Config, Listener};
use fairlead_telemetry::{ListenerLabels, Registry};
use serde::Serialize;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    listener: String,
    gateway: String,
    /// Of the Gateway's listener: before a port map.
    address: SocketAddr,
    protocol: String,
    hostname: Option<String>,
    certificates: Vec<String>,
    routes: usize,
    requests: u64,
    requests_active: i64,
}

/// `?format=` text or json.
pub(crate) fn show(config: &Config, registry: &Registry, query: &Query) -> Result<Reply, Reply> {
    let json = query.choice("format", &["text", "json"])? == Some("json");
    let rows: Vec<Row> = config.listeners.values().map(|listener| row(listener, config, registry)).collect();
    if json {
        return Ok(Reply::json(&rows));
    }
    let cells: Vec<_> = rows
        .into_iter()
        .map(|row| {
            let (active, requests) = (row.requests_active.to_string(), row.requests.to_string());
            let (host, certificates) = (row.hostname.unwrap_or_else(|| "*".into()), row.certificates.join(","));
            [
                row.listener,
                row.address.to_string(),
                row.protocol,
                host,
                certificates,
                row.routes.to_string(),
                active,
                requests,
            ]
        })
        .collect();
    let header = ["LISTENER", "ADDRESS", "PROTOCOL", "HOST", "CERTIFICATES", "ROUTES", "ACTIVE", "REQUESTS"];
    Ok(Reply::text(http::StatusCode::OK, table::render(header, &cells)))
}

fn row(listener: &Listener, config: &Config, registry: &Registry) -> Row {
    let metrics = registry.find_listener(&ListenerLabels { listener: &listener.id, gateway: &listener.gateway });
    let requests_of = |m: &fairlead_telemetry::ListenerMetrics| m.total(|cells| cells.requests.total());
    let active_of = |m: &fairlead_telemetry::ListenerMetrics| m.total_i64(|cells| cells.requests_active.value());
    Row {
        listener: listener.id.to_string(),
        gateway: listener.gateway.to_string(),
        address: SocketAddr::new(
            listener.bind.address.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
            listener.bind.port,
        ),
        protocol: format!("{:?}", listener.protocol).to_ascii_uppercase(),
        hostname: listener.hostname.as_ref().map(|host| host.to_string()),
        certificates: listener.tls.iter().flat_map(|tls| &tls.certificates).map(|id| id.to_string()).collect(),
        routes: config.routes.values().filter(|route| route.listeners.contains(&listener.id)).count(),
        requests: metrics.as_deref().map_or(0, requests_of),
        requests_active: metrics.as_deref().map_or(0, active_of),
    }
}
