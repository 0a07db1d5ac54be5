use super::*;
use crate::{Protocol, RejectReason};
use std::collections::{BTreeMap, BTreeSet};

const LISTENER: ListenerLabels<'_> = ListenerLabels { listener: "gateway/shop/edge/http", gateway: "shop/edge" };
const ROUTE: RouteLabels<'_> = RouteLabels { kind: "HTTPRoute", namespace: "shop", route: "cart", rule: "0" };

/// A strict reader of the text format: families with help and type before samples, each once, each series once.
#[derive(Default)]
struct Scrape {
    families: BTreeMap<String, (String, String)>,
    samples: BTreeMap<String, f64>,
    labels: BTreeMap<String, BTreeSet<String>>,
}

impl Scrape {
    fn of(registry: &Registry) -> Scrape {
        let mut text = String::new();
        registry.encode(&mut text);
        assert!(text.ends_with('\n'));
        let mut scrape = Scrape::default();
        let mut current = String::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').unwrap();
                let (typed, kind) = lines.next().unwrap().strip_prefix("# TYPE ").unwrap().split_once(' ').unwrap();
                assert_eq!(name, typed);
                let again = scrape.families.insert(name.into(), (kind.into(), help.into()));
                assert!(again.is_none(), "{name} comes twice");
                current = name.into();
                continue;
            }
            scrape.sample(line, &current);
        }
        scrape
    }

    fn sample(&mut self, line: &str, family: &str) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, parse_labels(labels.strip_suffix('}').unwrap())),
            None => (series, Vec::new()),
        };
        let suffix = name.strip_prefix(family).unwrap_or_else(|| panic!("{line} stands under {family}"));
        match self.families[family].0.as_str() {
            "histogram" => assert!(["_bucket", "_sum", "_count"].contains(&suffix), "{line}"),
            "summary" => assert!(["_sum", "_count"].contains(&suffix), "{line}"),
            "counter" => assert!(suffix.is_empty() && name.ends_with("_total"), "{line}"),
            "gauge" => assert!(suffix.is_empty() && !name.ends_with("_total"), "{line}"),
            kind => panic!("unknown type {kind}"),
        }
        self.labels.entry(family.into()).or_default().extend(labels.into_iter().filter(|name| name != "le"));
        assert!(self.samples.insert(series.into(), value).is_none(), "{series} comes twice");
    }

    fn value(&self, series: &str) -> f64 {
        *self.samples.get(series).unwrap_or_else(|| panic!("no {series} in {:#?}", self.samples))
    }
}

/// Label names; panics on bad quoting.
fn parse_labels(mut text: &str) -> Vec<String> {
    let mut names = Vec::new();
    while !text.is_empty() {
        let (name, rest) = text.split_once("=\"").unwrap();
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
        names.push(name.to_string());
        let mut escaped = false;
        let end = rest
            .bytes()
            .position(|b| {
                let end = b == b'"' && !escaped;
                escaped = b == b'\\' && !escaped;
                end
            })
            .unwrap();
        text = rest[end + 1..].strip_prefix(',').unwrap_or(&rest[end + 1..]);
    }
    names
}

/// A registry in which everything has counted something.
fn busy() -> (Arc<Registry>, Vec<Arc<dyn std::any::Any>>) {
    let registry = Registry::new(2);
    let listener = registry.listener(&LISTENER);
    listener.at(0).connections.inc();
    listener.at(1).connections.add(2);
    listener.at(1).connections_active.inc();
    listener.at(0).requests.inc(Protocol::Http2, 404);
    listener.at(0).rejects.inc(RejectReason::Malformed);
    for micros in [400, 700, 2_000_000, 70_000_000] {
        listener.at(0).duration.record(micros);
    }
    let route = registry.route(&ROUTE);
    route.at(0).requests.inc(200);
    route.at(1).requests.inc(200);
    route.at(1).duration_micros.add(1_500);
    let cluster = registry.cluster("service/shop/cart/80");
    cluster.at(0).requests.inc(503);
    cluster.at(0).auth_denied.inc();
    let endpoint = registry.endpoint("service/shop/cart/80", "10.0.0.1:8080");
    endpoint.at(0).requests.inc();
    registry.config_pushed(7, PushOutcome::Partial, 2);
    (registry, vec![listener, route, cluster, endpoint])
}

