//! Backends, timeouts, retries and mirrors: examples `backends`, `reference-grants`, `timeouts-and-retries`, `mirroring`.

use fairlead_test_flow::{Setup, Stage};
use fairlead_testkit::{Act, Ask, Backend, Client, Content, TempDir, Version, wait_until};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

#[test]
fn the_example_of_backends() {
    let sockets = TempDir::new();
    let socket = sockets.path().join("http.sock");
    let unix = fairlead_testkit::Echo::with("socket", &["--unix", &socket.display().to_string()]);
    let name = "backend.yaml";
    let text = std::fs::read_to_string(fairlead_test_flow::repository().join("docs/examples/backends").join(name))
        .expect("readable");
    let text = text.replace("/run/app/http.sock", &socket.display().to_string());
    let stage = Setup::example("backends").file(name, &text).echo(3000, "one").echo(3001, "two").start();
    assert_eq!(stage.pod(8080, "service.example.com", "/"), "one");
    let answer = stage.get(8080, "headless.example.com", "/");
    assert_eq!((answer.json()["pod"].as_str(), answer.json()["proto"].as_str()), (Some("two"), Some("HTTP/2.0")));
    let answer = stage.get(8080, "external.example.com", "/");
    assert_eq!((answer.json()["pod"].as_str(), answer.json()["host"].as_str()), (Some("one"), Some("localhost")));
    assert_eq!(stage.pod(8080, "backend.example.com", "/socket"), "socket");
    let pods: BTreeMap<String, ()> = (0..40).map(|_| (stage.pod(8080, "backend.example.com", "/"), ())).collect();
    assert_eq!(pods.keys().collect::<Vec<_>>(), ["one", "two"], "by IP and by name");
    drop(unix);
}

const GATEWAY: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw}
spec: {gatewayClassName: fairlead, listeners: [{name: http, protocol: HTTP, port: 8080}]}
---
";

/// A route for `/name` to a Service of that name, and the Service with slices.
fn service(name: &str, ports: &str, slices: &[(&str, &str, &str)]) -> String {
    let mut text = format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}}}\nspec:\n  parentRefs: [{{name: gw}}]\n  \
         rules: [{{matches: [{{path: {{value: /{name}}}}}], backendRefs: [{{name: {name}, port: 80}}]}}]\n\
         ---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{ports: {ports}}}\n"
    );
    for (index, (family, ports, endpoints)) in slices.iter().enumerate() {
        text.push_str(&format!(
            "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: {name}-{index}, labels: {{kubernetes.io/service-name: {name}}}}}\n\
             addressType: {family}\nports: {ports}\nendpoints: {endpoints}\n"
        ));
    }
    text
}

/// httproute-service-types, httproute-backend-protocol-h2c: which endpoints of a Service get requests, and how.
#[test]
fn endpoints_of_services() {
    let here = "[{addresses: [127.0.0.1]}]";
    let services = [
        service(
            "two-slices",
            "[{port: 80}]",
            &[("IPv4", "[{port: 3000}]", here), ("IPv6", "[{port: 3001}]", "[{addresses: ['::1']}]")],
        ),
        service(
            "named",
            "[{name: admin, port: 81}, {name: web, port: 80}]",
            &[("IPv4", "[{name: admin, port: 3002}, {name: web, port: 3001}]", here)],
        ),
        service(
            "unready",
            "[{port: 80}]",
            &[("IPv4", "[{port: 3000}]", "[{addresses: [127.0.0.1], conditions: {ready: false}}]")],
        ),
        service(
            "draining",
            "[{port: 80}]",
            &[(
                "IPv4",
                "[{port: 3000}]",
                "[{addresses: [127.0.0.1], conditions: {ready: false, serving: true, terminating: true}}]",
            )],
        ),
        service("nothing", "[{port: 80}]", &[]),
        service("dead", "[{port: 80}]", &[("IPv4", "[{port: 3002}]", here)]),
        service("one-dead", "[{port: 80}]", &[("IPv4", "[{port: 3002}]", here), ("IPv4", "[{port: 3000}]", here)]),
        service("h2c", "[{port: 80, appProtocol: kubernetes.io/h2c}]", &[("IPv4", "[{port: 3000}]", here)]),
        service("odd", "[{port: 80, appProtocol: example.com/odd}]", &[("IPv4", "[{port: 3000}]", here)]),
        service("udp", "[{port: 80, protocol: UDP}]", &[("IPv4", "[{port: 3000}]", here)]),
    ];
    let stage = Setup::manifests(&format!("{GATEWAY}{}", services.concat()))
        .echo(3000, "one")
        .echo(3001, "two")
        .nobody(3002)
        .start();
    let pods: BTreeMap<String, ()> = (0..40).map(|_| (stage.pod(8080, "a.test", "/two-slices"), ())).collect();
    assert_eq!(pods.keys().collect::<Vec<_>>(), ["one", "two"]);
    for (path, pod) in [
        ("/named", "two"),
        ("/unready", "503"),
        ("/draining", "one"),
        ("/nothing", "503"),
        ("/dead", "503"),
        ("/odd", "500"),
        ("/udp", "500"),
    ] {
        assert_eq!(stage.pod(8080, "a.test", path), pod, "{path}");
    }
    assert_eq!(stage.get(8080, "a.test", "/h2c").json()["proto"], "HTTP/2.0");
    let flags = |path: &str| stage.proxy.log_of(path)["response_flags"].as_str().unwrap_or_default().to_owned();
    assert_eq!((flags("/nothing"), flags("/dead")), ("UH".to_owned(), "UF".to_owned()));
    assert_eq!(stage.get(8080, "a.test", "/nothing").text(), "no healthy upstream");
    // Without a retry rule a dead endpoint fails its share, and says so.
    let statuses: BTreeMap<String, ()> = (0..40).map(|_| (stage.pod(8080, "a.test", "/one-dead"), ())).collect();
    assert_eq!(statuses.keys().collect::<Vec<_>>(), ["503", "one"]);
}

