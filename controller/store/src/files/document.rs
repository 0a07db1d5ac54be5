//! A chunk of text → the objects in it.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use fairlead_crds::{Kind, Object, Scope};
use foldhash::fast::RandomState;
use serde_json::{Map, Value};

use super::hash;
use crate::yaml::{self, Chunk, Mark, Spans};
use crate::{Code, Key, Place, Problem, Severity, World};

/// A chunk of a file and what was read from it.
#[derive(Debug)]
pub(crate) struct Chunked {
    /// Of the text.
    pub hash: u64,
    /// The chunk's first line in the file; moves when lines are inserted above.
    pub line: Arc<AtomicU32>,
    pub objects: Vec<Read>,
    /// Most have none.
    faults: Option<Box<Faults>>,
    /// Something in it could be any object: it is not YAML, or has no name.
    pub anonymous: bool,
}

/// What is wrong in a chunk.
#[derive(Debug, Default)]
struct Faults {
    problems: Vec<Problem>,
    broken: Vec<(Kind, Key)>,
}

/// An object as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Read {
    pub key: Key,
    pub object: Object,
    /// Lines from the chunk's first line.
    pub offset: u32,
    /// Which element of a list it is, from 1.
    pub item: Option<NonZeroU32>,
    pub spec: u64,
    pub revision: u64,
}

impl Chunked {
    /// With lines as if the chunk began on line 1.
    pub(crate) fn problems(&self) -> &[Problem] {
        self.faults.as_ref().map_or(&[], |faults| &faults.problems)
    }

    /// Objects that are named, but not usable.
    pub(crate) fn broken(&self) -> &[(Kind, Key)] {
        self.faults.as_ref().map_or(&[], |faults| &faults.broken)
    }

    fn faults(&mut self) -> &mut Faults {
        self.faults.get_or_insert_default()
    }

    /// Keeps the last good version of objects that are broken now and not defined elsewhere in the file.
    pub(crate) fn keep_good(&mut self, old: &[Arc<Chunked>], named: &HashSet<(Kind, Key), RandomState>) {
        let good = |object: &(Kind, Key)| old.iter().flat_map(|chunk| &chunk.objects).find(|read| read.is(object));
        let broken = self.broken().iter().filter(|object| !named.contains(*object));
        let kept: Vec<Read> = broken.filter_map(good).cloned().collect();
        self.objects.extend(kept);
    }

    /// A chunk with those of its objects that are not among some; `None` when there are none.
    pub(crate) fn without(&self, named: &HashSet<(Kind, Key), RandomState>) -> Option<Chunked> {
        let left = self.objects.iter().filter(|read| !named.contains(&(read.object.kind(), read.key.clone())));
        let objects: Vec<Read> = left.cloned().collect();
        let line = Arc::new(AtomicU32::new(self.line.load(Ordering::Relaxed)));
        let chunk = Chunked { hash: 0, line, objects, faults: None, anonymous: true };
        (!chunk.objects.is_empty()).then_some(chunk)
    }
}

impl Read {
    fn is(&self, (kind, key): &(Kind, Key)) -> bool {
        self.object.kind() == *kind && self.key == *key
    }
}

/// What is known when a chunk is read.
pub(crate) struct Context<'a> {
    pub file: Arc<str>,
    /// To give an object that did not change the `Arc` that it has, and one that did the next generation.
    pub before: &'a World,
}

/// Reads a chunk.
pub(crate) fn read(context: &Context<'_>, chunk: &Chunk<'_>, hash: u64) -> Chunked {
    let line = Arc::new(AtomicU32::new(chunk.line));
    let mut out = Chunked { hash, line, objects: Vec::new(), faults: None, anonymous: false };
    let documents = match yaml::parse(chunk.text) {
        Ok(documents) => documents,
        Err(error) => {
            let mut problem = Problem::error(Code::Syntax, error.message);
            problem.help = error.help.map(str::to_owned);
            out.faults().problems.push(problem.at(place(context, chunk, error.mark)));
            out.anonymous = true;
            return out;
        }
    };
    let mut reader = Reader { context, chunk, out: &mut out, spans: None };
    for (index, document) in documents.into_iter().enumerate() {
        reader.document(index, document);
    }
    // Chunks stay, and most have one object.
    out.objects.shrink_to_fit();
    out
}

struct Reader<'a> {
    context: &'a Context<'a>,
    chunk: &'a Chunk<'a>,
    out: &'a mut Chunked,
    spans: Option<Vec<Spans>>,
}

/// A value that should be an object, and where it stands.
#[derive(Clone, Copy)]
struct At {
    document: usize,
    /// Which element of a list, from 1.
    item: Option<NonZeroU32>,
    mark: Mark,
}

