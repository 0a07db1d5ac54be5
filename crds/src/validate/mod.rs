//! What an API server would refuse, found without one: types, limits, patterns, list uniqueness and CEL rules from the
//! CRDs, and the rules for names and labels.
//!
//! Rules run on objects with defaults filled in, as in an API server; a rule on a value runs only when the value itself
//! has the right shape. Unknown fields are warnings, as with `kubectl --validate=warn`.

use std::fmt;

use serde_json::Value;

use crate::{Kind, Object, fill_defaults, schema};

mod cel;
mod enums;
mod format;
mod metadata;
mod path;
mod structural;

pub(crate) use cel::Compiled;
pub use enums::unknown_enum_values;
use path::Path;

/// One thing that is wrong with an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Where, such as `spec.rules[0].matches[1].path.value`; empty for the object itself.
    pub path: String,
    /// What is wrong, for people.
    pub message: String,
    /// Whether an API server would refuse the object.
    pub severity: Severity,
}

/// How bad a violation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// An API server would drop or ignore it.
    Warning,
    /// An API server would refuse the object.
    Error,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() { f.write_str(&self.message) } else { write!(f, "{}: {}", self.path, self.message) }
    }
}

/// Validates an object as written by its author.
///
/// The version in its `apiVersion` picks the schema; without one the stored version counts.
pub fn validate(kind: Kind, value: &Value) -> Vec<Violation> {
    let mut filled = value.clone();
    fill_defaults(kind, &mut filled);
    validate_filled(kind, &filled)
}

/// Validates an object that has its defaults filled in (see [`fill_defaults`]).
pub fn validate_filled(kind: Kind, value: &Value) -> Vec<Violation> {
    if !value.is_object() {
        return vec![Violation::error(&Path::new(), "must be an object".to_owned())];
    }
    let mut violations = Vec::new();
    metadata::check(kind, value, &mut violations);
    let version = value["apiVersion"].as_str().and_then(|api| api.rsplit('/').next());
    match schema::of(kind, version) {
        Some(schema) => structural::check(schema, value, &mut violations),
        None => {
            if let Err(error) = Object::parse(kind, value.clone()) {
                let path = if error.path == "." { String::new() } else { error.path };
                let message = error.message;
                violations.push(Violation { path, message, severity: Severity::Error });
            }
        }
    }
    violations
}

impl Violation {
    fn error(path: &Path<'_>, message: String) -> Self {
        Self { path: path.to_string(), message, severity: Severity::Error }
    }

    fn warning(path: &Path<'_>, message: String) -> Self {
        Self { path: path.to_string(), message, severity: Severity::Warning }
    }
}

#[cfg(test)]
mod tests;
