//! A rule, compiled.

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
    /// Copies of every request.
    pub mirrors: Box<[Mirror]>,
    /// Its counters.
    pub metrics: Arc<RouteMetrics>,
}

/// A backend of a rule, compiled.
pub struct Backend {
    /// Where its share goes.
    pub target: Target,
    /// Run after the rule's.
    pub chain: Chain,
    /// Copies of this backend's requests.
    pub mirrors: Box<[Mirror]>,
}

/// Where a backend's share goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// To the cluster in this slot.
    Cluster(u32),
    /// Nowhere: 500.
    Invalid,
}

/// A copy of some requests to another cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// Slot of the cluster.
    pub cluster: u32,
    /// Requests whose random number is below it are copied; 2³² copies all.
    threshold: u64,
}

impl Mirror {
    /// Whether a request with this random number is copied.
    pub fn draws(&self, random: u32) -> bool {
        u64::from(random) < self.threshold
    }

    fn compile(mirror: &ir::Mirror, slot: &mut impl FnMut(&ir::Id) -> u32) -> Mirror {
        let ir::Fraction { numerator, denominator } = mirror.fraction;
        let threshold = (u64::from(numerator) << 32).checked_div(u64::from(denominator)).unwrap_or(0);
        Mirror { cluster: slot(&mirror.cluster), threshold }
    }
}

impl Route {
    /// Compiles a rule; `slot` gives the slot of a cluster id.
    ///
    /// # Errors
    /// What is wrong and with which field.
    pub fn compile(config: &Arc<ir::Route>, registry: &Registry, mut slot: impl FnMut(&ir::Id) -> u32) -> Result<Route, String> {
        let chain = |filters: &[ir::Filter]| Chain::compile(filters).map_err(|problem| problem.to_string());
        let backends: Vec<Backend> = config
            .backends
            .iter()
            .map(|backend| {
                let target = match &backend.target {
                    ir::BackendTarget::Cluster(id) => Target::Cluster(slot(id)),
                    ir::BackendTarget::Invalid(_) => Target::Invalid,
                };
                Ok(Backend { target, chain: chain(&backend.filters)?, mirrors: mirrors(&backend.filters, &mut slot) })
            })
            .collect::<Result<_, String>>()?;
        Ok(Route {
            chain: chain(&config.filters)?,
            split: Split::new(config.backends.iter().map(|b| b.weight)),
            mirrors: mirrors(&config.filters, &mut slot),
            metrics: registry.route(&RouteLabels::of(&config.id, config.rule.as_deref())),
            backends: backends.into(),
            config: config.clone(),
        })
    }
}

fn mirrors(filters: &[ir::Filter], slot: &mut impl FnMut(&ir::Id) -> u32) -> Box<[Mirror]> {
    filters
        .iter()
        .filter_map(|filter| match filter {
            ir::Filter::Mirror(mirror) => Some(Mirror::compile(mirror, slot)),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(numerator: u32, denominator: u32) -> f64 {
        let mirror = ir::Mirror { cluster: "c".into(), fraction: ir::Fraction { numerator, denominator } };
        let mirror = Mirror::compile(&mirror, &mut |_| 0);
        let drawn = (0..=u32::MAX).step_by(1 << 16).filter(|random| mirror.draws(*random)).count();
        drawn as f64 / 65536.0
    }

    #[test]
    fn mirrors_draw_their_share() {
        assert!((share(1, 1) - 1.0).abs() < 1e-9);
        assert!(share(0, 100).abs() < 1e-9);
        assert!((share(20, 100) - 0.2).abs() < 1e-4);
        assert!((share(1, 3) - 1.0 / 3.0).abs() < 1e-4);
    }
}