#[test]
fn grants_open_other_namespaces() {
    let stage = Setup::example("reference-grants").echo(3000, "one").start();
    assert_eq!(stage.pod(8080, "a.test", "/"), "one");
    let text = std::fs::read_to_string(stage.proxy.dir.path().join("grant.yaml")).expect("readable");
    // A grant for another Service is none.
    stage.write(
        "grant.yaml",
        &text.replace("      kind: Service\n      name: accounts", "      kind: Service\n      name: others"),
    );
    stage.until_pod(8080, "a.test", "/", "500");
    let output = stage.until_printed(&["not ResolvedRefs: RefNotPermitted", "grant.yaml:24:"]);
    assert!(output.contains("ReferenceGrant"), "{output}");
    stage.write("grant.yaml", &text);
    stage.until_pod(8080, "a.test", "/", "one");
    // Nor is one in the wrong namespace.
    stage.write(
        "grant.yaml",
        &text.replace("  name: web-may-call\n  namespace: bank", "  name: web-may-call\n  namespace: web"),
    );
    stage.until_pod(8080, "a.test", "/", "500");
}

fn timed(stage: &Stage, host: &str, path: &str) -> (u16, Duration) {
    let start = Instant::now();
    (stage.get(8080, host, path).status, start.elapsed())
}

#[test]
fn the_examples_of_timeouts_and_retries() {
    let stage = Setup::example("timeouts-and-retries").echo(3000, "one").start();
    let at = |path: &str| timed(&stage, "timeouts.example.com", path);
    assert_eq!(at("/fast").0, 200);
    let (status, took) = at("/fast?delay=5s");
    assert!(status == 504 && (450..2000).contains(&took.as_millis()), "{status} {took:?}");
    let (status, took) = at("/tries?delay=5s");
    assert!(status == 504 && (600..2000).contains(&took.as_millis()), "two tries of 300 ms: {status} {took:?}");
    assert_eq!(at("/slow?delay=700ms").0, 200);
    let line = stage.proxy.log_of("/fast?delay=5s");
    assert_eq!(
        (line["response_flags"].as_str(), line["response_code_details"].as_str()),
        (Some("UT"), Some("upstream_response_timeout"))
    );

    let retry = |id: &str, fails: u32, code: u16| {
        let path = format!("/retry/x?uuid={id}&succeedAfter={fails}&responseCode={code}");
        stage.get(8080, "retries.example.com", &path).status
    };
    assert_eq!(retry("a", 2, 500), 200);
    assert_eq!(retry("b", 3, 503), 200);
    assert_eq!(retry("c", 4, 500), 500, "after the first and three more");
    assert_eq!(retry("d", 1, 502), 502, "not in the list");
    // Without a code the echo server resets the connection.
    assert_eq!(stage.get(8080, "retries.example.com", "/retry/x?uuid=e&succeedAfter=2").status, 200);
    assert_eq!(
        stage.proxy.log_line("c", |l| l["x-envoy-origin-path"].as_str().is_some_and(|p| p.contains("uuid=c")))["response_flags"],
        "URX"
    );
    // A body is sent again.
    let ask = Ask::new("POST", "/retry/echo-body?uuid=f&succeedAfter=1&responseCode=500").host("retries.example.com");
    let answer = stage.ask(8080, &ask.content(Content::Sized("again".into())));
    assert_eq!(answer.status, 200);
    let series = "fairlead_route_retries_total{route=\"retries\",namespace=\"default\",kind=\"HTTPRoute\",rule=\"0\"}";
    // 2 for a, 3 for b, 3 for c, none for d, 2 for e (or one, where a stale connection was replaced unasked), 1 for f.
    wait_until(Duration::from_secs(5), "the retries to be counted", || (stage.metric(series) >= 9.0).then_some(()));
}

