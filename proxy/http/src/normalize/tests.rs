use proptest::prelude::*;

use super::*;

fn with(path: &str, policy: &PathPolicy) -> Result<(String, Outcome), u16> {
    let mut head = RequestHead::new();
    head.set_path_and_query(path.as_bytes());
    let outcome = super::path(&mut head, policy).map_err(|r| r.status)?;
    Ok((String::from_utf8(head.path_and_query().to_vec()).unwrap(), outcome))
}

fn of(path: &str) -> Result<String, u16> {
    with(path, &PathPolicy::default()).map(|(path, outcome)| {
        assert_eq!(outcome, Outcome::Normal);
        path
    })
}

#[test]
fn table() {
    for (path, expected) in [
        ("/", "/"),
        ("/a/b?c/../d//e%41", "/a/b?c/../d//e%41"),
        ("/a/./b", "/a/b"),
        ("/a/../b", "/b"),
        ("/a/..", "/"),
        ("/a/.", "/a/"),
        ("/..", "/"),
        ("/../../x", "/x"),
        ("/a/b/../../../c/./d/..", "/c/"),
        ("/a//b///c//", "/a/b/c/"),
        ("//", "/"),
        ("//a", "/a"),
        ("/a//../b", "/a/b"),
        ("/.well-known/x", "/.well-known/x"),
        ("/...", "/..."),
        ("/..a/.b", "/..a/.b"),
        ("/%41%7e%2D%5f", "/A~-_"),
        ("/%2e%2E/x", "/x"),
        ("/a/%2e%2e/x", "/x"),
        ("/a/.%2e/x?%2e", "/x?%2e"),
        ("/%25%20%e9", "/%25%20%e9"),
        ("/%c3%a9%C0%41", "/%c3%a9%C0A"),
        ("/a;x/b;/c%3by/d;..;./;x=y", "/a;x/b;/c%3by/d;..;./;x=y"),
        ("/.a;/...;/..a;x", "/.a;/...;/..a;x"),
        ("/a?b%2fc/..;/d", "/a?b%2fc/..;/d"),
        ("*", "*"),
    ] {
        assert_eq!(of(path).as_deref(), Ok(expected), "{path}");
    }
}

#[test]
fn refused() {
    for path in [
        "/%",
        "/%4",
        "/%zz",
        "/%4g",
        "/a%00b",
        "/%c0%af",
        "/%C1%9c",
        "/%e0%80%af",
        "/%f0%80%80%af",
        "/%%41",
        "/%+1",
        "/% 1",
        "/a%2Fb",
        "/a%2fb",
        "/a/..%5C",
        "/%5c",
        "/..;/b",
        "/a/..;x=y/b",
        "/a/.;",
        "/a/..;?q",
        "/%2e.;/b",
        "/..%3b/b",
        "/a/.%3Bx",
        "/;/b",
        "/a/;x/b",
        "/a/%3B/b",
    ] {
        assert_eq!(of(path), Err(400), "{path}");
    }
    assert_eq!(of("/?%zz"), Ok("/?%zz".into()));
}

#[test]
fn escaped_slashes() {
    let policy = |escaped_slashes| PathPolicy { escaped_slashes, ..PathPolicy::default() };
    let kept = policy(EscapedSlashes::Keep);
    assert_eq!(with("/a%2Fb%5cc", &kept), Ok(("/a%2Fb%5cc".into(), Outcome::Normal)));
    assert_eq!(with("/a/..%2Fb", &kept), Ok(("/a/..%2Fb".into(), Outcome::Normal)));
    assert_eq!(with("/a%2fb", &policy(EscapedSlashes::Reject)), Err(400));
    assert_eq!(with("/a%2f..;%2fb", &policy(EscapedSlashes::Unescape)), Err(400), "what is unescaped is looked at");
    assert_eq!(with("/a%5Cb", &policy(EscapedSlashes::Reject)), Err(400));
    assert_eq!(with("/a?%2f", &policy(EscapedSlashes::Reject)), Ok(("/a?%2f".into(), Outcome::Normal)));
    assert_eq!(with("/a%2f..%5Cb?%2f", &policy(EscapedSlashes::Unescape)), Ok(("/b?%2f".into(), Outcome::Normal)));
    assert_eq!(with("/a%2Fb", &policy(EscapedSlashes::Redirect)), Ok(("/a/b".into(), Outcome::Redirect)));
    assert_eq!(with("/a/./b", &policy(EscapedSlashes::Redirect)), Ok(("/a/b".into(), Outcome::Normal)));
    let unmerged = PathPolicy { merge_slashes: false, ..PathPolicy::default() };
    assert_eq!(with("/a//b/./", &unmerged), Ok(("/a//b/".into(), Outcome::Normal)));
}

/// The algorithm of RFC 3986 §5.2.4, to the letter.
fn rfc3986(path: &str) -> String {
    let (mut input, mut output) = (path.to_string(), String::new());
    while !input.is_empty() {
        if input.starts_with("/./") {
            input.replace_range(..2, "");
        } else if input == "/." {
            input = "/".into();
        } else if input.starts_with("/../") || input == "/.." {
            input.replace_range(..3, "");
            if input.is_empty() {
                input = "/".into();
            }
            output.truncate(output.rfind('/').unwrap_or(0));
        } else {
            let end = input[1..].find('/').map_or(input.len(), |n| n + 1);
            output.push_str(&input[..end]);
            input.replace_range(..end, "");
        }
    }
    output
}

proptest! {
    #[test]
    fn dot_segments_as_the_rfc_has_it(path in "(/[a.]{0,3}){1,8}") {
        let unmerged = PathPolicy { merge_slashes: false, ..PathPolicy::default() };
        prop_assert_eq!(with(&path, &unmerged).unwrap().0, rfc3986(&path));
    }

    #[test]
    fn normal_is_normal(path in "(/|\\.|%2e|%2F|%25|%41|[a-z;]){0,12}") {
        let kept = PathPolicy { escaped_slashes: EscapedSlashes::Keep, ..PathPolicy::default() };
        let Ok((once, _)) = with(&format!("/{path}"), &kept) else {
            prop_assert!(path.contains(';'), "{} is refused", path);
            return Ok(());
        };
        prop_assert_eq!(&with(&once, &kept).unwrap().0, &once);
        prop_assert!(once.starts_with('/') && !once.contains("//"));
        prop_assert!(!once.split('/').any(|s| s == "." || s == ".."));
    }
}
