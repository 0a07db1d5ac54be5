//! What was read from which file, and the World that follows from it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::BuildHasher as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use fairlead_crds::{Kind, Scope};
use foldhash::fast::{FixedState, RandomState};
use serde_json::json;

use super::claims::Claims;
use super::document::{self, Chunked};
use super::load::{self, Job, Loaded, Part, Progress};
use super::scan::{self, FileName, Scan, Stamp};
use super::{Locator, Settings};
use crate::{Change, Code, Entry, Key, Place, Problem, World};

/// Files that were read, and the [`World`] of their objects.
#[derive(Debug)]
pub struct Files {
    settings: Settings,
    roots: Vec<PathBuf>,
    scan: Scan,
    files: BTreeMap<Arc<FileName>, FileState>,
    by_path: HashMap<PathBuf, Arc<FileName>, RandomState>,
    troubled: BTreeSet<Arc<FileName>>,
    claims: Claims,
    namespaces: Namespaces,
    world: World,
    problems: Vec<Problem>,
}

/// Number of objects by namespace.
pub(super) type Namespaces = HashMap<Arc<str>, usize, RandomState>;

#[derive(Debug, Default)]
struct FileState {
    stamp: Option<Stamp>,
    /// Of the version in use.
    chunks: Vec<Arc<Chunked>>,
    /// Why a newer version is not in use.
    rejected: Vec<Problem>,
}

impl Files {
    /// Reads all files. Problems are in [`change`](Files::change); whatever can be read is.
    pub fn open(settings: Settings, progress: impl FnMut(Progress)) -> Files {
        let scan = Scan::of(&settings.paths);
        Files::open_scanned(settings, scan, progress)
    }

    pub(crate) fn open_scanned(settings: Settings, scan: Scan, progress: impl FnMut(Progress)) -> Files {
        let roots = settings.paths.iter().map(|path| scan::absolute(path)).collect();
        let mut files = Files {
            settings,
            roots,
            scan: Scan::default(),
            files: BTreeMap::new(),
            by_path: HashMap::default(),
            troubled: BTreeSet::new(),
            claims: Claims::default(),
            namespaces: HashMap::default(),
            world: World::default(),
            problems: Vec::new(),
        };
        files.update(scan, &HashSet::new(), progress);
        files
    }

    /// Everything as it is now, as the change from nothing.
    pub fn change(&self) -> Change {
        let kinds = Kind::ALL.iter();
        let changed = kinds.flat_map(|kind| self.world.entries(*kind).map(|(key, _)| (*kind, key.clone()))).collect();
        Change { world: self.world.clone(), changed, restated: Vec::new(), problems: self.problems.clone() }
    }

    /// All objects as they are now.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Looks at all files again and reads those that changed. `None` when nothing did.
    pub fn refresh(&mut self) -> Option<Change> {
        let scan = Scan::of(&self.settings.paths);
        self.update(scan, &HashSet::new(), |_| {})
    }

    /// Reads the files that some paths concern. Also says whether the directories may be others now.
    pub(crate) fn refresh_paths(&mut self, paths: &HashSet<PathBuf>) -> (Option<Change>, bool) {
        let mut known = Vec::with_capacity(paths.len());
        for path in paths {
            match self.by_path.get(path) {
                Some(name) if !self.is_link(path) => known.push(name.clone()),
                None if !self.concerns_all(path) => {}
                _ => {
                    let scan = Scan::of(&self.settings.paths);
                    return (self.update(scan, paths, |_| {}), true);
                }
            }
        }
        known.sort();
        let (mut jobs, mut touched) = (Vec::new(), Vec::new());
        for name in known {
            match std::fs::metadata(&name.path) {
                Ok(metadata) => jobs.push(self.job(&name, Stamp::of(&metadata))),
                Err(_) if self.root_is_gone(name.root) => {
                    let scan = Scan::of(&self.settings.paths);
                    return (self.update(scan, paths, |_| {}), true);
                }
                Err(_) => self.forget(&name, &mut touched),
            }
        }
        self.read(jobs, &mut touched, |_| {});
        if self.files.is_empty() {
            // That there is none any more is a problem that only a walk can tell.
            self.scan = Scan::of(&self.settings.paths);
        }
        (self.finish(touched), false)
    }

