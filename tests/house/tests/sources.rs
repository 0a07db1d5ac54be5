//! What sources may hold.

use fairlead_test_house::expect_none;
use fairlead_test_house::rust::{Crate, Finding, What};
use fairlead_test_house::workspace::{Package, Workspace};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Lines of a full file; longer ones are two.
const FULL: usize = 600;
/// Longer files, and why.
const LONG: &[(&str, &str)] = &[];
/// Lines of a crate's opening words.
const OPENING: usize = 20;

static WORKSPACE: LazyLock<Workspace> = LazyLock::new(Workspace::load);

/// Every member with its crates: library, binaries, build script.
static CRATES: LazyLock<Vec<(&'static Package, Vec<Crate>)>> = LazyLock::new(|| {
    let crates = |package: &Package| {
        let ours = package
            .targets
            .iter()
            .filter(|t| t.kind.iter().any(|k| ["lib", "bin", "custom-build", "proc-macro"].contains(&k.as_str())));
        ours.map(|target| Crate::read(&target.src_path)).collect()
    };
    WORKSPACE.members.values().map(|package| (package, crates(package))).collect()
});

/// What was found in the product's code: not in tests, nor in crates that exist for tests.
fn findings() -> impl Iterator<Item = (String, &'static Finding)> {
    CRATES
        .iter()
        .map(|(package, crates)| (WORKSPACE.folder(package), crates))
        .filter(|(folder, _)| !folder.starts_with("tests/"))
        .flat_map(|(folder, crates)| {
            crates.iter().flat_map(|krate| &krate.findings).map(move |finding| (folder.clone(), finding))
        })
}

fn place(finding: &Finding) -> String {
    format!("{}:{}", WORKSPACE.relative(&finding.file), finding.line)
}

/// A scan that sees nothing would find nothing wrong.
#[test]
fn the_scan_sees_the_product() {
    for folder in ["proxy/net", "proxy/telemetry", "controller/translate", "crds", ""] {
        assert!(
            findings().any(|(of, finding)| of == folder && matches!(finding.what, What::Name { .. })),
            "nothing in `{folder}`"
        );
    }
    assert!(findings().any(|(of, finding)| of == "proxy/telemetry" && finding.what == What::Clock));
    assert!(CRATES.iter().any(|(_, crates)| crates.iter().any(|krate| krate.files.iter().any(|(_, test)| *test))));
}

#[test]
fn every_source_can_be_read() {
    expect_none(
        "sources that can't be read",
        CRATES.iter().flat_map(|(_, crates)| crates).flat_map(|krate| krate.problems.clone()),
    );
}

#[test]
fn unsafe_stands_in_proxy_net_only() {
    let found = findings().filter(|(folder, finding)| finding.what == What::Unsafe && folder != "proxy/net");
    expect_none("unsafe outside of proxy/net", found.map(|(_, finding)| place(finding)));
}

#[test]
fn nothing_panics_on_purpose_outside_of_tests() {
    let found = findings().filter_map(|(_, finding)| match &finding.what {
        What::Unwrap(name) => Some(format!("{}: .{name}()", place(finding))),
        _ => None,
    });
    // What a feature `testing` gives to the tests of others is a test.
    let found = found.filter(|found| !found.contains("/src/testing/"));
    expect_none("no unwrap or expect outside of tests", found);
}

#[test]
fn pure_crates_read_no_clock_and_do_nothing() {
    let pure = ["proxy/ir", "proxy/route", "controller/translate"];
    let found = findings().filter(|(folder, _)| pure.contains(&folder.as_str())).filter_map(|(_, finding)| {
        match &finding.what {
            What::Clock => Some(format!("{}: reads a clock", place(finding))),
            What::Effect(path) => Some(format!("{}: {path}", place(finding))),
            _ => None,
        }
    });
    expect_none("ir, route and translate are pure", found);
}

#[test]
fn names_are_the_fields() {
    const ENDINGS: [&str; 6] = ["Manager", "Helper", "Helpers", "Util", "Utils", "Impl"];
    const MODULES: [&str; 6] = ["util", "utils", "helper", "helpers", "common", "misc"];
    let found = findings().filter_map(|(_, finding)| match &finding.what {
        What::Name { kind, name } => {
            let bad = match kind.as_str() {
                "mod" => MODULES.contains(&name.as_str()),
                "getter" => name.starts_with("get_"),
                "fn" => false,
                _ => ENDINGS.iter().any(|ending| name.ends_with(ending)),
            };
            bad.then(|| format!("{}: {kind} {name}", place(finding)))
        }
        _ => None,
    });
    expect_none("names: no Manager, Helper, Util, Impl, Common; no get_", found);
}

#[test]
fn files_are_not_too_long() {
    let mut violations = Vec::new();
    let mut needed = Vec::new();
    for (path, text) in rust_files() {
        let (lines, name) = (text.lines().count(), WORKSPACE.relative(&path).to_string());
        if lines > FULL {
            match LONG.iter().find(|(long, _)| *long == name) {
                Some((long, _)) => needed.push(*long),
                None => violations.push(format!("{name}: {lines} lines")),
            }
        }
    }
    let stale = LONG.iter().filter(|(name, _)| !needed.contains(name));
    violations.extend(stale.map(|(name, _)| format!("{name} is not so long any more: take it out of LONG")));
    expect_none("at most 600 lines; see LONG", violations);
}

#[test]
fn crates_open_with_what_they_are() {
    let mut violations = Vec::new();
    for (package, _) in CRATES.iter() {
        for target in &package.targets {
            if !target.kind.iter().any(|kind| kind == "lib" || kind == "bin") {
                continue;
            }
            let text = std::fs::read_to_string(&target.src_path).unwrap();
            let opening = text.lines().take_while(|line| line.starts_with("//!")).count();
            let name = WORKSPACE.relative(&target.src_path);
            match opening {
                0 => violations.push(format!("{name}:1: no module documentation")),
                n if n > OPENING => violations.push(format!("{name}:1: {n} lines of opening words")),
                _ => {}
            }
        }
    }
    expect_none("a crate opens with at most 20 lines on what it is", violations);
}

#[test]
fn every_file_belongs_to_a_crate() {
    let known: Vec<&Path> =
        CRATES.iter().flat_map(|(_, crates)| crates).flat_map(|k| &k.files).map(|(path, _)| path.as_path()).collect();
    let members: Vec<PathBuf> =
        WORKSPACE.members.values().filter_map(|p| Some(p.manifest_path.parent()?.join("src"))).collect();
    let lost = rust_files()
        .into_iter()
        .filter(|(path, _)| members.iter().any(|dir| path.starts_with(dir)) && !known.contains(&path.as_path()));
    expect_none("files that no `mod` names", lost.map(|(path, _)| WORKSPACE.relative(&path).to_string()));
}

fn rust_files() -> Vec<(PathBuf, String)> {
    WORKSPACE.texts().into_iter().filter(|(path, _)| path.extension().is_some_and(|e| e == "rs")).collect()
}
