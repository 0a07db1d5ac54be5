//! Objects, their history, and who watches them.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::Gone;
use super::patch;
use super::selector::Selector;

/// Group and plural.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Resource {
    pub group: String,
    pub plural: String,
}

/// Why a request is refused: code, reason, message.
#[derive(Debug)]
pub(crate) struct Refusal(pub u16, pub &'static str, pub String);

#[derive(Debug, Default)]
pub(crate) struct Storage {
    version: u64,
    /// What happened before is forgotten.
    oldest: u64,
    gone: Option<Gone>,
    objects: BTreeMap<Resource, BTreeMap<(String, String), Value>>,
    /// What each manager applied last.
    applied: BTreeMap<(String, String), Value>,
    history: Vec<Event>,
    watches: Vec<Watching>,
    pub denied: BTreeSet<String>,
    /// Kinds of Kubernetes' own that not every server has: group, version, plural.
    pub extra: BTreeSet<(String, String, String)>,
}

#[derive(Clone, Debug)]
struct Event {
    version: u64,
    resource: Resource,
    before: Option<Value>,
    after: Option<Value>,
}

/// How objects are shown.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub resource: Resource,
    pub api_version: String,
    pub selector: Selector,
    pub metadata_only: bool,
}

#[derive(Debug)]
struct Watching {
    view: View,
    bookmarks: bool,
    sender: UnboundedSender<Bytes>,
}

/// What a write is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Main,
    Status,
}

impl Storage {
    /// Creates or replaces an object as a whole.
    pub fn put(&mut self, object: Value) -> Value {
        let resource = self.resource_of(&object);
        let old = self.objects.get(&resource).and_then(|all| all.get(&key(&object))).cloned();
        self.store(&resource, old, object)
    }

