//! XTelemetryPolicy: tracing of what Gateways serve (GEP-4768).
//!
//! * The targets are Gateways of the policy's namespace. All their listeners for HTTP are traced alike, those of ListenerSets too.
//! * One policy holds for a Gateway: the oldest, then the first by namespace and name; the others are `Conflicted`. It counts
//!   even when it is not valid, or its collector can't be found: then nothing is traced.
//! * `mode` other than `Enabled`: nothing is traced.
//! * New traces are recorded always unless `samplingRate` says less; what the client decided holds unless
//!   `parentBasedSampling.mode` is `Disabled`. Both are OpenTelemetry's defaults.
//! * Spans go by OTLP/gRPC, but by OTLP/HTTP to a Service's port with `appProtocol` `http` or `https`; to one without, when `http` stands in
//!   its name or it is 4318.
//! * An attribute that the proxy does not know is left out, with a note.

mod spec;

use crate::cluster::{self, BackendRef};
use crate::endpoints::Allowed;
use crate::frame::Frame;
use crate::policy::Policies;
use crate::policy::targets::{self, Claims, Policy, Reference};
use crate::reader::{Dependency, Reader};
use crate::route::{Scope, Uses};
use crate::status::{AncestorStatus, Fault, PolicyStatus, Reason};
use crate::{Note, Settings};
use fairlead_crds::core::Service;
use fairlead_crds::gateway::{BackendObjectReference, XTelemetryPolicy};
use fairlead_crds::meta::ObjectMeta;
use fairlead_crds::{Kind, Typed as _};
use fairlead_ir::{Id, Listener, Otlp, RouteKind, Tracing};
use fairlead_store::{Key, World};
use foldhash::HashSet;
use spec::Wanted;
use std::collections::BTreeMap;
use std::sync::Arc;

/// All XTelemetryPolicies, judged.
#[derive(Default)]
pub(crate) struct Telemetry {
    /// What holds, by Gateway.
    gateways: BTreeMap<Key, Arc<Tracing>>,
    /// Of the policies that hold for some Gateway.
    pub plans: BTreeMap<Key, Plan>,
    statuses: BTreeMap<Key, PolicyStatus>,
    pub reads: HashSet<Dependency>,
    pub notes: Vec<Arc<Note>>,
}

/// What a policy makes the configuration hold.
pub(crate) struct Plan {
    pub uses: Uses,
    /// Those that are traced.
    pub gateways: Vec<Key>,
}

impl Telemetry {
    pub fn build(world: &World, frame: &Frame, policies: &Policies, settings: &Settings) -> Self {
        let mut made = Telemetry::default();
        let mut reader = Reader::new(world);
        targets::walk::<XTelemetryPolicy>(world, &mut reader, |key, policy, claims, reader| {
            let mut faults = Vec::new();
            let wanted = spec::read(key, &policy.spec, &mut faults, reader);
            let invalid = Fault::join(&faults);
            for fault in claims.foreign() {
                reader.note(Kind::XTelemetryPolicy, key, fault.path.as_str(), fault.message.as_str());
            }
            let ancestors = ancestors(&claims, frame);
            let own: Vec<Key> =
                ancestors.iter().filter(|(_, fault)| fault.is_none()).map(|(gateway, _)| (*gateway).clone()).collect();
            let mut unresolved = None;
            if let Some(wanted) = wanted.filter(|_| invalid.is_none() && !ancestors.is_empty()) {
                let mut scope = scope(key, policies, Allowed::of(settings), reader);
                match collector(&wanted.provider.backend_ref, &mut scope) {
                    Ok(collector) if !own.is_empty() => {
                        let uses = std::mem::take(&mut scope.uses);
                        made.trace(key, &wanted, &collector, Plan { uses, gateways: own });
                    }
                    Ok(_) => {}
                    Err(fault) => unresolved = Some(fault),
                }
            }
            let each = ancestors.into_iter().map(|(gateway, fault)| {
                let accepted = fault.or(invalid.as_ref());
                let conditions = targets::conditions(accepted, Some(unresolved.as_ref()), policy.metadata.generation);
                AncestorStatus::of(gateway, &settings.controller_name, conditions)
            });
            let ancestors: Vec<_> = each.collect();
            if !ancestors.is_empty() {
                made.statuses.insert(key.clone(), PolicyStatus { ancestors });
            }
        });
        (made.reads, made.notes) = (reader.reads, reader.notes);
        made
    }

    /// Statuses of those with a target that is ours, or does not exist.
    pub fn statuses(&self) -> impl Iterator<Item = (Key, PolicyStatus)> {
        self.statuses.iter().map(|(key, status)| (key.clone(), status.clone()))
    }

