//! What the controller tells over HTTP: `/live`, `/ready` and `/metrics` for the cluster, and besides that `/proxies` and `/config` on loopback.

use super::metrics::Metrics;
use crate::status::{GatewayProxies, Proxy};
use anyhow::Context as _;
use bytes::Bytes;
use fairlead_ir::Id;
use fairlead_publish::{GatewayProgress, Progress};
use fairlead_status::{Leadership, Writer};
use fairlead_watch::Problem;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

/// The rest of the process, as its pages see it.
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
}

/// Connections at a time; more wait.
const CONNECTIONS: usize = 64;
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(20);

/// Serves pages on an address until the runtime ends; `private` ones too.
pub async fn serve(address: SocketAddr, state: Arc<State>, private: bool) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    tokio::spawn(async move {
        loop {
            let Ok(permit) = permits.clone().acquire_owned().await else { return };
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let state = state.clone();
            tokio::spawn(async move {
                let service = service_fn(|request: Request<Incoming>| {
                    let response = answer(&state, request.method(), request.uri().path(), private);
                    async { Ok::<_, Infallible>(response) }
                });
                let served = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEAD_TIMEOUT)
                    .keep_alive(false)
                    .serve_connection(TokioIo::new(stream), service);
                if let Ok(Err(error)) = tokio::time::timeout(CONNECTION_TIMEOUT, served).await {
                    tracing::debug!(%error, "a connection to our pages");
                }
                drop(permit);
            });
        }
    });
    Ok(())
}

fn answer(state: &State, method: &Method, path: &str, private: bool) -> Response<Full<Bytes>> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return page(StatusCode::METHOD_NOT_ALLOWED, TEXT, "use GET\n".to_owned());
    }
    match path {
        "/live" => page(StatusCode::OK, TEXT, "LIVE\n".to_owned()),
        "/ready" => ready(state),
        "/metrics" => {
            let leading = state.leadership.borrow().is_leader();
            page(StatusCode::OK, METRICS, state.metrics.text(&state.progress.borrow(), leading, &state.writer))
        }
        "/proxies" if private => json(&proxies(&state.progress.borrow(), &state.versions.borrow())),
        "/problems" if private => json(&problems(state)),
        _ => {
            let more = if private { ", /proxies, /problems" } else { "" };
            page(StatusCode::NOT_FOUND, TEXT, format!("there is: /live, /ready, /metrics{more}\n"))
        }
    }
}

/// Ready is who knows all objects and can tell proxies: leading or not.
fn ready(state: &State) -> Response<Full<Bytes>> {
    match *state.complete.borrow() {
        true => page(StatusCode::OK, TEXT, "LIVE\n".to_owned()),
        false => {
            let mut text = "STARTING: not all objects are known yet\n".to_owned();
            for problem in state.health.borrow().iter() {
                text.push_str(&format!("{problem}\n"));
            }
            page(StatusCode::SERVICE_UNAVAILABLE, TEXT, text)
        }
    }
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
                rejected: proxy.rejected.iter().map(|(id, why)| format!("{id:?}: {why}")).collect(),
                unbound: proxy.unbound.clone(),
            })
            .collect(),
    };
    gateways.into_iter().map(of).collect()
}

fn problems(state: &State) -> Vec<String> {
    let reading = state.health.borrow().iter().map(ToString::to_string).collect::<Vec<_>>();
    let writing = state.writer.problems().borrow().iter().map(|problem| problem.message.clone()).collect::<Vec<_>>();
    reading.into_iter().chain(writing).collect()
}

fn json(value: &impl serde::Serialize) -> Response<Full<Bytes>> {
    match serde_json::to_string_pretty(value) {
        Ok(text) => page(StatusCode::OK, "application/json", text + "\n"),
        Err(error) => page(StatusCode::INTERNAL_SERVER_ERROR, TEXT, error.to_string()),
    }
}

fn page(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
    headers.insert(http::header::CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    response
}

const TEXT: &str = "text/plain; charset=utf-8";
/// Prometheus text exposition format.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
