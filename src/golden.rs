//! Files of expected output beside the manifests that give it, in `testdata`.
//!
//! `UPDATE_GOLDEN=1 cargo test -p fairlead` writes them; what changed is then to be looked at before it is committed.

use crate::check::Report;
use crate::{explain, output};
use clap::Parser as _;
use fairlead_store::{Files, Settings, Style};
use std::fs;
use std::path::{Path, PathBuf};

fn cases(folder: &str) -> Vec<PathBuf> {
    let mut cases: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(!cases.is_empty());
    cases
}

fn compare(path: &Path, actual: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(path, actual).unwrap();
        return;
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(actual, expected, "{} (UPDATE_GOLDEN=1 writes it)", path.display());
}

/// In 2100, when the certificates in the manifests have expired.
const LATER: i64 = 4_102_444_800;

#[test]
fn check_says_what_is_wrong() {
    for case in cases("src/testdata/check") {
        let change = Files::open(Settings::new([&case]), |_| {}).change();
        let report = Report::of(change, Some(LATER), false);
        compare(&case.join("expected.txt"), &report.text(Style::Plain));
        compare(&case.join("expected.json.txt"), &output::json(&report).unwrap());
        compare(&case.join("expected.github.txt"), &report.github());
        let clean = case.ends_with("clean");
        assert_eq!(report.failed(true), !clean, "{}", case.display());
    }
}

/// What leads to this machine is served from files, and refused in a cluster.
#[test]
fn check_for_a_cluster_refuses_backends_on_this_machine() {
    let change = || Files::open(Settings::new(["docs/examples/explain"]), |_| {}).change();
    let report = Report::of(change(), Some(0), false);
    assert!(!report.failed(true));
    let text = report.text(Style::Plain);
    assert!(
        text.ends_with(": no problems (2 Backends on this machine, refused in a cluster: see --cluster)\n"),
        "{text}"
    );
    let report = Report::of(change(), Some(0), true);
    let text = report.text(Style::Plain);
    assert!(report.failed(false) && !text.contains("see --cluster"), "{text}");
    assert!(text.contains("Backend default/old: spec.endpoints[0].ip.address: \"127.0.0.1\" leads to"), "{text}");
}

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    args: explain::Args,
}

#[test]
fn explain_says_who_takes_a_request_and_why() {
    for case in cases("src/testdata/explain") {
        let change = Files::open(Settings::new([&case]), |_| {}).change();
        assert_eq!(change.problems, []);
        let mut text = String::new();
        let mut all = Vec::new();
        for line in fs::read_to_string(case.join("requests.txt")).unwrap().lines() {
            let words = ["explain", "-f", "."].into_iter().chain(line.split(' '));
            let args = Line::parse_from(words).args;
            let answer = explain::answer(&args, &change.world).unwrap();
            text += &format!("$ explain {line}\n{}\n", explain::text(&answer, Style::Plain, &args));
            all.push(serde_json::to_value(&answer).unwrap());
        }
        compare(&case.join("expected.txt"), &text);
        compare(&case.join("expected.json.txt"), &output::json(&all).unwrap());
    }
}
