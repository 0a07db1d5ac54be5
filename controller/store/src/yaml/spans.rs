//! Where the fields of a document stand. Built only when somebody asks: after a problem.

use std::num::NonZeroU32;

use granit_parser::{Event, Parser, Span, StrInput};

use super::{MAX_DEPTH, Mark, options};

/// A node, where it and its key stand, and its children.
#[derive(Debug)]
pub(crate) struct Spans {
    key: Option<Mark>,
    value: Mark,
    children: Children,
}

#[derive(Debug)]
enum Children {
    Scalar,
    Sequence(Vec<Spans>),
    Mapping(Vec<(String, Spans)>),
}

impl Spans {
    /// One for each document that is not empty, as far as the text can be parsed.
    pub(crate) fn of(text: &str) -> Vec<Spans> {
        let mut reader = Reader(Parser::new_from_str_with_options(text, options()));
        let mut documents = Vec::new();
        while let Some((event, span)) = reader.next() {
            match event {
                Event::StreamStart | Event::StreamEnd | Event::DocumentEnd | Event::DocumentStart(..) => {}
                event => {
                    let empty = matches!(&event, Event::Scalar(text, ..) if text.is_empty());
                    match reader.node(event, span, None, 0) {
                        Some(_) if empty => {}
                        Some(node) => documents.push(node),
                        None => break,
                    }
                }
            }
        }
        documents
    }

    /// An element of the top-level `items`, from 1.
    pub(crate) fn item(&self, number: NonZeroU32) -> Option<&Spans> {
        let Children::Sequence(items) = &self.child("items")?.children else { return None };
        items.get(usize::try_from(number.get() - 1).ok()?)
    }

    /// Where it begins.
    pub(crate) fn line(&self) -> u32 {
        self.value.line
    }

    /// Where a field stands, written as `spec.rules[0].backendRefs[1].port`: its value when that is a scalar, its key
    /// otherwise. When there is no such field: the nearest one that is there around it.
    pub(crate) fn locate(&self, path: &str) -> Mark {
        let node = self.nearest(path);
        match (&node.children, node.key) {
            (Children::Scalar, _) | (_, None) => node.value,
            (_, Some(key)) => key,
        }
    }

    /// The keys of the mapping at a path, as [`Spans::locate`] finds it.
    pub(crate) fn keys(&self, path: &str) -> Vec<&str> {
        match &self.nearest(path).children {
            Children::Mapping(map) => map.iter().map(|(key, _)| key.as_str()).collect(),
            Children::Scalar | Children::Sequence(_) => Vec::new(),
        }
    }

    fn nearest(&self, path: &str) -> &Spans {
        let (mut node, mut rest) = (self, path.trim_start_matches('.'));
        while let Some((child, after)) = node.step(rest) {
            (node, rest) = (child, after.strip_prefix('.').unwrap_or(after));
        }
        node
    }

    fn step<'p>(&self, path: &'p str) -> Option<(&Spans, &'p str)> {
        match &self.children {
            Children::Scalar => None,
            Children::Sequence(list) => {
                let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
                Some((list.get(index.parse::<usize>().ok()?)?, rest))
            }
            Children::Mapping(map) => {
                // Keys may have dots in them (`tls.crt`): the longest key that fits is meant.
                let fits = map.iter().filter_map(|(key, node)| {
                    let rest = path.strip_prefix(&**key)?;
                    (rest.is_empty() || rest.starts_with(['.', '['])).then_some((key.len(), node, rest))
                });
                let (_, node, rest) = fits.max_by_key(|(length, ..)| *length)?;
                Some((node, rest))
            }
        }
    }

    fn child(&self, name: &str) -> Option<&Spans> {
        let Children::Mapping(map) = &self.children else { return None };
        map.iter().find(|(key, _)| key == name).map(|(_, node)| node)
    }
}

struct Reader<'a>(Parser<'a, StrInput<'a>>);

impl<'a> Reader<'a> {
    fn next(&mut self) -> Option<(Event<'a>, Span)> {
        self.0.next_event()?.ok()
    }

    fn node(&mut self, event: Event<'a>, span: Span, key: Option<Mark>, depth: usize) -> Option<Spans> {
        if depth > MAX_DEPTH {
            return None;
        }
        let value = Mark::of(&span);
        let children = match event {
            Event::Scalar(..) | Event::Alias(_) => Children::Scalar,
            Event::SequenceStart(..) => {
                let mut list = Vec::new();
                loop {
                    let (event, span) = self.next()?;
                    if event == Event::SequenceEnd {
                        break Children::Sequence(list);
                    }
                    list.push(self.node(event, span, None, depth + 1)?);
                }
            }
            Event::MappingStart(..) => {
                let mut map = Vec::new();
                loop {
                    let (event, span) = self.next()?;
                    let Event::Scalar(name, ..) = event else { break Children::Mapping(map) };
                    let (event, value) = self.next()?;
                    map.push((name.into_owned(), self.node(event, value, Some(Mark::of(&span)), depth + 1)?));
                }
            }
            _ => return None,
        };
        Some(Spans { key, value, children })
    }
}
