//! Listeners that claim the same requests.
//!
//! On one address and port, listeners are told apart by host name when they speak the same family of protocols: HTTP; HTTPS
//! and TLS (by SNI). A second family on the port, and a second TCP listener, is a `ProtocolConflict`; a second listener of
//! the same host name a `HostnameConflict`.
//!
//! * Within one Gateway or ListenerSet no one wins: all that conflict are out.
//! * A Gateway comes before its ListenerSets, and among these the older one, then the first by namespace and name. The
//!   later one is out.
//! * Gateways that share the machine's addresses: the older one, then the first by namespace and name, with its
//!   ListenerSets.
//!
//! Listeners of a protocol that is not served are no rivals, but they do lose against those that are. A Gateway that is not
//! accepted takes nothing from others.

use crate::host::{self, Host};
use crate::listener::{Draft, name};
use crate::status::{Fault, Reason};
use fairlead_ir::ListenerProtocol;
use fairlead_store::Key;
use foldhash::HashMap;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What can share a port by host name.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Family {
    Plain,
    Tls,
    Tcp,
    Udp,
}

fn family(protocol: ListenerProtocol) -> Family {
    match protocol {
        ListenerProtocol::Http => Family::Plain,
        ListenerProtocol::Https | ListenerProtocol::Tls => Family::Tls,
        ListenerProtocol::Tcp => Family::Tcp,
        ListenerProtocol::Udp => Family::Udp,
    }
}

/// UDP has ports of its own.
type Socket = (bool, Option<IpAddr>, i32);

/// Who has which port and host, of those that came before.
#[derive(Default)]
pub(crate) struct Sockets(HashMap<Socket, (ListenerProtocol, HashMap<Option<Host>, ListenerProtocol>)>);

/// Finds the conflicts of the listeners of one Gateway or ListenerSet with each other and with those before; what is left
/// takes its place.
pub(crate) fn settle(listeners: &mut [Draft], binds: &[Option<IpAddr>], sockets: &mut Sockets) {
    for draft in listeners.iter_mut().filter(|draft| draft.takes_part() || !draft.supported) {
        let Some(protocol) = draft.protocol else { continue };
        draft.conflict = binds.iter().find_map(|address| sockets.conflict(*address, draft, protocol));
    }
    within(listeners);
    for draft in listeners.iter().filter(|draft| draft.takes_part() && draft.conflict.is_none()) {
        let Some(protocol) = draft.protocol else { continue };
        for address in binds {
            let socket = (protocol == ListenerProtocol::Udp, *address, draft.port);
            let (_, hosts) = sockets.0.entry(socket).or_insert_with(|| (protocol, HashMap::default()));
            hosts.insert(draft.hostname.clone(), protocol);
        }
    }
}

impl Sockets {
    fn conflict(&self, address: Option<IpAddr>, draft: &Draft, protocol: ListenerProtocol) -> Option<Fault> {
        let (first, hosts) = self.0.get(&(protocol == ListenerProtocol::Udp, address, draft.port))?;
        if family(*first) != family(protocol) || matches!(family(protocol), Family::Tcp | Family::Udp) {
            return Some(protocols(draft.port, *first));
        }
        hosts.get(&draft.hostname).map(|theirs| if *theirs == protocol { hostname(draft) } else { protocols(draft.port, *theirs) })
    }
}

