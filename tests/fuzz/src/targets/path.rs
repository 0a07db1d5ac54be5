//! Path normalisation.

use fairlead_http::RequestHead;
use fairlead_http::normalize::{self, EscapedSlashes, PathPolicy};

use crate::Target;

/// Paths: in their one spelling, as a naive reading of RFC 3986 has it.
pub const TARGET: Target = Target {
    name: "path",
    run,
    seeds: &[
        b"/a/./b/../c//d/%41%2e%2E/%2F%5c?x=/../y", b"/", b"/..", b"/%2e%2e/", b"/a;/..;/b", b"/%c0%af", b"/caf%C3%A9/%7Euser", b"/.well-known/",
    ],
    tokens: &["/", "//", "/.", "/..", "/../", "%2e", "%2E%2e", "%2F", "%5c", "%00", "%25", "%41", "%c0%ae", "%", "?", ";", "..;"],
};

/// Panics when a promise is broken.
pub fn run(data: &[u8]) {
    // What a head lets through.
    let target: String = data.iter().map(|b| (b'!' + b % 94) as char).filter(|c| !"#\\".contains(*c)).collect();
    let raw = String::from_utf8_lossy(data);
    for text in [raw.as_ref(), target.as_str()] {
        let clean = text.bytes().all(|c| (0x21..=0x7e).contains(&c) && c != b'#');
        if !clean || text.split('?').next().is_some_and(|p| p.contains('\\')) {
            continue;
        }
        for escaped_slashes in [EscapedSlashes::Keep, EscapedSlashes::Reject, EscapedSlashes::Unescape] {
            for merge_slashes in [true, false] {
                check(&format!("/{text}"), &PathPolicy { escaped_slashes, merge_slashes });
            }
        }
    }
}

fn check(target: &str, policy: &PathPolicy) {
    let mut head = RequestHead::new();
    head.set_path_and_query(target.as_bytes());
    let (path, query) = target.split_once('?').map_or((target, None), |(p, q)| (p, Some(q)));
    let result = normalize::path(&mut head, policy);
    assert_eq!(result.is_ok(), naive(path, policy).is_some(), "{target} {policy:?}");
    if result.is_err() {
        return;
    }
    assert_eq!(head.query(), query.map(str::as_bytes), "{target}");
    assert_eq!(Some(String::from_utf8_lossy(head.path()).into_owned()), naive(path, policy), "{target} {policy:?}");
    let once = head.path_and_query().to_vec();
    normalize::path(&mut head, policy).expect("what is normal is accepted");
    assert_eq!(head.path_and_query(), once, "normalised twice: {target} {policy:?}");
}

/// The path in its one spelling; `None` when it is refused.
fn naive(path: &str, policy: &PathPolicy) -> Option<String> {
    let (mut decoded, mut rest) = (String::new(), path);
    while let Some(c) = rest.chars().next() {
        if c != '%' {
            decoded.push(c);
            rest = &rest[1..];
            continue;
        }
        let byte = |at: usize| {
            let digits = rest.get(at..at + 3)?.strip_prefix('%')?;
            digits.bytes().all(|c| c.is_ascii_hexdigit()).then(|| u8::from_str_radix(digits, 16).ok())?
        };
        let value = byte(0)?;
        let overlong = matches!((value, byte(3)), (0xc0..=0xc1, Some(0x80..=0xbf)) | (0xe0, Some(0x80..=0x9f)) | (0xf0, Some(0x80..=0x8f)));
        if value == 0 || overlong {
            return None;
        }
        match (value as char, policy.escaped_slashes) {
            ('/' | '\\', EscapedSlashes::Reject) => return None,
            ('/' | '\\', EscapedSlashes::Unescape) => decoded.push('/'),
            (c, _) if c.is_ascii_alphanumeric() || "-._~".contains(c) => decoded.push(c),
            _ => decoded.push_str(&rest[..3]),
        }
        rest = &rest[3..];
    }
    let mut out: Vec<&str> = Vec::new();
    let segments: Vec<&str> = decoded.split('/').skip(1).collect();
    // What hides behind a parameter from those who drop parameters later.
    for (i, segment) in segments.iter().enumerate() {
        let end = [";", "%3b", "%3B"].iter().filter_map(|mark| segment.find(mark)).min();
        let name = end.map(|end| &segment[..end]);
        if matches!(name, Some("." | "..")) || (name == Some("") && i + 1 < segments.len()) {
            return None;
        }
    }
    for (i, segment) in segments.iter().enumerate() {
        let last = i + 1 == segments.len();
        match *segment {
            "." => {}
            ".." => drop(out.pop()),
            s => {
                out.push(s);
                continue;
            }
        }
        if last {
            out.push("");
        }
    }
    let mut path = format!("/{}", out.join("/"));
    while policy.merge_slashes && path.contains("//") {
        path = path.replace("//", "/");
    }
    Some(path)
}
