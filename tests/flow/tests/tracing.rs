//! Tracing: example `tracing`, and policies that change.

#![allow(clippy::expect_used)]

use fairlead_telemetry::trace::otlp::{SpanKind, StatusCode};
use fairlead_test_flow::grpc::{SERVICE, ask, call};
use fairlead_test_flow::{Setup, Stage, repository};
use fairlead_testkit::tls::Ca;
use fairlead_testkit::tracing::{Collected, Collector};
use fairlead_testkit::{Act, Ask, Backend, wait_until};
use std::time::Duration;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

fn example() -> String {
    let path = repository().join("docs/examples/tracing/tracing.yaml");
    std::fs::read_to_string(path).expect("readable")
}

fn stage(text: &str, collector: &Collector) -> Stage {
    Setup::manifests(text).echo(3000, "app").port(4317, collector.address.port()).start()
}

/// What the backend got.
fn told(stage: &Stage, ask: &Ask, header: &str) -> Vec<String> {
    let answer = stage.ask(8080, ask);
    assert_eq!(answer.status, 200);
    let values = answer.json()["headers"][header].as_array().cloned().unwrap_or_default();
    values.iter().filter_map(|value| value.as_str().map(str::to_owned)).collect()
}

/// The server's span and the client's.
fn pair(collector: &Collector) -> [Collected; 2] {
    let mut spans = collector.take(2);
    spans.sort_by_key(|collected| collected.span.kind);
    spans.try_into().expect("two spans")
}

#[test]
fn the_example_of_tracing() {
    let collector = Collector::start();
    let stage = stage(&example(), &collector);
    let ask = Ask::get("/cart/7?x=1").host("shop.example.com").header("x-user", "ada").header("accept-language", "de");
    let parent = told(&stage, &ask, "Traceparent");
    let [server, client] = pair(&collector);
    assert_eq!(parent, [format!("00-{}-{}-01", server.trace(), client.id())]);
    assert_eq!((server.service.as_str(), server.span.name.as_str()), ("shop-edge", "GET /cart"));
    for (key, value) in [
        ("deployment.environment.name", "production"),
        ("user", "ada"),
        ("language", "de"),
        ("url.path", "/cart/7"),
        ("http.response.status_code", "200"),
        ("fairlead.route", "httproute/default/shop/0"),
        ("fairlead.cluster", "backend/default/app"),
    ] {
        assert_eq!(server.attribute(key), value, "{key}");
    }
    assert_eq!(stage.proxy.log_of("/cart/7?x=1")["trace_id"], server.trace());
    assert_eq!(stage.get(8080, "shop.example.com", "/nowhere").status, 404);
    let [lost] = &collector.take(1)[..] else { panic!("one span") };
    assert_eq!((lost.attribute("http.response.status_code"), lost.parent()), ("404".into(), String::new()));
    // The client does not record, so nobody does; what it said is passed on as it is.
    let ask = Ask::get("/cart/unsampled").host("a").header("traceparent", PARENT).header("tracestate", "a=1");
    assert_eq!(told(&stage, &ask, "Traceparent"), [PARENT]);
    assert_eq!(stage.proxy.log_of("/cart/unsampled")["trace_id"], PARENT[3..35]);
    wait_until(Duration::from_secs(5), "the spans to be counted", || {
        let exported = stage.metric("fairlead_trace_exported_spans_total{outcome=\"exported\"}");
        (exported as u64 == 3).then_some(())
    });
    assert!(collector.spans().is_empty());
}

#[test]
fn policies_change_while_it_runs() {
    let (first, second) = (Collector::start(), Collector::start());
    let text = example();
    let stage = stage(&text, &first);
    let get = |path: &str| assert_eq!(stage.get(8080, "a", path).status, 200);
    get("/cart/1");
    pair(&first);
    // The collector moves.
    let (head, slice) = text.rsplit_once("---\n").expect("several documents");
    let moved = slice.replace("4317", &second.address.port().to_string());
    stage.update(&format!("{head}---\n{moved}"));
    wait_until(Duration::from_secs(10), "spans at the new place", || {
        get("/cart/2");
        std::thread::sleep(Duration::from_millis(50));
        (!second.spans().is_empty()).then_some(())
    });
    // An older policy comes first.
    let older = "---\napiVersion: gateway.networking.x-k8s.io/v1alpha1\nkind: XTelemetryPolicy\nmetadata: {name: older, \
                 creationTimestamp: '2020-01-01T00:00:00Z'}\nspec:\n  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: web}]\n  \
                 tracing: {mode: Disabled}\n";
    stage.write("older.yaml", older);
    stage.until_printed(&["XTelemetryPolicy default/older has the same target and comes first"]);
    let plain = || told(&stage, &Ask::get("/cart/3").host("a"), "Traceparent").is_empty();
    wait_until(Duration::from_secs(10), "no more traces", || plain().then_some(()));
    let odd = Ask::get("/cart/4").host("a").header("traceparent", "odd");
    assert_eq!(told(&stage, &odd, "Traceparent"), ["odd"], "not ours to judge any more");
    assert!(stage.proxy.log_of("/cart/4")["trace_id"].is_null());
}

