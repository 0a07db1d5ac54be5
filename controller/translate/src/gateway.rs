//! Gateways: addresses, TLS towards clients and backends, and the summary of the listeners.
//!
//! * `Accepted` is false for a class that is not accepted, a `parametersRef` that names no valid ProxyClass, an address of an
//!   unknown type, and when no listener is fit to serve; then nothing of the Gateway is served. Reason `ListenersNotValid` with
//!   status true says that some listeners are out.
//! * In a cluster a ProxyClass says how proxies run, not what they serve: when it is missing or wrong, the proxies that the last
//!   good one made serve on, and no others are made.
//! * `Programmed` is false when it is not accepted, when an address can't be used, or when no socket could be opened.
//! * `ResolvedRefs` is false for the client certificate towards backends, or when a listener has unresolved references.

use crate::addresses::{self, Addresses};
use crate::class::Class;
use crate::fleet;
use crate::frame::{Context, Namespaces};
use crate::frontend::{self, Frontend};
use crate::listener::{self, Draft, Owner, Spec};
use crate::status::{Condition, ConditionType, Fault, GatewayStatus, Reason, observed};
use crate::tls::KeyPair;
use fairlead_crds::Kind;
use fairlead_crds::core::Secret as SecretObject;
use fairlead_crds::gateway::{FromNamespaces, Gateway, GatewayDefaultScope, SecretObjectReference};
use fairlead_crds::v1alpha1::ProxyClassSpec;
use fairlead_ir::{HttpSettings, Secret};
use fairlead_store::Key;
use std::sync::Arc;

/// A Gateway on its way through the checks.
pub(crate) struct GatewayDraft {
    pub key: Key,
    generation: Option<i64>,
    pub listeners: Vec<Draft>,
    pub addresses: Addresses,
    pub frontend: Frontend,
    /// The key pair to present to backends.
    pub client_certificate: Option<Arc<Secret>>,
    rejected: Vec<Fault>,
    refs: Vec<Fault>,
    pub allowed_listeners: Namespaces,
    pub owner: fleet::Owner,
    /// How its proxies run.
    pub parameters: ProxyClassSpec,
    /// What its listeners do with requests.
    pub http: HttpSettings,
    has_fleet: bool,
    /// Whether the outcome of each address is told.
    tells_addresses: bool,
}

/// Reads a Gateway of one of our classes.
pub(crate) fn draft<'a>(
    key: &Key,
    gateway: &'a Gateway,
    class: Option<&Class<'_>>,
    context: &mut Context<'a, '_>,
) -> GatewayDraft {
    let spec = &gateway.spec;
    let mut rejected: Vec<Fault> = class
        .and_then(|class| class.fault.as_ref())
        .map(|fault| {
            let message = format!("GatewayClass {} is not accepted: {fault}", spec.gateway_class_name);
            Fault::new(fault.reason, "spec.gatewayClassName", message)
        })
        .into_iter()
        .collect();
    let parameters = parameters(key, gateway, class, context);
    let valid = parameters.is_ok() && rejected.is_empty();
    let parameters = parameters.unwrap_or_else(|fault| {
        rejected.push(fault);
        ProxyClassSpec::default()
    });
    if spec.default_scope.as_ref().is_some_and(|scope| *scope != GatewayDefaultScope::None) {
        context.reader.note(
            Kind::Gateway,
            key,
            "spec.defaultScope",
            "default Gateways are experimental and not served: routes must name this Gateway in parentRefs",
        );
    }
    let allowed = spec.allowed_listeners.as_ref().and_then(|allowed| allowed.namespaces.as_ref());
    let (from, selector) = (allowed.and_then(|a| a.from.as_ref()), allowed.and_then(|a| a.selector.as_ref()));
    let default = FromNamespaces::None;
    let allowed_listeners = listener::namespaces(from, selector, default, "spec.allowedListeners.namespaces", key)
        .unwrap_or_else(|fault| {
            context.reader.note(
                Kind::Gateway,
                key,
                fault.path,
                format!("{}; no ListenerSet can attach", fault.message),
            );
            Namespaces::None
        });
    let frontend = frontend::read(key, gateway, context);
    let mut refs = Vec::new();
    let reference = spec.tls.as_ref().and_then(|tls| tls.backend.as_ref()?.client_certificate_ref.as_ref());
    let client_certificate = reference.and_then(|reference| {
        let path = "spec.tls.backend.clientCertificateRef";
        match key_pair(reference, (Kind::Gateway, key), path, Reason::InvalidClientCertificateRef, context) {
            Ok(pair) => Some(pair.secret.clone()),
            Err(fault) => {
                refs.push(fault);
                None
            }
        }
    });
    let owner =
        Owner { kind: Kind::Gateway, key, frontend: &frontend, client_certificate: client_certificate.as_ref() };
    let listeners =
        spec.listeners.iter().enumerate().map(|(i, l)| listener::draft(&Spec::from(l), i, &owner, context)).collect();
    GatewayDraft {
        key: key.clone(),
        generation: gateway.metadata.generation,
        listeners,
        addresses: match context.settings.fleet {
            Some(_) => fleet::read_addresses(key, &spec.addresses, valid.then_some(&parameters), context),
            None => addresses::read(key, &spec.addresses, context),
        },
        frontend,
        client_certificate,
        rejected,
        refs,
        allowed_listeners,
        owner: fleet::Owner::of(key, gateway),
        parameters,
        http: http(key, gateway, class, context),
        has_fleet: context.settings.fleet.is_some(),
        tells_addresses: context.settings.routability,
    }
}

