//! ProxyClasses: found, checked, merged.

use crate::duration;
use crate::status::{Fault, Reason};
use fairlead_crds::Kind;
use fairlead_crds::v1alpha1::{
    Autoscaling, DisruptionBudget, EscapedSlashesAction, ProxyClass, ProxyClassSpec, ProxyService, ServiceType,
    WithUnderscoresAction, WorkloadKind,
};
use fairlead_ir::{EscapedSlashes, HttpSettings, Underscores};
use fairlead_store::{Key, World};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The parameters that a `parametersRef` names, or what is wrong with it.
pub(crate) fn resolve<'w>(
    world: &'w World,
    (group, kind): (&str, &str),
    key: &Key,
    path: &str,
) -> Result<&'w ProxyClassSpec, Fault> {
    let invalid = |message: String| Fault::new(Reason::InvalidParameters, path, message);
    if Kind::of_group(group, kind) != Some(Kind::ProxyClass) {
        return Err(invalid(format!(
            "{kind} {} of group {group:?} is no kind of parameters that is read; a ProxyClass of group fairlead.dev is",
            key.name
        )));
    }
    let Some(class) = world.all::<ProxyClass>().get(key) else {
        return Err(invalid(format!("there is no ProxyClass {key}")));
    };
    check(&class.spec).map_err(|fault| invalid(format!("ProxyClass {key}: {fault}")))?;
    Ok(&class.spec)
}

/// What the parameters that a `parametersRef` names say, right or wrong.
pub(crate) fn stated<'w>(world: &'w World, (group, kind): (&str, &str), key: &Key) -> Option<&'w ProxyClassSpec> {
    let known = Kind::of_group(group, kind) == Some(Kind::ProxyClass);
    world.all::<ProxyClass>().get(key).filter(|_| known).map(|class| &class.spec)
}

/// Checks a ProxyClass, as far as an API server of this version's CRDs would not have refused it, and beyond.
pub(crate) fn check(spec: &ProxyClassSpec) -> Result<(), Fault> {
    let wrong =
        |path: &str, message: String| Err(Fault::new(Reason::InvalidParameters, format!("spec.{path}"), message));
    let daemons = spec.kind == Some(WorkloadKind::DaemonSet);
    for (path, set) in [("replicas", spec.replicas.is_some()), ("autoscaling", spec.autoscaling.is_some())] {
        if daemons && set {
            return wrong(path, "a DaemonSet has one pod on each node; remove it".to_owned());
        }
    }
    if spec.replicas.is_some() && spec.autoscaling.is_some() {
        return wrong("replicas", "excluded by autoscaling; autoscaling.minReplicas is where it begins".to_owned());
    }
    if let Some(Autoscaling { min_replicas: Some(min), max_replicas: Some(max), .. }) = spec.autoscaling
        && min > max
    {
        return wrong("autoscaling.minReplicas", format!("must not be more than maxReplicas, which is {max}"));
    }
    if let Some(DisruptionBudget { min_available, max_unavailable }) = &spec.pod_disruption_budget
        && min_available.is_some() == max_unavailable.is_some()
    {
        return wrong("podDisruptionBudget", "exactly one of minAvailable and maxUnavailable is needed".to_owned());
    }
    if let Some((path, value)) = unknown(spec).next() {
        return wrong(path, format!("{value:?} is not known"));
    }
    for (path, number, from, to) in [
        ("replicas", spec.replicas, 0, i32::MAX),
        ("workers", spec.workers, 1, 1024),
        ("healthPort", spec.health_port, 1024, 65535),
        ("adminPort", spec.admin_port, 1024, 65535),
    ] {
        if number.is_some_and(|number| !(from..=to).contains(&number)) {
            return wrong(path, format!("must be {from} to {to}"));
        }
    }
    if spec.health_port.unwrap_or(super::workload::HEALTH) == spec.admin_port.unwrap_or(super::workload::ADMIN) {
        return wrong("healthPort", "must differ from adminPort".to_owned());
    }
    if let Some(timeout) = &spec.drain_timeout
        && let Err(message) = duration::parse(timeout)
    {
        return wrong("drainTimeout", message);
    }
    match &spec.service {
        Some(service) => check_service(service, spec.host_network == Some(true)),
        None => Ok(()),
    }
}

