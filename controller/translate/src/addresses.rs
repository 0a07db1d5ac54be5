//! Where a Gateway listens, and what is published of it, on a machine; in a cluster [`crate::fleet`] knows.
//!
//! `IPAddress` without a value means all addresses; `Hostname` is known for `localhost` and the names of the settings. A type that is
//! not known makes the Gateway unaccepted (`UnsupportedAddress`); a value that can't be listened on leaves it unprogrammed
//! (`AddressNotUsable`, `AddressNotAssigned`) and the other addresses served.

use crate::Settings;
use crate::fleet::Asked;
use crate::frame::Context;
use crate::status::{Fault, Reason};
use fairlead_crds::Kind;
use fairlead_crds::gateway::{AddressType, GatewaySpecAddress, GatewayStatusAddress};
use fairlead_store::Key;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where a Gateway listens.
#[derive(Default)]
pub(crate) struct Addresses {
    /// `None`: all addresses.
    pub binds: Vec<Option<IpAddr>>,
    pub published: Vec<GatewayStatusAddress>,
    pub rejected: Vec<Fault>,
    pub unusable: Vec<Fault>,
    /// What the Service is asked for, in a cluster.
    pub asked: Asked,
}

/// Reads `spec.addresses`.
pub(crate) fn read(key: &Key, wanted: &[GatewaySpecAddress], context: &mut Context<'_, '_>) -> Addresses {
    let mut found = Addresses::default();
    let status =
        |type_: AddressType, value: String| GatewayStatusAddress { type_: Some(type_), value, routability: None };
    let settings = context.settings;
    for (i, address) in wanted.iter().enumerate() {
        let path = format!("spec.addresses[{i}]");
        let value = address.value.as_deref().unwrap_or_default();
        if address.routability.is_some() {
            context.reader.note(
                Kind::Gateway,
                key,
                format!("{path}.routability"),
                "routability is experimental and has no effect",
            );
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