/// How the proxies run: as the Gateway's own ProxyClass says, then its class's.
fn parameters(
    key: &Key,
    gateway: &Gateway,
    class: Option<&Class<'_>>,
    context: &mut Context<'_, '_>,
) -> Result<ProxyClassSpec, Fault> {
    const PATH: &str = "spec.infrastructure.parametersRef";
    let of_class = class.and_then(|class| class.parameters);
    let reference =
        gateway.spec.infrastructure.as_ref().and_then(|infrastructure| infrastructure.parameters_ref.as_ref());
    let Some(reference) = reference else { return Ok(of_class.cloned().unwrap_or_default()) };
    let named = Key::new(key.namespace.clone(), reference.name.as_str());
    let own = fleet::resolve(context.reader.world, (&reference.group, &reference.kind), &named, PATH)?;
    if context.settings.fleet.is_none() {
        context.reader.note(Kind::Gateway, key, PATH, "a ProxyClass has no effect outside of a cluster");
    }
    let merged = of_class.map_or_else(|| own.clone(), |class| fleet::merge(own, class));
    // Either may be fine by itself.
    fleet::check(&merged).map_err(|fault| {
        let message =
            format!("together with the ProxyClass of GatewayClass {}: {fault}", gateway.spec.gateway_class_name);
        Fault::new(Reason::InvalidParameters, PATH, message)
    })?;
    Ok(merged)
}

/// What listeners do with requests: as the Gateway's own ProxyClass says, then its class's, then the settings. A ProxyClass that is wrong
/// says what it says of requests all the same: who mistypes the number of proxies turns no client away.
fn http(key: &Key, gateway: &Gateway, class: Option<&Class<'_>>, context: &Context<'_, '_>) -> HttpSettings {
    let base = &context.settings.http;
    if context.settings.fleet.is_none() {
        return base.clone();
    }
    let own = gateway.spec.infrastructure.as_ref().and_then(|infrastructure| {
        let reference = infrastructure.parameters_ref.as_ref()?;
        let named = Key::new(key.namespace.clone(), reference.name.as_str());
        fleet::stated(context.reader.world, (&reference.group, &reference.kind), &named)
    });
    let stated = class.and_then(|class| class.stated).into_iter().chain(own);
    stated.fold(base.clone(), |http, spec| fleet::http(spec, &http))
}

impl GatewayDraft {
    /// Once conflicts are known: is there a listener to serve?
    pub fn judge(&mut self) {
        self.rejected.extend(self.addresses.rejected.iter().cloned());
        if self.served() && !self.listeners.iter().any(Draft::fit) {
            let problems = problems(&self.listeners);
            let message = if problems.is_empty() {
                "it has no listener".to_owned()
            } else {
                format!("no listener is usable: {problems}")
            };
            self.rejected.push(Fault::new(Reason::ListenersNotValid, "", message));
        }
    }

    /// Whether it is not accepted, whatever its listeners say.
    pub fn rejected_as_a_whole(&self) -> bool {
        !self.rejected.is_empty() || !self.addresses.rejected.is_empty()
    }

    pub fn accepted(&self) -> bool {
        self.rejected.is_empty()
    }

    /// Whether its listeners are served: also when nothing but the parameters of its proxies is wrong, where proxies that were made
    /// before are other processes.
    pub fn served(&self) -> bool {
        self.rejected.iter().all(|fault| self.has_fleet && fault.reason == Reason::InvalidParameters)
    }

    /// Why it is not served, or not where it should be.
    pub fn unprogrammed(&self) -> Option<Fault> {
        if let Some(fault) = Fault::join(&self.rejected) {
            return Some(Fault { reason: Reason::Invalid, ..fault });
        }
        if let Some(fault) = self.addresses.unprogrammed(self.tells_addresses) {
            return Some(fault);
        }
        let dead = !self.listeners.iter().any(Draft::programmed);
        dead.then(|| Fault::new(Reason::AddressNotUsable, "", "no socket could be opened; the listeners say why"))
    }

