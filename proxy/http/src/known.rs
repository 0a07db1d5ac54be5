//! Well-known field names as one byte, so that the hot path compares numbers instead of names.

/// Declares the variants with their names. Their order has no meaning; fewer than 128, so that a set of them fits a `u128`.
macro_rules! known {
    ($($variant:ident = $name:literal,)*) => {
        /// A field name this proxy has a use for; everything else is [`Known::Other`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        #[allow(missing_docs)]
        pub enum Known {
            /// A name outside the list; the bytes stand beside it.
            Other,
            $($variant,)*
        }

        /// Variants by number.
        const ALL: &[Known] = &[Known::Other, $(Known::$variant,)*];
        /// Names by number; `Other` has none.
        const NAMES: &[&str] = &["", $($name,)*];
    };
}

known! {
    Accept = "accept",
    AcceptEncoding = "accept-encoding",
    AcceptLanguage = "accept-language",
    AccessControlAllowCredentials = "access-control-allow-credentials",
    AccessControlAllowHeaders = "access-control-allow-headers",
    AccessControlAllowMethods = "access-control-allow-methods",
    AccessControlAllowOrigin = "access-control-allow-origin",
    AccessControlExposeHeaders = "access-control-expose-headers",
    AccessControlMaxAge = "access-control-max-age",
    AccessControlRequestHeaders = "access-control-request-headers",
    AccessControlRequestMethod = "access-control-request-method",
    Age = "age",
    Allow = "allow",
    AltSvc = "alt-svc",
    Authorization = "authorization",
    CacheControl = "cache-control",
    Connection = "connection",
    ContentDisposition = "content-disposition",
    ContentEncoding = "content-encoding",
    ContentLanguage = "content-language",
    ContentLength = "content-length",
    ContentSecurityPolicy = "content-security-policy",
    ContentType = "content-type",
    Cookie = "cookie",
    Date = "date",
    Dnt = "dnt",
    Etag = "etag",
    Expect = "expect",
    Expires = "expires",
    Forwarded = "forwarded",
    GrpcAcceptEncoding = "grpc-accept-encoding",
    GrpcEncoding = "grpc-encoding",
    GrpcMessage = "grpc-message",
    GrpcStatus = "grpc-status",
    GrpcTimeout = "grpc-timeout",
    Host = "host",
    Http2Settings = "http2-settings",
    IfMatch = "if-match",
    IfModifiedSince = "if-modified-since",
    IfNoneMatch = "if-none-match",
    IfRange = "if-range",
    KeepAlive = "keep-alive",
    LastModified = "last-modified",
    Link = "link",
    Location = "location",
    Origin = "origin",
    Pragma = "pragma",
    Priority = "priority",
    ProxyAuthenticate = "proxy-authenticate",
    ProxyAuthorization = "proxy-authorization",
    ProxyConnection = "proxy-connection",
    Range = "range",
    Referer = "referer",
    ReferrerPolicy = "referrer-policy",
    RetryAfter = "retry-after",
    SecFetchDest = "sec-fetch-dest",
    SecFetchMode = "sec-fetch-mode",
    SecFetchSite = "sec-fetch-site",
    SecWebsocketAccept = "sec-websocket-accept",
    SecWebsocketExtensions = "sec-websocket-extensions",
    SecWebsocketKey = "sec-websocket-key",
    SecWebsocketProtocol = "sec-websocket-protocol",
    SecWebsocketVersion = "sec-websocket-version",
    Server = "server",
    SetCookie = "set-cookie",
    StrictTransportSecurity = "strict-transport-security",
    Te = "te",
    Traceparent = "traceparent",
    Tracestate = "tracestate",
    Trailer = "trailer",
    TransferEncoding = "transfer-encoding",
    Upgrade = "upgrade",
    UpgradeInsecureRequests = "upgrade-insecure-requests",
    UserAgent = "user-agent",
    Vary = "vary",
    Via = "via",
    WwwAuthenticate = "www-authenticate",
    XContentTypeOptions = "x-content-type-options",
    XEnvoyAttemptCount = "x-envoy-attempt-count",
    XEnvoyUpstreamServiceTime = "x-envoy-upstream-service-time",
    XForwardedFor = "x-forwarded-for",
    XForwardedHost = "x-forwarded-host",
    XForwardedPort = "x-forwarded-port",
    XForwardedProto = "x-forwarded-proto",
    XFrameOptions = "x-frame-options",
    XRealIp = "x-real-ip",
    XRequestId = "x-request-id",
}

impl Known {
    /// The id of a name in lower case; [`Known::Other`] for names outside the list, and for any with an upper-case letter.
    #[inline]
    pub fn of(name: &[u8]) -> Known {
        Known::with_ends(name, ends(name))
    }

    /// [`Known::of`] for a name whose [`ends`] are at hand.
    #[inline]
    pub(crate) fn with_ends(name: &[u8], ends: Ends) -> Known {
        let entry = &ENTRIES[usize::from(TABLE[slot(SEED, ends, name.len())] & 127)];
        let whole = name.len() <= 16 || entry.known.name().as_bytes() == name;
        if entry.ends == ends && entry.len == name.len() as u64 && whole { entry.known } else { Known::Other }
    }

