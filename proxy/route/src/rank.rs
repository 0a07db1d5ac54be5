//! The specification's precedence as a derived order.

use std::cmp::Reverse;

/// What a match counts for within a host name. The derived order is the specification's: the smaller is asked first.
///
/// Regular expressions are implementation-specific there; like Envoy Gateway and Contour, an exact path goes before a regular
/// expression, that before a prefix, and the longer pattern before the shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    /// GRPCRoutes take nothing but gRPC requests, so they are asked before HTTPRoutes: these would take those, too.
    pub(crate) grpc: Reverse<bool>,
    pub(crate) service: Reverse<Length>,
    pub(crate) rpc: Reverse<Length>,
    pub(crate) path: Reverse<Length>,
    pub(crate) method: Reverse<bool>,
    pub(crate) headers: Reverse<usize>,
    pub(crate) query: Reverse<usize>,
}

/// How text is matched, and its characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Length {
    pub(crate) kind: Kind,
    pub(crate) characters: usize,
}

/// How text is matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    None,
    Prefix,
    Regex,
    Exact,
}

impl Length {
    pub(crate) const NONE: Length = Length { kind: Kind::None, characters: 0 };

    pub(crate) fn new(kind: Kind, characters: usize) -> Self {
        Length { kind, characters }
    }
}
