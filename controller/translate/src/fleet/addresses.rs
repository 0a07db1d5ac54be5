//! What a Gateway in a cluster asks of its Service, and what is published of it.
//!
//! | Service | asked for | published |
//! | --- | --- | --- |
//! | LoadBalancer | `loadBalancerIP`: one address | what the load balancer gave |
//! | any, with `staticAddresses: ExternalIPs` | `externalIPs` | those that were asked for |
//! | ClusterIP, NodePort | nothing | the cluster's own addresses of it |
//! | ClusterIP with `hostNetwork` | nothing | the nodes whose proxy is ready |
//! | any, `routability: Cluster` | `clusterIP`: one address | the cluster's own address of it |
//!
//! An address that was asked for and is not there is `AddressNotUsable`; none where any would do, `AddressNotAssigned`.
//!
//! Each entry of `spec.addresses` is met by an address of its own, or not (GEP-5093). Where nothing but `routability: Cluster` is asked for, the
//! Service is a ClusterIP, whatever the ProxyClass says: nobody from outside is to get in.
//!
//! `externalIPs` are never used unasked: whoever writes a Gateway could take any address from everybody in the cluster (CVE-2020-8554).

use super::parameters::service_type;
use super::{Asked, HOST_NETWORK, MANAGED_BY, object_name};
use crate::addresses::{Addresses, CLUSTER, SENTINEL, Scope};
use crate::endpoints;
use crate::frame::Context;
use crate::status::{Fault, Reason};
use fairlead_crds::Kind;
use fairlead_crds::core::{AddressType as SliceAddresses, EndpointSlice, Service};
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
    scope: Scope<'g>,
}

/// Where the Service can be reached now.
struct Present {
    /// By default, the best first.
    addresses: Vec<Place>,
    /// Who would give more, and what to do about it.
    hint: &'static str,
}

/// An address that leads to the proxies.
struct Place {
    type_: AddressType,
    value: String,
    /// A ClusterIP of the Service.
    cluster: bool,
    /// Only what asks for it gets it.
    apart: bool,
    taken: bool,
}

/// Reads `spec.addresses`, and what the Service has got of them. `parameters` are `None` when they are not valid: then the Service
/// is what it was.
pub(crate) fn read(
    key: &Key,
    wanted: &[GatewaySpecAddress],
    parameters: Option<&ProxyClassSpec>,
    context: &mut Context<'_, '_>,
) -> Addresses {
    // Proxies listen on all addresses of their pods: what leads to them is the Service's.
    let mut found = Addresses { binds: vec![None], entries: wanted.len(), ..Addresses::default() };
    let wanted = wants(wanted, &mut found);
    let service_key = Key::new(key.namespace.clone(), object_name(&key.name));
    let service = context.reader.find::<Service>(&service_key).map(|service| &**service);
    let stranger = service.is_some_and(|service| !is_ours(service));
    let service = service.filter(|service| is_ours(service));
    found.asked.cluster_only = !wanted.is_empty() && wanted.iter().all(|wanted| wanted.scope == Scope::Cluster);
    let type_ = exposure(parameters, service, found.asked.cluster_only);
    let external = !found.asked.cluster_only && takes_external(parameters, service);
    let mut present = present(&service_key, service, &type_, is_on_host(parameters, service), context);
    ask(&wanted, service, external, &type_, &present, &mut found.asked);
    if external {
        let held = found.asked.external_ips.iter().filter(|ip| holds(service, ip));
        present.addresses.extend(held.map(|ip| Place::apart(AddressType::IpAddress, ip, false)));
    }
    if stranger {
        let message = format!(
            "there is a Service {service_key} that Fairlead did not make; the Gateway needs that name: rename one of them"
        );
        found.unusable.push(Fault::new(Reason::AddressNotAssigned, "", message));
        return found;
    }
    let reported = context.settings.routability;
    if wanted.is_empty() {
        found
            .published
            .extend(present.addresses.iter().filter(|place| !place.apart).map(|place| place.status(None, reported)));
        if found.published.is_empty() {
            let message = format!("the Gateway has no address yet: {}", present.hint);
            found.unusable.push(Fault::new(Reason::AddressNotAssigned, "", message));
        }
    } else {
        meet(&wanted, &mut present, external, reported, &mut found);
    }
    found.published.truncate(PUBLISHED);
    found
}

