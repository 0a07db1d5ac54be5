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
        if name.len() < 2 {
            return Known::Other;
        }
        let at = slot(SEED, name);
        let id = TABLE[at] as usize;
        if NAMES[id].as_bytes() == name { ALL[id] } else { Known::Other }
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

const SLOTS: usize = 1024;

/// A perfect hash: length and four bytes of the name, mixed by a seed that is checked (or searched) at compile time.
#[inline]
const fn slot(seed: u64, name: &[u8]) -> usize {
    let n = name.len();
    let key = (n as u64) << 32
        | (name[0] as u64) << 24
        | (name[n / 2] as u64) << 16
        | (name[n - 2] as u64) << 8
        | name[n - 1] as u64;
    (key.wrapping_mul(seed) >> 54) as usize
}

const fn collides(seed: u64) -> bool {
    let mut used = [false; SLOTS];
    let mut i = 1;
    while i < NAMES.len() {
        let at = slot(seed, NAMES[i].as_bytes());
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

static TABLE: [u8; SLOTS] = {
    assert!(NAMES.len() <= 128, "a set of known names must fit a u128");
    let mut table = [0u8; SLOTS];
    let mut i = 1;
    while i < NAMES.len() {
        table[slot(SEED, NAMES[i].as_bytes())] = i as u8;
        i += 1;
    }
    table
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
}
