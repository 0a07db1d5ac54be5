//! `ProxyClass`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, EnvVar, LocalObjectReference, ResourceRequirements, Toleration, TopologySpreadConstraint,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::{Deserialize, Serialize};

use crate::gateway::macros::open_enum;

/// How the proxies of a Gateway run. Every field is optional; what a Gateway's own ProxyClass says goes before what its
/// GatewayClass's says, field by field.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(extend("x-kubernetes-validations" = [
        {
            "rule": "!has(self.kind) || self.kind != 'DaemonSet' || (!has(self.replicas) && !has(self.autoscaling))",
            "message": "a DaemonSet has one pod on each node: neither replicas nor autoscaling",
        },
        {
            "rule": "!has(self.replicas) || !has(self.autoscaling)",
            "message": "replicas and autoscaling exclude each other; autoscaling.minReplicas is where it begins",
        },
    ]))
)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyClassSpec {
    /// `Deployment` (the default), or `DaemonSet`: one proxy on each node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<WorkloadKind>,
    /// Number of proxies of a Deployment; 1 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 0)))]
    pub replicas: Option<i32>,
    /// Number of proxies of a Deployment by their load (a HorizontalPodAutoscaler).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,
    /// How many proxies may be taken away at once, as when nodes are drained. Without it: one at a time, when there are
    /// several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_disruption_budget: Option<DisruptionBudget>,
    /// What the proxy container gets. Requests of 100m CPU and 32Mi memory when absent, and no limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "super::pod_schemas::resources"))]
    pub resources: Option<ResourceRequirements>,
    /// Labels of nodes that proxies may run on.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints of nodes that proxies put up with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "super::pod_schemas::tolerations"))]
    pub tolerations: Vec<Toleration>,
    /// Where proxies run in relation to nodes and other pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "super::pod_schemas::affinity"))]
    pub affinity: Option<Affinity>,
    /// How proxies spread over nodes and zones. A constraint without a labelSelector counts the proxies of its Gateway.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "super::pod_schemas::topology_spread_constraints"))]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// A PriorityClass.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 253)))]
    pub priority_class_name: Option<String>,
    /// Another image than the controller's own. Proxy and controller may be one minor version apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 1024)))]
    pub image: Option<String>,
    /// When the image is pulled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<PullPolicy>,
    /// Secrets in the Gateway's namespace that let the image be pulled; besides those that the controller is told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "super::pod_schemas::local_references"))]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// How the proxies are reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<ProxyService>,
    /// Whether the proxies listen on their nodes' own addresses. They run as root with the one capability
    /// NET_BIND_SERVICE then, as nothing else lets them open ports below 1024 there; the Service is a ClusterIP unless
    /// `service.type` says otherwise, and the nodes' addresses are published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_network: Option<bool>,
    /// The port of `/ready`, `/live` and `/metrics`; 15020 when absent. Gateways on the network of the same nodes need different ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1024, max = 65535)))]
    pub health_port: Option<i32>,
    /// The port of the admin interface, on loopback only; 15000 when absent. Gateways on the network of the same nodes need different ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1024, max = 65535)))]
    pub admin_port: Option<i32>,
    /// More annotations of the pods.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub pod_annotations: BTreeMap<String, String>,
    /// More labels of the pods. Those that Fairlead sets itself stay as they are.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub pod_labels: BTreeMap<String, String>,
    /// Worker threads of each proxy. Without it: the CPU limit, rounded up; 2 when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1024)))]
    pub workers: Option<i32>,
    /// What the proxies tell about themselves on stderr; `info` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_level: Option<LogLevel>,
    /// The access log on stdout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_log: Option<AccessLog>,
    /// What paths of requests may be. Changes reach the proxies as those of listeners do: none is started anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathSettings>,
    /// What headers of requests may be. Changes reach the proxies as those of listeners do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers: Option<HeaderSettings>,
    /// How long requests may go on when a proxy is told to end; `45s` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = DURATION)))]
    pub drain_timeout: Option<String>,
    /// After how many seconds a proxy that was told to end is killed. Without it: the drain timeout and 15 seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub termination_grace_period_seconds: Option<i64>,
    /// More environment variables of the proxy container.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "super::pod_schemas::env"))]
    pub env: Vec<EnvVar>,
}

open_enum! {
    /// What runs the proxies.
    pub enum WorkloadKind {
        /// A number of them, wherever there is room.
        Deployment = "Deployment",
        /// One on each node.
        DaemonSet = "DaemonSet",
    }
}

/// Number of proxies by their load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(extend("x-kubernetes-validations" = [{
        "rule": "!has(self.minReplicas) || !has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",
        "message": "minReplicas must not be more than maxReplicas",
    }]))
)]
#[serde(rename_all = "camelCase", default)]
pub struct Autoscaling {
    /// At the least; 1 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub min_replicas: Option<i32>,
    /// At the most; 5, or `minReplicas` when that is more, when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub max_replicas: Option<i32>,
    /// The CPU use to aim at, in percent of what the pods request; 80 when absent.
    #[serde(rename = "targetCPUUtilizationPercentage", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1000)))]
    pub target_cpu_utilization_percentage: Option<i32>,
}

/// How many proxies may be taken away at once: one of the two.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(extend("x-kubernetes-validations" = [{
        "rule": "has(self.minAvailable) != has(self.maxUnavailable)",
        "message": "exactly one of minAvailable and maxUnavailable must be set",
    }]))
)]
#[serde(rename_all = "camelCase", default)]
pub struct DisruptionBudget {
    /// How many must stay, as a number or in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "super::pod_schemas::count"))]
    pub min_available: Option<IntOrString>,
    /// How many may be gone, as a number or in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "super::pod_schemas::count"))]
    pub max_unavailable: Option<IntOrString>,
}

