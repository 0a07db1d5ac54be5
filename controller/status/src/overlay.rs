//! What the proxies say, laid over what the Plan says.
//!
//! Only towards the worse, and never on `Accepted`, which says what an object is:
//!
//! * Gateway, ListenerSet, listener: not `Programmed` while the proxies are not there or behind (`Pending`, `ParentNotProgrammed`), for sockets that
//!   could not be opened (`PortUnavailable`) and listeners that a proxy refused (`Invalid`).
//! * Gateway: what keeps its proxies from being made is the reason, where they are not there (`NoResources`, `Invalid`); where they serve, it is told in
//!   the message.
//! * XBackend: references don't resolve while the Service that finds its pods can't be made.
//! * Route: `PartiallyInvalid` for rules that a proxy refused; it serves their last good version on, which is the case
//!   *Fall Back* of the specification.

use crate::writer::Obstacle;
use fairlead_ir::{Id, ResourceId, Transport};
use fairlead_publish::GatewayProgress;
use fairlead_store::Key;
use fairlead_translate::status::{
    Condition, ConditionStatus, ConditionType, GatewayStatus, ListenerSetStatus, ListenerStatus, PolicyStatus, Reason,
    RouteStatus,
};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

/// What the status of a Gateway, and of what belongs to it, has to tell of its proxies.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Facts {
    /// Why it is not programmed.
    pub pending: Option<Box<str>>,
    /// What keeps its proxies from being as they should be.
    pub obstacles: Vec<Obstacle>,
    /// Ports that can't be listened on, and why.
    pub unbound: BTreeMap<Port, Box<str>>,
    /// What some proxy can't serve, and why.
    pub rejected: BTreeMap<ResourceId, Box<str>>,
}

/// A port of TCP or of UDP: they have nothing to do with each other.
pub(crate) type Port = (u16, Transport);

/// Ports of listeners, by name.
pub(crate) type Ports<'a> = BTreeMap<&'a str, Port>;

impl Facts {
    /// From what the connected proxies said last.
    pub fn of(pending: Option<Box<str>>, progress: Option<&GatewayProgress>, obstacles: &[Obstacle]) -> Self {
        let mut facts = Facts { pending, obstacles: obstacles.to_vec(), ..Facts::default() };
        let Some(progress) = progress else { return facts };
        let mut unbound: BTreeMap<Port, Vec<(&Id, &str)>> = BTreeMap::new();
        let mut rejected: BTreeMap<&ResourceId, Vec<(&Id, &str)>> = BTreeMap::new();
        for (pod, proxy) in &progress.proxies {
            for (socket, reason) in &proxy.unbound {
                unbound.entry(port_of(socket)).or_default().push((pod, reason));
            }
            for (id, reason) in &proxy.rejected {
                rejected.entry(id).or_default().push((pod, reason));
            }
        }
        let all = progress.proxies.len();
        facts.unbound = unbound.into_iter().map(|(port, who)| (port, tell(&who, all, "open its socket"))).collect();
        facts.rejected = rejected.into_iter().map(|(id, who)| (id.clone(), tell(&who, all, "serve it"))).collect();
        facts
    }

    /// Why the Gateway is not programmed.
    fn unprogrammed(&self) -> Option<(Reason, Box<str>)> {
        let blocking = self.obstacles.iter().find(|obstacle| obstacle.blocks);
        match (&self.pending, self.obstacles.first()) {
            (Some(pending), Some(first)) => {
                Some((first.programmed, format!("{pending}: {}", self.obstructed()).into()))
            }
            (Some(pending), None) => Some((Reason::Pending, pending.clone())),
            (None, _) => blocking.map(|obstacle| (obstacle.programmed, self.obstructed().into())),
        }
    }

    /// All obstacles in one line.
    fn obstructed(&self) -> String {
        let mut text = self.obstacles.iter().take(SHOWN).map(|o| &*o.message).collect::<Vec<_>>().join("; ");
        if self.obstacles.len() > SHOWN {
            let _ = write!(text, "; and {} more", self.obstacles.len() - SHOWN);
        }
        text
    }

