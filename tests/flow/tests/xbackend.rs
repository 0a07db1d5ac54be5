//! XBackend, session persistence and retry budgets: examples `xbackend`, `sessions` and the budget of `timeouts-and-retries`.
#![allow(clippy::expect_used)]

use fairlead_test_flow::{Setup, Stage, grpc, pod};
use fairlead_testkit::tls::{Ca, Trust};
use fairlead_testkit::{
    Answer, Ask, Client, Echo, Process, TempDir, Version, Wire, binary, exchange, free_port, wait_until,
};
use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

#[test]
fn the_example_of_xbackends() {
    let stage = Setup::example("xbackend").echo(3000, "cart").echo(3001, "elsewhere").start();
    assert_eq!(stage.pod(8080, "cart.example.com", "/"), "cart");
    // Its name is resolved by then.
    stage.until_pod(8080, "external.example.com", "/", "elsewhere");
    let answer = stage.get(8080, "external.example.com", "/");
    assert_eq!((answer.json()["pod"].as_str(), answer.json()["proto"].as_str()), (Some("elsewhere"), Some("HTTP/2.0")));
    let raw = exchange(stage.proxy.address(9000), "GET / HTTP/1.1\r\nhost: raw.test\r\nconnection: close\r\n\r\n");
    assert_eq!(pod(&raw.expect("an answer")), "elsewhere");
    // Other labels select nothing, until a slice has them.
    let text = std::fs::read_to_string(stage.proxy.dir.path().join("selector.yaml")).expect("readable");
    stage.write("selector.yaml", &text.replacen("app: cart", "app: basket", 1));
    stage.until_pod(8080, "cart.example.com", "/", "503");
    stage.write("selector.yaml", &text.replace("app: cart", "app: basket"));
    stage.until_pod(8080, "cart.example.com", "/", "cart");
}

const GATEWAY: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  gatewayClassName: fairlead
  listeners:
  - {name: http, protocol: HTTP, port: 8080}
";

/// An XBackend for `localhost` with a route for `/name`.
fn external(name: &str, port: u16, rest: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.x-k8s.io/v1alpha1\nkind: XBackend\nmetadata: {{name: {name}}}\nspec:\n  type: ExternalHostname\n  \
         externalHostname: {{hostname: localhost}}\n  port:\n    number: {port}\n{rest}\
         ---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}}}\nspec:\n  parentRefs: [{{name: gw}}]\n  \
         rules: [{{matches: [{{path: {{value: /{name}}}}}], backendRefs: [{{group: gateway.networking.x-k8s.io, kind: XBackend, name: {name}}}]}}]\n"
    )
}

#[test]
fn tls_of_an_xbackend_is_its_own() {
    let files = TempDir::new();
    let (ca, clients, port) = (Ca::new(), Ca::new(), free_port());
    let pair = ca.issue(&["api.example.com"]);
    let write = |name: &str, text: &str| files.write(name, text).display().to_string();
    let echo = Echo::with(
        "api",
        &[
            "--tls-port",
            &port.to_string(),
            "--tls-cert",
            &write("crt.pem", &pair.cert),
            "--tls-key",
            &write("key.pem", &pair.key),
            "--tls-client-ca",
            &write("clients.pem", clients.pem()),
        ],
    );
    let pem: String = ca.pem().lines().map(|line| format!("    {line}\n")).collect();
    let validation = |host: &str| {
        format!("    validation: {{hostname: {host}, caCertificateRefs: [{{group: '', kind: ConfigMap, name: ca}}]}}\n")
    };
    let mutual = "  tls:\n    mode: ClientAndServer\n    clientCertificateRef: {name: client}\n";
    let server = "  tls:\n    mode: ServerOnly\n";
    let manifests = [
        GATEWAY.replace(
            "  gatewayClassName",
            "  tls: {backend: {clientCertificateRef: {name: client}}}\n  gatewayClassName",
        ),
        format!("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: ca}}\ndata:\n  ca.crt: |\n{pem}"),
        clients.issue(&["client.test"]).secret("client"),
        external("mutual", 3443, &format!("{mutual}{}", validation("api.example.com"))),
        external("h2", 3443, &format!("  protocol: HTTP2\n{mutual}{}", validation("api.example.com"))),
        external("server", 3443, &format!("{server}{}", validation("api.example.com"))),
        external("wrong", 3443, &format!("{server}{}", validation("other.example.com"))),
        external("plain", 3443, ""),
        external(
            "lost",
            3443,
            &format!("{}{}", mutual.replace("name: client", "name: nowhere"), validation("api.example.com")),
        ),
    ];
    let stage = Setup::manifests(&manifests.concat()).port(3443, port).start();
    let get = |path: &str| stage.get(8080, "front.test", path);
    let client = |answer: &Answer| answer.json()["tls"]["peerCertificates"][0].as_str().unwrap_or_default().to_owned();
    for (path, proto) in [("/mutual", "HTTP/1.1"), ("/h2", "HTTP/2.0")] {
        stage.until_pod(8080, "front.test", path, "api");
        let answer = get(path);
        assert_eq!(answer.json()["proto"], proto);
        assert_eq!(answer.json()["tls"]["serverName"], "api.example.com");
        assert!(client(&answer).contains("BEGIN CERTIFICATE"), "{path}");
    }
    let answer = get("/server");
    assert_eq!((answer.status, client(&answer)), (200, String::new()), "the Gateway's certificate is not shown");
    assert_eq!(get("/wrong").status, 503);
    assert_ne!(get("/plain").status, 200);
    assert_eq!(get("/lost").status, 500, "never without what it names");
    stage.until_printed(&["XBackend", "nowhere"]);
    drop(echo);
}

