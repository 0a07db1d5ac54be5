//! What a proxy tells its operator.

use crate::query::Query;
use crate::reply::Reply;
use crate::site::{Audience, Endpoint, Methods, Site};
use crate::state::{AdminState, Readiness};
use crate::{clusters, config, listeners, routes};
use fairlead_telemetry::Registry;
use http::{Method, StatusCode};
use serde_json::json;

/// What an index is headed with.
pub(crate) const TITLE: &str = "Fairlead";
pub(crate) const READY: &str = "200 when the proxy serves, else 503 and why not";
pub(crate) const LIVE: &str = "200 while the process runs";
pub(crate) const METRICS: &str = "Prometheus metrics";

pub(crate) fn site(state: AdminState) -> Site<AdminState> {
    Site { title: TITLE, audience: Audience::Operator, endpoints: ENDPOINTS, state }
}

const ENDPOINTS: &[Endpoint<AdminState>] = &[
    Endpoint {
        path: "/ready",
        methods: Methods::Read,
        parameters: &[],
        what: READY,
        run: |state, _, _| Ok(ready(&state.readiness.borrow())),
    },
    Endpoint { path: "/live", methods: Methods::Read, parameters: &[], what: LIVE, run: |_, _, _| Ok(Reply::live()) },
    Endpoint {
        path: "/metrics",
        methods: Methods::Read,
        parameters: &[],
        what: METRICS,
        run: |state, _, _| Ok(metrics(&state.registry)),
    },
    Endpoint {
        path: "/config",
        methods: Methods::Read,
        parameters: &["kind", "name", "format"],
        what: "What is served, as YAML; keys are left out. kind=listeners|routes|clusters|endpoints|secrets, name=part of the id, format=json",
        run: |state, _, query| config::show(&(state.config)(), query),
    },
    Endpoint {
        path: "/routes",
        methods: Methods::Read,
        parameters: &["listener", "name", "format"],
        what: "Which requests go where, in order of precedence. listener= and name=part of the id, format=json",
        run: |state, _, query| routes::show(&(state.config)(), query),
    },
    Endpoint {
        path: "/listeners",
        methods: Methods::Read,
        parameters: &["format"],
        what: "What listens. format=json",
        run: |state, _, query| listeners::show(&(state.config)(), &state.registry, query),
    },
    Endpoint {
        path: "/clusters",
        methods: Methods::Read,
        parameters: &["name", "format"],
        what: "Backends and their endpoints. name=part of the id, format=json",
        run: |state, _, query| clusters::show(&(state.config)(), &state.registry, query),
    },
    Endpoint {
        path: "/drain",
        methods: Methods::Act,
        parameters: &[],
        what: "Drain as on SIGTERM: not ready any more, then finish and exit",
        run: |state, _, _| {
            (state.drain)();
            Ok(Reply::text(StatusCode::ACCEPTED, "draining"))
        },
    },
    Endpoint {
        path: "/logging",
        methods: Methods::Both,
        parameters: &["level"],
        what: "GET: the log's filter. POST level=debug (or any filter: info,fairlead_worker=debug): replace it",
        run: |state, method, query| logging(&state.log_level, &state.set_log_level, method, query),
    },
    Endpoint {
        path: "/version",
        methods: Methods::Read,
        parameters: &[],
        what: "What program this is, as JSON",
        run: |state, _, _| Ok(version(state)),
    },
];

pub(crate) fn ready(readiness: &Readiness) -> Reply {
    let status = if *readiness == Readiness::Live { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Reply::text(status, readiness.to_string())
}

pub(crate) fn metrics(registry: &Registry) -> Reply {
    let mut text = String::with_capacity(16 * 1024);
    registry.encode(&mut text);
    Reply::metrics(text)
}

/// The log's filter: shows it (GET), or replaces it (POST with `level`).
///
/// # Errors
///
/// Refusals: a GET with `level`, a POST without, or with one that `set` does not take.
pub fn logging(
    filter: &dyn Fn() -> String,
    set: &dyn Fn(&str) -> Result<(), String>,
    method: &Method,
    query: &Query,
) -> Result<Reply, Reply> {
    match (method == Method::POST, query.get("level")) {
        (false, None) => Ok(Reply::text(StatusCode::OK, filter())),
        (false, Some(_)) => Err(Reply::method_not_allowed("POST")),
        (true, None | Some("")) => Err(Reply::text(StatusCode::BAD_REQUEST, "POST /logging?level=debug")),
        (true, Some(level)) => match set(level) {
            Ok(()) => Ok(Reply::text(StatusCode::OK, filter())),
            Err(problem) => Err(Reply::text(StatusCode::BAD_REQUEST, format!("level={level}: {problem}"))),
        },
    }
}

fn version(state: &AdminState) -> Reply {
    let build = state.registry.build();
    let commit = Some(&build.commit).filter(|commit| !commit.is_empty());
    Reply::json(&json!({"name": "fairlead", "version": build.version, "commit": commit}))
}
