//! The facts of an exchange, or of a connection that was only passed on, that an access log can tell.

use super::certificate::Certificate;
use super::moment::Timeline;
use crate::trace::TraceId;
use crate::{Flags, Timestamp};
use fairlead_http::{Fields, RequestHead, ResponseHead, Version};
use std::net::SocketAddr;
use std::ops::BitOr;
use std::time::Duration;

/// One exchange, after its end. Everything is borrowed from where it is kept anyway; what is unknown is empty, zero or `None`.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    /// First byte of the request.
    pub start: Timestamp,
    /// From `start` to the last byte of the response.
    pub duration: Duration,
    /// From `start` to the last byte of the request; zero when there is nothing after its head.
    pub request_duration: Option<Duration>,
    /// From `start` to the response's head from the upstream.
    pub response_duration: Option<Duration>,
    /// Whether there is a request at all: a connection that was only passed on, or a UDP session, has none.
    pub is_http: bool,
    /// The request, with the filters' changes.
    pub request: &'a RequestHead,
    /// Path and query before a rewrite; `None` when there was none.
    pub original_path: Option<&'a [u8]>,
    /// Authority before a rewrite; `None` when there was none. Takes the place of `:authority`.
    pub original_authority: Option<&'a [u8]>,
    /// The response as it went to the client.
    pub response: Option<&'a ResponseHead>,
    /// Trailers of the response.
    pub trailers: Option<&'a Fields>,
    /// Status sent to the client; 0 if none was.
    pub status: u16,
    /// Why it ended as it did.
    pub flags: Flags,
    /// Envoy's `RESPONSE_CODE_DETAILS`: `via_upstream`, `route_not_found` …
    pub details: &'a str,
    /// Why the connection was closed.
    pub termination: &'a str,
    /// Bytes of the request's body.
    pub bytes_received: u64,
    /// Bytes of the response's body.
    pub bytes_sent: u64,
    /// The response was cut off: the client did not get all of it.
    pub cut: bool,
    /// Name of the route rule.
    pub route: &'a str,
    /// The path that the rule asks for and the request matched, as the route has it; empty without a rule.
    pub pattern: &'a str,
    /// The request's trace, if requests of its listener are traced.
    pub trace: Option<TraceId>,
    /// The last attempt; `None` when there was none.
    pub upstream: Option<Upstream<'a>>,
    /// The proxy's address on the client's connection.
    pub local: Option<SocketAddr>,
    /// The client's address, from `x-forwarded-for` or the PROXY protocol if trusted.
    pub remote: Option<SocketAddr>,
    /// The other end of the client's connection.
    pub direct_remote: Option<SocketAddr>,
    /// SNI.
    pub server_name: &'a str,
    /// `TLSv1.3` …
    pub tls_version: &'a str,
    /// `TLS_AES_128_GCM_SHA256` …
    pub tls_cipher: &'a str,
    /// What the client presented.
    pub certificate: Option<&'a dyn Certificate>,
    /// Number of the client's connection.
    pub connection: u64,
    /// The body of a response that the proxy itself made; only when [`Needs::local_body`].
    pub local_body: &'a [u8],
    /// When things happened.
    pub timeline: Option<&'a dyn Timeline>,
}

/// What a format wants to know that costs something to note.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Points in time for which the clock is not read otherwise.
    pub moments: bool,
    /// How the connection to the endpoint came about.
    pub upstream_connection: bool,
    /// [`Record::local_body`].
    pub local_body: bool,
}

impl BitOr for Needs {
    type Output = Needs;

    fn bitor(self, other: Needs) -> Needs {
        Needs {
            moments: self.moments || other.moments,
            upstream_connection: self.upstream_connection || other.upstream_connection,
            local_body: self.local_body || other.local_body,
        }
    }
}

/// The last attempt of an exchange.
#[derive(Clone, Copy, Default)]
pub struct Upstream<'a> {
    /// Id of the cluster.
    pub cluster: &'a str,
    /// Address of the endpoint as text; empty when none was chosen.
    pub host: &'a str,
    /// The proxy's address on the upstream connection.
    pub local: Option<SocketAddr>,
    /// `TLSv1.3` …; empty without TLS.
    pub tls_version: &'a str,
    /// `TLS_AES_128_GCM_SHA256` …
    pub tls_cipher: &'a str,
    /// What the endpoint presented.
    pub certificate: Option<&'a dyn Certificate>,
    /// Protocol spoken with the upstream; `None` without a connection.
    pub protocol: Option<Version>,
    /// Why there was no connection.
    pub failure: &'a str,
    /// From sending the request's head to the response's head.
    pub service_time: Option<Duration>,
    /// Number of attempts.
    pub attempts: u32,
}

impl<'a> Record<'a> {
    /// A record of which only the start and the request are known.
    pub fn new(start: Timestamp, request: &'a RequestHead) -> Self {
        Record {
            start,
            duration: Duration::ZERO,
            request_duration: None,
            response_duration: None,
            is_http: true,
            request,
            original_path: None,
            original_authority: None,
            response: None,
            trailers: None,
            status: 0,
            flags: Flags::NONE,
            details: "",
            termination: "",
            bytes_received: 0,
            bytes_sent: 0,
            cut: false,
            route: "",
            pattern: "",
            trace: None,
            upstream: None,
            local: None,
            remote: None,
            direct_remote: None,
            server_name: "",
            tls_version: "",
            tls_cipher: "",
            certificate: None,
            connection: 0,
            local_body: b"",
            timeline: None,
        }
    }
}
