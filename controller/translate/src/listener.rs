//! One listener of a Gateway or ListenerSet.
//!
//! What is wrong goes into one of three places: `accepted` (the listener can't be served as it is: protocol, values, no
//! usable CA), `refs` (certificates, CAs, route kinds), `conflict` (see [`crate::conflict`]). A listener is fit to serve when it is
//! accepted, has no conflict and, where it terminates TLS, has at least one usable certificate.

use crate::frame::{Context, Door, Namespaces};
use crate::host::Host;
use crate::listener_filters;
use crate::route::Uses;
use crate::selector;
use crate::status::{Condition, ConditionType, Fault, ListenerStatus, Reason, observed};
use fairlead_crds::Kind;
use fairlead_crds::gateway::{
    AllowedRoutes, FromNamespaces, GROUP, Listener, ListenerEntry, ListenerFilters, ListenerTLSConfig, ProtocolType,
    RouteGroupKind, TLSModeType,
};
use fairlead_ir::{Bind, ClientValidation, HttpSettings, Id, ListenerProtocol, ListenerTls, Secret};
use fairlead_store::Key;
use std::sync::Arc;

/// What Gateways and ListenerSets say about a listener.
pub(crate) struct Spec<'a> {
    name: &'a str,
    hostname: Option<&'a str>,
    port: i32,
    protocol: &'a ProtocolType,
    tls: Option<&'a ListenerTLSConfig>,
    allowed_routes: Option<&'a AllowedRoutes>,
    filters: Option<&'a ListenerFilters>,
}

macro_rules! spec {
    ($type:ty) => {
        impl<'a> From<&'a $type> for Spec<'a> {
            fn from(l: &'a $type) -> Self {
                Spec {
                    name: &l.name,
                    hostname: l.hostname.as_deref().filter(|name| !name.is_empty()),
                    port: l.port,
                    protocol: &l.protocol,
                    tls: l.tls.as_ref(),
                    allowed_routes: l.allowed_routes.as_ref(),
                    filters: l.filters.as_ref(),
                }
            }
        }
    };
}
spec!(Listener);
spec!(ListenerEntry);

/// The Gateway or ListenerSet that a listener stands in.
pub(crate) struct Owner<'a> {
    pub kind: Kind,
    pub key: &'a Key,
    /// CA validation of clients by port, from the Gateway.
    pub frontend: &'a crate::frontend::Frontend,
    /// What the Gateway presents to backends.
    pub client_certificate: Option<&'a Arc<Secret>>,
}

/// A listener on its way through the checks.
pub(crate) struct Draft {
    pub name: Box<str>,
    pub port: i32,
    /// `None`: a protocol that we don't know.
    pub protocol: Option<ListenerProtocol>,
    /// Whether the data plane serves the protocol.
    pub supported: bool,
    pub hostname: Option<Host>,
    /// Its host name can't be read.
    nameless: bool,
    kinds: Vec<Kind>,
    namespaces: Namespaces,
    /// TLS ends here, so that a certificate is needed.
    terminates: bool,
    certificates: Vec<Id>,
    /// DNS names of the certificates.
    pub certificate_names: Vec<Host>,
    client_validation: Option<ClientValidation>,
    filters: Option<fairlead_ir::ListenerFilters>,
    /// What its filters make the configuration hold.
    pub uses: Uses,
    accepted: Vec<Fault>,
    refs: Vec<Fault>,
    pub conflict: Option<Fault>,
    pub overlap: Option<(Reason, String)>,
    unbound: Option<Fault>,
    pub ids: Vec<Id>,
}

