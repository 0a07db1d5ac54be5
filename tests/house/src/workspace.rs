//! The workspace as cargo sees it, and its files.

use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Packages and where they are.
#[derive(Debug)]
pub struct Workspace {
    /// The directory of the root manifest.
    pub root: PathBuf,
    /// The members, by name.
    pub members: BTreeMap<String, Package>,
}

/// A member.
#[derive(Clone, Debug, Deserialize)]
pub struct Package {
    /// `fairlead-route` …
    pub name: String,
    /// SPDX expression.
    pub license: Option<String>,
    /// Absolute.
    pub manifest_path: PathBuf,
    /// Direct ones, of all kinds.
    pub dependencies: Vec<Dependency>,
    /// Libraries, binaries, tests.
    pub targets: Vec<Target>,
}

/// A declared dependency.
#[derive(Clone, Debug, Deserialize)]
pub struct Dependency {
    /// Of the package, not of a rename.
    pub name: String,
    /// `None` for normal ones; `dev` or `build`.
    pub kind: Option<String>,
}

/// What cargo builds of a package.
#[derive(Clone, Debug, Deserialize)]
pub struct Target {
    /// `lib`, `bin`, `test`, `custom-build` …
    pub kind: Vec<String>,
    /// Absolute.
    pub src_path: PathBuf,
}

/// A package that is compiled.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Compiled {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its licence, as it says.
    pub license: String,
}

impl Workspace {
    /// Asks `cargo metadata`.
    ///
    /// # Panics
    /// When cargo fails: a stale lock file is such a failure.
    pub fn load() -> Workspace {
        #[derive(Deserialize)]
        struct Metadata {
            packages: Vec<Package>,
            workspace_root: PathBuf,
        }
        let json = cargo(&["metadata", "--format-version=1", "--no-deps", "--locked"]);
        let metadata: Metadata = serde_json::from_str(&json).unwrap_or_else(|e| panic!("cargo metadata: {e}"));
        let members = metadata.packages.into_iter().map(|p| (p.name.clone(), p)).collect();
        Workspace { root: metadata.workspace_root, members }
    }

    /// A path relative to the root, for messages.
    pub fn relative<'a>(&self, path: &'a Path) -> std::path::Display<'a> {
        path.strip_prefix(&self.root).unwrap_or(path).display()
    }

    /// Folder of a member, relative to the root: `proxy/route`; empty for the root package.
    pub fn folder(&self, package: &Package) -> String {
        let dir = package.manifest_path.parent().unwrap_or(&self.root);
        self.relative(dir).to_string()
    }

    /// Members whose folder begins so: `proxy/`.
    pub fn members_in(&self, folder: &str) -> impl Iterator<Item = &Package> {
        self.members.values().filter(move |package| self.folder(package).starts_with(folder))
    }

    /// Text files of the tree, sorted: all but what cargo and git keep.
    pub fn texts(&self) -> Vec<(PathBuf, String)> {
        let mut files = Vec::new();
        walk(&self.root, &mut files);
        files.sort();
        files.into_iter().filter_map(|path| std::fs::read_to_string(&path).ok().map(|text| (path, text))).collect()
    }
}

impl Package {
    /// Names of the direct dependencies that the package is built with.
    pub fn normal_dependencies(&self) -> BTreeSet<&str> {
        self.dependencies.iter().filter(|d| d.kind.is_none()).map(|d| d.name.as_str()).collect()
    }
}

/// What is compiled for a package (for the whole workspace: `None`) along edges of these kinds (`normal`, `normal,build,dev`).
///
/// # Panics
/// When cargo fails.
pub fn compiled(package: Option<&str>, edges: &str) -> BTreeSet<Compiled> {
    let mut arguments = vec!["tree", "--locked", "--prefix=none", "--format={p}\t{l}", "--edges", edges];
    match package {
        Some(package) => arguments.extend(["--package", package]),
        None => arguments.push("--workspace"),
    }
    cargo(&arguments).lines().filter_map(parse_tree_line).collect()
}

/// `name v1.2.3 (path or proc-macro)\tMIT (*)`
fn parse_tree_line(line: &str) -> Option<Compiled> {
    let (package, license) = line.split_once('\t')?;
    let mut words = package.split(' ');
    let (name, version) = (words.next()?, words.next()?.trim_start_matches('v'));
    let license = license.trim_end_matches("(*)").trim();
    Some(Compiled { name: name.into(), version: version.into(), license: license.into() })
}

fn cargo(arguments: &[&str]) -> String {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let output = output.unwrap_or_else(|e| panic!("cargo {arguments:?}: {e}"));
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn walk(dir: &Path, files: &mut Vec<PathBuf>) {
    const SKIPPED: [&str; 4] = ["target", ".git", "artifacts", "node_modules"];
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.filter_map(Result::ok) {
        let (path, name) = (entry.path(), entry.file_name());
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && !SKIPPED.iter().any(|s| name == *s) => walk(&path, files),
            Ok(kind) if kind.is_file() => files.push(path),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lines_of_cargo_tree() {
        let compiled = |line| parse_tree_line(line).map(|c| (c.name, c.version, c.license));
        let expected = Some(("serde".to_string(), "1.0.2".to_string(), "MIT OR Apache-2.0".to_string()));
        assert_eq!(compiled("serde v1.0.2\tMIT OR Apache-2.0"), expected);
        assert_eq!(compiled("serde v1.0.2 (proc-macro)\tMIT OR Apache-2.0 (*)"), expected);
        assert_eq!(compiled(""), None);
    }

    #[test]
    fn finds_this_package() {
        let workspace = Workspace::load();
        assert_eq!(workspace.folder(&workspace.members["fairlead-test-house"]), "tests/house");
        assert!(workspace.members["fairlead-test-house"].normal_dependencies().contains("serde_json"));
        assert!(workspace.texts().iter().any(|(path, _)| path.ends_with("tests/house/src/workspace.rs")));
    }
}
