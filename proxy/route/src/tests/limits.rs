//! What is refused, and what it costs.

use super::{entry, exact, get, prefix, regex, route, table};
use crate::{Entry, Pattern, Probe, Table};
use fairlead_ir::{HeaderMatch, PathMatch, RouteMatch, StringMatch};

#[test]
fn a_bad_regular_expression_is_a_problem_of_its_route() {
    let bad =
        |m: RouteMatch| Entry::compile(&route("r/0", &[], vec![RouteMatch::default(), m]).into(), ()).unwrap_err();
    let problem = bad(regex("/(a"));
    assert_eq!(problem.field, "matches[1].path");
    assert_eq!(problem.to_string(), "matches[1].path: invalid regular expression: unclosed group at offset 1");
    let header = |pattern: &str| HeaderMatch { name: "x".into(), value: StringMatch::Regex(pattern.into()) };
    let headers = vec![header("ok"), header("[z-a]")];
    assert_eq!(bad(RouteMatch { headers, ..RouteMatch::default() }).field, "matches[1].headers[1].value");
    assert_eq!(bad(regex("a)|(b")).field, "matches[1].path", "what would balance inside a group does not here");
    assert!(bad(regex("(((a{100}){100}){100}){100}")).message.contains("too big"));
}

#[test]
fn a_relative_path_is_a_problem() {
    for path in [PathMatch::Exact("a".into()), PathMatch::Prefix("".into())] {
        let m = RouteMatch { path: Some(path), ..RouteMatch::default() };
        assert_eq!(Entry::compile(&route("r/0", &[], vec![m]).into(), ()).unwrap_err().field, "matches[0].path");
    }
}

#[test]
fn classes_are_ascii_unless_the_pattern_names_unicode() {
    let matches = |pattern: &str, value: &str| Pattern::compile(pattern).unwrap().matches(value.as_bytes());
    assert!(matches(r"\d+", "123"));
    assert!(!matches(r"\d+", "١٢٣"));
    assert!(matches("(?i)ABC", "aBc"));
    assert!(matches("é+", "éé"));
    assert!(matches(r"\p{Greek}+", "αβγ"));
    assert!(!matches(r"\p{Greek}+", "abc"));
    assert!(matches("[é-ü]", "ö"));
    assert!(matches("", ""));
    assert!(!matches("", "x"));
    assert!(matches("(?m)a$\n^b", "a\nb"));
    assert!(matches("(?x) a b # comment", "ab"));
    assert!(Pattern::compile("a.*b").unwrap().matches(b"a\xff\x00b"), "values are bytes");
}

/// The engine that takes over when an automaton would be too big gives the same answers.
#[test]
fn big_patterns_go_to_the_general_engine() {
    let pattern = Pattern::compile("(a|b)*a(a|b){12}").unwrap();
    assert!(format!("{pattern:?}").contains("general"), "{pattern:?}");
    assert!(pattern.matches(b"ba".repeat(20).as_slice()));
    assert!(!pattern.matches(b"abbbbbbbbbbbb!"));
    assert!(!pattern.matches(b"b".repeat(40).as_slice()));
    assert!(format!("{:?}", Pattern::compile(r"/api/v\d+/users/[^/]+").unwrap()).contains("automaton"));
}

#[test]
fn nothing_grows_with_hostile_requests() {
    let table = table(&[route("r/0", &["*.example.com"], vec![prefix("/a/b"), prefix("/")])]);
    let request = Probe { host: format!("{}example.com", "a.".repeat(10_000)), path: "/a".repeat(10_000), ..get("h/") };
    assert_eq!(table.find(&request).unwrap().match_index, 1);
    let request = Probe { path: format!("/a/b{}", "/".repeat(10_000)), ..request };
    assert_eq!(table.find(&request).unwrap().match_index, 0);
}

/// The design allows 4 KiB per route for everything; the index takes a small part of it.
#[test]
fn the_index_is_small() {
    let one_host: Vec<_> =
        (0..10_000).map(|i| route(&format!("r{i}/0"), &["h"], vec![prefix(&format!("/service-{i}/api"))])).collect();
    let per_route = table(&one_host).memory() / one_host.len();
    assert!(per_route <= 96, "{per_route} bytes per route on one host");
    let hosts: Vec<_> =
        (0..10_000).map(|i| route(&format!("r{i}/0"), &[&format!("host-{i}.example.com")], vec![exact("/")])).collect();
    let per_route = table(&hosts).memory() / hosts.len();
    assert!(per_route <= 512, "{per_route} bytes per route with a host of its own");
    let pattern = Pattern::compile(r"/api/v[0-9]+/users/[^/]+/orders/\d+").unwrap();
    assert!(pattern.memory() <= 1536, "{} bytes for a usual pattern", pattern.memory());
}

#[test]
fn an_empty_table_takes_nothing() {
    let empty: Table<()> = Table::default();
    assert!(empty.find(&get("h/")).is_none());
    assert!(empty.is_empty());
    assert_eq!(empty.update(&["x".into()], []).len(), 0);
}

#[test]
fn the_last_of_two_entries_with_an_id_counts() {
    let table = Table::build([entry(&route("r/0", &["a"], vec![])), entry(&route("r/0", &["b"], vec![]))]);
    assert_eq!(table.len(), 1);
    assert!(table.find(&get("a/")).is_none());
    assert!(table.find(&get("b/")).is_some());
}

#[test]
fn tables_are_shared_by_workers() {
    fn shared<T: Send + Sync>() {}
    shared::<Table<String>>();
    shared::<crate::ListenerIndex<String>>();
    shared::<crate::Split>();
}
