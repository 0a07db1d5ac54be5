//! What a Plan and the proxy say against objects, as problems with a place in a file.

use fairlead_crds::{Kind, validate};
use fairlead_ir::ResourceId;
use fairlead_store::{Code, Entry, Key, Locator, Problem, Severity, Source, World};
use fairlead_translate::status::{Condition, ConditionType, ListenerStatus, ParentStatus, Reason, StatusSet};
use fairlead_translate::{Note, Plan};
use imbl::OrdMap;
use imbl::ordmap::DiffItem;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What the CRDs' schemas and rules say against the objects: what an API server would refuse.
pub fn of_schema(world: &World) -> Vec<Problem> {
    let mut locator = Locator::default();
    let mut problems = Vec::new();
    for (kind, key, _, source) in in_order(world) {
        let Some(value) = locator.value(source) else { continue };
        for violation in validate::validate(kind, &value) {
            let severity = match violation.severity {
                validate::Severity::Error => Severity::Error,
                validate::Severity::Warning => Severity::Warning,
            };
            let place = locator.place(source, &violation.path);
            problems.push(
                Problem::new(severity, Code::Invalid, format!("{kind} {key}: {violation}"))
                    .at(place)
                    .of(kind, key.clone()),
            );
        }
    }
    problems
}

/// What translation says against the objects: conditions that tell of something that is not in force, warnings, and routes
/// and Gateways that nobody serves.
pub fn of_plan(world: &World, plan: &Plan) -> Vec<Problem> {
    let mut findings = Findings::new(world);
    findings.status(&StatusSet::default(), &plan.status);
    plan.notes.iter().for_each(|note| findings.note(note));
    findings.unserved(&plan.status, &plan.notes);
    findings.found
}

/// What translation says now and did not say before.
pub fn new_of_status(
    world: &World,
    before: &StatusSet,
    now: &StatusSet,
    noted: &[Arc<Note>],
    notes: &[Arc<Note>],
) -> Vec<Problem> {
    let mut findings = Findings::new(world);
    findings.status(before, now);
    let noted: BTreeSet<(Kind, &Key, &str, &str)> = noted.iter().map(|note| identity(note)).collect();
    let new = notes.iter().filter(|note| !noted.contains(&identity(note)));
    new.for_each(|note| findings.note(note));
    if before.routes.is_empty() && before.gateways.is_empty() {
        findings.unserved(now, notes);
    }
    findings.found
}

/// Takes out of `told` what nothing says any more. Only objects whose status or warnings changed are looked at; messages are compared and
/// not places, so that no file is read.
pub fn take_over(
    told: &mut Vec<Problem>,
    world: &World,
    (before, noted): (&StatusSet, &[Arc<Note>]),
    (now, notes): (&StatusSet, &[Arc<Note>]),
) -> Vec<Problem> {
    let ids: BTreeSet<(Kind, Key)> = told.iter().filter_map(|problem| problem.object.clone()).collect();
    if ids.is_empty() {
        return Vec::new();
    }
    let of = |notes: &[Arc<Note>]| {
        let mut found: BTreeMap<(Kind, Key), Vec<Arc<Note>>> = BTreeMap::new();
        for note in notes {
            let id = (note.kind, note.key.clone());
            if ids.contains(&id) {
                found.entry(id).or_default().push(note.clone());
            }
        }
        found
    };
    let (noted, notes) = (of(noted), of(notes));
    let mut findings = Findings { locator: None, ..Findings::new(world) };
    let moved: BTreeSet<&(Kind, Key)> =
        ids.iter().filter(|id| !same(before, now, id) || noted.get(id) != notes.get(id)).collect();
    for id in &moved {
        findings.object(id, now);
        notes.get(id).into_iter().flatten().for_each(|note| findings.note(note));
    }
    let still = |told: &Problem| {
        findings.found.iter().any(|found| found.object == told.object && found.message == told.message)
    };
    let is_over = |told: &Problem| told.object.as_ref().is_some_and(|id| moved.contains(id)) && !still(told);
    let (over, rest) = std::mem::take(told).into_iter().partition(is_over);
    *told = rest;
    over
}

