//! ExternalAuth (GEP-1494): what an authorisation service is asked, and what its answer means. The asking is not done here.
//!
//! `request ──(question)──► head and body for the service … its answer ──(decide)──► Decision ──(Grant::apply)──► request`
//!
//! The service is trusted to judge, not to write messages: fields that frame a message or belong to a connection, and the host, are
//! the proxy's own whatever the service says; a name or value that no message may carry makes the whole answer invalid; and there are
//! limits on what it may add. Where it says nothing that can be understood, the request does not go on.

mod grant;
mod grpc;
mod http;
mod proto;
#[cfg(test)]
mod tests;

pub use grant::{Additions, Grant};

use crate::{Problem, Reply, check};
use fairlead_http::{Fields, Known, RequestHead, ResponseHead};
use fairlead_ir::{self as ir, AuthProtocol, Id};
use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

/// A service that is asked, compiled.
#[derive(Debug)]
pub struct ExternalAuth {
    cluster: Id,
    protocol: Protocol,
    max_body: usize,
    timeout: Option<Duration>,
}

#[derive(Debug)]
enum Protocol {
    Http(http::Http),
    Grpc(grpc::Grpc),
}

/// What is known of a request beside the request. Only gRPC services are told.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The other end of the client's connection.
    pub client: SocketAddr,
    /// Our end of it.
    pub local: SocketAddr,
    /// Whose certificate the client presented: its first URI or DNS name, or its subject. Empty when there is none that was verified.
    pub principal: &'a str,
    /// The host that the client named in its TLS handshake; empty when there is none.
    pub server_name: &'a str,
    /// When the request began.
    pub time: SystemTime,
    /// Bytes of the request's body, when that is known.
    pub size: Option<u64>,
}

/// What a service says.
#[derive(Debug)]
pub enum Decision {
    /// The request goes on, changed like this.
    Allow(Grant),
    /// The client gets this.
    Deny(Box<Reply>),
    /// Nothing that is consent or refusal. The client gets what the service wants said of its error, if anything.
    Error(Option<Box<Reply>>),
    /// It wants something in a message that no message may carry, or too much of it.
    Invalid,
}

impl ExternalAuth {
    pub(crate) fn compile(source: &ir::ExternalAuth) -> Result<Self, Problem> {
        let protocol = match &source.protocol {
            AuthProtocol::Http { prefix, request_headers, response_headers } => {
                Protocol::Http(http::Http::compile(prefix, request_headers, response_headers)?)
            }
            AuthProtocol::Grpc { request_headers } => {
                Protocol::Grpc(grpc::Grpc::compile(&source.authority, request_headers, source.timeout)?)
            }
        };
        Ok(ExternalAuth {
            cluster: source.cluster.clone(),
            protocol,
            max_body: source.max_body as usize,
            timeout: source.timeout.limit(),
        })
    }

    /// Id of the service's cluster.
    pub fn cluster(&self) -> &Id {
        &self.cluster
    }

    /// How long asking may take.
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// Bytes of the request's body that the service gets. 0: it gets none.
    pub fn max_body(&self) -> usize {
        self.max_body
    }

    /// Whether the service speaks gRPC, which needs HTTP/2.
    pub fn is_grpc(&self) -> bool {
        matches!(self.protocol, Protocol::Grpc(_))
    }

    /// Makes `head`, which is empty, the head of the request to the service; gives the request's body. `body` is the client's, empty
    /// when the service gets none. A gRPC call has no authority yet where the endpoint has a name: see [`ExternalAuth::authority`].
    pub fn question<'b>(
        &self,
        request: &RequestHead,
        body: &'b [u8],
        facts: &Facts<'_>,
        head: &mut RequestHead,
    ) -> Cow<'b, [u8]> {
        match &self.protocol {
            Protocol::Http(http) => {
                http.question(request, head);
                Cow::Borrowed(body)
            }
            Protocol::Grpc(grpc) => Cow::Owned(grpc.question(request, body, facts, head)),
        }
    }

    /// The host to call when the endpoint has no name of its own; `None` over HTTP, where it is the request's.
    pub fn authority(&self) -> Option<&str> {
        match &self.protocol {
            Protocol::Http(_) => None,
            Protocol::Grpc(grpc) => Some(grpc.authority()),
        }
    }

    /// What the service's answer means. `head` is without the fields of its connection.
    pub fn decide(&self, head: &ResponseHead, body: Vec<u8>, trailers: &Fields) -> Decision {
        match &self.protocol {
            Protocol::Http(http) => http.decide(head, body),
            Protocol::Grpc(grpc) => grpc.decide(head, &body, trailers),
        }
    }
}

/// Names of fields, checked.
fn names(field: &str, names: &[Box<str>]) -> Result<Box<[Box<[u8]>]>, Problem> {
    let mut all = Vec::with_capacity(names.len());
    for (index, name) in names.iter().enumerate() {
        check::name(&format!("{field}[{index}]"), name)?;
        all.push(name.as_bytes().into());
    }
    Ok(all.into())
}

/// Fields that frame a message, belong to a connection, or name the host.
fn is_ours(known: Known) -> bool {
    use Known::{
        Connection, ContentLength, Expect, Host, Http2Settings, KeepAlive, ProxyConnection, Te, Trailer,
        TransferEncoding, Upgrade,
    };
    matches!(
        known,
        Connection
            | ContentLength
            | Expect
            | Host
            | Http2Settings
            | KeepAlive
            | ProxyConnection
            | Te
            | Trailer
            | TransferEncoding
            | Upgrade
    )
}

/// Envoy's `%RESPONSE_CODE_DETAILS%` of a refusal.
const DENIED: &str = "ext_authz_denied";
/// And of a service that does not answer, or with an error.
const ERROR: &str = "ext_authz_error";