#[test]
fn encodes_sums_over_workers() {
    let (registry, _held) = busy();
    let scrape = Scrape::of(&registry);
    let listener = "listener=\"gateway/shop/edge/http\",gateway=\"shop/edge\"";
    assert_eq!(scrape.value(&format!("fairlead_listener_connections_total{{{listener}}}")), 3.0);
    assert_eq!(scrape.value(&format!("fairlead_listener_connections_active{{{listener}}}")), 1.0);
    assert_eq!(
        scrape.value(&format!("fairlead_listener_requests_total{{{listener},protocol=\"HTTP/2\",class=\"4xx\"}}")),
        1.0
    );
    assert_eq!(scrape.value(&format!("fairlead_listener_rejects_total{{{listener},reason=\"malformed\"}}")), 1.0);
    let route = "route=\"cart\",namespace=\"shop\",kind=\"HTTPRoute\",rule=\"0\"";
    assert_eq!(scrape.value(&format!("fairlead_route_requests_total{{{route},class=\"2xx\"}}")), 2.0);
    assert_eq!(scrape.value(&format!("fairlead_route_request_duration_seconds_sum{{{route}}}")), 0.0015);
    assert_eq!(scrape.value(&format!("fairlead_route_request_duration_seconds_count{{{route}}}")), 2.0);
    assert_eq!(scrape.value("fairlead_cluster_requests_total{cluster=\"service/shop/cart/80\",class=\"5xx\"}"), 1.0);
    assert_eq!(
        scrape.value("fairlead_endpoint_requests_total{cluster=\"service/shop/cart/80\",endpoint=\"10.0.0.1:8080\"}"),
        1.0
    );
    assert_eq!(scrape.value("fairlead_config_version"), 7.0);
    assert_eq!(scrape.value("fairlead_config_pushes_total{outcome=\"partial\"}"), 1.0);
    assert_eq!(scrape.value("fairlead_config_last_push_success"), 0.0);
    assert_eq!(scrape.value("fairlead_config_rejected_resources"), 2.0);
}

#[test]
fn histogram_buckets_are_cumulative() {
    let (registry, _held) = busy();
    let scrape = Scrape::of(&registry);
    let series = |suffix: &str, le: &str| {
        let le = if le.is_empty() { String::new() } else { format!(",le=\"{le}\"") };
        format!(
            "fairlead_listener_request_duration_seconds{suffix}{{listener=\"gateway/shop/edge/http\",gateway=\"shop/edge\"{le}}}"
        )
    };
    for (le, count) in [("0.0005", 1.0), ("0.001", 2.0), ("1", 2.0), ("2.5", 3.0), ("60", 3.0), ("+Inf", 4.0)] {
        assert_eq!(scrape.value(&series("_bucket", le)), count, "le={le}");
    }
    assert_eq!(scrape.value(&series("_count", "")), 4.0);
    assert_eq!(scrape.value(&series("_sum", "")), 72.0011);
}

#[test]
fn the_table_of_metrics_is_complete_and_right() {
    let (registry, _held) = busy();
    let scrape = Scrape::of(&registry);
    let mut table = BTreeMap::new();
    for row in include_str!("../../METRICS.md").lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let labels: BTreeSet<String> = cells[2]
            .split(',')
            .filter(|_| !cells[2].is_empty())
            .map(|l| l.trim())
            .filter(|l| l.starts_with('`'))
            .filter_map(label)
            .collect();
        table.insert(cells[0].trim_matches('`').to_string(), (cells[1].to_string(), cells[3].to_string(), labels));
    }
    for (name, (kind, help)) in &scrape.families {
        let (table_kind, table_help, table_labels) =
            table.get(name).unwrap_or_else(|| panic!("METRICS.md lacks {name}"));
        assert_eq!((kind, help), (table_kind, table_help), "{name}");
        let labels = &scrape.labels[name];
        assert!(labels.is_subset(table_labels), "{name} has {labels:?}, METRICS.md says {table_labels:?}");
    }
    for name in table.keys() {
        assert!(scrape.families.contains_key(name), "METRICS.md has {name}, the scrape has not");
    }
}

