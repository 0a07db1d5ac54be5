//! Hashes that tell whether something changed. Not kept anywhere, so they need not be stable between builds.

use std::hash::{BuildHasher as _, Hash as _, Hasher};

use foldhash::quality::FixedState;
use serde_json::Value;

/// Of a text.
pub(crate) fn text(text: &str) -> u64 {
    FixedState::with_seed(1).hash_one(text)
}

/// Of an object without `metadata` and `status`: what a change of counts as a new generation.
pub(crate) fn spec(object: &Value) -> u64 {
    let mut hasher = FixedState::with_seed(2).build_hasher();
    for (key, value) in object.as_object().into_iter().flatten() {
        if key != "metadata" && key != "status" {
            key.hash(&mut hasher);
            walk(value, &mut hasher);
        }
    }
    hasher.finish()
}

/// Of a whole value. Equal values have equal digests; different ones have different digests but for a chance of 2⁻⁶⁴. Not
/// the same in another build.
pub fn digest(value: &Value) -> u64 {
    let mut hasher = FixedState::with_seed(2).build_hasher();
    walk(value, &mut hasher);
    hasher.finish()
}

fn walk(value: &Value, hasher: &mut impl Hasher) {
    match value {
        Value::Null => hasher.write_u8(0),
        Value::Bool(bool) => hasher.write_u8(1 + u8::from(*bool)),
        Value::Number(number) => number.hash(hasher),
        Value::String(text) => text.hash(hasher),
        Value::Array(list) => {
            hasher.write_usize(list.len());
            list.iter().for_each(|value| walk(value, hasher));
        }
        Value::Object(map) => {
            hasher.write_usize(map.len());
            for (key, value) in map {
                key.hash(hasher);
                walk(value, hasher);
            }
        }
    }
}
