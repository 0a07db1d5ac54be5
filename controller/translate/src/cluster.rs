//! References to backends → clusters.
//!
//! One cluster for each Service port and way to speak to it: `service/<namespace>/<name>/<port>`, with `~h2` when it is spoken
//! to in HTTP/2, `~tcp`, `~tls` or `~udp` when what clients send goes there as it is, and `~<secret>` when a Gateway presents a client
//! certificate; `backend/<namespace>/<name>` and `xbackend/<namespace>/<name>` likewise. An `appProtocol` says nothing to TLSRoute, TCPRoute and UDPRoute, which
//! don't look at what they carry; a BackendTLSPolicy nothing where TLS is passed through, or to UDP.
//!
//! | what | condition on the route | requests |
//! | --- | --- | --- |
//! | another kind | `InvalidKind` | 500 |
//! | another namespace without grant | `RefNotPermitted` | 500 |
//! | no such Service, port, `Backend` or XBackend | `BackendNotFound` | 500 |
//! | a `Backend` or XBackend that is not usable, a port for an XBackend | `UnsupportedValue` | 500 |
//! | an `appProtocol` or `protocol` that is unknown or not for this kind of route | `UnsupportedProtocol` | 500 |
//! | a BackendTLSPolicy that can't be honoured | `InvalidBackendTLS` | 500 |
//! | a port of the other transport, TCP or UDP | `UnsupportedProtocol` | 500 |
//! | a Service without endpoints | | 503 |
//!
//! Where there are no requests, the connection is closed or the datagram dropped.

use crate::endpoints::{self, Allowed, Origin};
use crate::gateway::ungranted;
use crate::policy::{self, BackendTls, Target, XBackendPlan};
use crate::route::Scope;
use crate::status::{Fault, Reason};
use fairlead_crds::Kind;
use fairlead_crds::core::Service;
use fairlead_crds::gateway::{BackendProtocol, XBackend};
use fairlead_crds::v1alpha1::{AppProtocol, Backend};
use fairlead_ir::{
    CaSource, Cluster, ClusterTls, Discovery, Id, LoadBalancing, Millis, Protocol, RouteKind, Secret, Session,
};
use fairlead_store::Key;
use std::sync::Arc;

const CONNECT_TIMEOUT: Millis = Millis(5_000);
const IDLE_TIMEOUT: Millis = Millis(60_000);

/// A reference to a backend, whatever it stands in.
pub(crate) struct BackendRef<'a> {
    pub group: Option<&'a str>,
    pub kind: Option<&'a str>,
    pub name: &'a str,
    pub namespace: Option<&'a str>,
    pub port: Option<i32>,
}

/// What `appProtocol` asks for.
#[derive(Clone, Copy, Default)]
struct App {
    protocol: Option<Protocol>,
    tls: bool,
    /// WebSocket: not for gRPC.
    upgrades: bool,
}

/// A backend that exists.
struct Found<'a> {
    target: Target,
    /// Name of the port.
    section: Option<&'a str>,
    app: App,
    place: Place,
    /// What to call it in TLS when no policy says.
    sni: Box<str>,
    /// It says by itself what policies would.
    own: Option<Arc<XBackendPlan>>,
}

/// A backend that a rule leads to.
pub(crate) struct Resolved {
    pub cluster: Id,
    /// Sessions as the backend itself has them.
    own_session: Option<Session>,
    /// As a policy for it has them.
    policy_session: Option<Session>,
}

impl Resolved {
    /// Sessions in this backend, in a rule that asks for `rule`.
    pub fn session(self, rule: Option<&Session>) -> Option<Box<Session>> {
        self.own_session.or_else(|| rule.cloned()).or(self.policy_session).map(Box::new)
    }
}

/// Where a backend is.
enum Place {
    Dns(Box<str>, u16),
    Endpoints(Id, Origin),
}

/// The id of the backend's cluster, which is added to what the route uses.
pub(crate) fn resolve(reference: &BackendRef<'_>, path: &str, scope: &mut Scope<'_, '_>) -> Result<Id, Fault> {
    resolve_backend(reference, path, scope).map(|resolved| resolved.cluster)
}

