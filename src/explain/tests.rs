//! Against the API server of the tests: a cluster's answer is that of the same objects in files.

use super::*;
use clap::Parser as _;
use fairlead_crds::Kind;
use fairlead_store::{Files, Settings as Manifests};
use fairlead_watch::testing::Server;
use serde_json::{Value, json};

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

fn args(line: &str) -> Args {
    Line::parse_from(std::iter::once("explain").chain(line.split(' '))).args
}

/// An API server with the objects of a folder of `testdata/explain`, and the class that files need not have.
async fn cluster(case: &str) -> (Server, World) {
    let files = Files::open(Manifests::new([format!("src/testdata/explain/{case}")]), |_| {});
    let world = files.change().world;
    let server = Server::with_all_kinds().await;
    for (kind, (key, entry)) in Kind::ALL.iter().flat_map(|kind| world.entries(*kind).map(move |entry| (*kind, entry)))
    {
        if entry.source.is_some() {
            let mut value = entry.object.to_value().unwrap();
            value["apiVersion"] = api_version(kind).into();
            value["kind"] = kind.as_str().into();
            if kind == Kind::Secret {
                value["type"] = "kubernetes.io/tls".into();
            }
            assert_eq!(value["metadata"]["name"], *key.name);
            server.put(value);
        }
    }
    server.put(json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": {"name": "fairlead"},
        "spec": {"controllerName": "fairlead.dev/gateway-controller"},
    }));
    (server, world)
}

fn api_version(kind: Kind) -> String {
    match kind.group() {
        "" => kind.version().to_owned(),
        group => format!("{group}/{}", kind.version()),
    }
}

async fn ask(server: &Server, line: &str) -> anyhow::Result<Told> {
    Box::pin(of_cluster(&Live::new(server.client()), &args(line))).await
}

/// Without the places in files.
fn bare(answer: &Answer) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.remove("place");
                fields.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut value = serde_json::to_value(answer).unwrap();
    strip(&mut value);
    value
}

#[tokio::test]
async fn a_cluster_answers_as_its_manifests_do() {
    for case in ["shop", "connections"] {
        let (server, world) = cluster(case).await;
        let requests = std::fs::read_to_string(format!("src/testdata/explain/{case}/requests.txt")).unwrap();
        for line in requests.lines() {
            let told = ask(&server, &format!("--live {line}")).await.unwrap();
            assert_eq!(told.notes, Vec::<String>::new(), "{line}");
            let of_files = answer(&args(&format!("-f . {line}")), &world).unwrap();
            assert_eq!(bare(&told.answer), bare(&of_files), "{case}: {line}");
        }
        assert!(server.writes().is_empty(), "it only reads");
    }
}

fn gateway(name: &str, host: Option<&str>, address: &str) -> Value {
    let mut listener = json!({"name": "http", "port": 80, "protocol": "HTTP"});
    if let Some(host) = host {
        listener["hostname"] = host.into();
    }
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
        "metadata": {"namespace": "shop", "name": name, "managedFields": [{"manager": "x"}]},
        "spec": {"gatewayClassName": "fairlead", "listeners": [listener]},
        "status": {"addresses": [{"type": "IPAddress", "value": address}]},
    })
}

fn route(parent: &str, host: &str) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"namespace": "shop", "name": format!("to-{parent}")},
        "spec": {"parentRefs": [{"name": parent}], "hostnames": [host], "rules": [{}]},
    })
}

/// Gateways `a` and `b` on port 80 of their own addresses, each with a route, and `c` for one host.
async fn gateways() -> Server {
    let (server, _) = cluster("shop").await;
    server.delete("gateways", "shop", "web");
    server.put(gateway("a", None, "192.0.2.1"));
    server.put(gateway("b", None, "192.0.2.2"));
    server.put(gateway("c", Some("c.example.com"), "192.0.2.3"));
    for (parent, host) in [("a", "a.example.com"), ("b", "b.example.com")] {
        server.put(route(parent, host));
    }
    server
}

fn door(told: &Told) -> &str {
    told.answer.listener.as_ref().map(|door| door.name.as_str()).unwrap_or_default()
}

#[tokio::test]
async fn the_gateway_with_a_route_for_the_request_is_asked() {
    let server = gateways().await;
    let told = ask(&server, "--live http://b.example.com/").await.unwrap();
    assert_eq!(door(&told), "Gateway shop/b, listener http");
    let note = "port 80 is served by shop/a, shop/c too; --gateway asks another than shop/b";
    assert_eq!(told.notes, [note]);
    assert!(told.answer.route.is_some());

    let told = ask(&server, "--live --gateway shop/a http://b.example.com/").await.unwrap();
    assert_eq!((door(&told), told.answer.route.is_some()), ("Gateway shop/a, listener http", false));
    assert!(told.notes.is_empty());
    let elsewhere = &told.answer.near_misses[0];
    assert!(elsewhere.why.ends_with("attached to gateway/shop/b/http only"), "{elsewhere:?}");
}

#[tokio::test]
async fn an_address_tells_gateways_apart() {
    let server = gateways().await;
    for line in ["--address 192.0.2.1 http://x.example.com/", "http://192.0.2.1/ -H host:x.example.com"] {
        let told = ask(&server, &format!("--live {line}")).await.unwrap();
        assert_eq!(door(&told), "Gateway shop/a, listener http", "{line}");
    }
    let error = ask(&server, "--live --address 192.0.2.9 http://x.example.com/").await.err().unwrap();
    assert_eq!(error.to_string(), "no Gateway with the address 192.0.2.9 serves HTTP on port 80");
}