open_enum! {
    /// When an image is pulled.
    pub enum PullPolicy {
        /// Each time.
        Always = "Always",
        /// When the node does not have it.
        IfNotPresent = "IfNotPresent",
        /// Never: the node must have it.
        Never = "Never",
    }
}

/// How the proxies are reached.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyService {
    /// `LoadBalancer` (the default), `NodePort` or `ClusterIP` (the default with hostNetwork).
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<ServiceType>,
    /// More annotations of the Service, as load balancers read them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// More labels of the Service.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// `Cluster` (the default): every node takes connections, and the proxy sees a node's address as the client's.
    /// `Local`: only nodes with a proxy do, and the proxy sees the client's own address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_traffic_policy: Option<TrafficPolicy>,
    /// Which load balancer is to serve it. Can't be changed once it is set, except together with the type.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 253)))]
    pub load_balancer_class: Option<String>,
    /// The clients' networks (CIDR) that the load balancer lets in; all when absent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(length(max = 256)))]
    pub load_balancer_source_ranges: Vec<String>,
    /// Whether a load balancer needs ports on the nodes; true when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allocate_load_balancer_node_ports: Option<bool>,
    /// One address family or two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_family_policy: Option<IpFamilyPolicy>,
    /// Ports on the nodes for ports of listeners; the others get any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(length(max = 64)))]
    pub node_ports: Vec<NodePort>,
    /// How `spec.addresses` of a Gateway are asked for. `LoadBalancer` (the default): in `loadBalancerIP`, which takes one. `ExternalIPs`: in
    /// `externalIPs`, which the nodes take as theirs whoever has them: for networks that lead these addresses to the nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub static_addresses: Option<StaticAddresses>,
}

open_enum! {
    /// The type of a Service.
    pub enum ServiceType {
        /// With an address that the cluster's load balancer gives.
        LoadBalancer = "LoadBalancer",
        /// On a port of every node.
        NodePort = "NodePort",
        /// Within the cluster.
        ClusterIp = "ClusterIP",
    }
}

open_enum! {
    /// Which nodes take connections.
    pub enum TrafficPolicy {
        /// All.
        Cluster = "Cluster",
        /// Those with a proxy.
        Local = "Local",
    }
}

open_enum! {
    /// One address family or two.
    pub enum IpFamilyPolicy {
        /// The cluster's first.
        SingleStack = "SingleStack",
        /// Both, where the cluster has both.
        PreferDualStack = "PreferDualStack",
        /// Both.
        RequireDualStack = "RequireDualStack",
    }
}

open_enum! {
    /// How static addresses are asked for.
    pub enum StaticAddresses {
        /// `loadBalancerIP`.
        LoadBalancer = "LoadBalancer",
        /// `externalIPs`.
        ExternalIps = "ExternalIPs",
    }
}

/// A port on every node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct NodePort {
    /// The listener's port.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 65535)))]
    pub port: i32,
    /// The nodes' port.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 65535)))]
    pub node_port: i32,
    /// `TCP` (the default) or `UDP`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Transport>,
}

open_enum! {
    /// What a port speaks.
    pub enum Transport {
        /// TCP.
        Tcp = "TCP",
        /// UDP.
        Udp = "UDP",
    }
}

open_enum! {
    /// What a program tells about itself.
    pub enum LogLevel {
        /// Failures only.
        Error = "error",
        /// What a person should see to.
        Warn = "warn",
        /// What happens.
        Info = "info",
        /// What leads to it.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }
}

/// The access log on stdout.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct AccessLog {
    /// `json` (the default), `text`, `off`, or a line with Envoy's operators, such as `%REQ(:METHOD)% %RESPONSE_CODE%`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 4096)))]
    pub format: Option<String>,
}

/// What paths of requests may be; as in Envoy Gateway's ClientTrafficPolicy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct PathSettings {
    /// What `%2F` and `%5C` mean. `RejectRequest` (the default) answers 400; `KeepUnchanged` takes them for data, as object stores and APIs
    /// with paths as parameters need it; `UnescapeAndForward` takes them for slashes; `UnescapeAndRedirect` sends the client (307) to the
    /// path with slashes, and answers gRPC with an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub escaped_slashes_action: Option<EscapedSlashesAction>,
}

open_enum! {
    /// What escaped slashes mean.
    pub enum EscapedSlashesAction {
        /// 400.
        RejectRequest = "RejectRequest",
        /// Data.
        KeepUnchanged = "KeepUnchanged",
        /// Slashes.
        UnescapeAndForward = "UnescapeAndForward",
        /// Slashes; the client is to ask for them.
        UnescapeAndRedirect = "UnescapeAndRedirect",
    }
}

/// What headers of requests may be; as in Envoy Gateway's ClientTrafficPolicy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct HeaderSettings {
    /// What becomes of requests with an underscore in a header's name. `RejectRequestUnlessGRPC` (the default) and `RejectRequest` answer
    /// 400; `DropHeader` drops the header; `Allow` lets it pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub with_underscores_action: Option<WithUnderscoresAction>,
}

open_enum! {
    /// What becomes of underscores in headers' names.
    pub enum WithUnderscoresAction {
        /// 400, but for gRPC, whose metadata may have them.
        RejectRequestUnlessGrpc = "RejectRequestUnlessGRPC",
        /// 400.
        RejectRequest = "RejectRequest",
        /// The header is left out.
        DropHeader = "DropHeader",
        /// Nothing.
        Allow = "Allow",
    }
}

/// GEP-2257.
#[cfg(feature = "schema")]
const DURATION: &str = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$";
