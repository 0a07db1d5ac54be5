//! GRPCRoute.

use super::filter_spec::FilterSpec;
use super::{NO_SESSIONS, RouteKind, Rule, Scope, matches};
use fairlead_crds::gateway::{GRPCRoute, GRPCRouteRule, GatewayDefaultScope, ParentReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

impl RouteKind for GRPCRoute {
    const IR: fairlead_ir::RouteKind = fairlead_ir::RouteKind::Grpc;
    const PREFIX: &'static str = "grpcroute";

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn parents(&self) -> &[ParentReference] {
        &self.spec.parent_refs
    }

    fn hostnames(&self) -> &[String] {
        &self.spec.hostnames
    }

    fn default_scope(&self) -> Option<&GatewayDefaultScope> {
        self.spec.use_default_gateways.as_ref()
    }

    fn rules(&self, scope: &mut Scope<'_, '_>) -> Vec<Rule> {
        self.spec.rules.iter().enumerate().map(|(i, spec)| rule(spec, &format!("spec.rules[{i}]"), scope)).collect()
    }
}

/// Without matches, every gRPC request.
fn rule(spec: &GRPCRouteRule, path: &str, scope: &mut Scope<'_, '_>) -> Rule {
    let read =
        spec.matches.iter().enumerate().map(|(i, wanted)| matches::grpc(wanted, &format!("{path}.matches[{i}]")));
    let mut rule = Rule::matching(spec.name.as_deref(), read);
    let filters: Vec<FilterSpec<'_>> = spec.filters.iter().map(FilterSpec::from).collect();
    rule.lead(&filters, spec.backend_refs.iter().map(Into::into), path, scope);
    if spec.session_persistence.is_some() {
        scope.note(format!("{path}.sessionPersistence"), NO_SESSIONS);
    }
    rule
}
