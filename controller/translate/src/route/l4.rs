//! TLSRoute, TCPRoute and UDPRoute: one rule of backends, and for TLSRoute the names that clients ask for (SNI).

use super::{RouteKind, Rule, Scope, backends};
use fairlead_crds::gateway::{BackendRef, GatewayDefaultScope, ParentReference, TCPRoute, TLSRoute, UDPRoute};
use fairlead_crds::meta::ObjectMeta;

macro_rules! l4 {
    ($type:ident, $kind:ident, $prefix:literal, $hostnames:expr) => {
        impl RouteKind for $type {
            const IR: fairlead_ir::RouteKind = fairlead_ir::RouteKind::$kind;
            const PREFIX: &'static str = $prefix;

            fn metadata(&self) -> &ObjectMeta {
                &self.metadata
            }

            fn parents(&self) -> &[ParentReference] {
                &self.spec.parent_refs
            }

            fn hostnames(&self) -> &[String] {
                let hostnames: fn(&Self) -> &[String] = $hostnames;
                hostnames(self)
            }

            fn default_scope(&self) -> Option<&GatewayDefaultScope> {
                self.spec.use_default_gateways.as_ref()
            }

            fn rules(&self, scope: &mut Scope<'_, '_>) -> Vec<Rule> {
                let rules = self.spec.rules.iter().map(|rule| (rule.name.as_deref(), &rule.backend_refs[..]));
                rules.enumerate().map(|(i, (name, refs))| rule(i, name, refs, scope)).collect()
            }
        }
    };
}
l4!(TLSRoute, Tls, "tlsroute", |route| &route.spec.hostnames);
l4!(TCPRoute, Tcp, "tcproute", |_| &[]);
l4!(UDPRoute, Udp, "udproute", |_| &[]);

fn rule(index: usize, name: Option<&str>, refs: &[BackendRef], scope: &mut Scope<'_, '_>) -> Rule {
    let mut rule = Rule::matching(name, std::iter::empty());
    backends::lower(&mut rule, refs.iter().map(Into::into), &format!("spec.rules[{index}]"), scope);
    rule
}