#[test]
fn collectors_speak_tls_when_a_policy_says_so() {
    let ca = Ca::new();
    let collector = Collector::encrypted(&ca.issue(&["otel.example.com"]));
    let pem: String = ca.pem().lines().map(|line| format!("    {line}\n")).collect();
    let more = format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: BackendTLSPolicy\nmetadata: {{name: otel}}\nspec:\n  \
         targetRefs: [{{group: '', kind: Service, name: otel-collector}}]\n  \
         validation: {{hostname: otel.example.com, caCertificateRefs: [{{group: '', kind: ConfigMap, name: ca}}]}}\n\
         ---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: ca}}\ndata:\n  ca.crt: |\n{pem}"
    );
    let stage = stage(&format!("{}{more}", example()), &collector);
    assert_eq!(stage.get(8080, "a", "/cart").status, 200);
    let [server, client] = pair(&collector);
    assert_eq!(client.parent(), server.id());
    assert!(!stage.proxy.process.output().contains("can't"));
}

/// A Gateway with routes whose requests are traced, to ports 3000 (the backend), 3001 and 3002 (authorisation services).
fn asking() -> String {
    let (head, rest) = example().split_once("---\n").map(|(a, b)| (a.to_owned(), b.to_owned())).expect("documents");
    let at = rest.find("apiVersion: gateway.networking.x-k8s.io").expect("a policy");
    let backend = |name: &str, port: u16| {
        format!(
            "apiVersion: fairlead.dev/v1alpha1\nkind: Backend\nmetadata: {{name: {name}}}\n\
             spec: {{endpoints: [{{ip: {{address: 127.0.0.1, port: {port}}}}}]}}\n---\n"
        )
    };
    let rule = |path: &str, asks: &str| {
        format!(
            "  - matches: [{{path: {{value: {path}}}}}]\n    filters: [{{type: ExternalAuth, externalAuth: {{{asks}}}}}]\n    \
             backendRefs: [{{group: fairlead.dev, kind: Backend, name: app}}]\n"
        )
    };
    let service = |name: &str| format!("backendRef: {{group: fairlead.dev, kind: Backend, name: {name}}}");
    let http = rule("/http", &format!("protocol: HTTP, http: {{path: /check}}, {}", service("http")));
    let grpc = rule("/grpc", &format!("protocol: GRPC, grpc: {{}}, {}", service("grpc")));
    let route = format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: guarded}}\nspec:\n  \
         parentRefs: [{{name: web}}]\n  rules:\n{http}{grpc}---\n"
    );
    let backends = [("app", 3000), ("http", 3001), ("grpc", 3002)].map(|(name, port)| backend(name, port)).concat();
    // All that clients record.
    let policy = rest[at..].replace("numerator: 1\n        denominator: 2", "numerator: 100");
    assert!(policy.contains("numerator: 100"));
    format!("{head}---\n{route}{backends}{policy}")
}

/// Spans of a request, in the order in which they began.
fn in_order(collector: &Collector, count: usize) -> Vec<Collected> {
    let mut spans = collector.take(count);
    spans.sort_by_key(|collected| collected.span.start_time_unix_nano);
    spans
}