/// The host to ask for at a backend that is called by the proxy itself: the name that its TLS is for, or where it is, with its port.
pub(crate) fn authority(reference: &BackendRef<'_>, cluster: &Cluster, scope: &Scope<'_, '_>) -> Box<str> {
    let namespace = reference.namespace.unwrap_or(&scope.key.namespace);
    let place = match (&cluster.discovery, reference.port) {
        (Discovery::Dns { host, port }, _) => Some((host.to_string(), i32::from(*port))),
        (Discovery::Endpoints(_), port) => port.map(|port| (format!("{}.{namespace}.svc", reference.name), port)),
    };
    match (&cluster.tls, place) {
        (Some(tls), Some((_, port))) if port != 443 => format!("{}:{port}", tls.hostname),
        (Some(tls), _) => tls.hostname.to_string(),
        (None, Some((host, port))) => format!("{host}:{port}"),
        (None, None) => format!("{}.{namespace}", reference.name),
    }
    .into()
}

/// As [`resolve`], with all that a rule's backend is.
pub(crate) fn resolve_backend(
    reference: &BackendRef<'_>,
    path: &str,
    scope: &mut Scope<'_, '_>,
) -> Result<Resolved, Fault> {
    let (group, kind) = (reference.group.unwrap_or(""), reference.kind.unwrap_or("Service"));
    let known = match Kind::of_group(group, kind) {
        Some(known @ (Kind::Service | Kind::Backend | Kind::XBackend)) => known,
        _ => {
            let message = format!(
                "kind {kind} of group {group:?} can't be a backend; Service, XBackend and Backend (fairlead.dev) can"
            );
            return Err(Fault::new(Reason::InvalidKind, path, message));
        }
    };
    let own = &scope.key.namespace;
    let namespace =
        reference.namespace.filter(|namespace| *namespace != &**own).map_or_else(|| own.clone(), Into::into);
    let key = Key::new(namespace, reference.name);
    if known == Kind::XBackend && key.namespace != scope.key.namespace {
        let message = format!("XBackend {key} is in another namespace, and serves only routes of its own (GEP-4894)");
        return Err(Fault::new(Reason::RefNotPermitted, path, message));
    }
    if !scope.reader.permits((scope.kind, &scope.key.namespace), (group, kind, &key)) {
        return Err(Fault::new(Reason::RefNotPermitted, path, ungranted(known, &key, scope.kind, scope.key)));
    }
    match known {
        Kind::Backend => backend(key, path, scope),
        Kind::XBackend => xbackend(key, reference.port, path, scope),
        _ => service(key, reference.port, path, scope),
    }
}

fn service(key: Key, port: Option<i32>, path: &str, scope: &mut Scope<'_, '_>) -> Result<Resolved, Fault> {
    let missing = |message: String| Fault::new(Reason::BackendNotFound, path, message);
    let target = (Kind::Service, key);
    scope.reach(&target);
    let Some(object) = scope.reader.find::<Service>(&target.1) else {
        return Err(missing(format!("there is no Service {}", target.1)));
    };
    let spec = &object.spec;
    let ports = &spec.ports;
    let is_external = spec.type_.as_deref() == Some("ExternalName");
    let external = spec.external_name.as_deref().filter(|_| is_external);
    let listed = || ports.iter().map(|p| p.port.to_string()).collect::<Vec<_>>().join(", ");
    let Some(number) = port else {
        return Err(missing(format!("a Service needs a port; {} has: {}", target.1, listed())));
    };
    let transport = transport(scope.route);
    let port = endpoints::port(ports, number, transport).or_else(|| ports.iter().find(|p| p.port == number));
    if port.is_none() && (external.is_none() || !ports.is_empty()) {
        return Err(missing(format!("Service {} has no port {number}; it has: {}", target.1, listed())));
    }
    let Some(valid) = u16::try_from(number).ok().filter(|port| *port > 0) else {
        return Err(missing(format!("{number} is not a port")));
    };
    let unsupported = |message: String| Fault::new(Reason::UnsupportedProtocol, path, message);
    if let Some(port) = port.filter(|port| endpoints::protocol(port) != transport) {
        let other = endpoints::protocol(port);
        return Err(unsupported(format!("port {number} of Service {} is {other}; {transport} is needed", target.1)));
    }
    let app = port.and_then(|port| port.app_protocol.as_deref()).filter(|_| !scope.route.is_l4());
    let Some(app) =
        app.map_or(Some(App::default()), app_protocol).filter(|app| !(app.upgrades && scope.route == RouteKind::Grpc))
    else {
        let name = port.and_then(|port| port.app_protocol.as_deref()).unwrap_or_default();
        return Err(unsupported(format!(
            "appProtocol {name:?} of port {number} of Service {} is not for {}s",
            target.1, scope.kind
        )));
    };
    let id = format!("service/{}/{number}", target.1);
    let (place, sni) = match external {
        Some(name) => {
            let host: Box<str> = name.trim_end_matches('.').to_ascii_lowercase().into();
            if !scope.allowed.has_name(&host) {
                let message = format!("externalName {host:?} of Service {} {}", target.1, endpoints::OWN_ADDRESS);
                return Err(Fault::new(Reason::UnsupportedValue, path, message));
            }
            (Place::Dns(host.clone(), valid), host)
        }
        None => {
            let sni = format!("{}.{}.svc", target.1.name, target.1.namespace).into();
            let endpoints = if transport == UDP { format!("{id}~udp").into() } else { id.as_str().into() };
            (Place::Endpoints(endpoints, Origin::Service { key: target.1.clone(), port: number, transport }), sni)
        }
    };
    add(
        id,
        Found { target, section: port.and_then(|port| port.name.as_deref()), app, place, sni, own: None },
        path,
        scope,
    )
}

