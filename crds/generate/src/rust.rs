//! Model → Rust source, one file per upstream source file.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::model::{Enum, Field, Model, Shape, Struct};
use crate::names;

/// Plural and scope of a kind, from its CRD.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Such as `httproutes`.
    pub plural: String,
    /// Whether objects live in a namespace.
    pub namespaced: bool,
}

/// Writes the modules: file name → formatted source.
pub fn modules(model: &Model, resources: &BTreeMap<String, Resource>) -> Result<BTreeMap<String, String>> {
    let mut bodies: BTreeMap<String, String> = BTreeMap::new();
    for (name, values) in &model.enums {
        write_enum(bodies.entry(values.module.clone()).or_default(), name, values)?;
    }
    for (name, (target, module)) in &model.aliases {
        let body = bodies.entry(module.clone()).or_default();
        writeln!(body, "\n/// The same shape as [`{target}`].\npub type {name} = {target};")?;
    }
    for (name, definition) in &model.structs {
        let body = bodies.entry(definition.module.clone()).or_default();
        write_struct(body, name, definition)?;
        if let Some(kind) = &definition.kind {
            let resource = resources.get(name).with_context(|| format!("{name} has no CRD"))?;
            let scope = if resource.namespaced { "Namespace" } else { "Cluster" };
            let status = definition.fields.iter().any(|field| field.json == "status");
            let status = if status { ", status" } else { "" };
            writeln!(
                body,
                "\nkind! {{ {name}, {:?}, {:?}, {:?}, {scope}{status} }}",
                kind.group, kind.version, resource.plural
            )?;
        }
    }
    let mut files = BTreeMap::new();
    files.insert("mod.rs".to_owned(), format(&write_index(bodies.keys())?)?);
    files.insert("conditions.rs".to_owned(), format(&write_conditions(model)?)?);
    for (module, body) in bodies {
        let text = format!("{MARK}\n\nuse super::prelude::*;\n{body}");
        files.insert(format!("{module}.rs"), format(&text)?);
    }
    Ok(files)
}

fn write_index<'a>(names: impl Iterator<Item = &'a String> + Clone) -> Result<String> {
    let mut text = format!("{MARK}\n\npub mod conditions;\n");
    for module in names.clone() {
        writeln!(text, "mod {module};")?;
    }
    text.push('\n');
    for module in names {
        writeln!(text, "pub use {module}::*;")?;
    }
    text.push_str(PRELUDE);
    Ok(text)
}

fn write_conditions(model: &Model) -> Result<String> {
    let mut text =
        format!("{MARK}\n//!\n//! Condition types and reasons, by the type that upstream declares them with.\n");
    for (name, values) in &model.conditions {
        writeln!(text, "\npub mod {name} {{")?;
        for value in values {
            let constant = names::snake(value).to_ascii_uppercase();
            writeln!(text, "pub const {constant}: &str = {value:?};")?;
        }
        writeln!(text, "}}")?;
    }
    Ok(text)
}

fn write_enum(out: &mut String, name: &str, values: &Enum) -> Result<()> {
    writeln!(out, "\nopen_enum! {{\n    pub enum {name} {{")?;
    for value in &values.values {
        writeln!(out, "        {} = {value:?},", names::variant(value))?;
    }
    writeln!(out, "    }}\n}}")?;
    Ok(())
}

fn write_struct(out: &mut String, name: &str, definition: &Struct) -> Result<()> {
    // A kind's apiVersion and kind are not fields: the `kind!` macro serialises them.
    let serialize = if definition.kind.is_some() { "" } else { ", Serialize" };
    writeln!(out, "\n#[derive(Clone, Debug, Default, PartialEq, Deserialize{serialize})]")?;
    writeln!(out, "#[serde(rename_all = \"camelCase\")]\npub struct {name} {{")?;
    for field in &definition.fields {
        let rare = names::is_rare(name, &field.json);
        write_field(out, field, definition.kind.is_some(), rare)?;
    }
    writeln!(out, "}}")?;
    Ok(())
}

fn write_field(out: &mut String, field: &Field, root: bool, rare: bool) -> Result<()> {
    let rust = names::field(&field.json);
    let mut options = Vec::new();
    if names::camel(&rust) != field.json || rust.ends_with('_') {
        options.push(format!("rename = {:?}", field.json));
    }
    let written = match &field.shape {
        Shape::List(inner) => {
            options.push("default".to_owned());
            if !field.required {
                options.push("skip_serializing_if = \"Vec::is_empty\"".to_owned());
            }
            format!("Vec<{inner}>")
        }
        Shape::Map(inner) => {
            options.push("default".to_owned());
            if !field.required {
                options.push("skip_serializing_if = \"BTreeMap::is_empty\"".to_owned());
            }
            format!("BTreeMap<String, {inner}>")
        }
        Shape::Plain(inner) if inner == "meta::ObjectMeta" => {
            options.push("default".to_owned());
            inner.clone()
        }
        Shape::Plain(inner) if field.required => inner.clone(),
        Shape::Plain(inner) => {
            options.push("default".to_owned());
            if !root {
                options.push("skip_serializing_if = \"Option::is_none\"".to_owned());
            }
            if rare { format!("Option<Box<{inner}>>") } else { format!("Option<{inner}>") }
        }
    };
    if !options.is_empty() {
        writeln!(out, "#[serde({})]", options.join(", "))?;
    }
    writeln!(out, "pub {rust}: {written},")?;
    Ok(())
}

/// Runs `rustfmt`, so that the checked-in files pass the project's format check.
fn format(text: &str) -> Result<String> {
    let mut child = Command::new("rustfmt")
        .args(["--edition", "2024", "--emit", "stdout"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("run rustfmt")?;
    child.stdin.take().context("rustfmt's input")?.write_all(text.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("rustfmt refused the generated source:\n{text}");
    }
    Ok(String::from_utf8(output.stdout)?)
}

const MARK: &str = "//! Written by `fairlead-crds-generate`; do not edit.";

const PRELUDE: &str = "
/// What the generated modules use.
mod prelude {
    pub(super) use std::collections::BTreeMap;

    pub(super) use serde::{Deserialize, Serialize};

    pub(super) use super::*;
    pub(super) use crate::gateway::macros::{kind, open_enum};
    pub(super) use crate::meta;
}
";
