//! `spec.tracing`, read. Its rules are those of the CRD; files that no API server has seen are held to them too.

use crate::reader::Reader;
use crate::status::{Fault, Reason};
use fairlead_crds::Kind;
use fairlead_crds::gateway::{
    Attribute, AttributeSourceType, Fraction as GivenFraction, HTTPHeader, ParentBasedSamplingMode,
    TelemetryPolicySpec, TracingConfig, TracingMode, TracingProvider,
};
use fairlead_ir::{Fraction, HeaderValue, SpanAttribute, SpanSource, is_span_fact};
use fairlead_store::Key;
use std::collections::BTreeSet;

/// What a policy with `mode: Enabled` wants.
pub(super) struct Wanted<'a> {
    pub provider: &'a TracingProvider,
    pub headers: Vec<HeaderValue>,
    pub service_name: Option<&'a str>,
    pub span_name: Option<&'a str>,
    pub rate: Fraction,
    pub parent_rate: Option<Fraction>,
    pub attributes: Vec<SpanAttribute>,
}

const ALL: Fraction = Fraction { numerator: 1, denominator: 1 };

/// Reads the spec. `None`: nothing is to be traced, or faults say why.
pub(super) fn read<'a>(
    key: &Key,
    spec: &'a TelemetryPolicySpec,
    faults: &mut Vec<Fault>,
    reader: &mut Reader<'_>,
) -> Option<Wanted<'a>> {
    let mut reading = Reading { faults };
    let Some(tracing) = &spec.tracing else {
        reading.wrong("spec.tracing", "is needed: a policy without it says nothing");
        return None;
    };
    match tracing.mode.as_ref().unwrap_or(&TracingMode::ImplementationDefault) {
        TracingMode::Enabled => {}
        TracingMode::Disabled | TracingMode::ImplementationDefault => {
            reading.only_when_enabled(tracing);
            return None;
        }
        TracingMode::Other(other) => {
            let message = format!("{other:?} is none of Enabled, Disabled, ImplementationDefault");
            reading.wrong("spec.tracing.mode", message);
            return None;
        }
    }
    let Some(provider) = &tracing.provider else {
        reading.wrong("spec.tracing.provider", "is needed when mode is Enabled");
        return None;
    };
    let name = |text: &'a Option<String>| text.as_deref().filter(|text| !text.is_empty());
    let (service_name, span_name) = (name(&tracing.service_name), name(&tracing.span_name));
    reading.name("spec.tracing.serviceName", service_name, 253, false);
    reading.name("spec.tracing.spanName", span_name, 256, true);
    let rate = reading.fraction("spec.tracing.samplingRate", tracing.sampling_rate.as_ref());
    let parent_rate = reading.parent(tracing);
    let headers = reading.headers(&provider.headers);
    let attributes = reading.attributes(&tracing.attributes, |path, message| {
        reader.note(Kind::XTelemetryPolicy, key, path, message);
    });
    Some(Wanted { provider, headers, service_name, span_name, rate, parent_rate, attributes })
}

struct Reading<'f> {
    faults: &'f mut Vec<Fault>,
}

