//! Traces through real workers and real sockets: what backends are told, what collectors get, and what is not touched.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use fairlead_ir as ir;
use fairlead_telemetry::trace::otlp::{SpanKind, StatusCode};
use fairlead_testkit::tracing::{Collected, Collector};
use fairlead_testkit::{Act, Backend, House, Request, config, wait_until};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

/// A proxy with one listener, one rule for `/api`, and a collector.
struct Proxy(House);

fn share(numerator: u32, denominator: u32) -> ir::Fraction {
    ir::Fraction { numerator, denominator }
}

fn tracing() -> ir::Tracing {
    ir::Tracing {
        cluster: "spans".into(),
        protocol: ir::Otlp::Grpc,
        authority: "collector.default.svc:4317".into(),
        headers: vec![ir::HeaderValue { name: "x-key".into(), value: "secret".into() }],
        service_name: "gw.default".into(),
        span_name: None,
        rate: share(1, 1),
        parent_rate: Some(share(1, 1)),
        attributes: vec![],
    }
}

fn endpoints(id: &str, addresses: &[SocketAddr]) -> ir::Resource {
    config::endpoints(id, addresses).into()
}

fn listener(tracing: Option<ir::Tracing>) -> ir::Resource {
    let http = ir::HttpSettings { tracing: tracing.map(Arc::new), ..ir::HttpSettings::default() };
    ir::Listener { http, ..config::listener("l") }.into()
}

fn rule() -> ir::Route {
    let path = Some(ir::PathMatch::Prefix("/api".into()));
    ir::Route { matches: vec![ir::RouteMatch { path, ..Default::default() }], ..config::route("r", &[("c", 1)]) }
}

impl Proxy {
    fn start(
        tracing: Option<ir::Tracing>,
        rule: ir::Route,
        backends: &[SocketAddr],
        collectors: &[SocketAddr],
    ) -> Proxy {
        let mut all = config::reaching("c", backends);
        all.extend(config::reaching("spans", collectors));
        all.extend([rule.into(), listener(tracing)]);
        Proxy(House::start(all))
    }

    fn push(&self, upserts: Vec<ir::Resource>) {
        self.0.push(upserts, vec![]);
    }

    /// One request on a connection of its own; the status.
    fn get(&self, path: &str, fields: &str) -> u16 {
        let mut wire = self.0.wire();
        wire.send(format!("GET {path} HTTP/1.1\r\nHost: shop.example.com:8080\r\n{fields}\r\n"));
        wire.response(false).expect("an answer").status
    }

    /// The series must be there.
    fn metric(&self, series: &str) -> f64 {
        assert!(self.0.metrics().contains(&format!("\n{series} ")), "{series}");
        self.0.metric(series)
    }
}

/// The server's span, then the clients'.
fn sorted(mut spans: Vec<Collected>) -> Vec<Collected> {
    spans.sort_by_key(|s| (s.span.kind, s.span.start_time_unix_nano));
    spans
}

fn last(backend: &Backend) -> Request {
    backend.take().requests.pop().expect("a request")
}

