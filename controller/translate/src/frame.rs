//! All that routes attach to: Gateways, ListenerSets and their listeners.
//!
//! The frame depends on classes, Gateways, ListenerSets, Namespaces, ReferenceGrants, certificates, what filters of listeners refer to, and the settings, not
//! on routes; it is made anew as a whole when one of these changes. Routes see it through [`Parent`]s, and only those whose
//! parent came out different are looked at again.

use crate::class::Classes;
use crate::conflict::{self, Sockets};
use crate::endpoints;
use crate::fleet::{self, Fleet};
use crate::gateway::{self, GatewayDraft};
use crate::host::Host;
use crate::listener::Draft;
use crate::listenerset::{self, SetDraft};
use crate::policy::Policies;
use crate::reader::{Dependency, Reader};
use crate::route::Uses;
use crate::status::{GatewayClassStatus, GatewayStatus, ListenerSetStatus};
use crate::tls::Vault;
use crate::{Note, Settings};
use fairlead_crds::Kind;
use fairlead_crds::core::{EndpointSlice, Namespace};
use fairlead_crds::gateway::{Gateway, ListenerSet};
use fairlead_crds::meta::{LabelSelector, ObjectMeta};
use fairlead_ir::{Bind, HttpSettings, Id, Listener, ListenerProtocol, ListenerTls, Secret};
use fairlead_store::{Key, World};
use foldhash::HashSet;
use imbl::OrdMap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A Gateway or ListenerSet that routes can name in `parentRefs`.
pub(crate) type ParentId = (Kind, Key);

/// What a route needs to know about a parent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parent {
    /// The Gateway itself, or that of the ListenerSet.
    pub gateway: Key,
    /// The key pair that the Gateway presents to backends.
    pub client_certificate: Option<Arc<Secret>>,
    /// Why the ListenerSet is not attached to its Gateway.
    pub refused: Option<String>,
    pub listeners: Vec<Door>,
}

/// What a route needs to know about a listener.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Door {
    pub name: Box<str>,
    pub port: i32,
    pub hostname: Option<Host>,
    pub kinds: Vec<Kind>,
    pub namespaces: Namespaces,
    /// TLS goes on to the backends as it is.
    pub passthrough: bool,
    /// Ids in the configuration, one per address; empty when it is not served.
    pub ids: Vec<Id>,
}

/// From which namespaces something may attach.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Namespaces {
    All,
    None,
    Same(Arc<str>),
    Selector(LabelSelector),
}

impl Namespaces {
    pub fn take(&self, namespace: &str, reader: &mut Reader<'_>) -> bool {
        match self {
            Namespaces::All => true,
            Namespaces::None => false,
            Namespaces::Same(own) => **own == *namespace,
            Namespaces::Selector(selector) => reader.namespace_matches(namespace, selector),
        }
    }
}

/// See the module. Statuses have zero attached routes: those are counted in later.
#[derive(Default)]
pub(crate) struct Frame {
    pub parents: BTreeMap<ParentId, Arc<Parent>>,
    pub listeners: BTreeMap<Id, Arc<Listener>>,
    pub secrets: BTreeMap<Id, Arc<Secret>>,
    pub classes: OrdMap<Key, Arc<GatewayClassStatus>>,
    pub gateways: BTreeMap<Key, GatewayStatus>,
    pub listener_sets: BTreeMap<Key, ListenerSetStatus>,
    /// ListenerSets whose Gateway does not exist.
    pub orphans: BTreeMap<Key, ListenerSetStatus>,
    pub fleets: BTreeMap<Key, Fleet>,
    /// What the filters of listeners that are served make the configuration hold, by Gateway.
    pub uses: BTreeMap<Key, Uses>,
    pub reads: HashSet<Dependency>,
    /// Services whose endpoints are published as addresses of a Gateway.
    pub node_services: HashSet<Key>,
    pub notes: Vec<Arc<Note>>,
}

/// What making the frame needs.
pub(crate) struct Context<'a, 'v> {
    pub reader: Reader<'a>,
    pub vault: &'v mut Vault,
    pub policies: &'v Policies,
    pub settings: &'v Settings,
    pub secrets: BTreeMap<Id, Arc<Secret>>,
    pub node_services: HashSet<Key>,
}

