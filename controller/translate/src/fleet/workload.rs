//! Deployment or DaemonSet: the proxies themselves.
//!
//! Pods are what the restricted Pod Security Standard wants: not root, a root filesystem that can't be written to, no
//! capability, the runtime's seccomp profile. Ports below 1024 are open to them by the sysctl
//! `net.ipv4.ip_unprivileged_port_start`, which is one of the safe ones and holds within the pod's network only.
//!
//! On the node's network there is no such sysctl, and a capability is of no use to a process that is not root and may not
//! gain privileges. So with `hostNetwork` proxies run as root with the one capability NET_BIND_SERVICE; all else stays. The health port is
//! declared, so that the scheduler does not put two proxies that would quarrel about it on one node; therefore an old proxy ends
//! there before a new one begins.

use super::{AUDIENCE, CA_KEY, CONTAINER, Context, Object, ObjectKind, value};
use crate::duration;
use fairlead_crds::v1alpha1::{ProxyClassSpec, WorkloadKind};
use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The port of `/ready`, `/live` and `/metrics`.
pub(super) const HEALTH: i32 = 15020;
/// The port of the admin interface, on loopback.
pub(super) const ADMIN: i32 = 15000;

const USER: i64 = 65532;
const DRAIN_TIMEOUT: &str = "45s";
/// Seconds for what comes before and after draining: the proxy waits for the world to learn that it goes, and closes.
const GRACE: u64 = 15;
const WORKERS: i32 = 2;

const TOKEN_DIR: &str = "/var/run/fairlead/token";
const CA_DIR: &str = "/var/run/fairlead/ca";
const CACHE_DIR: &str = "/var/cache/fairlead";

pub(super) fn workload(context: &Context<'_>) -> Object {
    let parameters = context.parameters;
    let on_host = parameters.host_network == Some(true);
    // A new proxy serves before an old one ends, except where both would need the same port of a node.
    let rolling = if on_host {
        json!({ "maxSurge": 0, "maxUnavailable": 1 })
    } else {
        json!({ "maxSurge": 1, "maxUnavailable": 0 })
    };
    let strategy = json!({ "type": "RollingUpdate", "rollingUpdate": rolling });
    let mut spec = json!({
        "selector": { "matchLabels": context.selector() },
        "revisionHistoryLimit": 2,
        "template": template(context, on_host),
    });
    let none = BTreeMap::new();
    let kind = if parameters.kind == Some(WorkloadKind::DaemonSet) {
        spec["updateStrategy"] = strategy;
        ObjectKind::DaemonSet
    } else {
        spec["strategy"] = strategy;
        if parameters.autoscaling.is_none() {
            spec["replicas"] = json!(parameters.replicas.unwrap_or(1));
        }
        ObjectKind::Deployment
    };
    context.object(kind, [&none, &none], json!({ "spec": spec }))
}

