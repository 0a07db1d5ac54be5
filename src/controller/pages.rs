//! What the controller tells over HTTP: `/live`, `/ready` and `/metrics` for the cluster; for the operator, on loopback, besides these
//! who serves which version, what is in the way, who leads, and the log's filter.

use super::metrics::Metrics;
use crate::findings;
use crate::log::Logs;
use crate::status::{GatewayProxies, Proxy};
use crate::version;
use anyhow::Context as _;
use fairlead_admin::{Admin, Audience, Endpoint, Methods, Reply, Site};
use fairlead_ir::Id;
use fairlead_publish::{GatewayProgress, Progress};
use fairlead_status::{Leadership, Writer};
use fairlead_watch::Problem;
use http::StatusCode;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::watch;

/// The rest of the process, as its pages see it.
#[derive(Clone)]
pub struct State {
    /// How far proxies are.
    pub progress: watch::Receiver<Arc<Progress>>,
    /// How far they should be.
    pub versions: watch::Receiver<Arc<BTreeMap<Id, u64>>>,
    /// Who leads.
    pub leadership: watch::Receiver<Leadership>,
    /// What is in the way of reading objects.
    pub health: watch::Receiver<Arc<Vec<Problem>>>,
    /// Whether all objects are known and pushed.
    pub complete: watch::Receiver<bool>,
    /// Writes statuses.
    pub writer: Writer,
    /// Numbers.
    pub metrics: Arc<Metrics>,
    /// The program's own log.
    pub logs: Logs,
}

/// Serves the cluster's pages on one address and the operator's on another, until what it returns is dropped.
pub fn start(health: SocketAddr, admin: SocketAddr, state: State) -> anyhow::Result<[Admin; 2]> {
    let site = |audience, endpoints, state| Site { title: "Fairlead controller", audience, endpoints, state };
    let public = Admin::serve(health, site(Audience::Public, &ENDPOINTS[..PUBLIC], state.clone()));
    let public = public.context("give another --health-address")?;
    let operator = Admin::serve(admin, site(Audience::Operator, ENDPOINTS, state));
    Ok([public, operator.context("give another --admin-address")?])
}

/// So many of the endpoints are for everybody.
const PUBLIC: usize = 3;

const ENDPOINTS: &[Endpoint<State>] = &[
    Endpoint {
        path: "/ready",
        methods: Methods::Read,
        parameters: &[],
        what: "200 when all objects are known and pushed, leading or not; else 503 and why not",
        run: |state, _, _| Ok(ready(*state.complete.borrow(), &state.health.borrow())),
    },
    Endpoint {
        path: "/live",
        methods: Methods::Read,
        parameters: &[],
        what: "200 while the process runs",
        run: |_, _, _| Ok(Reply::live()),
    },
    Endpoint {
        path: "/metrics",
        methods: Methods::Read,
        parameters: &[],
        what: "Prometheus metrics",
        run: |state, _, _| {
            let leading = state.leadership.borrow().is_leader();
            Ok(Reply::metrics(state.metrics.text(&state.progress.borrow(), leading, &state.writer)))
        },
    },
    Endpoint {
        path: "/proxies",
        methods: Methods::Read,
        parameters: &[],
        what: "Which proxy serves which version of each Gateway, as JSON; the leader knows all",
        run: |state, _, _| Ok(Reply::json(&proxies(&state.progress.borrow(), &state.versions.borrow()))),
    },
    Endpoint {
        path: "/problems",
        methods: Methods::Read,
        parameters: &[],
        what: "What is in the way of leading, reading objects and writing statuses, as JSON",
        run: |state, _, _| Ok(Reply::json(&problems(state))),
    },
    Endpoint {
        path: "/leader",
        methods: Methods::Read,
        parameters: &[],
        what: "Who leads, as JSON",
        run: |state, _, _| Ok(leader(&state.leadership.borrow())),
    },
    Endpoint {
        path: "/logging",
        methods: Methods::Both,
        parameters: &["level"],
        what: "GET: the log's filter. POST level=debug (or any filter: info,fairlead_watch=debug): replace it",
        run: |state, method, query| {
            let (filter, set) = (|| state.logs.level(), |level: &str| state.logs.set(level));
            fairlead_admin::logging(&filter, &set, method, query)
        },
    },
    Endpoint {
        path: "/version",
        methods: Methods::Read,
        parameters: &[],
        what: "What program this is, as JSON",
        run: |_, _, _| {
            Ok(Reply::json(
                &json!({"name": "fairlead", "version": env!("CARGO_PKG_VERSION"), "commit": version::COMMIT}),
            ))
        },
    },
];