impl Frame {
    pub fn build(world: &World, settings: &Settings, policies: &Policies, vault: &mut Vault) -> Frame {
        let classes = Classes::of(world, settings);
        let mut context = Context {
            reader: Reader::new(world),
            vault,
            policies,
            settings,
            secrets: BTreeMap::new(),
            node_services: HashSet::default(),
        };
        let mut sets = listenerset::by_gateway(world);
        let mut gateways = ours(&classes, &mut context);
        gateways.sort_by(|(a, x), (b, y)| age(&x.metadata).cmp(&age(&y.metadata)).then_with(|| a.cmp(b)));
        let mut frame = Frame { classes: classes.status.clone(), ..Frame::default() };
        let mut sockets = Sockets::default();
        let mut families = Vec::new();
        for (key, gateway) in gateways {
            let mut draft = gateway::draft(key, gateway, classes.get(&gateway.spec.gateway_class_name), &mut context);
            let mut own = Sockets::default();
            let sockets =
                if settings.shared_addresses && !draft.rejected_as_a_whole() { &mut sockets } else { &mut own };
            let owner: Arc<str> = format!("Gateway {key}").into();
            conflict::settle(&mut draft.listeners, &draft.addresses.binds, &owner, sockets);
            draft.judge();
            // What ListenerSets are called is not for others to know.
            let owner: Arc<str> = format!("a ListenerSet of Gateway {key}").into();
            let mut attached: Vec<SetDraft> = Vec::new();
            for (set_key, set) in sets.remove(key).unwrap_or_default() {
                let mut set = listenerset::draft(set_key, set, &draft, &mut context);
                conflict::settle(&mut set.listeners, &draft.addresses.binds, &owner, sockets);
                attached.push(set);
            }
            families.push((draft, attached));
        }
        conflict::mark_overlaps(families.iter_mut().flat_map(|(gateway, sets)| {
            let scope = (!settings.shared_addresses).then(|| gateway.key.clone());
            let binds = gateway.addresses.binds.clone();
            let all = gateway.listeners.iter_mut().chain(sets.iter_mut().flat_map(|set| set.listeners.iter_mut()));
            all.map(move |listener| (scope.clone(), binds.clone(), listener))
        }));
        for (gateway, sets) in families {
            frame.add(gateway, sets, settings);
        }
        if let Some(settings) = &settings.fleet {
            frame.keep_unclassed(world, settings);
        }
        frame.orphans = orphans(sets, &mut context);
        // Keys of listeners that are not served stay here.
        let named: HashSet<Id> =
            frame.listeners.values().flat_map(|listener| &listener.tls).flat_map(secrets).collect();
        frame.secrets = std::mem::take(&mut context.secrets);
        frame.secrets.retain(|id, _| named.contains(id));
        frame.node_services = context.node_services;
        frame.reads = context.reader.reads;
        frame.notes = context.reader.notes;
        frame
    }

    /// Whether an EndpointSlice is published as addresses of a Gateway.
    pub fn publishes(&self, (kind, key): &Dependency, world: &World) -> bool {
        let service = || endpoints::service_of(key, world.all::<EndpointSlice>().get(key)?);
        *kind == Kind::EndpointSlice
            && !self.node_services.is_empty()
            && service().is_some_and(|service| self.node_services.contains(&service))
    }

    fn add(&mut self, gateway: GatewayDraft, mut sets: Vec<SetDraft>, settings: &Settings) {
        let id = |prefix: &str, key: &Key, listener: &Draft| format!("{prefix}/{key}/{}", listener.name);
        let mut gateway = gateway;
        let served = gateway.served();
        let http = gateway.http.clone();
        let failures = &settings.bind_failures;
        for listener in &mut gateway.listeners {
            let id = id("gateway", &gateway.key, listener);
            self.listen(id, listener, &gateway.key, (&gateway.addresses.binds, failures), served, &http);
        }
        for set in &mut sets {
            for listener in &mut set.listeners {
                let id = id("listenerset", &set.key, listener);
                let served = gateway.served() && set.refused.is_none();
                self.listen(id, listener, &gateway.key, (&gateway.addresses.binds, failures), served, &http);
            }
            let parent = Parent {
                gateway: gateway.key.clone(),
                client_certificate: gateway.client_certificate.clone(),
                refused: set.refused.as_ref().map(ToString::to_string),
                listeners: set.listeners.iter().map(Draft::door).collect(),
            };
            self.parents.insert((Kind::ListenerSet, set.key.clone()), Arc::new(parent));
            self.listener_sets.insert(set.key.clone(), set.status(&gateway));
        }
        if let Some(settings) = &settings.fleet {
            self.fleets.insert(gateway.key.clone(), gateway_fleet(&gateway, &sets, settings));
        }
        let accepted = sets.iter().filter(|set| set.accepted(&gateway).is_none()).count();
        self.gateways.insert(gateway.key.clone(), gateway.status(accepted));
        let parent = Parent {
            gateway: gateway.key.clone(),
            client_certificate: gateway.client_certificate.clone(),
            refused: None,
            listeners: gateway.listeners.iter().map(Draft::door).collect(),
        };
        self.parents.insert((Kind::Gateway, gateway.key.clone()), Arc::new(parent));
    }

