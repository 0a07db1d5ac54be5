//! Events → values.

use std::borrow::Cow;
use std::collections::HashMap;

use foldhash::fast::RandomState;
use granit_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};
use serde_json::{Map, Value};

use super::{Error, MAX_DEPTH, Mark, number, options, scalar};

/// One document.
#[derive(Debug, PartialEq)]
pub(crate) struct Document {
    /// Never null: empty documents are left out.
    pub value: Value,
    /// Where it begins.
    pub mark: Mark,
    /// The lines on which the elements of the top-level `items` begin.
    pub items: Vec<u32>,
}

/// Parses the documents of a text. Lines and columns count from its beginning.
///
/// # Errors
///
/// When the text is not YAML, has a duplicate key, or is beyond the limits: collections within each other, and what aliases
/// expand to ([`MAX_EXPANSION`]).
pub(crate) fn parse(text: &str) -> Result<Vec<Document>, Error> {
    let mut builder = Builder {
        parser: Parser::new_from_str_with_options(text, options()),
        anchors: HashMap::default(),
        made: Size::default(),
        expanded: Size::default(),
        items: Vec::new(),
    };
    let mut documents = Vec::new();
    while let Some((event, span)) = builder.next()? {
        match event {
            Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            Event::DocumentStart(..) => builder.anchors.clear(),
            event => {
                let mark = Mark::of(&span);
                let (value, _) = builder.node(event, &span, 0, false)?;
                let items = std::mem::take(&mut builder.items);
                if !value.is_null() {
                    documents.push(Document { value, mark, items });
                }
            }
        }
    }
    Ok(documents)
}

/// What the aliases of a chunk may add up to: more than any manifest needs, little enough to be harmless.
const MAX_EXPANSION: Size = Size { nodes: 100_000, bytes: 16 << 20 };

struct Builder<'a> {
    parser: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, Anchor, RandomState>,
    made: Size,
    expanded: Size,
    items: Vec<u32>,
}

struct Anchor {
    value: Value,
    height: usize,
    size: Size,
}

#[derive(Clone, Copy, Default)]
struct Size {
    nodes: usize,
    bytes: usize,
}

impl<'a> Builder<'a> {
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, Error> {
        self.parser.next_event().transpose().map_err(Error::from)
    }

    fn expect(&mut self) -> Result<(Event<'a>, Span), Error> {
        self.next()?
            .ok_or_else(|| Error::new("the text ends within a collection", Mark { line: 1, column: 1, length: 0 }))
    }

    /// The node that begins with an event, and its height: 1 for a scalar. `items`: it is the value of the top-level `items`.
    fn node(&mut self, event: Event<'a>, span: &Span, depth: usize, items: bool) -> Result<(Value, usize), Error> {
        if depth > MAX_DEPTH {
            return Err(too_deep(span));
        }
        let before = self.made;
        self.made.nodes += 1;
        let (value, height, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.made.bytes += text.len();
                (scalar_value(text, style, tag.as_deref()), 1, anchor)
            }
            Event::SequenceStart(_, anchor, _) => {
                let (values, height) = self.sequence(depth, items)?;
                (Value::Array(values), height, anchor)
            }
            Event::MappingStart(_, anchor, _) => {
                let (map, height) = self.mapping(depth)?;
                (Value::Object(map), height, anchor)
            }
            Event::Alias(id) => return self.alias(id, span, depth),
            other => return Err(Error::new(format!("unexpected {other:?}"), Mark::of(span))),
        };
        if anchor > 0 {
            let size = Size { nodes: self.made.nodes - before.nodes, bytes: self.made.bytes - before.bytes };
            self.anchors.insert(anchor, Anchor { value: value.clone(), height, size });
        }
        Ok((value, height))
    }

    fn sequence(&mut self, depth: usize, items: bool) -> Result<(Vec<Value>, usize), Error> {
        let (mut values, mut height) = (Vec::new(), 0);
        loop {
            let (event, span) = self.expect()?;
            if event == Event::SequenceEnd {
                return Ok((values, height + 1));
            }
            if items {
                self.items.push(number(span.start.line()));
            }
            let (value, h) = self.node(event, &span, depth + 1, false)?;
            height = height.max(h);
            values.push(value);
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<(Map<String, Value>, usize), Error> {
        let (mut map, mut height, mut merges) = (Map::new(), 0, Vec::new());
        loop {
            let (event, span) = self.expect()?;
            let (key, style) = match event {
                Event::MappingEnd => break,
                Event::Scalar(text, style, ..) => (text, style),
                _ => return Err(Error::new("a key must be a string", Mark::of(&span))),
            };
            self.made.bytes += key.len();
            let (event, value_span) = self.expect()?;
            let items = depth == 0 && key == "items";
            let (value, h) = self.node(event, &value_span, depth + 1, items)?;
            height = height.max(h);
            if key == "<<" && style == ScalarStyle::Plain {
                merges.push((value, value_span));
            } else if map.contains_key(&*key) {
                return Err(Error::new(format!("the key `{key}` is there twice"), Mark::of(&span)));
            } else {
                map.insert(key.into_owned(), value);
            }
        }
        for (value, span) in merges {
            merge(&mut map, value, &span)?;
        }
        Ok((map, height + 1))
    }

    fn alias(&mut self, id: usize, span: &Span, depth: usize) -> Result<(Value, usize), Error> {
        let Some(anchor) = self.anchors.get(&id) else {
            return Err(Error::new("an alias within its own anchor", Mark::of(span)));
        };
        if depth + anchor.height > MAX_DEPTH {
            return Err(too_deep(span));
        }
        for size in [&mut self.made, &mut self.expanded] {
            size.nodes += anchor.size.nodes;
            size.bytes += anchor.size.bytes;
        }
        if self.expanded.nodes > MAX_EXPANSION.nodes || self.expanded.bytes > MAX_EXPANSION.bytes {
            let help = Some("write the values out, or split the document");
            return Err(Error { help, ..Error::new("aliases expand to more than the limit", Mark::of(span)) });
        }
        Ok((anchor.value.clone(), anchor.height))
    }
}

fn scalar_value(text: Cow<'_, str>, style: ScalarStyle, tag: Option<&Tag>) -> Value {
    let string = match tag.and_then(Tag::core_suffix) {
        Some(suffix) => suffix == "str" || suffix == "binary",
        None => style != ScalarStyle::Plain || tag.is_some(),
    };
    if string { Value::String(text.into_owned()) } else { scalar::plain(&text) }
}

/// `<<: *base`, or a list of them: keys that are there stay, and earlier ones win (YAML 1.1 merge key).
fn merge(map: &mut Map<String, Value>, value: Value, span: &Span) -> Result<(), Error> {
    match value {
        Value::Object(from) => {
            for (key, value) in from {
                map.entry(key).or_insert(value);
            }
            Ok(())
        }
        Value::Array(list) => list.into_iter().try_for_each(|value| merge(map, value, span)),
        _ => Err(Error::new("`<<` takes a mapping or a list of mappings", Mark::of(span))),
    }
}

fn too_deep(span: &Span) -> Error {
    Error::new(format!("more than {MAX_DEPTH} collections within each other"), Mark::of(span))
}