/// The cookie or header of an answer, as the next request sends it.
fn token(answer: &Answer, name: &str) -> Option<String> {
    let set =
        answer.headers_named("set-cookie").into_iter().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    set.map(|rest| rest.split(';').next().unwrap_or_default().to_owned())
}

/// Two echo servers at one port of two addresses.
struct Pair {
    _one: Echo,
    _two: Process,
    port: u16,
}

impl Pair {
    fn start() -> Pair {
        let one = Echo::with("one", &["--address", "127.0.0.1"]);
        let port = one.port();
        let mut command = Command::new(binary());
        command.args(["echo", "--address", "127.0.0.2", "--pod", "two", "--port", &port.to_string()]);
        let two = Process::start(&mut command);
        let address = SocketAddr::from(([127, 0, 0, 2], port));
        wait_until(Duration::from_secs(10), "the other echo server", || TcpStream::connect(address).ok());
        Pair { _one: one, _two: two, port }
    }
}

fn sessions(pair: &Pair) -> Stage {
    Setup::example("sessions").port(3000, pair.port).echo(3001, "app-1").echo(3002, "app-2").start()
}

#[test]
fn the_example_of_sessions() {
    let pair = Pair::start();
    let stage = sessions(&pair);
    let mut kept = Vec::new();
    for _ in 0..10 {
        let first = stage.get(8080, "shop.example.com", "/");
        let line = first.header("set-cookie").expect("a cookie").to_owned();
        assert!(line.ends_with("; Path=/; Max-Age=3600; HttpOnly; SameSite=Strict"), "{line}");
        kept.push((token(&first, "shop-session").expect("a token"), pod(&first)));
    }
    let pods: BTreeSet<&str> = kept.iter().map(|(_, pod)| pod.as_str()).collect();
    assert_eq!(pods.into_iter().collect::<Vec<_>>(), ["one", "two"]);
    let comes_back = |stage: &Stage| {
        for (token, pod) in &kept {
            for _ in 0..10 {
                let ask = Ask::get("/").host("shop.example.com").header("cookie", &format!("shop-session={token}"));
                let answer = stage.ask(8080, &ask);
                assert_eq!((fairlead_test_flow::pod(&answer), answer.header("set-cookie")), (pod.clone(), None));
                // The backend sees it.
                assert!(answer.text().contains(&**token), "{}", answer.text());
            }
        }
    };
    comes_back(&stage);
    let first = stage.get(8080, "rule.example.com", "/");
    let token = first.header("x-session").expect("a token");
    for _ in 0..20 {
        let ask = Ask::get("/").host("rule.example.com").header("x-session", token);
        assert_eq!(stage.pod_of(8080, &ask), pod(&first));
    }
    drop(stage);
    comes_back(&sessions(&pair));
}

