//! The pinned Go module that everything here is generated from.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Module path and version. A new Gateway API release is a change of this line and a run of the generator.
pub const MODULE: (&str, &str) = ("sigs.k8s.io/gateway-api", "v1.7.0");

/// Which of upstream's two release channels a CRD comes from.
#[derive(Clone, Copy, Debug)]
pub enum Channel {
    /// What upstream promises to keep.
    Standard,
    /// Standard and everything that may still change.
    Experimental,
}

impl Channel {
    fn folder(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Experimental => "experimental",
        }
    }
}

/// An unpacked copy of the module.
#[derive(Debug)]
pub struct Source {
    root: PathBuf,
}

impl Source {
    /// Uses `folder`, or lets the Go toolchain download the module into its cache.
    pub fn open(folder: Option<PathBuf>) -> Result<Self> {
        let root = match folder {
            Some(folder) => folder,
            None => download()?,
        };
        if !root.join("config/crd").is_dir() {
            bail!("{} does not look like the Gateway API module: no config/crd", root.display());
        }
        Ok(Self { root })
    }

    /// A folder of Go API types, such as `apis/v1`.
    pub fn package(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// The OpenAPI document of the experimental channel.
    pub fn definitions(&self) -> Result<Value> {
        let path = self.root.join("api/openapi-spec/experimental-swagger.json");
        let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        Ok(serde_json::from_str::<Value>(&text)?["definitions"].take())
    }

    /// The CRDs of one channel, in the order of their file names.
    pub fn crds(&self, channel: Channel) -> Result<Vec<Value>> {
        let folder = self.root.join("config/crd").join(channel.folder());
        let mut paths: Vec<PathBuf> =
            std::fs::read_dir(&folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
        paths.sort();
        let mut crds = Vec::new();
        for path in paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with("gateway.networking.") && !name.contains("_vap_") {
                let text = std::fs::read_to_string(&path)?;
                let crd = serde_saphyr::from_str(&text).with_context(|| format!("parse {}", path.display()))?;
                crds.push(crd);
            }
        }
        Ok(crds)
    }
}

/// `go mod download` outside of any module. It exits with an error when the module wants a newer Go than the one
/// installed, after it has unpacked the sources: only a missing archive is a failure.
fn download() -> Result<PathBuf> {
    let (module, version) = MODULE;
    let output = Command::new("go")
        .args(["mod", "download", "-json", &format!("{module}@{version}")])
        .current_dir(std::env::temp_dir())
        .env("GOFLAGS", "-mod=mod")
        .output()
        .context("run `go mod download` (is Go installed?)")?;
    let answer: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("`go mod download` said: {}", String::from_utf8_lossy(&output.stderr)))?;
    if let Some(folder) = answer["Dir"].as_str() {
        return Ok(folder.into());
    }
    let archive = answer["Zip"].as_str().with_context(|| format!("`go mod download` gave no archive: {answer}"))?;
    let (cache, _) =
        archive.split_once("/cache/download/").with_context(|| format!("unexpected archive path {archive}"))?;
    Ok(Path::new(cache).join(format!("{module}@{version}")))
}
