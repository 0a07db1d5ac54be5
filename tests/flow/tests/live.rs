//! What happens when things change: no request fails because of a change that does not concern its route.

use fairlead_test_flow::{Load, Setup, Stage};
use fairlead_testkit::tls::{Ca, Trust};
use fairlead_testkit::{Ask, Client, End, Version, Wire, runtime, wait_until};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const GATEWAY: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  gatewayClassName: fairlead
  listeners:
  - {name: http, protocol: HTTP, port: 8080}
";
const SECOND: &str = "  - {name: second, protocol: HTTP, port: 8081}\n";

fn route(name: &str, backend: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}}}\nspec:\n  parentRefs: [{{name: gw}}]\n  \
         rules: [{{matches: [{{path: {{value: /{name}}}}}], backendRefs: [{{name: {backend}, port: 80}}]}}]\n"
    )
}

fn service(name: &str, ports: &[u16]) -> String {
    let slices: String = ports
        .iter()
        .map(|port| {
            format!(
                "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: {name}-{port}, labels: {{kubernetes.io/service-name: {name}}}}}\n\
                 addressType: IPv4\nports: [{{port: {port}}}]\nendpoints: [{{addresses: [127.0.0.1]}}]\n"
            )
        })
        .collect();
    format!("---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{ports: [{{port: 80}}]}}\n{slices}")
}

fn stage() -> Stage {
    Setup::manifests(GATEWAY)
        .file("steady.yaml", &route("steady", "one"))
        .file("moving.yaml", &route("moving", "one"))
        .file("services.yaml", &(service("one", &[3000]) + &service("two", &[3001])))
        .echo(3000, "one")
        .echo(3001, "two")
        .listener(8081)
        .start()
}

/// Changes of everything around it while clients ask on both versions of HTTP.
#[test]
fn changes_under_load_break_nothing() {
    let stage = stage();
    let address = stage.proxy.address(8080);
    let load = |version, path: &str| Load::start(version, address, Ask::get(path).host("a.test"));
    let steady = [load(Version::H1, "/steady"), load(Version::H2, "/steady")];
    let moving = [load(Version::H1, "/moving"), load(Version::H2, "/moving")];
    for round in 0..12 {
        let backend = ["two", "one"][round % 2];
        stage.write("moving.yaml", &route("moving", backend));
        stage.until_pod(8080, "a.test", "/moving", backend);
        match round % 4 {
            0 => stage.write("extra.yaml", &route("extra", "one")),
            1 => stage.update(&format!("{GATEWAY}{SECOND}")),
            2 => stage.proxy.dir.remove("extra.yaml"),
            _ => stage.update(GATEWAY),
        }
    }
    for load in steady {
        let tally = load.stop();
        assert!(tally.broken.is_empty(), "{tally:?}");
        assert_eq!(tally.answers.keys().collect::<Vec<_>>(), ["one"], "{tally:?}");
        assert_eq!(tally.connections, 1, "no change ends a connection: {tally:?}");
    }
    for load in moving {
        let tally = load.stop();
        assert!(tally.broken.is_empty(), "{tally:?}");
        assert_eq!(tally.answers.keys().collect::<Vec<_>>(), ["one", "two"], "{tally:?}");
        assert_eq!(tally.connections, 1, "{tally:?}");
    }
    assert_eq!(stage.metric("fairlead_config_rejected_resources"), 0.0);
}

/// Endpoints come and go; those that go finish what they have.
#[test]
fn endpoints_move_without_a_failed_request() {
    let stage = stage();
    let load = Load::start(Version::H1, stage.proxy.address(8080), Ask::get("/steady").host("a.test"));
    // In progress on an endpoint that leaves.
    let mut slow = Wire::connect(stage.proxy.address(8080));
    slow.send("GET /steady?delay=700ms HTTP/1.1\r\nHost: a.test\r\n\r\n");
    wait_until(Duration::from_secs(5), "the slow request to be under way", || {
        (stage.metric("fairlead_cluster_requests_active{cluster=\"service/default/one/80\"}") >= 1.0).then_some(())
    });
    let two = service("two", &[3001]);
    for (ports, pod) in [(&[3000, 3001][..], "two"), (&[3001], "two"), (&[3000], "one"), (&[3001], "two")] {
        stage.write("services.yaml", &(service("one", ports) + &two));
        stage.until_pod(8080, "a.test", "/steady", pod);
    }
    let answer = slow.response(false).expect("an answer");
    assert_eq!((answer.status, answer.json()["pod"].as_str()), (200, Some("one")));
    let tally = load.stop();
    assert!(tally.broken.is_empty() && tally.answers.keys().all(|pod| pod == "one" || pod == "two"), "{tally:?}");
    // None at all is 503, and back.
    stage.write("services.yaml", &(service("one", &[]) + &two));
    stage.until_pod(8080, "a.test", "/steady", "503");
    stage.write("services.yaml", &(service("one", &[3000]) + &two));
    stage.until_pod(8080, "a.test", "/steady", "one");
}

/// Endpoint changes compile no route, a route's change no other.
#[test]
fn a_change_touches_what_depends_on_it() {
    let stage = stage();
    stage.write("services.yaml", &(service("one", &[3000, 3001]) + &service("two", &[3001])));
    stage.until_printed(&["changed EndpointSlice default/one-3001: 1 resource pushed, version 2"]);
    stage.write("moving.yaml", &route("moving", "two").replace("/moving", "/moved"));
    let output = stage.until_printed(&["changed HTTPRoute default/moving: "]);
    assert!(
        output.contains("resources pushed, version 3") || output.contains("resource pushed, version 3"),
        "{output}"
    );
    // The same text once more, or a comment, is no change.
    stage.write("moving.yaml", &format!("# A comment.\n{}", route("moving", "two").replace("/moving", "/moved")));
    stage.write("steady.yaml", &route("steady", "two"));
    stage.until_printed(&["changed HTTPRoute default/steady: "]);
    assert_eq!(stage.metric("fairlead_config_version"), 4.0);
}

