//! What is counted per listener, route, cluster, endpoint and worker.
//!
//! A block is one worker's: aligned to cache lines of its own, and made when that worker first counts. Sizes are budgeted (see the
//! tests): there may be 20,000 routes.

use crate::cell::{Counter, Gauge, Histogram, StatusCounts};
use crate::scope::Scope;

/// Handle on a listener's cells.
pub type ListenerMetrics = Scope<ListenerCells>;
/// Handle on a route rule's cells.
pub type RouteMetrics = Scope<RouteCells>;
/// Handle on a cluster's cells.
pub type ClusterMetrics = Scope<ClusterCells>;
/// Handle on an endpoint's cells.
pub type EndpointMetrics = Scope<EndpointCells>;

/// One worker's numbers of a listener.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct ListenerCells {
    /// Accepted connections.
    pub connections: Counter,
    /// Connections that are open.
    pub connections_active: Gauge,
    /// `accept` failed (out of file descriptors …).
    pub accept_errors: Counter,
    /// The TLS handshake failed or timed out.
    pub tls_errors: Counter,
    /// Exchanges that are under way.
    pub requests_active: Gauge,
    /// Ended exchanges by protocol and class of status.
    pub requests: ProtocolCounts,
    /// From the first byte of the request to the last byte of the response.
    pub duration: Histogram,
    /// Bytes of request bodies.
    pub bytes_received: Counter,
    /// Bytes of response bodies.
    pub bytes_sent: Counter,
    /// Requests that were refused before routing.
    pub rejects: RejectCounts,
    /// HTTP/2 streams that the client reset.
    pub h2_resets_received: Counter,
    /// HTTP/2 streams that the proxy reset.
    pub h2_resets_sent: Counter,
}

/// One worker's numbers of a route rule. No histogram: there may be many thousand rules.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct RouteCells {
    /// Ended exchanges by class of status.
    pub requests: StatusCounts,
    /// Sum of their durations in microseconds.
    pub duration_micros: Counter,
    /// Attempts after the first.
    pub retries: Counter,
    /// Exchanges whose retries were used up.
    pub retries_exhausted: Counter,
    /// Exchanges that ended by a timeout of the route.
    pub timeouts: Counter,
    /// Copies sent to mirrors.
    pub mirrored: Counter,
    /// Copies that a mirror did not take.
    pub mirror_failures: Counter,
}

/// One worker's numbers of a cluster.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct ClusterCells {
    /// Ended attempts by class of status; `none` when no response came.
    pub requests: StatusCounts,
    /// Attempts that are under way.
    pub requests_active: Gauge,
    /// From sending the request's head to the end of the response.
    pub duration: Histogram,
    /// Established connections, TLS included.
    pub connections: Counter,
    /// Connections that are open, idle ones included.
    pub connections_active: Gauge,
    /// Connections that were not established, timeouts included.
    pub connect_failures: Counter,
    /// Connections that took longer than the connect timeout.
    pub connect_timeouts: Counter,
    /// Connect failures in the TLS handshake.
    pub tls_errors: Counter,
    /// Attempts after the first.
    pub retries: Counter,
    /// Retries that the circuit breaker or the retry budget did not allow.
    pub retries_refused: Counter,
    /// Attempts that took longer than their timeout.
    pub timeouts: Counter,
    /// Attempts that the upstream reset or cut off.
    pub resets_received: Counter,
    /// Attempts that the proxy gave up.
    pub resets_sent: Counter,
    /// Responses that broke the protocol.
    pub protocol_errors: Counter,
    /// Requests for which there was no endpoint.
    pub no_endpoint: Counter,
    /// Of an authorisation service: requests that it let go on.
    pub auth_allowed: Counter,
    /// Requests that it refused.
    pub auth_denied: Counter,
    /// Requests that were stopped because it gave no answer, or none that could be understood.
    pub auth_errors: Counter,
    /// Bytes of bodies sent to the upstream.
    pub bytes_sent: Counter,
    /// Bytes of bodies received from the upstream.
    pub bytes_received: Counter,
}

/// One worker's numbers of an endpoint: one cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct EndpointCells {
    /// Attempts.
    pub requests: Counter,
    /// Attempts without a response, or with a status of 500 and more.
    pub failures: Counter,
    /// Attempts that are under way.
    pub requests_active: Gauge,
    /// Connections that were not established.
    pub connect_failures: Counter,
}

/// What a worker counts about itself.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct WorkerCells {
    /// Version of the configuration that the worker serves.
    pub snapshot_version: Gauge,
    /// Records written to the access log.
    pub log_records: Counter,
    /// Records lost because the log's writer was behind.
    pub log_dropped: Counter,
    /// Spans recorded.
    pub spans: Counter,
    /// Spans lost because the exporter was behind.
    pub spans_dropped: Counter,
}

