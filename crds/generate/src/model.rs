//! Upstream's definitions, joined from their three sources: shapes from the OpenAPI document, the names of string types
//! from the Go sources, allowed values from the CRDs.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::go::Package;
use crate::names;

/// Everything that becomes Rust.
#[derive(Debug, Default)]
pub struct Model {
    /// By Rust name.
    pub structs: BTreeMap<String, Struct>,
    /// Rust alias → the type it stands for, with the module it lives in.
    pub aliases: BTreeMap<String, (String, String)>,
    /// Open enums by name.
    pub enums: BTreeMap<String, Enum>,
    /// Condition types and reasons: Go type name → values.
    pub conditions: BTreeMap<String, Vec<String>>,
}

/// A definition with fields.
#[derive(Debug)]
pub struct Struct {
    /// The generated module.
    pub module: String,
    /// Fields in the order of their JSON names.
    pub fields: Vec<Field>,
    /// Set for the root of a kind.
    pub kind: Option<GroupVersion>,
}

/// Group and version of a kind.
#[derive(Clone, Debug)]
pub struct GroupVersion {
    /// Such as `gateway.networking.k8s.io`.
    pub group: String,
    /// Such as `v1`.
    pub version: String,
}

/// One field.
#[derive(Debug)]
pub struct Field {
    /// Name on the wire.
    pub json: String,
    /// Its type.
    pub shape: Shape,
    /// Whether an object without it is invalid.
    pub required: bool,
}

/// A field's type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A Rust type as written in source.
    Plain(String),
    /// `Vec` of a Rust type.
    List(String),
    /// `BTreeMap<String, _>` of a Rust type.
    Map(String),
}

/// A string type with known values.
#[derive(Debug)]
pub struct Enum {
    /// The generated module.
    pub module: String,
    /// Values in the order of declaration.
    pub values: Vec<String>,
}

/// An API package: where its definitions, its Go sources and its generated modules are.
#[derive(Debug)]
pub struct Api {
    /// Prefix of its names in the OpenAPI document.
    pub prefix: &'static str,
    /// Prefix of its generated modules.
    pub modules: &'static str,
    /// Its Go declarations.
    pub go: Package,
}

impl Model {
    /// Joins definitions and Go packages. `apis[0]` is where names that a later package does not declare are looked up.
    pub fn build(definitions: &Value, apis: &[Api]) -> Result<Self> {
        let mut model = Self::default();
        let definitions = definitions.as_object().context("definitions must be an object")?;
        for (full, definition) in definitions {
            let Some(api) = apis.iter().find(|api| full.starts_with(api.prefix)) else {
                continue;
            };
            let name = &full[api.prefix.len()..];
            if name.ends_with("List") {
                continue;
            }
            let built = model.build_struct(name, definition, api, apis).with_context(|| full.clone())?;
            if let Some(target) = api.go.renames(name) {
                let module = built.module;
                model.aliases.insert(name.to_owned(), (target.to_owned(), module));
            } else if model.structs.insert(name.to_owned(), built).is_some() {
                bail!("two packages declare {name}");
            }
        }
        for api in apis {
            model.add_conditions(&api.go);
        }
        Ok(model)
    }

    /// Adds the values that a CRD allows for a string type to the enum of that type.
    pub fn add_values(&mut self, kind: &str, schema: &Value) {
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        self.walk_values(kind, schema, &mut found);
        for (name, values) in found {
            if let Some(known) = self.enums.get_mut(&name) {
                for value in values {
                    if !value.is_empty() && !known.values.contains(&value) {
                        known.values.push(value);
                    }
                }
            }
        }
    }

    fn walk_values(&self, name: &str, schema: &Value, found: &mut BTreeMap<String, Vec<String>>) {
        let name = self.aliases.get(name).map_or(name, |(target, _)| target);
        let Some(definition) = self.structs.get(name) else {
            return;
        };
        for field in &definition.fields {
            let property = &schema["properties"][&field.json];
            let (inner, property) = match &field.shape {
                Shape::Plain(inner) => (inner, property),
                Shape::List(inner) => (inner, &property["items"]),
                Shape::Map(inner) => (inner, &property["additionalProperties"]),
            };
            if let Some(values) = property["enum"].as_array() {
                let values = values.iter().filter_map(Value::as_str).map(str::to_owned);
                found.entry(inner.clone()).or_default().extend(values);
            }
            self.walk_values(inner, property, found);
        }
    }