/// Conflicts among siblings.
fn within(listeners: &mut [Draft]) {
    let mut ports: HashMap<(bool, i32), Vec<usize>> = HashMap::default();
    for (i, draft) in listeners.iter().enumerate().filter(|(_, draft)| draft.takes_part() && draft.conflict.is_none()) {
        ports.entry((draft.protocol == Some(ListenerProtocol::Udp), draft.port)).or_default().push(i);
    }
    for rivals in ports.into_values().filter(|rivals| rivals.len() > 1) {
        let protocol_of = |i: usize| listeners[i].protocol.unwrap_or(ListenerProtocol::Http);
        let families: Vec<_> = rivals.iter().map(|i| family(protocol_of(*i))).collect();
        let mixed = families.iter().any(|f| *f != families[0]) || matches!(families[0], Family::Tcp | Family::Udp);
        let mut faults = Vec::new();
        for i in &rivals {
            let (mine, port) = (protocol_of(*i), listeners[*i].port);
            let mut others = rivals.iter().filter(|j| *j != i);
            if mixed {
                let other = others.clone().find(|j| protocol_of(**j) != mine).or_else(|| others.next());
                faults.extend(other.map(|j| (*i, protocols(port, protocol_of(*j)))));
            } else if let Some(other) = others.find(|j| listeners[**j].hostname == listeners[*i].hostname) {
                let theirs = protocol_of(*other);
                faults.push((*i, if theirs == mine { hostname(&listeners[*i]) } else { protocols(port, theirs) }));
            }
        }
        for (i, fault) in faults {
            listeners[i].conflict = Some(fault);
        }
    }
}

fn protocols(port: i32, other: ListenerProtocol) -> Fault {
    let message = format!("port {port} is taken by a listener of protocol {}; choose another port", name(other));
    Fault::new(Reason::ProtocolConflict, "", message)
}

fn hostname(draft: &Draft) -> Fault {
    let host = host::display(draft.hostname.as_ref());
    let message = format!("port {} is taken for {host} by another listener; choose another host name or port", draft.port);
    Fault::new(Reason::HostnameConflict, "", message)
}

/// Marks HTTPS listeners on one port whose host names, or whose certificates' names, cover one another (GEP-3567): a
/// client may reuse a connection of one for the other.
///
/// `all` gives each listener with the scope (Gateway, or `None` when all share addresses) and addresses it stands in.
pub(crate) fn mark_overlaps<'d>(all: impl Iterator<Item = (Option<Key>, Vec<Option<IpAddr>>, &'d mut Draft)>) {
    let mut ports: BTreeMap<(Option<Key>, Option<IpAddr>, i32), Vec<usize>> = BTreeMap::new();
    let mut drafts = Vec::new();
    for (scope, binds, draft) in all {
        if draft.fit() && draft.protocol == Some(ListenerProtocol::Https) {
            for address in binds {
                ports.entry((scope.clone(), address, draft.port)).or_default().push(drafts.len());
            }
            drafts.push(draft);
        }
    }
    for rivals in ports.into_values().filter(|rivals| rivals.len() > 1) {
        let hosts = rivals.iter().map(|i| (*i, std::slice::from_ref(&drafts[*i].hostname).to_vec()));
        let by_host = covered(hosts.collect());
        let names = rivals.iter().map(|i| (*i, drafts[*i].certificate_names.iter().cloned().map(Some).collect()));
        let by_certificate = covered(names.collect());
        let found = by_host.into_iter().map(|hit| (Reason::OverlappingHostnames, hit));
        for (reason, (i, other)) in found.chain(by_certificate.into_iter().map(|hit| (Reason::OverlappingCertificates, hit))) {
            let what = if reason == Reason::OverlappingHostnames { "has a host name" } else { "has a certificate" };
            let message = format!(
                "listener {} on port {} {what} that overlaps; clients that reuse connections get 421 for requests that belong to it",
                drafts[other].name, drafts[i].port
            );
            drafts[i].overlap = Some((reason, message));
        }
    }
}

/// Pairs of which one has a name that takes all names of the other's, both ways round.
fn covered(entries: Vec<(usize, Vec<Option<Host>>)>) -> Vec<(usize, usize)> {
    let mut owners: HashMap<Option<&Host>, Vec<usize>> = HashMap::default();
    for (i, names) in &entries {
        for name in names {
            owners.entry(name.as_ref()).or_default().push(*i);
        }
    }
    let mut pairs = Vec::new();
    for (i, names) in &entries {
        for name in names {
            let above: Vec<Host> = name.iter().flat_map(Host::covers).collect();
            let rivals = std::iter::once(name.as_ref()).chain(above.iter().map(Some)).chain(name.is_some().then_some(None));
            for other in rivals.filter_map(|rival| owners.get(&rival)?.iter().find(|other| *other != i)) {
                pairs.push((*i, *other));
                pairs.push((*other, *i));
            }
        }
    }
    pairs
}
