use crate::tests::{fields, request};
use crate::{Chain, RequestCtx, Verdict};
use fairlead_ir::{Filter, HeaderMods, HeaderValue, PathRewrite, Redirect};

fn plain() -> Redirect {
    Redirect { scheme: None, hostname: None, path: None, port: None, status: 302 }
}

/// Status and `Location` of a request to a listener.
fn location(redirect: Redirect, url: &str, listener_port: u16, https: bool, prefix_len: Option<usize>) -> String {
    let chain = Chain::compile(&[Filter::Redirect(redirect)]).unwrap();
    let mut head = request("GET", url);
    let verdict = chain.on_request(&mut RequestCtx { head: &mut head, prefix_len, listener_port, https });
    let Verdict::Reply(reply) = verdict else { panic!("no redirect") };
    assert!(reply.body.is_empty());
    assert_eq!(reply.details, "direct_response");
    format!("{} {}", reply.status, fields(&reply.fields).trim_start_matches("location: "))
}

/// conformance: HTTPRouteRedirectPortAndScheme
#[test]
fn port_and_scheme() {
    for (listener, https, scheme, port, expected) in [
        (80, false, None, None, "http://example.org"),
        (80, false, None, Some(80), "http://example.org"),
        (80, false, None, Some(8080), "http://example.org:8080"),
        (80, false, Some("https"), None, "https://example.org"),
        (80, false, Some("https"), Some(443), "https://example.org"),
        (80, false, Some("https"), Some(8443), "https://example.org:8443"),
        (8080, false, None, None, "http://example.org:8080"),
        (8080, false, None, Some(80), "http://example.org"),
        (8080, false, Some("https"), None, "https://example.org"),
        (443, true, None, None, "https://example.org"),
        (443, true, None, Some(443), "https://example.org"),
        (443, true, None, Some(8443), "https://example.org:8443"),
        (443, true, Some("http"), None, "http://example.org"),
        (443, true, Some("http"), Some(80), "http://example.org"),
        (443, true, Some("http"), Some(8080), "http://example.org:8080"),
        (443, true, None, Some(80), "https://example.org:80"),
        (80, false, None, Some(443), "http://example.org:443"),
    ] {
        let redirect =
            Redirect { scheme: scheme.map(Into::into), port, hostname: Some("example.org".into()), ..plain() };
        let found = location(redirect, "h:1234/p", listener, https, None);
        assert_eq!(found, format!("302 {expected}/p"), "{listener} {https} {scheme:?} {port:?}");
    }
}

/// conformance: HTTPRouteRedirectHostAndStatus, 303, 307, 308
#[test]
fn host_and_status() {
    for status in [301, 302, 303, 307, 308] {
        let redirect = Redirect { status, hostname: Some("new.example".into()), ..plain() };
        assert_eq!(
            location(redirect, "old.example/p?q=1", 80, false, None),
            format!("{status} http://new.example/p?q=1")
        );
    }
    assert_eq!(location(plain(), "Old.Example.:8080/p", 80, false, None), "302 http://old.example/p");
    assert_eq!(location(plain(), "[::1]:8080/p", 8080, false, None), "302 http://[::1]:8080/p");
}

/// conformance: HTTPRouteRedirectPath
#[test]
fn path() {
    let with = |path| Redirect { path: Some(path), ..plain() };
    let prefix = || with(PathRewrite::Prefix("/replacement-prefix".into()));
    let full = || with(PathRewrite::Full("/full-path-replacement".into()));
    assert_eq!(
        location(prefix(), "h/original-prefix/lemon", 80, false, Some(16)),
        "302 http://h/replacement-prefix/lemon"
    );
    assert_eq!(location(prefix(), "h/path-and-host?a=b", 80, false, Some(14)), "302 http://h/replacement-prefix?a=b");
    assert_eq!(
        location(full(), "h/full/path/original?x=1", 80, false, Some(5)),
        "302 http://h/full-path-replacement?x=1"
    );
    let own_query = with(PathRewrite::Full("/new?only=this".into()));
    assert_eq!(location(own_query, "h/old?x=1", 80, false, None), "302 http://h/new?only=this");
    let regex = with(PathRewrite::Regex { pattern: "^/v1/(.*)".into(), substitution: r"/v2/\1".into() });
    assert_eq!(location(regex, "h/v1/x?", 80, false, None), "302 http://h/v2/x?");
}

#[test]
fn requests_without_host_or_path() {
    assert_eq!(location(plain(), "/p?q", 80, false, None), "302 /p?q");
    assert_eq!(location(plain(), "//evil.example/p", 80, false, None), "302 /evil.example/p");
    let mut head = request("OPTIONS", "h/");
    head.set_path_and_query(b"*");
    let chain = Chain::compile(&[Filter::Redirect(plain())]).unwrap();
    let mut ctx = RequestCtx { head: &mut head, prefix_len: None, listener_port: 80, https: false };
    let Verdict::Reply(reply) = chain.on_request(&mut ctx) else { panic!("no redirect") };
    assert_eq!(fields(&reply.fields), "location: http://h/");
}

#[test]
fn the_rules_response_headers_are_on_redirects() {
    let set = vec![HeaderValue { name: "x-frame-options".into(), value: "DENY".into() }];
    let mods = Filter::ResponseHeaders(HeaderMods { set, ..HeaderMods::default() });
    let chain = Chain::compile(&[Filter::Redirect(plain()), mods]).unwrap();
    let mut head = request("GET", "h/p");
    let mut ctx = RequestCtx { head: &mut head, prefix_len: None, listener_port: 80, https: false };
    let Verdict::Reply(reply) = chain.on_request(&mut ctx) else { panic!("no redirect") };
    assert_eq!(fields(&reply.fields), "location: http://h/p; x-frame-options: DENY");
}

#[test]
fn bad_redirects_are_refused() {
    let field = |redirect| Chain::compile(&[Filter::Redirect(redirect)]).unwrap_err().field;
    assert_eq!(field(Redirect { status: 200, ..plain() }), "filters[0].status");
    assert_eq!(field(Redirect { status: 305, ..plain() }), "filters[0].status");
    assert_eq!(field(Redirect { scheme: Some("ftp".into()), ..plain() }), "filters[0].scheme");
    assert_eq!(field(Redirect { hostname: Some("a/b".into()), ..plain() }), "filters[0].hostname");
    assert_eq!(field(Redirect { hostname: Some("a\r\n".into()), ..plain() }), "filters[0].hostname");
    assert_eq!(field(Redirect { path: Some(PathRewrite::Full("/ ".into())), ..plain() }), "filters[0].path");
}
