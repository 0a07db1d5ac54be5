//! Why the proxy answers by itself, and the one table that turns a cause into a status, a response flag and a body.
//!
//! Statuses, flags, details and bodies are Envoy's (router and HTTP connection manager), so that people who know Envoy's
//! access log know this one.

use fairlead_http::Reject;
use fairlead_telemetry::{Flag, Flags};

/// Why the proxy answers by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// No listener, host name or rule takes the request.
    NoRoute,
    /// The host belongs to another listener than the connection's SNI (RFC 9110 §15.5.20, GEP-3567).
    Misdirected,
    /// The rule, or the backend that was drawn, has a reference that does not resolve.
    Unresolved,
    /// The rule has no backend with a weight.
    NoBackend,
    /// The cluster is not known (yet).
    NoCluster,
    /// The cluster has no endpoint that may take the request.
    NoHealthyUpstream,
    /// A circuit breaker of the cluster is open.
    Overflow,
    /// A retry that was due is not within the cluster's retry budget (GEP-3388).
    RetryBudget,
    /// An authorisation service gave no answer, or none that is consent or refusal (Envoy's `status_on_error`, 403).
    AuthFailed,
    /// An authorisation service wants something in a message that no message may carry.
    AuthInvalid,
    /// The request's body is longer than an authorisation service may get.
    PayloadTooLarge,
    /// The endpoint refused the connection or the handshake failed.
    ConnectFailed,
    /// The endpoint did not accept in time.
    ConnectTimeout,
    /// The endpoint closed the connection before the response's head.
    UpstreamClosed,
    /// The endpoint reset the stream before the response's head.
    UpstreamReset,
    /// The endpoint's answer is not HTTP, or not safe to forward.
    UpstreamProtocol,
    /// The request's deadline passed.
    RequestTimeout,
    /// The last attempt's deadline passed.
    AttemptTimeout,
    /// Nothing moved for the stream idle timeout.
    StreamIdle {
        /// Whether the request was received whole: 504, otherwise 408.
        received: bool,
    },
    /// The request's head did not arrive in time.
    HeaderTimeout,
    /// The request is malformed or over a limit.
    Rejected {
        /// 400, 414, 431, 501 …
        status: u16,
        /// Envoy's `%RESPONSE_CODE_DETAILS%`.
        details: &'static str,
        /// The framing is in doubt.
        close: bool,
    },
    /// The client went away: nothing is answered.
    ClientGone,
    /// The client reset its stream: nothing is answered.
    ClientReset,
}

impl From<Reject> for Cause {
    fn from(Reject { status, details, close }: Reject) -> Self {
        Cause::Rejected { status, details, close }
    }
}

/// What a client sees of a [`Cause`], and what the log says.
pub struct Answer {
    /// HTTP status; 0 when nothing can be answered.
    pub status: u16,
    /// Envoy's response flag.
    pub flags: Flags,
    /// Envoy's `%RESPONSE_CODE_DETAILS%`.
    pub details: &'static str,
    /// Plain text; empty for none.
    pub body: &'static str,
}

#[cfg(test)]
const PREFIX: &str = "upstream connect error or disconnect/reset before headers. reset reason: ";

macro_rules! reset {
    ($reason:literal) => {
        concat!("upstream connect error or disconnect/reset before headers. reset reason: ", $reason)
    };
}