/// Finds each entry an address: exact ones first, then those that can't take any.
fn meet(wanted: &[Wanted<'_>], present: &mut Present, external: bool, reported: bool, found: &mut Addresses) {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by_key(|i| (wanted[*i].value.is_empty(), wanted[*i].scope != Scope::Cluster));
    let mut met: Vec<Option<GatewayStatusAddress>> = vec![None; wanted.len()];
    for i in order {
        let fits = |place: &&mut Place| !place.taken && wanted[i].takes(place);
        if let Some(place) = present.addresses.iter_mut().find(fits) {
            place.taken = true;
            met[i] = Some(place.status(Some(&wanted[i].scope), reported));
        }
    }
    let mut retained = !reported && wanted.iter().any(|wanted| wanted.value.is_empty());
    for (wanted, met) in wanted.iter().zip(met) {
        match met {
            Some(address) => found.published.push(address),
            None => {
                retained |= wanted.scope == Scope::Any && !wanted.value.is_empty() && !external;
                let fault = wanted.unmet(&found.asked, external, present);
                // Without a word on routability, it is as it was before there was such a thing.
                let list = if wanted.scope == Scope::Any { &mut found.unusable } else { &mut found.unmet };
                list.push(fault);
            }
        }
    }
    // Traffic gets in by what was not asked for, too, and that is worth knowing.
    if retained {
        let rest = present.addresses.iter().filter(|place| !place.taken && !place.apart);
        found.published.extend(rest.map(|place| place.status(None, reported)));
    }
}

/// What is asked for, as far as its type can be served.
fn wants<'g>(wanted: &'g [GatewaySpecAddress], found: &mut Addresses) -> Vec<Wanted<'g>> {
    let mut wants = Vec::new();
    for (i, address) in wanted.iter().enumerate() {
        let path = format!("spec.addresses[{i}]");
        match address.type_.clone().unwrap_or(AddressType::IpAddress) {
            type_ @ (AddressType::IpAddress | AddressType::Hostname) => {
                let (value, scope) = (address.value.as_deref().unwrap_or_default(), Scope::of(address));
                wants.push(Wanted { path, type_, value, scope });
            }
            other => {
                let message = format!("addresses of type {other} can't be served; IPAddress and Hostname can");
                found.rejected.push(Fault::new(Reason::UnsupportedAddress, format!("{path}.type"), message));
            }
        }
    }
    wants
}

/// The type of the Service.
fn exposure(parameters: Option<&ProxyClassSpec>, service: Option<&Service>, cluster_only: bool) -> ServiceType {
    match parameters {
        _ if cluster_only => ServiceType::ClusterIp,
        Some(parameters) => service_type(parameters.service.as_ref(), parameters.host_network == Some(true)),
        None => {
            let now = service.and_then(|service| service.spec.type_.as_deref());
            now.map_or(ServiceType::LoadBalancer, Into::into)
        }
    }
}

/// Whether static addresses are asked for as external ones.
fn takes_external(parameters: Option<&ProxyClassSpec>, service: Option<&Service>) -> bool {
    match parameters {
        Some(parameters) => {
            let wanted = parameters.service.as_ref().and_then(|service| service.static_addresses.as_ref());
            wanted == Some(&StaticAddresses::ExternalIps)
        }
        None => service.is_some_and(|service| !service.spec.external_ips.is_empty()),
    }
}

/// Whether the proxies listen on their nodes' addresses.
fn is_on_host(parameters: Option<&ProxyClassSpec>, service: Option<&Service>) -> bool {
    match parameters {
        Some(parameters) => parameters.host_network == Some(true),
        None => service.is_some_and(|service| service.metadata.annotations.get(HOST_NETWORK).is_some()),
    }
}

