//! What a Gateway in a cluster asks of its Service, and what is published of it.
//!
//! | Service | asked for | published |
//! | --- | --- | --- |
//! | LoadBalancer | `loadBalancerIP`: one address | what the load balancer gave |
//! | any, with `staticAddresses: ExternalIPs` | `externalIPs` | those that were asked for |
//! | ClusterIP, NodePort | nothing | the cluster's own addresses of it |
//! | ClusterIP with `hostNetwork` | nothing | the nodes whose proxy is ready |
//!
//! An address that was asked for and is not there is `AddressNotUsable`; none where any would do, `AddressNotAssigned`. What is
//! there is published whether it was asked for or not, since traffic gets in by it.
//!
//! `externalIPs` are never used unasked: whoever writes a Gateway could take any address from everybody in the cluster (CVE-2020-8554).

use super::parameters::service_type;
use super::{Asked, MANAGED_BY, object_name};
use crate::addresses::Addresses;
use crate::endpoints;
use crate::frame::Context;
use crate::status::{Fault, Reason};
use fairlead_crds::Kind;
use fairlead_crds::core::{EndpointSlice, Service};
use fairlead_crds::gateway::{AddressType, GatewaySpecAddress, GatewayStatusAddress};
use fairlead_crds::v1alpha1::{ProxyClassSpec, ServiceType, StaticAddresses};
use fairlead_store::Key;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// As many as a status may have.
const PUBLISHED: usize = 16;

/// An address that a Gateway asks for.
struct Wanted<'g> {
    path: String,
    type_: AddressType,
    /// Empty: any.
    value: &'g str,
}

/// Where the Service can be reached now.
struct Present {
    addresses: Vec<GatewayStatusAddress>,
    /// Who would give more, and what to do about it.
    hint: &'static str,
}

/// Reads `spec.addresses`, and what the Service has got of them.
pub(crate) fn read(
    key: &Key,
    wanted: &[GatewaySpecAddress],
    parameters: &ProxyClassSpec,
    context: &mut Context<'_, '_>,
) -> Addresses {
    // Proxies listen on all addresses of their pods: what leads to them is the Service's.
    let mut found = Addresses { binds: vec![None], ..Addresses::default() };
    let wanted = wants(key, wanted, &mut found, context);
    let type_ = service_type(parameters.service.as_ref(), parameters.host_network == Some(true));
    let external = parameters.service.as_ref().and_then(|service| service.static_addresses.as_ref())
        == Some(&StaticAddresses::ExternalIps);
    let service_key = Key::new(key.namespace.clone(), object_name(&key.name));
    let service = context.reader.find::<Service>(&service_key).map(|service| &**service);
    let taken = service.is_some_and(|service| !is_ours(service));
    let service = service.filter(|service| is_ours(service));
    let present = present(&service_key, service, &type_, parameters, context);
    let ips = || wanted.iter().filter(|wanted| wanted.type_ == AddressType::IpAddress && wanted.ip().is_some());
    if external {
        found.asked.external_ips = ips().map(|wanted| wanted.value.into()).collect();
    } else if type_ == ServiceType::LoadBalancer {
        // One that serves is not given up for another that may never come.
        let held = ips().find(|wanted| present.has(wanted));
        found.asked.load_balancer_ip = held.or_else(|| ips().next()).map(|wanted| wanted.value.into());
    }
    for wanted in wanted.iter().filter(|wanted| !wanted.value.is_empty()) {
        let exposed = external && wanted.ip().is_some() && holds(service, wanted.value);
        if exposed {
            found.published.push(wanted.status());
        } else if !present.has(wanted) {
            found.unusable.push(wanted.unusable(&found.asked, external, &present));
        }
    }
    let any = wanted.is_empty() || wanted.iter().any(|wanted| wanted.value.is_empty());
    if any || !external {
        found.published.extend(present.addresses.iter().cloned());
    }
    if taken {
        let message = format!(
            "there is a Service {service_key} that Fairlead did not make; the Gateway needs that name: rename one of them"
        );
        found.unusable.push(Fault::new(Reason::AddressNotAssigned, "", message));
    } else if any {
        found.unusable.extend(unassigned(&wanted, &present));
    }
    found.published.truncate(PUBLISHED);
    found
}

/// What is asked for, as far as its type can be served.
fn wants<'g>(
    key: &Key,
    wanted: &'g [GatewaySpecAddress],
    found: &mut Addresses,
    context: &mut Context<'_, '_>,
) -> Vec<Wanted<'g>> {
    let mut wants = Vec::new();
    for (i, address) in wanted.iter().enumerate() {
        let path = format!("spec.addresses[{i}]");
        if address.routability.is_some() {
            let message = "routability is experimental and has no effect";
            context.reader.note(Kind::Gateway, key, format!("{path}.routability"), message);
        }
        match address.type_.clone().unwrap_or(AddressType::IpAddress) {
            type_ @ (AddressType::IpAddress | AddressType::Hostname) => {
                wants.push(Wanted { path, type_, value: address.value.as_deref().unwrap_or_default() });
            }
            other => {
                let message = format!("addresses of type {other} can't be served; IPAddress and Hostname can");
                found.rejected.push(Fault::new(Reason::UnsupportedAddress, format!("{path}.type"), message));
            }
        }
    }
    wants
}