/// What the proxy could not take in, against the object that each resource comes from; what has none is told by its id.
pub fn of_rejections(world: &World, rejected: &[(ResourceId, String)]) -> Vec<Problem> {
    let mut findings = Findings::new(world);
    for (resource, why) in rejected {
        match object_of(resource) {
            Some((kind, key, path)) => {
                let at = if path.is_empty() { String::new() } else { format!("{path}: ") };
                let what = format!("{at}the proxy does not take it: {why}");
                findings.add(Severity::Error, kind, &key, &path, &what, "[not served]");
            }
            None => {
                let message = format!("{}: the proxy does not take it: {why} [not served]", id_of(resource));
                findings.found.push(Problem::new(Severity::Error, Code::Condition, message));
            }
        }
    }
    findings.found
}

/// A resource of the configuration in words; what is called by the object that it comes from needs no kind.
pub fn resource(resource: &ResourceId) -> String {
    match resource {
        ResourceId::Endpoints(id) => format!("endpoints {id}"),
        ResourceId::Cluster(id) => format!("cluster {id}"),
        ResourceId::Secret(id) | ResourceId::Route(id) | ResourceId::Listener(id) => id.to_string(),
    }
}

fn id_of(resource: &ResourceId) -> &str {
    match resource {
        ResourceId::Secret(id)
        | ResourceId::Endpoints(id)
        | ResourceId::Cluster(id)
        | ResourceId::Route(id)
        | ResourceId::Listener(id) => id,
    }
}

/// The object, and the field in it, that a resource of the configuration comes from: `httproute/shop/cart/1` from a rule of a route.
fn object_of(resource: &ResourceId) -> Option<(Kind, Key, String)> {
    let mut parts = id_of(resource).split('/');
    let (prefix, namespace, name) = (parts.next()?, parts.next()?, parts.next()?);
    let kind = Kind::ALL.iter().copied().find(|kind| kind.as_str().eq_ignore_ascii_case(prefix))?;
    let path = match (resource, parts.next()) {
        (ResourceId::Route(_), Some(rule)) => format!("spec.rules[{rule}]"),
        _ => String::new(),
    };
    Some((kind, Key::new(namespace, name), path))
}

fn identity(note: &Note) -> (Kind, &Key, &str, &str) {
    (note.kind, &note.key, &note.path, &note.message)
}

/// The keys of a map whose entries are new or different.
fn changed<'a, K: Ord + Clone, V: PartialEq>(
    before: &'a OrdMap<K, Arc<V>>,
    now: &'a OrdMap<K, Arc<V>>,
) -> impl Iterator<Item = &'a K> {
    before.diff(now).filter_map(|item| match item {
        DiffItem::Add(key, _) | DiffItem::Update { new: (key, _), .. } => Some(key),
        DiffItem::Remove(..) => None,
    })
}

/// Whether an object has the same status as before.
fn same(before: &StatusSet, now: &StatusSet, id: &(Kind, Key)) -> bool {
    let (a, b) = (before, now);
    match id {
        (Kind::GatewayClass, key) => a.gateway_classes.get(key) == b.gateway_classes.get(key),
        (Kind::Gateway, key) => a.gateways.get(key) == b.gateways.get(key),
        (Kind::ListenerSet, key) => a.listener_sets.get(key) == b.listener_sets.get(key),
        _ => {
            a.routes.get(id) == b.routes.get(id)
                && a.policies.get(id) == b.policies.get(id)
                && a.objects.get(id) == b.objects.get(id)
        }
    }
}

struct Findings<'a> {
    world: &'a World,
    /// `None`: places don't matter.
    locator: Option<Locator>,
    found: Vec<Problem>,
    /// The same fault may be there for several parents and in several conditions.
    seen: BTreeSet<(Kind, Key, String)>,
}

impl<'a> Findings<'a> {
    fn new(world: &'a World) -> Self {
        Findings { world, locator: Some(Locator::default()), found: Vec::new(), seen: BTreeSet::new() }
    }

    fn status(&mut self, before: &StatusSet, now: &StatusSet) {
        let of = |kind: Kind| move |key: &Key| (kind, key.clone());
        let mut ids: Vec<(Kind, Key)> = Vec::new();
        ids.extend(changed(&before.gateway_classes, &now.gateway_classes).map(of(Kind::GatewayClass)));
        ids.extend(changed(&before.gateways, &now.gateways).map(of(Kind::Gateway)));
        ids.extend(changed(&before.listener_sets, &now.listener_sets).map(of(Kind::ListenerSet)));
        ids.extend(changed(&before.routes, &now.routes).cloned());
        ids.extend(changed(&before.policies, &now.policies).cloned());
        ids.extend(changed(&before.objects, &now.objects).cloned());
        ids.iter().for_each(|id| self.object(id, now));
    }

