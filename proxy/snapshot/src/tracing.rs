//! Tracing of listeners, compiled.

use fairlead_ir as ir;
use fairlead_telemetry::trace::{Attribute, Protocol, Rate, Settings, Source, Tracer};
use std::sync::{Arc, Weak};

/// The tracers in use. Listeners with the same settings share one, whichever was compiled when, so that their spans go the same way and
/// a change of routes leaves it as it is.
#[derive(Default)]
pub(crate) struct Tracers(Vec<(Arc<ir::Tracing>, Weak<Tracer>)>);

impl Tracers {
    /// The tracer of these settings; `slot` is that of its cluster.
    pub fn tracer(&mut self, config: &Arc<ir::Tracing>, slot: u32, version: &str) -> Arc<Tracer> {
        self.0.retain(|(_, tracer)| tracer.strong_count() > 0);
        let known = self.0.iter().find(|(known, _)| known == config).and_then(|(_, tracer)| tracer.upgrade());
        known.unwrap_or_else(|| {
            let tracer = Arc::new(Tracer::new(settings(config, slot, version)));
            self.0.push((config.clone(), Arc::downgrade(&tracer)));
            tracer
        })
    }
}

fn settings(config: &ir::Tracing, slot: u32, version: &str) -> Settings {
    let rate = |share: ir::Fraction| Rate::new(share.numerator, share.denominator);
    Settings {
        destination: slot,
        protocol: match config.protocol {
            ir::Otlp::Grpc => Protocol::Grpc,
            ir::Otlp::Http => Protocol::Http,
        },
        authority: config.authority.clone(),
        headers: config.headers.iter().map(|header| (header.name.clone(), header.value.clone())).collect(),
        service_name: config.service_name.clone(),
        span_name: config.span_name.clone(),
        rate: rate(config.rate),
        parent_rate: config.parent_rate.map(rate),
        // A key that a newer controller knows has no value here.
        attributes: config.attributes.iter().filter_map(attribute).collect(),
        version: version.into(),
    }
}

fn attribute(config: &ir::SpanAttribute) -> Option<Attribute> {
    let source = match &config.source {
        ir::SpanSource::Header(name) => Source::Header(name.clone()),
        ir::SpanSource::Literal(value) => Source::Literal(value.clone()),
        ir::SpanSource::Fact(key) => Source::of_key(key)?,
    };
    Some(Attribute { name: config.name.clone(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(service: &str) -> Arc<ir::Tracing> {
        Arc::new(ir::Tracing {
            cluster: "c".into(),
            protocol: ir::Otlp::Grpc,
            authority: "c:4317".into(),
            headers: vec![],
            service_name: service.into(),
            span_name: None,
            rate: ir::Fraction { numerator: 1, denominator: 1 },
            parent_rate: None,
            attributes: vec![],
        })
    }

    #[test]
    fn equal_settings_share_a_tracer_while_it_is_used() {
        let mut tracers = Tracers::default();
        let first = tracers.tracer(&config("a"), 7, "1");
        assert!(Arc::ptr_eq(&first, &tracers.tracer(&config("a"), 7, "1")));
        assert!(!Arc::ptr_eq(&first, &tracers.tracer(&config("b"), 7, "1")));
        assert_eq!(tracers.0.len(), 2);
        drop(first);
        tracers.tracer(&config("c"), 7, "1");
        assert_eq!(tracers.0.len(), 1, "the others are forgotten");
    }

    #[test]
    fn every_key_that_may_be_asked_for_is_known() {
        for key in ir::FACTS {
            assert!(ir::is_span_fact(key) && Source::of_key(key).is_some(), "{key}");
        }
        for prefix in ir::FACT_PREFIXES {
            let key = format!("{prefix}x-user");
            assert!(ir::is_span_fact(&key) && Source::of_key(&key).is_some(), "{key}");
            assert!(!ir::is_span_fact(prefix) && Source::of_key(prefix).is_none(), "{prefix}");
        }
        assert!(!ir::is_span_fact("url.fragment") && Source::of_key("url.fragment").is_none());
    }
}