#[test]
fn a_request_gives_a_server_span_and_one_of_its_attempt() {
    let (backend, collector) = (Backend::answering(), Collector::start());
    let attribute = |name: &str, source| ir::SpanAttribute { name: name.into(), source };
    let wanted = ir::Tracing {
        attributes: vec![
            attribute("env", ir::SpanSource::Literal("test".into())),
            attribute("user", ir::SpanSource::Header("x-user".into())),
            attribute("length", ir::SpanSource::Header("content-length".into())),
            attribute("future", ir::SpanSource::Fact("not.known.yet".into())),
        ],
        ..tracing()
    };
    let proxy = Proxy::start(Some(wanted), rule(), &[backend.address], &[collector.address]);
    assert_eq!(proxy.get("/api/7?x=1", "X-User: ada\r\nUser-Agent: test\r\n"), 200);
    let [server, client] = &sorted(collector.take(2))[..] else { panic!("two spans") };
    assert_eq!((server.service.as_str(), server.span.name.as_str()), ("gw.default", "GET /api"));
    assert_eq!((server.span.kind(), client.span.kind()), (SpanKind::Server, SpanKind::Client));
    assert_eq!((server.parent(), client.parent()), (String::new(), server.id()));
    assert_eq!(server.trace(), client.trace());
    for (key, value) in [
        ("url.path", "/api/7"),
        ("url.query", "x=1"),
        ("http.route", "/api"),
        ("server.address", "shop.example.com"),
        ("server.port", "8080"),
        ("client.address", "127.0.0.1"),
        ("http.response.status_code", "200"),
        ("fairlead.route", "httproute/default/r/0"),
        ("fairlead.cluster", "c"),
        ("env", "test"),
        ("user", "ada"),
        ("length", "2"),
        ("future", ""),
    ] {
        assert_eq!(server.attribute(key), value, "{key}");
    }
    assert_eq!((client.attribute("user"), client.attribute("http.response.status_code")), ("ada".into(), "200".into()));
    assert_eq!(client.attribute("network.peer.port"), backend.address.port().to_string());
    assert_eq!(client.attribute("url.full"), "http://shop.example.com:8080/api/7?x=1");
    let (s, c) = (&server.span, &client.span);
    assert!(s.start_time_unix_nano <= c.start_time_unix_nano && c.end_time_unix_nano <= s.end_time_unix_nano);
    assert!(s.start_time_unix_nano < s.end_time_unix_nano && s.status.is_none());
    assert_eq!(last(&backend).headers("traceparent"), [format!("00-{}-{}-01", client.trace(), client.id())]);
    let head = &collector.heads()[0];
    assert_eq!(
        (&head["x-key"], &head["content-type"], &head["te"]),
        (&"secret".parse().unwrap(), &"application/grpc".parse().unwrap(), &"trailers".parse().unwrap())
    );
    wait_until(Duration::from_secs(5), "the count", || {
        (proxy.metric("fairlead_trace_exported_spans_total{outcome=\"exported\"}") == 2.0).then_some(())
    });
    assert_eq!(proxy.metric("fairlead_trace_spans_total{worker=\"0\"}"), 2.0);
    assert_eq!(proxy.metric("fairlead_trace_exports_total{outcome=\"failed\"}"), 0.0);
}

#[test]
fn a_clients_trace_goes_on() {
    let (backend, collector) = (Backend::answering(), Collector::start());
    let proxy = Proxy::start(Some(tracing()), rule(), &[backend.address], &[collector.address]);
    let fields = format!("Traceparent: {PARENT}\r\nTracestate: a=1\r\nTracestate: b=2\r\nConnection: traceparent\r\n");
    assert_eq!(proxy.get("/api", &fields), 200);
    let [server, client] = &sorted(collector.take(2))[..] else { panic!("two spans") };
    assert_eq!((server.trace().as_str(), server.parent().as_str()), (&PARENT[3..35], &PARENT[36..52]));
    assert_eq!((server.span.trace_state.as_str(), client.span.trace_state.as_str()), ("a=1,b=2", "a=1,b=2"));
    let request = last(&backend);
    assert_eq!(request.headers("traceparent"), [format!("00-{}-{}-01", &PARENT[3..35], client.id())]);
    assert_eq!(request.headers("tracestate"), ["a=1", "b=2"]);
}

#[test]
fn what_is_no_trace_context_is_replaced() {
    let (backend, collector) = (Backend::answering(), Collector::start());
    let proxy = Proxy::start(Some(tracing()), rule(), &[backend.address], &[collector.address]);
    let cases = [
        format!("Traceparent: {PARENT}\r\nTraceparent: {PARENT}\r\nTracestate: a=1\r\n"),
        format!("Traceparent: {}\r\nTracestate: a=1\r\n", PARENT.to_uppercase()),
        "Traceparent: 00-0-0-0\r\nTracestate: a=1\r\n".to_owned(),
        "Tracestate: a=1\r\n".to_owned(),
    ];
    for fields in cases {
        assert_eq!(proxy.get("/api", &fields), 200);
        let server = &sorted(collector.take(2))[0];
        assert_eq!((server.parent().as_str(), server.span.trace_state.as_str()), ("", ""), "{fields}");
        assert_ne!(server.trace(), PARENT[3..35]);
        let request = last(&backend);
        assert!(request.headers("tracestate").is_empty(), "{fields}");
        let [told] = request.headers("traceparent")[..] else { panic!("one traceparent for {fields}") };
        assert_eq!(&told[3..35], server.trace());
    }
    let fields = format!("Traceparent: {PARENT}\r\nTracestate: not valid\r\n");
    assert_eq!(proxy.get("/api", &fields), 200);
    assert_eq!(sorted(collector.take(2))[0].trace(), PARENT[3..35], "a bad tracestate is no bad traceparent");
    assert!(last(&backend).headers("tracestate").is_empty());
}

