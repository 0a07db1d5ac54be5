//! The schema's own keywords, and the order in which CEL rules join them.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::cel::{self, Outcome, Tree};
use super::path::{Path, Segment};
use super::{Violation, format};
use crate::schema::{Additional, ListType, Node, Type};

/// Checks a whole object. `metadata` is left to [`super::metadata`].
pub(super) fn check(schema: &Node, value: &Value, out: &mut Vec<Violation>) {
    Walk { path: Path::new(), out, within: false }.node(schema, value, None);
}

struct Walk<'a, 'o> {
    path: Path<'a>,
    out: &'o mut Vec<Violation>,
    /// In a branch of `oneOf` and the like, which mentions only some of the fields.
    within: bool,
}

impl<'a> Walk<'a, '_> {
    /// Checks a value. Says whether its shape is right, so that rules about it make sense.
    fn node(&mut self, node: &'a Node, value: &'a Value, tree: Option<&Tree<'a>>) -> bool {
        if value.is_null() && node.nullable {
            return true;
        }
        if !self.type_fits(node, value) {
            return false;
        }
        let own;
        let tree = match tree {
            None if !node.rules.is_empty() => {
                own = Tree::new(node, value);
                Some(&own)
            }
            tree => tree,
        };
        let shaped = match value {
            Value::Object(fields) => self.object(node, fields, tree),
            Value::Array(items) => self.array(node, items, tree),
            Value::String(text) => self.text(node, text),
            Value::Number(number) => self.number(node, number.as_f64().unwrap_or(f64::NAN)),
            _ => true,
        };
        let shaped = self.values(node, value) && shaped;
        self.branches(node, value);
        if shaped && let Some(tree) = tree {
            self.rules(node, tree);
        }
        shaped
    }

    fn type_fits(&mut self, node: &Node, value: &Value) -> bool {
        let fits = match (node.type_, value) {
            _ if node.int_or_string => value.is_string() || value.is_i64() || value.is_u64(),
            (None, _) => true,
            (Some(Type::Object), value) => value.is_object(),
            (Some(Type::Array), value) => value.is_array(),
            (Some(Type::String), value) => value.is_string(),
            (Some(Type::Integer), Value::Number(number)) => {
                number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|n| n.fract() == 0.0)
            }
            (Some(Type::Number), value) => value.is_number(),
            (Some(Type::Boolean), value) => value.is_boolean(),
            (Some(Type::Integer), _) => false,
        };
        if !fits {
            let wanted = match node.type_ {
                _ if node.int_or_string => "an integer or a string",
                Some(Type::Object) => "an object",
                Some(Type::Array) => "a list",
                Some(Type::String) => "a string",
                Some(Type::Integer) => "an integer",
                Some(Type::Number) => "a number",
                Some(Type::Boolean) | None => "true or false",
            };
            self.error(format!("must be {wanted}, not {}", short(value)));
        }
        fits
    }

    fn object(&mut self, node: &'a Node, fields: &'a Map<String, Value>, tree: Option<&Tree<'a>>) -> bool {
        let mut shaped = true;
        for name in &node.required {
            if !fields.contains_key(&**name) {
                self.below(Segment::Field(name), |walk| walk.error("is required".to_owned()));
                shaped = false;
            }
        }
        let root = self.path.is_root() && !self.within;
        for (name, value) in fields {
            if root && name == "metadata" {
                continue;
            }
            let inner = match (node.properties.get(name.as_str()), &node.additional) {
                (Some(inner), _) => inner,
                (None, Some(Additional::Schema(inner))) => inner,
                (None, Some(Additional::Any)) => continue,
                (None, None) => {
                    if !self.within && !node.preserve_unknown {
                        self.below(Segment::Field(name), Walk::unknown_field);
                    }
                    continue;
                }
            };
            let tree = tree.and_then(|tree| tree.field(name));
            shaped &= self.below(Segment::Field(name), |walk| walk.node(inner, value, tree));
        }
        let bounds = &node.bounds;
        shaped & self.size(fields.len(), bounds.min_properties, bounds.max_properties, "entries")
    }

    fn array(&mut self, node: &'a Node, items: &'a [Value], tree: Option<&Tree<'a>>) -> bool {
        let mut shaped = self.size(items.len(), node.bounds.min_items, node.bounds.max_items, "items");
        if let Some(inner) = &node.items {
            for (index, item) in items.iter().enumerate() {
                let tree = tree.and_then(|tree| tree.item(index));
                shaped &= self.below(Segment::Item(index), |walk| walk.node(inner, item, tree));
            }
        }
        match &node.list_type {
            ListType::Atomic => {}
            ListType::Set => self.unique(items, Value::to_string),
            ListType::Map(keys) => self.unique(items, |item| {
                let keys: Vec<String> = keys.iter().map(|key| format!("{key}: {}", short(&item[&**key]))).collect();
                keys.join(", ")
            }),
        }
        shaped
    }

    fn unique(&mut self, items: &[Value], key: impl Fn(&Value) -> String) {
        let mut seen = HashSet::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let key = key(item);
            if seen.contains(&key) {
                self.below(Segment::Item(index), |walk| walk.error(format!("duplicate of an earlier item ({key})")));
            }
            seen.insert(key);
        }
    }

    fn text(&mut self, node: &Node, text: &str) -> bool {
        let bounds = &node.bounds;
        let mut shaped = true;
        if bounds.min_length.is_some() || bounds.max_length.is_some() {
            shaped = self.size(text.chars().count(), bounds.min_length, bounds.max_length, "characters");
        }
        if let Some(pattern) = &node.pattern
            && pattern.regex().is_some_and(|regex| !regex.is_match(text))
        {
            self.error(format!("{} must match the pattern {}", quoted(text), pattern.as_str()));
        }
        if let Some(name) = &node.format
            && !format::is(name, text)
        {
            self.error(format!("{} must be a valid {name}", quoted(text)));
        }
        shaped
    }

    fn number(&mut self, node: &Node, number: f64) -> bool {
        let bounds = &node.bounds;
        let (least, most) = match node.format.as_deref() {
            Some("int32") => (Some(f64::from(i32::MIN)), Some(f64::from(i32::MAX))),
            _ => (None, None),
        };
        if let Some(least) = bounds.minimum.or(least) {
            if bounds.exclusive_minimum && number <= least {
                self.error(format!("{number} must be greater than {least}"));
            } else if number < least {
                self.error(format!("{number} must be at least {least}"));
            }
        }
        if let Some(most) = bounds.maximum.or(most) {
            if bounds.exclusive_maximum && number >= most {
                self.error(format!("{number} must be less than {most}"));
            } else if number > most {
                self.error(format!("{number} must be at most {most}"));
            }
        }
        if let Some(step) = bounds.multiple_of
            && (number / step).fract() != 0.0
        {
            self.error(format!("{number} must be a multiple of {step}"));
        }
        true
    }

    /// `enum`.
    fn values(&mut self, node: &Node, value: &Value) -> bool {
        if node.enum_.is_empty() || node.enum_.contains(value) {
            return true;
        }
        let allowed: Vec<String> = node.enum_.iter().map(Value::to_string).collect();
        self.error(format!("{} is not one of {}", short(value), allowed.join(", ")));
        false
    }

    /// `allOf`, `anyOf`, `oneOf` and `not`.
    fn branches(&mut self, node: &'a Node, value: &'a Value) {
        for branch in &node.all_of {
            let within = std::mem::replace(&mut self.within, true);
            self.node(branch, value, None);
            self.within = within;
        }
        if !node.any_of.is_empty() && !node.any_of.iter().any(|branch| fits(branch, value)) {
            self.error(format!("{} fits none of the allowed forms", short(value)));
        }
        if !node.one_of.is_empty() {
            match node.one_of.iter().filter(|branch| fits(branch, value)).count() {
                1 => {}
                0 => self.error(format!("{} fits none of the allowed forms", short(value))),
                _ => self.error(format!("{} fits more than one of the allowed forms", short(value))),
            }
        }
        if node.not.as_ref().is_some_and(|branch| fits(branch, value)) {
            self.error(format!("{} has a form that is not allowed", short(value)));
        }
    }

    fn rules(&mut self, node: &Node, tree: &Tree<'a>) {
        for rule in &node.rules {
            if let Outcome::Broken(message) | Outcome::Failed(message) = cel::check(rule, tree) {
                let mut violation = Violation::error(&self.path, message);
                if let Some(field) = &rule.field_path {
                    let field = if violation.path.is_empty() { field.trim_start_matches('.') } else { field };
                    violation.path.push_str(field);
                }
                self.out.push(violation);
            }
        }
    }

    fn size(&mut self, size: usize, least: Option<u64>, most: Option<u64>, of: &str) -> bool {
        let size = size as u64;
        if let Some(least) = least.filter(|least| size < *least) {
            self.error(format!("has {size} {of}, must have at least {least}"));
            return false;
        }
        if let Some(most) = most.filter(|most| size > *most) {
            self.error(format!("has {size} {of}, must have at most {most}"));
            return false;
        }
        true
    }

    fn below<T>(&mut self, segment: Segment<'a>, run: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(segment);
        let result = run(self);
        self.path.pop();
        result
    }

    fn error(&mut self, message: String) {
        self.out.push(Violation::error(&self.path, message));
    }

    fn unknown_field(&mut self) {
        self.out.push(Violation::warning(&self.path, "unknown field".to_owned()));
    }
}

/// Whether a value fits a branch.
fn fits(branch: &Node, value: &Value) -> bool {
    let mut problems = Vec::new();
    Walk { path: Path::new(), out: &mut problems, within: true }.node(branch, value, None);
    problems.is_empty()
}

/// A value in a message.
fn short(value: &Value) -> String {
    match value {
        Value::Object(_) => "an object".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::String(text) => quoted(text),
        other => other.to_string(),
    }
}

fn quoted(text: &str) -> String {
    const MOST: usize = 80;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}