    pub fn find(&self, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        let all = self.objects.iter().find(|(resource, _)| resource.plural == plural)?.1;
        all.get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    pub fn all(&self, plural: &str) -> Vec<Value> {
        let all = self.objects.iter().filter(|(resource, _)| resource.plural == plural);
        all.flat_map(|(_, all)| all.values().cloned()).collect()
    }

    pub fn delete_by(&mut self, plural: &str, namespace: &str, name: &str) {
        let resource = self.objects.keys().find(|resource| resource.plural == plural).cloned();
        if let Some(resource) = resource {
            let _ = self.delete(&resource, namespace, name, &Value::Null);
        }
    }

    /// What there is in a group, or in a version of it.
    pub fn discovery(&self, path: &str) -> Option<Value> {
        let mut parts = path.strip_prefix("apis/")?.split('/');
        let (group, version) = (parts.next()?, parts.next());
        if parts.next().is_some() {
            return None;
        }
        let of_group: Vec<_> = self.extra.iter().filter(|(extra, ..)| extra == group).collect();
        if of_group.is_empty() {
            return None;
        }
        let Some(version) = version else {
            let versions: BTreeSet<&String> = of_group.iter().map(|(_, version, _)| version).collect();
            let versions: Vec<Value> = versions.iter().map(|version| json!({"version": version})).collect();
            return Some(json!({"kind": "APIGroup", "name": group, "versions": versions}));
        };
        let here = of_group.iter().filter(|(_, has, _)| has == version);
        let resources: Vec<Value> = here.map(|(_, _, plural)| json!({"name": plural})).collect();
        Some(json!({"kind": "APIResourceList", "groupVersion": format!("{group}/{version}"), "resources": resources}))
    }

    /// Whether there is such a resource in a version: Kubernetes' own are, others need a CRD.
    pub fn serves(&self, resource: &Resource, version: &str) -> bool {
        if !resource.group.contains('.') || resource.group.ends_with(".k8s.io") && !is_gateway(&resource.group) {
            return true;
        }
        let name = format!("{}.{}", resource.plural, resource.group);
        let crd = self.find("customresourcedefinitions", "", &name).unwrap_or_default();
        let mut versions = crd["spec"]["versions"].as_array().into_iter().flatten();
        versions.any(|known| known["name"] == version && known["served"] == true)
    }

    pub fn get(&self, resource: &Resource, namespace: &str, name: &str) -> Result<Value, Refusal> {
        let found = self.objects.get(resource).and_then(|all| all.get(&(namespace.to_owned(), name.to_owned())));
        found.cloned().ok_or_else(|| not_found(resource, name))
    }

    /// A page of a list.
    pub fn list(&self, view: &View, limit: usize, token: &str) -> Result<Value, Refusal> {
        let (version, skip) = match token.split_once('/') {
            Some((version, skip)) => (version.parse().unwrap(), skip.parse().unwrap()),
            None => (self.version, 0),
        };
        if version < self.oldest {
            return Err(Refusal(410, "Expired", "The provided continue parameter is too old".to_owned()));
        }
        let all = self.objects.get(&view.resource).into_iter().flat_map(BTreeMap::values);
        let all: Vec<&Value> = all.filter(|object| view.selector.matches(object)).collect();
        let end = if limit == 0 { all.len() } else { all.len().min(skip + limit) };
        let token = if end < all.len() { format!("{version}/{end}") } else { String::new() };
        let items: Vec<Value> = all.iter().take(end).skip(skip).map(|object| view.show(object, false)).collect();
        let (api_version, kind) = match view.metadata_only {
            true => ("meta.k8s.io/v1", "PartialObjectMetadataList".to_owned()),
            false => (view.api_version.as_str(), "List".to_owned()),
        };
        let metadata = json!({"resourceVersion": version.to_string(), "continue": token});
        Ok(json!({"kind": kind, "apiVersion": api_version, "metadata": metadata, "items": items}))
    }

    /// Tells what happened since a version, and what will.
    pub fn watch(&mut self, view: View, since: u64, bookmarks: bool) -> Result<UnboundedReceiver<Bytes>, Refusal> {
        let (sender, receiver) = unbounded_channel();
        if since < self.oldest {
            let message = format!("too old resource version: {since} ({})", self.oldest);
            if self.gone == Some(Gone::Status) {
                return Err(Refusal(410, "Expired", message));
            }
            let status = status(&Refusal(410, "Expired", message));
            let _ = sender.send(line(&json!({"type": "ERROR", "object": status})));
            return Ok(receiver);
        }
        let watching = Watching { view, bookmarks, sender };
        self.history.iter().filter(|event| event.version > since).for_each(|event| watching.tell(event));
        self.watches.push(watching);
        Ok(receiver)
    }

    pub fn create(&mut self, resource: &Resource, mut object: Value) -> Result<Value, Refusal> {
        if let (Some(prefix), None) = (object["metadata"]["generateName"].as_str(), object["metadata"]["name"].as_str())
        {
            object["metadata"]["name"] = format!("{prefix}{:05x}", self.version).into();
        }
        let (key, name) = (key(&object), key(&object).1);
        if self.objects.get(resource).is_some_and(|all| all.contains_key(&key)) {
            let message = format!("{} \"{name}\" already exists", resource.plural);
            return Err(Refusal(409, "AlreadyExists", message));
        }
        Ok(self.store(resource, None, object))
    }

    /// Replaces one part of an object.
    pub fn update(&mut self, resource: &Resource, part: Part, object: Value) -> Result<Value, Refusal> {
        let (namespace, name) = key(&object);
        let old = self.get(resource, &namespace, &name)?;
        check_version(resource, &old, &object)?;
        let mut new = if part == Part::Main { object.clone() } else { old.clone() };
        let status = if part == Part::Main { old.get("status") } else { object.get("status") };
        set(&mut new, "status", status.cloned());
        Ok(self.store(resource, Some(old), new))
    }

    pub fn patch(
        &mut self,
        resource: &Resource,
        part: Part,
        (namespace, name): (&str, &str),
        (content_type, manager): (&str, &str),
        patch: &Value,
    ) -> Result<Value, Refusal> {
        let is_apply = content_type.starts_with("application/apply-patch");
        let old = match self.get(resource, namespace, name) {
            Ok(old) => Some(old),
            Err(_) if is_apply && part == Part::Main => None,
            Err(refusal) => return Err(refusal),
        };
        if let Some(old) = &old {
            check_version(resource, old, patch)?;
        }
        let mut new = old.clone().unwrap_or_else(|| json!({"metadata": {"namespace": namespace, "name": name}}));
        if is_apply {
            let by = (applied_key(resource, (namespace, name), part), manager.to_owned());
            patch::apply(&mut new, self.applied.get(&by), patch);
            self.applied.insert(by, patch.clone());
        } else {
            patch::merge(&mut new, patch.clone());
        }
        if let Some(old) = &old {
            let (kept, from) = if part == Part::Main { (&mut new, old) } else { (&mut old.clone(), &new) };
            set(kept, "status", from.get("status").cloned());
            new = kept.clone();
        }
        if namespace.is_empty()
            && let Some(metadata) = new["metadata"].as_object_mut()
        {
            metadata.remove("namespace");
        }
        Ok(self.store(resource, old, new))
    }

    pub fn delete(
        &mut self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        options: &Value,
    ) -> Result<Value, Refusal> {
        let mut object = self.get(resource, namespace, name)?;
        let wanted = &options["preconditions"]["uid"];
        if wanted.is_string() && *wanted != object["metadata"]["uid"] {
            return Err(Refusal(409, "Conflict", format!("{} \"{name}\" is another one", resource.plural)));
        }
        if object["metadata"]["finalizers"].as_array().is_some_and(|all| !all.is_empty()) {
            let old = object.clone();
            object["metadata"]["deletionTimestamp"] = TIME.into();
            return Ok(self.store(resource, Some(old), object));
        }
        self.erase(resource, object.clone());
        Ok(object)
    }

    pub fn compact(&mut self, gone: Gone) {
        // A step, so that the present is not the past.
        self.version += 1;
        self.oldest = self.version;
        self.gone = Some(gone);
        self.history.clear();
    }

    /// As [`compact`](Self::compact), and tells so whoever watches.
    pub fn expire(&mut self) {
        self.compact(Gone::Event);
        let message = format!("too old resource version: {} ({})", self.oldest - 1, self.oldest);
        let status = status(&Refusal(410, "Expired", message));
        for watching in self.watches.drain(..) {
            let _ = watching.sender.send(line(&json!({"type": "ERROR", "object": status})));
        }
    }

    pub fn bookmark(&mut self) {
        self.version += 1;
        let metadata = json!({"resourceVersion": self.version.to_string()});
        for watching in self.watches.iter().filter(|watching| watching.bookmarks) {
            let object = json!({"apiVersion": watching.view.api_version, "kind": "Any", "metadata": metadata});
            let _ = watching.sender.send(line(&json!({"type": "BOOKMARK", "object": object})));
        }
    }

    pub fn end_watches(&mut self) {
        self.watches.clear();
    }

    pub fn watches(&self) -> usize {
        self.watches.iter().filter(|watching| !watching.sender.is_closed()).count()
    }

    fn store(&mut self, resource: &Resource, old: Option<Value>, mut new: Value) -> Value {
        let (version, id) = (self.version + 1, format!("00000000-0000-0000-0000-{:012x}", self.version + 1));
        let metadata = &mut new["metadata"];
        match &old {
            Some(old) => {
                for field in ["uid", "creationTimestamp"] {
                    metadata[field] = old["metadata"][field].clone();
                }
            }
            None => {
                metadata["uid"] = id.into();
                metadata.as_object_mut().unwrap().entry("creationTimestamp").or_insert_with(|| TIME.into());
            }
        }
        self.manage(resource, &mut new);
        let before = old.as_ref().map_or(0, |old| old["metadata"]["generation"].as_i64().unwrap_or_default());
        let is_same = old.as_ref().is_some_and(|old| spec(old) == spec(&new));
        new["metadata"]["generation"] = (before + i64::from(!is_same)).into();
        if let Some(old) = &old {
            new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"].clone();
            if *old == new {
                return new;
            }
        }
        let metadata = &new["metadata"];
        let is_leaving = metadata["deletionTimestamp"].is_string();
        if is_leaving && metadata["finalizers"].as_array().is_none_or(Vec::is_empty) {
            self.erase(resource, new.clone());
            return new;
        }
        self.version = version;
        new["metadata"]["resourceVersion"] = version.to_string().into();
        self.objects.entry(resource.clone()).or_default().insert(key(&new), new.clone());
        self.tell(Event { version, resource: resource.clone(), before: old, after: Some(new.clone()) });
        new
    }

    /// Says whose fields are whose, of those who apply: what a manager applied and nobody changed since.
    fn manage(&mut self, resource: &Resource, object: &mut Value) {
        let (namespace, name) = key(object);
        let of = applied_key(resource, (&namespace, &name), Part::Main);
        let own = self.applied.iter_mut().filter(|((object, _), _)| *object == of);
        let entries: Vec<Value> = own
            .filter_map(|((_, manager), applied)| {
                patch::prune(applied, object);
                let fields = patch::owned(applied, object)?;
                Some(json!({
                    "manager": manager, "operation": "Apply", "apiVersion": applied["apiVersion"], "time": TIME,
                    "fieldsType": "FieldsV1", "fieldsV1": fields,
                }))
            })
            .collect();
        if !entries.is_empty() {
            object["metadata"]["managedFields"] = entries.into();
        } else if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("managedFields");
        }
    }

