//! Routes and their parents: which listeners take a route.
//!
//! Each `parentRef` is judged by itself, in this order: some listener has the section and port (`NoMatchingParent`), and takes
//! the route's kind and namespace (`NotAllowedByListeners`), and shares a host name with it
//! (`NoMatchingListenerHostname`). A parentRef to a Gateway means the Gateway's own listeners, not those of its ListenerSets. Whether
//! a listener is itself in order does not matter: the route is attached, and counted, but not served there.

use crate::frame::{Frame, Parent, ParentId};
use crate::host::{self, Host};
use crate::reader::Reader;
use crate::route::{RouteKind, list};
use crate::status::{Fault, Reason};
use fairlead_crds::Kind;
use fairlead_crds::gateway::{GROUP, ParentReference};
use fairlead_store::Key;

/// A route's attachment to one of our parents, or why there is none.
pub(crate) struct Attachment<'a> {
    pub reference: &'a ParentReference,
    pub id: ParentId,
    pub parent: &'a Parent,
    pub fault: Option<Fault>,
    /// Indices of the listeners.
    pub doors: Vec<usize>,
}

/// Attachments to all parents that are ours. Parents of others are left alone; those that don't exist get a note.
pub(crate) fn all<'a, R: RouteKind>(
    key: &Key,
    route: &'a R,
    hosts: &[Host],
    frame: &'a Frame,
    reader: &mut Reader<'_>,
) -> Vec<Attachment<'a>> {
    let mut found = Vec::new();
    for (i, reference) in route.parents().iter().enumerate() {
        let path = format!("spec.parentRefs[{i}]");
        let (group, kind) =
            (reference.group.as_deref().unwrap_or(GROUP), reference.kind.as_deref().unwrap_or("Gateway"));
        let name = Key::new(reference.namespace.as_deref().unwrap_or(&key.namespace), reference.name.as_str());
        let Some(kind @ (Kind::Gateway | Kind::ListenerSet)) = Kind::of_group(group, kind) else {
            reader.note(
                R::KIND,
                key,
                path,
                format!("kind {kind} of group {group:?} is no parent that is served; Gateway and ListenerSet are"),
            );
            continue;
        };
        let id = (kind, name);
        let Some((known, parent)) = frame.parents.get_key_value(&id) else {
            reader.reads.insert(id.clone());
            if reader.world.entry(id.0, &id.1.namespace, &id.1.name).is_none() {
                reader.note(
                    R::KIND,
                    key,
                    path,
                    format!("there is no {} {}; the route is not attached to it", id.0, id.1),
                );
            }
            continue;
        };
        // The frame's id rather than one of the same name: they are kept, and shared this way.
        let id = known.clone();
        reader.reads.insert(id.clone());
        let (doors, fault) = match doors::<R>(key, hosts, reference, &id, parent, &path, reader) {
            Ok(doors) => (doors, None),
            Err(fault) => (Vec::new(), Some(fault)),
        };
        found.push(Attachment { reference, id, parent, fault, doors });
    }
    found
}

fn doors<R: RouteKind>(
    key: &Key,
    hosts: &[Host],
    reference: &ParentReference,
    id: &ParentId,
    parent: &Parent,
    path: &str,
    reader: &mut Reader<'_>,
) -> Result<Vec<usize>, Fault> {
    let (kind, name) = id;
    if let Some(refused) = &parent.refused {
        return Err(Fault::new(
            Reason::NoMatchingParent,
            path,
            format!("{kind} {name} is not attached to its Gateway: {refused}"),
        ));
    }
    let section = reference.section_name.as_deref().filter(|section| !section.is_empty());
    let chosen = |i: &usize| {
        let door = &parent.listeners[*i];
        section.is_none_or(|section| *door.name == *section) && reference.port.is_none_or(|port| port == door.port)
    };
    let named: Vec<usize> = (0..parent.listeners.len()).filter(chosen).collect();
    if named.is_empty() {
        let wanted = match (section, reference.port) {
            (Some(section), Some(port)) => format!("named {section} on port {port}"),
            (Some(section), None) => format!("named {section}"),
            (None, Some(port)) => format!("on port {port}"),
            (None, None) => "at all".to_owned(),
        };
        let has = parent
            .listeners
            .iter()
            .map(|door| format!("{} on {}", door.name, door.port))
            .collect::<Vec<_>>()
            .join(", ");
        return Err(Fault::new(
            Reason::NoMatchingParent,
            path,
            format!("{kind} {name} has no listener {wanted}; it has: {has}"),
        ));
    }
    let allowed: Vec<usize> = named
        .into_iter()
        .filter(|i| {
            let door = &parent.listeners[*i];
            door.kinds.contains(&R::KIND) && door.namespaces.take(&key.namespace, reader)
        })
        .collect();
    if allowed.is_empty() {
        let message = format!(
            "no listener of {kind} {name} takes {}s of namespace {}; see allowedRoutes there",
            R::KIND,
            key.namespace
        );
        return Err(Fault::new(Reason::NotAllowedByListeners, path, message));
    }
    let shared = |i: &usize| match &parent.listeners[*i].hostname {
        Some(own) if !hosts.is_empty() => hosts.iter().any(|host| host.intersects(own)),
        _ => true,
    };
    let matching: Vec<usize> = allowed.iter().copied().filter(shared).collect();
    if matching.is_empty() {
        let theirs = allowed
            .iter()
            .map(|i| host::display(parent.listeners[*i].hostname.as_ref()))
            .collect::<Vec<_>>()
            .join(", ");
        let message = format!(
            "{} and the host names of {kind} {name}'s listeners ({theirs}) have nothing in common",
            list(hosts)
        );
        return Err(Fault::new(Reason::NoMatchingListenerHostname, "spec.hostnames", message));
    }
    Ok(matching)
}
