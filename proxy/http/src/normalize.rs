//! One spelling for each path, so that what a rule matches is what the backend gets.
//!
//! Order as Envoy's (`envoy-semantics` §4.2): escaped slashes, percent-decoding of unreserved characters, segments that hide what they are
//! behind a parameter, dot segments (RFC 3986 §6.2.2), then merged slashes. The query is never touched.

use crate::error::Reject;
use crate::request::RequestHead;

/// What is done to paths. The default is the strict choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPolicy {
    /// What `%2F` and `%5C` in a path mean.
    pub escaped_slashes: EscapedSlashes,
    /// Whether `//` is `/`.
    pub merge_slashes: bool,
}

/// What escaped slashes and backslashes in a path mean. Kept ones never separate segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EscapedSlashes {
    /// Data that happens to be a slash.
    Keep,
    /// A path that backends may read differently: 400.
    #[default]
    Reject,
    /// A slash; the path that was meant is matched and forwarded.
    Unescape,
    /// A slash; the client is told (307) to ask for the path that was meant.
    Redirect,
}

/// What normalising did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The path is in its one spelling; go on.
    Normal,
    /// Answer 307 with the head's path and query as location ([`EscapedSlashes::Redirect`]); gRPC gets an error instead.
    Redirect,
}

impl Default for PathPolicy {
    fn default() -> PathPolicy {
        PathPolicy { escaped_slashes: EscapedSlashes::default(), merge_slashes: true }
    }
}

/// Normalises the head's path in place. Costs one scan when there is nothing to do.
///
/// # Errors
/// 400 `path_normalization_failed` for `%` without two hex digits, `%00`, percent-encoded overlong UTF-8, escaped slashes unless told
/// otherwise, and segments that are dots or nothing but for a parameter (`/..;/`, `/;x/`). Raw backslashes, `#` and controls were refused with the head.
#[inline]
pub fn path(head: &mut RequestHead, policy: &PathPolicy) -> Result<Outcome, Reject> {
    if is_plain(head.path()) {
        return Ok(Outcome::Normal);
    }
    let mut outcome = Outcome::Normal;
    head.edit_path(|path| {
        let (len, unescaped) = decode(path, policy.escaped_slashes)?;
        if unescaped && policy.escaped_slashes == EscapedSlashes::Redirect {
            outcome = Outcome::Redirect;
        }
        if has_disguised_segment(&path[..len]) {
            return Err(FAILED);
        }
        let len = remove_dot_segments(&mut path[..len]);
        Ok(if policy.merge_slashes { merge_slashes(&mut path[..len]) } else { len })
    })?;
    Ok(outcome)
}

/// Whether a path has nothing that normalising could change.
#[inline]
fn is_plain(path: &[u8]) -> bool {
    let (mut before, mut plain) = (0, true);
    for c in path {
        plain &= *c != b'%' && !(before == b'/' && (*c == b'/' || *c == b'.' || *c == b';'));
        before = *c;
    }
    plain
}

/// Decodes what need not be encoded, in place; says the new length and whether a slash was unescaped.
fn decode(path: &mut [u8], slashes: EscapedSlashes) -> Result<(usize, bool), Reject> {
    let (mut from, mut to, mut unescaped) = (0, 0, false);
    while from < path.len() {
        let c = path[from];
        if c != b'%' {
            path[to] = c;
            (from, to) = (from + 1, to + 1);
            continue;
        }
        let value = escape(&path[from..]).ok_or(FAILED)?;
        if value == 0 || is_overlong(value, path.get(from + 3..).and_then(escape)) {
            return Err(FAILED);
        }
        match (value, slashes) {
            (b'/' | b'\\', EscapedSlashes::Reject) => return Err(FAILED),
            (b'/' | b'\\', EscapedSlashes::Unescape | EscapedSlashes::Redirect) => {
                unescaped = true;
                path[to] = b'/';
                to += 1;
            }
            (b'-' | b'.' | b'_' | b'~' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z', _) => {
                path[to] = value;
                to += 1;
            }
            _ => {
                path.copy_within(from..from + 3, to);
                to += 3;
            }
        }
        from += 3;
    }
    Ok((to, unescaped))
}

/// The value of the percent-escape that `bytes` start with.
fn escape(bytes: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = bytes else { return None };
    let digit = |c: u8| (c as char).to_digit(16);
    Some((digit(*high)? << 4 | digit(*low)?) as u8)
}

/// Whether two escaped bytes start a longer encoding than their character needs, by which separators are hidden (`%C0%AF`).
fn is_overlong(first: u8, second: Option<u8>) -> bool {
    matches!((first, second), (0xc0 | 0xc1, Some(0x80..=0xbf)) | (0xe0, Some(0x80..=0x9f)) | (0xf0, Some(0x80..=0x8f)))
}

/// Whether a segment is a dot segment, or an empty one, for those who drop parameters (RFC 3986 §3.3) before they look, as servlet
/// containers do; with the semicolon escaped some still do. An empty one at the end changes nothing that a prefix could guard.
fn has_disguised_segment(path: &[u8]) -> bool {
    let mut segments = path.split(|c| *c == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        match name_of(segment) {
            Some(b"." | b"..") => return true,
            Some(b"") if segments.peek().is_some() => return true,
            _ => {}
        }
    }
    false
}

/// What is before a segment's first parameter; `None` without one.
fn name_of(segment: &[u8]) -> Option<&[u8]> {
    let at = (0..segment.len()).find(|at| {
        let rest = &segment[*at..];
        rest[0] == b';' || rest.starts_with(b"%3b") || rest.starts_with(b"%3B")
    })?;
    segment.get(..at)
}

/// RFC 3986 §5.2.4, in place; says the new length. Empty segments count as segments.
fn remove_dot_segments(path: &mut [u8]) -> usize {
    if path.first() != Some(&b'/') {
        return path.len();
    }
    let (mut from, mut to) = (0, 0);
    while from < path.len() {
        let end = memchr::memchr(b'/', &path[from + 1..]).map_or(path.len(), |n| from + 1 + n);
        let last = end == path.len();
        match &path[from + 1..end] {
            b"." => {}
            b".." => to = memchr::memrchr(b'/', &path[..to]).unwrap_or(0),
            _ => {
                path.copy_within(from..end, to);
                to += end - from;
                from = end;
                continue;
            }
        }
        if last {
            path[to] = b'/';
            to += 1;
        }
        from = end;
    }
    to
}

fn merge_slashes(path: &mut [u8]) -> usize {
    let (mut to, mut before) = (0, 0);
    for from in 0..path.len() {
        let c = path[from];
        if c != b'/' || before != b'/' {
            path[to] = c;
            to += 1;
        }
        before = c;
    }
    to
}

const FAILED: Reject = Reject { status: 400, details: "path_normalization_failed", close: false };

#[cfg(test)]
mod tests;
