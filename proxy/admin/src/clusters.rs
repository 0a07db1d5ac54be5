//! `/clusters`: backends and their endpoints, in the manner of Envoy's page: `cluster::endpoint::what::value`.

use crate::query::Query;
use crate::reply::Reply;
use fairlead_ir::{Address, Cluster, Config, Discovery, Endpoint};
use fairlead_telemetry::Registry;
use serde::Serialize;
use std::fmt::Write;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    cluster: String,
    protocol: String,
    tls: bool,
    /// Name to resolve, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    connections: u64,
    connections_active: i64,
    connect_failures: u64,
    requests: u64,
    requests_active: i64,
    retries: u64,
    endpoints: Vec<EndpointRow>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EndpointRow {
    address: String,
    weight: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    zone: Option<String>,
    requests: u64,
    requests_active: i64,
    failures: u64,
    connect_failures: u64,
}

/// `?name=` part of the id, `?format=` text or json.
pub(crate) fn show(config: &Config, registry: &Registry, query: &Query) -> Result<Reply, Reply> {
    let json = query.choice("format", &["text", "json"])? == Some("json");
    let name = query.get("name").unwrap_or("");
    let rows: Vec<Row> =
        config.clusters.values().filter(|c| c.id.contains(name)).map(|c| row(c, config, registry)).collect();
    Ok(if json { Reply::json(&rows) } else { Reply::text(http::StatusCode::OK, text(&rows)) })
}

fn row(cluster: &Cluster, config: &Config, registry: &Registry) -> Row {
    let (host, endpoints) = match &cluster.discovery {
        Discovery::Dns { host, port } => (Some(format!("{host}:{port}")), &[][..]),
        Discovery::Endpoints(id) => (None, config.endpoints.get(id).map_or(&[][..], |e| &e.endpoints)),
    };
    let metrics = registry.find_cluster(&cluster.id);
    let total = |of: fn(&fairlead_telemetry::ClusterCells) -> u64| metrics.as_ref().map_or(0, |m| m.total(of));
    let gauge = |of: fn(&fairlead_telemetry::ClusterCells) -> i64| metrics.as_ref().map_or(0, |m| m.total_i64(of));
    Row {
        cluster: cluster.id.to_string(),
        protocol: format!("{:?}", cluster.protocol).to_ascii_lowercase(),
        tls: cluster.tls.is_some(),
        host,
        connections: total(|c| c.connections.value()),
        connections_active: gauge(|c| c.connections_active.value()),
        connect_failures: total(|c| c.connect_failures.value()),
        requests: total(|c| c.requests.total()),
        requests_active: gauge(|c| c.requests_active.value()),
        retries: total(|c| c.retries.value()),
        endpoints: endpoint_rows(&cluster.id, endpoints, registry),
    }
}

/// Those of the configuration, and those whose addresses come from DNS: they are known by their counters.
fn endpoint_rows(cluster: &str, endpoints: &[Endpoint], registry: &Registry) -> Vec<EndpointRow> {
    let counted = registry.find_endpoints(cluster);
    let configured: Vec<(String, &Endpoint)> = endpoints.iter().map(|e| (address(&e.address), e)).collect();
    let missing = configured.iter().filter(|(address, e)| {
        !matches!(e.address, Address::Dns { .. }) && !counted.iter().any(|(counted, _)| counted == address)
    });
    let mut rows: Vec<EndpointRow> = missing.map(|(address, e)| EndpointRow::idle(address.clone(), Some(e))).collect();
    for (address, metrics) in &counted {
        let known = configured.iter().find(|(configured, _)| configured == address).map(|(_, e)| *e);
        rows.push(EndpointRow {
            requests: metrics.total(|c| c.requests.value()),
            requests_active: metrics.total_i64(|c| c.requests_active.value()),
            failures: metrics.total(|c| c.failures.value()),
            connect_failures: metrics.total(|c| c.connect_failures.value()),
            ..EndpointRow::idle(address.clone(), known)
        });
    }
    rows.sort_by(|a, b| a.address.cmp(&b.address));
    rows
}

impl EndpointRow {
    fn idle(address: String, endpoint: Option<&Endpoint>) -> Self {
        EndpointRow {
            address,
            weight: endpoint.map_or(1, |e| e.weight),
            zone: endpoint.and_then(|e| e.zone.as_ref()).map(|zone| zone.to_string()),
            requests: 0,
            requests_active: 0,
            failures: 0,
            connect_failures: 0,
        }
    }
}

fn address(address: &Address) -> String {
    match address {
        Address::Ip(address) => address.to_string(),
        Address::Dns { host, port } => format!("{host}:{port}"),
        Address::Unix(path) => path.to_string(),
    }
}

fn text(rows: &[Row]) -> String {
    let mut out = String::new();
    for row in rows {
        let name = &row.cluster;
        let mut line = |what: &str, value: &dyn std::fmt::Display| _ = writeln!(out, "{name}::{what}::{value}");
        line("protocol", &row.protocol);
        line("tls", &row.tls);
        if let Some(host) = &row.host {
            line("host", host);
        }
        line("cx_total", &row.connections);
        line("cx_active", &row.connections_active);
        line("cx_connect_fail", &row.connect_failures);
        line("rq_total", &row.requests);
        line("rq_active", &row.requests_active);
        line("rq_retry", &row.retries);
        for e in &row.endpoints {
            let mut line = |what: &str, value: &dyn std::fmt::Display| line(&format!("{}::{what}", e.address), value);
            line("weight", &e.weight);
            line("zone", &e.zone.as_deref().unwrap_or(""));
            line("rq_total", &e.requests);
            line("rq_active", &e.requests_active);
            line("rq_error", &e.failures);
            line("cx_connect_fail", &e.connect_failures);
        }
    }
    if rows.is_empty() { "no clusters\n".into() } else { out }
}