    /// What the last walk found.
    pub(crate) fn scan(&self) -> &Scan {
        &self.scan
    }

    /// Whether a given path, or a directory below, can't be looked at, so that nobody tells when that is over.
    pub(crate) fn is_blind(&self) -> bool {
        !self.scan.unknown.is_empty()
    }

    /// Whether something about a path that is not a known file may matter.
    fn concerns_all(&self, path: &Path) -> bool {
        if self.roots.iter().any(|root| root == path) || self.scan.targets.contains(path) {
            return true;
        }
        if !self.roots.iter().any(|root| path.starts_with(root)) {
            return false;
        }
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        if name.starts_with(b".") {
            return name.starts_with(b".."); // `..data` of a mounted ConfigMap
        }
        scan::is_manifest(path) || path.is_dir() || self.scan.directories.iter().any(|(known, _)| known == path)
    }

    fn is_link(&self, path: &Path) -> bool {
        !self.scan.targets.is_empty() && std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink())
    }

    fn root_is_gone(&self, root: usize) -> bool {
        self.roots.get(root).is_none_or(|root| std::fs::metadata(root).is_err())
    }

    /// Brings the files to what a walk found. `forced` are read even if they look the same.
    fn update(&mut self, scan: Scan, forced: &HashSet<PathBuf>, progress: impl FnMut(Progress)) -> Option<Change> {
        let found: HashSet<&FileName, RandomState> = scan.files.iter().map(|(name, _)| &**name).collect();
        let kept =
            |name: &FileName| found.contains(name) || scan.unknown.iter().any(|unknown| name.path.starts_with(unknown));
        let gone: Vec<_> = self.files.keys().filter(|name| !kept(name)).cloned().collect();
        let mut touched = Vec::new();
        for name in gone {
            self.forget(&name, &mut touched);
        }
        let mut jobs = Vec::new();
        for (name, stamp) in &scan.files {
            let same = self.files.get(name).is_some_and(|state| state.stamp == Some(*stamp));
            if !same || forced.contains(&name.path) {
                jobs.push(self.job(name, *stamp));
            }
        }
        self.scan = scan;
        self.read(jobs, &mut touched, progress);
        self.finish(touched)
    }

    fn job(&self, name: &Arc<FileName>, stamp: Stamp) -> Job {
        let before = self.files.get(name).map(|state| state.chunks.clone()).unwrap_or_default();
        Job { name: name.clone(), stamp, before }
    }

    fn read(&mut self, jobs: Vec<Job>, touched: &mut Vec<(Kind, Key)>, progress: impl FnMut(Progress)) {
        let first = self.files.is_empty();
        let loaded = load::load(&self.settings, &self.world, jobs, progress);
        if first {
            self.claims.reserve(loaded.iter().map(Loaded::objects).sum());
        }
        for loaded in loaded {
            self.accept(loaded, touched);
        }
    }

    fn accept(&mut self, loaded: Loaded, touched: &mut Vec<(Kind, Key)>) {
        let name = loaded.name;
        self.by_path.insert(name.path.clone(), name.clone());
        let state = self.files.entry(name.clone()).or_default();
        state.stamp = Some(loaded.stamp);
        match loaded.content {
            Err(problem) => state.rejected = vec![state.serving_on(*problem)],
            Ok(mut parts) => {
                parts.iter_mut().for_each(|part| part.share(&mut self.namespaces));
                let anonymous = parts.iter().any(|part| part.chunk().anonymous);
                let complete = !state.chunks.is_empty() && !state.chunks.iter().any(|chunk| chunk.anonymous);
                if anonymous && complete {
                    let problems = parts.iter().flat_map(|part| shifted(part.chunk()));
                    state.rejected = problems.map(|problem| state.serving_on(problem)).collect();
                } else {
                    state.rejected.clear();
                    let (old, new) = state.replace(parts, anonymous);
                    old.iter().for_each(|chunk| self.claims.remove(chunk, touched));
                    new.iter().for_each(|chunk| self.claims.add(&name, chunk, touched));
                }
            }
        }
        if state.has_problems() {
            self.troubled.insert(name);
        } else {
            self.troubled.remove(&name);
        }
    }

    fn forget(&mut self, name: &Arc<FileName>, touched: &mut Vec<(Kind, Key)>) {
        let Some(state) = self.files.remove(name) else { return };
        self.by_path.remove(&name.path);
        self.troubled.remove(name);
        state.chunks.iter().for_each(|chunk| self.claims.remove(chunk, touched));
    }

    /// Brings the World up to date with the claims on some objects.
    fn finish(&mut self, mut touched: Vec<(Kind, Key)>) -> Option<Change> {
        touched.sort_unstable();
        touched.dedup();
        if self.world.is_empty() {
            // One after the other, in order, they would leave each leaf of the World's maps half empty.
            touched.sort_by_cached_key(|object| FixedState::default().hash_one(object));
        }
        let (mut changed, mut namespaces) = (Vec::new(), BTreeSet::new());
        for object in touched {
            let (kind, key) = (object.0, &object.1);
            if kind == Kind::Namespace {
                namespaces.insert(key.name.clone());
                continue;
            }
            let is_new = self.world.entry(kind, &key.namespace, &key.name).is_none();
            let entry = self.claims.winner(&object).map(|claim| claim.entry());
            let exists = entry.is_some();
            if !self.set(kind, key, entry) {
                continue;
            }
            if kind.scope() == Scope::Namespaced && (is_new || !exists) {
                let count = self.namespaces.entry(key.namespace.clone()).or_default();
                *count = if exists { *count + 1 } else { count.saturating_sub(1) };
                namespaces.insert(key.namespace.clone());
            }
            changed.push(object);
        }
        for name in namespaces {
            let object = (Kind::Namespace, Key::cluster(name));
            if self.set_namespace(&object) {
                changed.push(object);
            }
        }
        changed.sort_unstable();
        let problems = self.collect_problems();
        if changed.is_empty() && problems == self.problems {
            return None;
        }
        self.problems.clone_from(&problems);
        Some(Change { world: self.world.clone(), changed, restated: Vec::new(), problems })
    }

    /// A namespace exists when a file says so or when there is an object in it.
    fn set_namespace(&mut self, object: &(Kind, Key)) -> bool {
        let name = &object.1.name;
        let used = self.namespaces.get(name).is_some_and(|count| *count > 0);
        let given = self.claims.winner(object).map(|claim| claim.entry());
        let here = self.world.entry(Kind::Namespace, "", name);
        if given.is_none() && used && here.is_some_and(|entry| entry.source.is_none()) {
            return false;
        }
        let entry = given.or_else(|| if used { implied(name) } else { None });
        self.set(Kind::Namespace, &object.1, entry)
    }

    /// Says whether that changed the object, not only its place.
    fn set(&mut self, kind: Kind, key: &Key, entry: Option<Entry>) -> bool {
        match entry {
            Some(entry) => {
                let before = self.world.entry(kind, &key.namespace, &key.name).map(|entry| entry.revision);
                let changed = before != Some(entry.revision);
                self.world.insert(kind, key.clone(), entry);
                changed
            }
            None => self.world.remove(kind, key).is_some(),
        }
    }

    fn collect_problems(&self) -> Vec<Problem> {
        let mut problems = self.scan.problems.clone();
        for problem in &mut problems {
            let serving =
                self.files.keys().any(|name| problem.place.as_ref().is_some_and(|at| below(&name.shown, &at.file)));
            if problem.code == Code::Unreadable && serving {
                problem.notes.push(crate::Note { message: SERVING_ON.to_owned(), place: None });
            }
        }
        for name in &self.troubled {
            let Some(state) = self.files.get(name) else { continue };
            if state.rejected.is_empty() {
                problems.extend(state.chunks.iter().flat_map(|chunk| shifted(chunk)));
            } else {
                problems.extend(state.rejected.iter().cloned());
            }
        }
        self.duplicates(&mut problems);
        problems.sort_by(Problem::order);
        problems
    }

    fn duplicates(&self, problems: &mut Vec<Problem>) {
        let mut locator = Locator::default();
        let before = problems.len();
        for ((kind, key), claims) in self.claims.contested() {
            let mut places = claims.iter().map(|claim| match problems.len() - before {
                0..MAX_LOCATED => locator.place(&claim.source(), "metadata.name"),
                _ => Place { line: claim.source().line(), ..Place::file(claim.file.shown.clone()) },
            });
            let first = places.next();
            let places: Vec<_> = places.collect();
            for place in places {
                let message = format!("{kind} {key} is defined twice; the first definition is used");
                let problem = Problem::error(Code::Duplicate, message).at(place).of(*kind, key.clone());
                problems.push(problem.note("first defined here", first.clone()));
            }
        }
    }
}

