//! Over real sockets, with a client that knows nothing but TCP.

use super::*;
use fairlead_ir::{
    Address, Bind, Cluster, Config, Discovery, Endpoint, Endpoints, Fraction, HeaderValue, HttpSettings, Listener,
    ListenerProtocol, ListenerTls, LoadBalancing, Millis, Otlp, Protocol, Secret, Tracing,
};
use fairlead_telemetry::{BuildInfo, Caps, ListenerLabels, Registry};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

const KEY: &str = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n";

struct House {
    admin: Admin,
    registry: Arc<Registry>,
    readiness: watch::Sender<Readiness>,
    drains: Arc<AtomicUsize>,
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl House {
    fn new() -> House {
        let build = BuildInfo { version: "1.2.3".into(), commit: "abc".into() };
        let registry = Registry::with(1, Caps::default(), build);
        let (readiness, watch) = watch::channel(Readiness::Starting);
        let drains = Arc::new(AtomicUsize::new(0));
        let config = Arc::new(config());
        let level = Arc::new(Mutex::new("info".to_string()));
        let (counter, set) = (drains.clone(), level.clone());
        let state = AdminState {
            registry: registry.clone(),
            readiness: watch,
            config: Box::new(move || config.clone()),
            drain: Box::new(move || _ = counter.fetch_add(1, Ordering::SeqCst)),
            log_level: Box::new(move || level.lock().unwrap().clone()),
            set_log_level: Box::new(move |new| match new {
                "bad" => Err("no such level".into()),
                new => {
                    *set.lock().unwrap() = new.into();
                    Ok(())
                }
            }),
        };
        let admin = Admin::start("127.0.0.1:0".parse().unwrap(), state).unwrap();
        House { admin, registry, readiness, drains }
    }

    fn send(&self, request: &str) -> Answer {
        exchange(self.admin.address(), request)
    }

    fn call(&self, method: &str, target: &str) -> Answer {
        self.send(&format!("{method} {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"))
    }

    fn get(&self, target: &str) -> Answer {
        self.call("GET", target)
    }

    fn json(&self, target: &str) -> Value {
        let answer = self.get(target);
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert!(answer.head.contains("content-type: application/json\r\n"));
        serde_json::from_str(&answer.body).unwrap()
    }
}

fn exchange(address: SocketAddr, request: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: format!("{}\r\n", head.to_ascii_lowercase()), body: body.into() }
}

fn config() -> Config {
    let tracing = Tracing {
        cluster: "service/shop/otel/4317~h2".into(),
        protocol: Otlp::Grpc,
        authority: "otel.shop.svc:4317".into(),
        headers: vec![HeaderValue { name: "authorization".into(), value: "Bearer c2VjcmV0".into() }],
        service_name: "edge.shop".into(),
        span_name: None,
        rate: Fraction { numerator: 1, denominator: 100 },
        parent_rate: None,
        attributes: vec![],
    };
    let listener = Listener {
        id: "gateway/shop/edge/https".into(),
        gateway: "shop/edge".into(),
        bind: Bind::tcp(None, 443),
        protocol: ListenerProtocol::Https,
        hostname: Some("*.example.com".into()),
        tls: Some(ListenerTls { certificates: vec!["secret/shop/tls".into()], ..ListenerTls::default() }),
        http: HttpSettings { tracing: Some(Arc::new(tracing)), ..HttpSettings::default() },
        filters: None,
    };
    let cluster = |id: &str, discovery| Cluster {
        id: id.into(),
        protocol: Protocol::Http1,
        tls: None,
        discovery,
        load_balancing: LoadBalancing::default(),
        connect_timeout: Millis(5_000),
        idle_timeout: Millis(60_000),
        retry_budget: None,
    };
    let endpoint = |address: &str, weight| Endpoint {
        address: Address::Ip(address.parse().unwrap()),
        weight,
        zone: Some("a".into()),
    };
    let endpoints = Endpoints {
        id: "service/shop/cart/80".into(),
        endpoints: vec![endpoint("10.0.0.1:8080", 1), endpoint("10.0.0.2:8080", 3)],
    };
    let secret = Secret { id: "secret/shop/tls".into(), certificates: "CERT".into(), key: Some(KEY.into()) };
    let ca = Secret { id: "configmap/shop/ca".into(), certificates: "CA".into(), key: None };
    let mut config = Config::default();
    config.listeners.insert(listener.id.clone(), Arc::new(listener));
    for c in [
        cluster("service/shop/cart/80", Discovery::Endpoints("service/shop/cart/80".into())),
        cluster("backend/shop/far", Discovery::Dns { host: "far.example".into(), port: 443 }),
    ] {
        config.clusters.insert(c.id.clone(), Arc::new(c));
    }
    config.endpoints.insert(endpoints.id.clone(), Arc::new(endpoints));
    config.secrets.insert(secret.id.clone(), Arc::new(secret));
    config.secrets.insert(ca.id.clone(), Arc::new(ca));
    config
}

