//! Writes what `fairlead-crds` checks in: the Gateway API's Rust types, prose-free schemas of all our kinds, and the
//! YAML of our own CRDs.
//!
//! ```text
//! Go module ──► go + model ──► rust ──► crds/src/gateway/generated/*.rs
//!     └───────► schema ───────────────► crds/schemas/*.json, crds/schemas/standard/*.json
//! crds/src/v1alpha1 ──► own ──────────► crds/yaml/*.yaml, crds/schemas/*.json
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use serde_json::Value;

mod go;
mod model;
mod names;
mod output;
mod own;
mod rust;
mod schema;
mod source;

use model::{Api, Model};
use output::Output;
use source::{Channel, Source};

fn main() -> Result<ExitCode> {
    let options = Options::parse(std::env::args().skip(1))?;
    let source = Source::open(options.source)?;
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no parent folder")?;
    let mut output = Output::new(crates);
    gateway_api(&source, &mut output)?;
    own_kinds(&mut output)?;
    if options.check {
        return Ok(output.report());
    }
    output.write()?;
    Ok(ExitCode::SUCCESS)
}

/// Types and schemas of upstream's kinds.
fn gateway_api(source: &Source, output: &mut Output) -> Result<()> {
    let apis = [
        Api {
            prefix: "io.k8s.networking.gateway.v1.",
            modules: "",
            go: go::Package::read(&source.package("apis/v1"))?,
        },
        Api {
            prefix: "io.x-k8s.networking.gateway.v1alpha1.",
            modules: "",
            go: go::Package::read(&source.package("apisx/v1alpha1"))?,
        },
    ];
    let experimental = source.crds(Channel::Experimental)?;
    let standard = source.crds(Channel::Standard)?;
    let mut model = Model::build(&source.definitions()?, &apis)?;
    let mut resources = BTreeMap::new();
    for crd in &experimental {
        let (kind, resource) = resource(crd)?;
        model.add_values(&kind, &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]);
        resources.insert(kind, resource);
    }
    for (file, text) in rust::modules(&model, &resources)? {
        output.add(format!("src/gateway/generated/{file}"), text);
    }
    output.own("src/gateway/generated");
    for crd in &experimental {
        let plural = plural(crd)?;
        let stable = standard.iter().find(|other| other["metadata"]["name"] == crd["metadata"]["name"]);
        let stored = schema::stored(crd, stable)?;
        output.add(format!("schemas/{plural}.json"), stored.to_string() + "\n");
    }
    for crd in &standard {
        let stored = schema::stored(crd, Some(crd))?;
        output.add(format!("schemas/standard/{}.json", plural(crd)?), stored.to_string() + "\n");
    }
    Ok(())
}

/// CRDs and schemas of our own kinds.
fn own_kinds(output: &mut Output) -> Result<()> {
    for definition in fairlead_crds::v1alpha1::schemas::all() {
        let crd = own::crd(&definition);
        let plural = definition.kind.plural();
        let name = format!("{}_{plural}.yaml", definition.kind.group());
        output.add(format!("yaml/{name}"), own::yaml(&crd)?);
        let stored = schema::stored(&crd, Some(&crd))?;
        output.add(format!("schemas/{plural}.json"), stored.to_string() + "\n");
    }
    output.own("yaml");
    output.own("schemas");
    output.own("schemas/standard");
    Ok(())
}

fn plural(crd: &Value) -> Result<&str> {
    crd["spec"]["names"]["plural"].as_str().context("a CRD without a plural name")
}

fn resource(crd: &Value) -> Result<(String, rust::Resource)> {
    let kind = crd["spec"]["names"]["kind"].as_str().context("a CRD without a kind")?;
    let namespaced = crd["spec"]["scope"] == "Namespaced";
    Ok((kind.to_owned(), rust::Resource { plural: plural(crd)?.to_owned(), namespaced }))
}

/// The command line.
struct Options {
    check: bool,
    source: Option<PathBuf>,
}

impl Options {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self { check: false, source: None };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--check" => options.check = true,
                "--source" => {
                    options.source = Some(words.next().context("--source needs a folder")?.into());
                }
                other => bail!("unknown argument {other}; usage: [--check] [--source FOLDER]"),
            }
        }
        Ok(options)
    }
}
