//! Why there is no connection.

use std::fmt;
use std::io;
use std::rc::Rc;

/// Why a request got no connection. Three words, cheap to clone: all requests that wait for one connection get the same.
#[derive(Clone, Debug)]
pub struct ConnectError {
    /// What went wrong.
    pub kind: ConnectErrorKind,
    /// More of it, for logs; a message of TLS, HTTP/2 or the operating system. Names no key material.
    pub detail: Option<Rc<str>>,
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectErrorKind {
    /// Nobody listens there, or a firewall says so.
    Refused,
    /// There is no way to the address.
    Unreachable,
    /// Connecting, the TLS handshake and HTTP/2's SETTINGS together took longer than the connect timeout.
    Timeout,
    /// The TLS handshake failed: the certificate is refused, no TLS is spoken there …
    Tls,
    /// The peer does not speak what is wanted: another protocol by ALPN, or no HTTP/2 where prior knowledge said so.
    Protocol,
    /// The peer closed the connection before it could be used.
    Closed,
    /// This machine refused: out of file descriptors, ports, memory.
    Local,
    /// A circuit breaker is open.
    Overflow,
    /// Another error of the operating system.
    Other,
}

impl ConnectError {
    pub(crate) fn new(kind: ConnectErrorKind) -> ConnectError {
        ConnectError { kind, detail: None }
    }

    pub(crate) fn with(kind: ConnectErrorKind, detail: &dyn fmt::Display) -> ConnectError {
        ConnectError { kind, detail: Some(detail.to_string().into()) }
    }

    pub(crate) fn overflow() -> ConnectError {
        ConnectError::new(ConnectErrorKind::Overflow)
    }

    /// Whether the request may be sent to another endpoint (Envoy's `connect-failure`): nothing of it was sent, and it is not our
    /// own limit that stands in the way.
    pub fn retryable(&self) -> bool {
        self.kind != ConnectErrorKind::Overflow
    }

    /// Envoy's words for it, as in `reset reason: …`.
    pub fn reason(&self) -> &'static str {
        match self.kind {
            ConnectErrorKind::Timeout => "connection timeout",
            ConnectErrorKind::Local => "local connection failure",
            ConnectErrorKind::Overflow => "overflow",
            _ => "remote connection failure",
        }
    }
}

impl From<io::Error> for ConnectError {
    fn from(e: io::Error) -> ConnectError {
        use io::ErrorKind as Io;
        let kind = match (e.kind(), e.raw_os_error()) {
            (Io::ConnectionRefused, _) => return ConnectError::new(ConnectErrorKind::Refused),
            (Io::TimedOut, _) => return ConnectError::new(ConnectErrorKind::Timeout),
            (Io::HostUnreachable | Io::NetworkUnreachable, _) => ConnectErrorKind::Unreachable,
            (Io::ConnectionReset | Io::ConnectionAborted | Io::BrokenPipe | Io::UnexpectedEof, _) => {
                ConnectErrorKind::Closed
            }
            // ENFILE, EMFILE.
            (Io::AddrNotAvailable | Io::AddrInUse | Io::OutOfMemory | Io::PermissionDenied, _) | (_, Some(23 | 24)) => {
                ConnectErrorKind::Local
            }
            _ => ConnectErrorKind::Other,
        };
        ConnectError::with(kind, &e)
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            ConnectErrorKind::Refused => "connection refused",
            ConnectErrorKind::Unreachable => "address unreachable",
            ConnectErrorKind::Timeout => "connect timeout",
            ConnectErrorKind::Tls => "TLS handshake failed",
            ConnectErrorKind::Protocol => "wrong protocol",
            ConnectErrorKind::Closed => "connection closed",
            ConnectErrorKind::Local => "out of local resources",
            ConnectErrorKind::Overflow => "circuit breaker open",
            ConnectErrorKind::Other => "connect failed",
        })?;
        match &self.detail {
            Some(detail) => write!(f, ": {detail}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ConnectError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_small() {
        assert!(size_of::<ConnectError>() <= 24);
    }

    #[test]
    fn sorts_system_errors() {
        for (errno, kind) in [
            (111, ConnectErrorKind::Refused),
            (113, ConnectErrorKind::Unreachable),
            (101, ConnectErrorKind::Unreachable),
            (110, ConnectErrorKind::Timeout),
            (24, ConnectErrorKind::Local),
            (99, ConnectErrorKind::Local),
            (104, ConnectErrorKind::Closed),
            (22, ConnectErrorKind::Other),
        ] {
            assert_eq!(ConnectError::from(io::Error::from_raw_os_error(errno)).kind, kind, "errno {errno}");
        }
    }

    #[test]
    fn only_our_own_limits_forbid_a_retry() {
        assert!(!ConnectError::overflow().retryable());
        assert!(ConnectError::new(ConnectErrorKind::Tls).retryable());
        assert_eq!(ConnectError::new(ConnectErrorKind::Timeout).to_string(), "connect timeout");
    }
}