/// What the Service is to say.
fn ask(
    wanted: &[Wanted<'_>],
    service: Option<&Service>,
    external: bool,
    type_: &ServiceType,
    present: &Present,
    asked: &mut Asked,
) {
    let ips = |scope: fn(&Scope<'_>) -> bool| {
        wanted.iter().filter(move |wanted| wanted.ip().is_some() && scope(&wanted.scope))
    };
    let elsewhere = |scope: &Scope<'_>| matches!(scope, Scope::Any | Scope::Sentinel);
    if external {
        asked.external_ips = ips(elsewhere).map(|wanted| wanted.value.into()).collect();
    } else if *type_ == ServiceType::LoadBalancer {
        // One that serves is not given up for another that may never come.
        let held = ips(elsewhere).find(|wanted| present.addresses.iter().any(|place| wanted.takes(place)));
        asked.load_balancer_ip = held.or_else(|| ips(elsewhere).next()).map(|wanted| wanted.value.into());
    }
    // It can be chosen when the Service is made, and never again.
    let now = cluster_ips(service).next();
    let chosen = ips(|scope| *scope == Scope::Cluster)
        .find(|wanted| now.is_none() || now.and_then(|ip| ip.parse().ok()) == wanted.ip());
    asked.cluster_ip = chosen.map(|wanted| wanted.value.into());
}

/// Where the Service leads to the proxies by itself.
fn present(
    key: &Key,
    service: Option<&Service>,
    type_: &ServiceType,
    on_host: bool,
    context: &mut Context<'_, '_>,
) -> Present {
    let own = cluster_ips(service);
    let apart = |ip: &str| Place::apart(AddressType::IpAddress, ip, true);
    if *type_ == ServiceType::LoadBalancer {
        let hint = "the cluster's load balancer has not given it: if it never does, there may be none, or its controller says why in events of the Service";
        let status = service.and_then(|service| service.status.as_ref()).map(|status| &status.load_balancer.ingress);
        let each = status.into_iter().flatten().flat_map(|ingress| {
            let named = ingress.hostname.as_deref().filter(|name| !name.is_empty());
            let ip = ingress.ip.as_deref().filter(|ip| !ip.is_empty());
            let ip = ip.map(|ip| Place::new(AddressType::IpAddress, ip, false));
            ip.into_iter().chain(named.map(|name| Place::new(AddressType::Hostname, name, false)))
        });
        return Present { addresses: each.chain(own.map(apart)).collect(), hint };
    }
    if on_host && *type_ == ServiceType::ClusterIp {
        let hint = "with hostNetwork these are the addresses of nodes whose proxy is ready";
        let nodes = nodes(key, context);
        let each = nodes.iter().map(|node| Place::new(AddressType::IpAddress, node, false));
        return Present { addresses: each.chain(own.map(apart)).collect(), hint };
    }
    let hint = "the Service is reached by the cluster's own addresses only; see service.staticAddresses of ProxyClass";
    Present { addresses: own.map(|ip| Place::new(AddressType::IpAddress, ip, true)).collect(), hint }
}

/// The cluster's own addresses of a Service.
fn cluster_ips(service: Option<&Service>) -> impl Iterator<Item = &str> {
    let spec = service.map(|service| &service.spec);
    let all = spec.map(|spec| &*spec.cluster_ips).unwrap_or_default().iter().map(|ip| &**ip);
    let one = spec.and_then(|spec| spec.cluster_ip.as_deref()).filter(|_| all.len() == 0);
    all.chain(one).filter(|ip| ip.parse::<IpAddr>().is_ok())
}

/// Addresses of pods that are ready, which on the host's network are the nodes'.
fn nodes(service: &Key, context: &mut Context<'_, '_>) -> BTreeSet<String> {
    context.node_services.insert(service.clone());
    let mut nodes = BTreeSet::new();
    for (key, slice) in context.reader.world.all::<EndpointSlice>().namespace(&service.namespace) {
        if endpoints::service_of(key, slice).as_ref() != Some(service) || slice.address_type == SliceAddresses::Fqdn {
            continue;
        }
        context.reader.reads.insert((Kind::EndpointSlice, key.clone()));
        let ready = slice.endpoints.iter().filter(|endpoint| endpoint.conditions.ready.unwrap_or(true));
        nodes.extend(ready.flat_map(|endpoint| &endpoint.addresses).map(ToString::to_string));
    }
    nodes
}

impl Wanted<'_> {
    fn ip(&self) -> Option<IpAddr> {
        self.value.parse().ok().filter(|_| self.type_ == AddressType::IpAddress)
    }

    /// Whether an address is what is asked for.
    fn takes(&self, place: &Place) -> bool {
        let scope = match self.scope {
            Scope::Any | Scope::Sentinel => !place.apart || (!place.cluster && !self.value.is_empty()),
            // Names may lead anywhere.
            Scope::Cluster => place.cluster && self.type_ == AddressType::IpAddress,
            Scope::Unknown(_) => false,
        };
        let value = match self.ip() {
            Some(ip) => place.value.parse() == Ok(ip),
            None => self.value.is_empty() || place.value.eq_ignore_ascii_case(self.value),
        };
        scope && value && place.type_ == self.type_
    }

    /// Why it is not there.
    fn unmet(&self, asked: &Asked, external: bool, present: &Present) -> Fault {
        let value = self.value;
        let wrong =
            |reason: Reason, field: &str, message: String| Fault::new(reason, format!("{}{field}", self.path), message);
        match &self.scope {
            Scope::Unknown(scope) => {
                let message = format!(
                    "{scope:?} is not known; \"Cluster\" is, and none at all for what the Service has by default"
                );
                return wrong(Reason::AddressNotAssigned, ".routability", message);
            }
            Scope::Cluster if self.type_ != AddressType::IpAddress => {
                let message = "only an IPAddress can be one of the cluster's own".to_owned();
                return wrong(Reason::AddressNotAssigned, ".routability", message);
            }
            Scope::Cluster => {
                let message = match present.addresses.iter().find(|place| place.cluster) {
                    _ if !value.is_empty() && self.ip().is_none() => format!("{value:?} is not an IP address"),
                    Some(place) if !value.is_empty() => format!(
                        "the Service has {}, which can't be changed to {value}: delete the Service, and it is made anew",
                        place.value
                    ),
                    Some(_) => "the Service has no other address of the cluster's own".to_owned(),
                    None => "the Service has no address of the cluster's own yet; if it never gets one, it is not of the cluster's range or another Service has it".to_owned(),
                };
                return wrong(Reason::AddressNotAssigned, "", message);
            }
            Scope::Any | Scope::Sentinel => {}
        }
        if value.is_empty() {
            let message = format!("there is no address of type {} yet: {}", self.type_, present.hint);
            return wrong(Reason::AddressNotAssigned, "", message);
        }
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
        wrong(Reason::AddressNotUsable, ".value", message)
    }
}

impl Place {
    fn new(type_: AddressType, value: &str, cluster: bool) -> Self {
        Place { type_, value: value.to_owned(), cluster, apart: false, taken: false }
    }

    fn apart(type_: AddressType, value: &str, cluster: bool) -> Self {
        Place { apart: true, ..Place::new(type_, value, cluster) }
    }

    /// As status has it, for an entry or none.
    fn status(&self, scope: Option<&Scope<'_>>, reported: bool) -> GatewayStatusAddress {
        let routability = match scope {
            Some(Scope::Sentinel) => SENTINEL,
            _ if self.cluster => CLUSTER,
            _ => "",
        };
        GatewayStatusAddress {
            type_: Some(self.type_.clone()),
            value: self.value.clone(),
            routability: reported.then(|| routability.into()),
        }
    }
}

/// Whether the Service takes an external address already.
fn holds(service: Option<&Service>, ip: &str) -> bool {
    service.is_some_and(|service| service.spec.external_ips.iter().any(|taken| **taken == *ip))
}

fn is_ours(service: &Service) -> bool {
    let (label, value) = MANAGED_BY;
    service.metadata.labels.get(label) == Some(value)
}
