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
    let (mut start, mut line) = (0, 1u32);
    for at in memchr::memmem::find_iter(text.as_bytes(), "\n---").map(|at| at + 1).chain([text.len()]) {
        let chunk = &text[start..at];
        if (at < text.len() && !is_marker(&text[at..])) || !is_content(chunk) {
            continue;
        }
        chunks.push(Chunk { text: chunk, line });
        line += super::number(memchr::memchr_iter(b'\n', chunk.as_bytes()).count());
        start = at;
    }
    chunks
}

fn is_marker(text: &str) -> bool {
    text.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

/// Whether there is more than comments, directives and markers.
fn is_content(chunk: &str) -> bool {
    chunk.lines().any(|row| {
        let rest = if is_marker(row) { &row[3..] } else { row };
        let directive = row.starts_with('%') || row.starts_with("...");
        let rest = rest.trim_ascii_start();
        !directive && !rest.is_empty() && !rest.starts_with('#')
    })
}
