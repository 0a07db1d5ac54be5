//! What is wrong with the input, and where.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use fairlead_crds::Kind;
use serde::Serialize;
use unicode_width::UnicodeWidthStr as _;

use crate::Key;

/// Something that is wrong with the input. `Display` gives one line, `file:line:column: error: message`;
/// [`render`](Problem::render) adds the offending line, notes and help.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// What sort of problem it is.
    pub code: Code,
    /// What is wrong, in one line and without the place.
    pub message: String,
    /// Where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// Kind and key of the object that has the problem, when they are known.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "object")]
    pub object: Option<(Kind, Key)>,
    /// What else belongs to it, possibly elsewhere.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// Something is left out or used in an older version because of it.
    Error,
    /// Everything is used; something is probably not meant so.
    Warning,
    /// Worth knowing when one asks.
    Note,
}

/// What sort of problem it is; stable, for machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// A file or directory can't be read, or is not there.
    Unreadable,
    /// There is no manifest in a directory.
    Empty,
    /// A file is larger than the limit.
    TooLarge,
    /// A file is not UTF-8.
    Encoding,
    /// Not YAML, or beyond the limits that keep it harmless.
    Syntax,
    /// A document is not an object with apiVersion, kind and metadata.name.
    NotAnObject,
    /// A kind that is not read.
    UnknownKind,
    /// An object of the same kind and name exists already.
    Duplicate,
    /// A value has the wrong type or a required field is missing.
    WrongType,
    /// The schema or a validation rule of the object's CRD refuses it.
    Invalid,
    /// A status condition says that something of the object is not in force.
    Condition,
}

/// A place in a file, with the text that stands there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// The file's path, as it was given or found below the given directory.
    pub file: Arc<str>,
    /// From 1; 0: the file as a whole.
    pub line: u32,
    /// In characters, from 1; 0: the line as a whole.
    pub column: u32,
    /// Number of characters that are meant; 0: unknown.
    pub length: u32,
    /// The line's text, shortened around the column when it is very long.
    #[serde(skip)]
    pub text: Option<Arc<str>>,
}

/// Something that belongs to a problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// What.
    pub message: String,
    /// Where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

/// Whether a rendered problem has colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// ASCII.
    #[default]
    Plain,
    /// ANSI colours, for a terminal.
    Coloured,
}

impl Problem {
    /// An error without a place.
    pub fn error(code: Code, message: impl Into<String>) -> Self {
        Problem::new(Severity::Error, code, message)
    }

    /// A problem of a severity, without a place.
    pub fn new(severity: Severity, code: Code, message: impl Into<String>) -> Self {
        Problem { severity, code, message: message.into(), place: None, object: None, notes: Vec::new(), help: None }
    }

    /// Says where.
    #[must_use]
    pub fn at(mut self, place: impl Into<Option<Place>>) -> Self {
        self.place = place.into();
        self
    }

    /// Says which object has it.
    #[must_use]
    pub fn of(mut self, kind: Kind, key: Key) -> Self {
        self.object = Some((kind, key));
        self
    }

    /// Adds a note.
    #[must_use]
    pub fn note(mut self, message: impl Into<String>, place: impl Into<Option<Place>>) -> Self {
        self.notes.push(Note { message: message.into(), place: place.into() });
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// By file, line and column; those without a place first.
    pub fn order(&self, other: &Self) -> std::cmp::Ordering {
        let place = |problem: &Self| problem.place.as_ref().map(|place| (place.file.clone(), place.line, place.column));
        place(self)
            .cmp(&place(other))
            .then(self.severity.cmp(&other.severity))
            .then_with(|| self.message.cmp(&other.message))
    }

    /// Whether it is the same problem, possibly on another line by now.
    pub fn same_as(&self, other: &Self) -> bool {
        let file = |problem: &Self| problem.place.as_ref().map(|place| place.file.clone());
        self.code == other.code && self.message == other.message && file(self) == file(other)
    }

    /// The problem over several lines, ending with a line break:
    ///
    /// ```text
    /// shop/routes.yaml:12:15: error: port: expected an integer, found "eighty"
    ///    |
    /// 12 |         port: eighty
    ///    |               ^^^^^^
    ///    = help: give the port's number
    /// ```
    pub fn render(&self, style: Style) -> String {
        let paint = Paint(style);
        let mut out = String::new();
        if let Some(place) = &self.place {
            let _ = write!(out, "{}: ", paint.bold(place));
        }
        let _ = writeln!(out, "{}: {}", paint.severity(self.severity), paint.bold(&self.message));
        let notes = self.notes.iter().filter_map(|note| note.place.as_ref());
        let width =
            self.place.iter().chain(notes).map(|place| place.line).max().unwrap_or(0).max(1).ilog10() as usize + 1;
        if let Some(place) = &self.place {
            place.snippet(&mut out, width, paint, self.severity);
        }
        for note in &self.notes {
            let bar = paint.frame("=");
            match &note.place {
                Some(place) => {
                    let _ = writeln!(out, "{:width$} {bar} note: {place}: {}", "", note.message);
                    place.snippet(&mut out, width, paint, Severity::Note);
                }
                None => {
                    let _ = writeln!(out, "{:width$} {bar} note: {}", "", note.message);
                }
            }
        }
        if let Some(help) = &self.help {
            let _ = writeln!(out, "{:width$} {} help: {help}", "", paint.frame("="));
        }
        out
    }
}

/// `file:line:column: error: message`.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        write!(f, "{}: {}", self.severity, self.message)
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        })
    }
}

