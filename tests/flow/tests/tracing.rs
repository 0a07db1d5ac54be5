//! Tracing: example `tracing`, and policies that change.

#![allow(clippy::expect_used)]

use fairlead_test_flow::{Setup, Stage, repository};
use fairlead_testkit::tls::Ca;
use fairlead_testkit::tracing::{Collected, Collector};
use fairlead_testkit::{Ask, wait_until};
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