    /// Gateways whose class is gone may have been ours, and their class may come back: what they have is left alone.
    fn keep_unclassed(&mut self, world: &World, settings: &fleet::Settings) {
        for (key, gateway) in world.all::<Gateway>().iter() {
            if world.entry(Kind::GatewayClass, "", &gateway.spec.gateway_class_name).is_none() {
                let owner = fleet::Owner::of(key, gateway);
                self.fleets.entry(key.clone()).or_insert_with(|| fleet::keep(&owner, settings));
            }
        }
    }

    /// Puts a listener into the configuration, once for each address, if it is fit to serve.
    fn listen(
        &mut self,
        id: String,
        draft: &mut Draft,
        gateway: &Key,
        (binds, failures): (&[Option<std::net::IpAddr>], &BTreeMap<Bind, Arc<str>>),
        served: bool,
        http: &HttpSettings,
    ) {
        let Some(port) = draft.port_number().filter(|_| served && draft.fit()) else { return };
        for (i, address) in binds.iter().enumerate() {
            let transport = draft.protocol.unwrap_or(ListenerProtocol::Http).transport();
            let bind = Bind { address: *address, port, transport };
            if let Some(reason) = failures.get(&bind) {
                draft.bind_failed(bind, reason);
            }
            let id: Id = match address {
                Some(address) if i > 0 => format!("{id}@{address}").into(),
                _ => id.as_str().into(),
            };
            draft.ids.push(id.clone());
            let listener = draft.listener(id.clone(), gateway, bind, http.clone());
            self.listeners.insert(id, Arc::new(listener));
        }
        if draft.uses != Uses::default() {
            self.uses.entry(gateway.clone()).or_default().extend(std::mem::take(&mut draft.uses));
        }
    }
}

/// What runs the proxies of a Gateway. The Service has the ports of all listeners that could be served, whether they are at the moment
/// or not: a certificate that is missing for a while gives no port away.
fn gateway_fleet(gateway: &GatewayDraft, sets: &[SetDraft], settings: &fleet::Settings) -> Fleet {
    if !gateway.accepted() {
        return fleet::keep(&gateway.owner, settings);
    }
    let allowed = sets.iter().filter(|set| set.refused.is_none()).flat_map(|set| &set.listeners);
    let each = gateway.listeners.iter().chain(allowed).filter(|listener| listener.takes_part());
    let ports = each.filter_map(|listener| {
        let udp = listener.protocol == Some(fairlead_ir::ListenerProtocol::Udp);
        Some(fleet::Port { number: listener.port_number()?, udp })
    });
    fleet::render(&gateway.owner, &gateway.parameters, &ports.collect(), &gateway.addresses.asked, settings)
}

/// Gateways of our classes. Others are not ours to judge, but a class that nobody has is worth a word.
fn ours<'a>(classes: &Classes, context: &mut Context<'a, '_>) -> Vec<(&'a Key, &'a Arc<Gateway>)> {
    let mut ours = Vec::new();
    for (key, gateway) in context.reader.world.all::<Gateway>().iter() {
        let name = &gateway.spec.gateway_class_name;
        if classes.get(name).is_some() {
            ours.push((key, gateway));
        } else if context.reader.world.entry(Kind::GatewayClass, "", name).is_none() {
            let message = format!(
                "there is no GatewayClass {name:?}, so nothing serves this Gateway; ours are: {}",
                classes.names()
            );
            context.reader.note(Kind::Gateway, key, "spec.gatewayClassName", message);
        }
    }
    ours
}

/// ListenerSets whose Gateway does not exist.
fn orphans(
    sets: BTreeMap<Key, Vec<(&Key, &Arc<ListenerSet>)>>,
    context: &mut Context<'_, '_>,
) -> BTreeMap<Key, ListenerSetStatus> {
    let mut orphans = BTreeMap::new();
    for (gateway, sets) in sets {
        if context.reader.world.all::<Gateway>().get(&gateway).is_some() {
            continue;
        }
        for (key, set) in sets {
            // Of a namespace that is not watched nothing is known.
            let known = key.namespace == gateway.namespace
                || context.reader.find::<Namespace>(&Key::cluster(&*gateway.namespace)).is_some();
            if known {
                orphans.insert(key.clone(), listenerset::orphan(set, &gateway));
            }
            context.reader.note(
                Kind::ListenerSet,
                key,
                "spec.parentRef",
                format!("there is no Gateway {gateway}; nothing serves this ListenerSet"),
            );
        }
    }
    orphans
}

/// Ids of the secrets that a listener names.
fn secrets(tls: &ListenerTls) -> impl Iterator<Item = Id> + '_ {
    let cas = tls.client_validation.iter().flat_map(|validation| &validation.cas);
    tls.certificates.iter().chain(cas).cloned()
}

/// Creation time in seconds since 1970, objects of files last.
pub(crate) fn age(metadata: &ObjectMeta) -> i64 {
    metadata.creation_timestamp.as_ref().map_or(i64::MAX, |time| time.0.as_second())
}
