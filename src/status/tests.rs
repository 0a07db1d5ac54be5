//! Rows from objects, and all of it from the API server of the tests.

use super::*;
use clap::Parser as _;
use fairlead_watch::testing::Server;
use serde_json::json;

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

#[test]
fn rows_of_a_gateway_take_what_the_listener_says() {
    let gateway = json!({
        "metadata": {"namespace": "shop", "name": "web"},
        "spec": {"listeners": [{"name": "http", "port": 80, "protocol": "HTTP", "hostname": "*.example.com"}]},
        "status": {
            "addresses": [{"value": "10.0.0.1"}],
            "listeners": [{"name": "http", "attachedRoutes": 3, "conditions": [
                {"type": "Accepted", "status": "True", "reason": "Accepted"},
                {"type": "Conflicted", "status": "False", "reason": "NoConflicts"},
                {"type": "ResolvedRefs", "status": "False", "reason": "InvalidCertificateRef"},
            ]}],
        },
    });
    let rows = rows(&gateway, "");
    assert_eq!((rows[0].gateway.as_str(), rows[0].port, rows[0].attached_routes), ("shop/web", 80, 3));
    assert_eq!(rows[0].addresses, ["10.0.0.1"]);
    assert_eq!(table::words(&rows[0].conditions), "not ResolvedRefs (InvalidCertificateRef)");
}

#[test]
fn routes_of_other_controllers_are_left_out() {
    let route = |controller: &str| {
        json!({
            "metadata": {"namespace": "shop", "name": "cart"},
            "spec": {"rules": [{}, {}]},
            "status": {"parents": [{"controllerName": controller, "parentRef": {"name": "web"}, "conditions": [
                {"type": "Accepted", "status": "True", "reason": "Accepted"}]}]},
        })
    };
    assert!(route_row(Kind::HTTPRoute, &route("other"), "ours").is_none());
    let row = route_row(Kind::HTTPRoute, &route("ours"), "ours").unwrap();
    assert_eq!((row.parents[0].as_str(), row.rules), ("shop/web", 2));
}

#[test]
fn a_proxy_that_is_behind_is_not_well() {
    let proxy = |version| Proxy { pod: "p".into(), version, ..Proxy::default() };
    let report = |version| Report {
        classes: vec![ClassRow { name: "fairlead".into(), conditions: vec![] }],
        view: View { listeners: vec![], routes: vec![] },
        proxies: Some(vec![GatewayProxies { gateway: "a/b".into(), version: 3, proxies: vec![proxy(version)] }]),
        problem: None,
        standby: vec![],
    };
    assert!(report(3).is_well());
    assert!(!report(2).is_well());
    assert!(text(&report(2)).contains("version 3 on 0 of 1 proxy\n"), "{}", text(&report(2)));
}

#[test]
fn an_installation_that_stands_by_is_named() {
    let answer = r#"{"leads": false, "holder": null, "otherInstallation": "old"}"#;
    let found = standby("new", "new", answer).unwrap();
    assert_eq!(standby("old", "new", answer), Some(found.clone()), "who leads is told of the other one");
    assert_eq!(standby("third", "new", answer), None, "of no matter to a third one");
    let leader = r#"{"leads": true, "holder": null, "otherInstallation": null}"#;
    assert_eq!((standby("old", "old", leader), standby("old", "old", "")), (None, None));
    let report = Report {
        classes: vec![ClassRow { name: "fairlead".into(), conditions: vec![] }],
        view: View { listeners: vec![], routes: vec![] },
        proxies: Some(vec![]),
        problem: None,
        standby: vec![found],
    };
    assert!(!report.is_well());
    let line = "standby: the installation in new does nothing: that in old is older and has the same controllerName; ";
    assert!(text(&report).contains(line), "{}", text(&report));
}

fn condition(kind: &str, status: &str, reason: &str) -> Value {
    json!({"type": kind, "status": status, "reason": reason})
}

/// A class, a Gateway with a listener, a route to it, and a route of somebody else.
fn cluster(server: &Server) {
    const API: &str = "gateway.networking.k8s.io/v1";
    const OURS: &str = "fairlead.dev/gateway-controller";
    let well = [condition("Accepted", "True", "Accepted"), condition("ResolvedRefs", "True", "ResolvedRefs")];
    server.put(json!({
        "apiVersion": API, "kind": "GatewayClass", "metadata": {"name": "fairlead"}, "spec": {"controllerName": OURS},
        "status": {"conditions": [condition("Accepted", "True", "Accepted")]},
    }));
    server.put(json!({
        "apiVersion": API, "kind": "Gateway", "metadata": {"namespace": "shop", "name": "web"},
        "spec": {"gatewayClassName": "fairlead", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]},
        "status": {
            "addresses": [{"value": "192.0.2.10"}],
            "listeners": [{"name": "http", "attachedRoutes": 1, "conditions": well}],
        },
    }));
    for parent in ["web", "foreign"] {
        server.put(json!({
            "apiVersion": API, "kind": "ListenerSet", "metadata": {"namespace": "shop", "name": format!("of-{parent}")},
            "spec": {"parentRef": {"name": parent}, "listeners": [{"name": "more", "port": 81, "protocol": "HTTP"}]},
            "status": {"conditions": [condition("Accepted", "True", "Accepted")]},
        }));
    }
    for (name, controller) in [("cart", OURS), ("foreign", "example.com/other")] {
        server.put(json!({
            "apiVersion": API, "kind": "HTTPRoute", "metadata": {"namespace": "shop", "name": name},
            "spec": {"parentRefs": [{"name": "web"}], "rules": [{}]},
            "status": {"parents": [{"controllerName": controller, "parentRef": {"name": "web"}, "conditions": well}]},
        }));
    }
}

#[tokio::test]
async fn a_cluster_is_told_of_even_without_its_controller() {
    let server = Server::with_all_kinds().await;
    cluster(&server);
    let report = report(&Live::new(server.client()), &Line::parse_from(["status"]).args).await.unwrap();
    let expected = "\
GatewayClass fairlead: Accepted

GATEWAY                  LISTENER  PROTOCOL  PORT  ADDRESS     HOST  ROUTES  CONDITIONS
shop/web                 http      HTTP      80    192.0.2.10  *     1       Accepted ResolvedRefs
ListenerSet shop/of-web  more      HTTP      81                *     0       Accepted

ROUTE                HOSTS  PARENTS   RULES  CONDITIONS
HTTPRoute shop/cart  *      shop/web  1      Accepted ResolvedRefs

proxies unknown: no controller pod in fairlead-system; give --controller-namespace
";
    assert_eq!(text(&report), expected);
    assert!(!report.is_well(), "nobody says who serves it");
    assert!(server.writes().is_empty());
}

#[tokio::test]
async fn only_the_namespace_that_is_asked_for_is_told_of() {
    let server = Server::with_all_kinds().await;
    cluster(&server);
    let live = Live::new(server.client());
    let report = report(&live, &Line::parse_from(["status", "-n", "other"]).args).await.unwrap();
    assert!(report.view.listeners.is_empty() && report.view.routes.is_empty());
    assert_eq!(report.classes.len(), 1);
}
