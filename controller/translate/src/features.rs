//! The names of upstream's `pkg/features` that Fairlead serves.

use crate::Settings;

/// Sorted, as `GatewayClass.status.supportedFeatures` wants it.
pub(crate) const SUPPORTED: &[&str] = &[
    "BackendTLSPolicy",
    "BackendTLSPolicySANValidation",
    "ClusterTrustBundle",
    "GRPCRoute",
    "GRPCRouteNamedRouteRule",
    "GRPCRouteRequestHeaderModifier",
    "Gateway",
    "GatewayAddressEmpty",
    "GatewayBackendClientCertificate",
    "GatewayFrontendClientCertificateValidation",
    "GatewayFrontendClientCertificateValidationInsecureFallback",
    "GatewayHTTPListenerIsolation",
    "GatewayHTTPSListenerDetectMisdirectedRequests",
    "GatewayListenerFilters",
    "GatewayPort8080",
    "GatewayRouteHostnameIntersectionPrecedence",
    "GatewayStaticAddresses",
    "HTTPRoute",
    "HTTPRoute303RedirectStatusCode",
    "HTTPRoute307RedirectStatusCode",
    "HTTPRoute308RedirectStatusCode",
    "HTTPRouteBackendProtocolH2C",
    "HTTPRouteBackendProtocolWebSocket",
    "HTTPRouteBackendRequestHeaderModification",
    "HTTPRouteBackendTimeout",
    "HTTPRouteBackendURLRewrite",
    "HTTPRouteCORS",
    "HTTPRouteDestinationPortMatching",
    "HTTPRouteHostRewrite",
    "HTTPRouteMethodMatching",
    "HTTPRouteNamedRouteRule",
    "HTTPRouteParentRefPort",
    "HTTPRoutePathRedirect",
    "HTTPRoutePathRewrite",
    "HTTPRoutePortRedirect",
    "HTTPRouteQueryParamMatching",
    "HTTPRouteRequestMirror",
    "HTTPRouteRequestMultipleMirrors",
    "HTTPRouteRequestPercentageMirror",
    "HTTPRouteRequestTimeout",
    "HTTPRouteResponseHeaderModification",
    "HTTPRouteRetryCodes",
    "HTTPRouteRetryConnectionError",
    "HTTPRouteSchemeRedirect",
    "ListenerSet",
    "ReferenceGrant",
    "TCPRoute",
    "TLSRoute",
    "TLSRouteModeMixed",
    "TLSRouteModeTerminate",
    "UDPRoute",
];

/// Besides them, where a Gateway has objects of its own: `spec.infrastructure` is what they are made of, and a Service has addresses
/// within the cluster.
const IN_CLUSTER: [&str; 3] = [INFRASTRUCTURE, "GatewayAddressRoutability", "GatewayAddressRoutabilityCluster"];
const INFRASTRUCTURE: &str = "GatewayInfrastructure";

/// Whether a feature is there with the kinds and fields that the cluster has.
pub(crate) fn is_there(name: &str, settings: &Settings) -> bool {
    match name {
        "ClusterTrustBundle" => settings.trust_bundles,
        "GatewayAddressRoutability" | "GatewayAddressRoutabilityCluster" => settings.routability,
        // A field of the same channel; files may have it always.
        "GatewayListenerFilters" => settings.routability || settings.fleet.is_none(),
        _ => true,
    }
}

/// Sorted, all that a cluster gets.
pub(crate) fn in_cluster() -> Vec<&'static str> {
    let mut all: Vec<&str> = SUPPORTED.iter().copied().chain(IN_CLUSTER).collect();
    all.sort_unstable();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorted_and_within_the_limit() {
        assert!(SUPPORTED.is_sorted() && in_cluster().is_sorted());
        assert!(in_cluster().len() <= 64);
        assert!(!SUPPORTED.contains(&INFRASTRUCTURE) && in_cluster().contains(&INFRASTRUCTURE));
    }
}
