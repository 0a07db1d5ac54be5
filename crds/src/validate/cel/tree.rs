//! JSON as CEL values, without copying its strings.
//!
//! A tree is built once for the topmost value that has rules; rules on values below are evaluated on its branches.
//!
//! One limit: a list or map literal on the left of `==` never equals a tree (`[1] == self.list`), because the `cel`
//! crate's literals compare with their own kind only. On the right it does. No rule we have compares with such a literal.

use cel::ExecutionError;
use cel::common::traits::{Container, Indexer, Iterable, Iterator as Items, Sizer};
use cel::common::types::{CelBool, CelDouble, CelInt, CelNull, CelString, LIST_TYPE, MAP_TYPE, Type};
use cel::common::value::{CowVal, Val};
use serde_json::Value;

use crate::schema::{self, Additional, Node};

/// A JSON value as CEL sees it.
#[derive(Clone, Debug)]
pub enum Tree<'v> {
    Null(CelNull),
    Bool(CelBool),
    Int(CelInt),
    Double(CelDouble),
    Text(CelString<'v>),
    List(List<'v>),
    Map(Map<'v>),
}

/// A JSON array.
#[derive(Clone, Debug)]
pub struct List<'v>(Vec<Tree<'v>>);

/// A JSON object. Few have more than ten fields, so a scan beats a hash map.
#[derive(Clone, Debug)]
pub struct Map<'v>(Vec<(CelString<'v>, Tree<'v>)>);

impl<'v> Tree<'v> {
    /// Builds the tree of a value. The schema tells structs, whose reserved field names are escaped, from maps, and
    /// numbers from integers.
    pub fn new(node: &Node, value: &'v Value) -> Self {
        match value {
            Value::Null => Self::Null(CelNull),
            Value::Bool(value) => Self::Bool(CelBool::from(*value)),
            Value::Number(number) => match number.as_i64() {
                Some(whole) if node.type_ != Some(schema::Type::Number) => Self::Int(CelInt::from(whole)),
                _ => Self::Double(CelDouble::from(number.as_f64().unwrap_or(f64::NAN))),
            },
            Value::String(text) => Self::Text(CelString::from(text.as_str())),
            Value::Array(items) => {
                let inner = node.items.as_deref().unwrap_or(Node::any());
                Self::List(List(items.iter().map(|item| Tree::new(inner, item)).collect()))
            }
            Value::Object(fields) => {
                let mut entries = Vec::with_capacity(fields.len());
                for (name, value) in fields {
                    let declared = node.properties.get(name.as_str());
                    let tree = Tree::new(declared.unwrap_or(node.additional()), value);
                    if let (Some(_), Some(escaped)) = (declared, escape(name)) {
                        entries.push((CelString::from(escaped), tree.clone()));
                    }
                    entries.push((CelString::from(name.as_str()), tree));
                }
                Self::Map(Map(entries))
            }
        }
    }

    /// The value of a field.
    pub fn field(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Map(map) => map.find(name),
            _ => None,
        }
    }

    /// An item of a list.
    pub fn item(&self, index: usize) -> Option<&Self> {
        match self {
            Self::List(list) => list.0.get(index),
            _ => None,
        }
    }

    /// As a CEL value.
    pub fn val(&self) -> &(dyn Val + 'v) {
        match self {
            Self::Null(value) => value,
            Self::Bool(value) => value,
            Self::Int(value) => value,
            Self::Double(value) => value,
            Self::Text(value) => value,
            Self::List(value) => value,
            Self::Map(value) => value,
        }
    }
}

impl Node {
    /// The schema of fields that are not declared.
    fn additional(&self) -> &Node {
        match &self.additional {
            Some(Additional::Schema(inner)) => inner,
            _ => Node::any(),
        }
    }
}

/// Field names that are reserved words in CEL are written `__word__` in rules.
/// (<https://kubernetes.io/docs/reference/using-api/cel/#escaping>)
fn escape(name: &str) -> Option<String> {
    if RESERVED.contains(&name) {
        return Some(format!("__{name}__"));
    }
    let special = name.contains(['.', '-', '/']) || name.contains("__");
    special.then(|| {
        name.replace("__", "__underscores__").replace('.', "__dot__").replace('-', "__dash__").replace('/', "__slash__")
    })
}

const RESERVED: [&str; 21] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

impl<'v> Map<'v> {
    fn find(&self, name: &str) -> Option<&Tree<'v>> {
        self.0.iter().find(|(key, _)| key.inner() == name).map(|(_, value)| value)
    }

    fn find_val(&self, key: &dyn Val) -> Option<&Tree<'v>> {
        self.find(key.downcast_ref::<CelString>()?.inner())
    }
}

impl<'v> Val for Map<'v> {
    fn get_type(&self) -> &Type {
        &MAP_TYPE
    }

