//! Written by `fairlead-crds-generate`; do not edit.
//!
//! Condition types and reasons, by the type that upstream declares them with.

pub mod backend_condition_reason {
    pub const ACCEPTED: &str = "Accepted";
}

pub mod backend_condition_type {
    pub const ACCEPTED: &str = "Accepted";
}

pub mod gateway_class_condition_reason {
    pub const ACCEPTED: &str = "Accepted";
    pub const INVALID_PARAMETERS: &str = "InvalidParameters";
    pub const PENDING: &str = "Pending";
    pub const UNSUPPORTED: &str = "Unsupported";
    pub const WAITING: &str = "Waiting";
    pub const SUPPORTED_VERSION: &str = "SupportedVersion";
    pub const UNSUPPORTED_VERSION: &str = "UnsupportedVersion";
}

pub mod gateway_class_condition_type {
    pub const ACCEPTED: &str = "Accepted";
    pub const SUPPORTED_VERSION: &str = "SupportedVersion";
}

pub mod gateway_condition_reason {
    pub const ADDRESSES_ASSIGNED: &str = "AddressesAssigned";
    pub const PARTIALLY_ASSIGNED: &str = "PartiallyAssigned";
    pub const NOT_ASSIGNED: &str = "NotAssigned";
    pub const PROGRAMMED: &str = "Programmed";
    pub const INVALID: &str = "Invalid";
    pub const NO_RESOURCES: &str = "NoResources";
    pub const ADDRESS_NOT_ASSIGNED: &str = "AddressNotAssigned";
    pub const ADDRESS_NOT_USABLE: &str = "AddressNotUsable";
    pub const CONFIGURATION_CHANGED: &str = "ConfigurationChanged";
    pub const ACCEPTED: &str = "Accepted";
    pub const LISTENERS_NOT_VALID: &str = "ListenersNotValid";
    pub const PENDING: &str = "Pending";
    pub const UNSUPPORTED_ADDRESS: &str = "UnsupportedAddress";
    pub const INVALID_PARAMETERS: &str = "InvalidParameters";
    pub const SCHEDULED: &str = "Scheduled";
    pub const NOT_RECONCILED: &str = "NotReconciled";
    pub const RESOLVED_REFS: &str = "ResolvedRefs";
    pub const INVALID_CLIENT_CERTIFICATE_REF: &str = "InvalidClientCertificateRef";
    pub const REF_NOT_PERMITTED: &str = "RefNotPermitted";
    pub const LISTENERS_NOT_RESOLVED: &str = "ListenersNotResolved";
    pub const READY: &str = "Ready";
    pub const LISTENERS_NOT_READY: &str = "ListenersNotReady";
}

pub mod gateway_condition_type {
    pub const ADDRESSES_ASSIGNED: &str = "AddressesAssigned";
    pub const PROGRAMMED: &str = "Programmed";
    pub const INSECURE_FRONTEND_VALIDATION_MODE: &str = "InsecureFrontendValidationMode";
    pub const ACCEPTED: &str = "Accepted";
    pub const SCHEDULED: &str = "Scheduled";
    pub const RESOLVED_REFS: &str = "ResolvedRefs";
    pub const READY: &str = "Ready";
}

pub mod listener_condition_reason {
    pub const HOSTNAME_CONFLICT: &str = "HostnameConflict";
    pub const PROTOCOL_CONFLICT: &str = "ProtocolConflict";
    pub const NO_CONFLICTS: &str = "NoConflicts";
    pub const ACCEPTED: &str = "Accepted";
    pub const ATTACHED: &str = "Attached";
    pub const PORT_UNAVAILABLE: &str = "PortUnavailable";
    pub const UNSUPPORTED_PROTOCOL: &str = "UnsupportedProtocol";
    pub const NO_VALID_CA_CERTIFICATE: &str = "NoValidCACertificate";
    pub const UNSUPPORTED_VALUE: &str = "UnsupportedValue";
    pub const RESOLVED_REFS: &str = "ResolvedRefs";
    pub const INVALID_CERTIFICATE_REF: &str = "InvalidCertificateRef";
    pub const INVALID_ROUTE_KINDS: &str = "InvalidRouteKinds";
    pub const REF_NOT_PERMITTED: &str = "RefNotPermitted";
    pub const INVALID_CA_CERTIFICATE_REF: &str = "InvalidCACertificateRef";
    pub const INVALID_CA_CERTIFICATE_KIND: &str = "InvalidCACertificateKind";
    pub const PROGRAMMED: &str = "Programmed";
    pub const INVALID: &str = "Invalid";
    pub const PENDING: &str = "Pending";
    pub const OVERLAPPING_HOSTNAMES: &str = "OverlappingHostnames";
    pub const OVERLAPPING_CERTIFICATES: &str = "OverlappingCertificates";
    pub const READY: &str = "Ready";
}

pub mod listener_condition_type {
    pub const CONFLICTED: &str = "Conflicted";
    pub const ACCEPTED: &str = "Accepted";
    pub const DETACHED: &str = "Detached";
    pub const RESOLVED_REFS: &str = "ResolvedRefs";
    pub const PROGRAMMED: &str = "Programmed";
    pub const OVERLAPPING_TLS_CONFIG: &str = "OverlappingTLSConfig";
    pub const READY: &str = "Ready";
}