    /// The listeners with what holds for them; `None` when nothing is traced.
    pub fn traced(&self, listeners: &BTreeMap<Id, Arc<Listener>>) -> Option<BTreeMap<Id, Arc<Listener>>> {
        if self.gateways.is_empty() {
            return None;
        }
        let by_name: BTreeMap<String, &Arc<Tracing>> =
            self.gateways.iter().map(|(key, tracing)| (key.to_string(), tracing)).collect();
        let each = listeners.iter().map(|(id, listener)| {
            let tracing = by_name.get(&*listener.gateway).filter(|_| !listener.protocol.is_l4());
            let listener = match tracing {
                None => listener.clone(),
                Some(tracing) => {
                    let mut traced = Listener::clone(listener);
                    traced.http.tracing = Some(Arc::clone(tracing));
                    Arc::new(traced)
                }
            };
            (id.clone(), listener)
        });
        Some(each.collect())
    }

    fn trace(&mut self, policy: &Key, wanted: &Wanted<'_>, collector: &Collector, plan: Plan) {
        for gateway in &plan.gateways {
            let service = || format!("{}.{}", gateway.name, gateway.namespace).into();
            let tracing = Tracing {
                cluster: collector.cluster.clone(),
                protocol: collector.protocol,
                authority: collector.authority.clone(),
                headers: wanted.headers.clone(),
                service_name: wanted.service_name.map_or_else(service, Into::into),
                span_name: wanted.span_name.map(Into::into),
                rate: wanted.rate,
                parent_rate: wanted.parent_rate,
                attributes: wanted.attributes.clone(),
            };
            self.gateways.insert(gateway.clone(), Arc::new(tracing));
        }
        self.plans.insert(policy.clone(), plan);
    }
}

impl Policy for XTelemetryPolicy {
    const TARGETS: (&'static [Kind], &'static str) = (&[Kind::Gateway], "a Gateway");

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn references(&self) -> impl Iterator<Item = Reference<'_>> {
        self.spec.target_refs.iter().map(Reference::from)
    }
}

/// The Gateways that a policy is for, as far as they are ours or do not exist, and why it does not hold for one.
fn ancestors<'c>(claims: &'c Claims, frame: &Frame) -> BTreeMap<&'c Key, Option<&'c Fault>> {
    let each = claims.named().map(|((_, gateway), fault)| (gateway, fault));
    let missing = |fault: Option<&Fault>| fault.is_some_and(|fault| fault.reason == Reason::TargetNotFound);
    each.filter(|(gateway, fault)| missing(*fault) || frame.gateways.contains_key(*gateway)).collect()
}

/// Where spans go.
struct Collector {
    cluster: Id,
    protocol: Otlp,
    authority: Box<str>,
}

fn scope<'s, 'a>(key: &'s Key, policies: &'s Policies, allowed: Allowed, reader: &'s mut Reader<'a>) -> Scope<'s, 'a> {
    Scope {
        reader,
        policies,
        kind: XTelemetryPolicy::KIND,
        key,
        route: RouteKind::Grpc,
        allowed,
        client_certificate: None,
        passthrough: false,
        speaks_tls: false,
        refs: Vec::new(),
        uses: Uses::default(),
    }
}

fn collector(reference: &BackendObjectReference, scope: &mut Scope<'_, '_>) -> Result<Collector, Fault> {
    const PATH: &str = "spec.tracing.provider.backendRef";
    let key = Key::new(reference.namespace.as_deref().unwrap_or(&scope.key.namespace), reference.name.as_str());
    let backend = BackendRef {
        group: reference.group.as_deref(),
        kind: reference.kind.as_deref(),
        name: &reference.name,
        namespace: reference.namespace.as_deref(),
        port: reference.port,
    };
    let protocol = protocol(reference, &key, scope.reader);
    scope.route = if protocol == Otlp::Http { RouteKind::Http } else { RouteKind::Grpc };
    let id = cluster::resolve(&backend, PATH, scope)?;
    let authority = match scope.uses.clusters.get(&id) {
        Some(cluster) => cluster::authority(&backend, cluster, scope),
        None => reference.name.as_str().into(),
    };
    Ok(Collector { cluster: id, protocol, authority })
}

/// What a collector speaks: see the module.
fn protocol(reference: &BackendObjectReference, key: &Key, reader: &mut Reader<'_>) -> Otlp {
    let service =
        Kind::of_group(reference.group.as_deref().unwrap_or(""), reference.kind.as_deref().unwrap_or("Service"));
    if service != Some(Kind::Service) {
        return Otlp::Grpc;
    }
    let ports = reader.find::<Service>(key).map(|service| &*service.spec.ports);
    let port = ports.unwrap_or_default().iter().find(|port| Some(port.port) == reference.port);
    let http = match port.and_then(|port| port.app_protocol.as_deref()).filter(|name| !name.is_empty()) {
        Some(app) => ["http", "https"].iter().any(|name| app.eq_ignore_ascii_case(name)),
        None => {
            let named = port.and_then(|port| port.name.as_deref()).is_some_and(|name| name.contains("http"));
            named || reference.port == Some(4318)
        }
    };
    if http { Otlp::Http } else { Otlp::Grpc }
}
