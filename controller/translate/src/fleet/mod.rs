//! The Kubernetes objects that run the proxies of a Gateway.
//!
//! `Gateway + ProxyClass (class, then its own) + ports of listeners + addresses ──► Fleet { ServiceAccount, ConfigMap, Service,
//! Deployment or DaemonSet, PodDisruptionBudget, HorizontalPodAutoscaler }`
//!
//! * All of them lie in the Gateway's namespace, are owned by it, and carry `spec.infrastructure`'s labels and annotations
//!   (GEP-1867); so do the pods. [`object_name`] is what they are called.
//! * The pod template depends on the parameters only: a listener, route or port more rolls nothing out.
//! * A Gateway that is not accepted gets no new proxies, and keeps those it has: its Fleet is [partial](Fleet::partial).
//! * Pods pass the restricted Pod Security Standard; with `hostNetwork` they can't, see [`workload`].

mod addresses;
mod name;
mod parameters;
mod selection;
mod service;
mod support;
mod workload;

pub(crate) use addresses::read as read_addresses;
pub(crate) use name::short_hash;
pub use name::{label_value, object_name};
pub(crate) use parameters::{check, http, merge, resolve, stated};
pub use selection::{is_selection, owner_key, selected, selection_key};
pub(crate) use selection::{selection, selection_name};

use fairlead_crds::gateway::Gateway;
use fairlead_crds::v1alpha1::ProxyClassSpec;
use fairlead_store::Key;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Label of all objects and pods of a Gateway: its name, [shortened](label_value) to 63 characters (GEP-1762).
pub const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";
/// Label of all objects and pods of a Gateway: its class, shortened likewise.
pub const GATEWAY_CLASS_NAME: &str = "gateway.networking.k8s.io/gateway-class-name";
/// Annotation of all objects and pods of a Gateway whose name is too long for a label: the whole of it.
pub const GATEWAY: &str = "fairlead.dev/gateway";
/// Label of all that is ours, and its value.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "fairlead");
/// Label of all that belongs to proxies, and its value.
pub const APP: (&str, &str) = ("app.kubernetes.io/name", "fairlead-proxy");
/// Label of all that belongs to one Gateway's proxies: the objects' name.
pub const INSTANCE: &str = "app.kubernetes.io/instance";

/// Annotation of a Service whose proxies listen on their nodes' addresses: what those are is known from it, should the parameters be lost.
pub const HOST_NETWORK: &str = "fairlead.dev/host-network";

/// Name of the proxy's container.
pub const CONTAINER: &str = "proxy";
/// Key of the ConfigMap: the certificates of the push channel's CA.
pub const CA_KEY: &str = "ca.crt";
/// Audience of the token with which a proxy asks for its certificate.
pub const AUDIENCE: &str = "fairlead.dev/push";

/// What fleets depend on besides the objects.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Image of the proxies, unless a ProxyClass names another.
    pub image: Arc<str>,
    /// `Always`, `IfNotPresent` or `Never`; `None`: what Kubernetes makes of the image's tag.
    pub image_pull_policy: Option<Arc<str>>,
    /// Secrets in the Gateways' namespaces with which the image is pulled.
    pub image_pull_secrets: Vec<Arc<str>>,
    /// Where proxies connect to: `https://fairlead-controller.fairlead-system.svc:18443`.
    pub controller: Arc<str>,
    /// Certificates of the push channel's CA, PEM.
    pub ca_bundle: Arc<str>,
}

/// The objects of one Gateway's proxies; or, under a key that no Gateway has, the Service by which the pods of an XBackend are
/// found.
#[derive(Clone, Debug, PartialEq)]
pub struct Fleet {
    /// What all of them are called, and the ServiceAccount by which the proxies show who they are.
    pub name: Arc<str>,
    /// What there should be, in no particular order.
    pub objects: Vec<Object>,
    /// The Gateway can't be served as it is now: `objects` are kept up to date where they exist, none is created and none,
    /// of these or others, is deleted.
    pub partial: bool,
}

