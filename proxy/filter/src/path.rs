//! New paths, for redirects and rewrites.
//!
//! Whatever comes out begins with one `/` and not with two: a path that begins with `//` is a reference to another host. A new path
//! that brings a query of its own replaces the old query; otherwise that stays.

use crate::{Problem, check};
use fairlead_ir::PathRewrite;
use regex::bytes::{Captures, Regex, RegexBuilder};
use smallvec::SmallVec;

/// A path in the making; on the stack unless it is long.
pub(crate) type PathBuffer = SmallVec<[u8; 256]>;

/// How a path changes.
#[derive(Debug)]
pub(crate) enum PathChange {
    /// To this one.
    Full(Box<str>),
    /// The prefix that the route's match took becomes this; without trailing `/`.
    Prefix(Box<str>),
    /// All matches of a regular expression are replaced.
    Regex(Box<Substitution>),
}

/// A regular expression and what its matches become.
#[derive(Debug)]
pub(crate) struct Substitution {
    regex: Regex,
    parts: Box<[Part]>,
}

/// Literal text, or a group of the match.
#[derive(Debug)]
enum Part {
    Text(Box<[u8]>),
    Group(usize),
}

impl PathChange {
    pub(crate) fn compile(source: &PathRewrite) -> Result<Self, Problem> {
        Ok(match source {
            PathRewrite::Full(path) => {
                check::path("path", path)?;
                PathChange::Full(rooted(path).into())
            }
            PathRewrite::Prefix(prefix) => {
                check::path("path", prefix)?;
                let prefix = prefix.trim_end_matches('/');
                PathChange::Prefix(if prefix.is_empty() { "".into() } else { rooted(prefix).into() })
            }
            PathRewrite::Regex { pattern, substitution } => {
                PathChange::Regex(Box::new(Substitution::compile(pattern, substitution)?))
            }
        })
    }

    /// The new path, in `new`; false when it stays as it is: the regular expression does not match, or there is no prefix to replace.
    pub(crate) fn apply(&self, path: &[u8], prefix_len: Option<usize>, new: &mut PathBuffer) -> bool {
        new.clear();
        let changed = match self {
            PathChange::Full(full) => {
                new.extend_from_slice(full.as_bytes());
                true
            }
            PathChange::Prefix(replacement) => replace_prefix(path, prefix_len, replacement.as_bytes(), new),
            PathChange::Regex(substitution) => substitution.apply(path, new),
        };
        if changed {
            root(new);
        }
        changed
    }
}

/// By whole segments; see the table at the specification's `replacePrefixMatch`.
fn replace_prefix(path: &[u8], prefix_len: Option<usize>, replacement: &[u8], new: &mut PathBuffer) -> bool {
    // Where no segment ends, the path is no longer the one that was matched.
    let rest = prefix_len.and_then(|len| path.get(len..)).filter(|rest| rest.first().is_none_or(|b| *b == b'/'));
    let Some(rest) = rest else { return false };
    new.extend_from_slice(replacement);
    new.extend_from_slice(rest);
    true
}

impl Substitution {
    /// `\0` to `\9` are groups, `\\` is a backslash, as in Envoy's `regex_rewrite`.
    fn compile(pattern: &str, substitution: &str) -> Result<Self, Problem> {
        let regex = regex(pattern)?;
        let wrong = |message: String| Problem::new("path.substitution", message);
        let mut parts = Vec::new();
        let mut text = Vec::new();
        let mut characters = substitution.chars();
        while let Some(character) = characters.next() {
            if character != '\\' {
                text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            match characters.next() {
                Some('\\') => text.push(b'\\'),
                Some(digit @ '0'..='9') => {
                    let group = digit as usize - '0' as usize;
                    if group >= regex.captures_len() {
                        return Err(wrong(format!(
                            "`\\{group}` is beyond the {} groups of the pattern",
                            regex.captures_len() - 1
                        )));
                    }
                    if !text.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut text).into()));
                    }
                    parts.push(Part::Group(group));
                }
                _ => return Err(wrong("a `\\` needs a digit or another `\\` behind it".to_owned())),
            }
        }
        parts.push(Part::Text(text.into()));
        let clean: String = substitution.replace('\\', "");
        check::path("path.substitution", &clean)?;
        Ok(Substitution { regex, parts: parts.into() })
    }

    fn apply(&self, path: &[u8], new: &mut PathBuffer) -> bool {
        let mut copied = 0;
        let mut changed = false;
        for captures in self.regex.captures_iter(path) {
            let Some(whole) = captures.get(0) else { continue };
            new.extend_from_slice(&path[copied..whole.start()]);
            self.expand(&captures, new);
            copied = whole.end();
            changed = true;
        }
        new.extend_from_slice(&path[copied..]);
        changed
    }

    fn expand(&self, captures: &Captures<'_>, new: &mut PathBuffer) {
        for part in &self.parts {
            match part {
                Part::Text(text) => new.extend_from_slice(text),
                Part::Group(group) => new.extend_from_slice(captures.get(*group).map_or(b"", |g| g.as_bytes())),
            }
        }
    }
}

/// With the classes that route patterns have: ASCII, unless the pattern names Unicode.
fn regex(pattern: &str) -> Result<Regex, Problem> {
    let builder = |unicode| RegexBuilder::new(pattern).unicode(unicode).size_limit(256 * 1024).nest_limit(100).build();
    let wrong = |error: regex::Error| {
        let error = error.to_string();
        let last = error.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        Problem::new("path.pattern", format!("invalid regular expression: {last}"))
    };
    builder(false).or_else(|_| builder(true)).map_err(wrong)
}

fn rooted(path: &str) -> String {
    format!("/{}", path.trim_start_matches('/'))
}

/// Makes the path begin with exactly one `/`.
fn root(path: &mut PathBuffer) {
    let slashes = path.iter().take_while(|b| **b == b'/').count();
    match slashes {
        0 => path.insert(0, b'/'),
        1 => {}
        more => drop(path.drain(..more - 1)),
    }
}

#[cfg(test)]
mod tests;