fn backend(key: Key, path: &str, scope: &mut Scope<'_, '_>) -> Result<Resolved, Fault> {
    let target = (Kind::Backend, key);
    scope.reach(&target);
    let Some(object) = scope.reader.find::<Backend>(&target.1) else {
        return Err(Fault::new(Reason::BackendNotFound, path, format!("there is no Backend {}", target.1)));
    };
    let id = format!("backend/{}", target.1);
    let mut app = backend_protocol(object).map_err(|(field, message)| {
        Fault::new(Reason::UnsupportedProtocol, path, format!("Backend {}: {field}: {message}", target.1))
    })?;
    if scope.route.is_l4() {
        app = App::default();
    }
    if app.upgrades && scope.route == RouteKind::Grpc {
        return Err(Fault::new(
            Reason::UnsupportedProtocol,
            path,
            format!("Backend {} speaks WebSocket, which a GRPCRoute can't use", target.1),
        ));
    }
    let endpoints = endpoints::of_backend(id.as_str().into(), object, scope.allowed).map_err(|(field, message)| {
        Fault::new(Reason::UnsupportedValue, path, format!("Backend {} is not usable: {field}: {message}", target.1))
    })?;
    let is_unix = |e: &fairlead_ir::Endpoint| matches!(e.address, fairlead_ir::Address::Unix(_));
    if scope.route == RouteKind::Udp && endpoints.endpoints.iter().any(is_unix) {
        return Err(Fault::new(
            Reason::UnsupportedProtocol,
            path,
            format!("Backend {} has a unix socket, which takes no datagrams from here", target.1),
        ));
    }
    let named =
        object.spec.endpoints.iter().find_map(|e| e.hostname.as_deref().or_else(|| Some(&e.fqdn.as_ref()?.hostname)));
    let sni: Box<str> = named.map_or_else(|| target.1.name.as_ref().into(), |name| name.to_ascii_lowercase().into());
    let place = match &endpoints.endpoints[..] {
        [fairlead_ir::Endpoint { address: fairlead_ir::Address::Dns { host, port }, .. }] => {
            Place::Dns(host.clone(), *port)
        }
        _ => Place::Endpoints(endpoints.id, Origin::Backend { key: target.1.clone() }),
    };
    add(id, Found { target, section: None, app, place, sni, own: None }, path, scope)
}