    fn build_struct(&mut self, name: &str, definition: &Value, api: &Api, apis: &[Api]) -> Result<Struct> {
        let required: BTreeSet<&str> = definition["required"]
            .as_array()
            .map(|names| names.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        let kind = definition["x-kubernetes-group-version-kind"].get(0).map(|gvk| GroupVersion {
            group: gvk["group"].as_str().unwrap_or_default().to_owned(),
            version: gvk["version"].as_str().unwrap_or_default().to_owned(),
        });
        let file = api.go.structs.get(name).map_or("shared", |found| found.file.as_str());
        let module = format!("{}{file}", api.modules);
        let mut fields = Vec::new();
        let empty = serde_json::Map::new();
        for (json, property) in definition["properties"].as_object().unwrap_or(&empty) {
            if kind.is_some() && (json == "apiVersion" || json == "kind") {
                continue;
            }
            let go = api.go.field_type(name, json).or_else(|| apis[0].go.field_type(name, json));
            let shape = self.shape(property, go, api, apis).with_context(|| json.clone())?;
            fields.push(Field { json: json.clone(), shape, required: required.contains(json.as_str()) });
        }
        Ok(Struct { module, fields, kind })
    }

    fn shape(&mut self, property: &Value, go: Option<&str>, api: &Api, apis: &[Api]) -> Result<Shape> {
        if property["type"] == "array" {
            return match self.shape(&property["items"], go, api, apis)? {
                Shape::Plain(inner) => Ok(Shape::List(inner)),
                _ => bail!("a list of lists or maps"),
            };
        }
        if let Some(reference) = property["$ref"].as_str() {
            return reference_type(reference, apis).map(Shape::Plain);
        }
        let written = match (property["type"].as_str(), property["format"].as_str()) {
            (Some("string"), _) => self.string_type(go, api, apis),
            (Some("integer"), Some("int64")) => "i64".to_owned(),
            (Some("integer"), _) => "i32".to_owned(),
            (Some("boolean"), _) => "bool".to_owned(),
            (Some("object"), _) => {
                return match self.shape(&property["additionalProperties"], None, api, apis)? {
                    Shape::Plain(inner) => Ok(Shape::Map(inner)),
                    _ => bail!("a map of lists or maps"),
                };
            }
            other => bail!("unsupported type {other:?}"),
        };
        Ok(Shape::Plain(written))
    }

    /// An enum when the Go type has constants, otherwise `String`.
    fn string_type(&mut self, go: Option<&str>, api: &Api, apis: &[Api]) -> String {
        let declared = go.and_then(|go| {
            [api, &apis[0]].into_iter().find_map(|api| {
                let values = api.go.constants.get(go).filter(|values| !values.is_empty())?;
                let file = api.go.strings.get(go)?;
                Some((go, format!("{}{file}", api.modules), values))
            })
        });
        let Some((name, module, values)) = declared else {
            return "String".to_owned();
        };
        self.enums.entry(name.to_owned()).or_insert_with(|| Enum { module, values: values.clone() });
        name.to_owned()
    }

    fn add_conditions(&mut self, go: &Package) {
        for (name, values) in &go.constants {
            if name.ends_with("ConditionType") || name.ends_with("ConditionReason") {
                let known = self.conditions.entry(names::snake(name)).or_default();
                for value in values {
                    if !known.contains(value) {
                        known.push(value.clone());
                    }
                }
            }
        }
    }
}

/// The Rust type for a `$ref`.
fn reference_type(reference: &str, apis: &[Api]) -> Result<String> {
    let reference = reference.trim_start_matches("#/definitions/");
    if let Some(name) = reference.strip_prefix("io.k8s.apimachinery.pkg.apis.meta.v1.") {
        return match name {
            "ObjectMeta" | "LabelSelector" | "Condition" => Ok(format!("meta::{name}")),
            _ => bail!("no Rust type for {reference}"),
        };
    }
    apis.iter()
        .find_map(|api| reference.strip_prefix(api.prefix))
        .map(str::to_owned)
        .with_context(|| format!("no Rust type for {reference}"))
}
