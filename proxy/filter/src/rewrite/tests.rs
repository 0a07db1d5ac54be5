use crate::tests::{Fix, request, run};
use crate::{Chain, RequestCtx};
use fairlead_http::RequestHead;
use fairlead_ir::{Filter, HostRewrite, PathRewrite, Rewrite};

fn path(change: PathRewrite) -> Filter {
    Filter::Rewrite(Rewrite { hostname: None, path: Some(change) })
}

fn host(change: HostRewrite) -> Filter {
    Filter::Rewrite(Rewrite { hostname: Some(change), path: None })
}

fn rewritten(filters: &[Filter], mut head: RequestHead, prefix_len: Option<usize>) -> String {
    assert!(run(&Chain::compile(filters).unwrap(), &mut head, prefix_len).is_none());
    String::from_utf8([head.authority(), head.path_and_query()].concat()).unwrap()
}

/// conformance: HTTPRouteRewritePath
#[test]
fn paths_change_and_the_query_stays() {
    let prefix = |replacement: &str| [path(PathRewrite::Prefix(replacement.into()))];
    assert_eq!(rewritten(&prefix("/one"), request("GET", "h/prefix/one/two"), Some(11)), "h/one/two");
    assert_eq!(rewritten(&prefix("/"), request("GET", "h/strip-prefix/three?q=1"), Some(13)), "h/three?q=1");
    assert_eq!(rewritten(&prefix("/"), request("GET", "h/strip-prefix?q=1"), Some(13)), "h/?q=1");
    assert_eq!(
        rewritten(&[path(PathRewrite::Full("/one".into()))], request("GET", "h/full/one/two?"), Some(9)),
        "h/one?"
    );
    let regex = PathRewrite::Regex { pattern: r"^/api/(\d+)".into(), substitution: r"/v\1".into() };
    assert_eq!(rewritten(&[path(regex)], request("GET", "h/api/7/x?/api/8"), None), "h/v7/x?/api/8");
}

#[test]
fn a_path_that_brings_a_query_replaces_it() {
    assert_eq!(rewritten(&[path(PathRewrite::Full("/one?a=b".into()))], request("GET", "h/x?y=z"), None), "h/one?a=b");
}

#[test]
fn nothing_changes_where_nothing_matches() {
    let regex = PathRewrite::Regex { pattern: "^/nope".into(), substitution: "/x".into() };
    assert_eq!(rewritten(&[path(regex)], request("GET", "h/p?q"), None), "h/p?q");
    assert_eq!(rewritten(&[path(PathRewrite::Prefix("/x".into()))], request("GET", "h/p?q"), None), "h/p?q");
}

/// A backend's rewrite works on what the rule's left.
#[test]
fn rewrites_follow_one_another() {
    let two = [path(PathRewrite::Prefix("/longer/than/before".into())), path(PathRewrite::Prefix("/b".into()))];
    assert_eq!(rewritten(&two, request("GET", "h/a/rest"), Some(2)), "h/b/rest");
    let two = [path(PathRewrite::Full("/full".into())), path(PathRewrite::Prefix("/b".into()))];
    assert_eq!(rewritten(&two, request("GET", "h/a/rest"), Some(2)), "h/full");
}

/// conformance: HTTPRouteRewriteHost
#[test]
fn hosts_change() {
    assert_eq!(
        rewritten(&[host(HostRewrite::Name("one.example.org".into()))], request("GET", "h:8080/p"), None),
        "one.example.org/p"
    );
    let from_header = || [host(HostRewrite::Header("x-host".into()))];
    let with = |value: &str| request("GET", "h/p").with(&[("x-host", value)]);
    assert_eq!(rewritten(&from_header(), with("other.example:81"), None), "other.example:81/p");
    assert_eq!(rewritten(&from_header(), with("not a host"), None), "h/p");
    assert_eq!(rewritten(&from_header(), request("GET", "h/p"), None), "h/p");
}

#[test]
fn the_chain_tells_what_it_leaves_to_others() {
    let chain = Chain::compile(&[host(HostRewrite::Backend)]).unwrap();
    assert!(chain.takes_backend_host() && !chain.rewrites_path());
    let mut head = request("GET", "h/p");
    chain.on_request(&mut RequestCtx { head: &mut head, prefix_len: None, listener_port: 80, https: false });
    assert_eq!(head.authority(), b"h");
    let chain = Chain::compile(&[path(PathRewrite::Full("/x".into()))]).unwrap();
    assert!(!chain.takes_backend_host() && chain.rewrites_path() && !chain.is_empty());
}

#[test]
fn bad_rewrites_are_refused() {
    let field = |filter| Chain::compile(&[filter]).unwrap_err().field;
    assert_eq!(field(host(HostRewrite::Name("a b".into()))), "filters[0].hostname");
    assert_eq!(field(host(HostRewrite::Header(":authority".into()))), "filters[0].hostname");
    assert_eq!(field(path(PathRewrite::Full("/\n".into()))), "filters[0].path");
}
