//! A text → one chunk per document, so that a change of one document in a large file costs one document.

/// A part of a text that holds one document, in rare cases (`...` without `---`) several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunk<'a> {
    /// The text, with the `---` line that begins it.
    pub text: &'a str,
    /// The line of the text's first character, from 1.
    pub line: u32,
}

/// Splits at `---` in the first column, which YAML allows nowhere but between documents (YAML 1.2 §9.1.2, `c-forbidden`).
/// What has comments and directives only belongs to what follows.
pub(crate) fn split(text: &str) -> Vec<Chunk<'_>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut chunks = Vec::new();
    let mut chunk = Chunk { text, line: 1 };
    let (mut start, mut line, mut content) = (0, 1u32, false);
    let mut at = 0;
    for end in memchr::memchr_iter(b'\n', text.as_bytes()).map(|end| end + 1).chain([text.len()]) {
        let row = &text[at..end];
        if is_marker(row) && content {
            chunk.text = &text[start..at];
            chunks.push(chunk);
            chunk.line = line;
            start = at;
            content = has_content(&row[3..]);
        } else {
            content |= if is_marker(row) { has_content(&row[3..]) } else { is_content(row) };
        }
        at = end;
        line += 1;
    }
    if content {
        chunk.text = &text[start..];
        chunks.push(chunk);
    }
    chunks
}

fn is_marker(row: &str) -> bool {
    row.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

fn is_content(row: &str) -> bool {
    !row.starts_with(['%', '#', '\n']) && !row.starts_with("...") && has_content(row)
}

fn has_content(row: &str) -> bool {
    let row = row.trim_ascii_start();
    !row.is_empty() && !row.starts_with('#')
}
