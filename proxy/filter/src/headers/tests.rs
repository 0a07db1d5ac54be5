use crate::tests::{Fix, fields, request, respond, run};
use crate::{Chain, Problem};
use fairlead_ir::{Filter, HeaderMods, HeaderValue};

fn values(pairs: &[(&str, &str)]) -> Vec<HeaderValue> {
    pairs.iter().map(|(name, value)| HeaderValue { name: (*name).into(), value: (*value).into() }).collect()
}

fn mods(set: &[(&str, &str)], add: &[(&str, &str)], remove: &[&str]) -> HeaderMods {
    HeaderMods { set: values(set), add: values(add), remove: remove.iter().map(|r| (*r).into()).collect() }
}

fn problem(mods: HeaderMods) -> Problem {
    Chain::compile(&[Filter::RequestHeaders(mods)]).unwrap_err()
}

/// The examples of `HTTPHeaderFilter`.
#[test]
fn the_specifications_examples() {
    let change = |mods, head: &[(&str, &str)]| {
        let chain = Chain::compile(&[Filter::RequestHeaders(mods)]).unwrap();
        let mut head = request("GET", "h/foo").with(head);
        assert!(run(&chain, &mut head, None).is_none());
        fields(&head.fields)
    };
    assert_eq!(change(mods(&[("my-header", "bar")], &[], &[]), &[("my-header", "foo")]), "my-header: bar");
    assert_eq!(
        change(mods(&[], &[("my-header", "bar,baz")], &[]), &[("my-header", "foo")]),
        "my-header: foo; my-header: bar,baz"
    );
    let three = [("my-header1", "foo"), ("my-header2", "bar"), ("my-header3", "baz")];
    assert_eq!(change(mods(&[], &[], &["my-header1", "my-header3"]), &three), "my-header2: bar");
}

#[test]
fn known_and_unknown_names_are_alike() {
    let chain = Chain::compile(&[Filter::RequestHeaders(mods(
        &[("accept", "a/b"), ("x-set", "1")],
        &[("cookie", "b=2"), ("x-add", "2")],
        &["user-agent", "x-gone"],
    ))])
    .unwrap();
    let mut head = request("GET", "h/").with(&[
        ("accept", "*/*"),
        ("cookie", "a=1"),
        ("user-agent", "x"),
        ("x-gone", "1"),
        ("x-gone", "2"),
        ("x-set", "0"),
        ("x-kept", "k"),
        ("accept", "c/d"),
    ]);
    assert!(run(&chain, &mut head, None).is_none());
    assert_eq!(fields(&head.fields), "cookie: a=1; x-kept: k; accept: a/b; x-set: 1; cookie: b=2; x-add: 2");
}

#[test]
fn setting_host_sets_the_authority() {
    let chain = Chain::compile(&[Filter::RequestHeaders(mods(&[("host", "Other.example:8080")], &[], &[]))]).unwrap();
    let mut head = request("GET", "h/");
    assert!(run(&chain, &mut head, None).is_none());
    assert_eq!(
        (head.authority(), head.host(), head.port()),
        (&b"Other.example:8080"[..], &b"other.example"[..], Some(8080))
    );
    assert!(head.fields.is_empty());
    assert_eq!(problem(mods(&[], &[("host", "x")], &[])).field, "filters[0].add[0].name");
    assert_eq!(problem(mods(&[], &[], &["host"])).field, "filters[0].remove[0]");
    assert_eq!(problem(mods(&[("host", "a/b")], &[], &[])).field, "filters[0].set[0].value");
}

#[test]
fn responses_are_changed_on_their_way_back() {
    let chain =
        Chain::compile(&[Filter::ResponseHeaders(mods(&[("server", "s")], &[("set-cookie", "b=2")], &["x-gone"]))])
            .unwrap();
    let mut head = request("GET", "h/");
    assert!(run(&chain, &mut head, None).is_none());
    assert!(head.fields.is_empty(), "the request is not changed");
    let response = respond(&chain, &head, &[("server", "x"), ("set-cookie", "a=1"), ("x-gone", "1"), ("x-kept", "1")]);
    assert_eq!(fields(&response.fields), "set-cookie: a=1; x-kept: 1; server: s; set-cookie: b=2");
}

#[test]
fn framing_and_connection_are_refused() {
    let hop = ["connection", "te", "trailer", "upgrade", "keep-alive", "proxy-connection", "expect", "http2-settings"];
    for name in hop.into_iter().chain(["content-length", "transfer-encoding"]) {
        assert_eq!(problem(mods(&[("x", "1"), (name, "1")], &[], &[])).field, "filters[0].set[1].name", "{name}");
        assert_eq!(problem(mods(&[], &[(name, "1")], &[])).field, "filters[0].add[0].name", "{name}");
        assert_eq!(problem(mods(&[], &[], &["a", name])).field, "filters[0].remove[1]", "{name}");
    }
}

#[test]
fn what_no_message_may_carry_is_refused() {
    for name in ["", ":path", "X-Upper", "a b", "a:b", "a\r\nb", "é"] {
        assert_eq!(problem(mods(&[(name, "1")], &[], &[])).field, "filters[0].set[0].name", "{name:?}");
    }
    for value in ["a\r\nx: y", "a\0", " a", "a ", "\ta", "\u{7f}"] {
        assert_eq!(problem(mods(&[("x", value)], &[], &[])).field, "filters[0].set[0].value", "{value:?}");
    }
    for value in ["", "a b", "a\tb", "é", "a,b"] {
        assert!(Chain::compile(&[Filter::RequestHeaders(mods(&[("x", value)], &[], &[]))]).is_ok(), "{value:?}");
    }
}
