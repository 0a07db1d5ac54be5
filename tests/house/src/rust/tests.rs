use super::*;

fn unwraps(text: &str) -> usize {
    scan(text).iter().filter(|what| matches!(what, What::Unwrap(_))).count()
}

#[test]
fn finds_unwraps_outside_of_tests() {
    let cases = [
        ("fn f() { x.unwrap(); }", 1),
        ("fn f() { x.expect(\"why\"); y.expect_err(\"no\"); z.unwrap_err(); w.expect(&format!(\"\")) }", 4),
        ("fn f() { println!(\"{}\", x.unwrap()); vec![a.unwrap()]; }", 2),
        ("fn f() { x.unwrap_or(1); x.unwrap_or_default(); parser.expect(Token::Comma); }", 0),
        ("// x.unwrap()\n/// y.unwrap()\nconst S: &str = \"z.unwrap()\";", 0),
        ("#[test] fn f() { x.unwrap(); }", 0),
        ("#[tokio::test] async fn f() { x.unwrap(); }", 0),
        ("#[tokio::test(flavor = \"x\")] async fn f() { x.unwrap(); }", 0),
        ("#[cfg(test)] mod tests { fn f<T, U>() { x.unwrap(); } } fn g() { y.unwrap(); }", 1),
        ("#[cfg(test)] fn f<T, U>() { x.unwrap(); } fn g() { y.unwrap(); }", 1),
        ("#[cfg(test)] use a::{b, c}; fn g() { y.unwrap(); }", 1),
        ("struct S { #[cfg(test)] a: u8, b: [u8; x.unwrap()] }", 1),
        ("#[cfg(any(test, feature = \"testing\"))] fn f() { x.unwrap(); }", 0),
        ("#[cfg(not(test))] fn f() { x.unwrap(); }", 1),
        ("#[cfg(all(unix, not(test)))] fn f() { x.unwrap(); }", 1),
        ("#![cfg(test)] fn f() { x.unwrap(); }", 0),
        ("impl X { #[cfg(test)] fn f() { x.unwrap(); } fn g() { y.unwrap(); } }", 1),
        ("#[derive(Debug)] struct A; #[must_use] fn f() { x.unwrap(); }", 1),
        ("mod a { mod b { fn f() { x.unwrap(); } } }", 1),
    ];
    for (text, count) in cases {
        assert_eq!(unwraps(text), count, "{text}");
    }
}

#[test]
fn finds_unsafe_clocks_effects_and_names() {
    let kinds =
        |text: &str| scan(text).into_iter().filter(|what| !matches!(what, What::Name { .. })).collect::<Vec<_>>();
    assert_eq!(kinds("fn f() { unsafe { x() } } unsafe impl Send for X {}"), [What::Unsafe, What::Unsafe]);
    assert_eq!(kinds("#![deny(unsafe_code)] // unsafe"), []);
    assert_eq!(kinds("fn f() { let t = std::time::Instant::now(); SystemTime::now(); }"), [What::Clock, What::Clock]);
    assert_eq!(
        kinds("use std::fs::File; use tokio::net::X; use std::net::IpAddr;"),
        [What::Effect("std::fs::File".into()), What::Effect("tokio::net::X".into())]
    );
    let name = |kind: &str, name: &str| What::Name { kind: kind.into(), name: name.into() };
    assert_eq!(
        scan("pub struct PoolManager; mod util { fn get_x(&self) {} }"),
        [name("struct", "PoolManager"), name("mod", "util"), name("getter", "get_x")]
    );
}

#[test]
fn names_in_implementations_of_traits_are_the_traits() {
    let names = |text: &str| {
        scan(text).into_iter().filter(|what| matches!(what, What::Name { kind, .. } if kind == "getter")).count()
    };
    assert_eq!(names("impl<'a> Trait<'a> for X { fn get_a(&self) {} } impl X { fn get_b(&self) {} }"), 1);
    assert_eq!(names("impl<F: for<'a> Fn(&'a u8)> X<F> { fn get_a(&mut self) {} }"), 1);
    assert_eq!(
        names(
            "fn f() -> impl Fn() { for x in y {} } struct S { x: u8 } impl S { fn get_a(&self) {} fn get_b(&self, key: u8) {} }"
        ),
        1
    );
}

#[test]
fn follows_modules_and_knows_which_are_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs");
    let krate = Crate::read(&root);
    assert_eq!(krate.problems, Vec::<String>::new());
    let test = |end: &str| krate.files.iter().find(|(path, _)| path.ends_with(end)).map(|(_, test)| *test);
    assert_eq!(test("src/rust.rs"), Some(false));
    assert_eq!(test("src/rust/tests.rs"), Some(true));
    assert_eq!(test("src/links.rs"), Some(false));
}

#[test]
fn lines_are_those_of_the_file() {
    let mut findings = Vec::new();
    let tokens = parse("fn f() {\n  g();\n  x.unwrap();\n}").unwrap();
    Scan { file: Path::new("f.rs"), findings: &mut findings, foreign: false, children: Vec::new() }.items(
        tokens,
        Path::new(""),
        false,
    );
    assert!(findings.contains(&Finding { file: "f.rs".into(), line: 3, what: What::Unwrap("unwrap".into()) }));
}
