//! What is served, as rows: for the table at the start and for machines.

use crate::dataplane::Binds;
use crate::findings;
use fairlead_crds::Kind;
use fairlead_ir::Config;
use fairlead_store::{Key, World};
use fairlead_translate::status::{Condition, ListenerStatus, StatusSet};
use serde::Serialize;
use std::collections::BTreeSet;
use std::ops::Bound;

/// See the module.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct View {
    pub listeners: Vec<ListenerRow>,
    pub routes: Vec<RouteRow>,
}

/// A listener of a Gateway or ListenerSet.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerRow {
    /// `namespace/name`; a ListenerSet says so.
    pub gateway: String,
    pub listener: String,
    pub protocol: String,
    /// As the Gateway has it.
    pub port: u16,
    /// Where the sockets are.
    pub addresses: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    pub attached_routes: u32,
    pub conditions: Vec<State>,
}

/// A route object.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteRow {
    pub kind: String,
    pub name: String,
    pub hostnames: Vec<String>,
    /// `namespace/name` of Gateways, or `Kind namespace/name`.
    pub parents: Vec<String>,
    pub rules: usize,
    pub conditions: Vec<State>,
}

/// A condition, short.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    #[serde(rename = "type")]
    pub kind: String,
    pub status: bool,
    /// Whether that is as it should be.
    pub good: bool,
    pub reason: String,
}

impl View {
    /// Of everything that has a status.
    pub fn of(world: &World, config: &Config, status: &StatusSet, binds: &Binds) -> View {
        let mut listeners = Vec::new();
        for (key, gateway) in &status.gateways {
            let rows = gateway.listeners.iter().map(|one| row(world, config, binds, Kind::Gateway, key, one));
            listeners.extend(rows);
            if gateway.listeners.is_empty() {
                let conditions = states(&gateway.conditions);
                listeners.push(ListenerRow { conditions, ..ListenerRow::empty(key.to_string()) });
            }
        }
        for (key, set) in &status.listener_sets {
            listeners.extend(set.listeners.iter().map(|one| row(world, config, binds, Kind::ListenerSet, key, one)));
            if set.listeners.is_empty() {
                listeners.push(ListenerRow {
                    conditions: states(&set.conditions),
                    ..ListenerRow::empty(format!("ListenerSet {key}"))
                });
            }
        }
        let routes = status.routes.iter().map(|((kind, key), route)| {
            let value = value(world, *kind, key);
            let parents: BTreeSet<String> =
                route.parents.iter().map(|parent| parent_name(&parent.parent_ref, key)).collect();
            let conditions: BTreeSet<State> =
                route.parents.iter().flat_map(|parent| states(&parent.conditions)).collect();
            RouteRow {
                kind: kind.to_string(),
                name: key.to_string(),
                hostnames: texts(&value["spec"]["hostnames"]),
                parents: parents.into_iter().collect(),
                rules: value["spec"]["rules"].as_array().map_or(1, Vec::len),
                conditions: conditions.into_iter().collect(),
            }
        });
        View { listeners, routes: routes.collect() }
    }
}

impl ListenerRow {
    fn empty(gateway: String) -> ListenerRow {
        let (listener, protocol, addresses, conditions) = Default::default();
        ListenerRow { gateway, listener, protocol, port: 0, addresses, hostname: None, attached_routes: 0, conditions }
    }
}

fn row(world: &World, config: &Config, binds: &Binds, kind: Kind, key: &Key, status: &ListenerStatus) -> ListenerRow {
    let value = value(world, kind, key);
    let listeners = value["spec"]["listeners"].as_array();
    let spec =
        listeners.and_then(|all| all.iter().find(|one| one["name"] == *status.name)).cloned().unwrap_or_default();
    let id = format!("{}/{key}/{}", kind.as_str().to_ascii_lowercase(), status.name);
    let of_listener = config
        .listeners
        .range::<str, _>((Bound::Included(id.as_str()), Bound::Unbounded))
        .take_while(|(other, _)| other.starts_with(&id));
    let of_listener = of_listener.filter(|(other, _)| other.len() == id.len() || other[id.len()..].starts_with('@'));
    let addresses = of_listener.map(|(_, listener)| match binds.get(&listener.bind) {
        Some(Ok(address)) => address.to_string(),
        Some(Err(_)) => "not bound".to_owned(),
        None => "-".to_owned(),
    });
    let prefix = if kind == Kind::ListenerSet { "ListenerSet " } else { "" };
    ListenerRow {
        listener: status.name.to_string(),
        protocol: spec["protocol"].as_str().unwrap_or_default().to_owned(),
        port: spec["port"].as_u64().and_then(|port| u16::try_from(port).ok()).unwrap_or_default(),
        addresses: addresses.collect(),
        hostname: spec["hostname"].as_str().map(str::to_owned),
        attached_routes: status.attached_routes,
        conditions: states(&status.conditions),
        ..ListenerRow::empty(format!("{prefix}{key}"))
    }
}

/// Conditions, without those that say that nothing is the matter.
pub fn states(conditions: &[Condition]) -> Vec<State> {
    let state = |condition: &Condition| State {
        kind: findings::name(condition.kind),
        status: condition.is_true(),
        good: findings::severity(condition).is_none(),
        reason: condition.reason.to_string(),
    };
    conditions.iter().map(state).filter(|state| state.status || !state.good).collect()
}

fn parent_name(parent: &fairlead_crds::gateway::ParentReference, route: &Key) -> String {
    let value = serde_json::to_value(parent).unwrap_or_default();
    let namespace = value["namespace"].as_str().unwrap_or(&route.namespace);
    let name = format!("{namespace}/{}", parent.name);
    match value["kind"].as_str() {
        None | Some("Gateway") => name,
        Some(kind) => format!("{kind} {name}"),
    }
}

fn value(world: &World, kind: Kind, key: &Key) -> serde_json::Value {
    let entry = world.entry(kind, &key.namespace, &key.name);
    entry.and_then(|entry| entry.object.to_value().ok()).unwrap_or_default()
}

fn texts(list: &serde_json::Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
}
