//! JSON → [`Object`].

use std::sync::Arc;

use serde_json::Value;

pub use crate::kind::Object;
use crate::{Kind, core, schema};

/// A type that has a [`Kind`].
pub trait Typed: Sized {
    /// Its kind.
    const KIND: Kind;

    /// The object, when it is of this kind.
    fn of(object: &Object) -> Option<&Arc<Self>>;

    /// As an object of any kind.
    fn wrap(object: Arc<Self>) -> Object;
}

/// Why a JSON value is not an object of its kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {path}: {message}")]
pub struct ParseError {
    /// The kind that was expected.
    pub kind: Kind,
    /// Where, such as `spec.rules[0].backendRefs[1].port`; `.` for the object itself.
    pub path: String,
    /// What is wrong there.
    pub message: String,
}

impl Object {
    /// Fills defaults as an API server does, then parses.
    ///
    /// Unknown fields are dropped and unknown enum values are kept as `Other`: both are for
    /// [`validate`](mod@crate::validate) to report.
    ///
    /// # Errors
    ///
    /// When a required field is missing or a value has the wrong type.
    pub fn parse(kind: Kind, mut value: Value) -> Result<Self, ParseError> {
        if !value.is_object() {
            let message = "expected an object".to_owned();
            return Err(ParseError { kind, path: ".".to_owned(), message });
        }
        fill_defaults(kind, &mut value);
        Self::deserialize(kind, value).map_err(|error| ParseError {
            kind,
            path: error.path().to_string(),
            message: error.inner().to_string(),
        })
    }

    /// The object's name; empty when it has none.
    pub fn name(&self) -> &str {
        self.metadata().name.as_deref().unwrap_or_default()
    }

    /// The object's namespace, when it says one.
    pub fn namespace(&self) -> Option<&str> {
        self.metadata().namespace.as_deref()
    }

    /// The typed object, when it is of type `T`.
    pub fn typed<T: Typed>(&self) -> Option<&Arc<T>> {
        T::of(self)
    }
}

/// Makes a value look as if it had been read from an API server: nulls dropped, defaults filled.
pub fn fill_defaults(kind: Kind, value: &mut Value) {
    let version = value["apiVersion"].as_str().map(|api| api.rsplit('/').next().unwrap_or(api));
    match schema::of(kind, version) {
        Some(schema) => schema.fill_defaults(value),
        None => core::fill_defaults(kind, value),
    }
}

#[cfg(test)]
mod tests;
