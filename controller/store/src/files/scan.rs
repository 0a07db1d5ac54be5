//! Which files there are.

use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::stdin;
use crate::{Code, Place, Problem};

/// A file to read. Ordered as files take precedence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FileName {
    /// Index of the given path that it belongs to.
    pub root: usize,
    /// Absolute.
    pub path: PathBuf,
    /// For people: as given, or below a given directory.
    pub shown: Arc<str>,
}

/// What tells one version of a file from another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// What a walk over the given paths found.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// In order.
    pub files: Vec<(Arc<FileName>, Stamp)>,
    /// All directories, and the real parents of files that are symbolic links: what to watch. With inode, to notice exchange.
    pub directories: Vec<(PathBuf, (u64, u64))>,
    /// What the files that are symbolic links stand for.
    pub targets: HashSet<PathBuf>,
    /// Given paths that are not there and directories that can't be read: nothing is known of the files in them.
    pub unknown: Vec<PathBuf>,
    /// What can't be read.
    pub problems: Vec<Problem>,
}

/// Directories within each other.
const MAX_DEPTH: usize = 64;

impl Stamp {
    pub(crate) fn of(metadata: &Metadata) -> Stamp {
        Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }
}

impl Scan {
    /// Walks over the given paths.
    pub(crate) fn of(roots: &[PathBuf]) -> Scan {
        let mut scan = Scan::default();
        let mut seen = HashSet::new();
        for (root, given) in roots.iter().enumerate() {
            if stdin::is(given) {
                let name = FileName { root, path: given.clone(), shown: stdin::NAME.into() };
                scan.files.push((Arc::new(name), Stamp::default()));
                continue;
            }
            let path = absolute(given);
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() => {
                    let found = scan.files.len() + scan.problems.len();
                    scan.directory(root, given, &path, &metadata, &mut Vec::new());
                    if scan.files.len() + scan.problems.len() == found {
                        scan.problems.push(empty(given));
                    }
                }
                Ok(metadata) => scan.file(root, given, &path, &metadata),
                Err(error) => {
                    scan.unknown.push(path);
                    let message = format!("can't read: {error}");
                    scan.problems.push(Problem::error(Code::Unreadable, message).at(Place::file(shown(given))));
                }
            }
        }
        scan.files.retain(|(_, stamp)| roots.len() == 1 || seen.insert((stamp.device, stamp.inode)));
        scan
    }

    /// The directory that a given path is in, with its inode: there it comes and goes.
    pub(crate) fn directory_of(path: &Path) -> Option<(PathBuf, (u64, u64))> {
        let parent = path.parent()?;
        let metadata = fs::metadata(parent).ok()?;
        Some((parent.to_owned(), (metadata.dev(), metadata.ino())))
    }

    fn directory(
        &mut self,
        root: usize,
        shown_at: &Path,
        path: &Path,
        metadata: &Metadata,
        above: &mut Vec<(u64, u64)>,
    ) {
        let id = (metadata.dev(), metadata.ino());
        if above.contains(&id) {
            return; // A symbolic link upwards.
        }
        self.directories.push((path.to_owned(), id));
        let unreadable = |error: &dyn std::fmt::Display| {
            Problem::error(Code::Unreadable, format!("can't read the directory: {error}"))
                .at(Place::file(shown(shown_at)))
        };
        if above.len() >= MAX_DEPTH {
            self.problems.push(unreadable(&format!("more than {MAX_DEPTH} within each other")));
            return;
        }
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => {
                self.problems.push(unreadable(&error));
                self.unknown.push(path.to_owned());
                return;
            }
        };
        let mut names: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.file_name())).collect();
        names.sort();
        above.push(id);
        for name in names {
            if name.as_encoded_bytes().starts_with(b".") {
                continue; // Hidden; also editors' swap files and the `..data` of mounted ConfigMaps.
            }
            let (path, shown_at) = (path.join(&name), shown_at.join(&name));
            // A name that is gone again, or a symbolic link to nothing, as some editors' lock files are.
            let Ok(metadata) = fs::metadata(&path) else { continue };
            if metadata.is_dir() {
                self.directory(root, &shown_at, &path, &metadata, above);
            } else if metadata.is_file() && is_manifest(&path) {
                self.file(root, &shown_at, &path, &metadata);
            }
        }
        above.pop();
    }

    fn file(&mut self, root: usize, shown_at: &Path, path: &Path, metadata: &Metadata) {
        if !metadata.is_file() {
            let problem = Problem::error(Code::Unreadable, "neither a file nor a directory");
            self.problems.push(problem.at(Place::file(shown(shown_at))));
            return;
        }
        let name = FileName { root, path: path.to_owned(), shown: shown(shown_at) };
        self.files.push((Arc::new(name), Stamp::of(metadata)));
        if fs::symlink_metadata(path).is_ok_and(|link| link.is_symlink())
            && let Ok(target) = fs::canonicalize(path)
            && let Some(parent) = target.parent()
            && let Ok(metadata) = fs::metadata(parent)
        {
            self.directories.push((parent.to_owned(), (metadata.dev(), metadata.ino())));
            self.targets.insert(target);
        }
    }
}

/// Whether a file of a directory is read.
pub(crate) fn is_manifest(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension.eq_ignore_ascii_case(known)))
}

/// As `path` is called in events.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// As `path` is called in messages.
pub(crate) fn shown(path: &Path) -> Arc<str> {
    path.to_string_lossy().into()
}

fn empty(given: &Path) -> Problem {
    let problem = Problem::error(Code::Empty, "no manifest here");
    problem.at(Place::file(shown(given))).help("put *.yaml, *.yml or *.json files into it")
}