#[tokio::test]
async fn what_can_be_meant_in_two_ways_is_asked_back() {
    let server = gateways().await;
    let error = ask(&server, "--live http://x.example.com/").await.err().unwrap();
    let expected =
        "shop/a, shop/b listen on port 80: say with --gateway, or --address, which of them the request comes in on";
    assert_eq!(error.to_string(), expected);
    let error = ask(&server, "--live --gateway shop/z http://x/").await.err().unwrap();
    let expected = "--gateway shop/z: no such Gateway is served here; there is shop/a, shop/b, shop/c";
    assert_eq!(error.to_string(), expected);
    let told = ask(&server, "--live http://x.example.com:81/").await.unwrap();
    assert_eq!(told.answer.outcome, "no connection: no listener serves HTTP on port 81; there is HTTP on 80");
}

#[tokio::test]
async fn what_may_not_be_read_is_left_out_and_told() {
    let (server, _) = cluster("shop").await;
    server.deny("secrets");
    let told = ask(&server, "--live http://shop.example.com/cart").await.unwrap();
    assert!(told.answer.route.is_some());
    assert!(told.notes.len() == 1 && told.notes[0].starts_with("left out: "), "{:?}", told.notes);
    assert!(told.notes[0].contains("secrets"), "{:?}", told.notes);

    let mut broken = route("web", "x.example.com");
    broken["spec"]["hostnames"] = "no list".into();
    server.put(broken);
    let told = ask(&server, "--live http://shop.example.com/cart").await.unwrap();
    assert!(told.notes[0].starts_with("left out: HTTPRoute shop/to-web: spec.hostnames: "), "{:?}", told.notes);

    server.delete("gatewayclasses", "", "fairlead");
    let told = ask(&server, "--live http://shop.example.com/cart").await.unwrap();
    assert!(told.answer.route.is_none());
    assert!(told.notes.iter().any(|note| note.starts_with("there is no GatewayClass")), "{:?}", told.notes);
}

#[tokio::test]
async fn secrets_of_any_type_are_read_when_something_refers_to_them() {
    let server = gateways().await;
    let ca = rcgen::generate_simple_self_signed(["ca.example".to_owned()]).unwrap().cert.pem();
    let secret = |name: &str, sort: &str| json!({ "apiVersion": "v1", "kind": "Secret", "type": sort, "metadata": { "namespace": "shop", "name": name }, "stringData": { "ca.crt": ca } });
    server.put(json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "namespace": "shop", "name": "s" }, "spec": { "ports": [{ "port": 443 }] } }));
    server.put(secret("other", "Opaque"));
    let reference = json!({ "group": "", "kind": "Secret", "name": "ca" });
    server.put(json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "BackendTLSPolicy", "metadata": { "namespace": "shop", "name": "p" },
        "spec": { "targetRefs": [{ "group": "", "kind": "Service", "name": "s" }], "validation": { "hostname": "s.example", "caCertificateRefs": [reference] } },
    }));
    let mut to_service = route("b", "tls.example.com");
    to_service["metadata"]["name"] = "to-service".into();
    to_service["spec"]["rules"] = json!([{ "backendRefs": [{ "name": "s", "port": 443 }] }]);
    server.put(to_service);
    let mut answers = Vec::new();
    for sort in ["", "kubernetes.io/tls", "Opaque"] {
        server.delete("secrets", "shop", "ca");
        if !sort.is_empty() {
            server.put(secret("ca", sort));
        }
        answers.push(bare(&ask(&server, "--live http://tls.example.com/").await.unwrap().answer));
    }
    assert_eq!(answers[1], answers[2]);
    assert_ne!(answers[0], answers[1], "without its CA the backend can't be reached");
    assert!(!server.requests().iter().any(|request| request.path.ends_with("/secrets/other")));
}

#[tokio::test]
async fn namespaces_can_be_restricted() {
    let (server, _) = cluster("shop").await;
    server.clear_requests();
    let told = ask(&server, "--live -n shop http://shop.example.com/cart").await.unwrap();
    assert!(told.answer.route.is_some());
    let whole = |request: &fairlead_watch::testing::Request| request.path.ends_with("/v1/httproutes");
    assert!(server.requests().iter().any(|request| request.path.contains("/namespaces/shop/httproutes")));
    assert!(!server.requests().iter().any(|request| whole(request) && !request.path.contains("/namespaces/")));
}

#[tokio::test]
async fn a_server_that_is_away_is_an_error() {
    let server = Server::with_all_kinds().await;
    server.down().await;
    let error = ask(&server, "--live http://shop.example.com/cart").await.err().unwrap();
    assert!(format!("{error:#}").contains("GET /api"), "{error:#}");
}

#[test]
fn files_or_a_cluster_must_be_named() {
    let error = tell(&args("http://shop.example.com/")).err().unwrap();
    assert!(error.to_string().contains("-f PATH, or --live"), "{error}");
    assert!(Line::try_parse_from(["explain", "-f", ".", "--live", "http://x/"]).is_err(), "not both");
}