/// httproute-retry (attempts 0, no codes), httproute-retry-connection-error, httproute-retry-with-timeouts.
#[test]
fn retries_at_their_limits() {
    let rule = |path: &str, fields: &str| {
        format!(
            "  - {{matches: [{{path: {{value: {path}}}}}], {fields}, backendRefs: [{{group: fairlead.dev, kind: Backend, name: one}}]}}\n"
        )
    };
    let rules = [
        rule("/retry/none", "retry: {codes: [500, 503], attempts: 0}"),
        rule("/retry/default", "retry: {codes: [500]}"),
        rule("/retry/whole", "retry: {codes: [500], attempts: 3, backoff: 5ms}, timeouts: {request: 500ms}"),
        rule("/retry/each", "retry: {codes: [504], attempts: 1, backoff: 5ms}, timeouts: {backendRequest: 300ms}"),
        rule("/none", "timeouts: {request: 0s, backendRequest: 0s}"),
    ];
    let dead = "  - {matches: [{path: {value: /dead}}], retry: {attempts: 2}, backendRefs: [{group: fairlead.dev, kind: Backend, name: half}]}\n";
    let backend = |name: &str, ports: &[u16]| {
        let all: Vec<String> =
            ports.iter().map(|port| format!("{{ip: {{address: 127.0.0.1, port: {port}}}}}")).collect();
        format!(
            "---\napiVersion: fairlead.dev/v1alpha1\nkind: Backend\nmetadata: {{name: {name}}}\nspec: {{endpoints: [{}]}}\n",
            all.join(", ")
        )
    };
    let route = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: all}\nspec:\n  parentRefs: [{name: gw}]\n  rules:\n";
    let manifests =
        [GATEWAY, route, &rules.concat(), dead, &backend("one", &[3000]), &backend("half", &[3000, 3001, 3002])]
            .concat();
    let stage = Setup::manifests(&manifests).echo(3000, "one").nobody(3001).nobody(3002).start();
    let status = |path: &str| timed(&stage, "a.test", path).0;
    assert_eq!(status("/retry/none?uuid=a&succeedAfter=1&responseCode=500"), 500);
    let reset =
        Ask::new("POST", "/retry/none?uuid=b&succeedAfter=1").host("a.test").content(Content::Sized("x".into()));
    assert_eq!(stage.ask(8080, &reset).status, 503, "nor is a reset");
    assert_eq!(status("/retry/default?uuid=c&succeedAfter=1&responseCode=500"), 200, "one retry unless told otherwise");
    assert_eq!(status("/retry/default?uuid=d&succeedAfter=2&responseCode=500"), 500);
    assert_eq!(status("/retry/whole?uuid=e&succeedAfter=1&responseCode=500"), 200);
    assert_eq!(status("/retry/whole?uuid=f&succeedAfter=2&responseCode=500&delayRetry=300ms"), 504, "the sum counts");
    assert_eq!(status("/retry/each?uuid=g&succeedAfter=1&responseCode=504&delayRetry=100ms&delay=100ms"), 200);
    assert_eq!(status("/retry/each?uuid=h&succeedAfter=0&delay=1s"), 504);
    assert_eq!(status("/none?delay=600ms"), 200);
    // A retry goes to another endpoint: two of three are dead, two retries suffice always.
    for _ in 0..20 {
        assert_eq!(stage.pod(8080, "a.test", "/dead"), "one");
    }
}

