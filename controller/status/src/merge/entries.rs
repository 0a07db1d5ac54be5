//! Lists of entries that several controllers share: a route's parents, a policy's ancestors.

use super::conditions::{self, Conditions};
use super::{Document, Merge, Turn, array, text, value};
use fairlead_crds::gateway::{GROUP, ParentReference};
use fairlead_translate::status::Condition;
use serde_json::Value;

/// A kind of list.
pub(super) struct Entries {
    /// Its name in `status`.
    pub field: &'static str,
    /// Where an entry says what it is about.
    reference: &'static str,
    /// Types of conditions that are ours in our entries.
    conditions: &'static [&'static str],
    /// What the schema allows, all controllers together.
    most: usize,
}

pub(super) const PARENTS: Entries =
    Entries { field: "parents", reference: "parentRef", conditions: conditions::ROUTE, most: 32 };

pub(super) const ANCESTORS: Entries =
    Entries { field: "ancestors", reference: "ancestorRef", conditions: conditions::POLICY, most: 16 };

/// What an entry is about, and what it says.
pub(super) type Ours<'a> = (&'a ParentReference, &'a [Condition]);

impl Entries {
    /// The list with our entries as they are wanted, and those of others as they are.
    pub fn merge(&self, who: &Merge<'_>, live: &[Value], wanted: &[Ours<'_>], turns: &mut Vec<Turn>) -> Vec<Value> {
        let mut open: Vec<(Reference<'_>, Ours<'_>)> = Vec::with_capacity(wanted.len());
        for ours in wanted {
            let reference = Reference::of(ours.0, who.namespace);
            if !open.iter().any(|(other, _)| *other == reference) {
                open.push((reference, *ours));
            }
        }
        let mut merged = Vec::with_capacity(live.len() + open.len());
        for old in live {
            if text(old, "controllerName") != Some(who.controller) {
                merged.push(old.clone());
                continue;
            }
            let Some(about) = old.get(self.reference) else { continue };
            let about = Reference::read(about, who.namespace);
            if let Some(found) = open.iter().position(|(reference, _)| *reference == about) {
                let (reference, (_, conditions)) = open.remove(found);
                merged.push(self.entry(who, old.as_object(), &reference, None, conditions, turns));
            } else {
                // It goes, and so does what it said.
                self.entry(who, old.as_object(), &about, None, &[], turns);
            }
        }
        for (reference, (about, conditions)) in open {
            if merged.len() < self.most {
                merged.push(self.entry(who, None, &reference, Some(about), conditions, turns));
            }
        }
        merged
    }

    fn entry(
        &self,
        who: &Merge<'_>,
        old: Option<&Document>,
        reference: &Reference<'_>,
        about: Option<&ParentReference>,
        wanted: &[Condition],
        turns: &mut Vec<Turn>,
    ) -> Value {
        let mut entry = old.cloned().unwrap_or_default();
        if let Some(about) = about {
            entry.insert(self.reference.to_owned(), value(about));
        }
        let of = reference.to_string();
        let merge = Conditions { ours: self.conditions, of: &of, now: who.now };
        let merged = merge.merge(array(&entry, "conditions"), wanted, turns);
        entry.insert("controllerName".to_owned(), who.controller.into());
        entry.insert("conditions".to_owned(), Value::Array(merged));
        Value::Object(entry)
    }
}

/// A reference with its defaults filled.
#[derive(PartialEq)]
struct Reference<'a> {
    group: &'a str,
    kind: &'a str,
    namespace: &'a str,
    name: &'a str,
    section: &'a str,
    port: Option<i64>,
}

impl<'a> Reference<'a> {
    fn of(reference: &'a ParentReference, namespace: &'a str) -> Self {
        Reference {
            group: reference.group.as_deref().unwrap_or(GROUP),
            kind: reference.kind.as_deref().unwrap_or("Gateway"),
            namespace: reference.namespace.as_deref().unwrap_or(namespace),
            name: &reference.name,
            section: reference.section_name.as_deref().unwrap_or_default(),
            port: reference.port.map(i64::from),
        }
    }

    fn read(reference: &'a Value, namespace: &'a str) -> Self {
        Reference {
            group: text(reference, "group").unwrap_or(GROUP),
            kind: text(reference, "kind").unwrap_or("Gateway"),
            namespace: text(reference, "namespace").unwrap_or(namespace),
            name: text(reference, "name").unwrap_or_default(),
            section: text(reference, "sectionName").unwrap_or_default(),
            port: reference.get("port").and_then(Value::as_i64),
        }
    }
}

/// `Gateway shop/edge`, with section and port where they are named.
impl std::fmt::Display for Reference<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)?;
        if !self.section.is_empty() {
            write!(f, " listener {}", self.section)?;
        }
        self.port.map_or(Ok(()), |port| write!(f, " port {port}"))
    }
}