    /// The rules of a route that are rejected: their number and why.
    fn rules<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.rejected.iter().filter_map(move |(id, reason)| {
            let ResourceId::Route(id) = id else { return None };
            let rule = id.strip_prefix(prefix)?;
            Some((rule.split('~').next().unwrap_or(rule), &**reason))
        })
    }
}

/// The status of a Gateway.
pub(crate) fn gateway(planned: &Arc<GatewayStatus>, key: &Key, facts: &Facts, ports: &Ports<'_>) -> Arc<GatewayStatus> {
    if *facts == Facts::default() {
        return planned.clone();
    }
    let mut status = GatewayStatus::clone(planned);
    let before = serving(&status.listeners);
    for listener in &mut status.listeners {
        let id = format!("gateway/{key}/{}", listener.name);
        overlay_listener(listener, &id, facts, ports);
    }
    let fault = facts.unprogrammed().or_else(|| {
        (before > 0 && serving(&status.listeners) == 0)
            .then(|| (Reason::AddressNotUsable, "no listener is served by all proxies; the listeners say why".into()))
    });
    unprogram(&mut status.conditions, fault);
    if !facts.obstacles.is_empty() {
        for condition in status.conditions.iter_mut().filter(|c| c.kind == ConditionType::Programmed && c.is_true()) {
            condition.message =
                format!("{}, but not as it should be: {}", condition.message, facts.obstructed()).into();
        }
    }
    Arc::new(status)
}

/// The status of a ListenerSet.
pub(crate) fn listener_set(
    planned: &Arc<ListenerSetStatus>,
    key: &Key,
    gateway: &str,
    facts: &Facts,
    ports: &Ports<'_>,
) -> Arc<ListenerSetStatus> {
    if *facts == Facts::default() {
        return planned.clone();
    }
    let mut status = ListenerSetStatus::clone(planned);
    let before = serving(&status.listeners);
    for listener in &mut status.listeners {
        let id = format!("listenerset/{key}/{}", listener.name);
        overlay_listener(listener, &id, facts, ports);
    }
    let fault = match &facts.pending {
        Some(pending) => {
            Some((Reason::ParentNotProgrammed, format!("Gateway {gateway} is not programmed: {pending}").into()))
        }
        None => (before > 0 && serving(&status.listeners) == 0)
            .then(|| (Reason::PortUnavailable, "no listener is served by all proxies; the listeners say why".into())),
    };
    unprogram(&mut status.conditions, fault);
    Arc::new(status)
}

/// The status of a route; `prefix` is what the ids of its rules begin with, `facts` are by parent, in the order of the status.
pub(crate) fn route(
    planned: &Arc<RouteStatus>,
    prefix: impl Fn() -> String,
    facts: &[Option<&Facts>],
) -> Arc<RouteStatus> {
    if facts.iter().flatten().all(|facts| facts.rejected.is_empty()) {
        return planned.clone();
    }
    let prefix = prefix();
    let prefix = prefix.as_str();
    if facts.iter().flatten().all(|facts| facts.rules(prefix).next().is_none()) {
        return planned.clone();
    }
    let mut status = RouteStatus::clone(planned);
    for (parent, facts) in status.parents.iter_mut().zip(facts) {
        let Some(accepted) = parent.conditions.iter().find(|c| c.kind == ConditionType::Accepted && c.is_true()) else {
            continue;
        };
        let mut text = String::new();
        for (rule, reason) in facts.iter().flat_map(|facts| facts.rules(prefix)).take(SHOWN) {
            let separator = if text.is_empty() { "" } else { "; " };
            let _ = write!(text, "{separator}spec.rules[{rule}]: {reason}");
        }
        if text.is_empty() {
            continue;
        }
        let generation = accepted.observed_generation;
        match parent.conditions.iter_mut().find(|c| c.kind == ConditionType::PartiallyInvalid && c.is_true()) {
            Some(partial) => partial.message = format!("{}; and rules fall back: {text}", partial.message).into(),
            None => parent.conditions.push(Condition {
                kind: ConditionType::PartiallyInvalid,
                status: ConditionStatus::True,
                reason: Reason::UnsupportedValue,
                message: format!("Fall Back, the last good version is served on: {text}").into(),
                observed_generation: generation,
            }),
        }
    }
    Arc::new(status)
}

