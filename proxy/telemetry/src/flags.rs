//! Envoy's response flags: why an exchange ended as it did.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

/// One of Envoy's 30 flags, in the order in which Envoy prints them (`common/stream_info/utility.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Flag {
    /// `LH`: the local service failed its health check.
    FailedLocalHealthCheck,
    /// `UH`: no healthy endpoint.
    NoHealthyUpstream,
    /// `UT`: the route's or attempt's timeout.
    UpstreamRequestTimeout,
    /// `LR`: reset by this side.
    LocalReset,
    /// `UR`: reset by the upstream.
    UpstreamRemoteReset,
    /// `UF`: no connection to the upstream.
    UpstreamConnectionFailure,
    /// `UC`: the upstream closed the connection.
    UpstreamConnectionTermination,
    /// `UO`: a circuit breaker is open.
    UpstreamOverflow,
    /// `NR`: no route.
    NoRouteFound,
    /// `DI`: delayed on purpose.
    DelayInjected,
    /// `FI`: failed on purpose.
    FaultInjected,
    /// `RL`: over a rate limit.
    RateLimited,
    /// `UAEX`: refused by external authorization.
    UnauthorizedExternalService,
    /// `RLSE`: the rate limit service failed.
    RateLimitServiceError,
    /// `DC`: the client closed the connection.
    DownstreamConnectionTermination,
    /// `URX`: all retries are used up.
    UpstreamRetryLimitExceeded,
    /// `SI`: nothing moved for the idle timeout.
    StreamIdleTimeout,
    /// `IH`: a header with an invalid value.
    InvalidEnvoyRequestHeaders,
    /// `DPE`: the client broke the protocol.
    DownstreamProtocolError,
    /// `UMSDR`: the upstream stream's maximum duration.
    UpstreamMaxStreamDurationReached,
    /// `RFCF`: answered from a cache.
    ResponseFromCacheFilter,
    /// `NFCF`: the configuration of a filter is missing.
    NoFilterConfigFound,
    /// `DT`: the exchange's or connection's maximum duration.
    DurationTimeout,
    /// `UPE`: the upstream broke the protocol.
    UpstreamProtocolError,
    /// `NC`: the route's cluster does not exist.
    NoClusterFound,
    /// `OM`: ended to save memory.
    OverloadManager,
    /// `DF`: a name did not resolve.
    DnsResolutionFailure,
    /// `DO`: dropped for overload.
    DropOverload,
    /// `DR`: reset by the client.
    DownstreamRemoteReset,
    /// `UDO`: all requests are dropped for overload.
    UnconditionalDropOverload,
}

impl Flag {
    /// All of them, in the order of their bits.
    pub const ALL: [Flag; 30] = [
        Flag::FailedLocalHealthCheck,
        Flag::NoHealthyUpstream,
        Flag::UpstreamRequestTimeout,
        Flag::LocalReset,
        Flag::UpstreamRemoteReset,
        Flag::UpstreamConnectionFailure,
        Flag::UpstreamConnectionTermination,
        Flag::UpstreamOverflow,
        Flag::NoRouteFound,
        Flag::DelayInjected,
        Flag::FaultInjected,
        Flag::RateLimited,
        Flag::UnauthorizedExternalService,
        Flag::RateLimitServiceError,
        Flag::DownstreamConnectionTermination,
        Flag::UpstreamRetryLimitExceeded,
        Flag::StreamIdleTimeout,
        Flag::InvalidEnvoyRequestHeaders,
        Flag::DownstreamProtocolError,
        Flag::UpstreamMaxStreamDurationReached,
        Flag::ResponseFromCacheFilter,
        Flag::NoFilterConfigFound,
        Flag::DurationTimeout,
        Flag::UpstreamProtocolError,
        Flag::NoClusterFound,
        Flag::OverloadManager,
        Flag::DnsResolutionFailure,
        Flag::DropOverload,
        Flag::DownstreamRemoteReset,
        Flag::UnconditionalDropOverload,
    ];

