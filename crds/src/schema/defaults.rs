//! Defaulting as an API server does it.
//!
//! Nulls of fields that are not nullable count as absent; absent fields with a default get it, and defaults are filled
//! inside of what was just filled in. `metadata` is not touched.
//! (<https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#defaulting>)

use serde_json::Value;

use super::{Additional, Node};

impl Node {
    /// Fills defaults into a whole object.
    pub fn fill_defaults(&self, value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.retain(|name, value| !value.is_null() || self.keeps_null(name));
                for (name, property) in &self.properties {
                    if !property.has_defaults && !fields.get(&**name).is_some_and(has_children) {
                        continue;
                    }
                    if let (Some(default), false) = (&property.default, fields.contains_key(&**name)) {
                        fields.insert(name.to_string(), default.clone());
                    }
                    if let Some(value) = fields.get_mut(&**name) {
                        property.fill_defaults(value);
                    }
                }
                if let Some(Additional::Schema(inner)) = &self.additional {
                    fields.values_mut().for_each(|value| inner.fill_defaults(value));
                }
            }
            Value::Array(items) => {
                if let Some(inner) = &self.items {
                    items.iter_mut().for_each(|value| inner.fill_defaults(value));
                }
            }
            _ => {}
        }
    }

    /// Whether a null field means something: unknown fields are left alone.
    fn keeps_null(&self, name: &str) -> bool {
        match (self.properties.get(name), &self.additional) {
            (Some(property), _) => property.nullable,
            (None, Some(Additional::Schema(inner))) => inner.nullable,
            (None, _) => true,
        }
    }
}

fn has_children(value: &Value) -> bool {
    value.is_object() || value.is_array()
}
