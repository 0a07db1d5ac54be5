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
use std::sync::Arc;

/// What can share a port by host name.
#[derive(Clone, Copy, PartialEq, Eq)]
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
pub(crate) struct Sockets(HashMap<Socket, Taken>);

/// A port.
struct Taken {
    first: Claim,
    hosts: HashMap<Option<Host>, Claim>,
}

/// A listener, as much of it as its rivals are told.
#[derive(Clone)]
struct Claim {
    protocol: ListenerProtocol,
    owner: Arc<str>,
}

/// Finds the conflicts of the listeners of one Gateway or ListenerSet with each other and with those before; what is left
/// takes its place. `owner` is what others are told of it.
pub(crate) fn settle(listeners: &mut [Draft], binds: &[Option<IpAddr>], owner: &Arc<str>, sockets: &mut Sockets) {
    for draft in listeners.iter_mut().filter(|draft| draft.takes_part() || !draft.supported) {
        let Some(protocol) = draft.protocol else { continue };
        draft.conflict = binds.iter().find_map(|address| sockets.conflict(*address, draft, protocol));
    }
    within(listeners);
    for draft in listeners.iter().filter(|draft| draft.takes_part() && draft.conflict.is_none()) {
        let Some(protocol) = draft.protocol else { continue };
        let claim = Claim { protocol, owner: owner.clone() };
        for address in binds {
            let socket = (protocol == ListenerProtocol::Udp, *address, draft.port);
            let taken =
                sockets.0.entry(socket).or_insert_with(|| Taken { first: claim.clone(), hosts: HashMap::default() });
            taken.hosts.insert(draft.hostname.clone(), claim.clone());
        }
    }
}

impl Sockets {
    fn conflict(&self, address: Option<IpAddr>, draft: &Draft, protocol: ListenerProtocol) -> Option<Fault> {
        let taken = self.0.get(&(protocol == ListenerProtocol::Udp, address, draft.port))?;
        if excludes(taken.first.protocol, protocol) {
            return Some(fault(draft, taken.first.protocol, &taken.first.owner));
        }
        taken.hosts.get(&draft.hostname).map(|claim| fault(draft, claim.protocol, &claim.owner))
    }
}

/// Whether two protocols can't share a port, whatever the host names.
fn excludes(a: ListenerProtocol, b: ListenerProtocol) -> bool {
    family(a) != family(b) || matches!(family(a), Family::Tcp | Family::Udp)
}

/// Conflicts among siblings.
fn within(listeners: &mut [Draft]) {
    let mut ports: HashMap<(bool, i32), Vec<usize>> = HashMap::default();
    for (i, draft) in listeners.iter().enumerate().filter(|(_, draft)| draft.takes_part() && draft.conflict.is_none()) {
        ports.entry((draft.protocol == Some(ListenerProtocol::Udp), draft.port)).or_default().push(i);
    }
    for rivals in ports.into_values().filter(|rivals| rivals.len() > 1) {
        let protocol = |i: usize| listeners[i].protocol.unwrap_or(ListenerProtocol::Http);
        let mixed = rivals.iter().find(|i| excludes(protocol(rivals[0]), protocol(**i)));
        let mut faults = Vec::new();
        for i in &rivals {
            let mut others = rivals.iter().filter(|j| *j != i);
            let rival = match mixed {
                Some(_) => others.clone().find(|j| excludes(protocol(*i), protocol(**j))).or_else(|| others.next()),
                None => others.find(|j| listeners[**j].hostname == listeners[*i].hostname),
            };
            if let Some(rival) = rival {
                let fault = fault(&listeners[*i], protocol(*rival), &format!("listener {}", listeners[*rival].name));
                faults.push((
                    *i,
                    if mixed.is_some() { Fault { reason: Reason::ProtocolConflict, ..fault } } else { fault },
                ));
            }
        }
        for (i, fault) in faults {
            listeners[i].conflict = Some(fault);
        }
    }
}

fn fault(draft: &Draft, theirs: ListenerProtocol, owner: &str) -> Fault {
    let (port, host) = (draft.port, host::display(draft.hostname.as_ref()));
    let mine = draft.protocol.unwrap_or(theirs);
    if excludes(mine, theirs) {
        let message = format!("port {port} is taken by {owner}, which speaks {}; choose another port", name(theirs));
        return Fault::new(Reason::ProtocolConflict, "", message);
    }
    let reason = if mine == theirs { Reason::HostnameConflict } else { Reason::ProtocolConflict };
    let speaks = if mine == theirs { String::new() } else { format!(", which speaks {}", name(theirs)) };
    let message = format!("port {port} is taken for {host} by {owner}{speaks}; choose another host name or port");
    Fault::new(reason, "", message)
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
        for (reason, (i, other)) in
            found.chain(by_certificate.into_iter().map(|hit| (Reason::OverlappingCertificates, hit)))
        {
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
            let rivals =
                std::iter::once(name.as_ref()).chain(above.iter().map(Some)).chain(name.is_some().then_some(None));
            for other in rivals.filter_map(|rival| owners.get(&rival)?.iter().find(|other| *other != i)) {
                pairs.push((*i, *other));
                pairs.push((*other, *i));
            }
        }
    }
    pairs
}
