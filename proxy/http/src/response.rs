//! The head of a response.

use crate::fields::Fields;
use crate::method::Version;

/// The head of a response, the same for HTTP/1.1 and HTTP/2. Meant to be cleared and used again.
///
/// A reason phrase is not kept (RFC 9112 §4: recipients should ignore it); HTTP/1 gets the registered one.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// The status code, 100 to 999.
    pub status: u16,
    /// What the response arrived with.
    pub version: Version,
    /// All header fields.
    pub fields: Fields,
}

impl ResponseHead {
    /// A head with this status and no fields. Allocates nothing.
    pub const fn new(status: u16) -> ResponseHead {
        ResponseHead { status, version: Version::Http11, fields: Fields::new() }
    }

    /// Status 200 and no fields; keeps the memory.
    #[inline]
    pub fn clear(&mut self) {
        self.status = 200;
        self.version = Version::Http11;
        self.fields.clear();
    }

    /// Becomes a copy of `other`, using the memory it has.
    pub fn copy_from(&mut self, other: &ResponseHead) {
        self.status = other.status;
        self.version = other.version;
        self.fields.copy_from(&other.fields);
    }

    /// Whether a final response follows this one (1xx but 101, RFC 9110 §15.2).
    #[inline]
    pub fn is_interim(&self) -> bool {
        self.status < 200 && self.status != 101
    }
}

impl Default for ResponseHead {
    fn default() -> ResponseHead {
        ResponseHead::new(200)
    }
}

/// The registered reason phrase of a status (RFC 9110 §15 and the IANA registry); empty for codes outside.
pub const fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        102 => "Processing",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        207 => "Multi-Status",
        208 => "Already Reported",
        226 => "IM Used",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        305 => "Use Proxy",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        418 => "I'm a teapot",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        506 => "Variant Also Negotiates",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        510 => "Not Extended",
        511 => "Network Authentication Required",
        _ => "",
    }
}
