//! The endpoints: one table of path, method, parameters and what it does. The index and the 404 are made from it.

use crate::query::Query;
use crate::reply::{self, Reply};
use crate::state::{AdminState, Readiness};
use crate::{clusters, config, listeners, routes};
use fairlead_telemetry::Registry;
use http::{Method, StatusCode};
use serde_json::json;
use std::fmt::Write;

struct Endpoint {
    path: &'static str,
    /// Whether it only reads (GET and HEAD), only acts (POST), or both.
    methods: Methods,
    parameters: &'static [&'static str],
    what: &'static str,
    run: fn(&AdminState, &Method, &Query) -> Result<Reply, Reply>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Methods {
    Read,
    Act,
    Both,
}

impl Methods {
    fn allow(self) -> &'static str {
        match self {
            Methods::Read => "GET, HEAD",
            Methods::Act => "POST",
            Methods::Both => "GET, HEAD, POST",
        }
    }

    fn permit(self, method: &Method) -> bool {
        match *method {
            Method::GET | Method::HEAD => self != Methods::Act,
            Method::POST => self != Methods::Read,
            _ => false,
        }
    }
}

const ENDPOINTS: &[Endpoint] = &[
    Endpoint { path: "/", methods: Methods::Read, parameters: &[], what: "This list", run: |_, _, _| Ok(index()) },
    Endpoint {
        path: "/ready",
        methods: Methods::Read,
        parameters: &[],
        what: "200 when the proxy serves, else 503 and why not",
        run: |state, _, _| Ok(ready(&state.readiness.borrow())),
    },
    Endpoint {
        path: "/live",
        methods: Methods::Read,
        parameters: &[],
        what: "200 while the process runs",
        run: |_, _, _| Ok(live()),
    },
    Endpoint {
        path: "/metrics",
        methods: Methods::Read,
        parameters: &[],
        what: "Prometheus metrics",
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
        run: logging,
    },
    Endpoint {
        path: "/version",
        methods: Methods::Read,
        parameters: &[],
        what: "What program this is, as JSON",
        run: |state, _, _| Ok(version(state)),
    },
];

/// Answers a request.
pub(crate) fn answer(state: &AdminState, method: &Method, path: &str, query: &str) -> Reply {
    let Some(endpoint) = ENDPOINTS.iter().find(|endpoint| endpoint.path == path) else {
        return Reply::text(StatusCode::NOT_FOUND, format!("no {path} here; there is:\n{}", list()));
    };
    if !endpoint.methods.permit(method) {
        return Reply::method_not_allowed(endpoint.methods.allow());
    }
    let query = match Query::parse(query, endpoint.parameters) {
        Ok(query) => query,
        Err(refusal) => return refusal,
    };
    (endpoint.run)(state, method, &query).unwrap_or_else(|refusal| refusal)
}

pub(crate) fn ready(readiness: &Readiness) -> Reply {
    let status = if *readiness == Readiness::Live { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Reply::text(status, readiness.to_string())
}

pub(crate) fn live() -> Reply {
    Reply::text(StatusCode::OK, "LIVE")
}

pub(crate) fn metrics(registry: &Registry) -> Reply {
    let mut text = String::with_capacity(16 * 1024);
    registry.encode(&mut text);
    Reply::ok(reply::METRICS, text)
}

fn logging(state: &AdminState, method: &Method, query: &Query) -> Result<Reply, Reply> {
    match (method == Method::POST, query.get("level")) {
        (false, None) => Ok(Reply::text(StatusCode::OK, (state.log_level)())),
        (false, Some(_)) => Err(Reply::method_not_allowed("POST")),
        (true, None | Some("")) => Err(Reply::text(StatusCode::BAD_REQUEST, "POST /logging?level=debug")),
        (true, Some(level)) => match (state.set_log_level)(level) {
            Ok(()) => Ok(Reply::text(StatusCode::OK, (state.log_level)())),
            Err(problem) => Err(Reply::text(StatusCode::BAD_REQUEST, format!("level={level}: {problem}"))),
        },
    }
}

fn version(state: &AdminState) -> Reply {
    let build = state.registry.build();
    Reply::json(&json!({"name": "fairlead", "version": build.version, "commit": build.commit}))
}

fn list() -> String {
    let mut out = String::new();
    for endpoint in ENDPOINTS {
        let _ = writeln!(out, "{:<16} {:<11} {}", endpoint.methods.allow(), endpoint.path, endpoint.what);
    }
    out
}

fn index() -> Reply {
    let mut out = String::from(
        "<!doctype html>\n<meta charset=\"utf-8\">\n<title>Fairlead</title>\n\
         <style>body{font:15px/1.5 system-ui,sans-serif;margin:2em}td{padding:.2em 1em .2em 0;vertical-align:top}</style>\n\
         <h1>Fairlead</h1>\n<table>\n",
    );
    for Endpoint { path, methods, what, .. } in ENDPOINTS {
        let name =
            if *methods == Methods::Act { (*path).to_string() } else { format!("<a href=\"{path}\">{path}</a>") };
        let _ = writeln!(out, "<tr><td>{}<td>{name}<td>{what}", methods.allow());
    }
    out.push_str("</table>\n");
    Reply::ok(reply::HTML, out)
}
