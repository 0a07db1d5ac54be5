//! Many objects: 100,000 with the optimised binary, fewer with a debug build.

use fairlead_test_flow::Setup;
use fairlead_testkit::{binary, wait_until};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// One Gateway, and routes with a Service and an EndpointSlice each, in files of a thousand objects.
fn files(routes: usize) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for first in (0..routes).step_by(333) {
        let mut text = String::new();
        for n in first..routes.min(first + 333) {
            let _ = write!(
                text,
                "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: r{n}}}\nspec:\n  parentRefs: [{{name: gw}}]\n  \
                 hostnames: [h{}.test]\n  rules:\n  - matches: [{{path: {{value: /r{n}}}}}]\n    backendRefs: [{{name: s{n}, port: 80}}]\n\
                 ---\napiVersion: v1\nkind: Service\nmetadata: {{name: s{n}}}\nspec: {{ports: [{{port: 80}}]}}\n\
                 ---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: s{n}-1, labels: {{kubernetes.io/service-name: s{n}}}}}\n\
                 addressType: IPv4\nports: [{{port: 3000}}]\nendpoints: [{{addresses: [127.0.0.1]}}]\n",
                n % 1000,
            );
        }
        files.push((format!("part-{first:06}.yaml"), text));
    }
    files
}

const GATEWAY: &str = "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: gw}\nspec:\n  gatewayClassName: fairlead\n  \
                       listeners: [{name: http, protocol: HTTP, port: 8080}]\n";

#[test]
fn a_hundred_thousand_objects_in_seconds() {
    let optimised = binary().components().any(|part| part.as_os_str() == "release");
    let routes = if optimised { 33_333 } else { 1_000 };
    let mut setup = Setup::manifests(GATEWAY).echo(3000, "one");
    for (name, text) in files(routes) {
        setup = setup.file(&name, &text);
    }
    let start = Instant::now();
    let stage = setup.spawn();
    wait_until(Duration::from_secs(30), "all objects to be served", || {
        stage.proxy.process.output().contains("serving ").then_some(())
    });
    let loaded = start.elapsed();
    for n in [0, routes / 2, routes - 1] {
        assert_eq!(stage.pod(8080, &format!("h{}.test", n % 1000), &format!("/r{n}")), "one");
    }
    assert_eq!(stage.pod(8080, "h1.test", "/r2"), "404");
    let output = stage.proxy.process.output();
    assert!(output.contains(&format!("… and {} more routes", thousands(routes - 100))), "the table is cut");
    if loaded > Duration::from_secs(2) {
        assert!(output.contains("reading: "), "a long load shows how far it has come: {output}");
    }
    // One change among them does not read or compile the rest.
    let last = files(routes).pop().expect("files").0;
    let path = stage.proxy.dir.path().join(&last);
    let text = std::fs::read_to_string(&path).expect("readable");
    let n = routes - 1;
    let changed = Instant::now();
    stage.write(&last, &text.replace(&format!("value: /r{n}"), "value: /changed"));
    stage.until_pod(8080, &format!("h{}.test", n % 1000), "/changed", "one");
    let took = changed.elapsed();
    eprintln!(
        "{} objects: loaded in {loaded:.2?}, one changed in {took:.2?}, {} MiB",
        3 * routes + 1,
        stage.proxy.process.memory() / 1024
    );
    assert!(
        loaded < Duration::from_secs(30) && took < Duration::from_secs(2),
        "loaded in {loaded:?}, changed in {took:?}"
    );
    stage.until_printed(&[&format!("changed HTTPRoute default/r{n}: 1 resource pushed")]);
}

fn thousands(n: usize) -> String {
    if n < 1000 { n.to_string() } else { format!("{},{:03}", n / 1000, n % 1000) }
}