#[test]
fn what_is_not_recorded_is_told_all_the_same() {
    let (backend, collector) = (Backend::answering(), Collector::start());
    let never = ir::Tracing { rate: share(0, 1), ..tracing() };
    let proxy = Proxy::start(Some(never), rule(), &[backend.address], &[collector.address]);
    assert_eq!(proxy.get("/api", ""), 200);
    let told = last(&backend).headers("traceparent")[0].to_owned();
    assert!(told.len() == 55 && told.starts_with("00-") && told.ends_with("-00"), "{told}");
    let fields = format!("Traceparent: {UNSAMPLED}\r\nTracestate: a=1\r\n");
    assert_eq!(proxy.get("/api", &fields), 200);
    let request = last(&backend);
    assert_eq!((request.headers("traceparent"), request.headers("tracestate")), (vec![UNSAMPLED], vec!["a=1"]));
    assert_eq!(proxy.get("/api", &format!("Traceparent: {PARENT}\r\n")), 200);
    assert_eq!(collector.take(2).len(), 2, "the client's decision holds; nothing else was recorded");
}

#[test]
fn a_clients_decision_holds_only_as_far_as_it_is_to() {
    let (backend, collector) = (Backend::answering(), Collector::start());
    let own = ir::Tracing { rate: share(0, 1), parent_rate: None, ..tracing() };
    let proxy = Proxy::start(Some(own), rule(), &[backend.address], &[collector.address]);
    assert_eq!(proxy.get("/api", &format!("Traceparent: {PARENT}\r\n")), 200);
    let told = last(&backend).headers("traceparent")[0].to_owned();
    assert!(told.starts_with(&PARENT[..36]) && told.ends_with("-00") && told[36..52] != PARENT[36..52], "{told}");
    proxy.push(vec![listener(Some(ir::Tracing { parent_rate: Some(share(0, 1)), ..tracing() }))]);
    assert_eq!(proxy.get("/api", &format!("Traceparent: {PARENT}\r\n")), 200);
    assert!(last(&backend).headers("traceparent")[0].ends_with("-00"), "the governor");
    assert_eq!(proxy.get("/api", ""), 200);
    assert_eq!(collector.take(2).len(), 2, "a new trace, and nothing of those before it");
}

#[test]
fn without_tracing_nothing_is_touched() {
    let backend = Backend::answering();
    let proxy = Proxy::start(None, rule(), &[backend.address], &[]);
    assert_eq!(proxy.get("/api", "Traceparent: whatever\r\nTracestate: not valid\r\n"), 200);
    let request = last(&backend);
    assert_eq!((request.headers("traceparent"), request.headers("tracestate")), (vec!["whatever"], vec!["not valid"]));
    assert_eq!(proxy.get("/api", ""), 200);
    assert!(last(&backend).headers("traceparent").is_empty());
    assert_eq!(proxy.metric("fairlead_trace_spans_total{worker=\"0\"}"), 0.0);
    // Switched on and off while it runs.
    let collector = Collector::start();
    proxy.push(vec![endpoints("spans", &[collector.address]), listener(Some(tracing()))]);
    assert_eq!(proxy.get("/api", ""), 200);
    assert_eq!(collector.take(2).len(), 2);
    proxy.push(vec![listener(None)]);
    assert_eq!(proxy.get("/api", ""), 200);
    assert!(last(&backend).headers("traceparent").is_empty());
}