/// How many things a message names.
const SHOWN: usize = 3;

fn overlay_listener(listener: &mut ListenerStatus, id: &str, facts: &Facts, ports: &Ports<'_>) {
    let fault = match &facts.pending {
        Some(pending) => Some((Reason::Pending, pending.clone())),
        None => {
            let unbound = ports.get(&*listener.name).and_then(|port| facts.unbound.get(port));
            let refused = || {
                facts.rejected.iter().find(|(other, _)| matches!(other, ResourceId::Listener(other) if **other == *id))
            };
            unbound
                .map(|why| (Reason::PortUnavailable, why.clone()))
                .or_else(|| refused().map(|(_, why)| (Reason::Invalid, why.clone())))
        }
    };
    unprogram(&mut listener.conditions, fault);
}

/// `<port>` or `<address>:<port>`, and `/udp` for a UDP port. What can't be read is no listener's.
fn port_of(socket: &str) -> Port {
    let (socket, transport) = match socket.strip_suffix("/udp") {
        Some(socket) => (socket, Transport::Udp),
        None => (socket, Transport::Tcp),
    };
    let port = socket.rsplit(':').next().and_then(|port| port.parse().ok());
    (port.unwrap_or(0), transport)
}

/// Makes `Programmed` false, when it is true and there is a fault.
/// The status of an XBackend that selects pods.
pub(crate) fn xbackend(planned: &Arc<PolicyStatus>, obstacles: &[Obstacle]) -> Arc<PolicyStatus> {
    let Some(blocking) = obstacles.iter().find(|obstacle| obstacle.blocks) else { return planned.clone() };
    let message: Box<str> = format!("its pods can't be found: {}", blocking.message).into();
    let mut status = PolicyStatus::clone(planned);
    for ancestor in &mut status.ancestors {
        falsify(&mut ancestor.conditions, ConditionType::ResolvedRefs, Some((blocking.programmed, message.clone())));
    }
    Arc::new(status)
}

fn unprogram(conditions: &mut [Condition], fault: Option<(Reason, Box<str>)>) {
    falsify(conditions, ConditionType::Programmed, fault);
}

fn falsify(conditions: &mut [Condition], kind: ConditionType, fault: Option<(Reason, Box<str>)>) {
    let Some((reason, message)) = fault else { return };
    for condition in conditions.iter_mut().filter(|c| c.kind == kind && c.is_true()) {
        condition.status = ConditionStatus::False;
        condition.reason = reason;
        condition.message = message.clone();
    }
}

fn serving(listeners: &[ListenerStatus]) -> usize {
    let programmed = |listener: &&ListenerStatus| {
        listener.conditions.iter().any(|c| c.kind == ConditionType::Programmed && c.is_true())
    };
    listeners.iter().filter(programmed).count()
}

/// `1 of 2 proxies can't …: <pod>: <reason>`.
fn tell(who: &[(&Id, &str)], all: usize, what: &str) -> Box<str> {
    let mut text = format!("{} of {all} proxies can't {what}: ", who.len());
    for (i, (pod, reason)) in who.iter().take(SHOWN).enumerate() {
        let _ = write!(text, "{}{pod}: {reason}", if i == 0 { "" } else { "; " });
    }
    if who.len() > SHOWN {
        let _ = write!(text, "; and {} more", who.len() - SHOWN);
    }
    text.into()
}

#[cfg(test)]
mod tests;