    /// What the status of one object says.
    fn object(&mut self, id: &(Kind, Key), status: &StatusSet) {
        let (kind, key) = (id.0, &id.1);
        match kind {
            Kind::GatewayClass => {
                let class = status.gateway_classes.get(key);
                class.into_iter().for_each(|class| self.conditions(kind, key, "", &class.conditions));
            }
            Kind::Gateway => {
                let Some(gateway) = status.gateways.get(key) else { return };
                self.conditions(kind, key, "", &gateway.conditions);
                self.listeners(kind, key, &gateway.listeners);
            }
            Kind::ListenerSet => {
                let Some(set) = status.listener_sets.get(key) else { return };
                self.conditions(kind, key, "", &set.conditions);
                self.listeners(kind, key, &set.listeners);
            }
            _ => {
                let parents = status.routes.get(id).map(|route| &*route.parents).unwrap_or_default();
                parents.iter().for_each(|parent| self.parent(kind, key, parent));
                let ancestors = status.policies.get(id).map(|policy| &*policy.ancestors).unwrap_or_default();
                for ancestor in ancestors {
                    self.conditions(kind, key, "spec.targetRefs", &ancestor.conditions);
                }
                let object = status.objects.get(id);
                object.into_iter().for_each(|object| self.conditions(kind, key, "", &object.conditions));
            }
        }
    }

    fn note(&mut self, note: &Note) {
        let what =
            if note.path.is_empty() { note.message.to_string() } else { format!("{}: {}", note.path, note.message) };
        self.add(Severity::Warning, note.kind, &note.key, &note.path, &what, "");
    }

    fn listeners(&mut self, kind: Kind, key: &Key, listeners: &[ListenerStatus]) {
        for (index, listener) in listeners.iter().enumerate() {
            self.conditions(kind, key, &format!("spec.listeners[{index}]"), &listener.conditions);
        }
    }

    fn parent(&mut self, kind: Kind, key: &Key, parent: &ParentStatus) {
        let name = &parent.parent_ref.name;
        let position = self.parent_refs(kind, key).iter().position(|known| *known == *name).unwrap_or_default();
        self.conditions(kind, key, &format!("spec.parentRefs[{position}]"), &parent.conditions);
    }

    fn conditions(&mut self, kind: Kind, key: &Key, default: &str, conditions: &[Condition]) {
        // What is not accepted or has broken references is not programmed either: once is enough.
        let cause =
            conditions.iter().any(|c| c.kind != ConditionType::Programmed && severity(c) == Some(Severity::Error));
        for condition in conditions {
            let Some(severity) = severity(condition) else { continue };
            if condition.kind == ConditionType::Programmed && cause || is_summary(condition) {
                continue;
            }
            for part in parts(&condition.message) {
                let path = path_of(part).or_else(|| dropped(condition, part));
                let what =
                    if path.is_some() || default.is_empty() { part.to_owned() } else { format!("{default}: {part}") };
                let not = if condition.is_true() { "" } else { "not " };
                let (what, reason) = reason_of(&what).unwrap_or((&what, condition.reason.as_str()));
                let state = format!("[{not}{}: {reason}]", name(condition.kind));
                self.add(severity, kind, key, path.unwrap_or(default), what, &state);
            }
        }
    }

    /// Routes whose parents are none of ours, and Gateways whose class is not: they get no status at all.
    fn unserved(&mut self, status: &StatusSet, notes: &[Arc<Note>]) {
        let noted: BTreeSet<(Kind, &Key)> = notes.iter().map(|note| (note.kind, &note.key)).collect();
        for kind in [Kind::HTTPRoute, Kind::GRPCRoute, Kind::TLSRoute, Kind::TCPRoute, Kind::UDPRoute] {
            let keys: Vec<Key> = self.world.entries(kind).map(|(key, _)| key.clone()).collect();
            for key in keys {
                if !noted.contains(&(kind, &key)) && !status.routes.contains_key(&(kind, key.clone())) {
                    let refs = self.parent_refs(kind, &key);
                    let (path, what) = match &refs[..] {
                        [] => ("spec", "names no parent, so that it takes no requests".to_owned()),
                        names => (
                            "spec.parentRefs",
                            format!("no parent of it is a Gateway served here: {}", names.join(", ")),
                        ),
                    };
                    self.add(Severity::Warning, kind, &key, path, &what, "");
                }
            }
        }
        let gateways: Vec<Key> = self.world.entries(Kind::Gateway).map(|(key, _)| key.clone()).collect();
        for key in gateways
            .into_iter()
            .filter(|key| !noted.contains(&(Kind::Gateway, key)) && !status.gateways.contains_key(key))
        {
            let what = "spec.gatewayClassName: a class that is not served here";
            self.add(Severity::Warning, Kind::Gateway, &key, "spec.gatewayClassName", what, "");
        }
    }

