//! The files that a run would write, compared with those that are there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};

/// A set of files below one folder.
#[derive(Debug)]
pub struct Output {
    root: PathBuf,
    files: BTreeMap<PathBuf, String>,
    owned: Vec<PathBuf>,
}

impl Output {
    /// An empty set below `root`.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), files: BTreeMap::new(), owned: Vec::new() }
    }

    /// Adds a file, by its path below the root.
    pub fn add(&mut self, path: impl Into<PathBuf>, text: String) {
        self.files.insert(path.into(), text);
    }

    /// Declares a folder to hold generated files only: others in it are stale.
    pub fn own(&mut self, folder: impl Into<PathBuf>) {
        self.owned.push(folder.into());
    }

    /// Writes what differs and removes what is stale.
    pub fn write(&self) -> Result<()> {
        for path in self.differing() {
            let text = &self.files[&path];
            let full = self.root.join(&path);
            if let Some(folder) = full.parent() {
                std::fs::create_dir_all(folder)?;
            }
            std::fs::write(&full, text).with_context(|| format!("write {}", full.display()))?;
            println!("wrote {}", path.display());
        }
        for path in self.stale() {
            std::fs::remove_file(self.root.join(&path))?;
            println!("removed {}", path.display());
        }
        Ok(())
    }

    /// Names what is not current. Fails when there is anything to name.
    pub fn report(&self) -> ExitCode {
        let (differing, stale) = (self.differing(), self.stale());
        for path in &differing {
            println!("not current: {}", path.display());
        }
        for path in &stale {
            println!("stale: {}", path.display());
        }
        if differing.is_empty() && stale.is_empty() {
            println!("all {} generated files are current", self.files.len());
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }

    fn differing(&self) -> Vec<PathBuf> {
        let same = |path: &PathBuf, text: &String| {
            std::fs::read_to_string(self.root.join(path)).is_ok_and(|found| found == *text)
        };
        self.files.iter().filter(|(path, text)| !same(path, text)).map(|(path, _)| path.clone()).collect()
    }

    fn stale(&self) -> Vec<PathBuf> {
        let mut stale = Vec::new();
        for folder in &self.owned {
            let Ok(entries) = std::fs::read_dir(self.root.join(folder)) else {
                continue;
            };
            for entry in entries.flatten() {
                let path = folder.join(entry.file_name());
                if entry.path().is_file() && !self.files.contains_key(&path) {
                    stale.push(path);
                }
            }
        }
        stale.sort();
        stale
    }
}
