//! A checked-in CRD → [`Crd`].

use std::sync::OnceLock;

use serde_json::Value;

use super::node::Pattern;
use super::{Additional, Bounds, Crd, ListType, Node, Rule, Schema, Type, Version};

/// Parses the text of a checked-in CRD. None when it is not one, which a test rules out for all we have.
pub(super) fn crd(text: &str) -> Option<Crd> {
    let crd: Value = serde_json::from_str(text).ok()?;
    let versions = crd["versions"].as_array()?.iter().map(version).collect::<Option<_>>()?;
    Some(Crd {
        versions,
        experimental_versions: strings(&crd["experimental"]["versions"]),
        experimental_fields: strings(&crd["experimental"]["fields"]),
    })
}

fn version(version: &Value) -> Option<Version> {
    let schema = &version["schema"];
    Some(Version {
        name: version["name"].as_str()?.to_owned(),
        served: version["served"] == true,
        stored: version["storage"] == true,
        deprecated: version["deprecated"] == true,
        schema: match schema["sameAs"].as_str() {
            Some(other) => Schema::SameAs(other.to_owned()),
            None => Schema::Own(Box::new(Node::load(schema))),
        },
    })
}

impl Node {
    /// Compiles a schema as written in a CRD.
    pub fn load(schema: &Value) -> Self {
        let properties = schema["properties"].as_object().into_iter().flatten();
        let mut node = Self {
            type_: schema["type"].as_str().and_then(type_of),
            int_or_string: schema["x-kubernetes-int-or-string"] == true,
            nullable: schema["nullable"] == true,
            preserve_unknown: schema["x-kubernetes-preserve-unknown-fields"] == true,
            embedded: schema["x-kubernetes-embedded-resource"] == true,
            properties: properties.map(|(name, schema)| (name.as_str().into(), Self::load(schema))).collect(),
            additional: match &schema["additionalProperties"] {
                Value::Bool(true) => Some(Additional::Any),
                inner @ Value::Object(_) => Some(Additional::Schema(Box::new(Self::load(inner)))),
                _ => None,
            },
            items: schema["items"].is_object().then(|| Box::new(Self::load(&schema["items"]))),
            required: strings(&schema["required"]),
            default: schema.get("default").cloned(),
            has_defaults: false,
            enum_: schema["enum"].as_array().cloned().unwrap_or_default(),
            pattern: schema["pattern"].as_str().map(Pattern::new),
            bounds: bounds(schema),
            format: text(&schema["format"]),
            list_type: match schema["x-kubernetes-list-type"].as_str() {
                Some("set") => ListType::Set,
                Some("map") => ListType::Map(strings(&schema["x-kubernetes-list-map-keys"])),
                _ => ListType::Atomic,
            },
            all_of: nodes(&schema["allOf"]),
            any_of: nodes(&schema["anyOf"]),
            one_of: nodes(&schema["oneOf"]),
            not: schema["not"].is_object().then(|| Box::new(Self::load(&schema["not"]))),
            rules: schema["x-kubernetes-validations"].as_array().into_iter().flatten().filter_map(rule).collect(),
        };
        let additional = match &node.additional {
            Some(Additional::Schema(inner)) => inner.has_defaults,
            _ => false,
        };
        node.has_defaults = node.default.is_some()
            || additional
            || node.items.as_ref().is_some_and(|items| items.has_defaults)
            || node.properties.values().any(|property| property.has_defaults);
        node
    }
}

fn type_of(name: &str) -> Option<Type> {
    Some(match name {
        "object" => Type::Object,
        "array" => Type::Array,
        "string" => Type::String,
        "integer" => Type::Integer,
        "number" => Type::Number,
        "boolean" => Type::Boolean,
        _ => return None,
    })
}

fn bounds(schema: &Value) -> Bounds {
    Bounds {
        min_length: schema["minLength"].as_u64(),
        max_length: schema["maxLength"].as_u64(),
        min_items: schema["minItems"].as_u64(),
        max_items: schema["maxItems"].as_u64(),
        min_properties: schema["minProperties"].as_u64(),
        max_properties: schema["maxProperties"].as_u64(),
        minimum: schema["minimum"].as_f64(),
        maximum: schema["maximum"].as_f64(),
        exclusive_minimum: schema["exclusiveMinimum"] == true,
        exclusive_maximum: schema["exclusiveMaximum"] == true,
        multiple_of: schema["multipleOf"].as_f64(),
    }
}

fn rule(rule: &Value) -> Option<Rule> {
    Some(Rule {
        rule: text(&rule["rule"])?,
        message: text(&rule["message"]),
        message_expression: text(&rule["messageExpression"]),
        field_path: text(&rule["fieldPath"]),
        reason: text(&rule["reason"]),
        compiled: OnceLock::new(),
    })
}

fn nodes(list: &Value) -> Vec<Node> {
    list.as_array().into_iter().flatten().map(Node::load).collect()
}

fn text(value: &Value) -> Option<Box<str>> {
    value.as_str().map(Into::into)
}

fn strings<T: for<'a> From<&'a str>>(list: &Value) -> Vec<T> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(T::from).collect()
}
