//! The rules of the house (`design.md` §2, `style.md`), as tests: who may depend on whom, what sources may hold, what texts may say.
//!
//! `cargo metadata, cargo tree, *.rs, *.md ──► violations, each with its place ──► a test that lists them`
//!
//! Sources are read as tokens, so that comments and strings don't count and `cfg(test)` is known. A rule that wants an exception has
//! a table for it, with the reason; an exception that is not needed any more is a violation, too.

pub mod licence;
pub mod links;
pub mod rust;
pub mod workspace;

/// Fails with the list of violations, and the rule that they break.
///
/// # Panics
/// When there are any.
pub fn expect_none(rule: &str, violations: impl IntoIterator<Item = String>) {
    let mut violations: Vec<String> = violations.into_iter().collect();
    violations.sort();
    violations.dedup();
    assert!(violations.is_empty(), "{rule}\n  {}\n({} violations)", violations.join("\n  "), violations.len());
}