/// Reads one listener.
pub(crate) fn draft<'a>(spec: &Spec<'a>, index: usize, owner: &Owner<'_>, context: &mut Context<'a, '_>) -> Draft {
    let path = format!("spec.listeners[{index}]");
    let protocol = protocol(spec.protocol);
    let supported = protocol.is_some_and(|protocol| context.settings.protocols.contains(&protocol));
    let mut draft = Draft {
        name: spec.name.into(),
        port: spec.port,
        protocol,
        supported,
        hostname: None,
        nameless: false,
        kinds: Vec::new(),
        namespaces: Namespaces::None,
        terminates: false,
        certificates: Vec::new(),
        certificate_names: Vec::new(),
        client_validation: None,
        filters: None,
        uses: Uses::default(),
        accepted: Vec::new(),
        refs: Vec::new(),
        conflict: None,
        overlap: None,
        unbound: None,
        ids: Vec::new(),
    };
    if !supported {
        let served: Vec<_> = context.settings.protocols.iter().map(|protocol| name(*protocol)).collect();
        let message = format!("protocol {} is not served; one of {} is", spec.protocol, served.join(", "));
        draft.accepted.push(Fault::new(Reason::UnsupportedProtocol, format!("{path}.protocol"), message));
    }
    if draft.port_number().is_none() {
        draft.reject(&path, ".port", "must be 1 to 65535");
    }
    if let Some(name) =
        spec.hostname.filter(|_| !matches!(protocol, Some(ListenerProtocol::Tcp | ListenerProtocol::Udp)))
    {
        match Host::parse(name) {
            Ok(host) => draft.hostname = Some(host),
            Err(error) => {
                draft.nameless = true;
                draft.reject(&path, ".hostname", &error);
            }
        }
    }
    draft.routes(spec.allowed_routes, &path, owner.key);
    draft.tls(spec, &path, owner, context);
    let lowered = listener_filters::lower(spec.filters, protocol, &path, owner, context);
    draft.accepted.extend(lowered.accepted);
    draft.refs.extend(lowered.refs);
    (draft.filters, draft.uses) = (lowered.filters, lowered.uses);
    draft
}

impl Draft {
    fn reject(&mut self, path: &str, field: &str, message: &str) {
        self.accepted.push(Fault::new(Reason::UnsupportedValue, format!("{path}{field}"), message));
    }

    /// Which routes may attach.
    fn routes(&mut self, allowed: Option<&AllowedRoutes>, path: &str, owner: &Key) {
        let takes = if self.supported { self.protocol.map(route_kinds).unwrap_or_default() } else { &[] };
        let listed = allowed.map(|allowed| &*allowed.kinds).unwrap_or_default();
        if listed.is_empty() {
            self.kinds = takes.to_vec();
        }
        for (i, kind) in listed.iter().enumerate().filter(|_| self.supported) {
            let group = kind.group.as_deref().unwrap_or(GROUP);
            match Kind::of_group(group, &kind.kind).filter(|known| takes.contains(known)) {
                Some(known) if self.kinds.contains(&known) => {}
                Some(known) => self.kinds.push(known),
                None => {
                    let takes = takes.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(" and ");
                    let message = format!(
                        "{} of group {group:?} can't attach here; a listener of this protocol takes {takes}",
                        kind.kind
                    );
                    self.refs.push(Fault::new(
                        Reason::InvalidRouteKinds,
                        format!("{path}.allowedRoutes.kinds[{i}]"),
                        message,
                    ));
                }
            }
        }
        let namespaces = allowed.and_then(|allowed| allowed.namespaces.as_ref());
        let path = format!("{path}.allowedRoutes.namespaces");
        let (from, selector) = (namespaces.and_then(|n| n.from.as_ref()), namespaces.and_then(|n| n.selector.as_ref()));
        match self::namespaces(from, selector, FromNamespaces::Same, &path, owner) {
            Ok(namespaces) => self.namespaces = namespaces,
            Err(fault) => self.accepted.push(fault),
        }
    }