fn check_service(service: &ProxyService, host_network: bool) -> Result<(), Fault> {
    let wrong = |path: &str, message: String| {
        Err(Fault::new(Reason::InvalidParameters, format!("spec.service.{path}"), message))
    };
    for (i, range) in service.load_balancer_source_ranges.iter().enumerate() {
        if !is_network(range) {
            return wrong(
                &format!("loadBalancerSourceRanges[{i}]"),
                format!("{range:?} is not a network such as 192.0.2.0/24"),
            );
        }
    }
    let type_ = service_type(Some(service), host_network);
    if type_ != ServiceType::LoadBalancer {
        let set = [
            ("loadBalancerClass", service.load_balancer_class.is_some()),
            ("loadBalancerSourceRanges", !service.load_balancer_source_ranges.is_empty()),
            ("allocateLoadBalancerNodePorts", service.allocate_load_balancer_node_ports.is_some()),
        ];
        if let Some((path, _)) = set.iter().find(|(_, set)| *set) {
            return wrong(path, format!("only Services of type LoadBalancer have it, and this one is a {type_}"));
        }
    }
    if type_ == ServiceType::ClusterIp && !service.node_ports.is_empty() {
        return wrong("nodePorts", "a ClusterIP has none".to_owned());
    }
    Ok(())
}

/// Values that are not known, where it matters.
fn unknown(spec: &ProxyClassSpec) -> impl Iterator<Item = (&'static str, String)> {
    macro_rules! open {
        ($($path:literal: $value:expr),* $(,)?) => {
            [$(($path, $value.filter(|value| !value.is_known()).map(ToString::to_string))),*]
        };
    }
    let service = spec.service.as_ref();
    let found = open![
        "kind": spec.kind.as_ref(),
        "imagePullPolicy": spec.image_pull_policy.as_ref(),
        "logLevel": spec.log_level.as_ref(),
        "path.escapedSlashesAction": spec.path.as_ref().and_then(|path| path.escaped_slashes_action.as_ref()),
        "headers.withUnderscoresAction": spec.headers.as_ref().and_then(|headers| headers.with_underscores_action.as_ref()),
        "service.type": service.and_then(|s| s.type_.as_ref()),
        "service.externalTrafficPolicy": service.and_then(|s| s.external_traffic_policy.as_ref()),
        "service.ipFamilyPolicy": service.and_then(|s| s.ip_family_policy.as_ref()),
        "service.staticAddresses": service.and_then(|s| s.static_addresses.as_ref()),
        "service.nodePorts": service.and_then(|s| s.node_ports.iter().find_map(|p| p.protocol.as_ref().filter(|t| !t.is_known()))),
    ];
    found.into_iter().filter_map(|(path, value)| Some((path, value?)))
}

fn is_network(text: &str) -> bool {
    let Some((address, length)) = text.trim().split_once('/') else { return false };
    let limit = match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    length.parse::<u8>().is_ok_and(|length| length <= limit)
}

/// The type of the Service.
pub(crate) fn service_type(service: Option<&ProxyService>, host_network: bool) -> ServiceType {
    let default = if host_network { ServiceType::ClusterIp } else { ServiceType::LoadBalancer };
    service.and_then(|service| service.type_.clone()).unwrap_or(default)
}

