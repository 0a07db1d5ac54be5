//! Where objects come from: one list and watch of the API server.

use std::fmt;
use std::sync::Arc;

use fairlead_crds::{Kind, Scope};

use crate::Settings;

/// One list and watch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Origin {
    /// CustomResourceDefinitions.
    Definitions,
    /// Objects of a kind, of all namespaces or of one. For the kind Namespace, one is the Namespace itself.
    Objects(Kind, Option<Arc<str>>),
    /// What Secrets there are that are not of TLS type, of all namespaces or of one: what they hold is read when it is asked for.
    OtherSecrets(Option<Arc<str>>),
    /// Which versions there are of a kind of Kubernetes that not every cluster has.
    Discovery(Kind),
}

/// What is asked of the API server.
#[derive(Clone, Debug)]
pub(crate) struct Collection {
    /// The path of its URL.
    pub path: String,
    /// Whether metadata is enough.
    pub metadata_only: bool,
    /// A field selector.
    pub fields: Option<String>,
    /// Objects in one page of a list.
    pub page: u32,
}

impl Origin {
    /// Those of a kind.
    pub fn all(kind: Kind, settings: &Settings) -> Vec<Origin> {
        let named = namespaces(kind, settings);
        if named.is_empty() {
            return vec![Origin::Objects(kind, None)];
        }
        named.iter().map(|name| Origin::Objects(kind, Some(name.as_str().into()))).collect()
    }

    /// Where Secrets are that are not of TLS type.
    pub fn other_secrets(settings: &Settings) -> Vec<Origin> {
        let named = namespaces(Kind::Secret, settings);
        if named.is_empty() {
            return vec![Origin::OtherSecrets(None)];
        }
        named.iter().map(|name| Origin::OtherSecrets(Some(name.as_str().into()))).collect()
    }

    /// How it is asked for in a version of its group.
    pub fn collection(&self, version: &str) -> Collection {
        match self {
            Origin::Definitions => {
                Collection { path: DEFINITIONS.to_owned(), metadata_only: true, fields: None, page: PAGE }
            }
            Origin::OtherSecrets(namespace) => {
                let path = match namespace {
                    Some(name) => format!("/api/{version}/namespaces/{name}/secrets"),
                    None => format!("/api/{version}/secrets"),
                };
                Collection { path, metadata_only: true, fields: Some(OTHER_SECRETS.to_owned()), page: PAGE }
            }
            // It is not listed.
            Origin::Discovery(kind) => {
                Collection { path: format!("/apis/{}", kind.group()), metadata_only: false, fields: None, page: PAGE }
            }
            Origin::Objects(kind, namespace) => {
                let api = match kind.group() {
                    "" => format!("/api/{version}"),
                    group => format!("/apis/{group}/{version}"),
                };
                let within = match namespace {
                    Some(name) if *kind != Kind::Namespace => format!("/namespaces/{name}"),
                    _ => String::new(),
                };
                let fields = match (kind, namespace) {
                    (Kind::Secret, _) => Some(format!("type={TLS}")),
                    (Kind::Namespace, Some(name)) => Some(format!("metadata.name={name}")),
                    _ => None,
                };
                // ConfigMaps can have a megabyte each.
                let page = if matches!(kind, Kind::Secret | Kind::ConfigMap) { PAGE_OF_LARGE } else { PAGE };
                Collection { path: format!("{api}{within}/{}", kind.plural()), metadata_only: false, fields, page }
            }
        }
    }

    /// The kind, when it has objects that we read.
    pub fn kind(&self) -> Option<Kind> {
        match self {
            Origin::Definitions => None,
            Origin::Objects(kind, _) | Origin::Discovery(kind) => Some(*kind),
            Origin::OtherSecrets(_) => Some(Kind::Secret),
        }
    }

    /// The namespace, when it is restricted to one.
    pub fn namespace(&self) -> Option<&Arc<str>> {
        match self {
            Origin::Definitions | Origin::Discovery(_) => None,
            Origin::Objects(_, namespace) | Origin::OtherSecrets(namespace) => namespace.as_ref(),
        }
    }

    /// Whether to do without it when it may not be read.
    pub fn is_optional(&self) -> bool {
        matches!(self, Origin::Objects(kind, _) | Origin::Discovery(kind) if kind.is_optional())
    }

    /// Group and plural, as RBAC rules name them.
    pub fn resource(&self) -> String {
        match self {
            Origin::Definitions => "customresourcedefinitions.apiextensions.k8s.io".to_owned(),
            Origin::OtherSecrets(_) => Kind::Secret.plural().to_owned(),
            Origin::Objects(kind, _) if kind.group().is_empty() => kind.plural().to_owned(),
            Origin::Objects(kind, _) | Origin::Discovery(kind) => format!("{}.{}", kind.plural(), kind.group()),
        }
    }
}

/// As in `httproutes.gateway.networking.k8s.io in namespace shop`.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.resource())?;
        match self.namespace() {
            Some(namespace) => write!(f, " in namespace {namespace}"),
            None => Ok(()),
        }
    }
}

/// The namespaces of which a kind is read; none: all, or it has none.
fn namespaces(kind: Kind, settings: &Settings) -> &[String] {
    match (kind, kind.scope()) {
        (Kind::Secret, _) if !settings.secret_namespaces.is_empty() => &settings.secret_namespaces,
        (Kind::Namespace, _) | (_, Scope::Namespaced) => &settings.namespaces,
        (_, Scope::Cluster) => &[],
    }
}

/// The type of Secrets that are read all: certificates.
pub(crate) const TLS: &str = "kubernetes.io/tls";

/// All other Secrets, but for those of which there are many and that nobody refers to.
const OTHER_SECRETS: &str = "type!=kubernetes.io/tls,type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token,type!=bootstrap.kubernetes.io/token";

/// Where CustomResourceDefinitions are.
pub(crate) const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// As many as client-go asks for.
const PAGE: u32 = 500;
const PAGE_OF_LARGE: u32 = 50;
