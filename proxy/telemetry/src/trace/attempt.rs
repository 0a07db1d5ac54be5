//! What is asked for a request: client spans.

use super::context::SpanId;
use super::fact::{self, int, text};
use super::otlp::{KeyValue, Value, attribute};
use crate::GrpcStatus;
use fairlead_http::{RequestHead, Version};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// An attempt to get the request answered by an endpoint, or a question to an authorisation service: a client span.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// Its id, which the endpoint is told.
    pub span: SpanId,
    /// Since the request's start.
    pub start: Duration,
    /// Since the request's start; `None` as long as it is under way.
    pub end: Option<Duration>,
    /// Id of the cluster.
    pub cluster: Arc<str>,
    /// The endpoint's host name, if it has one.
    pub host: Option<String>,
    /// Where the endpoint is; `None` for a unix socket.
    pub address: Option<SocketAddr>,
    /// Of the response; 0 when there was none.
    pub status: u16,
    /// How the call ended, if it was one of gRPC and came to an end.
    pub call: Option<GrpcStatus>,
    /// Why there was no response, or not all of it; empty otherwise.
    pub error: &'static str,
    /// What was spoken; `None` without a connection.
    pub version: Option<Version>,
    /// It asks whether the request may go on.
    pub authorises: bool,
    /// `http.request.method`.
    method: &'static str,
    /// `rpc.method`, of a gRPC call.
    rpc: Option<String>,
    /// `url.full`.
    url: Value,
}

impl Attempt {
    /// One that begins.
    pub fn new(span: SpanId, start: Duration, cluster: Arc<str>, https: bool, request: &RequestHead) -> Attempt {
        Attempt {
            span,
            start,
            end: None,
            cluster,
            host: None,
            address: None,
            status: 0,
            call: None,
            error: "",
            version: None,
            authorises: false,
            method: fact::method(request),
            rpc: fact::rpc_method(request, request.path()),
            url: url(https, request),
        }
    }

    /// The endpoint has a say in what the request is for.
    pub fn retarget(&mut self, https: bool, request: &RequestHead) {
        self.url = url(https, request);
    }

    /// The span's name: the method. What the proxy itself asks by gRPC is known, and named.
    pub(super) fn name(&self) -> String {
        match (&self.rpc, self.method) {
            (Some(rpc), _) if self.authorises => rpc.clone(),
            (_, "_OTHER") => "HTTP".to_owned(),
            (_, method) => method.to_owned(),
        }
    }

    /// `error.type`; `None` when it went well.
    pub(super) fn failure(&self) -> Option<String> {
        match (self.error, self.status, self.call) {
            ("", status, _) if status >= 400 => Some(status.to_string()),
            ("", _, Some(call)) if call.is_error() => Some(call.to_string()),
            ("", _, _) => None,
            (error, _, _) => Some(error.to_owned()),
        }
    }

    /// What is known of it. `resent`: how many attempts there were before.
    pub(super) fn attributes(&self, resent: usize) -> Vec<KeyValue> {
        let server = self.host.as_deref().map(text).or_else(|| self.address.map(fact::ip));
        let facts = [
            ("http.request.method", Some(text(self.method))),
            ("url.full", Some(self.url.clone())),
            ("server.address", server),
            ("server.port", self.address.map(fact::port)),
            ("network.peer.address", self.address.map(fact::ip)),
            ("network.peer.port", self.address.map(fact::port)),
            ("network.protocol.version", self.version.map(|version| text(fact::version(version)))),
            ("http.request.resend_count", i64::try_from(resent).ok().filter(|count| *count > 0).map(int)),
            ("http.response.status_code", Some(self.status).filter(|s| *s > 0).map(|s| int(s.into()))),
            ("rpc.system.name", self.rpc.as_ref().map(|_| text("grpc"))),
            ("rpc.method", self.rpc.as_deref().map(text)),
            ("rpc.response.status_code", self.call.filter(|_| self.rpc.is_some()).map(|call| text(&call.to_string()))),
            ("error.type", self.failure().as_deref().map(text)),
            ("fairlead.cluster", Some(text(&self.cluster))),
            ("fairlead.purpose", self.authorises.then(|| text("authorisation"))),
        ];
        facts.into_iter().filter_map(|(key, value)| Some(attribute(key, value?))).collect()
    }
}

fn url(https: bool, request: &RequestHead) -> Value {
    fact::url(if https { "https" } else { "http" }, request.authority(), request.path_and_query())
}