    pub fn status(&self, attached_listener_sets: usize) -> GatewayStatus {
        let out = problems(&self.listeners);
        let accepted = match Fault::join(&self.rejected) {
            Some(fault) => Condition::of(ConditionType::Accepted, Some(&fault), Reason::Accepted, ""),
            None if out.is_empty() => {
                Condition::new(ConditionType::Accepted, true, Reason::Accepted, "The Gateway is valid")
            }
            None => {
                let fit = self.listeners.iter().filter(|l| l.fit()).map(|l| &*l.name).collect::<Vec<_>>().join(", ");
                Condition::new(
                    ConditionType::Accepted,
                    true,
                    Reason::ListenersNotValid,
                    format!("Served: {fit}. Not served: {out}"),
                )
            }
        };
        let unprogrammed = self.unprogrammed();
        let mut refs = self.refs.clone();
        let unresolved: Vec<_> = self.listeners.iter().filter(|l| !l.resolved()).map(|l| &*l.name).collect();
        if !unresolved.is_empty() {
            let message = format!("unresolved references in {}; their conditions say which", unresolved.join(", "));
            refs.push(Fault::new(Reason::ListenersNotResolved, "spec.listeners", message));
        }
        let mut conditions = vec![
            accepted,
            Condition::of(
                ConditionType::Programmed,
                unprogrammed.as_ref(),
                Reason::Programmed,
                "The Gateway is served",
            ),
            Condition::of(
                ConditionType::ResolvedRefs,
                Fault::join(&refs).as_ref(),
                Reason::ResolvedRefs,
                "All references resolve",
            ),
        ];
        if self.tells_addresses && self.served() {
            conditions.push(self.addresses.assigned());
        }
        if self.frontend.is_insecure() {
            let message = "Clients without a valid certificate are let in (mode AllowInsecureFallback); for tests only";
            conditions.push(Condition::new(
                ConditionType::InsecureFrontendValidationMode,
                true,
                Reason::ConfigurationChanged,
                message,
            ));
        }
        GatewayStatus {
            addresses: if self.served() { self.addresses.published.clone() } else { Vec::new() },
            conditions: observed(conditions, self.generation),
            listeners: self.listeners.iter().map(|l| l.status(self.generation, self.unserved().as_ref())).collect(),
            attached_listener_sets: u32::try_from(attached_listener_sets).unwrap_or(u32::MAX),
        }
    }

    /// Why no listener of it is served, sound ones included.
    pub fn unserved(&self) -> Option<Fault> {
        if !self.served() {
            return Some(Fault::new(Reason::Invalid, "", "the Gateway is not accepted; its conditions say why"));
        }
        let none = self.addresses.binds.is_empty();
        none.then(|| Fault::new(Reason::Invalid, "", "the Gateway has no usable address"))
    }
}

/// Names of listeners that are out, and why.
pub(crate) fn problems(listeners: &[Draft]) -> String {
    const SHOWN: usize = 8;
    let each = || listeners.iter().filter_map(|l| Some((l, l.problem()?)));
    let mut text = each().take(SHOWN).map(|(l, fault)| format!("{} ({fault})", l.name)).collect::<Vec<_>>().join(", ");
    match each().count() {
        more if more > SHOWN => text.push_str(&format!(" and {} more", more - SHOWN)),
        _ => {}
    }
    text
}

/// The key pair that a reference of a Gateway or ListenerSet names.
pub(crate) fn key_pair(
    reference: &SecretObjectReference,
    from: (Kind, &Key),
    path: &str,
    invalid: Reason,
    context: &mut Context<'_, '_>,
) -> Result<Arc<KeyPair>, Fault> {
    let (group, kind) = (reference.group.as_deref().unwrap_or(""), reference.kind.as_deref().unwrap_or("Secret"));
    let key = Key::new(reference.namespace.as_deref().unwrap_or(&from.1.namespace), reference.name.as_str());
    if Kind::of_group(group, kind) != Some(Kind::Secret) {
        return Err(Fault::new(
            invalid,
            path,
            format!("kind {kind} of group {group:?} can't hold a certificate; use a Secret"),
        ));
    }
    if !context.reader.permits((from.0, &from.1.namespace), (group, kind, &key)) {
        return Err(Fault::new(Reason::RefNotPermitted, path, ungranted(Kind::Secret, &key, from.0, from.1)));
    }
    let Some(secret) = context.reader.find::<SecretObject>(&key) else {
        return Err(Fault::new(invalid, path, format!("there is no Secret {key}")));
    };
    let pair = context
        .vault
        .key_pair(&key, secret)
        .map_err(|error| Fault::new(invalid, path, format!("Secret {key}: {error}")))?;
    if let Some(problem) = pair.validity.problem(context.settings.now) {
        context.reader.note(from.0, from.1, path, format!("Secret {key}: {problem}"));
    }
    Ok(pair)
}

/// What to do about a missing ReferenceGrant.
pub(crate) fn ungranted(kind: Kind, to: &Key, from_kind: Kind, from: &Key) -> String {
    format!(
        "{kind} {to} is in another namespace, and no ReferenceGrant in {} lets {from_kind}s of {} refer to it",
        to.namespace, from.namespace
    )
}
