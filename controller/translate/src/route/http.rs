//! HTTPRoute.

use super::filter_spec::FilterSpec;
use super::{RouteKind, Rule, Scope, matches, rules};
use fairlead_crds::gateway::{GatewayDefaultScope, HTTPRoute, HTTPRouteMatch, HTTPRouteRule, ParentReference};
use fairlead_crds::meta::ObjectMeta;

impl RouteKind for HTTPRoute {
    const IR: fairlead_ir::RouteKind = fairlead_ir::RouteKind::Http;
    const PREFIX: &'static str = "httproute";

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

fn rule(route: &HTTPRoute, index: usize, spec: &HTTPRouteRule, scope: &mut Scope<'_, '_>) -> Rule {
    let path = &format!("spec.rules[{index}]");
    let read =
        spec.matches.iter().enumerate().map(|(i, wanted)| matches::http(wanted, &format!("{path}.matches[{i}]")));
    let mut rule = Rule::matching(spec.name.as_deref(), read);
    if spec.matches.is_empty() {
        rule.matches.extend(matches::http(&HTTPRouteMatch::default(), path));
    }
    rule.keep_sessions(spec.session_persistence.as_deref(), (route, index), path, scope);
    let filters: Vec<FilterSpec<'_>> = spec.filters.iter().map(FilterSpec::from).collect();
    rule.lead(&filters, spec.backend_refs.iter().map(Into::into), path, scope);
    match spec.timeouts.as_ref().map(|spec| rules::timeouts(spec, path)).transpose() {
        Ok(timeouts) => rule.timeouts = timeouts.unwrap_or_default(),
        Err(fault) => rule.refuse([fault]),
    }
    match spec.retry.as_ref().map(|spec| rules::retry(spec, path)).transpose() {
        Ok(retry) => rule.retry = retry.flatten(),
        Err(fault) => rule.refuse([fault]),
    }
    rule
}
