//! What a peer may ask of us at most.

use crate::fields::Fields;
use crate::known::Known;
use crate::request::is_grpc_type;

/// Bounds on heads, trailers and chunk framing, and the choices of strictness that have a knob.
///
/// The defaults are the strict choice (Envoy's edge profile), with Envoy's sizes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a head with its start line; at most [`Limits::HEAD_CEILING`]. More is 431.
    pub max_head_bytes: u32,
    /// Number of fields of a head, or of a trailer section. More is 431.
    pub max_headers: u16,
    /// Bytes of a request target. More is 414.
    pub max_target_bytes: u32,
    /// Bytes of all chunk extensions of a message together; they are checked and dropped. More is 400.
    pub max_chunk_extension_bytes: u32,
    /// Bytes of a trailer section. More is 431 when it still can be answered.
    pub max_trailer_bytes: u32,
    /// Whether HTTP/1.0 requests are served (else 426).
    pub accept_http10: bool,
    /// Whether a `Host` may differ from the authority of an absolute-form target or `:authority`, which then wins (else 400).
    pub allow_host_mismatch: bool,
    /// What to do with field names that contain `_`, which CGI-like backends take for `-`.
    pub underscores: Underscores,
}

/// What to do with field names that contain an underscore in requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Underscores {
    /// Let them pass.
    Allow,
    /// Drop the field.
    Drop,
    /// Refuse the request (400).
    Reject,
    /// Refuse it unless it is gRPC, whose metadata may have such names (gRPC over HTTP/2, Custom-Metadata): it goes to backends that
    /// speak HTTP/2 only, which are not CGI-like.
    #[default]
    RejectUnlessGrpc,
}

impl Underscores {
    /// Whether a request is refused for a field that contains an underscore.
    pub(crate) fn refuse(self, fields: &Fields) -> bool {
        match self {
            Underscores::Allow | Underscores::Drop => false,
            Underscores::Reject => true,
            Underscores::RejectUnlessGrpc => !fields.get(Known::ContentType).is_some_and(is_grpc_type),
        }
    }
}

impl Limits {
    /// No head can be larger than this: it must fit a read buffer.
    pub const HEAD_CEILING: u32 = 64_000;
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_head_bytes: 60 * 1024,
            max_headers: 100,
            max_target_bytes: 32 * 1024,
            max_chunk_extension_bytes: 4096,
            max_trailer_bytes: 16 * 1024,
            accept_http10: true,
            allow_host_mismatch: false,
            underscores: Underscores::default(),
        }
    }
}