/// `own` before `class`: field by field, maps key by key, lists as a whole; what is said of requests is for [`http`]. How many proxies there are is one thing said
/// in three fields (`kind`, `replicas`, `autoscaling`): who says one of them has said them all.
pub(crate) fn merge(own: &ProxyClassSpec, class: &ProxyClassSpec) -> ProxyClassSpec {
    macro_rules! first {
        ($($field:ident),*) => { ProxyClassSpec { $($field: own.$field.clone().or_else(|| class.$field.clone()),)* ..own.clone() } };
    }
    let mut merged = first!(
        pod_disruption_budget,
        resources,
        affinity,
        priority_class_name,
        image,
        image_pull_policy,
        host_network,
        health_port,
        admin_port,
        workers,
        log_level,
        access_log,
        drain_timeout,
        termination_grace_period_seconds
    );
    if own.kind.is_none() && own.replicas.is_none() && own.autoscaling.is_none() {
        merged.kind.clone_from(&class.kind);
        merged.replicas = class.replicas;
        merged.autoscaling.clone_from(&class.autoscaling);
    }
    merged.node_selector = join(&own.node_selector, &class.node_selector);
    merged.pod_annotations = join(&own.pod_annotations, &class.pod_annotations);
    merged.pod_labels = join(&own.pod_labels, &class.pod_labels);
    fill(&mut merged.tolerations, &class.tolerations);
    fill(&mut merged.topology_spread_constraints, &class.topology_spread_constraints);
    fill(&mut merged.image_pull_secrets, &class.image_pull_secrets);
    fill(&mut merged.env, &class.env);
    merged.service = match (&own.service, &class.service) {
        (Some(own), Some(class)) => Some(merge_service(own, class)),
        (own, class) => own.clone().or_else(|| class.clone()),
    };
    merged
}

/// A type of its own leaves behind what the class says about load balancers.
fn merge_service(own: &ProxyService, class: &ProxyService) -> ProxyService {
    macro_rules! first {
        ($($field:ident),*) => { ProxyService { $($field: own.$field.clone().or_else(|| class.$field.clone()),)* ..own.clone() } };
    }
    let mut merged = first!(
        type_,
        external_traffic_policy,
        load_balancer_class,
        allocate_load_balancer_node_ports,
        ip_family_policy,
        static_addresses
    );
    merged.annotations = join(&own.annotations, &class.annotations);
    merged.labels = join(&own.labels, &class.labels);
    fill(&mut merged.load_balancer_source_ranges, &class.load_balancer_source_ranges);
    fill(&mut merged.node_ports, &class.node_ports);
    if own.type_.as_ref().is_some_and(|type_| *type_ != ServiceType::LoadBalancer) {
        merged.load_balancer_class = None;
        merged.load_balancer_source_ranges = Vec::new();
        merged.allocate_load_balancer_node_ports = None;
        if own.type_ == Some(ServiceType::ClusterIp) {
            merged.node_ports = Vec::new();
        }
    }
    merged
}

/// What listeners do with requests: `base`, but for what the parameters say. Values that are not known say nothing.
pub(crate) fn http(spec: &ProxyClassSpec, base: &HttpSettings) -> HttpSettings {
    use {EscapedSlashesAction as S, WithUnderscoresAction as U};
    let mut http = base.clone();
    match spec.path.as_ref().and_then(|path| path.escaped_slashes_action.as_ref()) {
        Some(S::RejectRequest) => http.escaped_slashes = EscapedSlashes::Reject,
        Some(S::KeepUnchanged) => http.escaped_slashes = EscapedSlashes::Keep,
        Some(S::UnescapeAndForward) => http.escaped_slashes = EscapedSlashes::Unescape,
        Some(S::UnescapeAndRedirect) => http.escaped_slashes = EscapedSlashes::Redirect,
        Some(S::Other(_)) | None => {}
    }
    match spec.headers.as_ref().and_then(|headers| headers.with_underscores_action.as_ref()) {
        Some(U::RejectRequestUnlessGrpc) => http.underscores = Underscores::RejectUnlessGrpc,
        Some(U::RejectRequest) => http.underscores = Underscores::Reject,
        Some(U::DropHeader) => http.underscores = Underscores::Drop,
        Some(U::Allow) => http.underscores = Underscores::Allow,
        Some(U::Other(_)) | None => {}
    }
    http
}

fn join(own: &BTreeMap<String, String>, class: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut joined = class.clone();
    joined.extend(own.iter().map(|(name, value)| (name.clone(), value.clone())));
    joined
}

fn fill<T: Clone>(own: &mut Vec<T>, class: &[T]) {
    if own.is_empty() {
        own.extend_from_slice(class);
    }
}