    /// Certificates and the validation of clients.
    fn tls<'a>(&mut self, spec: &Spec<'a>, path: &str, owner: &Owner<'_>, context: &mut Context<'a, '_>) {
        let terminates = match (self.protocol, spec.tls) {
            (Some(ListenerProtocol::Https), None) => {
                self.reject(path, ".tls", "a listener of protocol HTTPS needs tls.certificateRefs");
                return;
            }
            (Some(ListenerProtocol::Tls), None) => {
                return self.reject(
                    path,
                    ".tls",
                    "a listener of protocol TLS needs tls: its mode, and certificateRefs to terminate",
                );
            }
            (Some(ListenerProtocol::Https | ListenerProtocol::Tls), Some(tls)) => tls,
            (Some(_), Some(_)) => {
                return self.reject(path, ".tls", "only listeners of protocol HTTPS and TLS have tls");
            }
            _ => return,
        };
        match terminates.mode.as_ref().unwrap_or(&TLSModeType::Terminate) {
            TLSModeType::Terminate => {}
            TLSModeType::Passthrough if self.protocol == Some(ListenerProtocol::Tls) => return,
            TLSModeType::Passthrough => return self.reject(path, ".tls.mode", "Passthrough needs protocol TLS"),
            TLSModeType::Other(other) => {
                return self.reject(path, ".tls.mode", &format!("{other:?} is neither Terminate nor Passthrough"));
            }
        }
        self.terminates = true;
        if terminates.certificate_refs.is_empty() {
            self.refs.push(Fault::new(
                Reason::InvalidCertificateRef,
                format!("{path}.tls.certificateRefs"),
                "at least one certificate is needed",
            ));
        }
        for name in terminates.options.keys() {
            context.reader.note(
                owner.kind,
                owner.key,
                format!("{path}.tls.options[{name}]"),
                "this option is not known and has no effect",
            );
        }
        for (i, reference) in terminates.certificate_refs.iter().enumerate() {
            let path = format!("{path}.tls.certificateRefs[{i}]");
            match crate::gateway::key_pair(
                reference,
                (owner.kind, owner.key),
                &path,
                Reason::InvalidCertificateRef,
                context,
            ) {
                Ok(pair) => {
                    self.certificates.push(pair.secret.id.clone());
                    self.certificate_names.extend(pair.names.iter().cloned());
                    context.secrets.insert(pair.secret.id.clone(), pair.secret.clone());
                }
                Err(fault) => self.refs.push(fault),
            }
        }
        if self.protocol == Some(ListenerProtocol::Https)
            && let Some(validation) = owner.frontend.of(self.port)
        {
            self.accepted.extend(validation.rejected.iter().cloned());
            self.refs.extend(validation.refs.iter().cloned());
            self.client_validation.clone_from(&validation.compiled);
        }
    }

    /// The port, when it is one.
    pub fn port_number(&self) -> Option<u16> {
        u16::try_from(self.port).ok().filter(|port| *port > 0)
    }

    /// Whether it can be served.
    pub fn fit(&self) -> bool {
        self.accepted.is_empty() && self.conflict.is_none() && !(self.terminates && self.certificates.is_empty())
    }

    /// Whether it claims requests that another listener could claim too.
    pub fn takes_part(&self) -> bool {
        self.supported && !self.nameless && self.port_number().is_some()
    }

    /// What is wrong with it, if anything, for its Gateway's message.
    pub fn problem(&self) -> Option<Fault> {
        self.conflict
            .clone()
            .or_else(|| Fault::join(&self.accepted))
            .or_else(|| if self.fit() { None } else { Fault::join(&self.refs) })
    }

    /// Whether all its references resolve.
    pub fn resolved(&self) -> bool {
        self.refs.is_empty()
    }

    pub fn bind_failed(&mut self, bind: Bind, reason: &str) {
        let address = bind.address.map_or_else(|| "all addresses".to_owned(), |address| address.to_string());
        let message = format!("port {} of {address} can't be listened on: {reason}", bind.port);
        self.unbound = Some(Fault::new(Reason::PortUnavailable, "", message));
    }

    /// Whether it is served and its socket is open.
    pub fn programmed(&self) -> bool {
        !self.ids.is_empty() && self.unbound.is_none()
    }

    pub fn door(&self) -> Door {
        Door {
            name: self.name.clone(),
            port: self.port,
            hostname: self.hostname.clone(),
            kinds: self.kinds.clone(),
            namespaces: self.namespaces.clone(),
            passthrough: self.protocol == Some(ListenerProtocol::Tls) && !self.terminates,
            ids: self.ids.clone(),
        }
    }

    pub fn listener(&self, id: Id, gateway: &Key, bind: Bind, http: HttpSettings) -> fairlead_ir::Listener {
        let encrypted = matches!(self.protocol, Some(ListenerProtocol::Https | ListenerProtocol::Tls));
        let tls = encrypted.then(|| ListenerTls {
            certificates: self.certificates.clone(),
            client_validation: self.client_validation.clone(),
            detect_misdirected: self.protocol == Some(ListenerProtocol::Https),
        });
        fairlead_ir::Listener {
            id,
            gateway: gateway.to_string().into(),
            bind,
            protocol: self.protocol.unwrap_or(ListenerProtocol::Http),
            hostname: self.hostname.as_ref().map(|host| host.as_str().into()),
            tls,
            http,
            filters: self.filters.clone(),
        }
    }

    /// The status, with no routes attached yet.
    pub fn status(&self, generation: Option<i64>, unserved: Option<&Fault>) -> ListenerStatus {
        let accepted = self.conflict.clone().or_else(|| Fault::join(&self.accepted));
        let unprogrammed = self.conflict.clone().or_else(|| self.unbound.clone()).or_else(|| {
            let invalid = |fault: Fault| Fault { reason: Reason::Invalid, ..fault };
            self.problem().or_else(|| unserved.cloned()).map(invalid)
        });
        let mut conditions = vec![
            Condition::of(ConditionType::Accepted, accepted.as_ref(), Reason::Accepted, "The listener is valid"),
            Condition::of(
                ConditionType::Programmed,
                unprogrammed.as_ref(),
                Reason::Programmed,
                "The listener is served",
            ),
            Condition::of(
                ConditionType::ResolvedRefs,
                Fault::join(&self.refs).as_ref(),
                Reason::ResolvedRefs,
                "All references resolve",
            ),
            match &self.conflict {
                Some(fault) => Condition::new(ConditionType::Conflicted, true, fault.reason, fault.to_string()),
                None => Condition::new(
                    ConditionType::Conflicted,
                    false,
                    Reason::NoConflicts,
                    "No other listener claims its requests",
                ),
            },
        ];
        if let Some((reason, message)) = &self.overlap {
            conditions.push(Condition::new(ConditionType::OverlappingTlsConfig, true, *reason, message.as_str()));
        }
        let kinds = self
            .kinds
            .iter()
            .map(|kind| RouteGroupKind { group: Some(kind.group().to_owned()), kind: kind.as_str().to_owned() });
        ListenerStatus {
            name: self.name.clone(),
            supported_kinds: kinds.collect(),
            attached_routes: 0,
            conditions: observed(conditions, generation),
        }
    }
}