/// `file:line:column`, without what is not known.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
            if self.column > 0 {
                write!(f, ":{}", self.column)?;
            }
        }
        Ok(())
    }
}

impl Place {
    /// A file as a whole.
    pub fn file(file: impl Into<Arc<str>>) -> Self {
        Place { file: file.into(), line: 0, column: 0, length: 0, text: None }
    }

    /// A place in a text of which `line` is known (from 1), `column` (from 1) and the number of characters meant.
    pub fn within(file: Arc<str>, text: &str, line: u32, column: u32, length: u32) -> Self {
        let text = text.lines().nth(line.saturating_sub(1) as usize);
        Place { file, line, column, length, text: text.map(Arc::from) }
    }

    fn snippet(&self, out: &mut String, width: usize, paint: Paint, severity: Severity) {
        let Some(text) = &self.text else { return };
        let column = self.column.saturating_sub(1) as usize;
        let (text, column) = window(text, column);
        let before: String = text.chars().take(column).collect();
        let meant: String = text.chars().skip(column).take(self.length.max(1) as usize).collect();
        let (line, bar, number) = (self.line, paint.frame("|"), paint.frame(&format!("{:>width$}", self.line)));
        debug_assert!(line > 0);
        let _ = writeln!(out, "{:width$} {bar}", "");
        let _ = writeln!(out, "{number} {bar} {text}");
        if self.column > 0 {
            let carets = "^".repeat(meant.width().max(1));
            let _ = writeln!(out, "{:width$} {bar} {:2$}{3}", "", "", before.width(), paint.caret(severity, &carets));
        }
    }
}

/// A part of a line of at most [`LONGEST`] characters around a column, tabs made visible as one space, and the column in it.
fn window(text: &str, column: usize) -> (String, usize) {
    let count = text.chars().count();
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    if count <= LONGEST {
        return (text.chars().map(printable).collect(), column);
    }
    let from = column.saturating_sub(LONGEST / 2);
    let part: String = text.chars().skip(from).take(LONGEST).map(printable).collect();
    let head = if from > 0 { "…" } else { "" };
    let tail = if from + LONGEST < count { "…" } else { "" };
    (format!("{head}{part}{tail}"), column - from + usize::from(from > 0))
}

const LONGEST: usize = 140;

/// Colours, or none.
#[derive(Clone, Copy)]
struct Paint(Style);

impl Paint {
    fn with(self, code: &str, text: impl fmt::Display) -> String {
        match self.0 {
            Style::Plain => text.to_string(),
            Style::Coloured => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }

    fn bold(self, text: impl fmt::Display) -> String {
        self.with("1", text)
    }

    fn frame(self, text: &str) -> String {
        self.with("1;34", text)
    }

    fn severity(self, severity: Severity) -> String {
        self.with(code(severity), severity)
    }

    fn caret(self, severity: Severity, text: &str) -> String {
        self.with(code(severity), text)
    }
}

fn code(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "1;31",
        Severity::Warning => "1;33",
        Severity::Note => "1;36",
    }
}

fn object<S: serde::Serializer>(object: &Option<(Kind, Key)>, serializer: S) -> Result<S::Ok, S::Error> {
    let text = object.as_ref().map(|(kind, key)| format!("{kind}/{key}"));
    text.serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(line: u32, column: u32, length: u32, text: &str) -> Place {
        Place { file: "a.yaml".into(), line, column, length, text: Some(text.into()) }
    }

    #[test]
    fn renders_the_line_the_notes_and_the_help() {
        let problem = Problem::error(Code::Duplicate, "Gateway shop/web exists already")
            .at(place(112, 9, 3, "  name: web"))
            .note("first defined here", Place { file: "b.yaml".into(), ..place(3, 1, 0, "kind: Gateway") })
            .help("rename one of them");
        let expected = "\
a.yaml:112:9: error: Gateway shop/web exists already
    |
112 |   name: web
    |         ^^^
    = note: b.yaml:3:1: first defined here
    |
  3 | kind: Gateway
    | ^
    = help: rename one of them
";
        assert_eq!(problem.render(Style::Plain), expected);
        assert!(problem.render(Style::Coloured).contains("\x1b[1;31merror\x1b[0m"));
        assert_eq!(problem.to_string(), "a.yaml:112:9: error: Gateway shop/web exists already");
    }

    #[test]
    fn carets_stand_below_wide_characters_and_in_long_lines() {
        let text = problem_text(place(1, 8, 2, "名前: {ab}"));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[2].width(), "1 | 名前: {ab}".width());
        assert_eq!(lines[3].find('^'), Some("  | ".len() + "名前: {ab".width()));
        let long = format!("{}X{}", "a".repeat(500), "b".repeat(500));
        let text = problem_text(place(1, 501, 1, &long));
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[2].chars().count() < 150);
        let at = lines[3].chars().position(|c| c == '^').unwrap();
        assert_eq!(lines[2].chars().nth(at), Some('X'));
    }

    fn problem_text(place: Place) -> String {
        Problem::error(Code::Syntax, "bad").at(place).render(Style::Plain)
    }
}
