//! `fairlead check`: what is wrong with manifests, before anything serves them.

use crate::findings;
use crate::input::Input;
use crate::output::{self, count};
use anyhow::Context as _;
use fairlead_crds::Kind;
use fairlead_crds::v1alpha1::Backend;
use fairlead_store::{Change, Problem, Severity, Source, Style};
use fairlead_translate::{Settings, plan};
use serde::Serialize;
use std::collections::{BTreeSet, HashSet};
use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

/// See the module.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
What is checked: YAML syntax; types, limits and patterns of the CRDs' schemas; their CEL rules; references, ReferenceGrants, \
certificates, hostname and port conflicts, as the status conditions of the objects would tell.

Exit codes: 0 nothing is wrong, 1 there are errors, 2 wrong usage.

Examples:
  fairlead check -f manifests/
  fairlead check -f base.yaml -f overlay/ --warnings-as-errors
  kustomize build overlay/ | fairlead check -f -
  fairlead check -f manifests/ --cluster
  fairlead check -f manifests/ --output json | jq '.problems[].message'
  fairlead check -f manifests/ --output github       annotations in a GitHub workflow")]
pub struct Args {
    #[command(flatten)]
    input: Input,

    /// How to print what is found.
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    output: Format,

    /// Check for a cluster: a backend on the proxy's own machine (loopback, link-local, metadata of clouds) is an error there, which
    /// `serve` allows.
    #[arg(long)]
    cluster: bool,

    /// Exit with 1 when there are warnings.
    #[arg(long)]
    warnings_as_errors: bool,
}

/// How findings are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// With the offending lines.
    #[default]
    Text,
    /// One object: problems and summary.
    Json,
    /// GitHub workflow commands: annotations.
    Github,
}

/// What was checked and found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    problems: Vec<Problem>,
    summary: Summary,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Summary {
    objects: usize,
    files: usize,
    errors: usize,
    warnings: usize,
    /// Objects of kinds that are not read.
    ignored: usize,
    /// Backends that lead to this machine, which is no error here and would be one in a cluster.
    local: usize,
}

/// Checks and prints.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
    let change = args.input.read()?;
    let report = Report::of(change, i64::try_from(now.as_secs()).ok(), args.cluster);
    output::print(&match args.output {
        Format::Text => report.text(output::style()),
        Format::Json => output::json(&report)?,
        Format::Github => report.github(),
    })?;
    Ok(if report.failed(args.warnings_as_errors) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

impl Report {
    /// Checks everything. `now`, in seconds since 1970, is for certificates; `cluster` asks for more, see [`Args`].
    pub fn of(change: Change, now: Option<i64>, cluster: bool) -> Report {
        let Change { world, mut problems, .. } = change;
        let settings = Settings { now, anywhere: true, local_backends: !cluster, ..Settings::default() };
        let mut conditions = findings::of_plan(&world, &plan(&world, &settings));
        let schema = findings::of_schema(&world);
        // What an API server refuses anyway needs no condition.
        let place =
            |problem: &Problem| problem.place.as_ref().map(|place| (place.file.clone(), place.line, place.column));
        let refused: HashSet<_> = schema.iter().filter_map(place).collect();
        conditions.retain(|condition| place(condition).is_none_or(|place| !refused.contains(&place)));
        problems.extend(schema);
        problems.extend(conditions);
        problems.sort_by(Problem::order);
        let entries = Kind::ALL.iter().flat_map(|kind| world.entries(*kind));
        let sources: Vec<&Source> = entries.filter_map(|(_, entry)| entry.source.as_ref()).collect();
        let files: BTreeSet<&str> = sources.iter().map(|source| source.file()).collect();
        let of = |severity| problems.iter().filter(|problem| problem.severity == severity).count();
        let (errors, warnings, ignored) = (of(Severity::Error), of(Severity::Warning), of(Severity::Note));
        let local = world.all::<Backend>().iter().filter(|(_, backend)| !cluster && is_local(backend)).count();
        let summary = Summary { objects: sources.len(), files: files.len(), errors, warnings, ignored, local };
        Report { problems, summary }
    }

    /// Whether the exit code says so.
    pub fn failed(&self, warnings_as_errors: bool) -> bool {
        self.summary.errors > 0 || warnings_as_errors && self.summary.warnings > 0
    }

    /// For people: each problem with its line, then the summary.
    pub fn text(&self, style: Style) -> String {
        let mut text = String::new();
        for problem in self.problems.iter().filter(|problem| problem.severity < Severity::Note) {
            text.push_str(&problem.render(style));
            text.push('\n');
        }
        let _ = writeln!(text, "{}", self.summary);
        text
    }

    /// Annotations: <https://docs.github.com/actions/reference/workflow-commands-for-github-actions>
    pub fn github(&self) -> String {
        let mut text = String::new();
        for problem in self.problems.iter().filter(|problem| problem.severity < Severity::Note) {
            let mut place = String::new();
            if let Some(at) = &problem.place {
                let _ = write!(place, " file={}", escaped(&at.file, true));
                for (name, number) in [("line", at.line), ("col", at.column)] {
                    if number > 0 {
                        let _ = write!(place, ",{name}={number}");
                    }
                }
            }
            let _ = writeln!(text, "::{}{place}::{}", problem.severity, escaped(&problem.message, false));
        }
        let _ = writeln!(text, "{}", self.summary);
        text
    }
}

/// Whether a Backend names an address of the proxy's own machine. What a name leads to is not known here.
fn is_local(backend: &Backend) -> bool {
    let addresses = backend.spec.endpoints.iter().filter_map(|endpoint| endpoint.ip.as_ref());
    addresses.filter_map(|ip| ip.address.parse().ok()).any(fairlead_ir::is_local)
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} in {}: ", count(self.objects, "object"), count(self.files, "file"))?;
        match (self.errors, self.warnings) {
            (0, 0) => f.write_str("no problems")?,
            (errors, 0) => f.write_str(&count(errors, "error"))?,
            (0, warnings) => f.write_str(&count(warnings, "warning"))?,
            (errors, warnings) => write!(f, "{}, {}", count(errors, "error"), count(warnings, "warning"))?,
        }
        if self.ignored > 0 {
            write!(f, " ({} of other kinds ignored)", count(self.ignored, "object"))?;
        }
        if self.local > 0 {
            write!(f, " ({} on this machine, refused in a cluster: see --cluster)", count(self.local, "Backend"))?;
        }
        Ok(())
    }
}

fn escaped(text: &str, property: bool) -> String {
    let text = text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    if property { text.replace(':', "%3A").replace(',', "%2C") } else { text }
}
