//! `backendRefs` of a rule.

use super::filter_spec::FilterSpec;
use super::{Rule, Scope, filters};
use crate::cluster::{self, BackendRef};
use crate::status::{Fault, Reason};
use fairlead_crds::gateway::{self, GRPCBackendRef, HTTPBackendRef};
use fairlead_ir::{Backend, BackendTarget};

/// A backend of a rule, whatever kind of route it stands in.
pub(super) struct Spec<'a> {
    reference: BackendRef<'a>,
    weight: Option<i32>,
    filters: Vec<FilterSpec<'a>>,
}

macro_rules! spec {
    ($type:ty, |$b:ident| $filters:expr) => {
        impl<'a> From<&'a $type> for Spec<'a> {
            fn from($b: &'a $type) -> Self {
                Spec {
                    reference: BackendRef {
                        group: $b.group.as_deref(),
                        kind: $b.kind.as_deref(),
                        name: &$b.name,
                        namespace: $b.namespace.as_deref(),
                        port: $b.port,
                    },
                    weight: $b.weight,
                    filters: $filters,
                }
            }
        }
    };
}
spec!(HTTPBackendRef, |b| b.filters.iter().map(FilterSpec::from).collect());
spec!(GRPCBackendRef, |b| b.filters.iter().map(FilterSpec::from).collect());
spec!(gateway::BackendRef, |b| Vec::new());

/// Adds the backends to the rule. One that does not resolve, or whose filters don't, answers 500 for its share.
pub(super) fn lower<'a>(
    rule: &mut Rule,
    backends: impl Iterator<Item = Spec<'a>>,
    path: &str,
    scope: &mut Scope<'_, '_>,
) {
    for (i, spec) in backends.enumerate() {
        let path = format!("{path}.backendRefs[{i}]");
        let weight = spec.weight.unwrap_or(1);
        let Ok(weight) = u32::try_from(weight) else {
            rule.refuse([Fault::new(
                Reason::UnsupportedValue,
                format!("{path}.weight"),
                format!("{weight} is less than 0"),
            )]);
            continue;
        };
        let found = filters::lower(&spec.filters, &path, &rule.matches, scope);
        rule.refuse(found.invalid);
        let mut session = None;
        let target = match (cluster::resolve_backend(&spec.reference, &path, scope), found.unresolved) {
            (Ok(resolved), None) => {
                let cluster = resolved.cluster.clone();
                session = resolved.session(rule.session.as_ref());
                BackendTarget::Cluster(cluster)
            }
            (Ok(_), Some(fault)) => BackendTarget::Invalid(fault.to_string().into()),
            (Err(fault), _) => {
                let reason = fault.to_string().into();
                scope.refs.push(fault);
                BackendTarget::Invalid(reason)
            }
        };
        rule.backends.push(Backend { weight, target, filters: found.filters, session });
    }
}