fn xbackend(key: Key, port: Option<i32>, path: &str, scope: &mut Scope<'_, '_>) -> Result<Resolved, Fault> {
    let target = (Kind::XBackend, key);
    scope.uses.targets.insert(target.clone());
    scope.reader.find::<XBackend>(&target.1);
    let plan = match scope.policies.xbackend(&target) {
        None => return Err(Fault::new(Reason::BackendNotFound, path, format!("there is no XBackend {}", target.1))),
        Some(Err(message)) => return Err(Fault::new(Reason::UnsupportedValue, path, message.as_str())),
        Some(Ok(plan)) => plan.clone(),
    };
    if port.is_some() {
        let message = format!("XBackend {} has a port of its own, {}; leave this out", target.1, plan.port);
        return Err(Fault::new(Reason::UnsupportedValue, format!("{path}.port"), message));
    }
    let app = match x_protocol(plan.protocol.as_ref(), scope.route) {
        Some(app) => app,
        None => {
            let protocol = plan.protocol.as_ref().map_or("TCP", BackendProtocol::as_str);
            let message = format!("XBackend {} speaks {protocol}, which is not for {}s", target.1, scope.kind);
            return Err(Fault::new(Reason::UnsupportedProtocol, path, message));
        }
    };
    if plan.session.is_some() && scope.route.is_l4() {
        scope.note(path, "sessionPersistence of the XBackend has no effect here: there are no requests to carry it");
    }
    let id = format!("xbackend/{}", target.1);
    let (place, sni) = match &plan.place {
        policy::Place::Host(host) => (Place::Dns(host.clone(), plan.port), host.clone()),
        policy::Place::Pods { service } => {
            let origin = Origin::Selector { key: target.1.clone(), service: service.clone() };
            (Place::Endpoints(id.as_str().into(), origin), target.1.name.as_ref().into())
        }
    };
    add(id, Found { target, section: None, app, place, sni, own: Some(plan) }, path, scope)
}

/// What an XBackend's `protocol` asks for, `None` when it can't serve this kind of route. MCP is carried by HTTP.
fn x_protocol(protocol: Option<&BackendProtocol>, route: RouteKind) -> Option<App> {
    use BackendProtocol as P;
    let (h1, h2) = (Some(Protocol::Http1), Some(Protocol::Http2));
    let (protocol, upgrades, for_http, for_grpc) = match protocol {
        None => (None, false, true, true),
        Some(P::Http) => (h1, false, true, true),
        Some(P::Http11 | P::Mcp) => (h1, false, true, false),
        Some(P::Http2 | P::H2C | P::Grpc) => (h2, false, true, true),
        Some(P::Wss) => (h1, true, true, false),
        Some(P::Tcp | P::Other(_)) => (None, false, false, false),
    };
    let fits = match route {
        RouteKind::Http => for_http,
        RouteKind::Grpc => for_grpc,
        // They don't look at what they carry.
        RouteKind::Tls | RouteKind::Tcp => return Some(App::default()),
        RouteKind::Udp => false,
    };
    fits.then_some(App { protocol, tls: false, upgrades })
}

/// What a `Backend`'s `appProtocols` ask for; the path and what is wrong otherwise.
fn backend_protocol(backend: &Backend) -> Result<App, (String, String)> {
    let mut app = App::default();
    for (i, protocol) in backend.spec.app_protocols.iter().enumerate() {
        match protocol {
            AppProtocol::H2c | AppProtocol::EnvoyH2c => app.protocol = Some(Protocol::Http2),
            AppProtocol::Ws | AppProtocol::EnvoyWs => app.upgrades = true,
            AppProtocol::Wss | AppProtocol::EnvoyWss => (app.upgrades, app.tls) = (true, true),
            AppProtocol::Other(other) => {
                return Err((format!("spec.appProtocols[{i}]"), format!("{other:?} is not known")));
            }
        }
    }
    // Several protocols mean that any of them is understood.
    app.upgrades &= app.protocol.is_none();
    Ok(app)
}

/// Everything that is wrong with a `Backend` by itself.
pub(crate) fn check_backend(key: &Key, backend: &Backend, allowed: Allowed) -> Result<(), Fault> {
    let checked = backend_protocol(backend)
        .and_then(|_| endpoints::of_backend(format!("backend/{key}").into(), backend, allowed));
    checked.map(|_| ()).map_err(|(field, message)| Fault::new(Reason::Invalid, field, message))
}