/// Where the Service leads to the proxies by itself.
fn present(
    key: &Key,
    service: Option<&Service>,
    type_: &ServiceType,
    parameters: &ProxyClassSpec,
    context: &mut Context<'_, '_>,
) -> Present {
    let ip = |ip: &str| address(AddressType::IpAddress, ip);
    if *type_ == ServiceType::LoadBalancer {
        let hint = "the cluster's load balancer has not given it: if it never does, there may be none, or its controller says why in events of the Service";
        let status = service.and_then(|service| service.status.as_ref()?.load_balancer.as_ref()?.ingress.as_ref());
        let each = status.into_iter().flatten().flat_map(|ingress| {
            let named = ingress.hostname.as_deref().filter(|name| !name.is_empty());
            let ip = ingress.ip.as_deref().filter(|ip| !ip.is_empty()).map(ip);
            ip.into_iter().chain(named.map(|name| address(AddressType::Hostname, name)))
        });
        return Present { addresses: each.collect(), hint };
    }
    if parameters.host_network == Some(true) && *type_ == ServiceType::ClusterIp {
        let hint = "with hostNetwork these are the addresses of nodes whose proxy is ready";
        return Present { addresses: nodes(key, context).iter().map(|node| ip(node)).collect(), hint };
    }
    let hint = "the Service is reached by the cluster's own addresses only; see service.staticAddresses of ProxyClass";
    let ips = service.and_then(|service| service.spec.as_ref()?.cluster_ips.as_ref());
    let each = ips.into_iter().flatten().filter(|ip| ip.parse::<IpAddr>().is_ok());
    Present { addresses: each.map(|address| ip(address)).collect(), hint }
}

/// Addresses of pods that are ready, which on the host's network are the nodes'.
fn nodes(service: &Key, context: &mut Context<'_, '_>) -> BTreeSet<String> {
    context.node_services.insert(service.clone());
    let mut nodes = BTreeSet::new();
    for (key, slice) in context.reader.world.all::<EndpointSlice>().namespace(&service.namespace) {
        if endpoints::service_of(key, slice).as_ref() != Some(service) || slice.address_type == "FQDN" {
            continue;
        }
        context.reader.reads.insert((Kind::EndpointSlice, key.clone()));
        let ready = |endpoint: &&k8s_openapi::api::discovery::v1::Endpoint| {
            endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true)
        };
        nodes.extend(slice.endpoints.iter().filter(ready).flat_map(|endpoint| endpoint.addresses.iter().cloned()));
    }
    nodes
}

/// Nothing is there where anything would do.
fn unassigned(wanted: &[Wanted<'_>], present: &Present) -> Vec<Fault> {
    if wanted.is_empty() {
        let none = present.addresses.is_empty();
        let message = || format!("the Gateway has no address yet: {}", present.hint);
        return none.then(|| Fault::new(Reason::AddressNotAssigned, "", message())).into_iter().collect();
    }
    let missing = wanted.iter().filter(|wanted| {
        wanted.value.is_empty() && !present.addresses.iter().any(|there| there.type_.as_ref() == Some(&wanted.type_))
    });
    let each = missing.map(|wanted| {
        let message = format!("there is no address of type {} yet: {}", wanted.type_, present.hint);
        Fault::new(Reason::AddressNotAssigned, wanted.path.clone(), message)
    });
    each.collect()
}

impl Wanted<'_> {
    fn ip(&self) -> Option<IpAddr> {
        self.value.parse().ok().filter(|_| self.type_ == AddressType::IpAddress)
    }

    fn status(&self) -> GatewayStatusAddress {
        address(self.type_.clone(), self.value)
    }

    /// Why it is not there.
    fn unusable(&self, asked: &Asked, external: bool, present: &Present) -> Fault {
        let value = self.value;
        let message = if self.type_ == AddressType::Hostname {
            format!("{value:?} is no name of the Gateway's Service, and a name can't be asked for; give an IPAddress")
        } else if self.ip().is_none() {
            format!("{value:?} is not an IP address")
        } else if external {
            format!("{value} is not among the Service's externalIPs yet; admission may forbid them")
        } else {
            match &asked.load_balancer_ip {
                Some(other) if **other != *value => {
                    format!(
                        "a load balancer is asked for one address, and that is {other}; remove the others, or see service.staticAddresses of ProxyClass"
                    )
                }
                _ => format!("{value} does not lead to the Gateway: {}", present.hint),
            }
        };
        Fault::new(Reason::AddressNotUsable, format!("{}.value", self.path), message)
    }
}

impl Present {
    fn has(&self, wanted: &Wanted<'_>) -> bool {
        let same = |there: &GatewayStatusAddress| match wanted.ip() {
            Some(ip) => there.value.parse() == Ok(ip),
            None => there.value.eq_ignore_ascii_case(wanted.value),
        };
        self.addresses.iter().any(|there| there.type_.as_ref() == Some(&wanted.type_) && same(there))
    }
}

/// Whether the Service takes an external address already.
fn holds(service: Option<&Service>, ip: &str) -> bool {
    let taken = service.and_then(|service| service.spec.as_ref()?.external_ips.as_ref());
    taken.is_some_and(|taken| taken.iter().any(|taken| taken == ip))
}

fn is_ours(service: &Service) -> bool {
    let (label, value) = MANAGED_BY;
    service.metadata.labels.as_ref().and_then(|labels| labels.get(label)).is_some_and(|is| is == value)
}

fn address(type_: AddressType, value: &str) -> GatewayStatusAddress {
    GatewayStatusAddress { type_: Some(type_), value: value.to_owned(), routability: None }
}