    /// Takes an object away, and those that it owns.
    fn erase(&mut self, resource: &Resource, mut object: Value) {
        self.version += 1;
        let uid = object["metadata"]["uid"].clone();
        if let Some(all) = self.objects.get_mut(resource) {
            all.remove(&key(&object));
        }
        let (namespace, name) = key(&object);
        for part in [Part::Main, Part::Status] {
            let of = applied_key(resource, (&namespace, &name), part);
            self.applied.retain(|(object, _), _| *object != of);
        }
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        let (version, before) = (self.version, Some(object.clone()));
        self.tell(Event { version, resource: resource.clone(), before, after: None });
        if resource.plural == "customresourcedefinitions" {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let of =
                Resource { group: text(&object["spec"]["group"]), plural: text(&object["spec"]["names"]["plural"]) };
            let objects: Vec<Value> = self.objects.get(&of).into_iter().flat_map(|all| all.values().cloned()).collect();
            objects.into_iter().for_each(|object| self.erase(&of, object));
            self.watches.retain(|watching| watching.view.resource != of);
        }
        let owned = |object: &&Value| {
            let owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
            owners.into_iter().any(|owner| owner["uid"] == uid)
        };
        let all = self.objects.iter();
        let owned: Vec<(Resource, Value)> = all
            .flat_map(|(resource, all)| all.values().filter(owned).map(|object| (resource.clone(), object.clone())))
            .collect();
        owned.into_iter().for_each(|(resource, object)| self.erase(&resource, object));
    }

