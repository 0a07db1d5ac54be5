//! Who may depend on whom.

use fairlead_test_house::workspace::{Compiled, Workspace, compiled};
use fairlead_test_house::{expect_none, licence};
use std::collections::{BTreeMap, BTreeSet};

/// The direct normal dependencies among our own crates, and no others: an arrow more is a decision, to be taken here. Names without
/// `fairlead-`. A crate may have fewer. The binary (`src/`) may have all.
const ARROWS: &[(&str, &[&str])] = &[
    // The language between the halves, and pure crates over it.
    ("ir", &[]),
    ("route", &["ir"]),
    // The request path, from the socket up.
    ("net", &[]),
    ("http", &["net"]),
    ("telemetry", &["http"]),
    ("filter", &["ir", "http", "route"]),
    ("upstream", &["ir", "net", "http", "telemetry"]),
    ("snapshot", &["ir", "net", "http", "route", "filter", "telemetry", "upstream"]),
    ("worker", &["ir", "net", "http", "route", "filter", "telemetry", "upstream", "snapshot"]),
    ("admin", &["ir", "telemetry", "snapshot"]),
    // What both halves speak to each other.
    ("wire", &["ir"]),
    // The controller side.
    ("crds", &[]),
    ("crds-generate", &["crds"]),
    ("store", &["crds"]),
    ("translate", &["crds", "ir", "store"]),
    ("watch", &["crds", "store"]),
    ("publish", &["ir", "wire"]),
    ("status", &["crds", "ir", "store", "translate", "publish"]),
    ("fleet", &["crds", "store", "translate"]),
];

/// What pure crates never see, not even through others: runtimes, protocols, the Kubernetes client. (`store` watches files, and
/// `translate` takes its World from there.)
const IMPURE: &[&str] = &["tokio", "hyper", "h2", "rustls", "kube-client", "kube-runtime", "reqwest"];
/// What proxy crates never see.
const KUBERNETES: &[&str] = &[
    "kube",
    "kube-client",
    "kube-core",
    "kube-runtime",
    "k8s-openapi",
    "fairlead-crds",
    "fairlead-store",
    "fairlead-translate",
    "fairlead-publish",
];
/// What controller crates never see.
const DATA_PLANE: &[&str] = &[
    "fairlead-net",
    "fairlead-http",
    "fairlead-filter",
    "fairlead-upstream",
    "fairlead-snapshot",
    "fairlead-worker",
    "fairlead-telemetry",
    "fairlead-admin",
];
/// One TLS and crypto provider: aws-lc-rs.
const BANNED: &[(&str, &str)] = &[
    ("ring", "a second crypto provider"),
    ("openssl", "a second TLS stack"),
    ("openssl-sys", "a second TLS stack"),
    ("native-tls", "a second TLS stack"),
    ("serde_yml", "unsound: RUSTSEC-2025-0067"),
    ("serde_yaml", "not maintained"),
];

fn ours(name: &str) -> Option<&str> {
    name.strip_prefix("fairlead-").filter(|name| !name.starts_with("test"))
}

#[test]
fn arrows_between_our_crates_are_those_of_the_design() {
    let workspace = Workspace::load();
    let arrows: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let mut violations = Vec::new();
    for package in workspace.members.values() {
        let Some(name) = ours(&package.name) else { continue };
        let Some(may) = arrows.get(name) else {
            violations.push(format!("{} is not in the table of arrows", package.name));
            continue;
        };
        let sees = package.normal_dependencies().into_iter().filter_map(ours).filter(|seen| !may.contains(seen));
        violations.extend(sees.map(|seen| format!("{name} → {seen}")));
    }
    for name in arrows.keys() {
        if !workspace.members.contains_key(&format!("fairlead-{name}")) {
            violations.push(format!("{name} is in the table of arrows and not in the workspace"));
        }
    }
    expect_none("our crates depend on each other as design.md §2 says; see ARROWS", violations);
}

