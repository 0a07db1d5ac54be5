//! gRPC: example `grpc`, and the specification's rules beyond it.

use fairlead_test_flow::grpc::{SERVICE, ask, call};
use fairlead_test_flow::{Setup, Stage, repository};
use fairlead_testkit::{Ask, Shared, TempDir, has_command, tool, wait_until};
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

static EXAMPLE: Shared<Stage> = Shared::new(|| Setup::example("grpc").echo(3000, "one").echo(3001, "two").start());

fn address() -> (std::sync::Arc<Stage>, SocketAddr) {
    let stage = EXAMPLE.take();
    let address = stage.proxy.address(8080);
    (stage, address)
}

#[test]
fn methods_and_headers_choose_the_backend() {
    let (_stage, address) = address();
    let method = |name: &str| ask("grpc.example.com", &format!("{SERVICE}/{name}"));
    let one = call(address, &method("Echo"));
    assert!(one.status == Some(0) && one.says("one"), "{one:?}");
    assert!(one.answer.trailer("grpc-status").is_some(), "the status is a trailer");
    let two = call(address, &method("EchoTwo"));
    assert!(two.status == Some(0) && two.says("two"), "{two:?}");
    let canary = call(address, &method("Echo").header("x-version", "new"));
    assert!(canary.status == Some(0) && canary.says("two") && canary.says("x-canary"), "{canary:?}");
    let three = call(address, &method("EchoThree"));
    assert!(three.status == Some(12) && three.message.contains("not implemented"), "{three:?}");
}

/// What the proxy answers by itself is a gRPC status, in a response without content.
#[test]
fn errors_are_grpc_statuses() {
    let (_stage, address) = address();
    let nowhere = call(address, &ask("grpc.example.com", "other.Service/Method"));
    assert_eq!((nowhere.answer.status, nowhere.status), (200, Some(12)), "no route: UNIMPLEMENTED");
    let elsewhere = call(address, &ask("elsewhere.test", &format!("{SERVICE}/Echo")));
    assert_eq!((elsewhere.answer.status, elsewhere.status), (200, Some(12)));
    // A request that is no gRPC gets HTTP.
    let plain = call(address, &Ask::get("/").host("grpc.example.com"));
    assert_eq!((plain.answer.status, plain.status), (404, None));
}

#[test]
fn dead_backends_are_unavailable() {
    let stage = Setup::example("grpc").nobody(3000).nobody(3001).start();
    let called = call(stage.proxy.address(8080), &ask("grpc.example.com", &format!("{SERVICE}/Echo")));
    assert_eq!((called.answer.status, called.status), (200, Some(14)), "{called:?}");
    assert!(called.message.contains("remote connection failure"), "{called:?}");
}

