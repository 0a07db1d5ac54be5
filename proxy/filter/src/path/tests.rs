use super::{PathBuffer, PathChange};
use fairlead_ir::PathRewrite;
use proptest::prelude::*;

fn apply(change: &PathRewrite, path: &str, prefix_len: Option<usize>) -> Option<String> {
    let mut new = PathBuffer::new();
    let changed = PathChange::compile(change).unwrap().apply(path.as_bytes(), prefix_len, &mut new);
    changed.then(|| String::from_utf8(new.to_vec()).unwrap())
}

fn prefix(path: &str, matched: &str, replacement: &str) -> Option<String> {
    apply(&PathRewrite::Prefix(replacement.into()), path, Some(matched.trim_end_matches('/').len()))
}

fn substitute(path: &str, pattern: &str, substitution: &str) -> Option<String> {
    apply(&PathRewrite::Regex { pattern: pattern.into(), substitution: substitution.into() }, path, None)
}

/// The table of `HTTPPathModifier.replacePrefixMatch`.
#[test]
fn the_specifications_table() {
    for (path, matched, replacement, expected) in [
        ("/foo/bar", "/foo", "/xyz", "/xyz/bar"),
        ("/foo/bar", "/foo", "/xyz/", "/xyz/bar"),
        ("/foo/bar", "/foo/", "/xyz", "/xyz/bar"),
        ("/foo/bar", "/foo/", "/xyz/", "/xyz/bar"),
        ("/foo", "/foo", "/xyz", "/xyz"),
        ("/foo/", "/foo", "/xyz", "/xyz/"),
        ("/foo/bar", "/foo", "", "/bar"),
        ("/foo/", "/foo", "", "/"),
        ("/foo", "/foo", "", "/"),
        ("/foo/", "/foo", "/", "/"),
        ("/foo", "/foo", "/", "/"),
    ] {
        assert_eq!(prefix(path, matched, replacement).as_deref(), Some(expected), "{path} {matched} {replacement:?}");
    }
}

#[test]
fn beyond_the_table() {
    assert_eq!(prefix("/foo", "/", "/xyz").as_deref(), Some("/xyz/foo"));
    assert_eq!(prefix("/", "/", "/xyz").as_deref(), Some("/xyz/"));
    assert_eq!(prefix("/", "/", "/").as_deref(), Some("/"));
    assert_eq!(prefix("/foo//bar", "/foo", "/").as_deref(), Some("/bar"), "never `//` at the start");
    assert_eq!(prefix("/foo/bar", "/foo", "xyz").as_deref(), Some("/xyz/bar"));
    assert_eq!(prefix("/foo/bar", "/foo", "//evil.example").as_deref(), Some("/evil.example/bar"));
    assert_eq!(prefix("/food", "/foo", "/xyz"), None, "no segment ends there");
    assert_eq!(prefix("/f", "/foo", "/xyz"), None);
    assert_eq!(apply(&PathRewrite::Prefix("/xyz".into()), "/foo", None), None, "not matched by a prefix");
}

#[test]
fn full_paths_are_rooted() {
    let full = |path: &str| apply(&PathRewrite::Full(path.into()), "/old", None).unwrap();
    assert_eq!(full("/new"), "/new");
    assert_eq!(full("new"), "/new");
    assert_eq!(full(""), "/");
    assert_eq!(full("//new/"), "/new/");
    assert_eq!(full("/new?a=1"), "/new?a=1");
}

#[test]
fn regular_expressions_replace_all_matches() {
    assert_eq!(substitute("/a/b/a", "a", "c").as_deref(), Some("/c/b/c"));
    assert_eq!(
        substitute("/service/foo/v1/api", "^/service/([^/]+)(/.*)$", r"\2/instance/\1").as_deref(),
        Some("/v1/api/instance/foo")
    );
    assert_eq!(substitute("/x", "^/x$", r"/\\\0").as_deref(), Some(r"/\/x"));
    assert_eq!(substitute("/x", "y", "z"), None);
    assert_eq!(substitute("/x", ".*", "").as_deref(), Some("/"), "never empty");
    assert_eq!(substitute("/x//y", "^/x", "").as_deref(), Some("/y"), "never `//` at the start");
    assert_eq!(
        substitute("/a(b)?c", "(z)?a", r"q\1").as_deref(),
        Some("/q(b)?c"),
        "a group that took no part is empty"
    );
}

#[test]
fn bad_changes_are_refused() {
    let field = |change: PathRewrite| PathChange::compile(&change).unwrap_err().field;
    let regex = |pattern: &str, substitution: &str| PathRewrite::Regex {
        pattern: pattern.into(),
        substitution: substitution.into(),
    };
    assert_eq!(field(PathRewrite::Full("/a b".into())), "path");
    assert_eq!(field(PathRewrite::Full("/a\r\nx: y".into())), "path");
    assert_eq!(field(PathRewrite::Full("/a#b".into())), "path");
    assert_eq!(field(PathRewrite::Prefix("/é".into())), "path");
    assert_eq!(field(regex("(", "")), "path.pattern");
    assert_eq!(field(regex("a", r"\1")), "path.substitution");
    assert_eq!(field(regex("(a)", r"\x")), "path.substitution");
    assert_eq!(field(regex("(a)", "\\")), "path.substitution");
    assert_eq!(field(regex("(a)", "a\nb")), "path.substitution");
    assert_eq!(field(regex(r"((a{1000}){1000}){10}", "")), "path.pattern");
}

proptest! {
    /// By segments, as the specification words it.
    #[test]
    fn prefixes_are_replaced_by_segments(
        matched in proptest::collection::vec("[ab]", 0..3),
        rest in proptest::collection::vec("[ab]", 0..3),
        trailing in any::<bool>(),
        replacement in proptest::collection::vec("[xy]", 0..3),
        slash in any::<bool>(),
    ) {
        let join = |segments: &[String]| segments.iter().map(|s| format!("/{s}")).collect::<String>();
        let all: Vec<String> = matched.iter().chain(&rest).cloned().collect();
        let trailing = trailing || all.is_empty();
        let path = format!("{}{}", join(&all), if trailing { "/" } else { "" });
        let configured = format!("{}{}", join(&replacement), if slash { "/" } else { "" });
        let new = prefix(&path, &join(&matched), &configured).unwrap();
        let expected: Vec<String> = replacement.iter().chain(&rest).cloned().collect();
        let expected = format!("{}{}", join(&expected), if trailing || expected.is_empty() { "/" } else { "" });
        prop_assert_eq!(new, expected);
    }

    #[test]
    fn every_new_path_is_rooted(path in "/[a/]{0,8}", len in 0..9_usize, replacement in "[x/]{0,4}", pattern in "[a/]{1,2}") {
        for new in [prefix(&path, &"a".repeat(len), &replacement), substitute(&path, &pattern, &replacement)].into_iter().flatten() {
            prop_assert!(new.starts_with('/') && !new.starts_with("//"), "{}", new);
        }
    }
}