#[test]
fn the_table_of_arrows_is_acyclic_and_keeps_the_halves_apart() {
    let arrows: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let mut placed: Vec<&str> = Vec::new();
    while placed.len() < arrows.len() {
        let next = arrows.iter().find(|(name, may)| !placed.contains(name) && may.iter().all(|m| placed.contains(m)));
        placed.push(next.unwrap_or_else(|| panic!("a cycle among those beside {placed:?}")).0);
    }
    for (name, may) in ARROWS {
        let controller = may.iter().any(|m| ["crds", "store", "translate", "publish"].contains(m));
        let proxy =
            may.iter().any(|m| ["net", "http", "filter", "upstream", "telemetry", "snapshot", "worker"].contains(m));
        assert!(!(controller && proxy), "only src/ sees both halves, not {name}");
    }
}

#[test]
fn ir_depends_on_serde_only() {
    let workspace = Workspace::load();
    let sees = workspace.members["fairlead-ir"].normal_dependencies().into_iter().filter(|name| *name != "serde");
    expect_none("ir depends on serde only", sees.map(str::to_string));
}

#[test]
fn translate_and_route_are_pure() {
    for package in ["fairlead-translate", "fairlead-route", "fairlead-ir"] {
        let sees = seen_by(Some(package), "normal");
        expect_none(
            &format!("{package} is pure"),
            IMPURE.iter().filter(|name| sees.contains(**name)).map(|name| trail(package, name)),
        );
    }
}

#[test]
fn proxy_crates_never_see_kubernetes_and_controller_crates_never_the_data_plane() {
    let workspace = Workspace::load();
    for (folder, never) in [("proxy/", KUBERNETES), ("controller/", DATA_PLANE), ("crds", DATA_PLANE)] {
        for package in workspace.members_in(folder) {
            let sees = seen_by(Some(&package.name), "normal");
            let rule = format!("{} is in {folder} and does not see the other half", package.name);
            expect_none(
                &rule,
                never.iter().filter(|name| sees.contains(**name)).map(|name| trail(&package.name, name)),
            );
        }
    }
}

#[test]
fn crds_are_seen_by_the_controller_side_only() {
    let workspace = Workspace::load();
    let mut violations = Vec::new();
    for package in workspace.members.values().filter(|p| p.normal_dependencies().contains("fairlead-crds")) {
        let folder = workspace.folder(package);
        let may = folder.is_empty() || ["controller/", "crds/", "tests/"].iter().any(|f| folder.starts_with(f));
        violations.extend((!may).then(|| package.name.clone()));
    }
    expect_none("crds is seen by the controller side only", violations);
}

#[test]
fn only_src_sees_both_halves() {
    let workspace = Workspace::load();
    let mut violations = Vec::new();
    for package in workspace.members.values() {
        let folder = workspace.folder(package);
        if folder.is_empty() || folder.starts_with("tests/") {
            continue;
        }
        let sees = seen_by(Some(&package.name), "normal");
        let both = DATA_PLANE.iter().any(|p| sees.contains(*p))
            && ["fairlead-store", "fairlead-translate", "fairlead-publish"].iter().any(|c| sees.contains(*c));
        violations.extend(both.then(|| package.name.clone()));
    }
    expect_none("only src/ sees both halves", violations);
}

#[test]
fn there_is_one_crypto_provider() {
    let tree = seen_by(None, "normal,build,dev");
    let banned = BANNED.iter().filter(|(name, _)| tree.contains(*name));
    expect_none("banned crates", banned.map(|(name, why)| format!("{name}: {why} (cargo tree -i {name})")));
}

/// Licences that a binary under Apache-2.0 may hold.
const LICENCES: &[&str] = &[
    "Apache-2.0",
    "MIT",
    "MIT-0",
    "ISC",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "Zlib",
    "0BSD",
    "BSL-1.0",
    "CC0-1.0",
    "Unlicense",
    "Unicode-3.0",
    "CDLA-Permissive-2.0",
    "Apache-2.0 WITH LLVM-exception",
];

