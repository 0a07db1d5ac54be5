//! The kinds of objects that Fairlead reads.

use std::fmt;

/// Whether objects of a kind live in a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One name, cluster-wide.
    Cluster,
    /// A name within a namespace.
    Namespaced,
}

/// Declares [`Kind`] and [`Object`] from one table. `versions` are those we accept in `apiVersion`, the one
/// to read and write first.
macro_rules! kinds {
    ($($variant:ident($type:path): $group:expr, $versions:expr, $plural:literal, $scope:ident;)*) => {
        /// A kind of object that Fairlead reads. All served versions of a kind are one `Kind`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind {
            $(#[doc = concat!("`", stringify!($variant), "`")] $variant,)*
        }

        impl Kind {
            /// Every kind, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The kind's name, such as `HTTPRoute`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant),)* }
            }

            /// The API group; empty for the core group.
            pub const fn group(self) -> &'static str {
                match self { $(Self::$variant => $group,)* }
            }

            /// The versions we accept, the preferred one first.
            pub const fn versions(self) -> &'static [&'static str] {
                match self { $(Self::$variant => $versions,)* }
            }

            /// The name in URLs and RBAC rules, such as `httproutes`.
            pub const fn plural(self) -> &'static str {
                match self { $(Self::$variant => $plural,)* }
            }

            /// Whether objects live in a namespace.
            pub const fn scope(self) -> Scope {
                match self { $(Self::$variant => Scope::$scope,)* }
            }
        }

        /// An object of any kind, cheap to clone.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Object {
            $(#[doc = concat!("A `", stringify!($variant), "`.")] $variant(std::sync::Arc<$type>),)*
        }

        impl Object {
            /// The object's kind.
            pub const fn kind(&self) -> Kind {
                match self { $(Self::$variant(_) => Kind::$variant,)* }
            }

            /// The object's metadata.
            pub fn metadata(&self) -> &crate::meta::ObjectMeta {
                match self { $(Self::$variant(object) => &object.metadata,)* }
            }

            /// The object as JSON, with `apiVersion` and `kind`.
            ///
            /// # Errors
            ///
            /// When a value has no JSON form; none of our types has such values.
            pub fn to_value(&self) -> Result<serde_json::Value, serde_json::Error> {
                let mut value = match self { $(Self::$variant(object) => serde_json::to_value(&**object)?,)* };
                value["apiVersion"] = self.kind().api_version().into();
                value["kind"] = self.kind().as_str().into();
                Ok(value)
            }

            pub(crate) fn deserialize(
                kind: Kind,
                value: serde_json::Value,
            ) -> Result<Self, serde_path_to_error::Error<serde_json::Error>> {
                Ok(match kind {
                    $(Kind::$variant => Self::$variant(std::sync::Arc::new(serde_path_to_error::deserialize(value)?)),)*
                })
            }
        }

        $(
            impl crate::Typed for $type {
                const KIND: Kind = Kind::$variant;

                fn of(object: &Object) -> Option<&std::sync::Arc<Self>> {
                    match object {
                        Object::$variant(object) => Some(object),
                        _ => None,
                    }
                }

                fn wrap(object: std::sync::Arc<Self>) -> Object {
                    Object::$variant(object)
                }
            }
        )*
    };
}