/// `` `by`: `client` `` → `by`
fn label(cell: &str) -> Option<String> {
    cell.split('`').nth(1).map(str::to_string)
}

#[test]
fn unused_routes_and_endpoints_are_left_out() {
    let registry = Registry::new(1);
    let _route = registry.route(&ROUTE);
    let _endpoint = registry.endpoint("c", "e");
    let _cluster = registry.cluster("c");
    let scrape = Scrape::of(&registry);
    assert!(!scrape.families.contains_key("fairlead_route_requests_total"));
    assert!(!scrape.families.contains_key("fairlead_endpoint_requests_total"));
    assert_eq!(scrape.value("fairlead_cluster_requests_active{cluster=\"c\"}"), 0.0);
    assert!(!scrape.labels.contains_key("fairlead_cluster_auth_total"), "it is no authorisation service");
    assert_eq!(scrape.value("fairlead_config_last_push_success"), 0.0, "before the first push");
}

#[test]
fn counters_survive_a_recompile_and_go_with_their_object() {
    let registry = Registry::new(1);
    let old = registry.route(&ROUTE);
    old.at(0).requests.inc(200);
    let new = registry.route(&ROUTE);
    drop(old);
    new.at(0).requests.inc(200);
    assert_eq!(new.total(|c| c.requests.total()), 2);
    drop(new);
    assert!(!Scrape::of(&registry).families.contains_key("fairlead_route_requests_total"));
}

#[test]
fn series_are_bounded() {
    let caps = Caps { routes: 3, ..Caps::default() };
    let registry = Registry::with(1, caps, BuildInfo { version: "1.2.3".into(), commit: "abc".into() });
    let held: Vec<_> = (0..10)
        .map(|i| {
            let rule = i.to_string();
            let route = registry.route(&RouteLabels { rule: &rule, ..ROUTE });
            route.at(0).requests.inc(200);
            route
        })
        .collect();
    let scrape = Scrape::of(&registry);
    let series = scrape.samples.keys().filter(|s| s.starts_with("fairlead_route_retries_total")).count();
    assert_eq!(series, 4);
    let other = "route=\"other\",namespace=\"\",kind=\"\",rule=\"\"";
    assert_eq!(scrape.value(&format!("fairlead_route_requests_total{{{other},class=\"2xx\"}}")), 7.0);
    assert_eq!(scrape.value("fairlead_metrics_merged_total{kind=\"route\"}"), 7.0);
    assert_eq!(scrape.value("fairlead_build_info{version=\"1.2.3\",commit=\"abc\"}"), 1.0);
    drop(held);
}

#[test]
fn hostile_labels_stay_in_their_quotes() {
    let registry = Registry::new(1);
    let _cluster = registry.cluster("a\"} 1\nb\\");
    let scrape = Scrape::of(&registry);
    assert_eq!(scrape.value("fairlead_cluster_connections_total{cluster=\"a\\\"} 1\\nb\\\\\"}"), 0.0);
}

#[test]
fn finds_what_is_held() {
    let (registry, _held) = busy();
    let endpoints = registry.find_endpoints("service/shop/cart/80");
    assert_eq!(endpoints.iter().map(|(address, _)| address.as_str()).collect::<Vec<_>>(), ["10.0.0.1:8080"]);
    assert_eq!(endpoints[0].1.total(|c| c.requests.value()), 1);
    assert!(registry.find_endpoints("service/shop/cart/8").is_empty(), "no prefix of another cluster's");
    assert_eq!(registry.find_cluster("service/shop/cart/80").unwrap().total(|c| c.requests.total()), 1);
    assert_eq!(registry.find_listener(&LISTENER).unwrap().total(|c| c.connections.value()), 3);
    assert!(registry.find_cluster("other").is_none());
}
