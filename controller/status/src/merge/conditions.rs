//! Lists of conditions.

use super::{Turn, text};
use fairlead_translate::status::{Condition, ConditionType};
use serde_json::{Map, Value};

/// How the conditions of one thing are merged.
pub(super) struct Conditions<'a> {
    /// Types that are ours: one of them that is not wanted goes.
    pub ours: &'a [&'a str],
    /// Which listener, parent or ancestor they are of; empty for the object itself.
    pub of: &'a str,
    /// For `lastTransitionTime`.
    pub now: &'a str,
}

pub(super) const CLASS: &[&str] = &["Accepted", "SupportedVersion"];
pub(super) const GATEWAY: &[&str] =
    &["Accepted", "Programmed", "ResolvedRefs", "AddressesAssigned", "InsecureFrontendValidationMode"];
pub(super) const LISTENER_SET: &[&str] = &["Accepted", "Programmed"];
pub(super) const LISTENER: &[&str] = &["Accepted", "Programmed", "ResolvedRefs", "Conflicted", "OverlappingTLSConfig"];
pub(super) const ROUTE: &[&str] = &["Accepted", "ResolvedRefs", "PartiallyInvalid"];
pub(super) const POLICY: &[&str] = &["Accepted", "ResolvedRefs"];
pub(super) const OBJECT: &[&str] = &["Accepted"];

/// What the schemas allow, everywhere.
const MOST: usize = 8;

/// The longest message that the schemas allow, in characters; bytes are on the safe side.
const LONGEST: usize = 32_768;

impl Conditions<'_> {
    /// The list with our conditions as they are wanted; `turns` tells what that changes.
    pub fn merge(&self, live: &[Value], wanted: &[Condition], turns: &mut Vec<Turn>) -> Vec<Value> {
        let foreign = live.iter().filter(|old| !self.is_ours(old, wanted)).count();
        // The first ones matter most.
        let wanted = &wanted[..wanted.len().min(MOST.saturating_sub(foreign))];
        let mut merged = Vec::with_capacity(foreign + wanted.len());
        for old in live {
            match wanted.iter().find(|condition| text(old, "type") == Some(name(condition.kind))) {
                Some(condition) => merged.push(self.condition(Some(old), condition, turns)),
                None if self.is_ours(old, wanted) => self.gone(old, turns),
                None => merged.push(old.clone()),
            }
        }
        for condition in wanted {
            if !live.iter().any(|old| text(old, "type") == Some(name(condition.kind))) {
                merged.push(self.condition(None, condition, turns));
            }
        }
        merged
    }

    fn is_ours(&self, old: &Value, wanted: &[Condition]) -> bool {
        text(old, "type").is_some_and(|kind| self.ours.contains(&kind) || wanted.iter().any(|c| name(c.kind) == kind))
    }

    fn condition(&self, old: Option<&Value>, wanted: &Condition, turns: &mut Vec<Turn>) -> Value {
        let status = if wanted.is_true() { "True" } else { "False" };
        let before = old.and_then(|old| text(old, "status"));
        let since = old.and_then(|old| text(old, "lastTransitionTime")).filter(|_| before == Some(status));
        let generation = old.and_then(|old| old.get("observedGeneration")).and_then(Value::as_i64);
        let reason = old.and_then(|old| text(old, "reason"));
        if before != Some(status) || reason != Some(wanted.reason.as_str()) || generation != wanted.observed_generation
        {
            turns.push(Turn {
                of: self.of.to_owned(),
                kind: name(wanted.kind),
                before: before.map(Into::into),
                after: Some(wanted.is_true()),
                reason: wanted.reason.as_str(),
                message: wanted.message.clone(),
            });
        }
        let mut condition: Map<String, Value> = old.and_then(Value::as_object).cloned().unwrap_or_default();
        let mut put = |field: &str, value: Value| drop(condition.insert(field.to_owned(), value));
        put("type", name(wanted.kind).into());
        put("status", status.into());
        put("reason", wanted.reason.as_str().into());
        put("message", wanted.message[..wanted.message.floor_char_boundary(LONGEST)].into());
        put("lastTransitionTime", since.unwrap_or(self.now).into());
        match wanted.observed_generation {
            Some(generation) => put("observedGeneration", generation.into()),
            None => drop(condition.remove("observedGeneration")),
        }
        Value::Object(condition)
    }

    fn gone(&self, old: &Value, turns: &mut Vec<Turn>) {
        let Some(kind) = self.ours.iter().find(|kind| text(old, "type") == Some(kind)) else { return };
        turns.push(Turn {
            of: self.of.to_owned(),
            kind: known(kind),
            before: text(old, "status").map(Into::into),
            after: None,
            reason: "",
            message: Box::default(),
        });
    }
}

/// A type as status has it.
pub(super) const fn name(kind: ConditionType) -> &'static str {
    match kind {
        ConditionType::Accepted => "Accepted",
        ConditionType::Programmed => "Programmed",
        ConditionType::ResolvedRefs => "ResolvedRefs",
        ConditionType::Conflicted => "Conflicted",
        ConditionType::OverlappingTlsConfig => "OverlappingTLSConfig",
        ConditionType::AddressesAssigned => "AddressesAssigned",
        ConditionType::PartiallyInvalid => "PartiallyInvalid",
        ConditionType::SupportedVersion => "SupportedVersion",
        ConditionType::InsecureFrontendValidationMode => "InsecureFrontendValidationMode",
    }
}

/// The types are constants of this module.
fn known(kind: &str) -> &'static str {
    [CLASS, GATEWAY, LISTENER, ROUTE].into_iter().flatten().find(|known| **known == kind).copied().unwrap_or_default()
}