kinds! {
    Namespace(crate::core::Namespace): "", &["v1"], "namespaces", Cluster;
    Service(crate::core::Service): "", &["v1"], "services", Namespaced;
    EndpointSlice(crate::core::EndpointSlice): "discovery.k8s.io", &["v1"], "endpointslices", Namespaced;
    Secret(crate::core::Secret): "", &["v1"], "secrets", Namespaced;
    ConfigMap(crate::core::ConfigMap): "", &["v1"], "configmaps", Namespaced;
    ClusterTrustBundle(crate::core::ClusterTrustBundle): "certificates.k8s.io", &["v1", "v1beta1", "v1alpha1"], "clustertrustbundles", Cluster;
    GatewayClass(crate::gateway::GatewayClass): GATEWAY, &["v1", "v1beta1"], "gatewayclasses", Cluster;
    Gateway(crate::gateway::Gateway): GATEWAY, &["v1", "v1beta1"], "gateways", Namespaced;
    ListenerSet(crate::gateway::ListenerSet): GATEWAY, &["v1"], "listenersets", Namespaced;
    HTTPRoute(crate::gateway::HTTPRoute): GATEWAY, &["v1", "v1beta1"], "httproutes", Namespaced;
    GRPCRoute(crate::gateway::GRPCRoute): GATEWAY, &["v1", "v1alpha2"], "grpcroutes", Namespaced;
    TLSRoute(crate::gateway::TLSRoute): GATEWAY, &["v1", "v1alpha3", "v1alpha2"], "tlsroutes", Namespaced;
    TCPRoute(crate::gateway::TCPRoute): GATEWAY, &["v1", "v1alpha2"], "tcproutes", Namespaced;
    UDPRoute(crate::gateway::UDPRoute): GATEWAY, &["v1", "v1alpha2"], "udproutes", Namespaced;
    ReferenceGrant(crate::gateway::ReferenceGrant): GATEWAY, &["v1", "v1beta1", "v1alpha2"], "referencegrants", Namespaced;
    BackendTLSPolicy(crate::gateway::BackendTLSPolicy): GATEWAY, &["v1", "v1alpha3"], "backendtlspolicies", Namespaced;
    XBackend(crate::gateway::XBackend): GATEWAY_X, &["v1alpha1"], "xbackends", Namespaced;
    XBackendTrafficPolicy(crate::gateway::XBackendTrafficPolicy): GATEWAY_X, &["v1alpha1"], "xbackendtrafficpolicies", Namespaced;
    XMesh(crate::gateway::XMesh): GATEWAY_X, &["v1alpha1"], "xmeshes", Cluster;
    XTelemetryPolicy(crate::gateway::XTelemetryPolicy): GATEWAY_X, &["v1alpha1"], "xtelemetrypolicies", Namespaced;
    Backend(crate::v1alpha1::Backend): FAIRLEAD, &["v1alpha1"], "backends", Namespaced;
    RouteFilter(crate::v1alpha1::RouteFilter): FAIRLEAD, &["v1alpha1"], "routefilters", Namespaced;
    ProxyClass(crate::v1alpha1::ProxyClass): FAIRLEAD, &["v1alpha1"], "proxyclasses", Namespaced;
}

const GATEWAY: &str = crate::gateway::GROUP;
const GATEWAY_X: &str = crate::gateway::X_GROUP;
const FAIRLEAD: &str = crate::v1alpha1::GROUP;

impl Kind {
    /// The kind that an object's `apiVersion` and `kind` name, when we read it.
    pub fn of(api_version: &str, kind: &str) -> Option<Self> {
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        let known = Self::of_group(group, kind)?;
        known.versions().contains(&version).then_some(known)
    }

    /// The kind that a reference's `group` and `kind` name, when we read it.
    pub fn of_group(group: &str, kind: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|known| known.as_str() == kind && known.group() == group)
    }

    /// The version to read and write.
    pub const fn version(self) -> &'static str {
        self.versions()[0]
    }

    /// The preferred `apiVersion`, such as `gateway.networking.k8s.io/v1`.
    pub fn api_version(self) -> String {
        match self.group() {
            "" => self.version().to_owned(),
            group => format!("{group}/{}", self.version()),
        }
    }

    /// Whether it is one of Kubernetes' own kinds, which have no CRD.
    pub const fn is_core(self) -> bool {
        matches!(
            self,
            Self::Namespace
                | Self::Service
                | Self::EndpointSlice
                | Self::Secret
                | Self::ConfigMap
                | Self::ClusterTrustBundle
        )
    }

    /// Whether it is one of Kubernetes' own kinds that not every cluster has.
    pub const fn is_optional(self) -> bool {
        matches!(self, Self::ClusterTrustBundle)
    }

    /// Whether the kind exists only in the Gateway API's experimental channel.
    pub fn is_experimental(self) -> bool {
        self.group() == GATEWAY_X
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
