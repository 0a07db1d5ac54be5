//! One node of a structural schema.

use std::collections::BTreeMap;
use std::sync::{LazyLock, OnceLock};

use regex::Regex;
use serde_json::Value;

use crate::validate::Compiled;

/// A structural schema (Kubernetes' subset of JSON Schema) for one value and what is below it.
#[derive(Debug, Default)]
pub struct Node {
    /// The value's type; none where anything goes.
    pub type_: Option<Type>,
    /// An integer or a string (`x-kubernetes-int-or-string`).
    pub int_or_string: bool,
    /// Whether `null` is a value.
    pub nullable: bool,
    /// Whether unknown fields are kept.
    pub preserve_unknown: bool,
    /// Whether this is a whole Kubernetes object.
    pub embedded: bool,
    /// Known fields.
    pub properties: BTreeMap<Box<str>, Node>,
    /// Fields beyond the known ones.
    pub additional: Option<Additional>,
    /// The schema of a list's items.
    pub items: Option<Box<Node>>,
    /// Names of required fields.
    pub required: Vec<Box<str>>,
    /// The value of an absent field.
    pub default: Option<Value>,
    /// Whether a default is set somewhere in here, this node included.
    pub has_defaults: bool,
    /// Allowed values; empty when there is no such limit.
    pub enum_: Vec<Value>,
    /// A pattern that a string matches somewhere.
    pub pattern: Option<Pattern>,
    /// Limits on sizes and numbers.
    pub bounds: Bounds,
    /// The format of a string or number, such as `int32` or `date-time`.
    pub format: Option<Box<str>>,
    /// How a list is merged, hence what is unique in it.
    pub list_type: ListType,
    /// All of these hold too.
    pub all_of: Vec<Node>,
    /// At least one of these holds too, when there are any.
    pub any_of: Vec<Node>,
    /// Exactly one of these holds too, when there are any.
    pub one_of: Vec<Node>,
    /// This does not hold.
    pub not: Option<Box<Node>>,
    /// CEL rules on the value.
    pub rules: Vec<Rule>,
}

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// A map or a struct.
    Object,
    /// A list.
    Array,
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// True or false.
    Boolean,
}

/// `additionalProperties`.
#[derive(Debug)]
pub enum Additional {
    /// Anything goes.
    Any,
    /// Every further field follows this schema.
    Schema(Box<Node>),
}

/// Inclusive limits, unless said otherwise.
#[derive(Debug, Default)]
pub struct Bounds {
    /// Characters of a string, at least.
    pub min_length: Option<u64>,
    /// Characters of a string, at most.
    pub max_length: Option<u64>,
    /// Items of a list, at least.
    pub min_items: Option<u64>,
    /// Items of a list, at most.
    pub max_items: Option<u64>,
    /// Fields of an object, at least.
    pub min_properties: Option<u64>,
    /// Fields of an object, at most.
    pub max_properties: Option<u64>,
    /// Smallest number.
    pub minimum: Option<f64>,
    /// Largest number.
    pub maximum: Option<f64>,
    /// The smallest number is itself excluded.
    pub exclusive_minimum: bool,
    /// The largest number is itself excluded.
    pub exclusive_maximum: bool,
    /// The number is a multiple of this.
    pub multiple_of: Option<f64>,
}

/// `x-kubernetes-list-type`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ListType {
    /// Replaced as a whole.
    #[default]
    Atomic,
    /// Items are unique.
    Set,
    /// Items are unique by these fields.
    Map(Vec<Box<str>>),
}

/// A regular expression, compiled when first used.
#[derive(Debug)]
pub struct Pattern {
    text: Box<str>,
    regex: OnceLock<Option<Regex>>,
}

impl Pattern {
    /// A pattern that is not compiled yet.
    pub fn new(text: &str) -> Self {
        Self { text: text.into(), regex: OnceLock::new() }
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The compiled pattern; none when it is not a regular expression we can compile.
    pub fn regex(&self) -> Option<&Regex> {
        self.regex.get_or_init(|| Regex::new(&self.text).ok()).as_ref()
    }
}

/// One entry of `x-kubernetes-validations`.
#[derive(Debug)]
pub struct Rule {
    /// The CEL expression; true when the value is fine.
    pub rule: Box<str>,
    /// What to say when it is not.
    pub message: Option<Box<str>>,
    /// A CEL expression that gives the message.
    pub message_expression: Option<Box<str>>,
    /// The field to blame, relative to the value, such as `.spec.name`.
    pub field_path: Option<Box<str>>,
    /// A machine-readable reason, such as `FieldValueInvalid`.
    pub reason: Option<Box<str>>,
    pub(super) compiled: OnceLock<Compiled>,
}

impl Node {
    /// The schema of a value about which nothing is said.
    pub fn any() -> &'static Self {
        static ANY: LazyLock<Node> = LazyLock::new(Node::default);
        &ANY
    }
}

impl Rule {
    /// The compiled rule.
    pub(crate) fn compiled(&self) -> &Compiled {
        self.compiled.get_or_init(|| Compiled::new(self))
    }

    /// Whether the rule compares with an earlier state of the object; such rules say nothing about a single state.
    pub fn is_transition(&self) -> bool {
        self.rule.contains("oldSelf")
    }
}