#[test]
fn questions_to_authorisation_services_are_spans() {
    let collector = Collector::start();
    let over_http = Backend::start(|request| match request.path() {
        "/check/http/no" => Act::Answer(b"HTTP/1.1 401 X\r\ncontent-length: 0\r\n\r\n".to_vec()),
        _ => Act::ok(""),
    });
    // What says nothing but OK consents.
    let over_grpc = Collector::start();
    let ports = [(3001, over_http.address.port()), (3002, over_grpc.address.port()), (4317, collector.address.port())];
    let setup = Setup::manifests(&asking()).echo(3000, "app");
    let stage = ports.into_iter().fold(setup, |setup, (port, real)| setup.port(port, real)).start();

    let ask = Ask::get("/http/a").host("shop.example.com").header("traceparent", SAMPLED).header("tracestate", "a=1");
    let told = told(&stage, &ask, "Traceparent");
    let [server, question, client] = &in_order(&collector, 3)[..] else { panic!("three spans") };
    let asked = over_http.take().requests.pop().expect("a question");
    let parent = |span: &Collected| format!("00-{}-{}-01", server.trace(), span.id());
    assert_eq!(asked.headers("traceparent"), [parent(question)], "the service's parent is the question");
    assert_eq!((asked.headers("tracestate"), told), (vec!["a=1"], vec![parent(client)]));
    assert_eq!((question.parent(), client.parent()), (server.id(), server.id()));
    assert_eq!((question.span.kind(), question.span.name.as_str()), (SpanKind::Client, "GET"));
    assert!(question.span.end_time_unix_nano <= client.span.start_time_unix_nano);
    for (key, value) in [
        ("url.full", "http://shop.example.com/check/http/a"),
        ("http.response.status_code", "200"),
        ("network.peer.port", &over_http.address.port().to_string()),
        ("fairlead.cluster", "backend/default/http"),
        ("fairlead.purpose", "authorisation"),
        ("http.request.resend_count", ""),
        ("rpc.system.name", ""),
        ("error.type", ""),
    ] {
        assert_eq!(question.attribute(key), value, "{key}");
    }
    assert_eq!(
        (client.attribute("fairlead.purpose"), client.attribute("http.request.resend_count")),
        Default::default()
    );

    assert_eq!(stage.get(8080, "shop.example.com", "/http/no").status, 401);
    let [server, question] = &in_order(&collector, 2)[..] else { panic!("two spans") };
    assert!(server.span.status.is_none(), "the client's fault");
    assert_eq!((question.attribute("http.response.status_code"), question.attribute("error.type")), two("401"));
    assert_eq!(question.span.status.as_ref().map(|status| status.code()), Some(StatusCode::Error));

    over_grpc.refuse(0);
    assert_eq!(stage.get(8080, "shop.example.com", "/grpc").status, 200);
    let [server, question, _] = &in_order(&collector, 3)[..] else { panic!("three spans") };
    let parent = format!("00-{}-{}-01", server.trace(), question.id());
    assert_eq!(over_grpc.heads()[0]["traceparent"], parent.as_str());
    assert_eq!((question.span.kind(), question.span.name.as_str()), (SpanKind::Client, CHECK));
    for (key, value) in [
        ("rpc.system.name", "grpc"),
        ("rpc.method", CHECK),
        ("rpc.response.status_code", "OK"),
        ("network.protocol.version", "2"),
        ("error.type", ""),
    ] {
        assert_eq!(question.attribute(key), value, "{key}");
    }
    assert!(question.span.status.is_none());

    over_grpc.refuse(14);
    assert_eq!(stage.get(8080, "shop.example.com", "/grpc").status, 403);
    let [server, question] = &in_order(&collector, 2)[..] else { panic!("two spans") };
    assert_eq!(server.attribute("fairlead.response_flags"), "UAEX");
    let said = (question.attribute("rpc.response.status_code"), question.attribute("error.type"));
    assert_eq!(said, two("UNAVAILABLE"));
    assert_eq!(question.span.status.as_ref().map(|status| status.code()), Some(StatusCode::Error));
}

/// A service that is away, or too slow, has its span too; and a trace that is not recorded is told all the same.
#[test]
fn questions_without_an_answer_are_spans() {
    let collector = Collector::start();
    let holds = Backend::start(|_| Act::Hold(Vec::new()));
    let setup = Setup::manifests(&asking()).echo(3000, "app").nobody(3002).port(3001, holds.address.port());
    let stage = setup.port(4317, collector.address.port()).start();
    assert_eq!(stage.get(8080, "shop.example.com", "/grpc").status, 403);
    let [_, question] = &in_order(&collector, 2)[..] else { panic!("two spans") };
    let details = "upstream_reset_before_response_started{remote_connection_failure}";
    assert_eq!(
        (question.attribute("error.type").as_str(), question.attribute("rpc.response.status_code").as_str()),
        (details, "")
    );
    let ask = Ask::get("/http").host("a").header("traceparent", PARENT);
    let answer = std::thread::scope(|scope| {
        let asking = scope.spawn(|| stage.ask(8080, &ask).status);
        wait_until(Duration::from_secs(5), "the question", || (!holds.seen().requests.is_empty()).then_some(()));
        assert_eq!(holds.seen().requests[0].headers("traceparent"), [PARENT]);
        asking.join().expect("an answer")
    });
    assert_eq!(answer, 403, "it took too long");
    assert!(collector.spans().is_empty(), "nobody records");
}

#[test]
fn calls_tell_their_status() {
    let collector = Collector::start();
    let (head, rest) = example().split_once("---\n").map(|(a, b)| (a.to_owned(), b.to_owned())).expect("documents");
    let route = "apiVersion: gateway.networking.k8s.io/v1\nkind: GRPCRoute\nmetadata: {name: calls}\nspec:\n  \
                 parentRefs: [{name: web}]\n  hostnames: [grpc.example.com]\n  \
                 rules: [{backendRefs: [{group: fairlead.dev, kind: Backend, name: app}]}]\n";
    let stage = stage(&format!("{head}---\n{route}---\n{rest}"), &collector);
    // Status of the call, of the server's span and of the client's.
    for (name, said, server_fails) in [("Echo", "OK", false), ("EchoThree", "UNIMPLEMENTED", true)] {
        let method = format!("{SERVICE}/{name}");
        call(stage.proxy.address(8080), &ask("grpc.example.com", &method));
        let [server, client] = pair(&collector);
        for span in [&server, &client] {
            for (key, value) in [
                ("rpc.system.name", "grpc"),
                ("rpc.method", method.as_str()),
                ("rpc.response.status_code", said),
                ("http.response.status_code", "200"),
                ("error.type", if server_fails { said } else { "" }),
            ] {
                assert_eq!(span.attribute(key), value, "{name}: {key}");
            }
            assert_eq!(span.span.status.is_some(), server_fails, "{name}");
        }
    }
}

/// The same twice.
fn two(text: &str) -> (String, String) {
    (text.to_owned(), text.to_owned())
}

const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const CHECK: &str = "envoy.service.auth.v3.Authorization/Check";
