//! Routes of every kind: one way through attachment, references, rules and status.
//!
//! A kind of route is a [`RouteKind`]: where its parents, host names and rules stand, and how a rule is read. All else is
//! here and in [`crate::attach`], once.
//!
//! Rules (`HTTPRoute.spec.rules`, `RouteConditionPartiallyInvalid`):
//!
//! * A rule whose matches can't be understood is dropped: requests go on to other rules.
//! * A rule whose filters or settings can't be honoured keeps its matches and answers 500, so that nothing slips past a
//!   filter into a wider rule.
//! * Some rules invalid: `PartiallyInvalid`, and the route stays accepted. All invalid: not accepted, and not served.
//! * A reference that does not resolve is `ResolvedRefs` false and answers 500 for its share only. Where there are no
//!   requests to answer (TLSRoute, TCPRoute, UDPRoute) its share of the connections is closed, or of the sessions dropped.

mod backends;
pub(crate) mod external_auth;
mod filter_spec;
mod filters;
mod grpc;
mod headers;
mod http;
mod l4;
mod matches;
mod route_filter;
mod rules;

pub(crate) use external_auth::Wrong;
pub(crate) use filters::extension;
pub(crate) use route_filter::check as check_route_filter;
pub(crate) use rules::Rule;

use crate::Settings;
use crate::attach::{self, Attachment};
use crate::endpoints::{Allowed, Origin};
use crate::frame::{Frame, ParentId, age};
use crate::host::Host;
use crate::policy::{Policies, Target};
use crate::reader::{Dependency, Reader};
use crate::status::{Condition, ConditionType, Fault, ParentStatus, Reason, RouteStatus, observed};
use crate::{Note, host};
use fairlead_crds::gateway::{GatewayDefaultScope, ParentReference};
use fairlead_crds::meta::ObjectMeta;
use fairlead_crds::{Kind, Typed};
use fairlead_ir::{BackendTarget, CaSource, Cluster, Discovery, Id, Order, Route, Secret};
use fairlead_store::{Key, World};
use foldhash::HashSet;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A kind of route.
pub(crate) trait RouteKind: Typed + 'static {
    /// Its name in the IR.
    const IR: fairlead_ir::RouteKind;
    /// First part of the ids of its rules.
    const PREFIX: &'static str;
    fn metadata(&self) -> &ObjectMeta;
    fn parents(&self) -> &[ParentReference];
    fn hostnames(&self) -> &[String];
    fn default_scope(&self) -> Option<&GatewayDefaultScope>;
    /// Reads the rules; references that don't resolve go into `scope.refs`.
    fn rules(&self, scope: &mut Scope<'_, '_>) -> Vec<Rule>;
}

/// What all routes are judged against.
pub(crate) struct Surroundings<'a> {
    pub world: &'a World,
    pub frame: &'a Frame,
    pub policies: &'a Policies,
    pub settings: &'a Settings,
}

/// What reading the rules of a route needs and leaves behind.
pub(crate) struct Scope<'s, 'a> {
    pub reader: &'s mut Reader<'a>,
    pub policies: &'s Policies,
    pub kind: Kind,
    pub key: &'s Key,
    pub route: fairlead_ir::RouteKind,
    pub allowed: Allowed,
    /// What the Gateway presents to backends.
    pub client_certificate: Option<Arc<Secret>>,
    /// The connections are TLS that goes on to the backends as it is.
    pub passthrough: bool,
    /// Whether some backend is spoken to in TLS, so that `client_certificate` and `passthrough` matter.
    pub speaks_tls: bool,
    pub refs: Vec<Fault>,
    pub uses: Uses,
}

impl Uses {
    /// Both together.
    pub fn extend(&mut self, other: Uses) {
        self.clusters.extend(other.clusters);
        self.endpoints.extend(other.endpoints);
        self.secrets.extend(other.secrets);
        self.targets.extend(other.targets);
    }

