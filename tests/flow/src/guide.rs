//! The user's guide and what it embeds.
//!
//! * A block that begins with ```` ```yaml file=examples/x/y.yaml ```` is that file.
//! * A block that begins with ```` ```console checked ```` is what its commands print; they run in the repository, with the
//!   binary under test as `fairlead`. A line `…` stands for any number of lines.
//! * What stands between `<!-- include PATH -->` and `<!-- end -->` is the part of that file that begins with its first table.
//!
//! With `UPDATE_GOLDEN=1` in the environment, files and tables are put in anew.

use crate::repository;
use fairlead_testkit::binary;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A page.
#[derive(Debug)]
pub struct Page {
    /// Where it is.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

/// A fenced block.
#[derive(Debug)]
pub struct Block<'a> {
    /// What stands behind the fence.
    pub info: &'a str,
    /// Line of the fence, from 1.
    pub line: usize,
    /// What is in it.
    pub text: String,
}

/// The guide's directory.
pub fn directory() -> PathBuf {
    repository().join("docs")
}

/// All pages.
pub fn pages() -> Vec<Page> {
    let entries = std::fs::read_dir(directory()).expect("docs");
    let paths =
        entries.map(|entry| entry.expect("entry").path()).filter(|path| path.extension().is_some_and(|e| e == "md"));
    let mut pages: Vec<Page> =
        paths.map(|path| Page { text: std::fs::read_to_string(&path).expect("readable"), path }).collect();
    pages.sort_by(|a, b| a.path.cmp(&b.path));
    pages
}

/// All manifests of the examples, relative to [`directory`].
pub fn examples() -> Vec<String> {
    let mut found = Vec::new();
    for topic in std::fs::read_dir(directory().join("examples")).expect("examples") {
        for file in std::fs::read_dir(topic.expect("entry").path()).expect("a topic") {
            let path = file.expect("entry").path();
            found.push(path.strip_prefix(directory()).expect("below").to_str().expect("text").to_owned());
        }
    }
    found.sort();
    found
}

impl Page {
    /// Its name, `filters.md`.
    pub fn name(&self) -> String {
        self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned()
    }

    /// Its fenced blocks.
    pub fn blocks(&self) -> Vec<Block<'_>> {
        let mut blocks = Vec::new();
        let mut open: Option<Block<'_>> = None;
        for (number, line) in self.text.lines().enumerate() {
            match (line.strip_prefix("```"), &mut open) {
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (Some(info), None) => open = Some(Block { info, line: number + 1, text: String::new() }),
                (None, Some(block)) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{}: a block is not closed", self.name());
        blocks
    }

    /// The text as it should be: files and tables put in anew.
    pub fn renewed(&self) -> String {
        let mut out = String::new();
        let mut lines = self.text.lines();
        while let Some(line) = lines.next() {
            out.push_str(line);
            out.push('\n');
            let (file, end) = if let Some(file) = embedded(line) {
                (directory().join(file), "```")
            } else if let Some(file) = included(line) {
                (directory().join(file), "<!-- end -->")
            } else {
                continue;
            };
            let text =
                std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {}: {e}", self.name(), file.display()));
            out.push_str(if end == "```" { &text } else { tables(&text) });
            let last = lines.by_ref().find(|line| *line == end);
            out.push_str(last.unwrap_or_else(|| panic!("{}: {line} is not closed", self.name())));
            out.push('\n');
        }
        out
    }
}

/// The file that a block's first line names.
pub fn embedded(line: &str) -> Option<&str> {
    line.strip_prefix("```")?.split(' ').find_map(|word| word.strip_prefix("file="))
}

fn included(line: &str) -> Option<&str> {
    line.strip_prefix("<!-- include ")?.strip_suffix(" -->")
}

fn tables(text: &str) -> &str {
    &text[text.find("\n| ").map_or(0, |at| at + 1)..]
}

/// The commands of a block and what is printed for each.
pub fn commands(block: &str) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    for line in block.lines() {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push((command.to_owned(), String::new())),
            (None, Some((_, output))) => {
                output.push_str(line);
                output.push('\n');
            }
            (None, None) => panic!("output before the first command: {line}"),
        }
    }
    commands
}

/// What a shell command prints in the repository, with the exit code in front when it is not 0.
pub fn run(command: &str) -> String {
    let own = Path::new(&binary()).parent().map(Path::to_owned).unwrap_or_default();
    let path = format!("{}:{}", own.display(), std::env::var("PATH").unwrap_or_default());
    let output =
        Command::new("sh").args(["-c", command]).current_dir(repository()).env("PATH", path).output().expect("sh");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Whether an output is as expected, where a line `…` stands for any lines.
pub fn matches(expected: &str, output: &str) -> bool {
    let mut rest = output;
    let mut skip = false;
    for part in expected.split_inclusive('\n') {
        if part.trim() == "…" {
            skip = true;
            continue;
        }
        let at = if skip { rest.find(part) } else { rest.starts_with(part).then_some(0) };
        let Some(at) = at else { return false };
        rest = &rest[at + part.len()..];
        skip = false;
    }
    skip || rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ellipsis_stands_for_lines() {
        assert!(matches("a\n…\nd\n", "a\nb\nc\nd\n"));
        assert!(matches("a\n…\n", "a\nb\n"));
        assert!(!matches("a\nd\n", "a\nb\nd\n"));
        assert!(!matches("a\n", "a\nb\n"));
    }

    #[test]
    fn commands_and_their_output() {
        assert_eq!(
            commands("$ a b\nx\ny\n$ c\n"),
            [("a b".to_owned(), "x\ny\n".to_owned()), ("c".to_owned(), String::new())]
        );
    }
}
