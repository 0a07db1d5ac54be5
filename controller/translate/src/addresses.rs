//! Where a Gateway listens, and what is published of it, on a machine; in a cluster [`crate::fleet`] knows.
//!
//! `IPAddress` without a value means all addresses; `Hostname` is known for `localhost` and the names of the settings. A type that is
//! not known makes the Gateway unaccepted (`UnsupportedAddress`); a value that can't be listened on leaves it unprogrammed
//! (`AddressNotUsable`, `AddressNotAssigned`) and the other addresses served.
//!
//! Who asks for a `routability` (GEP-5093) that can't be had gets nothing for it, rather than something else: here that is `Cluster`, for there is none.

use crate::Settings;
use crate::fleet::Asked;
use crate::frame::Context;
use crate::status::{Condition, ConditionType, Fault, Reason};
use fairlead_crds::Kind;
use fairlead_crds::gateway::{AddressType, GatewaySpecAddress, GatewayStatusAddress};
use fairlead_store::Key;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `routability` of an address that only the cluster knows.
pub(crate) const CLUSTER: &str = "Cluster";
/// `routability` that says nothing and is served by whoever serves any (GEP-5093, for conformance).
pub(crate) const SENTINEL: &str = "testing.x-k8s.io/sentinel";

/// From where an address is to be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope<'g> {
    /// As it is by default.
    Any,
    /// From within the cluster: a ClusterIP.
    Cluster,
    /// See [`SENTINEL`].
    Sentinel,
    /// Nobody knows.
    Unknown(&'g str),
}

impl<'g> Scope<'g> {
    pub fn of(address: &'g GatewaySpecAddress) -> Self {
        match address.routability.as_ref().map_or("", |routability| routability.as_str()) {
            "" => Scope::Any,
            CLUSTER => Scope::Cluster,
            SENTINEL => Scope::Sentinel,
            other => Scope::Unknown(other),
        }
    }
}

/// Where a Gateway listens.
#[derive(Default)]
pub(crate) struct Addresses {
    /// Entries of `spec.addresses`.
    pub entries: usize,
    /// `None`: all addresses.
    pub binds: Vec<Option<IpAddr>>,
    pub published: Vec<GatewayStatusAddress>,
    pub rejected: Vec<Fault>,
    /// Entries that are not met, or that there is no address by default. Each alone leaves the Gateway unprogrammed.
    pub unusable: Vec<Fault>,
    /// Entries that are not met and ask for some routability: the Gateway is programmed with the others, if there are any.
    pub unmet: Vec<Fault>,
    /// What the Service is asked for, in a cluster.
    pub asked: Asked,
}

