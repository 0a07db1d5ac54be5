//! What every Kubernetes object must say about itself, right.

use serde_json::Value;

use super::path::{Path, Segment};
use super::{Violation, format};
use crate::{Kind, Scope, schema};

/// Checks `apiVersion`, `kind` and `metadata`.
pub(super) fn check(kind: Kind, object: &Value, out: &mut Vec<Violation>) {
    identity(kind, object, out);
    let at = Path::new().join(Segment::Field("metadata"));
    let name_at = at.join(Segment::Field("name"));
    let metadata = match &object["metadata"] {
        metadata @ Value::Object(_) => metadata,
        Value::Null => {
            out.push(Violation::error(&name_at, "is required".to_owned()));
            return;
        }
        _ => {
            out.push(Violation::error(&at, "must be an object".to_owned()));
            return;
        }
    };
    match &metadata["name"] {
        Value::String(name) => {
            let checked = match kind {
                Kind::Namespace => format::label(name),
                Kind::Service => format::named("dns1035Label", name),
                // The signer stands before it, with colons.
                Kind::ClusterTrustBundle => name.split(':').try_for_each(format::subdomain),
                _ => format::subdomain(name),
            };
            if let Err(problem) = checked {
                out.push(Violation::error(&name_at, format!("{name:?} {problem}")));
            }
        }
        Value::Null => out.push(Violation::error(&name_at, "is required".to_owned())),
        _ => out.push(Violation::error(&name_at, "must be a string".to_owned())),
    }
    namespace(kind, &metadata["namespace"], &at, out);
    texts(&metadata["labels"], &at.join(Segment::Field("labels")), true, out);
    texts(&metadata["annotations"], &at.join(Segment::Field("annotations")), false, out);
}

fn identity(kind: Kind, object: &Value, out: &mut Vec<Violation>) {
    let at = |field| Path::new().join(Segment::Field(field));
    match (&object["apiVersion"], &object["kind"]) {
        (Value::Null, Value::Null) => {}
        (Value::String(version), Value::String(name)) => {
            if name != kind.as_str() {
                let message = format!("must be {:?}, not {name:?}", kind.as_str());
                out.push(Violation::error(&at("kind"), message));
            } else if Kind::of(version, name) == Some(kind) {
                served(kind, version, &at("apiVersion"), out);
            } else {
                let message = format!("{version:?} is not a version of {kind} that Fairlead knows");
                out.push(Violation::error(&at("apiVersion"), message));
            }
        }
        (Value::String(_), _) => out.push(Violation::error(&at("kind"), "is required".to_owned())),
        _ => out.push(Violation::error(&at("apiVersion"), "is required".to_owned())),
    }
}

/// A version that we accept, but that an API server with today's CRDs deprecates or does not serve.
fn served(kind: Kind, api_version: &str, at: &Path<'_>, out: &mut Vec<Violation>) {
    let Some(crd) = schema::crd(kind) else { return };
    let name = api_version.rsplit('/').next().unwrap_or(api_version);
    let problem = match crd.version(name) {
        Some(version) if version.served && !version.deprecated => return,
        Some(version) if version.served => "is deprecated",
        _ => "is no longer served",
    };
    let message = format!("{api_version:?} {problem}: use {:?}", kind.api_version());
    out.push(Violation::warning(at, message));
}

fn namespace(kind: Kind, namespace: &Value, at: &Path<'_>, out: &mut Vec<Violation>) {
    let at = at.join(Segment::Field("namespace"));
    match namespace {
        Value::Null => {}
        Value::String(_) if kind.scope() == Scope::Cluster => {
            out.push(Violation::warning(&at, format!("is ignored: {kind} is cluster-scoped")));
        }
        Value::String(name) => {
            if let Err(problem) = format::label(name) {
                out.push(Violation::error(&at, format!("{name:?} {problem}")));
            }
        }
        _ => out.push(Violation::error(&at, "must be a string".to_owned())),
    }
}

/// Labels or annotations.
fn texts(texts: &Value, at: &Path<'_>, labels: bool, out: &mut Vec<Violation>) {
    let entries = match texts {
        Value::Null => return,
        Value::Object(entries) => entries,
        _ => {
            out.push(Violation::error(at, "must be an object".to_owned()));
            return;
        }
    };
    for (key, value) in entries {
        let at = at.join(Segment::Field(key));
        if let Err(problem) = format::qualified_name(key) {
            out.push(Violation::error(&at, format!("key {problem}")));
        }
        match value {
            Value::String(text) if labels => {
                if let Err(problem) = format::named("labelValue", text) {
                    out.push(Violation::error(&at, format!("{text:?} {problem}")));
                }
            }
            Value::String(_) => {}
            _ => out.push(Violation::error(&at, format!("must be a string, not {value}"))),
        }
    }
}
