//! What tracing is to do for a listener, compiled.

use super::context::Context;
use super::fact::Fact;
use super::otlp;

/// How spans are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// OTLP/gRPC.
    Grpc,
    /// OTLP/HTTP with binary protobuf.
    Http,
}

/// What a [`Tracer`] is made from.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the spans go; without meaning here: the slot of a cluster.
    pub destination: u32,
    /// How they are sent.
    pub protocol: Protocol,
    /// `:authority` or `Host` of the export requests.
    pub authority: Box<str>,
    /// Name in lower case and value of fields that are added to the export requests.
    pub headers: Vec<(Box<str>, Box<str>)>,
    /// `service.name`.
    pub service_name: Box<str>,
    /// Name of server spans; `None`: method and matched path.
    pub span_name: Option<Box<str>>,
    /// Share of the new traces that are recorded.
    pub rate: Rate,
    /// Share of the traces recorded by the client that are recorded here too; `None`: the client's decision makes no difference.
    pub parent_rate: Option<Rate>,
    /// Added to every span.
    pub attributes: Vec<Attribute>,
    /// Version of the program, for the instrumentation scope.
    pub version: Box<str>,
}

/// An attribute that is added to every span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Its key.
    pub name: Box<str>,
    /// Where its value comes from.
    pub source: Source,
}

/// Where an attribute's value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A field of the request as it came, or else of the response; its name in lower case.
    Header(Box<str>),
    /// All values of a field of the request as it came.
    RequestHeader(Box<str>),
    /// All values of a field of the response.
    ResponseHeader(Box<str>),
    /// Always the same.
    Literal(Box<str>),
    /// What is known of the exchange.
    Fact(Fact),
}

impl Source {
    /// That of a key of the semantic conventions; `None` for one that is not known.
    pub fn of_key(key: &str) -> Option<Source> {
        let field = |prefix: &str| key.strip_prefix(prefix).filter(|name| !name.is_empty()).map(Box::from);
        field("http.request.header.")
            .map(Source::RequestHeader)
            .or_else(|| field("http.response.header.").map(Source::ResponseHeader))
            .or_else(|| Fact::of(key).map(Source::Fact))
    }
}

/// A share of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Numbers below it are drawn, of 2⁶⁴; `None` is all of them.
    threshold: Option<u64>,
}

impl Rate {
    /// `numerator / denominator`; a denominator of 0 draws nothing.
    pub fn new(numerator: u32, denominator: u32) -> Rate {
        if denominator == 0 {
            return Rate { threshold: Some(0) };
        }
        // Rounded down: a share of less than 2⁻⁶⁴ is none.
        let threshold = (u128::from(numerator) << 64) / u128::from(denominator);
        Rate { threshold: u64::try_from(threshold).ok() }
    }

    /// Whether a request is drawn, given a uniformly distributed number of its own.
    pub fn draws(self, random: u64) -> bool {
        self.threshold.is_none_or(|threshold| random < threshold)
    }
}

/// What becomes of a request's trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Spans are recorded.
    Record,
    /// None is, and what is behind us is told so.
    Skip,
    /// None is, and what the client said goes on as it came: it says the same.
    Pass,
}

/// What tracing is to do for a listener.
#[derive(Debug)]
pub struct Tracer {
    pub(super) settings: Settings,
    /// `ResourceSpans.resource` and `ScopeSpans.scope` as they stand in messages.
    pub(super) resource: Vec<u8>,
    pub(super) scope: Vec<u8>,
}

impl Tracer {
    /// Compiles settings.
    pub fn new(settings: Settings) -> Tracer {
        let (resource, scope) = otlp::preamble(&settings.service_name, &settings.version);
        Tracer { settings, resource, scope }
    }

    /// As it was made.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Decides once per request; `random` is uniformly distributed.
    #[inline]
    pub fn decide(&self, parent: Option<&Context>, random: u64) -> Decision {
        let sampled = match (parent, self.settings.parent_rate) {
            (Some(parent), Some(rate)) => parent.is_sampled() && rate.draws(random),
            _ => self.settings.rate.draws(random),
        };
        match parent {
            _ if sampled => Decision::Record,
            Some(parent) if !parent.is_sampled() => Decision::Pass,
            _ => Decision::Skip,
        }
    }
}
