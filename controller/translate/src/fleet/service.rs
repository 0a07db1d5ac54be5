//! The Service: how the proxies are reached.

use super::parameters::service_type;
use super::{Asked, Context, HOST_NETWORK, Object, ObjectKind, Port, value};
use fairlead_crds::v1alpha1::{ProxyService, ServiceType, Transport};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn service(context: &Context<'_>, ports: &BTreeSet<Port>, asked: &Asked) -> Object {
    let none = ProxyService::default();
    let parameters = context.parameters.service.as_ref().unwrap_or(&none);
    let on_host = context.parameters.host_network == Some(true);
    let type_ = match asked.cluster_only {
        true => ServiceType::ClusterIp,
        false => service_type(context.parameters.service.as_ref(), on_host),
    };
    let node_ports = if type_ == ServiceType::ClusterIp { BTreeMap::new() } else { node_ports(parameters) };
    let mut spec = json!({
        "type": type_.as_str(),
        "selector": context.selector(),
        "ports": ports.iter().map(|port| self::port(*port, &node_ports)).collect::<Vec<_>>(),
    });
    let mut set = |name: &str, value: Value| spec[name] = value;
    if type_ != ServiceType::ClusterIp {
        // Every node takes connections, so that none is lost where the last proxy of a node goes away.
        let policy = parameters.external_traffic_policy.as_ref().map_or("Cluster", |policy| policy.as_str());
        set("externalTrafficPolicy", json!(policy));
    }
    if type_ == ServiceType::LoadBalancer {
        if let Some(class) = &parameters.load_balancer_class {
            set("loadBalancerClass", json!(class));
        }
        if !parameters.load_balancer_source_ranges.is_empty() {
            set("loadBalancerSourceRanges", json!(parameters.load_balancer_source_ranges));
        }
        if let Some(allocate) = parameters.allocate_load_balancer_node_ports {
            set("allocateLoadBalancerNodePorts", json!(allocate));
        }
        if let Some(address) = &asked.load_balancer_ip {
            set("loadBalancerIP", json!(address));
        }
    }
    if let Some(address) = &asked.cluster_ip {
        set("clusterIP", json!(address));
    }
    if !asked.external_ips.is_empty() {
        set("externalIPs", json!(asked.external_ips));
    }
    if let Some(policy) = &parameters.ip_family_policy {
        set("ipFamilyPolicy", value(policy));
    }
    let mut annotations = parameters.annotations.clone();
    if on_host {
        annotations.insert(HOST_NETWORK.to_owned(), "true".to_owned());
    }
    context.object(ObjectKind::Service, [&parameters.labels, &annotations], json!({ "spec": spec }))
}

/// A port is named after its number, so that its name is the same whoever listens there.
fn port(port: Port, node_ports: &BTreeMap<Port, i32>) -> Value {
    let (name, protocol) = if port.udp { ("udp", "UDP") } else { ("tcp", "TCP") };
    let mut value = json!({
        "name": format!("{name}-{}", port.number),
        "port": port.number,
        "targetPort": port.number,
        "protocol": protocol,
    });
    if let Some(node_port) = node_ports.get(&port) {
        value["nodePort"] = json!(node_port);
    }
    value
}

fn node_ports(parameters: &ProxyService) -> BTreeMap<Port, i32> {
    let wanted = parameters.node_ports.iter();
    let each = wanted.filter_map(|wanted| {
        let number = u16::try_from(wanted.port).ok()?;
        Some((Port { number, udp: wanted.protocol == Some(Transport::Udp) }, wanted.node_port))
    });
    each.collect()
}
