//! Addresses that are not for everybody.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address leads to the machine itself, no further than its link, or to what a cloud tells this machine alone: loopback,
/// unspecified, broadcast, link-local (169.254.169.254 is the metadata service of most clouds) and the other addresses of such services.
/// IPv4 addresses in IPv6 are what they stand for.
///
/// Where somebody else than the operator may name backends, as in a cluster, these are refused: a proxy would ask for them what only
/// it may (the confused deputy of GEP-4894).
pub fn is_local(address: IpAddr) -> bool {
    let address = address.to_canonical();
    METADATA.contains(&address)
        || match address {
            IpAddr::V4(ip) => ip.is_loopback() || ip.is_link_local() || ip.is_broadcast() || ip.octets()[0] == 0,
            IpAddr::V6(ip) => {
                let embedded = embedded(ip).is_some_and(|ip| is_local(ip.into()));
                ip.is_loopback() || ip.is_unspecified() || ip.is_unicast_link_local() || embedded
            }
        }
}

/// The IPv4 address that a translator reads from an IPv6 address (RFC 6052: 64:ff9b::/96; RFC 4291 §2.5.5.1: ::/96).
fn embedded(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    match ip.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0, 0, 0, 0, 0, 0, high, low] => {
            Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
        }
        _ => None,
    }
}

/// Metadata services that are not link-local: AWS over IPv6, Google Cloud over IPv6, Alibaba Cloud, Azure's host agent.
const METADATA: [IpAddr; 4] = [
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
];

#[cfg(test)]
mod tests {
    use super::is_local;

    #[test]
    fn addresses_of_the_machine_itself_are_known() {
        let local = "127.0.0.1 127.8.8.8 0.0.0.0 0.1.2.3 255.255.255.255 169.254.169.254 100.100.100.200 168.63.129.16 ::1 :: fe80::1 \
                     ::ffff:127.0.0.1 ::ffff:169.254.169.254 64:ff9b::7f00:1 64:ff9b::169.254.169.254 ::127.0.0.1 fd00:ec2::254 fd20:ce::254";
        for local in local.split_ascii_whitespace() {
            assert!(is_local(local.parse().unwrap()), "{local}");
        }
        let others = "10.0.0.1 192.168.0.1 1.1.1.1 100.100.100.201 fd00::1 fd00:ec2::1 2606:4700::1 ::ffff:10.0.0.1 64:ff9b::10.0.0.1";
        for other in others.split_ascii_whitespace() {
            assert!(!is_local(other.parse().unwrap()), "{other}");
        }
    }
}
