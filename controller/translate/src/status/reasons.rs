//! Every reason that a condition of ours can have.

use serde::{Serialize, Serializer};
use std::fmt;

macro_rules! reasons {
    ($($(#[doc = $doc:literal])* $variant:ident = $text:literal,)*) => {
        /// Why a condition has its status. The texts are the specification's; the few of our own say so.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason {
            $($(#[doc = $doc])* $variant,)*
        }

        impl Reason {
            /// All of them.
            pub const ALL: &'static [Reason] = &[$(Reason::$variant),*];

            /// The reason as status has it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Reason::$variant => $text,)* }
            }
        }
    };
}

reasons! {
    /// The object is valid and in use.
    Accepted = "Accepted",
    /// The data plane has it.
    Programmed = "Programmed",
    /// The data plane does not have it yet.
    Pending = "Pending",
    /// All references resolve.
    ResolvedRefs = "ResolvedRefs",
    /// GatewayClass: the version of the installed CRDs is known.
    SupportedVersion = "SupportedVersion",
    /// GatewayClass: it is not.
    UnsupportedVersion = "UnsupportedVersion",
    /// Something in the object makes it unusable as a whole.
    Invalid = "Invalid",
    /// `parametersRef` names nothing that we read.
    InvalidParameters = "InvalidParameters",
    /// Gateway, ListenerSet: some or all listeners are not usable.
    ListenersNotValid = "ListenersNotValid",
    /// Gateway: some listeners have unresolved references.
    ListenersNotResolved = "ListenersNotResolved",
    /// Gateway: an address of a type that we don't serve.
    UnsupportedAddress = "UnsupportedAddress",
    /// Gateway: an address that can't be listened on.
    AddressNotUsable = "AddressNotUsable",
    /// Gateway: no address could be assigned.
    AddressNotAssigned = "AddressNotAssigned",
    /// Gateway: each address that it asks for is there.
    AddressesAssigned = "AddressesAssigned",
    /// Gateway: some are, some not.
    PartiallyAssigned = "PartiallyAssigned",
    /// Gateway: none is.
    NotAssigned = "NotAssigned",
    /// Gateway: what its proxies need can't be had.
    NoResources = "NoResources",
    /// Gateway: `spec.tls.backend.clientCertificateRef` is no key pair.
    InvalidClientCertificateRef = "InvalidClientCertificateRef",
    /// Gateway: a listener lets clients in without a valid certificate.
    ConfigurationChanged = "ConfigurationChanged",
    /// ListenerSet: the Gateway's `allowedListeners` doesn't have its namespace.
    NotAllowed = "NotAllowed",
    /// ListenerSet: the Gateway is not accepted.
    ParentNotAccepted = "ParentNotAccepted",
    /// ListenerSet: the Gateway is not programmed.
    ParentNotProgrammed = "ParentNotProgrammed",
    /// Listener: nobody else claims the same requests.
    NoConflicts = "NoConflicts",
    /// Listener: another one has the same port and host name.
    HostnameConflict = "HostnameConflict",
    /// Listener: another one has the same port and an incompatible protocol.
    ProtocolConflict = "ProtocolConflict",
    /// Listener: another one's host name covers it, with TLS settings of its own.
    OverlappingHostnames = "OverlappingHostnames",
    /// Listener: another one's certificate is valid for its host too.
    OverlappingCertificates = "OverlappingCertificates",
    /// Listener, backend: a protocol that we don't serve.
    UnsupportedProtocol = "UnsupportedProtocol",
    /// A value that we don't know or can't honour.
    UnsupportedValue = "UnsupportedValue",
    /// Listener: its port can't be bound.
    PortUnavailable = "PortUnavailable",
    /// Listener: `certificateRefs` names something that is no key pair.
    InvalidCertificateRef = "InvalidCertificateRef",
    /// Listener: a filter that can't be honoured.
    InvalidListenerFilter = "InvalidListenerFilter",
    /// Listener: a filter refers to what does not exist or can't be used.
    InvalidListenerFilterRef = "InvalidListenerFilterRef",
    /// Listener: `allowedRoutes.kinds` names a kind that its protocol doesn't take.
    InvalidRouteKinds = "InvalidRouteKinds",
    /// Listener, BackendTLSPolicy: a CA reference that names no CA bundle.
    InvalidCaCertificateRef = "InvalidCACertificateRef",
    /// Listener: a CA reference of a kind that can't be one.
    InvalidCaCertificateKind = "InvalidCACertificateKind",
    /// Listener, BackendTLSPolicy: none of the CA references is usable.
    NoValidCaCertificate = "NoValidCACertificate",
    /// A reference into another namespace without ReferenceGrant.
    RefNotPermitted = "RefNotPermitted",
    /// Route: no listener of the parent has the section or port.
    NoMatchingParent = "NoMatchingParent",
    /// Route: no listener takes its kind and namespace.
    NotAllowedByListeners = "NotAllowedByListeners",
    /// Route: no listener shares a host name with it.
    NoMatchingListenerHostname = "NoMatchingListenerHostname",
    /// Route: filters that can't be combined.
    IncompatibleFilters = "IncompatibleFilters",
    /// A reference to a kind that can't be there.
    InvalidKind = "InvalidKind",
    /// A reference to a backend, port or filter that does not exist.
    BackendNotFound = "BackendNotFound",
    /// Route: the backend's BackendTLSPolicy is not usable, and plain text would be wrong. Ours.
    InvalidBackendTls = "InvalidBackendTLS",
    /// Policy: an older one has the same target.
    Conflicted = "Conflicted",
    /// Policy: its target does not exist.
    TargetNotFound = "TargetNotFound",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