#[test]
fn listeners_come_and_go() {
    let stage = stage();
    let refused = || TcpStream::connect(stage.proxy.address(8081)).is_err();
    assert!(refused());
    stage.update(&format!("{GATEWAY}{SECOND}"));
    stage.until_pod(8081, "a.test", "/steady", "one");
    let mut kept = Client::connect(Version::H1, stage.proxy.address(8081));
    assert_eq!(kept.ask(&Ask::get("/steady").host("a.test")).whole().status, 200);
    let mut slow = Wire::connect(stage.proxy.address(8081));
    slow.send("GET /steady?delay=500ms HTTP/1.1\r\nHost: a.test\r\n\r\n");
    std::thread::sleep(Duration::from_millis(100));
    stage.update(GATEWAY);
    wait_until(Duration::from_secs(5), "port 8081 to be closed", || refused().then_some(()));
    let answer = slow.response(false).expect("what was in progress goes on");
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    let late = kept.ask(&Ask::get("/steady").host("a.test"));
    assert!(late.end == End::Closed || late.answer.status == 404, "{late:?}");
    assert_eq!(stage.pod(8080, "a.test", "/steady"), "one");
    stage.update(&format!("{GATEWAY}{SECOND}"));
    stage.until_pod(8081, "a.test", "/steady", "one");
}

#[test]
fn files_come_and_go() {
    let stage = stage();
    stage.write("new.yaml", &route("new", "two"));
    stage.until_pod(8080, "a.test", "/new", "two");
    stage.proxy.dir.remove("new.yaml");
    stage.until_pod(8080, "a.test", "/new", "404");
    // In place, as editors that don't rename do it, and by JSON in a folder.
    std::fs::write(stage.proxy.dir.path().join("moving.yaml"), route("moving", "two")).expect("written");
    stage.until_pod(8080, "a.test", "/moving", "two");
    let folder = stage.proxy.dir.path().join("more/deep");
    std::fs::create_dir_all(&folder).expect("a folder");
    let json = serde_json::json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "json"},
        "spec": {"parentRefs": [{"name": "gw"}], "rules": [{"matches": [{"path": {"value": "/json"}}], "backendRefs": [{"name": "one", "port": 80}]}]},
    });
    std::fs::write(folder.join("route.json"), json.to_string()).expect("written");
    stage.until_pod(8080, "a.test", "/json", "one");
    std::fs::remove_dir_all(stage.proxy.dir.path().join("more")).expect("removed");
    stage.until_pod(8080, "a.test", "/json", "404");
}

/// One route among many is served soon after its file is written.
#[test]
fn a_change_is_served_at_once() {
    let stage = stage();
    let many: String = (0..500).map(|n| route(&format!("r{n}"), "one")).collect();
    stage.write("many.yaml", &many);
    stage.until_pod(8080, "a.test", "/r499", "one");
    let mut client = Client::connect(Version::H1, stage.proxy.address(8080));
    let mut times: Vec<Duration> = Vec::new();
    for round in 0..7 {
        let backend = ["two", "one"][round % 2];
        stage.write("moving.yaml", &route("moving", backend));
        let start = Instant::now();
        wait_until(Duration::from_secs(5), "the change", || {
            (fairlead_test_flow::pod(&client.ask(&Ask::get("/moving").host("a.test")).whole()) == backend).then_some(())
        });
        times.push(start.elapsed());
    }
    times.sort();
    // `tests/load` measures it; here it must only not be a matter of seconds, on a machine that does other things.
    assert!(times[3] < Duration::from_millis(500), "{times:?}");
}

#[test]
fn certificates_are_exchanged_by_name() {
    let (old, new) = (Ca::new(), Ca::new());
    let listener = |name: &str| {
        format!(
            "  - {{name: {name}, protocol: HTTPS, port: 8443, hostname: {name}.test, tls: {{certificateRefs: [{{name: {name}}}]}}}}\n"
        )
    };
    let secret = |ca: &Ca, name: &str| ca.issue(&[&format!("{name}.test")]).secret(name);
    let stage = Setup::manifests(
        &[GATEWAY, &listener("a"), &listener("b"), &route("steady", "one"), &service("one", &[3000])].concat(),
    )
    .file("a.yaml", &secret(&old, "a"))
    .file("b.yaml", &secret(&old, "b"))
    .echo(3000, "one")
    .start();
    let address = stage.proxy.address(8443);
    let shakes = |ca: &Ca, name: &str| runtime().block_on(Trust::in_ca(ca).connect(address, name, &[])).is_ok();
    assert!(shakes(&old, "a.test") && shakes(&old, "b.test") && !shakes(&new, "a.test"));
    let mut open = Client::tls(Version::H2, address, "a.test", &Trust::in_ca(&old));
    let ask = Ask::get("/steady").host("a.test");
    assert_eq!(open.ask(&ask).whole().status, 200);
    stage.write("a.yaml", &secret(&new, "a"));
    wait_until(Duration::from_secs(5), "the new certificate", || shakes(&new, "a.test").then_some(()));
    assert!(!shakes(&old, "a.test") && shakes(&old, "b.test"), "one name's certificate is not another's");
    assert_eq!(open.ask(&ask).whole().status, 200, "open connections go on");
    // A certificate that can't be read: the last good one serves on, and somebody is told.
    stage.write("a.yaml", &secret(&old, "a").replace("tls.crt: ", "tls.crt: SGVsbG8="));
    stage.until_printed(&["Secret default/a: "]);
}