/// Reads `from` and `selector` of `allowedRoutes` and `allowedListeners`.
pub(crate) fn namespaces(
    from: Option<&FromNamespaces>,
    selector: Option<&k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector>,
    default: FromNamespaces,
    path: &str,
    owner: &Key,
) -> Result<Namespaces, Fault> {
    let wrong = |field: &str, message: String| Fault::new(Reason::UnsupportedValue, format!("{path}.{field}"), message);
    match from.unwrap_or(&default) {
        FromNamespaces::All => Ok(Namespaces::All),
        FromNamespaces::None => Ok(Namespaces::None),
        FromNamespaces::Same => Ok(Namespaces::Same(Arc::clone(&owner.namespace))),
        FromNamespaces::Selector => {
            let selector = selector.ok_or_else(|| wrong("selector", "from: Selector needs a selector".to_owned()))?;
            selector::check(selector).map_err(|error| wrong("selector", error))?;
            Ok(Namespaces::Selector(selector.clone()))
        }
        FromNamespaces::Other(other) => Err(wrong("from", format!("{other:?} is none of All, Selector, Same"))),
    }
}

fn protocol(protocol: &ProtocolType) -> Option<ListenerProtocol> {
    Some(match protocol {
        ProtocolType::Http => ListenerProtocol::Http,
        ProtocolType::Https => ListenerProtocol::Https,
        ProtocolType::Tls => ListenerProtocol::Tls,
        ProtocolType::Tcp => ListenerProtocol::Tcp,
        ProtocolType::Udp => ListenerProtocol::Udp,
        ProtocolType::Other(_) => return None,
    })
}

pub(crate) fn name(protocol: ListenerProtocol) -> &'static str {
    match protocol {
        ListenerProtocol::Http => "HTTP",
        ListenerProtocol::Https => "HTTPS",
        ListenerProtocol::Tls => "TLS",
        ListenerProtocol::Tcp => "TCP",
        ListenerProtocol::Udp => "UDP",
    }
}

/// Kinds of routes that listeners of a protocol take.
fn route_kinds(protocol: ListenerProtocol) -> &'static [Kind] {
    match protocol {
        ListenerProtocol::Http | ListenerProtocol::Https => &[Kind::HTTPRoute, Kind::GRPCRoute],
        ListenerProtocol::Tls => &[Kind::TLSRoute],
        ListenerProtocol::Tcp => &[Kind::TCPRoute],
        ListenerProtocol::Udp => &[Kind::UDPRoute],
    }
}