pub mod listener_entry_condition_reason {
    pub const HOSTNAME_CONFLICT: &str = "HostnameConflict";
    pub const PROTOCOL_CONFLICT: &str = "ProtocolConflict";
    pub const LISTENER_CONFLICT: &str = "ListenerConflict";
    pub const ACCEPTED: &str = "Accepted";
    pub const UNSUPPORTED_PROTOCOL: &str = "UnsupportedProtocol";
    pub const TOO_MANY_LISTENERS: &str = "TooManyListeners";
    pub const RESOLVED_REFS: &str = "ResolvedRefs";
    pub const INVALID_CERTIFICATE_REF: &str = "InvalidCertificateRef";
    pub const INVALID_ROUTE_KINDS: &str = "InvalidRouteKinds";
    pub const REF_NOT_PERMITTED: &str = "RefNotPermitted";
    pub const PROGRAMMED: &str = "Programmed";
    pub const PORT_UNAVAILABLE: &str = "PortUnavailable";
    pub const PENDING: &str = "Pending";
    pub const INVALID: &str = "Invalid";
    pub const READY: &str = "Ready";
}

pub mod listener_entry_condition_type {
    pub const CONFLICTED: &str = "Conflicted";
    pub const ACCEPTED: &str = "Accepted";
    pub const RESOLVED_REFS: &str = "ResolvedRefs";
    pub const PROGRAMMED: &str = "Programmed";
    pub const READY: &str = "Ready";
}

pub mod listener_set_condition_reason {
    pub const PROGRAMMED: &str = "Programmed";
    pub const ACCEPTED: &str = "Accepted";
    pub const NOT_ALLOWED: &str = "NotAllowed";
    pub const PARENT_NOT_ACCEPTED: &str = "ParentNotAccepted";
    pub const LISTENERS_NOT_VALID: &str = "ListenersNotValid";
    pub const INVALID: &str = "Invalid";
    pub const PENDING: &str = "Pending";
}

pub mod listener_set_condition_type {
    pub const PROGRAMMED: &str = "Programmed";
    pub const ACCEPTED: &str = "Accepted";
}

pub mod mesh_condition_reason {
    pub const ACCEPTED: &str = "Accepted";
    pub const INVALID_PARAMETERS: &str = "InvalidParameters";
    pub const PENDING: &str = "Pending";
}

pub mod mesh_condition_type {
    pub const ACCEPTED: &str = "Accepted";
}

pub mod policy_condition_reason {
    pub const NO_VALID_CA_CERTIFICATE: &str = "NoValidCACertificate";
    pub const RESOLVED_REFS: &str = "ResolvedRefs";
    pub const INVALID_CA_CERTIFICATE_REF: &str = "InvalidCACertificateRef";
    pub const INVALID_KIND: &str = "InvalidKind";
    pub const ACCEPTED: &str = "Accepted";
    pub const CONFLICTED: &str = "Conflicted";
    pub const INVALID: &str = "Invalid";
    pub const TARGET_NOT_FOUND: &str = "TargetNotFound";
}

pub mod policy_condition_type {
    pub const RESOLVED_REFS: &str = "ResolvedRefs";
    pub const ACCEPTED: &str = "Accepted";
}

pub mod route_condition_reason {
    pub const ACCEPTED: &str = "Accepted";
    pub const NOT_ALLOWED_BY_LISTENERS: &str = "NotAllowedByListeners";
    pub const NO_MATCHING_LISTENER_HOSTNAME: &str = "NoMatchingListenerHostname";
    pub const NO_MATCHING_PARENT: &str = "NoMatchingParent";
    pub const UNSUPPORTED_VALUE: &str = "UnsupportedValue";
    pub const PENDING: &str = "Pending";
    pub const INCOMPATIBLE_FILTERS: &str = "IncompatibleFilters";
    pub const RESOLVED_REFS: &str = "ResolvedRefs";
    pub const REF_NOT_PERMITTED: &str = "RefNotPermitted";
    pub const INVALID_KIND: &str = "InvalidKind";
    pub const BACKEND_NOT_FOUND: &str = "BackendNotFound";
    pub const UNSUPPORTED_PROTOCOL: &str = "UnsupportedProtocol";
}

pub mod route_condition_type {
    pub const ACCEPTED: &str = "Accepted";
    pub const RESOLVED_REFS: &str = "ResolvedRefs";
    pub const PARTIALLY_INVALID: &str = "PartiallyInvalid";
}

pub mod v1_policy_condition_reason {
    pub const RESOLVED_REFS: &str = "ResolvedRefs";
    pub const BACKEND_NOT_FOUND: &str = "BackendNotFound";
    pub const INVALID_KIND: &str = "InvalidKind";
    pub const REF_NOT_PERMITTED: &str = "RefNotPermitted";
}

pub mod v1_policy_condition_type {
    pub const RESOLVED_REFS: &str = "ResolvedRefs";
}
