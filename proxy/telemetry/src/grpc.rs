//! How gRPC calls end: `grpc-status`.

use fairlead_http::{Fields, Known, ResponseHead};

/// The status of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrpcStatus(u32);

impl GrpcStatus {
    /// That of a response; `None` when it has none, or one that is no number.
    pub fn of(trailers: Option<&Fields>, response: Option<&ResponseHead>) -> Option<GrpcStatus> {
        let value = field(trailers, response)?;
        std::str::from_utf8(value).ok()?.parse().ok().map(GrpcStatus)
    }

    /// 0 to 16, or whatever the server says.
    pub fn code(self) -> u32 {
        self.0
    }

    /// `DeadlineExceeded`; `None` for a code that gRPC does not know.
    pub fn camel(self) -> Option<&'static str> {
        Some(NAMES.get(self.0 as usize)?.0)
    }

    /// `DEADLINE_EXCEEDED`; `None` for a code that gRPC does not know.
    pub fn snake(self) -> Option<&'static str> {
        Some(NAMES.get(self.0 as usize)?.1)
    }

    /// Whether a client takes it for a failure: all but `OK`.
    pub fn is_error(self) -> bool {
        self.0 != 0
    }

    /// Whether it is the server's failure, and not the client's (semantic conventions for gRPC, server spans).
    pub fn is_server_error(self) -> bool {
        // Unknown, deadline exceeded, unimplemented, internal, unavailable, data loss.
        matches!(self.0, 2 | 4 | 12..=15)
    }
}

impl std::fmt::Display for GrpcStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.snake() {
            Some(name) => f.write_str(name),
            None => self.0.fmt(f),
        }
    }
}

/// From the trailers, or from the head of a response without a body.
pub(crate) fn field<'a>(trailers: Option<&'a Fields>, response: Option<&'a ResponseHead>) -> Option<&'a [u8]> {
    let fields = [trailers, response.map(|head| &head.fields)];
    fields.into_iter().flatten().find_map(|fields| fields.get(Known::GrpcStatus))
}

/// Names of the codes 0 to 16.
const NAMES: [(&str, &str); 17] = [
    ("OK", "OK"),
    ("Canceled", "CANCELLED"),
    ("Unknown", "UNKNOWN"),
    ("InvalidArgument", "INVALID_ARGUMENT"),
    ("DeadlineExceeded", "DEADLINE_EXCEEDED"),
    ("NotFound", "NOT_FOUND"),
    ("AlreadyExists", "ALREADY_EXISTS"),
    ("PermissionDenied", "PERMISSION_DENIED"),
    ("ResourceExhausted", "RESOURCE_EXHAUSTED"),
    ("FailedPrecondition", "FAILED_PRECONDITION"),
    ("Aborted", "ABORTED"),
    ("OutOfRange", "OUT_OF_RANGE"),
    ("Unimplemented", "UNIMPLEMENTED"),
    ("Internal", "INTERNAL"),
    ("Unavailable", "UNAVAILABLE"),
    ("DataLoss", "DATA_LOSS"),
    ("Unauthenticated", "UNAUTHENTICATED"),
];