#[test]
fn every_attempt_has_its_span() {
    let fails = Backend::start(|_| Act::Answer(b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n".to_vec()));
    let (works, collector) = (Backend::answering(), Collector::start());
    let retry = ir::Retry { codes: vec![503], attempts: 2, backoff: Some(ir::Millis(1)) };
    let rule = ir::Route { retry: Some(retry), ..rule() };
    let proxy = Proxy::start(Some(tracing()), rule, &[fails.address, works.address], &[collector.address]);
    // Until the one that fails has its turn.
    loop {
        assert_eq!(proxy.get("/api", ""), 200);
        if !fails.seen().requests.is_empty() {
            break;
        }
        collector.take(2);
    }
    let spans = sorted(collector.take(3));
    let [server, first, second] = &spans[..] else { panic!("{} spans", spans.len()) };
    assert_eq!(
        (server.attribute("fairlead.retries"), server.attribute("http.response.status_code")),
        ("1".into(), "200".into())
    );
    assert_eq!(first.span.status.as_ref().map(|status| status.code()), Some(StatusCode::Error));
    assert_eq!(
        (first.attribute("error.type"), first.attribute("http.request.resend_count")),
        ("503".into(), String::new())
    );
    assert_eq!(
        (second.attribute("http.response.status_code"), second.attribute("http.request.resend_count")),
        ("200".into(), "1".into())
    );
    assert!(first.span.end_time_unix_nano <= second.span.start_time_unix_nano);
    assert_eq!((first.parent(), second.parent()), (server.id(), server.id()));
    assert!(last(&fails).headers("traceparent")[0].contains(&first.id()));
}

#[test]
fn answers_of_the_proxys_own_are_traced() {
    let (backend, collector) = (Backend::answering(), Collector::start());
    let proxy = Proxy::start(Some(tracing()), rule(), &[], &[collector.address]);
    assert_eq!(proxy.get("/elsewhere", ""), 404);
    let [server] = &collector.take(1)[..] else { panic!("one span") };
    assert_eq!((server.span.name.as_str(), server.attribute("http.response.status_code")), ("GET", "404".into()));
    assert_eq!((server.attribute("fairlead.response_flags"), server.span.status.is_none()), ("NR".into(), true));
    assert_eq!(proxy.get("/api", ""), 503);
    let [server] = &collector.take(1)[..] else { panic!("one span") };
    assert_eq!(
        (server.attribute("error.type"), server.attribute("fairlead.response_flags")),
        ("no_healthy_upstream".into(), "UH".into())
    );
    drop(backend);
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = Proxy::start(Some(tracing()), rule(), &[gone], &[collector.address]);
    assert_eq!(proxy.get("/api", ""), 503);
    let [server, client] = &sorted(collector.take(2))[..] else { panic!("two spans") };
    assert_eq!(server.attribute("fairlead.response_flags"), "UF");
    assert_eq!(client.attribute("error.type"), "upstream_reset_before_response_started{remote_connection_failure}");
}

#[test]
fn collectors_over_http_get_the_same() {
    let (backend, collector) = (Backend::answering(), Collector::start());
    let over_http = ir::Tracing { protocol: ir::Otlp::Http, ..tracing() };
    let proxy = Proxy::start(Some(over_http), rule(), &[backend.address], &[collector.address]);
    assert_eq!((proxy.get("/api", ""), proxy.get("/api", "")), (200, 200));
    assert_eq!(collector.take(4).len(), 4);
    let head = &collector.heads()[0];
    assert_eq!(
        (&head["x-key"], &head["content-type"], &head["host"]),
        (
            &"secret".parse().unwrap(),
            &"application/x-protobuf".parse().unwrap(),
            &"collector.default.svc:4317".parse().unwrap()
        )
    );
}

#[test]
fn collectors_are_waited_for_and_followed() {
    let (backend, collector) = (Backend::answering(), Collector::start());
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = Proxy::start(Some(tracing()), rule(), &[backend.address], &[gone]);
    assert_eq!(proxy.get("/api", ""), 200);
    wait_until(Duration::from_secs(10), "a failure", || {
        (proxy.metric("fairlead_trace_exports_total{outcome=\"failed\"}") > 0.0).then_some(())
    });
    // UNAVAILABLE is for another time; what is wrong with the spans themselves is not.
    collector.refuse(14);
    proxy.push(vec![endpoints("spans", &[collector.address])]);
    assert_eq!(collector.take(2).len(), 2);
    assert_eq!(collector.heads().len(), 2);
    collector.refuse(3);
    assert_eq!(proxy.get("/api", ""), 200);
    wait_until(Duration::from_secs(10), "the refusal", || {
        (proxy.metric("fairlead_trace_exported_spans_total{outcome=\"failed\"}") == 2.0).then_some(())
    });
    assert_eq!(proxy.get("/api", ""), 200);
    assert_eq!(collector.take(2).len(), 2, "the next ones are sent");
    // They are counted once the collector's answer is there.
    wait_until(Duration::from_secs(10), "the count", || {
        (proxy.metric("fairlead_trace_exported_spans_total{outcome=\"exported\"}") == 4.0).then_some(())
    });
}

#[test]
fn the_last_spans_are_sent_when_workers_stop() {
    let (backend, collector) = (Backend::answering(), Collector::start());
    let proxy = Proxy::start(Some(tracing()), rule(), &[backend.address], &[collector.address]);
    for _ in 0..50 {
        assert_eq!(proxy.get("/api", ""), 200);
    }
    proxy.0.workers.stop();
    assert_eq!(collector.spans().len(), 100);
}