    const NAMES: [(&'static str, &'static str); 30] = [
        ("LH", "FailedLocalHealthCheck"),
        ("UH", "NoHealthyUpstream"),
        ("UT", "UpstreamRequestTimeout"),
        ("LR", "LocalReset"),
        ("UR", "UpstreamRemoteReset"),
        ("UF", "UpstreamConnectionFailure"),
        ("UC", "UpstreamConnectionTermination"),
        ("UO", "UpstreamOverflow"),
        ("NR", "NoRouteFound"),
        ("DI", "DelayInjected"),
        ("FI", "FaultInjected"),
        ("RL", "RateLimited"),
        ("UAEX", "UnauthorizedExternalService"),
        ("RLSE", "RateLimitServiceError"),
        ("DC", "DownstreamConnectionTermination"),
        ("URX", "UpstreamRetryLimitExceeded"),
        ("SI", "StreamIdleTimeout"),
        ("IH", "InvalidEnvoyRequestHeaders"),
        ("DPE", "DownstreamProtocolError"),
        ("UMSDR", "UpstreamMaxStreamDurationReached"),
        ("RFCF", "ResponseFromCacheFilter"),
        ("NFCF", "NoFilterConfigFound"),
        ("DT", "DurationTimeout"),
        ("UPE", "UpstreamProtocolError"),
        ("NC", "NoClusterFound"),
        ("OM", "OverloadManagerTerminated"),
        ("DF", "DnsResolutionFailed"),
        ("DO", "DropOverload"),
        ("DR", "DownstreamRemoteReset"),
        ("UDO", "UnconditionalDropOverload"),
    ];

    /// `UF`, `URX` …
    pub fn short(self) -> &'static str {
        Self::NAMES[self as usize].0
    }

    /// `UpstreamConnectionFailure` …
    pub fn long(self) -> &'static str {
        Self::NAMES[self as usize].1
    }
}

/// A set of [`Flag`]s. Prints as `UF,URX`, or `-` when empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(u32);

impl Flags {
    /// No flag.
    pub const NONE: Flags = Flags(0);

    /// Adds a flag.
    #[inline]
    pub fn set(&mut self, flag: Flag) {
        self.0 |= 1 << flag as u32;
    }

    /// Whether a flag is in the set.
    pub fn has(self, flag: Flag) -> bool {
        self.0 & (1 << flag as u32) != 0
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The flags in Envoy's order.
    pub fn iter(self) -> impl Iterator<Item = Flag> {
        let mut bits = self.0;
        std::iter::from_fn(move || {
            let next = Flag::ALL.get(bits.trailing_zeros() as usize).copied();
            bits &= bits.wrapping_sub(1);
            next
        })
    }
}

impl From<Flag> for Flags {
    fn from(flag: Flag) -> Self {
        Flags(1 << flag as u32)
    }
}

impl BitOr<Flag> for Flags {
    type Output = Flags;

    fn bitor(self, flag: Flag) -> Flags {
        Flags(self.0 | Flags::from(flag).0)
    }
}

impl BitOrAssign<Flag> for Flags {
    fn bitor_assign(&mut self, flag: Flag) {
        self.set(flag);
    }
}

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("-");
        }
        for (i, flag) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            f.write_str(flag.short())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_envoy() {
        assert_eq!(Flags::NONE.to_string(), "-");
        let mut flags = Flags::from(Flag::UpstreamRetryLimitExceeded);
        flags |= Flag::UpstreamConnectionFailure;
        assert_eq!(flags.to_string(), "UF,URX");
        assert!(flags.has(Flag::UpstreamConnectionFailure) && !flags.has(Flag::NoRouteFound));
    }

    #[test]
    fn all_thirty_have_their_own_name_and_bit() {
        let mut all = Flags::NONE;
        for (i, flag) in Flag::ALL.into_iter().enumerate() {
            assert_eq!(flag as usize, i);
            all.set(flag);
        }
        assert_eq!(
            all.to_string(),
            "LH,UH,UT,LR,UR,UF,UC,UO,NR,DI,FI,RL,UAEX,RLSE,DC,URX,SI,IH,DPE,UMSDR,RFCF,NFCF,DT,UPE,NC,OM,DF,DO,DR,UDO"
        );
        assert_eq!(all.iter().count(), 30);
    }
}