fn template(context: &Context<'_>, on_host: bool) -> Value {
    let parameters = context.parameters;
    let health = parameters.health_port.unwrap_or(HEALTH);
    let mut annotations: BTreeMap<String, String> = [
        ("prometheus.io/scrape", "true".to_owned()),
        ("prometheus.io/port", health.to_string()),
        ("prometheus.io/path", "/metrics".to_owned()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    annotations.extend(parameters.pod_annotations.clone());
    let mut pod = json!({
        "serviceAccountName": context.name,
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": grace_period(parameters),
        "securityContext": security(on_host),
        "containers": [container(context, on_host, health)],
        "volumes": volumes(context),
    });
    let mut set = |name: &str, value: Value| pod[name] = value;
    if on_host {
        set("hostNetwork", json!(true));
        set("dnsPolicy", json!("ClusterFirstWithHostNet"));
    }
    if !parameters.node_selector.is_empty() {
        set("nodeSelector", json!(parameters.node_selector));
    }
    if !parameters.tolerations.is_empty() {
        set("tolerations", value(&parameters.tolerations));
    }
    if let Some(affinity) = &parameters.affinity {
        set("affinity", value(affinity));
    }
    let spread = spread(context);
    if !spread.is_empty() {
        set("topologySpreadConstraints", json!(spread));
    }
    if let Some(class) = &parameters.priority_class_name {
        set("priorityClassName", json!(class));
    }
    let of_class = parameters.image_pull_secrets.iter().map(|secret| secret.name.as_str());
    let secrets: Vec<Value> = context
        .settings
        .image_pull_secrets
        .iter()
        .map(|name| &**name)
        .chain(of_class)
        .map(|name| json!({ "name": name }))
        .collect();
    if !secrets.is_empty() {
        set("imagePullSecrets", json!(secrets));
    }
    let metadata = context.metadata(&parameters.pod_labels, &annotations);
    json!({ "metadata": metadata, "spec": pod })
}

fn container(context: &Context<'_>, on_host: bool, health: i32) -> Value {
    let parameters = context.parameters;
    let probe = |path: &str, period: i32, failures: i32, timeout: i32| {
        json!({
            "httpGet": { "path": path, "port": "health" },
            "periodSeconds": period,
            "failureThreshold": failures,
            "timeoutSeconds": timeout,
        })
    };
    let mut container = json!({
        "name": CONTAINER,
        "image": parameters.image.as_deref().unwrap_or(&context.settings.image),
        "args": args(context, health),
        "env": env(parameters),
        "ports": [{ "name": "health", "containerPort": health, "protocol": "TCP" }],
        "readinessProbe": probe("/ready", 1, 3, 1),
        // Gentle: a proxy that is busy is not one that is dead.
        "livenessProbe": probe("/live", 10, 6, 5),
        "resources": resources(parameters),
        "securityContext": confinement(on_host),
        "volumeMounts": [
            { "name": "token", "mountPath": TOKEN_DIR, "readOnly": true },
            { "name": "ca", "mountPath": CA_DIR, "readOnly": true },
            { "name": "cache", "mountPath": CACHE_DIR },
        ],
    });
    let policy = parameters.image_pull_policy.as_ref().map(|policy| policy.as_str());
    if let Some(policy) = policy.or(context.settings.image_pull_policy.as_deref()) {
        container["imagePullPolicy"] = json!(policy);
    }
    container
}

fn args(context: &Context<'_>, health: i32) -> Vec<String> {
    let parameters = context.parameters;
    let admin = parameters.admin_port.unwrap_or(ADMIN);
    let workers = parameters.workers.or_else(|| cpu_limit(parameters)).unwrap_or(WORKERS);
    let log = parameters.access_log.as_ref().and_then(|log| log.format.as_deref()).unwrap_or("json");
    let options = [
        ("controller", context.settings.controller.to_string()),
        ("gateway", context.owner.key.to_string()),
        ("token-file", format!("{TOKEN_DIR}/token")),
        ("ca-file", format!("{CA_DIR}/{CA_KEY}")),
        ("cache-dir", CACHE_DIR.to_owned()),
        ("health-address", format!("0.0.0.0:{health}")),
        ("admin-address", format!("127.0.0.1:{admin}")),
        ("workers", workers.to_string()),
        ("drain-timeout", parameters.drain_timeout.as_deref().unwrap_or(DRAIN_TIMEOUT).to_owned()),
        ("access-log", log.to_owned()),
        ("log-level", parameters.log_level.as_ref().map_or("info", |level| level.as_str()).to_owned()),
    ];
    // With `=`, so that a format may begin with a dash. `$` is doubled: Kubernetes expands `$(NAME)` in arguments.
    let each = options.into_iter().map(|(name, value)| format!("--{name}={}", value.replace("$(", "$$(")));
    std::iter::once("proxy".to_owned()).chain(each).collect()
}

/// Where the pod stands, then what the ProxyClass adds.
fn env(parameters: &ProxyClassSpec) -> Vec<Value> {
    let field = |name: &str, path: &str| json!({ "name": name, "valueFrom": { "fieldRef": { "apiVersion": "v1", "fieldPath": path } } });
    let mut env = vec![
        field("POD_NAME", "metadata.name"),
        field("POD_NAMESPACE", "metadata.namespace"),
        field("NODE_NAME", "spec.nodeName"),
    ];
    let ours = ["POD_NAME", "POD_NAMESPACE", "NODE_NAME"];
    env.extend(parameters.env.iter().filter(|variable| !ours.contains(&&*variable.name)).map(value));
    env
}

fn resources(parameters: &ProxyClassSpec) -> Value {
    match &parameters.resources {
        Some(resources) => value(ResourceRequirements { claims: None, ..resources.clone() }),
        None => json!({ "requests": { "cpu": "100m", "memory": "32Mi" } }),
    }
}

fn security(on_host: bool) -> Value {
    let seccomp = json!({ "type": "RuntimeDefault" });
    if on_host {
        return json!({ "runAsUser": 0, "runAsGroup": 0, "seccompProfile": seccomp });
    }
    json!({
        "runAsNonRoot": true,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": seccomp,
        "sysctls": [{ "name": "net.ipv4.ip_unprivileged_port_start", "value": "0" }],
    })
}

fn confinement(on_host: bool) -> Value {
    let mut capabilities = json!({ "drop": ["ALL"] });
    if on_host {
        capabilities["add"] = json!(["NET_BIND_SERVICE"]);
    }
    json!({
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": capabilities,
    })
}

fn volumes(context: &Context<'_>) -> Value {
    json!([
        {
            "name": "token",
            "projected": { "sources": [
                { "serviceAccountToken": { "path": "token", "audience": AUDIENCE, "expirationSeconds": 3600 } },
            ] },
        },
        { "name": "ca", "configMap": { "name": context.name } },
        // The last configuration, for a proxy that starts while the controller is away.
        { "name": "cache", "emptyDir": {} },
    ])
}

/// What the ProxyClass says; else, for what has several pods, on as many nodes as there are.
fn spread(context: &Context<'_>) -> Vec<Value> {
    let ours = || json!({ "matchLabels": context.selector() });
    let parameters = context.parameters;
    if parameters.topology_spread_constraints.is_empty() && parameters.kind != Some(WorkloadKind::DaemonSet) {
        return vec![json!({
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": ours(),
        })];
    }
    let complete = |constraint| {
        let mut constraint = value(constraint);
        if let Value::Object(fields) = &mut constraint {
            fields.entry("labelSelector").or_insert_with(ours);
        }
        constraint
    };
    parameters.topology_spread_constraints.iter().map(complete).collect()
}

fn grace_period(parameters: &ProxyClassSpec) -> i64 {
    parameters.termination_grace_period_seconds.unwrap_or_else(|| {
        let drain = parameters.drain_timeout.as_deref().unwrap_or(DRAIN_TIMEOUT);
        let drain = duration::parse(drain).map_or(45, |timeout| timeout.0.div_ceil(1000));
        i64::try_from(drain + GRACE).unwrap_or(i64::MAX)
    })
}

/// CPUs that a proxy may use, rounded up.
fn cpu_limit(parameters: &ProxyClassSpec) -> Option<i32> {
    let Quantity(limit) = parameters.resources.as_ref()?.limits.as_ref()?.get("cpu")?;
    let (number, scale) = match limit.strip_suffix('m') {
        Some(milli) => (milli, 0.001),
        None => (limit.as_str(), 1.0),
    };
    let cpus = (number.parse::<f64>().ok()? * scale).ceil();
    #[allow(clippy::cast_possible_truncation)]
    (1.0..=1024.0).contains(&cpus).then_some(cpus as i32)
}