    /// Lets go of what no rule that is served names: backends of dropped and broken rules, mirrors that never fire.
    fn prune(&mut self, routes: &[Arc<Route>]) {
        let mut named: HashSet<&Id> = HashSet::default();
        for route in routes {
            for backend in &route.backends {
                if let BackendTarget::Cluster(id) = &backend.target {
                    named.insert(id);
                }
            }
            for filter in route.filters.iter().chain(route.backends.iter().flat_map(|backend| &backend.filters)) {
                named.extend(filter.cluster());
            }
        }
        self.clusters.retain(|id, _| named.contains(id));
        let mut named: HashSet<&Id> = HashSet::default();
        for cluster in self.clusters.values() {
            if let Discovery::Endpoints(id) = &cluster.discovery {
                named.insert(id);
            }
            let Some(tls) = &cluster.tls else { continue };
            named.extend(&tls.client_certificate);
            if let CaSource::Secrets(ids) = &tls.ca {
                named.extend(ids);
            }
        }
        self.endpoints.retain(|id, _| named.contains(id));
        self.secrets.retain(|id, _| named.contains(id));
    }
}

impl Scope<'_, '_> {
    /// Notes that the route leads to what policies could be for.
    pub fn reach(&mut self, target: &Target) {
        if !self.passthrough && self.route != fairlead_ir::RouteKind::Udp {
            self.uses.targets.insert(target.clone());
        }
    }

    pub fn note(&mut self, path: impl Into<Box<str>>, message: &str) {
        self.reader.note(self.kind, self.key, path, message);
    }
}

/// What a route makes the configuration hold besides itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Uses {
    pub clusters: BTreeMap<Id, Arc<Cluster>>,
    pub endpoints: BTreeMap<Id, Origin>,
    pub secrets: BTreeMap<Id, Arc<Secret>>,
    /// What policies could be for.
    pub targets: BTreeSet<Target>,
}

/// All that follows from one route.
#[derive(Default)]
pub(crate) struct RoutePlan {
    /// `None`: no parent of it is ours.
    pub status: Option<Arc<RouteStatus>>,
    pub routes: Vec<Arc<Route>>,
    /// Listeners that it is attached to.
    pub attached: BTreeSet<(ParentId, usize)>,
    /// Gateways that it is attached to.
    pub gateways: BTreeSet<Key>,
    pub uses: Uses,
    pub reads: HashSet<Dependency>,
    pub notes: Vec<Arc<Note>>,
}

