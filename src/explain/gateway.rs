//! Which Gateway a request comes in on, in a cluster: there, each has addresses of its own.

use super::answer::{Answer, Entrance};
use super::request::Asked;
use crate::live::Seen;
use anyhow::bail;
use fairlead_ir::{Id, Listener};
use fairlead_route::ListenerIndex;
use fairlead_translate::Plan;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// The Gateway that is asked.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// `namespace/name`; `None`: no Gateway listens there at all.
    pub gateway: Option<Id>,
    /// That there were others.
    pub note: Option<String>,
}

/// The one that is named or has the address; else the only one that listens on the port, the only one of these that takes the host, or
/// the only one of these with a route for the request.
///
/// # Errors
///
/// When that leaves several, or what is named is not there.
pub fn choose(
    asked: &Asked,
    named: Option<&str>,
    address: Option<IpAddr>,
    seen: &Seen,
    plan: &Plan,
) -> anyhow::Result<Choice> {
    if let Some(name) = named {
        require(name, plan)?;
        return Ok(Choice { gateway: Some(name.into()), note: None });
    }
    let mut listening: BTreeMap<&Id, Vec<&Listener>> = BTreeMap::new();
    for listener in plan.config.listeners.values() {
        if asked.speaks(listener.protocol) && listener.bind.port == asked.port {
            listening.entry(&listener.gateway).or_default().push(listener);
        }
    }
    let has = |gateway: &Id, address: IpAddr| seen.addresses.get(&**gateway).is_some_and(|all| all.contains(&address));
    match address {
        Some(address) => {
            listening.retain(|gateway, _| has(gateway, address));
            if listening.is_empty() {
                bail!("no Gateway with the address {address} serves {} on port {}", asked.what(), asked.port);
            }
        }
        // `http://192.0.2.1/` says it too.
        None => {
            if let Ok(address) = asked.server_name.parse::<IpAddr>()
                && listening.keys().any(|gateway| has(gateway, address))
            {
                listening.retain(|gateway, _| has(gateway, address));
            }
        }
    }
    narrow(asked, listening, seen, plan)
}

/// That there is such a Gateway.
///
/// # Errors
///
/// When there is none, with those that there are.
pub fn require(name: &str, plan: &Plan) -> anyhow::Result<()> {
    let all: BTreeSet<String> = plan.status.gateways.keys().map(ToString::to_string).collect();
    if all.contains(name) {
        return Ok(());
    }
    match all.is_empty() {
        true => bail!("--gateway {name}: no Gateway is served here"),
        false => bail!("--gateway {name}: no such Gateway is served here; there is {}", list(all.iter())),
    }
}

fn narrow(asked: &Asked, listening: BTreeMap<&Id, Vec<&Listener>>, seen: &Seen, plan: &Plan) -> anyhow::Result<Choice> {
    let all: BTreeSet<&Id> = listening.keys().copied().collect();
    let only = |of: &BTreeSet<&Id>| if of.len() == 1 { of.first().map(|id| Id::clone(id)) } else { None };
    if all.len() < 2 {
        return Ok(Choice { gateway: only(&all), note: None });
    }
    let takes_host = |listeners: &Vec<&Listener>| {
        let index = ListenerIndex::new(listeners.iter().map(|listener| (listener.hostname.as_deref(), ())));
        index.find(asked.listener_name().as_bytes()).is_some()
    };
    let hosting: BTreeSet<&Id> =
        listening.iter().filter(|(_, listeners)| takes_host(listeners)).map(|(gateway, _)| *gateway).collect();
    let takes = |gateway: &&&Id| {
        let entrance = Entrance { address: None, gateway: Some(&***gateway) };
        Answer::of(asked, entrance, &seen.world, plan).route.is_some()
    };
    let chosen = only(&hosting).or_else(|| only(&hosting.iter().filter(takes).copied().collect()));
    let Some(chosen) = chosen else {
        let which = if hosting.is_empty() { &all } else { &hosting };
        bail!(
            "{} listen on port {}: say with --gateway, or --address, which of them the request comes in on",
            list(which.iter()),
            asked.port
        );
    };
    let others = list(all.iter().filter(|gateway| ***gateway != chosen));
    let note = format!("port {} is served by {others} too; --gateway asks another than {chosen}", asked.port);
    Ok(Choice { gateway: Some(chosen), note: Some(note) })
}

fn list(names: impl Iterator<Item: ToString>) -> String {
    names.map(|name| name.to_string()).collect::<Vec<_>>().join(", ")
}