/// So many duplicates are shown with their text.
const MAX_LOCATED: usize = 100;
const SERVING_ON: &str = "the last good version stays in use";

impl FileState {
    fn has_problems(&self) -> bool {
        !self.rejected.is_empty() || self.chunks.iter().any(|chunk| !chunk.problems().is_empty())
    }

    fn serving_on(&self, problem: Problem) -> Problem {
        match self.chunks.iter().any(|chunk| !chunk.objects.is_empty()) {
            true => problem.note(SERVING_ON, None),
            false => problem,
        }
    }

    /// Takes a new version; says which chunks are no longer and which are new.
    ///
    /// The last good version of an object that is broken now stays. When it is not known which objects are broken
    /// (`anonymous`; the version before had such, too, or was none), those that are no longer there stay as well.
    fn replace(&mut self, parts: Vec<Part>, anonymous: bool) -> (Vec<Arc<Chunked>>, Vec<Arc<Chunked>>) {
        let same = |part: &Part| if let Part::Same(chunk, _) = part { Some(Arc::as_ptr(chunk)) } else { None };
        let stays: HashSet<*const Chunked, RandomState> = parts.iter().filter_map(same).collect();
        let old: Vec<_> = self.chunks.iter().filter(|chunk| !stays.contains(&Arc::as_ptr(chunk))).cloned().collect();
        // Needed only when something is broken; naming all objects of a large file takes longer than reading one of them.
        let broken =
            anonymous || parts.iter().any(|part| matches!(part, Part::New(chunk) if !chunk.broken().is_empty()));
        let named: HashSet<(Kind, Key), RandomState> = match broken && !old.is_empty() {
            true => parts.iter().flat_map(Part::keys).collect(),
            false => HashSet::default(),
        };
        let (mut chunks, mut new) = (Vec::with_capacity(parts.len()), Vec::new());
        for part in parts {
            let chunk = match part {
                Part::Same(chunk, line) => {
                    chunk.line.store(line, Ordering::Relaxed);
                    chunk
                }
                Part::New(mut chunk) => {
                    chunk.keep_good(&old, &named);
                    let chunk = Arc::new(chunk);
                    new.push(chunk.clone());
                    chunk
                }
            };
            chunks.push(chunk);
        }
        if anonymous {
            for left in old.iter().filter_map(|chunk| chunk.without(&named)) {
                let left = Arc::new(left);
                new.push(left.clone());
                chunks.push(left);
            }
        }
        self.chunks = chunks;
        (old, new)
    }
}

/// The problems of a chunk with their lines in the file.
fn shifted(chunk: &Chunked) -> impl Iterator<Item = Problem> {
    let shift = chunk.line.load(Ordering::Relaxed) - 1;
    chunk.problems().iter().cloned().map(move |mut problem| {
        let places = problem.notes.iter_mut().filter_map(|note| note.place.as_mut());
        for place in places.chain(&mut problem.place) {
            place.line += shift;
        }
        problem
    })
}

fn below(shown: &str, directory: &str) -> bool {
    Path::new(shown).starts_with(directory)
}

fn implied(name: &Arc<str>) -> Option<Entry> {
    let value = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": &**name}});
    let object = fairlead_crds::Object::parse(Kind::Namespace, value).ok()?;
    Some(Entry { object, source: None, stored: None, spec: 0, revision: document::revision() })
}