/// Ready is who knows all objects and can tell proxies: leading or not.
fn ready(is_complete: bool, problems: &[Problem]) -> Reply {
    if is_complete {
        return Reply::live();
    }
    let mut text = "STARTING: not all objects are known yet\n".to_owned();
    for problem in problems {
        text.push_str(&format!("{problem}\n"));
    }
    Reply::text(StatusCode::SERVICE_UNAVAILABLE, text)
}

fn leader(leadership: &Leadership) -> Reply {
    let (holder, elsewhere) = match leadership {
        Leadership::Follower { holder } => (Some(holder.as_str()), None),
        Leadership::Elsewhere { namespace, .. } => (None, Some(namespace.as_str())),
        Leadership::Leader | Leadership::Unknown => (None, None),
    };
    Reply::json(&json!({"leads": leadership.is_leader(), "holder": holder, "otherInstallation": elsewhere}))
}

/// Who serves what.
fn proxies(progress: &Progress, versions: &BTreeMap<Id, u64>) -> Vec<GatewayProxies> {
    let gateways: BTreeSet<&Id> = progress.keys().chain(versions.keys()).collect();
    let none = Arc::new(GatewayProgress::default());
    let of = |gateway: &Id| GatewayProxies {
        gateway: gateway.to_string(),
        version: versions.get(gateway).copied().unwrap_or_default(),
        proxies: progress
            .get(gateway)
            .unwrap_or(&none)
            .proxies
            .iter()
            .map(|(pod, proxy)| Proxy {
                pod: pod.to_string(),
                version: proxy.acked,
                program: proxy.program.clone(),
                rejected: proxy.rejected.iter().map(|(id, why)| format!("{}: {why}", findings::resource(id))).collect(),
                unbound: proxy.unbound.clone(),
            })
            .collect(),
    };
    gateways.into_iter().map(of).collect()
}

fn problems(state: &State) -> Vec<String> {
    let reading = state.health.borrow().iter().map(ToString::to_string).collect::<Vec<_>>();
    let writing = state.writer.problems().borrow().iter().map(|problem| problem.message.clone()).collect::<Vec<_>>();
    let leading = match &*state.leadership.borrow() {
        Leadership::Elsewhere { message, .. } => Some(message.clone()),
        _ => None,
    };
    leading.into_iter().chain(reading).chain(writing).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use fairlead_ir::ResourceId;
    use fairlead_publish::ProxyProgress;

    #[test]
    fn the_public_side_is_for_probes_and_scrapers() {
        let paths: Vec<&str> = ENDPOINTS[..PUBLIC].iter().map(|endpoint| endpoint.path).collect();
        assert_eq!(paths, ["/ready", "/live", "/metrics"]);
    }

    #[test]
    fn gateways_without_proxies_are_told_of_too() {
        let rejected = vec![(ResourceId::Route("httproute/shop/cart/0".into()), "too large".into())];
        let proxy = ProxyProgress { acked: 3, program: "0.1.0".into(), rejected, ..ProxyProgress::default() };
        let gateway = GatewayProgress { proxies: [("pod-a".into(), proxy)].into_iter().collect() };
        let progress: Progress = [("shop/web".into(), Arc::new(gateway))].into_iter().collect();
        let versions = BTreeMap::from([(Id::from("shop/web"), 4), (Id::from("shop/new"), 4)]);
        let told = proxies(&progress, &versions);
        let short: Vec<_> = told.iter().map(|one| (&*one.gateway, one.version, one.proxies.len())).collect();
        assert_eq!(short, [("shop/new", 4, 0), ("shop/web", 4, 1)]);
        assert_eq!((&*told[1].proxies[0].pod, told[1].proxies[0].version), ("pod-a", 3));
        assert_eq!(told[1].proxies[0].rejected, ["httproute/shop/cart/0: too large"]);
    }
}