/// grpcroute-exact-method-matching, -header-matching, -listener-hostname-matching, -weight, -named-rule.
#[test]
fn the_rules_of_grpc_routes() {
    let route = |name: &str, host: &str, rules: &str| {
        let rules = ["one", "two"].iter().fold(rules.to_owned(), |rules, backend| {
            rules
                .replace(&format!("{{{backend}}}"), &format!("{{group: fairlead.dev, kind: Backend, name: {backend}}}"))
        });
        format!(
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: GRPCRoute\nmetadata: {{name: {name}}}\nspec:\n  parentRefs: [{{name: gw}}]\n  hostnames: ['{host}']\n  rules:\n{rules}\n"
        )
    };
    let backend = |name: &str, port: u16| {
        format!(
            "---\napiVersion: fairlead.dev/v1alpha1\nkind: Backend\nmetadata: {{name: {name}}}\nspec: {{endpoints: [{{ip: {{address: 127.0.0.1, port: {port}}}}}]}}\n"
        )
    };
    let gateway = "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: gw}\nspec: {gatewayClassName: fairlead, listeners: [{name: http, protocol: HTTP, port: 8080}]}\n";
    let routes = [
        route(
            "exact",
            "exact.test",
            &format!(
                "
  - {{matches: [{{method: {{service: {SERVICE}, method: Echo}}}}], backendRefs: [{{one}}]}}
  - {{matches: [{{method: {{method: EchoTwo}}}}], backendRefs: [{{two}}]}}"
            ),
        ),
        route(
            "headers",
            "headers.test",
            "
  - {matches: [{headers: [{name: version, value: one}]}], backendRefs: [{one}]}
  - {matches: [{headers: [{name: version, type: RegularExpression, value: 'tw.'}]}], backendRefs: [{two}]}",
        ),
        route("any", "*.any.test", "  - {backendRefs: [{one}]}"),
        route(
            "weights",
            "weights.test",
            "  - {backendRefs: [{group: fairlead.dev, kind: Backend, name: one, weight: 0}, {group: fairlead.dev, kind: Backend, name: two, weight: 5}]}",
        ),
        route(
            "half",
            "broken.test",
            "  - {name: broken, backendRefs: [{group: fairlead.dev, kind: Backend, name: nowhere}]}",
        ),
    ];
    let stage = Setup::manifests(&[gateway, &routes.concat(), &backend("one", 3000), &backend("two", 3001)].concat())
        .echo(3000, "pod-one")
        .echo(3001, "pod-two")
        .start();
    let address = stage.proxy.address(8080);
    let at = |host: &str, method: &str, headers: &[(&str, &str)]| {
        let ask = headers
            .iter()
            .fold(ask(host, &format!("{SERVICE}/{method}")), |ask, (name, value)| ask.header(name, value));
        let called = call(address, &ask);
        match called.status {
            Some(0) if called.says("pod-one") => "one".to_owned(),
            Some(0) if called.says("pod-two") => "two".to_owned(),
            status => format!("{status:?}"),
        }
    };
    assert_eq!(at("exact.test", "Echo", &[]), "one");
    assert_eq!(at("exact.test", "EchoTwo", &[]), "two");
    assert_eq!(at("exact.test", "EchoThree", &[]), "Some(12)");
    assert_eq!(at("headers.test", "Echo", &[("version", "one")]), "one");
    assert_eq!(at("headers.test", "Echo", &[("version", "two")]), "two");
    assert_eq!(at("headers.test", "Echo", &[("version", "three")]), "Some(12)");
    assert_eq!(at("a.b.any.test", "Echo", &[]), "one");
    assert_eq!(at("any.test", "Echo", &[]), "Some(12)");
    assert_eq!(at("weights.test", "Echo", &[]), "two");
    let broken = call(address, &ask("broken.test", &format!("{SERVICE}/Echo")));
    assert_eq!((broken.answer.status, broken.status), (200, Some(2)), "500 is UNKNOWN: {broken:?}");
}

#[test]
fn grpcurl_as_a_real_client() {
    if !has_command("grpcurl") {
        eprintln!("grpcurl is not there; `tests/install test` brings it");
        return;
    }
    let (_stage, address) = address();
    let proto = repository().join("docs/examples/grpc/echo.proto");
    let run = |method: &str, headers: &[&str]| {
        let mut command = Command::new(tool("grpcurl"));
        command
            .args(["-plaintext", "-authority", "grpc.example.com", "-import-path"])
            .arg(proto.parent().expect("a folder"));
        command.args(["-proto", "echo.proto", "-max-time", "10"]);
        headers.iter().for_each(|header| _ = command.args(["-H", header]));
        command.arg(address.to_string()).arg(method).output().expect("grpcurl")
    };
    let output = run(&format!("{SERVICE}/Echo"), &[]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"));
    assert_eq!(json["assertions"]["context"]["pod"], "one", "{json}");
    let output = run(&format!("{SERVICE}/EchoThree"), &[]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("Unimplemented"), "{output:?}");
    let output = run(&format!("{SERVICE}/Echo"), &["x-version: new"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("\"two\""), "{output:?}");
}

/// Statuses stand in trailers, and in the head where there is no message.
#[test]
fn the_log_has_the_status_of_calls() {
    let dir = TempDir::new();
    let file = dir.path().join("access.log");
    let format = "%PATH(NQ)% %GRPC_STATUS(SNAKE_STRING)% %TRAILER(GRPC-STATUS)% %RESP(GRPC-STATUS)%";
    let stage = Setup::example("grpc")
        .args(&["--access-log", format, "--access-log-file", &file.display().to_string()])
        .echo(3000, "one")
        .nobody(3001)
        .start();
    let address = stage.proxy.address(8080);
    for method in [format!("{SERVICE}/Echo"), "other.Service/Method".to_owned()] {
        call(address, &ask("grpc.example.com", &method));
    }
    let lines = format!("/{SERVICE}/Echo OK 0 -\n/other.Service/Method UNIMPLEMENTED - 12\n");
    wait_until(Duration::from_secs(5), "two lines", || {
        (std::fs::read_to_string(&file).unwrap_or_default() == lines).then_some(())
    });
}