fn add(mut id: String, found: Found<'_>, path: &str, scope: &mut Scope<'_, '_>) -> Result<Resolved, Fault> {
    let Found { target, section, app, place, sni, own } = found;
    let policy = match &own {
        Some(plan) => plan.tls.clone().map(Ok),
        None => scope.policies.tls(&target, section).cloned(),
    };
    let policy = policy.filter(|_| scope.route != RouteKind::Udp);
    // Even one that can't be honoured makes passed through TLS differ from terminated.
    let mut matters = policy.is_some();
    scope.speaks_tls |= matters && own.is_none();
    let policy = match policy.filter(|_| !scope.passthrough) {
        Some(Err(message)) => return Err(Fault::new(Reason::InvalidBackendTls, path, message)),
        Some(Ok(policy)) => Some(policy),
        None => None,
    };
    let certificate = match &own {
        Some(plan) => plan.client_certificate.clone(),
        None => scope.client_certificate.clone(),
    };
    let tls = tls(policy.as_deref(), app, sni, certificate, scope);
    matters |= tls.is_some();
    // Of an XBackend, whose certificate is its own, only whether there is TLS at all can make a difference.
    scope.speaks_tls |= matters && (own.is_none() || scope.route == RouteKind::Tls);
    let traffic = scope.policies.traffic(&target).filter(|_| !scope.route.is_l4());
    let (protocol, suffix) = match scope.route {
        RouteKind::Tls | RouteKind::Tcp if tls.is_some() => (Protocol::Tcp, "~tls"),
        RouteKind::Tls | RouteKind::Tcp => (Protocol::Tcp, "~tcp"),
        RouteKind::Udp => (Protocol::Udp, "~udp"),
        RouteKind::Grpc => (Protocol::Http2, "~h2"),
        RouteKind::Http => match app.protocol.unwrap_or_default() {
            Protocol::Http2 => (Protocol::Http2, "~h2"),
            other => (other, ""),
        },
    };
    id.push_str(suffix);
    if let Some(certificate) = tls.as_ref().and_then(|tls| tls.client_certificate.as_ref()) {
        id.push('~');
        id.push_str(certificate);
    }
    let id: Id = id.into();
    let discovery = match place {
        Place::Dns(host, port) => Discovery::Dns { host, port },
        Place::Endpoints(id, origin) => {
            scope.uses.endpoints.insert(id.clone(), origin);
            Discovery::Endpoints(id)
        }
    };
    let cluster = Cluster {
        id: id.clone(),
        protocol,
        tls,
        discovery,
        load_balancing: LoadBalancing::default(),
        connect_timeout: CONNECT_TIMEOUT,
        idle_timeout: IDLE_TIMEOUT,
        retry_budget: traffic.and_then(|traffic| traffic.retry_budget),
    };
    scope.uses.clusters.insert(id.clone(), Arc::new(cluster));
    Ok(Resolved {
        cluster: id,
        own_session: own.and_then(|plan| plan.session.clone()).filter(|_| !scope.route.is_l4()),
        policy_session: traffic.and_then(|traffic| traffic.session.clone()),
    })
}

/// TLS as the policy says; without one as `appProtocol` says, and then nobody's certificate is checked.
fn tls(
    policy: Option<&BackendTls>,
    app: App,
    sni: Box<str>,
    certificate: Option<Arc<Secret>>,
    scope: &mut Scope<'_, '_>,
) -> Option<ClusterTls> {
    let mut tls = match policy {
        Some(policy) => {
            scope.uses.secrets.extend(policy.secrets.iter().map(|secret| (secret.id.clone(), secret.clone())));
            ClusterTls {
                hostname: policy.hostname.clone(),
                ca: policy.ca.clone(),
                sans: policy.sans.clone(),
                client_certificate: None,
            }
        }
        None if app.tls => {
            ClusterTls { hostname: sni, ca: CaSource::Insecure, sans: Vec::new(), client_certificate: None }
        }
        None => return None,
    };
    if let Some(secret) = certificate {
        tls.client_certificate = Some(secret.id.clone());
        scope.uses.secrets.insert(secret.id.clone(), secret);
    }
    Some(tls)
}

/// What a kind of route needs of a Service's port.
fn transport(route: RouteKind) -> &'static str {
    if route == RouteKind::Udp { UDP } else { "TCP" }
}

const UDP: &str = "UDP";

/// KEP-3726's names, IANA's, and the usual short ones; `None` for others.
fn app_protocol(name: &str) -> Option<App> {
    let (h1, h2) = (Some(Protocol::Http1), Some(Protocol::Http2));
    let (protocol, tls, upgrades) = match name.to_ascii_lowercase().as_str() {
        "" | "tcp" => (None, false, false),
        "http" => (h1, false, false),
        "kubernetes.io/h2c" | "h2c" | "http2" | "grpc" => (h2, false, false),
        "kubernetes.io/ws" | "ws" => (h1, false, true),
        "kubernetes.io/wss" | "wss" => (h1, true, true),
        "https" | "tls" => (None, true, false),
        _ => return None,
    };
    Some(App { protocol, tls, upgrades })
}
