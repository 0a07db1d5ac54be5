//! What goes wrong on a leg, and what a bad request is answered with.

use std::io;

/// A fault of one side of an exchange. Two words and a bit, never allocates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct Error {
    /// What happened.
    pub kind: ErrorKind,
}

/// The kinds of [`Error`], as fine as answers and response flags need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The peer ended the connection before the message was complete (Envoy: "connection termination", UC/DC).
    #[error("connection closed by peer")]
    Closed,
    /// The socket failed (UC/DC).
    #[error("connection failed: {0}")]
    Io(io::ErrorKind),
    /// This side was broken on purpose before (by [`crate::Leg::reset`]); a mistake to go on with it.
    #[error("{0}")]
    Local(&'static str),
    /// The peer broke HTTP's rules; the text is the detail for the access log (UPE/DPE).
    #[error("{0}")]
    Protocol(&'static str),
    /// The peer took no part in this request (HTTP/2 REFUSED_STREAM, or GOAWAY below this stream): safe to send again (UR).
    #[error("stream refused by peer")]
    Refused,
    /// The peer reset the stream with this HTTP/2 error code (UR/DR).
    #[error("stream reset by peer: {0}")]
    Reset(::h2::Reason),
    /// A head or trailer section exceeds its limit; the text is the detail (UPE/DPE).
    #[error("{0}")]
    TooLarge(&'static str),
}

impl Error {
    /// The peer broke the rules; `details` is what the access log says.
    #[inline]
    pub const fn protocol(details: &'static str) -> Error {
        Error { kind: ErrorKind::Protocol(details) }
    }

    /// The connection ended too early.
    pub const CLOSED: Error = Error { kind: ErrorKind::Closed };

    /// The side that called made a mistake, or went on after a reset.
    #[inline]
    pub const fn local(details: &'static str) -> Error {
        Error { kind: ErrorKind::Local(details) }
    }

    /// Something exceeds a limit.
    #[inline]
    pub const fn too_large(details: &'static str) -> Error {
        Error { kind: ErrorKind::TooLarge(details) }
    }

    /// Whether the peer violated the protocol or a limit, as opposed to going away.
    pub fn is_protocol(&self) -> bool {
        matches!(self.kind, ErrorKind::Protocol(_) | ErrorKind::TooLarge(_))
    }

    /// A word for `%RESPONSE_CODE_DETAILS%` and logs.
    pub fn details(&self) -> &'static str {
        match self.kind {
            ErrorKind::Closed | ErrorKind::Io(_) => "connection_termination",
            ErrorKind::Refused => "remote_refused_stream_reset",
            ErrorKind::Reset(_) => "remote_reset",
            ErrorKind::Local(d) | ErrorKind::Protocol(d) | ErrorKind::TooLarge(d) => d,
        }
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Error {
        Error { kind }
    }
}

impl From<io::Error> for Error {
    fn from(e: io::Error) -> Error {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
        match e.kind() {
            BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof => Error::CLOSED,
            kind => Error { kind: ErrorKind::Io(kind) },
        }
    }
}

impl From<::h2::Error> for Error {
    fn from(e: ::h2::Error) -> Error {
        let kind = match e.reason() {
            Some(::h2::Reason::REFUSED_STREAM) => ErrorKind::Refused,
            // A GOAWAY without an error says that the stream was not processed (RFC 9113 §6.8).
            Some(::h2::Reason::NO_ERROR) if e.is_go_away() && e.is_remote() => ErrorKind::Refused,
            Some(_) if !e.is_remote() && (e.is_reset() || e.is_go_away()) => {
                ErrorKind::Protocol("http2.protocol_error")
            }
            Some(_) if e.is_go_away() => ErrorKind::Closed,
            Some(reason) => ErrorKind::Reset(reason),
            None => match e.get_io() {
                Some(io) => return io::Error::from(io.kind()).into(),
                None => ErrorKind::Local("http2.stream_misused"),
            },
        };
        Error { kind }
    }
}

/// What a request that cannot be served is answered with, before any route is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reject {
    /// The response's status code.
    pub status: u16,
    /// Envoy's `%RESPONSE_CODE_DETAILS%`, such as `http1.invalid_characters`.
    pub details: &'static str,
    /// Whether the connection is out of step and must be closed after the answer (HTTP/1 only; HTTP/2 ends the stream).
    pub close: bool,
}

impl Reject {
    /// 400, after which the connection cannot be trusted.
    #[inline]
    pub const fn bad(details: &'static str) -> Reject {
        Reject { status: 400, details, close: true }
    }

    /// Another status, after which the connection is closed.
    #[inline]
    pub const fn closing(status: u16, details: &'static str) -> Reject {
        Reject { status, details, close: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_small() {
        assert!(size_of::<Error>() <= 24, "{}", size_of::<Error>());
        assert!(size_of::<Reject>() <= 24);
    }

    #[test]
    fn a_reset_socket_is_a_closed_one() {
        assert_eq!(Error::from(io::Error::from(io::ErrorKind::ConnectionReset)), Error::CLOSED);
        assert_eq!(Error::from(io::Error::from(io::ErrorKind::TimedOut)).kind, ErrorKind::Io(io::ErrorKind::TimedOut));
    }

    #[test]
    fn h2_reasons() {
        assert_eq!(Error::from(::h2::Error::from(::h2::Reason::REFUSED_STREAM)).kind, ErrorKind::Refused);
        assert!(matches!(Error::from(::h2::Error::from(::h2::Reason::CANCEL)).kind, ErrorKind::Reset(_)));
    }
}