#[test]
fn ready_tells_why_not() {
    let house = House::new();
    let cases = [
        (Readiness::Starting, 503, "STARTING\n"),
        (Readiness::Live, 200, "LIVE\n"),
        (
            Readiness::ListenerDown("port 80: permission denied".into()),
            503,
            "LISTENER DOWN: port 80: permission denied\n",
        ),
        (Readiness::Draining, 503, "DRAINING\n"),
    ];
    for (readiness, status, body) in cases {
        house.readiness.send(readiness).unwrap();
        let answer = house.get("/ready");
        assert_eq!((answer.status, answer.body.as_str()), (status, body));
        assert_eq!(house.get("/live").status, 200, "alive in every state");
    }
}

#[test]
fn metrics_are_prometheus_text() {
    let house = House::new();
    let cluster = house.registry.cluster("service/shop/cart/80");
    cluster.at(0).retries.add(3);
    let answer = house.get("/metrics");
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: text/plain; version=0.0.4"), "{}", answer.head);
    assert!(answer.body.contains("\nfairlead_cluster_retries_total{cluster=\"service/shop/cart/80\"} 3\n"));
    assert!(answer.body.contains("\nfairlead_build_info{version=\"1.2.3\",commit=\"abc\"} 1\n"));
}

#[test]
fn config_is_yaml_without_keys() {
    let house = House::new();
    let answer = house.get("/config");
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: application/yaml\r\n"));
    assert!(!answer.body.contains("PRIVATE KEY") && !answer.body.contains("c2VjcmV0"), "{}", answer.body);
    assert!(answer.body.contains("redacted"));
    let mut expected = config();
    for secret in expected.secrets.values_mut() {
        let key = secret.key.as_ref().map(|_| "[redacted]".into());
        *secret = Arc::new(Secret { key, ..Secret::clone(secret) });
    }
    for listener in expected.listeners.values_mut() {
        let mut shown = Listener::clone(listener);
        let mut tracing = Tracing::clone(shown.http.tracing.as_ref().unwrap());
        tracing.headers[0].value = "[redacted]".into();
        shown.http.tracing = Some(Arc::new(tracing));
        *listener = Arc::new(shown);
    }
    assert_eq!(serde_saphyr::from_str::<Config>(&answer.body).unwrap(), expected, "what is shown is what is served");
    let json = house.get("/config?format=json");
    assert!(!json.body.contains("PRIVATE KEY"));
    assert_eq!(serde_json::from_str::<Config>(&json.body).unwrap(), expected);
}

#[test]
fn config_is_filtered() {
    let house = House::new();
    let ids = |target: &str| -> Vec<String> {
        let value = house.json(target);
        let kinds = value.as_object().unwrap().iter();
        kinds.flat_map(|(kind, map)| map.as_object().unwrap().keys().map(move |id| format!("{kind} {id}"))).collect()
    };
    assert_eq!(ids("/config?format=json&kind=secrets"), ["secrets configmap/shop/ca", "secrets secret/shop/tls"]);
    assert_eq!(ids("/config?format=json&name=far"), ["clusters backend/shop/far"]);
    assert_eq!(ids("/config?format=json&kind=clusters&name=shop%2Fcart"), ["clusters service/shop/cart/80"]);
    assert_eq!(house.get("/config?kind=pods").status, 400);
    assert!(house.get("/config?typo=1").body.contains("known: kind, name, format"));
}