impl Reader<'_> {
    fn document(&mut self, index: usize, document: yaml::Document) {
        let at = At { document: index, item: None, mark: document.mark };
        let Value::Object(mut map) = document.value else {
            return self.anonymous(at, ".", "not an object", Some("an object begins with apiVersion and kind"));
        };
        let kind = map.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
        let Some(element) = kind.strip_suffix("List").map(str::to_owned) else {
            return self.object(at, map);
        };
        let api = map.get("apiVersion").cloned();
        let Some(Value::Array(items)) = map.remove("items") else {
            return self.anonymous(at, "items", &format!("a {kind} without items"), None);
        };
        for (item, (value, line)) in (1..).zip(items.into_iter().zip(document.items)) {
            let at = At { item: NonZeroU32::new(item), mark: Mark { line, column: 1, length: 0 }, ..at };
            let Value::Object(mut map) = value else {
                self.anonymous(at, ".", "not an object", None);
                continue;
            };
            if !element.is_empty() && !map.contains_key("kind") {
                map.insert("kind".to_owned(), element.as_str().into());
                map.entry("apiVersion").or_insert_with(|| api.clone().unwrap_or_default());
            }
            self.object(at, map);
        }
    }

    fn object(&mut self, at: At, mut map: Map<String, Value>) {
        for field in ["apiVersion", "kind"] {
            if map.get(field).and_then(Value::as_str).is_none_or(str::is_empty) {
                return self.missing(at, &map, field);
            }
        }
        let text = |field| map.get(field).and_then(Value::as_str).unwrap_or_default();
        let (api, name) = (text("apiVersion").to_owned(), text("kind").to_owned());
        let Some(kind) = Kind::of(&api, &name) else { return self.unknown(at, &api, &name) };
        map.remove("status");
        let Some(key) = self.name(at, kind, &mut map) else { return };
        let value = Value::Object(map);
        let spec = hash::spec(&value);
        match self.parse(kind, &key, value, spec) {
            Ok((object, revision)) => {
                let offset = at.mark.line.saturating_sub(1);
                self.out.objects.push(Read { key, object, offset, item: at.item, spec, revision });
            }
            Err(error) => {
                let path = if error.path == "." { String::new() } else { format!("{}: ", error.path) };
                let message = format!("{kind} {key}: {path}{}", worded(&error.message));
                let place = self.place(at, &error.path);
                let mut problem = Problem::error(Code::WrongType, message).of(kind, key.clone());
                problem.help = unquoted(&place).filter(|_| error.message.contains("expected a string"));
                if let Some(field) = missing_field(&error.message) {
                    problem.help = self.misspelt(at, &error.path, field);
                }
                self.out.faults().problems.push(problem.at(place));
                self.out.faults().broken.push((kind, key));
            }
        }
    }

    /// Sees to a complete `metadata`: a name, a namespace where the kind has one, nothing that only a server knows.
    fn name(&mut self, at: At, kind: Kind, map: &mut Map<String, Value>) -> Option<Key> {
        let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) else {
            self.missing(at, map, "metadata");
            return None;
        };
        metadata.remove("managedFields");
        let name = match metadata.get("name") {
            Some(Value::String(name)) if !name.is_empty() => name.as_str(),
            None | Some(Value::Null | Value::String(_)) => {
                self.missing(at, map, "metadata.name");
                return None;
            }
            Some(_) => {
                let help = unquoted(&self.place(at, "metadata.name"));
                self.anonymous(at, "metadata.name", "metadata.name must be a string", help.as_deref());
                return None;
            }
        };
        let name: Arc<str> = name.into();
        if kind.scope() == Scope::Cluster {
            metadata.remove("namespace");
            return Some(Key::cluster(name));
        }
        let namespace = match metadata.get("namespace") {
            None | Some(Value::Null) => "default",
            Some(Value::String(namespace)) if !namespace.is_empty() => namespace,
            Some(_) => {
                self.anonymous(at, "metadata.namespace", "a namespace must be a string that is not empty", None);
                return None;
            }
        };
        let key = Key::new(namespace, name);
        metadata.insert("namespace".to_owned(), Value::String(key.namespace.as_ref().to_owned()));
        Some(key)
    }

    fn parse(
        &self,
        kind: Kind,
        key: &Key,
        mut value: Value,
        spec: u64,
    ) -> Result<(Object, u64), fairlead_crds::ParseError> {
        let before = self.context.before.entry(kind, &key.namespace, &key.name);
        let generation = match before {
            Some(entry) => entry.object.metadata().generation.unwrap_or(1) + i64::from(entry.spec != spec),
            None => 1,
        };
        value["metadata"]["generation"] = generation.into();
        let object = Object::parse(kind, value)?;
        match before {
            Some(entry) if entry.object == object => Ok((entry.object.clone(), entry.revision)),
            _ => Ok((object, revision())),
        }
    }

    fn missing(&mut self, at: At, map: &Map<String, Value>, field: &str) {
        let kind = map.get("kind").and_then(Value::as_str);
        let what = kind.map_or_else(|| "an object".to_owned(), |kind| format!("a {kind}"));
        let generated = field == "metadata.name" && map["metadata"].get("generateName").is_some();
        let help = generated.then_some("generateName needs an API server; give a name");
        self.anonymous(at, field, &format!("{what} without {field}"), help);
    }

    fn anonymous(&mut self, at: At, path: &str, message: &str, help: Option<&str>) {
        let mut problem = Problem::error(Code::NotAnObject, message).at(self.place(at, path));
        problem.help = help.map(str::to_owned);
        self.out.faults().problems.push(problem);
        self.out.anonymous = true;
    }

    fn unknown(&mut self, at: At, api: &str, kind: &str) {
        let group = api.rsplit_once('/').map_or("", |(group, _)| group);
        let message = format!("{kind} ({api}) is not read here");
        let ours = Kind::ALL.iter().any(|known| !group.is_empty() && known.group() == group);
        let foreign = !ours && (!group.contains('.') || group.ends_with(".k8s.io"));
        let severity = if foreign { Severity::Note } else { Severity::Warning };
        let mut problem = Problem::new(severity, Code::UnknownKind, message).at(self.place(at, "kind"));
        problem.help = match Kind::of_group(group, kind) {
            Some(known) => Some(format!("served versions: {}", known.versions().join(", "))),
            None => Kind::ALL
                .iter()
                .find(|known| known.as_str().eq_ignore_ascii_case(kind))
                .or_else(|| {
                    let group = Kind::ALL.iter().filter(|known| known.group() == group);
                    similar(kind, group, |known| known.as_str())
                })
                .map(|known| format!("did you mean kind {known} of apiVersion {}?", known.api_version())),
        };
        if problem.help.is_some() {
            problem.severity = Severity::Warning;
            problem.place =
                Some(self.place(at, if Kind::of_group(group, kind).is_some() { "apiVersion" } else { "kind" }));
        }
        self.out.faults().problems.push(problem);
    }

    fn place(&mut self, at: At, path: &str) -> Place {
        let mark = self.node(at).map_or(at.mark, |node| node.locate(path));
        place(self.context, self.chunk, mark)
    }

    /// What to do about a field that is missing because another word stands for it.
    fn misspelt(&mut self, at: At, path: &str, field: &str) -> Option<String> {
        let keys = self.node(at)?.keys(path);
        let written = similar(field, keys.iter(), |key| key)?;
        Some(format!("`{written}` is no field here; did you mean `{field}`?"))
    }

    fn node(&mut self, at: At) -> Option<&Spans> {
        let spans = self.spans.get_or_insert_with(|| Spans::of(self.chunk.text));
        let document = spans.get(at.document)?;
        match at.item {
            Some(item) => document.item(item),
            None => Some(document),
        }
    }
}

