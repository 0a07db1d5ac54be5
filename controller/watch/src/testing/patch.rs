//! Patches.

use serde_json::{Map, Value};

/// RFC 7386: maps are merged, `null` removes, all else replaces.
pub(crate) fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let target = target.as_object_mut().unwrap();
    for (name, value) in patch {
        if value.is_null() {
            target.remove(&name);
        } else {
            merge(target.entry(name).or_insert(Value::Null), value);
        }
    }
}

/// Server-side apply, simplified: what the same manager applied before and does not any more is removed, then maps are merged.
/// Lists are replaced as a whole; the owners of fields are not compared.
pub(crate) fn apply(target: &mut Value, before: Option<&Value>, now: &Value) {
    if let Some(before) = before {
        withdraw(target, before, now);
    }
    merge(target, now.clone());
}

/// Leaves of what was applied what is still so: what somebody else changed since is theirs.
pub(crate) fn prune(applied: &mut Value, now: &Value) {
    let (Some(applied), Some(now)) = (applied.as_object_mut(), now.as_object()) else { return };
    applied.retain(|name, value| match now.get(name) {
        Some(now) if value.is_object() && now.is_object() => {
            let was_empty = value.as_object().is_some_and(Map::is_empty);
            prune(value, now);
            was_empty || value.as_object().is_some_and(|value| !value.is_empty())
        }
        Some(now) => value == now,
        None => false,
    });
}

/// The fields of what was applied that are still so, as `FieldsV1` has them, lists as one. `None` when there is none.
pub(crate) fn owned(applied: &Value, now: &Value) -> Option<Value> {
    fn fields(applied: &Value, now: &Value, depth: usize) -> Option<Value> {
        let (Some(applied), Some(now)) = (applied.as_object(), now.as_object()) else {
            return (applied == now).then(|| Value::Object(Map::new()));
        };
        let identity = |name: &str| match depth {
            0 => matches!(name, "apiVersion" | "kind"),
            1 => matches!(name, "name" | "namespace" | "resourceVersion"),
            _ => false,
        };
        let each = applied.iter().filter(|(name, _)| !identity(name));
        let own: Map<String, Value> = each
            .filter_map(|(name, value)| Some((format!("f:{name}"), fields(value, now.get(name)?, depth + 1)?)))
            .collect();
        (!own.is_empty()).then_some(Value::Object(own))
    }
    fields(applied, now, 0)
}

fn withdraw(target: &mut Value, before: &Value, now: &Value) {
    let (Some(target), Some(before)) = (target.as_object_mut(), before.as_object()) else { return };
    for (name, value) in before {
        match now.get(name) {
            None => {
                if let (Some(inner), true) = (target.get_mut(name), value.is_object()) {
                    withdraw(inner, value, &Value::Null);
                    if inner.as_object().is_none_or(|inner| !inner.is_empty()) {
                        continue;
                    }
                }
                target.remove(name);
            }
            Some(now) => {
                if let Some(inner) = target.get_mut(name) {
                    withdraw(inner, value, now);
                }
            }
        }
    }
}