    fn parent_refs(&self, kind: Kind, key: &Key) -> Vec<String> {
        let Some(entry) = self.world.entry(kind, &key.namespace, &key.name) else { return Vec::new() };
        let value = entry.object.to_value().unwrap_or_default();
        let refs = value["spec"]["parentRefs"].as_array().cloned().unwrap_or_default();
        refs.iter().map(|parent| parent["name"].as_str().unwrap_or_default().to_owned()).collect()
    }

    fn add(&mut self, severity: Severity, kind: Kind, key: &Key, path: &str, what: &str, state: &str) {
        if !self.seen.insert((kind, key.clone(), what.to_owned())) {
            return;
        }
        let source = self.world.source(kind, key);
        let place = source.zip(self.locator.as_mut()).map(|(source, locator)| locator.place(source, path));
        let message = format!("{kind} {key}: {what} {state}");
        self.found.push(Problem::new(severity, Code::Condition, message.trim_end()).at(place).of(kind, key.clone()));
    }
}

/// How bad a condition is; `None` when it is as it should be.
pub fn severity(condition: &Condition) -> Option<Severity> {
    use ConditionType::*;
    match (condition.kind, condition.is_true()) {
        (Accepted | Programmed | ResolvedRefs, false) | (Conflicted | PartiallyInvalid, true) => Some(Severity::Error),
        (OverlappingTlsConfig | InsecureFrontendValidationMode, true) | (SupportedVersion, false) => {
            Some(Severity::Warning)
        }
        _ => None,
    }
}

/// A condition that only says that something below has a condition.
fn is_summary(condition: &Condition) -> bool {
    let reason = condition.reason.as_str();
    matches!(reason, "ListenersNotValid" | "ListenersNotResolved" | "ParentNotAccepted" | "ParentNotProgrammed")
        || condition.message.ends_with("the listeners say why")
}

/// The condition's type as status has it.
pub fn name(kind: ConditionType) -> String {
    serde_json::to_value(kind).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// A message that tells of several faults, one by one: `spec.a: …; spec.b: …`.
fn parts(message: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = message;
    while let Some(at) = rest.match_indices("; ").map(|(at, _)| at).find(|at| path_of(&rest[at + 2..]).is_some()) {
        parts.push(&rest[..at]);
        rest = &rest[at + 2..];
    }
    parts.push(rest);
    parts
}

/// A fault's message, and the reason at its end, where it is another than its condition's: `spec.a: … (RefNotPermitted)`.
fn reason_of(message: &str) -> Option<(&str, &str)> {
    let (message, reason) = message.strip_suffix(')')?.rsplit_once(" (")?;
    Reason::ALL.iter().any(|known| known.as_str() == reason).then_some((message, reason))
}

/// The field path that a fault's message begins with.
fn path_of(message: &str) -> Option<&str> {
    let (path, _) = message.split_once(": ")?;
    let known = ["spec.", "metadata.", "data."].iter().any(|start| path.starts_with(start));
    (known && !path.contains(' ')).then_some(path)
}

/// The field path in what is said of rules that are left out: `Dropped Rule 1, …: spec.rules[1].filters[0].type: …`.
fn dropped<'m>(condition: &Condition, message: &'m str) -> Option<&'m str> {
    let rules = condition.kind == ConditionType::PartiallyInvalid;
    message.find(": spec.").filter(|_| rules).and_then(|at| path_of(&message[at + 2..]))
}

/// All objects that were read from files, in the order of files and lines.
fn in_order(world: &World) -> Vec<(Kind, &Key, &Entry, &Source)> {
    let all = Kind::ALL.iter().flat_map(|kind| world.entries(*kind).map(|(key, entry)| (*kind, key, entry)));
    let mut all: Vec<_> =
        all.filter_map(|(kind, key, entry)| Some((kind, key, entry, entry.source.as_ref()?))).collect();
    all.sort_by(|a, b| (a.3.file(), a.3.line()).cmp(&(b.3.file(), b.3.line())));
    all
}

#[cfg(test)]
mod tests;