    fn cel_type() -> &'static Type {
        &MAP_TYPE
    }

    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }

    fn as_indexer<'b, 'w>(&'b self) -> Option<&'b (dyn Indexer + 'w)>
    where
        Self: 'w,
    {
        Some(self)
    }

    fn as_iterable<'b, 'w>(&'b self) -> Option<&'b (dyn Iterable + 'w)>
    where
        Self: 'w,
    {
        Some(self)
    }

    fn as_sizer(&self) -> Option<&dyn Sizer> {
        Some(self)
    }

    /// Rules compare structs of the same schema: both sides are trees.
    fn equals(&self, other: &dyn Val) -> bool {
        let Some(fields) = other.as_indexer() else {
            return false;
        };
        let size = other.as_sizer().map(|sizer| *sizer.size().inner());
        size == Some(self.0.len() as i64)
            && self.0.iter().all(|(key, value)| fields.get(key).is_ok_and(|found| value.val().equals(found.as_ref())))
    }

    fn clone_as_boxed<'w>(&self) -> Box<dyn Val + 'w>
    where
        Self: 'w,
    {
        Box::new(self.clone())
    }
}

impl Container for Map<'_> {
    fn contains(&self, key: &dyn Val) -> Result<bool, ExecutionError> {
        Ok(self.find_val(key).is_some())
    }
}

impl<'v> Indexer for Map<'v> {
    fn get<'b, 'w>(&'b self, key: &dyn Val) -> Result<CowVal<'b, 'w>, ExecutionError>
    where
        Self: 'w,
    {
        match self.find_val(key) {
            Some(found) => Ok(CowVal::Borrowed(found.val())),
            None => Err(ExecutionError::no_such_key(key.downcast_ref::<CelString>().map_or("", |key| key.inner()))),
        }
    }

    fn steal<'w>(self: Box<Self>, key: &dyn Val) -> Result<Box<dyn Val + 'w>, ExecutionError>
    where
        Self: 'w,
    {
        self.get(key).map(CowVal::into_owned)
    }
}

impl<'v> Iterable for Map<'v> {
    fn iter<'b, 'w>(&'b self) -> Box<dyn Items<'b, 'w> + 'b>
    where
        Self: 'w,
    {
        Box::new(Keys(self.0.iter()))
    }
}

impl Sizer for Map<'_> {
    fn size(&self) -> CelInt {
        CelInt::from(self.0.len() as i64)
    }
}

struct Keys<'b, 'v>(std::slice::Iter<'b, (CelString<'v>, Tree<'v>)>);

impl<'b, 'v: 'w, 'w> Items<'b, 'w> for Keys<'b, 'v> {
    fn next(&mut self) -> Option<&'b (dyn Val + 'w)> {
        self.0.next().map(|(key, _)| key as &(dyn Val + 'w))
    }
}

impl<'v> Val for List<'v> {
    fn get_type(&self) -> &Type {
        &LIST_TYPE
    }

    fn cel_type() -> &'static Type {
        &LIST_TYPE
    }

    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }

    fn as_indexer<'b, 'w>(&'b self) -> Option<&'b (dyn Indexer + 'w)>
    where
        Self: 'w,
    {
        Some(self)
    }

    fn as_iterable<'b, 'w>(&'b self) -> Option<&'b (dyn Iterable + 'w)>
    where
        Self: 'w,
    {
        Some(self)
    }

    fn as_sizer(&self) -> Option<&dyn Sizer> {
        Some(self)
    }

    fn equals(&self, other: &dyn Val) -> bool {
        let Some(items) = other.as_iterable() else {
            return false;
        };
        if other.get_type() != &LIST_TYPE {
            return false;
        }
        let mut items = items.iter();
        self.0.iter().all(|item| items.next().is_some_and(|other| item.val().equals(other))) && items.next().is_none()
    }

    fn clone_as_boxed<'w>(&self) -> Box<dyn Val + 'w>
    where
        Self: 'w,
    {
        Box::new(self.clone())
    }
}

impl Container for List<'_> {
    fn contains(&self, value: &dyn Val) -> Result<bool, ExecutionError> {
        Ok(self.0.iter().any(|item| item.val().equals(value)))
    }
}

impl<'v> Indexer for List<'v> {
    fn get<'b, 'w>(&'b self, index: &dyn Val) -> Result<CowVal<'b, 'w>, ExecutionError>
    where
        Self: 'w,
    {
        let at = index.downcast_ref::<CelInt>().map(|index| *index.inner());
        at.and_then(|at| usize::try_from(at).ok())
            .and_then(|at| self.0.get(at))
            .map(|item| CowVal::Borrowed(item.val()))
            .ok_or_else(|| {
                let at = at.unwrap_or_default();
                ExecutionError::IndexOutOfBounds(cel::Value::Int(at))
            })
    }

    fn steal<'w>(self: Box<Self>, index: &dyn Val) -> Result<Box<dyn Val + 'w>, ExecutionError>
    where
        Self: 'w,
    {
        self.get(index).map(CowVal::into_owned)
    }
}

impl<'v> Iterable for List<'v> {
    fn iter<'b, 'w>(&'b self) -> Box<dyn Items<'b, 'w> + 'b>
    where
        Self: 'w,
    {
        Box::new(ListItems(self.0.iter()))
    }
}

impl Sizer for List<'_> {
    fn size(&self) -> CelInt {
        CelInt::from(self.0.len() as i64)
    }
}

struct ListItems<'b, 'v>(std::slice::Iter<'b, Tree<'v>>);

impl<'b, 'v: 'w, 'w> Items<'b, 'w> for ListItems<'b, 'v> {
    fn next(&mut self) -> Option<&'b (dyn Val + 'w)> {
        self.0.next().map(|item| item.val() as &(dyn Val + 'w))
    }
}
