//! From an object and the path of a field to a line and a column.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::stdin;
use crate::yaml::{self, Mark, Spans, split};
use crate::{Place, Source};

/// Finds fields of objects in files. Reads a file again when asked, and keeps the last one, so that asking in the order of
/// files is fast. A file that changed meanwhile may give a place that is off; one that is gone gives the object's line.
#[derive(Debug, Default)]
pub struct Locator {
    file: Option<(Arc<str>, Text)>,
}

#[derive(Debug)]
struct Text {
    text: String,
    /// Begin and first line of the chunks.
    chunks: Vec<(usize, u32)>,
    /// Of the chunk that was asked for last.
    spans: Option<(u32, Vec<Spans>)>,
}

impl Locator {
    /// Where a field of an object stands. `path` is written as in `spec.rules[0].backendRefs[1].port`; when there is no such
    /// field, the place is the nearest one around it.
    pub fn place(&mut self, source: &Source, path: &str) -> Place {
        let found = self.text(source.file()).and_then(|text| text.locate(source, path));
        found.map_or_else(
            || Place { line: source.line(), ..Place::file(source.file()) },
            |(text, mark, chunk)| {
                let place = Place::within(source.file().into(), text, mark.line, mark.column, mark.length);
                Place { line: mark.line + chunk - 1, ..place }
            },
        )
    }

    /// The object as it stands in the file: without defaults.
    pub fn value(&mut self, source: &Source) -> Option<Value> {
        let text = self.text(source.file())?;
        let (chunk, first) = text.chunk(source.line())?;
        let line = source.line() + 1 - first;
        let documents = yaml::parse(chunk).ok()?;
        let document = documents.into_iter().rev().find(|document| document.mark.line <= line)?;
        match source.item() {
            Some(item) => document.value.get("items")?.get(usize::try_from(item.get() - 1).ok()?).cloned(),
            None => Some(document.value),
        }
    }

    fn text(&mut self, file: &str) -> Option<&mut Text> {
        if self.file.as_ref().is_none_or(|(name, _)| **name != *file) {
            let text = match Path::new(file) {
                path if stdin::is(path) => String::from_utf8(stdin::bytes(u64::MAX - 1).ok()?.to_vec()).ok()?,
                path => std::fs::read_to_string(path).ok()?,
            };
            let start = text.as_ptr() as usize;
            let chunks = split(&text).iter().map(|chunk| (chunk.text.as_ptr() as usize - start, chunk.line)).collect();
            self.file = Some((file.into(), Text { text, chunks, spans: None }));
        }
        self.file.as_mut().map(|(_, text)| text)
    }
}

impl Text {
    /// The chunk of a line, and its first line.
    fn chunk(&self, line: u32) -> Option<(&str, u32)> {
        let after = self.chunks.partition_point(|(_, first)| *first <= line);
        let (begin, first) = *self.chunks.get(after.checked_sub(1)?)?;
        let end = self.chunks.get(after).map_or(self.text.len(), |(begin, _)| *begin);
        Some((&self.text[begin..end], first))
    }

    /// The chunk's text, the place in it, and its first line.
    fn locate(&mut self, source: &Source, path: &str) -> Option<(&str, Mark, u32)> {
        let line = source.line();
        let (_, first) = self.chunk(line)?;
        if self.spans.as_ref().is_none_or(|(of, _)| *of != first) {
            let spans = Spans::of(self.chunk(line)?.0);
            self.spans = Some((first, spans));
        }
        let documents = &self.spans.as_ref()?.1;
        let line_within = line + 1 - first;
        let document = documents.iter().rev().find(|document| document.line() <= line_within)?;
        let element = source.item().and_then(|item| document.item(item));
        let mark = element.unwrap_or(document).locate(path);
        Some((self.chunk(line)?.0, mark, first))
    }
}
