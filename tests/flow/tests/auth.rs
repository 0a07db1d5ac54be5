//! External authorisation: example `external-authorisation`.

use fairlead_test_flow::{Setup, Stage, pod};
use fairlead_testkit::calls::{CallAct, Calls, field, number};
use fairlead_testkit::{Act, Ask, Backend, Content, Shared, wait_until};
use std::time::Duration;

struct Example {
    stage: Stage,
    gatekeeper: Backend,
    authorizer: Calls,
}

static EXAMPLE: Shared<Example> = Shared::new(|| {
    let gatekeeper = Backend::start(|request| {
        let answer = |status: u16, fields: &str, body: &str| {
            Act::Answer(
                format!("HTTP/1.1 {status} X\r\n{fields}content-length: {}\r\n\r\n{body}", body.len()).into_bytes(),
            )
        };
        match (request.path().starts_with("/tenant"), &request.headers("authorization")[..]) {
            (true, [tenant]) => answer(200, &format!("x-tenant: {tenant}\r\n"), ""),
            (false, ["secret"]) => answer(200, "x-user: ann\r\nx-internal: 1\r\n", ""),
            (_, ["hold"]) => Act::Hold(Vec::new()),
            _ => answer(302, "location: https://login.example.com/\r\n", "log in"),
        }
    });
    let authorizer = Calls::start(|message| {
        let says = |part: &str| message.windows(part.len()).any(|window| window == part.as_bytes());
        if says("/broken") {
            CallAct::Fail(2)
        } else if says("/account") {
            let user = field(1, [field(1, "x-user"), field(2, "bob")].concat());
            CallAct::Answer([field(1, number(1, 0)), field(3, field(2, user))].concat())
        } else {
            let denied = [field(1, number(1, 451)), field(3, "not here")].concat();
            CallAct::Answer([field(1, number(1, 7)), field(2, denied)].concat())
        }
    });
    let setup = Setup::example("external-authorisation").echo(3000, "app");
    let setup = setup.port(3001, gatekeeper.address.port()).port(3002, authorizer.address.port());
    Example { stage: setup.start(), gatekeeper, authorizer }
});

#[test]
fn over_http() {
    let example = EXAMPLE.take();
    let ask = |path: &str| Ask::new("POST", path).host("shop.example.com").header("x-user", "forged");
    let good = ask("/cart?x=1").header("authorization", "secret").header("cookie", "a=b");
    let json = example.stage.ask(8080, &good.content(Content::Sized(b"order".as_slice().into()))).json();
    assert_eq!((json["pod"].as_str(), json["path"].as_str()), (Some("app"), Some("/cart?x=1")));
    assert_eq!(json["headers"]["X-User"][0], "ann");
    assert!(json["headers"]["X-Internal"].is_null(), "{json}");
    let seen = example.gatekeeper.seen().requests;
    let asked = seen.iter().find(|request| request.path() == "/check/cart?x=1").expect("a question");
    assert_eq!((asked.method(), &asked.body[..]), ("POST", &b"order"[..]));
    assert_eq!((asked.headers("host"), asked.headers("cookie")), (vec!["shop.example.com"], vec!["a=b"]));
    assert!(asked.headers("x-user").is_empty());
    let refused = example.stage.ask(8080, &ask("/refused"));
    assert_eq!((refused.status, refused.header("location")), (302, Some("https://login.example.com/")));
    assert_eq!(refused.text(), "log in");
    let line = example.stage.proxy.log_of("/refused");
    assert_eq!(
        (line["response_flags"].as_str(), line["response_code_details"].as_str()),
        (Some("UAEX"), Some("ext_authz_denied"))
    );
    let long = ask("/long").content(Content::Sized(vec![b'x'; 8193].into()));
    assert_eq!(example.stage.ask(8080, &long).status, 413);
    let line = example.stage.proxy.log_of("/long");
    assert_eq!(line["response_code_details"], "request_payload_too_large");
}

#[test]
fn over_grpc() {
    let example = EXAMPLE.take();
    let json = example.stage.get(8080, "bank.example.com", "/account").json();
    assert_eq!((json["pod"].as_str(), json["headers"]["X-User"][0].as_str()), (Some("app"), Some("bob")));
    let refused = example.stage.get(8080, "bank.example.com", "/vault");
    assert_eq!((refused.status, refused.text().as_str()), (451, "not here"));
    assert_eq!(example.stage.get(8080, "bank.example.com", "/broken").status, 403);
    let line = example.stage.proxy.log_of("/broken");
    assert_eq!(
        (line["response_flags"].as_str(), line["response_code_details"].as_str()),
        (Some("UAEX"), Some("ext_authz_error"))
    );
    assert!(example.authorizer.seen().len() >= 3);
}

#[test]
fn before_routing() {
    let example = EXAMPLE.take();
    let ask = |tenant: &str| Ask::get("/").host("a").header("authorization", tenant).header("x-tenant", "red");
    assert_eq!(example.stage.pod_of(8081, &ask("red")), "app");
    assert_eq!(example.stage.ask(8081, &ask("blue")).status, 404, "what the client claims is not believed");
    assert_eq!(example.stage.get(8081, "a", "/").status, 302);
}

/// A service that comes and goes, and one that was never there.
#[test]
fn nothing_gets_past_what_is_not_there() {
    let manifests = |name: &str| {
        format!(
            r#"
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: web}}
spec:
  gatewayClassName: fairlead
  listeners:
  - name: http
    port: 8080
    protocol: HTTP
    hostname: listener.example.com
    filters: {{requests: [{{type: ExternalAuth, externalAuth: {{protocol: HTTP, backendRef: {{group: fairlead.dev, kind: Backend, name: {name}}}, http: {{}}}}}}]}}
  - {{name: rules, port: 8080, protocol: HTTP, hostname: rule.example.com}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: one}}
spec:
  parentRefs: [{{name: web, sectionName: http}}]
  rules: [{{backendRefs: [{{group: fairlead.dev, kind: Backend, name: app}}]}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: two}}
spec:
  parentRefs: [{{name: web, sectionName: rules}}]
  rules:
  - filters: [{{type: ExternalAuth, externalAuth: {{protocol: HTTP, backendRef: {{group: fairlead.dev, kind: Backend, name: {name}}}, http: {{}}}}}}]
    backendRefs: [{{group: fairlead.dev, kind: Backend, name: app}}]
---
apiVersion: fairlead.dev/v1alpha1
kind: Backend
metadata: {{name: app}}
spec: {{endpoints: [{{ip: {{address: 127.0.0.1, port: 3000}}}}]}}
---
apiVersion: fairlead.dev/v1alpha1
kind: Backend
metadata: {{name: auth}}
spec: {{endpoints: [{{ip: {{address: 127.0.0.1, port: 3001}}}}]}}
"#
        )
    };
    let stage = Setup::manifests(&manifests("auth")).echo(3000, "app").echo(3001, "auth").start();
    let hosts = ["listener.example.com", "rule.example.com"];
    for host in hosts {
        assert_eq!(stage.pod(8080, host, "/"), "app", "{host}");
    }
    stage.update(&manifests("nowhere"));
    for host in hosts {
        stage.until_pod(8080, host, "/", "500");
    }
    stage.update(&manifests("auth"));
    for host in hosts {
        stage.until_pod(8080, host, "/", "app");
    }
    let mut stage = stage;
    stage.kill(3001);
    wait_until(Duration::from_secs(10), "the service to be missed", || {
        hosts.iter().all(|host| pod(&stage.get(8080, host, "/")) == "403").then_some(())
    });
}
