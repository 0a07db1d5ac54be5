//! GRPCRoute.

use super::filter_spec::FilterSpec;
use super::{RouteKind, Rule, Scope, matches};
use fairlead_crds::gateway::{GRPCRoute, GRPCRouteRule, GatewayDefaultScope, ParentReference};
use fairlead_crds::meta::ObjectMeta;

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
        self.spec.rules.iter().enumerate().map(|(i, spec)| rule(self, i, spec, scope)).collect()
    }
}

/// Without matches, every gRPC request.
fn rule(route: &GRPCRoute, index: usize, spec: &GRPCRouteRule, scope: &mut Scope<'_, '_>) -> Rule {
    let path = &format!("spec.rules[{index}]");
    let read =
        spec.matches.iter().enumerate().map(|(i, wanted)| matches::grpc(wanted, &format!("{path}.matches[{i}]")));
    let mut rule = Rule::matching(spec.name.as_deref(), read);
    rule.keep_sessions(spec.session_persistence.as_deref(), (route, index), path, scope);
    let filters: Vec<FilterSpec<'_>> = spec.filters.iter().map(FilterSpec::from).collect();
    rule.lead(&filters, spec.backend_refs.iter().map(Into::into), path, scope);
    rule
}
