//! Filters of listeners (GEP-5224): what requests pass before they are routed.
//!
//! | what | condition on the listener | requests |
//! | --- | --- | --- |
//! | a type that is not known | `Accepted` false, `UnsupportedValue` | not served |
//! | a filter that can't be honoured, changes the host, or stands at a listener that is not for HTTP | `Accepted` false, `InvalidListenerFilter` | not served |
//! | a reference that does not resolve | `ResolvedRefs` false, `InvalidListenerFilterRef` | 500 |
//! | another namespace without grant | `ResolvedRefs` false, `RefNotPermitted` | 500 |
//!
//! Their order is kept, and a filter may stand there several times.

use crate::endpoints::Allowed;
use crate::frame::Context;
use crate::listener::Owner;
use crate::route::{Scope, Uses, Wrong, extension, external_auth};
use crate::status::{Fault, Reason};
use fairlead_crds::gateway::{self, ListenerFilter, ListenerFilterType};
use fairlead_ir::{Filter, ListenerFilters, ListenerProtocol, Rewrite, RouteKind};

/// Filters of a listener, read.
#[derive(Default)]
pub(crate) struct Lowered {
    /// `None` when there are none, or the listener can't be served.
    pub filters: Option<ListenerFilters>,
    pub accepted: Vec<Fault>,
    pub refs: Vec<Fault>,
    /// What they make the configuration hold.
    pub uses: Uses,
}

/// Reads the filters of the listener at `path`.
pub(crate) fn lower(
    spec: Option<&gateway::ListenerFilters>,
    protocol: Option<ListenerProtocol>,
    path: &str,
    owner: &Owner<'_>,
    context: &mut Context<'_, '_>,
) -> Lowered {
    let mut lowered = Lowered::default();
    let Some(spec) = spec.filter(|spec| !spec.requests.is_empty()) else { return lowered };
    if protocol.is_some_and(ListenerProtocol::is_l4) {
        let message = "only listeners of protocol HTTP and HTTPS have requests";
        lowered.accepted.push(Fault::new(Reason::InvalidListenerFilter, format!("{path}.filters"), message));
        return lowered;
    }
    let mut scope = Scope {
        reader: &mut context.reader,
        policies: context.policies,
        kind: owner.kind,
        key: owner.key,
        route: RouteKind::Http,
        allowed: Allowed::of(context.settings),
        client_certificate: owner.client_certificate.cloned(),
        passthrough: false,
        speaks_tls: false,
        refs: Vec::new(),
        uses: Uses::default(),
    };
    let mut filters = Vec::new();
    for (i, filter) in spec.requests.iter().enumerate() {
        match one(filter, &format!("{path}.filters.requests[{i}]"), &mut scope) {
            Ok(found) => filters.extend(found),
            Err(Wrong::Invalid(fault)) => lowered.accepted.push(fault),
            Err(Wrong::Unresolved(fault)) => lowered.refs.push(fault),
        }
    }
    if !lowered.accepted.is_empty() {
        return lowered;
    }
    let uses = scope.uses;
    match lowered.refs.first() {
        Some(fault) => {
            // Policies for what is there are still this Gateway's.
            lowered.uses.targets = uses.targets;
            lowered.filters = Some(ListenerFilters::Broken(fault.to_string().into()));
        }
        None => {
            lowered.uses = uses;
            lowered.filters = Some(ListenerFilters::Run(filters));
        }
    }
    lowered
}

fn one(filter: &ListenerFilter, path: &str, scope: &mut Scope<'_, '_>) -> Result<Vec<Filter>, Wrong> {
    let invalid = |field: &str, message: String| {
        Wrong::Invalid(Fault::new(Reason::InvalidListenerFilter, format!("{path}.{field}"), message))
    };
    let unresolved = |fault: Fault| {
        let reason =
            if fault.reason == Reason::RefNotPermitted { fault.reason } else { Reason::InvalidListenerFilterRef };
        Wrong::Unresolved(Fault { reason, ..fault })
    };
    let missing = |field: &str| invalid(field, format!("a filter of type {} needs {field}", filter.type_));
    match &filter.type_ {
        ListenerFilterType::ExternalAuth => {
            let spec = filter.external_auth.as_ref().ok_or_else(|| missing("externalAuth"))?;
            match external_auth::lower(spec, &format!("{path}.externalAuth"), scope) {
                Ok(auth) => Ok(vec![Filter::ExternalAuth(auth)]),
                Err(Wrong::Unresolved(fault)) => Err(unresolved(fault)),
                Err(Wrong::Invalid(fault)) => {
                    Err(Wrong::Invalid(Fault { reason: Reason::InvalidListenerFilter, ..fault }))
                }
            }
        }
        ListenerFilterType::ExtensionRef => {
            let reference = filter.extension_ref.as_ref().ok_or_else(|| missing("extensionRef"))?;
            let filters = extension(reference, &format!("{path}.extensionRef"), scope).map_err(unresolved)?;
            if filters.iter().any(|filter| matches!(filter, Filter::Rewrite(Rewrite { hostname: Some(_), .. }))) {
                let message =
                    format!("RouteFilter {} changes the host, by which the listener was chosen", reference.name);
                return Err(invalid("extensionRef", message));
            }
            Ok(filters)
        }
        ListenerFilterType::Other(other) => {
            let message =
                format!("filters of type {other:?} can't stand at a listener; ExternalAuth and ExtensionRef can");
            Err(Wrong::Invalid(Fault::new(Reason::UnsupportedValue, format!("{path}.type"), message)))
        }
    }
}
