//! What texts may say.

use fairlead_test_house::expect_none;
use fairlead_test_house::links::{anchors, links};
use fairlead_test_house::workspace::Workspace;
use std::path::{Component, Path, PathBuf};

#[test]
fn links_lead_somewhere() {
    let workspace = Workspace::load();
    let texts = workspace.texts();
    let mut violations = Vec::new();
    for (path, text) in texts.iter().filter(|(path, _)| is_markdown(path)) {
        for (line, link) in links(text) {
            let (target, anchor) =
                link.split_once('#').map_or((link.as_str(), None), |(target, anchor)| (target, Some(anchor)));
            let file = if target.is_empty() { path.clone() } else { resolve(path, target) };
            let at = format!("{}:{line}: {link}", workspace.relative(path));
            if !file.exists() {
                violations.push(format!("{at}: no such file"));
            } else if let Some(anchor) = anchor.filter(|_| is_markdown(&file)) {
                let text = texts.iter().find(|(path, _)| *path == file).map_or("", |(_, text)| text.as_str());
                if !anchors(text).iter().any(|a| a == anchor) {
                    violations.push(format!("{at}: no such heading"));
                }
            }
        }
    }
    expect_none("links of Markdown files", violations);
}

fn is_markdown(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "md")
}

/// A link relative to the file that it stands in.
fn resolve(from: &Path, target: &str) -> PathBuf {
    let mut path = from.parent().unwrap_or(from).to_path_buf();
    for part in Path::new(target.trim_end_matches('/')).components() {
        match part {
            Component::ParentDir => _ = path.pop(),
            Component::CurDir => {}
            part => path.push(part),
        }
    }
    path
}

/// Folders of whoever's machine: what is checked in works anywhere.
fn machine_paths() -> Vec<String> {
    ["work", "tmp", "root", "home", "Users"].iter().map(|folder| format!("/{folder}/")).collect()
}

/// Files that may name such a folder, and why.
const EXCEPTIONS: &[(&str, &str)] = &[];

#[test]
fn texts_name_no_folder_of_a_machine() {
    let workspace = Workspace::load();
    let paths = machine_paths();
    let mut violations = Vec::new();
    for (path, text) in workspace.texts() {
        let name = workspace.relative(&path).to_string();
        if EXCEPTIONS.iter().any(|(file, _)| *file == name) {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            violations
                .extend(paths.iter().filter(|p| names_folder(line, p)).map(|p| format!("{name}:{}: {p}", number + 1)));
        }
    }
    expect_none("absolute paths of a machine", violations);
}

/// Whether an absolute path begins in the line with this folder; within a longer path or URL it may stand.
fn names_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder)
        .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-/}$*".contains(c)))
}

#[test]
fn a_folder_of_a_machine_is_told_from_a_part_of_a_path() {
    let folder = machine_paths().swap_remove(1);
    for line in [format!("cd {folder}x"), format!("\"{folder}x\""), format!("{folder}x"), format!("a={folder}b")] {
        assert!(names_folder(&line, &folder), "{line}");
    }
    for line in [format!("https://example.com{folder}x"), format!("$DIR{folder}x"), format!("a{folder}x"), "no".into()]
    {
        assert!(!names_folder(&line, &folder), "{line}");
    }
}