/// Judges one route.
pub(crate) fn plan<R: RouteKind>(key: &Key, route: &R, around: &Surroundings<'_>) -> RoutePlan {
    let mut reader = Reader::new(around.world);
    let hosts: Result<Vec<Host>, Fault> = route
        .hostnames()
        .iter()
        .enumerate()
        .map(|(i, name)| {
            Host::parse(name)
                .map_err(|error| Fault::new(Reason::UnsupportedValue, format!("spec.hostnames[{i}]"), error))
        })
        .collect();
    let attachments = attach::all(key, route, hosts.as_deref().unwrap_or_default(), around.frame, &mut reader);
    if route.default_scope().is_some_and(|scope| *scope != GatewayDefaultScope::None) {
        reader.note(
            R::KIND,
            key,
            "spec.useDefaultGateways",
            "default Gateways are experimental and not served: name a Gateway in parentRefs",
        );
    }
    if attachments.is_empty() {
        return RoutePlan { reads: reader.reads, notes: reader.notes, ..RoutePlan::default() };
    }
    let mut plan = RoutePlan::default();
    let groups = groups(&attachments);
    let mut verdict = Verdict { hosts: hosts.as_ref().err().cloned(), ..Verdict::default() };
    for (i, Group { passthrough, certificate, listeners }) in groups.iter().enumerate() {
        let mut scope = Scope {
            reader: &mut reader,
            policies: around.policies,
            kind: R::KIND,
            key,
            route: R::IR,
            allowed: Allowed::of(around.settings),
            client_certificate: certificate.clone(),
            passthrough: *passthrough,
            speaks_tls: false,
            refs: Vec::new(),
            uses: Uses::default(),
        };
        let rules = route.rules(&mut scope);
        let (alone, uses) = (!scope.speaks_tls, std::mem::take(&mut scope.uses));
        if i == 0 {
            verdict.refs = std::mem::take(&mut scope.refs);
            verdict.rules(&rules);
        }
        // Without TLS towards backends, the Gateways' certificates and the listeners' modes make no difference.
        let listeners: Vec<Id> =
            if alone { groups.iter().flat_map(|group| &group.listeners).cloned().collect() } else { listeners.clone() };
        let mut suffix = String::new();
        if !alone {
            suffix.extend(passthrough.then_some("~passthrough"));
            suffix.extend(certificate.iter().map(|certificate| format!("~{}", certificate.id)));
        }
        plan.uses.targets.extend(uses.targets);
        if verdict.served() && !listeners.is_empty() {
            let names = served_hosts(hosts.as_deref().unwrap_or_default(), &attachments);
            plan.routes.extend(lower::<R>(key, route, rules, &names, &listeners, &suffix));
            plan.uses.clusters.extend(uses.clusters);
            plan.uses.endpoints.extend(uses.endpoints);
            plan.uses.secrets.extend(uses.secrets);
        }
        if alone {
            break;
        }
    }
    plan.uses.prune(&plan.routes);
    for attachment in attachments.iter().filter(|attachment| attachment.fault.is_none() && verdict.served()) {
        plan.gateways.insert(attachment.parent.gateway.clone());
        plan.attached.extend(attachment.doors.iter().map(|door| (attachment.id.clone(), *door)));
    }
    let parents =
        attachments.iter().map(|a| verdict.towards(a, around.settings, route.metadata().generation)).collect();
    plan.status = Some(Arc::new(RouteStatus { parents }));
    plan.reads = reader.reads;
    // Several certificates read the rules several times.
    let mut seen = HashSet::default();
    plan.notes = reader.notes;
    plan.notes.retain(|note| seen.insert((note.path.clone(), note.message.clone())));
    plan
}

/// Listeners that lead to the same clusters.
#[derive(Default)]
struct Group {
    passthrough: bool,
    /// What their Gateway presents to backends.
    certificate: Option<Arc<Secret>>,
    /// Their ids.
    listeners: Vec<Id>,
}