#[test]
fn clusters_show_endpoints_with_their_numbers() {
    let house = House::new();
    let _cluster = house.registry.cluster("service/shop/cart/80");
    let near = house.registry.endpoint("service/shop/cart/80", "10.0.0.2:8080");
    near.at(0).requests.add(7);
    near.at(0).requests_active.inc();
    near.at(0).failures.add(2);
    let _resolved = house.registry.endpoint("backend/shop/far", "192.0.2.1:443");
    let text = house.get("/clusters").body;
    for line in [
        "service/shop/cart/80::protocol::http1",
        "service/shop/cart/80::10.0.0.1:8080::weight::1",
        "service/shop/cart/80::10.0.0.1:8080::rq_total::0",
        "service/shop/cart/80::10.0.0.2:8080::weight::3",
        "service/shop/cart/80::10.0.0.2:8080::zone::a",
        "service/shop/cart/80::10.0.0.2:8080::rq_total::7",
        "service/shop/cart/80::10.0.0.2:8080::rq_active::1",
        "service/shop/cart/80::10.0.0.2:8080::rq_error::2",
        "backend/shop/far::host::far.example:443",
        "backend/shop/far::192.0.2.1:443::weight::1",
    ] {
        assert_eq!(text.lines().filter(|l| *l == line).count(), 1, "{line} in\n{text}");
    }
    let json = house.json("/clusters?format=json&name=cart");
    assert_eq!(json.as_array().unwrap().len(), 1);
    assert_eq!(json[0]["endpoints"][1]["requests"], 7);
    assert_eq!(house.get("/clusters?name=none").body, "no clusters\n");
}

#[test]
fn listeners_and_routes_are_tables() {
    let house = House::new();
    let labels = ListenerLabels { listener: "gateway/shop/edge/https", gateway: "shop/edge" };
    let listener = house.registry.listener(&labels);
    listener.at(0).requests.inc(fairlead_telemetry::Protocol::Http2, 200);
    let text = house.get("/listeners").body;
    let row: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(
        row,
        ["gateway/shop/edge/https", "[::]:443", "HTTPS", "*.example.com", "secret/shop/tls", "0", "0", "1"]
    );
    assert_eq!(house.json("/listeners?format=json")[0]["requests"], 1);
    assert!(house.get("/routes").body.starts_with("LISTENER"));
    assert_eq!(house.json("/routes?format=json").as_array().unwrap().len(), 0);
}

#[test]
fn what_changes_something_wants_post() {
    let house = House::new();
    let refused = house.get("/drain");
    assert_eq!(refused.status, 405);
    assert!(refused.head.contains("allow: post\r\n"));
    assert_eq!(house.drains.load(Ordering::SeqCst), 0);
    assert_eq!(house.call("POST", "/drain").status, 202);
    assert_eq!(house.drains.load(Ordering::SeqCst), 1);
    for target in ["/metrics", "/config", "/"] {
        assert_eq!(house.call("POST", target).status, 405, "{target}");
        assert_eq!(house.call("DELETE", target).status, 405, "{target}");
    }
}

#[test]
fn log_level_is_shown_and_set() {
    let house = House::new();
    assert_eq!(house.get("/logging").body, "info\n");
    assert_eq!(house.get("/logging?level=debug").status, 405, "GET changes nothing");
    assert_eq!(house.get("/logging").body, "info\n");
    let set = house.call("POST", "/logging?level=info,fairlead_worker%3Ddebug");
    assert_eq!((set.status, set.body.as_str()), (200, "info,fairlead_worker=debug\n"));
    let bad = house.call("POST", "/logging?level=bad");
    assert_eq!((bad.status, bad.body.as_str()), (400, "level=bad: no such level\n"));
    assert_eq!(house.call("POST", "/logging").status, 400);
    assert_eq!(house.get("/logging").body, "info,fairlead_worker=debug\n");
}