/// A client's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Protocol {
    Http10,
    Http11,
    Http2,
}

impl Protocol {
    pub(crate) const ALL: [Protocol; 3] = [Protocol::Http10, Protocol::Http11, Protocol::Http2];

    /// Value of the label `protocol`, as in access logs.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Http10 => "HTTP/1.0",
            Protocol::Http11 => "HTTP/1.1",
            Protocol::Http2 => "HTTP/2",
        }
    }
}

impl From<fairlead_http::Version> for Protocol {
    fn from(version: fairlead_http::Version) -> Self {
        match version {
            fairlead_http::Version::Http10 => Protocol::Http10,
            fairlead_http::Version::Http11 => Protocol::Http11,
            fairlead_http::Version::H2 => Protocol::Http2,
        }
    }
}

/// Exchanges by protocol and class of status.
#[derive(Debug, Default)]
pub struct ProtocolCounts([StatusCounts; Protocol::ALL.len()]);

impl ProtocolCounts {
    /// Counts a response.
    #[inline]
    pub fn inc(&self, protocol: Protocol, status: u16) {
        self.0[protocol as usize].inc(status);
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.0.iter().map(StatusCounts::total).sum()
    }

    /// Those of a protocol.
    pub fn of(&self, protocol: Protocol) -> &StatusCounts {
        &self.0[protocol as usize]
    }
}

/// Why a request was refused before routing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectReason {
    /// Syntax, framing, invalid characters, path tricks: 400.
    Malformed,
    /// Head, path or body over a limit: 413, 414, 431.
    TooLarge,
    /// The head or body came too slowly: 408.
    Timeout,
    /// The host belongs to another listener: 421.
    Misdirected,
    /// A version, upgrade or method that isn't served: 403, 405, 426, 501, 505.
    Unsupported,
    /// More frames, resets or streams than a client may send.
    Flood,
    /// The proxy is out of a resource: 503.
    Overload,
    /// Anything else.
    Other,
}

impl RejectReason {
    pub(crate) const ALL: [RejectReason; 8] = [
        RejectReason::Malformed,
        RejectReason::TooLarge,
        RejectReason::Timeout,
        RejectReason::Misdirected,
        RejectReason::Unsupported,
        RejectReason::Flood,
        RejectReason::Overload,
        RejectReason::Other,
    ];

    /// The reason that goes with the status of the answer.
    pub fn of_status(status: u16) -> Self {
        match status {
            400 => RejectReason::Malformed,
            413 | 414 | 431 => RejectReason::TooLarge,
            408 => RejectReason::Timeout,
            421 => RejectReason::Misdirected,
            403 | 405 | 426 | 501 | 505 => RejectReason::Unsupported,
            503 => RejectReason::Overload,
            _ => RejectReason::Other,
        }
    }

    /// Value of the label `reason`.
    pub fn name(self) -> &'static str {
        match self {
            RejectReason::Malformed => "malformed",
            RejectReason::TooLarge => "too_large",
            RejectReason::Timeout => "timeout",
            RejectReason::Misdirected => "misdirected",
            RejectReason::Unsupported => "unsupported",
            RejectReason::Flood => "flood",
            RejectReason::Overload => "overload",
            RejectReason::Other => "other",
        }
    }
}

/// Refused requests by reason.
#[derive(Debug, Default)]
pub struct RejectCounts([Counter; RejectReason::ALL.len()]);

impl RejectCounts {
    /// Counts a refusal.
    #[inline]
    pub fn inc(&self, reason: RejectReason) {
        self.0[reason as usize].inc();
    }

    /// Those with a reason.
    pub fn of(&self, reason: RejectReason) -> &Counter {
        &self.0[reason as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_keep_their_budget() {
        assert!(size_of::<RouteCells>() <= 128, "{}", size_of::<RouteCells>());
        assert!(size_of::<EndpointCells>() <= 64);
        assert!(size_of::<ClusterCells>() <= 384, "{}", size_of::<ClusterCells>());
        assert!(size_of::<ListenerCells>() <= 512, "{}", size_of::<ListenerCells>());
        for align in [
            align_of::<RouteCells>(),
            align_of::<EndpointCells>(),
            align_of::<ClusterCells>(),
            align_of::<ListenerCells>(),
        ] {
            assert_eq!(align, 64, "blocks of two workers never share a cache line");
        }
    }

    #[test]
    fn tables_are_in_the_order_of_the_enums() {
        for (i, reason) in RejectReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, i);
        }
        for (i, protocol) in Protocol::ALL.into_iter().enumerate() {
            assert_eq!(protocol as usize, i);
        }
    }
}