impl Reading<'_> {
    fn wrong(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.faults.push(Fault::new(Reason::Invalid, path, message));
    }

    fn only_when_enabled(&mut self, tracing: &TracingConfig) {
        let set = [
            ("provider", tracing.provider.is_some()),
            ("samplingRate", tracing.sampling_rate.is_some()),
            ("parentBasedSampling", tracing.parent_based_sampling.is_some()),
            ("serviceName", tracing.service_name.is_some()),
            ("spanName", tracing.span_name.is_some()),
            ("attributes", !tracing.attributes.is_empty()),
        ];
        for (field, _) in set.into_iter().filter(|(_, set)| *set) {
            self.wrong(format!("spec.tracing.{field}"), "may only be set when mode is Enabled");
        }
    }

    /// Letters, digits and `_ . : / -`; single spaces within when `spaces`.
    fn name(&mut self, path: &str, name: Option<&str>, longest: usize, spaces: bool) {
        let Some(name) = name else { return };
        let word =
            |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.:/-".contains(&b));
        let fits = if spaces { name.split(' ').all(word) } else { word(name) };
        if !fits || name.len() > longest {
            let message = format!("{name:?} is not of at most {longest} letters, digits and any of _ . : / -");
            self.wrong(path, message);
        }
    }

    fn fraction(&mut self, path: &str, given: Option<&GivenFraction>) -> Fraction {
        let Some(given) = given else { return ALL };
        let denominator = given.denominator.unwrap_or(100);
        let whole = u32::try_from(denominator).ok().filter(|whole| *whole > 0);
        let part = u32::try_from(given.numerator).ok().filter(|part| whole.is_some_and(|whole| *part <= whole));
        match (part, whole) {
            (Some(numerator), Some(denominator)) => Fraction { numerator, denominator },
            _ => {
                self.wrong(path, format!("{}/{denominator} is not between 0 and 1", given.numerator));
                ALL
            }
        }
    }

    /// What the client decided holds for this share of its traces; `None`: for none, and its decision is not asked for.
    fn parent(&mut self, tracing: &TracingConfig) -> Option<Fraction> {
        const PATH: &str = "spec.tracing.parentBasedSampling";
        let Some(given) = &tracing.parent_based_sampling else { return Some(ALL) };
        let mode = given.mode.as_ref().unwrap_or(&ParentBasedSamplingMode::ImplementationDefault);
        if given.sampling_rate.is_some() && *mode != ParentBasedSamplingMode::Enabled {
            self.wrong(format!("{PATH}.samplingRate"), "may only be set when mode is Enabled");
        }
        match mode {
            ParentBasedSamplingMode::Disabled => None,
            ParentBasedSamplingMode::ImplementationDefault => Some(ALL),
            ParentBasedSamplingMode::Enabled => {
                Some(self.fraction(&format!("{PATH}.samplingRate"), given.sampling_rate.as_ref()))
            }
            ParentBasedSamplingMode::Other(other) => {
                let message = format!("{other:?} is none of Enabled, Disabled, ImplementationDefault");
                self.wrong(format!("{PATH}.mode"), message);
                None
            }
        }
    }

    fn headers(&mut self, given: &[HTTPHeader]) -> Vec<HeaderValue> {
        let mut names = BTreeSet::new();
        let mut headers = Vec::new();
        for (i, header) in given.iter().enumerate() {
            let path = format!("spec.tracing.provider.headers[{i}]");
            let name = header.name.to_ascii_lowercase();
            if !is_token(&name) {
                self.wrong(format!("{path}.name"), format!("{:?} is not the name of a header", header.name));
            } else if OURS.contains(&&*name) || name.starts_with("grpc-") {
                self.wrong(format!("{path}.name"), format!("{} is set by the proxy", header.name));
            } else if !names.insert(name.clone()) {
                self.wrong(format!("{path}.name"), format!("{} is there twice", header.name));
            } else if !is_field_value(&header.value) {
                self.wrong(format!("{path}.value"), "is not of visible ASCII characters, with spaces between them");
            } else {
                headers.push(HeaderValue { name: name.into(), value: header.value.as_str().into() });
            }
        }
        headers
    }

    fn attributes(&mut self, given: &[Attribute], mut note: impl FnMut(String, String)) -> Vec<SpanAttribute> {
        let mut names = BTreeSet::new();
        let mut attributes = Vec::new();
        for (i, attribute) in given.iter().enumerate() {
            let path = format!("spec.tracing.attributes[{i}]");
            self.name(&format!("{path}.name"), Some(&attribute.name), 256, false);
            if !names.insert(&*attribute.name) {
                self.wrong(format!("{path}.name"), format!("{} is there twice", attribute.name));
            }
            match self.source(attribute, &path) {
                Some(SpanSource::Fact(key)) if !is_span_fact(&key) => {
                    let message = format!("{key} is not known to the proxy, and left out of spans");
                    note(format!("{path}.attributeKey"), message);
                }
                Some(source) => attributes.push(SpanAttribute { name: attribute.name.as_str().into(), source }),
                None => {}
            }
        }
        attributes
    }

    fn source(&mut self, attribute: &Attribute, path: &str) -> Option<SpanSource> {
        let given = [
            ("headerName", AttributeSourceType::Header, &attribute.header_name),
            ("literalValue", AttributeSourceType::Literal, &attribute.literal_value),
            ("attributeKey", AttributeSourceType::Attribute, &attribute.attribute_key),
        ];
        if let AttributeSourceType::Other(other) = &attribute.source_type {
            let message = format!("{other:?} is none of Header, Literal, Attribute");
            self.wrong(format!("{path}.sourceType"), message);
            return None;
        }
        let mut source = None;
        for (field, kind, value) in given {
            match (kind == attribute.source_type, value.as_deref().filter(|value| !value.is_empty())) {
                (true, Some(value)) => source = Some(value),
                (true, None) => self.wrong(format!("{path}.{field}"), format!("is needed for sourceType {kind}")),
                (false, Some(_)) => {
                    let message = format!("may not be set for sourceType {}", attribute.source_type);
                    self.wrong(format!("{path}.{field}"), message);
                }
                (false, None) => {}
            }
        }
        let value = source?;
        match &attribute.source_type {
            AttributeSourceType::Header if !is_token(value) => {
                self.wrong(format!("{path}.headerName"), format!("{value:?} is not the name of a header"));
                None
            }
            AttributeSourceType::Header => Some(SpanSource::Header(value.to_ascii_lowercase().into())),
            AttributeSourceType::Literal if value.len() > 1024 => {
                self.wrong(format!("{path}.literalValue"), "is longer than 1024 bytes");
                None
            }
            AttributeSourceType::Literal => Some(SpanSource::Literal(value.into())),
            _ => Some(SpanSource::Fact(value.into())),
        }
    }
}

/// Fields of export requests that are not for others to set.
const OURS: &[&str] =
    &["connection", "content-encoding", "content-length", "content-type", "host", "te", "transfer-encoding", "upgrade"];

/// RFC 9110 §5.6.2.
fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// Visible characters with spaces and tabs between them.
fn is_field_value(value: &str) -> bool {
    let visible = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_graphic());
    visible(value.bytes().next())
        && visible(value.bytes().last())
        && value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ' || byte == b'\t')
}