    fn tell(&mut self, event: Event) {
        self.watches.retain(|watching| !watching.sender.is_closed());
        self.watches.iter().for_each(|watching| watching.tell(&event));
        self.history.push(event);
    }

    fn resource_of(&self, object: &Value) -> Resource {
        let api = object["apiVersion"].as_str().expect("apiVersion");
        let group = api.rsplit_once('/').map_or("", |(group, _)| group).to_owned();
        let kind = object["kind"].as_str().expect("kind");
        let known = fairlead_crds::Kind::of_group(&group, kind).map(|kind| kind.plural().to_owned());
        Resource { group, plural: known.unwrap_or_else(|| plural(&kind.to_lowercase())) }
    }
}

impl View {
    fn show(&self, object: &Value, full: bool) -> Value {
        if self.metadata_only {
            let metadata = &object["metadata"];
            return json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata});
        }
        let mut shown = object.clone();
        shown["apiVersion"] = self.api_version.as_str().into();
        if !full && let Some(fields) = shown.as_object_mut() {
            // As in a real list, whose items do not say what they are.
            fields.remove("apiVersion");
            fields.remove("kind");
        }
        shown
    }
}

impl Watching {
    fn tell(&self, event: &Event) {
        if event.resource != self.view.resource {
            return;
        }
        let matching = |object: &Option<Value>| object.as_ref().is_some_and(|it| self.view.selector.matches(it));
        let (kind, object) = match (matching(&event.before), matching(&event.after)) {
            (false, true) => ("ADDED", &event.after),
            (true, true) => ("MODIFIED", &event.after),
            (true, false) => ("DELETED", &event.before),
            (false, false) => return,
        };
        let mut object = self.view.show(object.as_ref().unwrap(), true);
        object["metadata"]["resourceVersion"] = event.version.to_string().into();
        let text = object.to_string();
        let _ = self.sender.send(Bytes::from(format!("{{\"type\":\"{kind}\",\"object\":{text}}}\n")));
    }
}