/// One object, as it is to be applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Its kind.
    pub kind: ObjectKind,
    /// Namespace and name.
    pub key: Key,
    /// All of it that is ours to say, with `apiVersion`, `kind` and `metadata`.
    pub manifest: Value,
}

/// Kinds of objects that fleets are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum ObjectKind {
    ServiceAccount,
    ConfigMap,
    Service,
    Deployment,
    DaemonSet,
    PodDisruptionBudget,
    HorizontalPodAutoscaler,
}

impl ObjectKind {
    /// All of them.
    pub const ALL: &'static [ObjectKind] = &[
        ObjectKind::ServiceAccount,
        ObjectKind::ConfigMap,
        ObjectKind::Service,
        ObjectKind::Deployment,
        ObjectKind::DaemonSet,
        ObjectKind::PodDisruptionBudget,
        ObjectKind::HorizontalPodAutoscaler,
    ];

    /// The kind's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            ObjectKind::ServiceAccount => "ServiceAccount",
            ObjectKind::ConfigMap => "ConfigMap",
            ObjectKind::Service => "Service",
            ObjectKind::Deployment => "Deployment",
            ObjectKind::DaemonSet => "DaemonSet",
            ObjectKind::PodDisruptionBudget => "PodDisruptionBudget",
            ObjectKind::HorizontalPodAutoscaler => "HorizontalPodAutoscaler",
        }
    }

    /// Group (empty for the core group), version, and the name in URLs and RBAC rules.
    pub const fn resource(self) -> (&'static str, &'static str, &'static str) {
        match self {
            ObjectKind::ServiceAccount => ("", "v1", "serviceaccounts"),
            ObjectKind::ConfigMap => ("", "v1", "configmaps"),
            ObjectKind::Service => ("", "v1", "services"),
            ObjectKind::Deployment => ("apps", "v1", "deployments"),
            ObjectKind::DaemonSet => ("apps", "v1", "daemonsets"),
            ObjectKind::PodDisruptionBudget => ("policy", "v1", "poddisruptionbudgets"),
            ObjectKind::HorizontalPodAutoscaler => ("autoscaling", "v2", "horizontalpodautoscalers"),
        }
    }

    /// `apiVersion`, such as `apps/v1`.
    pub fn api_version(self) -> String {
        match self.resource() {
            ("", version, _) => version.to_owned(),
            (group, version, _) => format!("{group}/{version}"),
        }
    }
}

/// A Gateway, as much of it as its fleet needs.
pub(crate) struct Owner {
    key: Key,
    uid: Option<Box<str>>,
    class: Box<str>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    /// It is being deleted, and what it owns goes with it.
    leaving: bool,
}

impl Owner {
    pub fn of(key: &Key, gateway: &Gateway) -> Self {
        let infrastructure = gateway.spec.infrastructure.as_ref();
        Owner {
            key: key.clone(),
            uid: gateway.metadata.uid.as_deref().map(Into::into),
            class: gateway.spec.gateway_class_name.as_str().into(),
            labels: infrastructure.map(|i| i.labels.clone()).unwrap_or_default(),
            annotations: infrastructure.map(|i| i.annotations.clone()).unwrap_or_default(),
            leaving: gateway.metadata.deletion_timestamp.is_some(),
        }
    }
}

/// A port of the Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Port {
    pub number: u16,
    pub udp: bool,
}

/// What `spec.addresses` asks of the Service.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Asked {
    pub load_balancer_ip: Option<Box<str>>,
    pub external_ips: Vec<Box<str>>,
    pub cluster_ip: Option<Box<str>>,
    /// Nobody from outside of the cluster is to get in.
    pub cluster_only: bool,
}

/// The fleet of an accepted Gateway.
pub(crate) fn render(
    owner: &Owner,
    parameters: &ProxyClassSpec,
    ports: &BTreeSet<Port>,
    asked: &Asked,
    settings: &Settings,
) -> Fleet {
    // A Service without ports is refused.
    if owner.leaving || ports.is_empty() {
        return keep(owner, settings);
    }
    let context = Context::new(owner, parameters, settings);
    let mut objects = vec![
        support::service_account(&context),
        support::config_map(&context),
        service::service(&context, ports, asked),
        workload::workload(&context),
    ];
    objects.extend(support::disruption_budget(&context));
    objects.extend(support::autoscaler(&context));
    Fleet { name: context.name, objects, partial: false }
}