#[test]
fn mirrors_get_copies_and_answer_nobody() {
    let recorder = Backend::start(|_| Act::Answer(b"HTTP/1.1 500 No\r\ncontent-length: 3\r\n\r\nbad".to_vec()));
    let sampler = Backend::answering();
    let stage = Setup::example("mirroring")
        .echo(3000, "app")
        .port(3001, recorder.address.port())
        .port(3002, sampler.address.port())
        .start();
    let ask = Ask::new("POST", "/a/b?c=d").host("mirror.test").header("x-kept", "1");
    let answer = stage.ask(8080, &ask.content(Content::Streamed("hello".repeat(1000).into(), 1000)));
    assert_eq!(answer.json()["pod"], "app");
    let copy = wait_until(Duration::from_secs(5), "the copy", || recorder.seen().requests.first().cloned());
    assert_eq!((copy.method(), copy.path(), copy.headers("x-kept")), ("POST", "/a/b?c=d", vec!["1"]));
    assert_eq!(copy.body, "hello".repeat(1000).as_bytes());
    assert_eq!(copy.headers("host"), ["mirror.test"]);
    let mut client = Client::connect(Version::H1, stage.proxy.address(8080));
    for _ in 0..400 {
        assert_eq!(client.ask(&Ask::get("/many").host("mirror.test")).whole().status, 200);
    }
    wait_until(Duration::from_secs(10), "all copies", || (recorder.seen().requests.len() == 401).then_some(()));
    let sampled = sampler.seen().requests.len();
    // Binomial with 100 ± 8.7; six standard deviations.
    assert!((48..153).contains(&sampled), "{sampled} of 400 at 25 %");
    assert_eq!(recorder.seen().malformed, Vec::<String>::new());
}

/// A mirror that is slow, dead or missing harms no request.
#[test]
fn broken_mirrors_harm_nothing() {
    let slow = Backend::start(|_| Act::Hold(Vec::new()));
    let rule = |path: &str, mirror: &str| {
        format!(
            "  - {{matches: [{{path: {{value: /{path}}}}}], filters: [{{type: RequestMirror, requestMirror: {{backendRef: {mirror}}}}}], \
             backendRefs: [{{group: fairlead.dev, kind: Backend, name: one}}]}}\n"
        )
    };
    let backend = |name: &str, port: u16| {
        format!(
            "---\napiVersion: fairlead.dev/v1alpha1\nkind: Backend\nmetadata: {{name: {name}}}\nspec: {{endpoints: [{{ip: {{address: 127.0.0.1, port: {port}}}}}]}}\n"
        )
    };
    let of = |name: &str| format!("{{group: fairlead.dev, kind: Backend, name: {name}}}");
    let route = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: all}\nspec:\n  parentRefs: [{name: gw}]\n  rules:\n";
    let rules = [rule("slow", &of("slow")), rule("dead", &of("dead")), rule("missing", &of("missing"))].concat();
    let backends = [backend("one", 3000), backend("slow", 3001), backend("dead", 3002)].concat();
    let stage = Setup::manifests(&[GATEWAY, route, &rules, &backends].concat())
        .echo(3000, "one")
        .port(3001, slow.address.port())
        .nobody(3002)
        .start();
    for path in ["/slow", "/dead", "/missing"] {
        for _ in 0..5 {
            let start = Instant::now();
            assert_eq!(stage.pod(8080, "a.test", path), "one", "{path}");
            assert!(start.elapsed() < Duration::from_secs(2), "{path} took {:?}", start.elapsed());
        }
    }
    stage.until_printed(&["there is no Backend default/missing"]);
}

/// A kept connection that the endpoint closes instead of answering: repeated where that is safe.
#[test]
fn only_safe_requests_are_repeated_unasked() {
    let backend = Backend::start(|request| match request.path() {
        "/a/first" => Act::ok("first"),
        _ => Act::Close(Vec::new()),
    });
    let route = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: all}\nspec:\n  parentRefs: [{name: gw}]\n  \
                 rules: [{backendRefs: [{group: fairlead.dev, kind: Backend, name: one}]}]\n\
                 ---\napiVersion: fairlead.dev/v1alpha1\nkind: Backend\nmetadata: {name: one}\nspec: {endpoints: [{ip: {address: 127.0.0.1, port: 3000}}]}\n";
    let stage = Setup::manifests(&[GATEWAY, route].concat()).port(3000, backend.address.port()).start();
    for (method, times) in [("GET", 2), ("PUT", 2), ("POST", 1), ("PATCH", 1)] {
        assert_eq!(stage.get(8080, "a.test", "/a/first").status, 200);
        backend.take();
        let answer = stage.ask(8080, &Ask::new(method, "/a/second").host("a.test"));
        assert_eq!(answer.status, 503, "{method}");
        assert_eq!(backend.take().requests.len(), times, "{method}");
        assert_eq!(
            stage.proxy.log_line(method, |line| line["method"] == method && line["x-envoy-origin-path"] == "/a/second")
                ["response_flags"],
            "UC"
        );
    }
}