#[test]
fn index_version_and_unknown_paths() {
    let house = House::new();
    let index = house.get("/");
    assert!(index.head.contains("content-type: text/html"));
    for path in [
        "/ready",
        "/live",
        "/metrics",
        "/config",
        "/routes",
        "/listeners",
        "/clusters",
        "/drain",
        "/logging",
        "/version",
    ] {
        assert!(index.body.contains(path), "{path}");
    }
    let version = house.json("/version");
    assert_eq!((&version["version"], &version["commit"]), (&Value::from("1.2.3"), &Value::from("abc")));
    let lost = house.get("/nowhere");
    assert_eq!(lost.status, 404);
    assert!(lost.body.contains("/metrics"));
}

#[test]
fn head_has_no_body_and_connections_are_kept() {
    let house = House::new();
    let head = house.call("HEAD", "/live");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert!(head.head.contains("content-length: 5\r\n"));
    let two =
        house.send("GET /live HTTP/1.1\r\nhost: localhost\r\n\r\nGET /version HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    assert_eq!(two.body.matches("HTTP/1.1 200").count(), 1, "the second answer follows the first");
}

#[test]
fn other_sites_are_refused() {
    let house = House::new();
    let call =
        |headers: &str| house.send(&format!("POST /drain HTTP/1.1\r\n{headers}connection: close\r\n\r\n")).status;
    assert_eq!(call("host: localhost:9901\r\norigin: https://evil.example\r\n"), 403);
    assert_eq!(call("host: localhost:9901\r\norigin: null\r\n"), 403);
    assert_eq!(call("host: evil.example\r\n"), 403, "a name that points at loopback");
    assert_eq!(house.drains.load(Ordering::SeqCst), 0);
    assert_eq!(call("host: localhost:9901\r\norigin: http://localhost:9901\r\n"), 202);
    assert_eq!(call("host: 127.0.0.1\r\n"), 202);
}

#[test]
fn ends_when_dropped_and_says_when_it_cannot_listen() {
    let house = House::new();
    let address = house.admin.address();
    let registry = house.registry.clone();
    let second = Admin::start(
        address,
        AdminState {
            registry,
            readiness: watch::channel(Readiness::Live).1,
            config: Box::new(Arc::default),
            drain: Box::new(|| ()),
            log_level: Box::new(String::new),
            set_log_level: Box::new(|_| Ok(())),
        },
    );
    let error = second.unwrap_err().to_string();
    assert!(error.contains(&address.to_string()), "{error}");
    drop(house);
    assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
}

#[test]
fn the_public_side_shows_no_configuration() {
    let house = House::new();
    let public = |readiness| PublicState { registry: house.registry.clone(), readiness };
    let admin = Admin::start_public("127.0.0.1:0".parse().unwrap(), public(house.readiness.subscribe())).unwrap();
    // Probes and scrapers come by any name, and from anywhere.
    let call = |method: &str, target: &str| {
        exchange(admin.address(), &format!("{method} {target} HTTP/1.1\r\nhost: proxy.shop.svc:15020\r\n\r\n"))
    };
    assert_eq!((call("GET", "/ready").status, call("GET", "/live").status), (503, 200));
    house.readiness.send(Readiness::Live).unwrap();
    let ready = call("GET", "/ready?verbose");
    assert_eq!((ready.status, ready.body.as_str()), (200, "LIVE\n"));
    assert!(ready.head.contains("connection: close\r\n"), "{}", ready.head);
    assert!(call("GET", "/metrics").body.contains("\nfairlead_build_info{"));
    assert_eq!(call("POST", "/ready").status, 405);
    for hidden in ["/", "/config", "/routes", "/clusters", "/logging", "/version", "/drain"] {
        assert_eq!((call("GET", hidden).status, call("POST", hidden).status), (404, 404), "{hidden}");
    }
    assert_eq!(house.drains.load(Ordering::SeqCst), 0);
}
