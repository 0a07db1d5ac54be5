//! Values that a schema's enums do not list.

use serde_json::Value;

use super::path::{Path, Segment};
use crate::Kind;
use crate::schema::{self, Additional, Node};

/// Every string in the object that stands where the schema lists the allowed values, and is none of them: where and what.
///
/// Such an object parses (the value becomes `Other`); the Gateway API asks implementations to report it, not to fail
/// (GEP-922: a newer CRD may allow values that an implementation does not know).
pub fn unknown_enum_values(kind: Kind, value: &Value) -> Vec<(String, String)> {
    let version = value["apiVersion"].as_str().and_then(|api| api.rsplit('/').next());
    let mut found = Vec::new();
    if let Some(schema) = schema::of(kind, version) {
        walk(schema, value, &mut Path::new(), &mut found);
    }
    found
}

fn walk<'a>(node: &Node, value: &'a Value, path: &mut Path<'a>, found: &mut Vec<(String, String)>) {
    match value {
        Value::String(text) if !node.enum_.is_empty() && !node.enum_.contains(value) => {
            found.push((path.to_string(), text.clone()));
        }
        Value::Array(items) => {
            let Some(inner) = &node.items else { return };
            for (index, item) in items.iter().enumerate() {
                path.push(Segment::Item(index));
                walk(inner, item, path, found);
                path.pop();
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                let inner = match (node.properties.get(name.as_str()), &node.additional) {
                    (Some(inner), _) => inner,
                    (None, Some(Additional::Schema(inner))) => inner,
                    _ => continue,
                };
                path.push(Segment::Field(name));
                walk(inner, value, path, found);
                path.pop();
            }
        }
        _ => {}
    }
}