/// The listeners that serve the route, by what makes a difference to how backends are spoken to. There is always one group, so
/// that rules are judged even when nothing serves them.
fn groups(attachments: &[Attachment<'_>]) -> Vec<Group> {
    let mut groups: BTreeMap<(bool, Option<Id>), Group> = BTreeMap::new();
    for attachment in attachments.iter().filter(|attachment| attachment.fault.is_none()) {
        for door in attachment.doors.iter().map(|door| &attachment.parent.listeners[*door]) {
            let certificate = attachment.parent.client_certificate.clone();
            let passthrough = door.passthrough;
            let key = (passthrough, certificate.as_ref().map(|secret| secret.id.clone()));
            let group = groups.entry(key).or_insert(Group { passthrough, certificate, listeners: Vec::new() });
            for id in &door.ids {
                if !group.listeners.contains(id) {
                    group.listeners.push(id.clone());
                }
            }
        }
    }
    if groups.is_empty() {
        return vec![Group::default()];
    }
    groups.into_values().collect()
}

/// Host names of the route that some listener takes, as the route has them.
fn served_hosts(hosts: &[Host], attachments: &[Attachment<'_>]) -> Vec<Box<str>> {
    let accepted = || attachments.iter().filter(|attachment| attachment.fault.is_none());
    let taken = |host: &&Host| {
        let mut doors = accepted().flat_map(|a| a.doors.iter().map(|door| &a.parent.listeners[*door]));
        doors.any(|door| door.hostname.as_ref().is_none_or(|own| own.intersects(host)))
    };
    let mut names: Vec<Box<str>> = Vec::new();
    for host in hosts.iter().filter(taken) {
        if !names.iter().any(|name| **name == *host.as_str()) {
            names.push(host.as_str().into());
        }
    }
    names
}

fn lower<R: RouteKind>(
    key: &Key,
    route: &R,
    rules: Vec<Rule>,
    hosts: &[Box<str>],
    listeners: &[Id],
    suffix: &str,
) -> Vec<Arc<Route>> {
    let (name, created): (Id, i64) = (key.to_string().into(), age(route.metadata()));
    let each = rules.into_iter().enumerate().filter(|(_, rule)| !rule.dropped).map(|(i, mut rule)| {
        let broken = rule.broken.is_some();
        rule.shrink();
        Arc::new(Route {
            id: format!("{}/{key}/{i}{suffix}", R::PREFIX).into(),
            name: match &rule.name {
                Some(rule) => format!("{key}/{rule}").into(),
                None => name.clone(),
            },
            rule: rule.name,
            kind: R::IR,
            listeners: listeners.to_vec(),
            hostnames: hosts.to_vec(),
            matches: rule.matches,
            order: Order { created, object: name.clone(), rule: u32::try_from(i).unwrap_or(u32::MAX) },
            filters: if broken { Vec::new() } else { rule.filters },
            backends: if broken { Vec::new() } else { rule.backends },
            broken: rule.broken,
            timeouts: rule.timeouts,
            retry: rule.retry,
        })
    });
    each.collect()
}

/// What is wrong with a route, apart from its parents.
#[derive(Default)]
struct Verdict {
    hosts: Option<Fault>,
    /// All rules are invalid.
    invalid: Option<Fault>,
    partial: Option<Fault>,
    refs: Vec<Fault>,
}

impl Verdict {
    fn rules(&mut self, rules: &[Rule]) {
        let wrong: Vec<(usize, Fault)> =
            rules.iter().enumerate().filter_map(|(i, rule)| Some((i, Fault::join(&rule.invalid)?))).collect();
        let faults: Vec<Fault> = wrong.iter().map(|(_, fault)| fault.clone()).collect();
        let Some(all) = Fault::join(&faults) else { return };
        if wrong.len() == rules.len() {
            self.invalid = Some(all);
            return;
        }
        let numbers = wrong.iter().map(|(i, _)| i.to_string()).collect::<Vec<_>>().join(", ");
        let answer = if rules.iter().any(|rule| !rule.invalid.is_empty() && !rule.dropped) {
            ", requests that match get 500 where the matches are valid"
        } else {
            ""
        };
        self.partial = Some(Fault::new(all.reason, "", format!("Dropped Rule {numbers}{answer}: {all}")));
    }

    fn served(&self) -> bool {
        self.hosts.is_none() && self.invalid.is_none()
    }

    fn towards(&self, attachment: &Attachment<'_>, settings: &Settings, generation: Option<i64>) -> ParentStatus {
        let rejected = attachment.fault.as_ref().or(self.hosts.as_ref()).or(self.invalid.as_ref());
        let mut conditions = vec![
            Condition::of(ConditionType::Accepted, rejected, Reason::Accepted, "The route is attached"),
            Condition::of(
                ConditionType::ResolvedRefs,
                Fault::join(&self.refs).as_ref(),
                Reason::ResolvedRefs,
                "All references resolve",
            ),
        ];
        if let (None, Some(partial)) = (rejected, &self.partial) {
            conditions.push(Condition::new(
                ConditionType::PartiallyInvalid,
                true,
                partial.reason,
                partial.message.as_str(),
            ));
        }
        ParentStatus {
            parent_ref: attachment.reference.clone(),
            controller_name: settings.controller_name.clone(),
            conditions: observed(conditions, generation),
        }
    }
}

/// Host names, for messages.
pub(crate) fn list(hosts: &[Host]) -> String {
    if hosts.is_empty() {
        host::display(None).to_owned()
    } else {
        hosts.iter().map(Host::as_str).collect::<Vec<_>>().join(", ")
    }
}