/// A rule that asks for sessions, with the endpoints of two echo servers.
fn route(kind: &str, listener: &str, host: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: {kind}\nmetadata: {{name: {listener}}}\nspec:\n  parentRefs: [{{name: gw, sectionName: {listener}}}]\n  \
         hostnames: [{host}]\n  rules: [{{sessionPersistence: {{type: Cookie, cookie: {{name: stay}}}}, backendRefs: [{{name: app, port: 80}}]}}]\n"
    )
}

#[test]
fn sessions_of_grpc_of_tls_and_of_websockets() {
    let ca = Ca::new();
    let slice = |n: u16| {
        format!(
            "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: app-{n}, labels: {{kubernetes.io/service-name: app}}}}\n\
             addressType: IPv4\nports: [{{port: {}}}]\nendpoints: [{{addresses: [127.0.0.1]}}]\n",
            3000 + n
        )
    };
    let manifests = [
        GATEWAY.to_owned(),
        "  - {name: https, protocol: HTTPS, port: 8443, tls: {certificateRefs: [{name: front}]}}\n".to_owned(),
        ca.issue(&["tls.example.com"]).secret("front"),
        route("GRPCRoute", "http", "grpc.example.com"),
        route("HTTPRoute", "https", "tls.example.com"),
        route("HTTPRoute", "http", "ws.example.com"),
        "---\napiVersion: v1\nkind: Service\nmetadata: {name: app}\nspec: {ports: [{port: 80}]}\n".to_owned(),
        slice(1),
        slice(2),
    ];
    let stage = Setup::manifests(&manifests.concat()).echo(3001, "one").echo(3002, "two").start();
    let method = format!("{}/Echo", grpc::SERVICE);
    let call = |cookie: Option<&str>| {
        let ask = grpc::ask("grpc.example.com", &method);
        let ask = cookie.into_iter().fold(ask, |ask, cookie| ask.header("cookie", cookie));
        grpc::call(stage.proxy.address(8080), &ask)
    };
    let first = call(None);
    assert_eq!(first.status, Some(0), "{first:?}");
    let cookie = format!("stay={}", token(&first.answer, "stay").expect("a token"));
    let place = if first.says("one") { "one" } else { "two" };
    for _ in 0..50 {
        let again = call(Some(&cookie));
        assert!(again.status == Some(0) && again.says(place), "{again:?}");
        assert!(again.answer.header("set-cookie").is_none());
    }
    let get = |ask: &Ask| {
        Client::tls(Version::H2, stage.proxy.address(8443), "tls.example.com", &Trust::in_ca(&ca)).ask(ask).whole()
    };
    let line = get(&Ask::get("/").host("tls.example.com")).header("set-cookie").expect("a cookie").to_owned();
    assert!(line.ends_with("; Path=/; HttpOnly; SameSite=Strict; Secure"), "{line}");
    let mut wire = Wire::connect(stage.proxy.address(8080));
    wire.send(
        "GET /ws HTTP/1.1\r\nhost: ws.example.com\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    let upgraded = wire.response(true).expect("an answer");
    assert_eq!(upgraded.status, 101);
    assert!(token(&upgraded, "stay").is_some(), "{upgraded:?}");
}

#[test]
fn the_example_of_a_retry_budget() {
    let stage = Setup::example("timeouts-and-retries").echo(3000, "app").start();
    let statuses: Vec<u16> = (0..100).map(|_| stage.get(8080, "budget.example.com", "/x?status=500").status).collect();
    let count = |status| statuses.iter().filter(|s| **s == status).count() as f64;
    assert!(count(503) > 0.0 && count(500) + count(503) == 100.0, "{statuses:?}");
    assert!(count(500) >= 3.0, "the first ones have their retries: {statuses:?}");
    let metric =
        |name: &str| stage.metric(&format!("fairlead_cluster_{name}_total{{cluster=\"service/default/orders/80\"}}"));
    assert_eq!(metric("retries_refused"), count(503));
    let retries = metric("retries");
    assert!((10.0..300.0).contains(&retries), "{retries}");
    let line = stage.proxy.log_line("a refused retry", |line| line["response_code_details"] == "retry_budget_exceeded");
    assert_eq!((line["response_code"].as_u64(), line["response_flags"].as_str()), (Some(503), Some("UO")));
    // Nothing of it concerns requests that succeed.
    for _ in 0..20 {
        assert_eq!(stage.pod(8080, "budget.example.com", "/"), "app");
    }
}