impl Cause {
    /// The table.
    pub fn answer(self) -> Answer {
        let (status, flag, details, body) = match self {
            Cause::NoRoute => (404, Some(Flag::NoRouteFound), "route_not_found", ""),
            Cause::Misdirected => (421, Some(Flag::NoRouteFound), "misdirected_request", "misdirected request"),
            Cause::Unresolved => (500, Some(Flag::NoClusterFound), "unresolved_reference", "no resolvable backend"),
            Cause::NoBackend => (500, Some(Flag::NoClusterFound), "no_backend", "no backend"),
            Cause::NoCluster => (503, Some(Flag::NoClusterFound), "cluster_not_found", ""),
            Cause::NoHealthyUpstream => {
                (503, Some(Flag::NoHealthyUpstream), "no_healthy_upstream", "no healthy upstream")
            }
            Cause::Overflow => (
                503,
                Some(Flag::UpstreamOverflow),
                "upstream_reset_before_response_started{overflow}",
                reset!("overflow"),
            ),
            Cause::AuthFailed => (403, Some(Flag::UnauthorizedExternalService), "ext_authz_error", ""),
            Cause::AuthInvalid => (500, Some(Flag::UnauthorizedExternalService), "ext_authz_invalid", ""),
            Cause::PayloadTooLarge => (413, None, "request_payload_too_large", "Payload Too Large"),
            Cause::RetryBudget => (503, Some(Flag::UpstreamOverflow), "retry_budget_exceeded", "retry budget exceeded"),
            Cause::ConnectFailed => (
                503,
                Some(Flag::UpstreamConnectionFailure),
                "upstream_reset_before_response_started{remote_connection_failure}",
                reset!("remote connection failure"),
            ),
            Cause::ConnectTimeout => (
                503,
                Some(Flag::UpstreamConnectionFailure),
                "upstream_reset_before_response_started{connection_timeout}",
                reset!("connection timeout"),
            ),
            Cause::UpstreamClosed => (
                503,
                Some(Flag::UpstreamConnectionTermination),
                "upstream_reset_before_response_started{connection_termination}",
                reset!("connection termination"),
            ),
            Cause::UpstreamReset => (
                503,
                Some(Flag::UpstreamRemoteReset),
                "upstream_reset_before_response_started{remote_reset}",
                reset!("remote reset"),
            ),
            Cause::UpstreamProtocol => (
                502,
                Some(Flag::UpstreamProtocolError),
                "upstream_reset_before_response_started{protocol_error}",
                reset!("protocol error"),
            ),
            Cause::RequestTimeout => {
                (504, Some(Flag::UpstreamRequestTimeout), "upstream_response_timeout", "upstream request timeout")
            }
            Cause::AttemptTimeout => {
                (504, Some(Flag::UpstreamRequestTimeout), "upstream_per_try_timeout", "upstream request timeout")
            }
            Cause::StreamIdle { received } => (
                if received { 504 } else { 408 },
                Some(Flag::StreamIdleTimeout),
                "stream_idle_timeout",
                "stream timeout",
            ),
            Cause::HeaderTimeout => (408, None, "request_header_timeout", "request header timeout"),
            Cause::Rejected { status, details, .. } => (status, Some(Flag::DownstreamProtocolError), details, ""),
            Cause::ClientGone => (0, Some(Flag::DownstreamConnectionTermination), "downstream_remote_disconnect", ""),
            Cause::ClientReset => (0, Some(Flag::DownstreamRemoteReset), "http2.remote_reset", ""),
        };
        Answer { status, flags: flag.map(Flags::from).unwrap_or_default(), details, body }
    }

    /// Whether the client's connection can't carry another request.
    pub fn is_final(self) -> bool {
        matches!(
            self,
            Cause::Rejected { close: true, .. } | Cause::HeaderTimeout | Cause::StreamIdle { received: false }
        )
    }

    /// Details of the same cause once the response has started: it can only be cut off.
    pub fn details_after_start(self) -> &'static str {
        match self {
            Cause::UpstreamClosed => "upstream_reset_after_response_started{connection_termination}",
            Cause::UpstreamReset => "upstream_reset_after_response_started{remote_reset}",
            Cause::UpstreamProtocol => "upstream_reset_after_response_started{protocol_error}",
            _ => self.answer().details,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_of_resets_name_the_reason_of_the_details() {
        for cause in [
            Cause::Overflow,
            Cause::ConnectFailed,
            Cause::UpstreamClosed,
            Cause::UpstreamReset,
            Cause::UpstreamProtocol,
        ] {
            let answer = cause.answer();
            let reason = answer.body.strip_prefix(PREFIX).unwrap().replace(' ', "_");
            assert_eq!(answer.details, format!("upstream_reset_before_response_started{{{reason}}}"));
        }
    }
}
