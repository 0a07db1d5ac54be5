//! A rule, compiled.

use crate::Session;
use fairlead_filter::Chain;
use fairlead_ir as ir;
use fairlead_route::Split;
use fairlead_telemetry::{Registry, RouteLabels, RouteMetrics};
use std::sync::Arc;

/// A rule, compiled.
pub struct Route {
    /// What it was compiled from.
    pub config: Arc<ir::Route>,
    /// The rule's filters.
    pub chain: Chain,
    /// Where requests go.
    pub backends: Box<[Backend]>,
    /// Chooses among `backends` by weight.
    pub split: Split,
    /// Slots of the clusters of the chain's mirrors, in their order.
    pub mirrors: Box<[u32]>,
    /// And of its authorisation services.
    pub auths: Box<[u32]>,
    /// Its counters.
    pub metrics: Arc<RouteMetrics>,
}

/// A backend of a rule, compiled.
pub struct Backend {
    /// Where its share goes.
    pub target: Target,
    /// Run after the rule's.
    pub chain: Chain,
    /// Slots of the clusters of the chain's mirrors, in their order.
    pub mirrors: Box<[u32]>,
    /// And of its authorisation services.
    pub auths: Box<[u32]>,
    /// Clients stay with the endpoint they had.
    pub session: Option<Box<Session>>,
}

/// Where a backend's share goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// To the cluster in this slot.
    Cluster(u32),
    /// Nowhere: 500.
    Invalid,
}

impl Route {
    /// Compiles a rule; `slot` gives the slot of a cluster id.
    ///
    /// # Errors
    /// What is wrong and with which field.
    pub fn compile(
        config: &Arc<ir::Route>,
        registry: &Registry,
        mut slot: impl FnMut(&ir::Id) -> u32,
    ) -> Result<Route, String> {
        let chain = |filters: &[ir::Filter]| Chain::compile(filters).map_err(|problem| problem.to_string());
        let backends: Vec<Backend> = config
            .backends
            .iter()
            .map(|backend| {
                let target = match &backend.target {
                    ir::BackendTarget::Cluster(id) => Target::Cluster(slot(id)),
                    ir::BackendTarget::Invalid(_) => Target::Invalid,
                };
                let chain = chain(&backend.filters)?;
                let session = backend.session.as_deref().map(Session::compile).map(Box::new);
                let (mirrors, auths) = (mirrors(&chain, &mut slot), auths(&chain, &mut slot));
                Ok(Backend { target, mirrors, auths, chain, session })
            })
            .collect::<Result<_, String>>()?;
        let chain = chain(&config.filters)?;
        Ok(Route {
            split: Split::new(config.backends.iter().map(|b| b.weight)),
            mirrors: mirrors(&chain, &mut slot),
            auths: auths(&chain, &mut slot),
            chain,
            metrics: registry.route(&RouteLabels::of(&config.id, config.rule.as_deref())),
            backends: backends.into(),
            config: config.clone(),
        })
    }
}

/// The slots of a chain's mirrors.
fn mirrors(chain: &Chain, slot: &mut impl FnMut(&ir::Id) -> u32) -> Box<[u32]> {
    chain.mirrors().iter().map(|mirror| slot(mirror.cluster())).collect()
}

/// The slots of a chain's authorisation services.
pub(crate) fn auths(chain: &Chain, slot: &mut impl FnMut(&ir::Id) -> u32) -> Box<[u32]> {
    chain.auths().iter().map(|auth| slot(auth.cluster())).collect()
}