    /// The name in lower case; empty for [`Known::Other`].
    #[inline]
    pub const fn name(self) -> &'static str {
        NAMES[self as usize]
    }

    /// The one bit that stands for this id in a set.
    #[inline]
    pub(crate) const fn bit(self) -> u128 {
        1 << self as u8
    }
}

/// All variants in the order of their numbers.
pub(crate) fn all() -> impl Iterator<Item = Known> {
    ALL.iter().copied()
}

/// A set of known names, fixed at compile time: a test costs one load.
pub(crate) struct Set {
    /// One for each id.
    has: [bool; 128],
    /// The same as [`Known::bit`]s.
    pub(crate) bits: u128,
}

impl Set {
    pub(crate) const fn of(list: &[Known]) -> Set {
        let mut set = Set { has: [false; 128], bits: 0 };
        let mut i = 0;
        while i < list.len() {
            set.has[list[i] as usize] = true;
            set.bits |= list[i].bit();
            i += 1;
        }
        set
    }

    #[inline]
    pub(crate) const fn contains(&self, known: Known) -> bool {
        self.has[known as usize]
    }
}

/// The start and the end of a name as words, which overlap where it is short: names of the same length up to 16 are equal if these are.
pub(crate) type Ends = [u64; 2];

#[inline]
pub(crate) const fn ends(name: &[u8]) -> Ends {
    if let (Some(first), Some(last)) = (name.first_chunk(), name.last_chunk()) {
        return [u64::from_le_bytes(*first), u64::from_le_bytes(*last)];
    }
    if let (Some(first), Some(last)) = (name.first_chunk(), name.last_chunk()) {
        return [u32::from_le_bytes(*first) as u64, u32::from_le_bytes(*last) as u64];
    }
    match name {
        [] => [0, 0],
        [a] => [*a as u64, 0],
        [a, b] => [*a as u64, *b as u64],
        [a, b, c, ..] => [*a as u64 | (*b as u64) << 8, *c as u64],
    }
}

const SLOTS: usize = 1024;

/// A perfect hash of a name's ends and length, mixed by a seed that is checked (or searched) at compile time.
#[inline]
const fn slot(seed: u64, ends: Ends, len: usize) -> usize {
    let key = ends[0] ^ ends[1].rotate_left(23) ^ (len as u64) << 56;
    (key.wrapping_mul(seed) >> 54) as usize
}

const fn collides(seed: u64) -> bool {
    let mut used = [false; SLOTS];
    let mut i = 1;
    while i < NAMES.len() {
        let name = NAMES[i].as_bytes();
        let at = slot(seed, ends(name), name.len());
        if used[at] {
            return true;
        }
        used[at] = true;
        i += 1;
    }
    false
}

/// The first number is where the search once ended; after adding a name it goes on from there.
#[allow(long_running_const_eval)]
const SEED: u64 = {
    let mut seed = 0x8197_3d66_195f_f171;
    while collides(seed) {
        seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f) | 1;
    }
    seed
};

/// Ids by slot; 0 where there is none.
static TABLE: [u8; SLOTS] = {
    assert!(NAMES.len() <= 128, "a set of known names must fit a u128");
    let mut table = [0u8; SLOTS];
    let mut i = 1;
    while i < NAMES.len() {
        let name = NAMES[i].as_bytes();
        table[slot(SEED, ends(name), name.len())] = i as u8;
        i += 1;
    }
    table
};

/// What a name is compared with.
struct Entry {
    ends: Ends,
    len: u64,
    known: Known,
}

/// Entries by id; those without a name match the empty one, which is nobody's.
static ENTRIES: [Entry; 128] = {
    let mut entries = [const { Entry { ends: [0, 0], len: 0, known: Known::Other } }; 128];
    let mut i = 1;
    while i < NAMES.len() {
        let name = NAMES[i].as_bytes();
        entries[i] = Entry { ends: ends(name), len: name.len() as u64, known: ALL[i] };
        i += 1;
    }
    entries
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_finds_itself() {
        for (id, name) in NAMES.iter().enumerate().skip(1) {
            assert_eq!(Known::of(name.as_bytes()), ALL[id]);
            assert_eq!(ALL[id].name(), *name);
        }
    }

    #[test]
    fn others_do_not() {
        for name in ["", "h", "hosts", "Host", "hast", "x-custom", "content_length", "content-lengthh"] {
            assert_eq!(Known::of(name.as_bytes()), Known::Other, "{name}");
        }
    }

    /// Each byte counts, wherever it is.
    #[test]
    fn no_name_with_another_byte_is_taken_for_it() {
        for name in &NAMES[1..] {
            for at in 0..name.len() {
                let mut other = name.as_bytes().to_vec();
                other[at] ^= 1;
                let found = Known::of(&other);
                assert!(found == Known::Other || found.name().as_bytes() == other, "{name} at {at}: {found:?}");
                other.remove(at);
                let found = Known::of(&other);
                assert!(found == Known::Other || found.name().as_bytes() == other, "{name} without {at}: {found:?}");
            }
        }
    }

    #[test]
    fn sets_hold_what_they_are_made_of() {
        const SET: Set = Set::of(&[Known::Te, Known::XRequestId]);
        for known in all() {
            let member = matches!(known, Known::Te | Known::XRequestId);
            assert_eq!((SET.contains(known), SET.bits & known.bit() != 0), (member, member), "{known:?}");
        }
    }
}