/// Reads `spec.addresses`.
pub(crate) fn read(key: &Key, wanted: &[GatewaySpecAddress], context: &mut Context<'_, '_>) -> Addresses {
    let mut found = Addresses { entries: wanted.len(), ..Addresses::default() };
    let status =
        |type_: AddressType, value: String| GatewayStatusAddress { type_: Some(type_), value, routability: None };
    let settings = context.settings;
    for (i, address) in wanted.iter().enumerate() {
        let path = format!("spec.addresses[{i}]");
        let value = address.value.as_deref().unwrap_or_default();
        if Scope::of(address) == Scope::Cluster && settings.anywhere {
            let message = "an address within the cluster has no effect outside of one; there the Gateway is not served";
            context.reader.note(Kind::Gateway, key, format!("{path}.routability"), message);
        } else if let Scope::Cluster | Scope::Unknown(_) = Scope::of(address) {
            let message =
                "there is no cluster here, and no other routability is known; remove it for an address of the machine";
            found.unmet.push(Fault::new(Reason::AddressNotAssigned, format!("{path}.routability"), message));
            continue;
        }
        let unusable = |message: String| Fault::new(Reason::AddressNotUsable, format!("{path}.value"), message);
        match address.type_.as_ref().unwrap_or(&AddressType::IpAddress) {
            AddressType::IpAddress if value.is_empty() => found.anywhere(settings),
            AddressType::IpAddress => match value.parse::<IpAddr>() {
                Ok(ip) if usable(ip, settings) => found.bind(ip, status(AddressType::IpAddress, value.to_owned())),
                Ok(_) => found.unusable.push(unusable(format!("{value} is not an address of this machine"))),
                Err(_) => found.unusable.push(unusable(format!("{value:?} is not an IP address"))),
            },
            AddressType::Hostname if value.is_empty() => {
                let message = "a host name can't be assigned; give a value";
                found.unusable.push(Fault::new(Reason::AddressNotAssigned, format!("{path}.value"), message));
            }
            AddressType::Hostname => {
                let localhost = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
                let known = settings.local_names.get(value).map(Vec::as_slice);
                match known.or_else(|| (value == "localhost").then_some(&localhost)) {
                    Some(ips) => {
                        ips.iter().for_each(|ip| found.bind(*ip, status(AddressType::Hostname, value.to_owned())))
                    }
                    None => found.unusable.push(unusable(format!("{value:?} is no name of this machine"))),
                }
            }
            other => {
                let message = format!("addresses of type {other} can't be served; IPAddress and Hostname can");
                found.rejected.push(Fault::new(Reason::UnsupportedAddress, format!("{path}.type"), message));
            }
        }
    }
    if wanted.is_empty() {
        found.anywhere(settings);
    }
    found
}

impl Addresses {
    /// Why the Gateway is not reached, or not where it should be.
    /// `told`: whether [`assigned`](Self::assigned) says the rest.
    pub fn unprogrammed(&self, told: bool) -> Option<Fault> {
        let faults: Vec<Fault> = self.unusable.iter().chain(&self.unmet).cloned().collect();
        if !faults.is_empty() && self.unmet.len() == faults.len() && faults.len() < self.entries {
            return None;
        }
        // GatewayStaticAddresses of the suite: one that can't be had is the reason, however many there are.
        let usable = self.unusable.iter().all(|fault| fault.reason != Reason::AddressNotUsable);
        let none = usable && (told || !self.unmet.is_empty()) && faults.len() >= self.entries;
        let joined = Fault::join(&faults)?;
        Some(if none { Fault { reason: Reason::AddressNotAssigned, ..joined } } else { joined })
    }

    /// Whether all that was asked for is there (GEP-5093).
    pub fn assigned(&self) -> Condition {
        let faults: Vec<Fault> = self.unusable.iter().chain(&self.unmet).cloned().collect();
        let kind = ConditionType::AddressesAssigned;
        match Fault::join(&faults) {
            None => Condition::new(kind, true, Reason::AddressesAssigned, "All addresses are assigned"),
            Some(fault) => {
                let some = faults.len() < self.entries;
                let reason = if some { Reason::PartiallyAssigned } else { Reason::NotAssigned };
                Condition::new(kind, false, reason, fault.message)
            }
        }
    }

    /// All addresses of the machine.
    fn anywhere(&mut self, settings: &Settings) {
        if !self.binds.contains(&None) {
            self.binds.push(None);
        }
        let each = settings.addresses.iter().map(|ip| GatewayStatusAddress {
            type_: Some(AddressType::IpAddress),
            value: ip.to_string(),
            routability: None,
        });
        self.published.extend(each);
    }

    fn bind(&mut self, ip: IpAddr, status: GatewayStatusAddress) {
        if !self.binds.contains(&Some(ip)) {
            self.binds.push(Some(ip));
        }
        if !self.published.contains(&status) {
            self.published.push(status);
        }
    }
}

fn usable(ip: IpAddr, settings: &Settings) -> bool {
    ip.is_loopback() || ip.is_unspecified() || settings.local_addresses.as_ref().is_none_or(|local| local.contains(&ip))
}