/// The fleet of a Gateway that is not accepted: what it has goes on to know the controller, when its CA is renewed.
pub(crate) fn keep(owner: &Owner, settings: &Settings) -> Fleet {
    let parameters = ProxyClassSpec::default();
    let context = Context::new(owner, &parameters, settings);
    let objects = if owner.leaving {
        Vec::new()
    } else {
        vec![support::service_account(&context), support::config_map(&context)]
    };
    Fleet { name: context.name, objects, partial: true }
}

/// What each object is made with.
struct Context<'a> {
    owner: &'a Owner,
    parameters: &'a ProxyClassSpec,
    settings: &'a Settings,
    name: Arc<str>,
}

impl<'a> Context<'a> {
    fn new(owner: &'a Owner, parameters: &'a ProxyClassSpec, settings: &'a Settings) -> Self {
        Context { owner, parameters, settings, name: object_name(&owner.key.name).into() }
    }

    /// An object of the fleet: its metadata, and `rest` beside it.
    fn object(&self, kind: ObjectKind, extra: [&BTreeMap<String, String>; 2], rest: Value) -> Object {
        let [labels, annotations] = extra;
        let mut metadata = self.metadata(labels, annotations);
        metadata.insert("name".to_owned(), json!(self.name));
        metadata.insert("namespace".to_owned(), json!(self.owner.key.namespace));
        if let Some(uid) = &self.owner.uid {
            // Never in the way of deleting the Gateway.
            let owner = json!({
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "Gateway",
                "name": self.owner.key.name,
                "uid": uid,
                "controller": true,
                "blockOwnerDeletion": false,
            });
            metadata.insert("ownerReferences".to_owned(), json!([owner]));
        }
        let mut manifest =
            json!({ "apiVersion": kind.api_version(), "kind": kind.as_str(), "metadata": Value::Object(metadata) });
        if let (Value::Object(manifest), Value::Object(rest)) = (&mut manifest, rest) {
            manifest.extend(rest);
        }
        Object { kind, key: Key::new(self.owner.key.namespace.clone(), &*self.name), manifest }
    }

    /// Labels and annotations: `infrastructure`'s, then those of the parameters, then ours, which selectors rely on.
    fn metadata(
        &self,
        labels: &BTreeMap<String, String>,
        annotations: &BTreeMap<String, String>,
    ) -> Map<String, Value> {
        let owner = self.owner;
        let mut all_labels: BTreeMap<&str, &str> = BTreeMap::new();
        all_labels.extend(owner.labels.iter().chain(labels).map(|(name, value)| (&**name, &**value)));
        let (gateway, class) = (label_value(&owner.key.name), label_value(&owner.class));
        all_labels.extend([
            (GATEWAY_NAME, &*gateway),
            (GATEWAY_CLASS_NAME, &*class),
            MANAGED_BY,
            APP,
            (INSTANCE, &*self.name),
        ]);
        let mut all_annotations: BTreeMap<&str, &str> = BTreeMap::new();
        all_annotations.extend(owner.annotations.iter().chain(annotations).map(|(name, value)| (&**name, &**value)));
        if gateway != *owner.key.name {
            all_annotations.insert(GATEWAY, &owner.key.name);
        }
        let mut metadata = Map::new();
        metadata.insert("labels".to_owned(), json!(all_labels));
        if !all_annotations.is_empty() {
            metadata.insert("annotations".to_owned(), json!(all_annotations));
        }
        metadata
    }

    /// What selects the pods. Never changes for a Gateway: selectors of Deployments can't.
    fn selector(&self) -> Value {
        let (app, value) = APP;
        json!({ app: value, INSTANCE: self.name })
    }
}

/// A typed value as JSON; `null` for what has no JSON form, which none of ours is.
fn value(of: impl serde::Serialize) -> Value {
    serde_json::to_value(of).unwrap_or_default()
}