/// A `Status` object.
pub(crate) fn status(Refusal(code, reason, message): &Refusal) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    })
}

pub(crate) fn not_found(resource: &Resource, name: &str) -> Refusal {
    let dot = if resource.group.is_empty() { "" } else { "." };
    Refusal(404, "NotFound", format!("{}{dot}{} \"{name}\" not found", resource.plural, resource.group))
}

fn applied_key(resource: &Resource, (namespace, name): (&str, &str), part: Part) -> String {
    format!("{}/{}/{namespace}/{name}/{part:?}", resource.group, resource.plural)
}

fn check_version(resource: &Resource, old: &Value, new: &Value) -> Result<(), Refusal> {
    let wanted = &new["metadata"]["resourceVersion"];
    if wanted.is_string() && *wanted != old["metadata"]["resourceVersion"] {
        let name = old["metadata"]["name"].as_str().unwrap_or_default();
        let message =
            format!("Operation cannot be fulfilled on {} \"{name}\": the object has been modified", resource.plural);
        return Err(Refusal(409, "Conflict", message));
    }
    Ok(())
}

fn line(value: &Value) -> Bytes {
    // The order matters to clients: the type first, as Kubernetes writes it.
    let (kind, object) = (&value["type"], &value["object"]);
    Bytes::from(format!("{{\"type\":{kind},\"object\":{object}}}\n"))
}

fn key(object: &Value) -> (String, String) {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    (text("namespace"), text("name"))
}

/// All but metadata and status.
fn spec(object: &Value) -> Value {
    let mut object = object.clone();
    let fields = object.as_object_mut().unwrap();
    for field in ["apiVersion", "kind", "metadata", "status"] {
        fields.remove(field);
    }
    object
}

fn set(object: &mut Value, field: &str, value: Option<Value>) {
    let fields = object.as_object_mut().unwrap();
    match value {
        Some(value) => fields.insert(field.to_owned(), value),
        None => fields.remove(field),
    };
}

fn is_gateway(group: &str) -> bool {
    group.starts_with("gateway.networking.")
}

fn plural(kind: &str) -> String {
    match kind.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{stem}ies"),
        _ if kind.ends_with(['s', 'x']) => format!("{kind}es"),
        _ => format!("{kind}s"),
    }
}

const TIME: &str = "2026-01-01T00:00:00Z";
