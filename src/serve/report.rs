//! What is printed on stdout: the tables at the start, a line per change, problems as they come and go.

use crate::findings;
use crate::output::{Format, Paint, count};
use crate::table;
use crate::view::View;
use fairlead_crds::Kind;
use fairlead_ir::{Bind, ResourceId};
use fairlead_store::{Key, Problem, Severity, Style};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

/// Prints events.
pub struct Reporter {
    format: Format,
    style: Style,
    /// Problems of files that were printed.
    known: Vec<Problem>,
    print: Print,
}

/// Where text goes: [`crate::output::print`].
pub type Print = Box<dyn FnMut(&str) -> std::io::Result<()> + Send>;

/// What happened.
pub struct Event<'a> {
    pub event: &'static str,
    /// Of the configuration that is served.
    pub version: u64,
    pub changed: &'a [(Kind, Key)],
    pub upserts: usize,
    pub removals: usize,
    /// What the proxy could not take in; text tells of it in the findings.
    pub rejected: &'a [(ResourceId, String)],
    /// Of the files: all that there are.
    pub problems: &'a [Problem],
    /// Of the objects: those that are new.
    pub findings: &'a [Problem],
    /// Of the objects: those that were told and are no more.
    pub over: &'a [Problem],
    pub took: Duration,
    pub view: Option<&'a View>,
    pub admin: Option<SocketAddr>,
}

/// So many problems are printed at a time; `check` has them all.
const MAX_PROBLEMS: usize = 20;
/// So many objects are named in a line.
const MAX_NAMES: usize = 3;

impl Reporter {
    /// Nothing was printed yet.
    pub fn new(format: Format, style: Style, print: Print) -> Reporter {
        Reporter { format, style, known: Vec::new(), print }
    }

    /// At the start.
    pub fn begin(&mut self, event: &Event<'_>) -> anyhow::Result<()> {
        if self.format == Format::Json {
            return self.line(event);
        }
        let mut text = String::new();
        if let Some(view) = event.view {
            text.push_str(&table::render(view, self.style));
            text.push('\n');
        }
        self.problems(&mut text, event);
        let paint = Paint(self.style);
        let admin = event.admin.map(|address| format!(", admin interface on http://{address}")).unwrap_or_default();
        let resources = count(event.upserts, "resource");
        let _ = writeln!(text, "{} {resources} after {}{admin}", paint.bold("serving"), duration(event.took));
        (self.print)(&text).map_err(Into::into)
    }

    /// At each change.
    pub fn change(&mut self, event: &Event<'_>) -> anyhow::Result<()> {
        if self.format == Format::Json {
            return self.line(event);
        }
        let mut text = String::new();
        let paint = Paint(self.style);
        if !event.changed.is_empty() {
            let what = match (event.upserts, event.removals) {
                (0, 0) => "nothing to serve differently".to_owned(),
                (n, 0) => format!("{} pushed, version {}", count(n, "resource"), event.version),
                (0, n) => format!("{} removed, version {}", count(n, "resource"), event.version),
                (n, m) => format!("{} pushed, {m} removed, version {}", count(n, "resource"), event.version),
            };
            let _ = writeln!(
                text,
                "{} {}: {what} in {}",
                paint.bold("changed"),
                names(event.changed),
                duration(event.took)
            );
        }
        self.problems(&mut text, event);
        (self.print)(&text).map_err(Into::into)
    }

    /// Ports that could be taken after all.
    pub fn recovered(&mut self, binds: &[Bind]) -> anyhow::Result<()> {
        for bind in binds {
            let line = match self.format {
                Format::Json => {
                    format!("{}\n", json!({"event": "listening", "port": bind.port, "address": bind.address}))
                }
                Format::Text => format!("{} on port {}\n", Paint(self.style).bold("listening"), bind.port),
            };
            (self.print)(&line)?;
        }
        Ok(())
    }

    /// Problems of files that are new or over, and findings.
    fn problems(&mut self, text: &mut String, event: &Event<'_>) {
        let paint = Paint(self.style);
        let shown = |problem: &&Problem| problem.severity < Severity::Note;
        let new = event.problems.iter().filter(|problem| !self.known.contains(problem)).filter(shown);
        let all: Vec<&Problem> = new.chain(event.findings).collect();
        for problem in all.iter().take(MAX_PROBLEMS) {
            text.push_str(&problem.render(self.style));
        }
        if all.len() > MAX_PROBLEMS {
            let _ = writeln!(text, "… and {}; see `fairlead check`", count(all.len() - MAX_PROBLEMS, "more problem"));
        }
        let over = self
            .known
            .iter()
            .filter(shown)
            .filter(|known| !event.problems.iter().any(|problem| problem.same_as(known)));
        for problem in over.chain(event.over).take(MAX_PROBLEMS) {
            let _ = writeln!(text, "{} {problem}", paint.good("solved"));
        }
        self.known = event.problems.to_vec();
    }

    fn line(&mut self, event: &Event<'_>) -> anyhow::Result<()> {
        let mut line = json!({
            "event": event.event,
            "version": event.version,
            "changed": event.changed.iter().map(|(kind, key)| format!("{kind} {key}")).collect::<Vec<_>>(),
            "upserts": event.upserts,
            "removals": event.removals,
            "milliseconds": event.took.as_secs_f64() * 1000.0,
            "problems": event.problems.iter().chain(event.findings).collect::<Vec<_>>(),
            "solved": event.over,
            "rejected": event.rejected.iter().map(|(id, why)| json!({"resource": findings::resource(id), "reason": why})).collect::<Vec<_>>(),
        });
        if let (Some(view), Some(object)) = (event.view, line.as_object_mut()) {
            object.insert("listeners".to_owned(), serde_json::to_value(&view.listeners)?);
            object.insert("routes".to_owned(), serde_json::to_value(&view.routes)?);
            object.insert("admin".to_owned(), event.admin.map_or(Value::Null, |address| address.to_string().into()));
        }
        (self.print)(&format!("{line}\n")).map_err(Into::into)
    }
}

fn names(changed: &[(Kind, Key)]) -> String {
    let mut text =
        changed.iter().take(MAX_NAMES).map(|(kind, key)| format!("{kind} {key}")).collect::<Vec<_>>().join(", ");
    if changed.len() > MAX_NAMES {
        let _ = write!(text, " and {}", count(changed.len() - MAX_NAMES, "other"));
    }
    text
}

fn duration(took: Duration) -> String {
    let ms = took.as_secs_f64() * 1000.0;
    if ms < 10.0 {
        format!("{ms:.1} ms")
    } else if ms < 10_000.0 {
        format!("{ms:.0} ms")
    } else {
        format!("{:.1} s", ms / 1000.0)
    }
}