/// The field that a message of serde misses.
fn missing_field(message: &str) -> Option<&str> {
    message.strip_prefix("missing field `")?.strip_suffix('`')
}

/// The one that is most like a word: at most two letters are wrong, missing, too many or swapped, and not the half of it.
fn similar<'a, T: ?Sized>(word: &str, among: impl Iterator<Item = &'a T>, name: impl Fn(&T) -> &str) -> Option<&'a T> {
    let most = 2.min(word.chars().count().saturating_sub(1) / 2);
    let far = among.map(|other| (distance(word, name(other)), other));
    far.filter(|(distance, _)| (1..=most).contains(distance)).min_by_key(|(distance, _)| *distance).map(|(_, it)| it)
}

/// How many letters must be changed, added or removed to make one word of another (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let changed = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

/// A message of serde in the words of YAML's users.
fn worded(message: &str) -> String {
    let Some((found, expected)) =
        message.strip_prefix("invalid type: ").and_then(|rest| rest.rsplit_once(", expected "))
    else {
        return message.to_owned();
    };
    let expected = match expected {
        "i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64" => "an integer",
        "a sequence" => "a list",
        "a map" => "an object",
        other if other.starts_with("struct ") => "an object",
        other => other,
    };
    let found = match found {
        "map" => "an object".to_owned(),
        "sequence" => "a list".to_owned(),
        "null" => "nothing".to_owned(),
        other => format!("the {}", other.replace('`', "")),
    };
    format!("expected {expected}, found {found}")
}

/// What to do about a word that is no string without quotes: `y`, `on`, `8080`.
fn unquoted(place: &Place) -> Option<String> {
    let (skip, take) = (place.column.checked_sub(1)? as usize, place.length as usize);
    let written: String = place.text.as_ref()?.chars().skip(skip).take(take).collect();
    let sort = match yaml::plain(&written) {
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::Null => "nothing",
        _ => return None,
    };
    Some(format!("`{written}` without quotes is {sort} in YAML; write \"{written}\""))
}

fn place(context: &Context<'_>, chunk: &Chunk<'_>, mark: Mark) -> Place {
    Place::within(context.file.clone(), chunk.text, mark.line, mark.column, mark.length)
}

/// Numbers versions of objects; never reused in a process.
static REVISION: AtomicU64 = AtomicU64::new(1);

/// The number of a new version of an object.
pub(crate) fn revision() -> u64 {
    REVISION.fetch_add(1, Ordering::Relaxed)
}
