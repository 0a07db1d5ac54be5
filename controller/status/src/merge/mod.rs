//! What a status says already, and what it should say: the least patch from the one to the other.
//!
//! * Conditions of types that are not ours, entries of other controllers, and fields that are not known here stay as they are,
//!   in their place.
//! * What is ours and no longer wanted goes: a condition that does not hold, the entry of a parent that the route left.
//! * `lastTransitionTime` changes with `status` only, as the API conventions ask; the order in which the live object has things is kept. So a
//!   patch is empty exactly when nothing differs but times and order.

mod conditions;
mod entries;

use conditions::Conditions;
use entries::Entries;
use fairlead_translate::status::{
    Condition, GatewayClassStatus, GatewayStatus, ListenerSetStatus, ListenerStatus, ObjectStatus, PolicyStatus,
    RouteStatus,
};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// A JSON object.
pub(crate) type Document = Map<String, Value>;

/// What an object's status should say.
#[derive(Clone, Debug)]
pub(crate) enum Wanted {
    Class(Arc<GatewayClassStatus>),
    Gateway(Arc<GatewayStatus>),
    Set(Arc<ListenerSetStatus>),
    Route(Arc<RouteStatus>),
    Policy(Arc<PolicyStatus>),
    Object(Arc<ObjectStatus>),
    /// No word of ours among the parents.
    NoParent,
    /// No word of ours among the ancestors.
    NoAncestor,
}

/// Who merges, what, and when.
pub(crate) struct Merge<'a> {
    /// Ours.
    pub controller: &'a str,
    /// Of the object: what references mean that name none.
    pub namespace: &'a str,
    /// For `lastTransitionTime`.
    pub now: &'a str,
}

/// A patch, and what it does.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Patch {
    /// The fields of `status` that differ, as they should be; `null` for those that go. For a JSON merge patch.
    pub fields: Document,
    /// Conditions of ours that get another status, reason or generation.
    pub turns: Vec<Turn>,
}

/// A condition that says something else than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    /// Which listener, parent or ancestor; empty for the object itself.
    pub of: String,
    /// Its type.
    pub kind: &'static str,
    /// `status` before; `None`: it is new.
    pub before: Option<Box<str>>,
    /// `status` now; `None`: it goes.
    pub after: Option<bool>,
    /// `reason` now.
    pub reason: &'static str,
    /// `message` now.
    pub message: Box<str>,
}

impl Merge<'_> {
    /// The patch that makes `live` say what is wanted.
    pub fn patch(&self, live: &Document, wanted: &Wanted) -> Patch {
        let mut patch = Patch::default();
        match wanted {
            Wanted::Class(status) => {
                self.conditions(live, &status.conditions, conditions::CLASS, &mut patch);
                let features = status.supported_features.iter().map(|name| json!({ "name": name })).collect();
                patch.put(live, "supportedFeatures", Value::Array(features));
            }
            Wanted::Gateway(status) => {
                self.conditions(live, &status.conditions, conditions::GATEWAY, &mut patch);
                self.listeners(live, &status.listeners, &mut patch);
                match value(&status.addresses) {
                    Value::Array(none) if none.is_empty() => patch.clear(live, "addresses"),
                    addresses => patch.put(live, "addresses", addresses),
                }
                patch.put(live, "attachedListenerSets", value(status.attached_listener_sets));
            }
            Wanted::Set(status) => {
                self.conditions(live, &status.conditions, conditions::LISTENER_SET, &mut patch);
                if status.listeners.is_empty() {
                    patch.clear(live, "listeners");
                } else {
                    self.listeners(live, &status.listeners, &mut patch);
                }
            }
            Wanted::Route(status) => {
                let ours: Vec<_> = status.parents.iter().map(|p| (&p.parent_ref, &*p.conditions)).collect();
                self.entries(live, &entries::PARENTS, &ours, &mut patch);
            }
            Wanted::Policy(status) => {
                let ours: Vec<_> = status.ancestors.iter().map(|a| (&a.ancestor_ref, &*a.conditions)).collect();
                self.entries(live, &entries::ANCESTORS, &ours, &mut patch);
            }
            Wanted::Object(status) => self.conditions(live, &status.conditions, conditions::OBJECT, &mut patch),
            Wanted::NoParent => self.entries(live, &entries::PARENTS, &[], &mut patch),
            Wanted::NoAncestor => self.entries(live, &entries::ANCESTORS, &[], &mut patch),
        }
        patch
    }

    fn conditions(&self, live: &Document, wanted: &[Condition], ours: &[&str], patch: &mut Patch) {
        let merge = Conditions { ours, of: "", now: self.now };
        let merged = merge.merge(array(live, "conditions"), wanted, &mut patch.turns);
        patch.put(live, "conditions", Value::Array(merged));
    }

    fn listeners(&self, live: &Document, wanted: &[ListenerStatus], patch: &mut Patch) {
        let before = array(live, "listeners");
        let merged: Vec<Value> = wanted
            .iter()
            .map(|listener| {
                let known = before.iter().find(|old| text(old, "name") == Some(&*listener.name));
                let mut entry = known.and_then(Value::as_object).cloned().unwrap_or_default();
                let merge = Conditions { ours: conditions::LISTENER, of: &listener.name, now: self.now };
                let merged = merge.merge(array(&entry, "conditions"), &listener.conditions, &mut patch.turns);
                entry.insert("name".to_owned(), value(&listener.name));
                entry.insert("supportedKinds".to_owned(), value(&listener.supported_kinds));
                entry.insert("attachedRoutes".to_owned(), value(listener.attached_routes));
                entry.insert("conditions".to_owned(), Value::Array(merged));
                Value::Object(entry)
            })
            .collect();
        let same = live.contains_key("listeners")
            && before.len() == merged.len()
            && merged
                .iter()
                .all(|entry| before.iter().any(|old| text(old, "name") == text(entry, "name") && old == entry));
        if !same {
            patch.fields.insert("listeners".to_owned(), Value::Array(merged));
        }
    }

    fn entries(&self, live: &Document, of: &Entries, ours: &[entries::Ours<'_>], patch: &mut Patch) {
        if ours.is_empty() && array(live, of.field).is_empty() {
            return;
        }
        let merged = of.merge(self, array(live, of.field), ours, &mut patch.turns);
        patch.put(live, of.field, Value::Array(merged));
    }
}

impl Patch {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The status once the patch is applied.
    #[cfg(test)]
    pub fn applied(&self, live: &Document) -> Document {
        let mut status = live.clone();
        for (field, value) in &self.fields {
            match value {
                Value::Null => drop(status.remove(field)),
                value => drop(status.insert(field.clone(), value.clone())),
            }
        }
        status
    }

    fn put(&mut self, live: &Document, field: &str, value: Value) {
        if live.get(field) != Some(&value) {
            self.fields.insert(field.to_owned(), value);
        }
    }

    fn clear(&mut self, live: &Document, field: &str) {
        let empty = |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
        if live.get(field).is_some_and(|value| !empty(value)) {
            self.fields.insert(field.to_owned(), Value::Null);
        }
    }
}

/// The elements of a field; none when there is no such list.
fn array<'a>(document: &'a Document, field: &str) -> &'a [Value] {
    document.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field)?.as_str()
}

/// Our statuses have a JSON form, all of them.
fn value(of: impl Serialize) -> Value {
    serde_json::to_value(of).unwrap_or_default()
}

#[cfg(test)]
mod tests;