/// Crates under other licences.
const LICENCE_EXCEPTIONS: &[(&str, &str)] = &[
    ("imbl", "MPL-2.0: copyleft by file; used as it is, so that nothing of ours falls under it"),
    ("imbl-sized-chunks", "as imbl"),
];

#[test]
fn licences_are_permissive() {
    let mut violations = Vec::new();
    let mut needed = BTreeSet::new();
    for Compiled { name, version, license } in compiled(None, "normal,build,dev") {
        if !licence::allowed(&license, LICENCES) {
            if LICENCE_EXCEPTIONS.iter().any(|(exception, _)| *exception == name) {
                needed.insert(name);
            } else {
                violations.push(format!("{name} {version}: {license:?}"));
            }
        }
    }
    let stale = LICENCE_EXCEPTIONS.iter().filter(|(name, _)| !needed.contains(*name));
    violations.extend(stale.map(|(name, _)| format!("the exception for {name} is not needed any more")));
    expect_none("licences; see LICENCES", violations);
}

/// Crates that are compiled in several versions into what we ship, and why that can't be helped.
const DUPLICATES: &[(&str, &str)] = &[
    ("base64", "k8s-openapi 0.29 is at 0.22, serde-saphyr 2 at 0.23"),
    ("getrandom", "kube-runtime 5 is at 0.3, others at 0.4"),
    ("hashbrown", "kube-runtime 5 is at 0.16, we at 0.17"),
    ("rand_core", "imbl 7 is at 0.9, hickory-resolver 0.26 at 0.10"),
    ("untrusted", "aws-lc-rs' interface for x509-parser is at 0.7, webpki at 0.9"),
];

#[test]
fn no_crate_comes_in_two_versions_without_a_reason() {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for Compiled { name, version, .. } in compiled(Some("fairlead"), "normal,no-proc-macro") {
        versions.entry(name).or_default().insert(version);
    }
    versions.retain(|_, versions| versions.len() > 1);
    let known: BTreeSet<&str> = DUPLICATES.iter().map(|(name, _)| *name).collect();
    let new = versions
        .iter()
        .filter(|(name, _)| !known.contains(name.as_str()))
        .map(|(name, versions)| format!("{name} {versions:?}"));
    let stale =
        known.iter().filter(|name| !versions.contains_key(**name)).map(|name| format!("{name} has one version now"));
    expect_none("duplicate versions; see DUPLICATES", new.chain(stale));
}

#[test]
fn members_take_versions_and_lints_from_the_root() {
    let workspace = Workspace::load();
    let mut violations = Vec::new();
    for package in workspace.members.values() {
        let text = std::fs::read_to_string(&package.manifest_path).unwrap();
        let at = |line: usize| format!("{}:{}", workspace.relative(&package.manifest_path), line + 1);
        let root = workspace.folder(package).is_empty();
        let mut section = "";
        for (number, line) in text.lines().enumerate() {
            if let Some(name) = line.strip_prefix('[') {
                section = name.trim_end_matches(']');
            } else if section.ends_with("dependencies")
                && !section.starts_with("workspace")
                && line.contains('=')
                && !line.contains("workspace = true")
            {
                violations
                    .push(format!("{}: {line}: versions stand in the root's [workspace.dependencies]", at(number)));
            }
        }
        if !root && !text.contains("[lints]\nworkspace = true") {
            violations.push(format!("{}: lacks `[lints] workspace = true`", at(0)));
        }
        if package.license.as_deref() != Some("Apache-2.0") {
            violations.push(format!("{}: licence {:?}", at(0), package.license));
        }
    }
    expect_none("manifests of members", violations);
}

/// Names of what is compiled for a package; see [`compiled`].
fn seen_by(package: Option<&str>, edges: &str) -> BTreeSet<String> {
    compiled(package, edges).into_iter().map(|package| package.name).collect()
}

fn trail(package: &str, name: &str) -> String {
    format!("{package} sees {name} (cargo tree -p {package} -e normal -i {name})")
}
