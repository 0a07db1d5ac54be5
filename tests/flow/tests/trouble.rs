//! Bad input: what is wrong is said where it is wrong, and harms nothing else.

use fairlead_test_flow::{Setup, Stage, guide};
use fairlead_testkit::{Process, Proxy, TempDir, binary, free_port, wait_until};
use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

const GATEWAY: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: gw
spec:
  gatewayClassName: fairlead
  listeners:
    - name: http
      protocol: HTTP
      port: 8080
---
apiVersion: fairlead.dev/v1alpha1
kind: Backend
metadata:
  name: one
spec:
  endpoints:
    - ip: {address: 127.0.0.1, port: 3000}
";

fn route(name: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata:\n  name: {name}\nspec:\n  parentRefs:\n    - name: gw\n  rules:\n    \
         - matches:\n        - path:\n            value: /{name}\n      backendRefs:\n        - group: fairlead.dev\n          kind: Backend\n          name: one\n"
    )
}

fn stage() -> Stage {
    Setup::manifests(GATEWAY).file("a.yaml", &route("a")).file("b.yaml", &route("b")).echo(3000, "one").start()
}

/// A Gateway has many listeners: what is wrong with one is not told again whenever another one changes.
#[test]
fn what_was_told_is_not_told_again() {
    let listener = |name: &str| {
        format!(
            "    - {{name: {name}, protocol: HTTPS, port: 8443, hostname: {name}.test, tls: {{certificateRefs: [{{name: {name}}}]}}}}\n"
        )
    };
    let with = |listeners: &str| GATEWAY.replace("      port: 8080\n", &format!("      port: 8080\n{listeners}"));
    let first = listener("first");
    let stage = Setup::manifests(&with(&first)).listener(8443).start();
    stage.until_printed(&["Secret default/first"]);
    stage.update(&with(&format!("{first}{}", listener("second"))));
    let output = stage.until_printed(&["Secret default/second"]);
    let told = output.lines().filter(|line| line.contains("error: ") && line.contains("Secret default/first"));
    assert_eq!(told.count(), 1, "{output}");
}

#[test]
fn broken_yaml_is_shown_and_the_last_good_version_serves_on() {
    let stage = stage();
    stage.write("a.yaml", &route("a").replace("  parentRefs:\n", "  parentRefs: [\n"));
    let output = stage.until_printed(&["a.yaml:7:", "error: ", "the last good version stays in use"]);
    let at = output.lines().position(|line| line.contains("a.yaml:7:")).expect("the line");
    let snippet: Vec<&str> = output.lines().skip(at).take(4).collect();
    assert!(snippet[2].starts_with("7 |     - name: gw") && snippet[3].contains('^'), "{output}");
    assert_eq!(
        (stage.pod(8080, "x.test", "/a"), stage.pod(8080, "x.test", "/b")),
        ("one".to_owned(), "one".to_owned())
    );
    // Other files go on to be followed.
    stage.write("b.yaml", &route("c"));
    stage.until_pod(8080, "x.test", "/c", "one");
    assert_eq!(stage.pod(8080, "x.test", "/a"), "one");
    stage.write("a.yaml", &route("mended"));
    stage.until_pod(8080, "x.test", "/mended", "one");
    stage.until_printed(&["solved "]);
    assert_eq!(stage.pod(8080, "x.test", "/a"), "404");
}

/// One document of a file that does not parse, or has a wrong type, keeps its last good version; the others are used.
#[test]
fn a_wrong_value_concerns_its_object_only() {
    let stage = Setup::manifests(GATEWAY)
        .file("two.yaml", &format!("{}---\n{}", route("a"), route("b")))
        .echo(3000, "one")
        .start();
    let wrong = route("b").replace("    - name: gw\n", "    - name: [gw]\n");
    stage.write("two.yaml", &format!("{}---\n{wrong}", route("new")));
    stage.until_printed(&["two.yaml:", "HTTPRoute default/b: spec.parentRefs[0].name: expected a string"]);
    stage.until_pod(8080, "x.test", "/new", "one");
    assert_eq!(stage.pod(8080, "x.test", "/b"), "one");
    assert_eq!(stage.pod(8080, "x.test", "/a"), "404");
}

#[test]
fn what_is_not_known_is_said_and_left_out() {
    let odd = [
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n",
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRuote\nmetadata: {name: typo}\n",
        "just: a mapping\n",
        "- a\n- list\n",
    ];
    let unknown_field = route("field").replace("  parentRefs:", "  parentReffs: []\n  parentRefs:");
    let unknown_value =
        route("value").replace("            value: /value", "            type: Glob\n            value: /value");
    let stage = Setup::manifests(GATEWAY)
        .file("a.yaml", &route("a"))
        .file("odd.yaml", &odd.join("---\n"))
        .file("field.yaml", &unknown_field)
        .file("value.yaml", &unknown_value)
        .echo(3000, "one")
        .start();
    assert_eq!(stage.pod(8080, "x.test", "/a"), "one");
    assert_eq!(stage.pod(8080, "x.test", "/field"), "one");
    assert_eq!(stage.pod(8080, "x.test", "/value"), "404");
    let output = stage.proxy.process.output();
    for part in [
        "HTTPRuote",
        "odd.yaml:",
        "not Accepted: UnsupportedValue",
        "\"Glob\" is none of Exact, PathPrefix, RegularExpression",
    ] {
        assert!(output.contains(part), "{part}: {output}");
    }
}

#[test]
fn a_bad_regular_expression_fails_its_rule_only() {
    let regex = route("x")
        .replace("            value: /x", "            type: RegularExpression\n            value: /x/([0-9]+");
    let half = route("half") + "    - matches:\n        - path: {type: RegularExpression, value: '/y/[', }\n";
    let stage = Setup::manifests(GATEWAY)
        .file("x.yaml", &regex)
        .file("half.yaml", &half)
        .file("a.yaml", &route("a"))
        .echo(3000, "one")
        .start();
    assert_eq!(
        (stage.pod(8080, "x.test", "/a"), stage.pod(8080, "x.test", "/half")),
        ("one".to_owned(), "one".to_owned())
    );
    assert_eq!(
        (stage.pod(8080, "x.test", "/x/1"), stage.pod(8080, "x.test", "/y/[")),
        ("404".to_owned(), "404".to_owned())
    );
    let output = stage.proxy.process.output();
    for part in ["x.yaml:12:20: error: ", "unclosed group", "half.yaml:", "PartiallyInvalid"] {
        assert!(output.contains(part), "{part}: {output}");
    }
    // A large one is refused rather than compiled for minutes.
    stage.write("x.yaml", &regex.replace("([0-9]+", "((a{1000}){1000}){1000}"));
    stage.until_printed(&["too large a regular expression"]);
    assert_eq!(stage.pod(8080, "x.test", "/a"), "one");
}

#[test]
fn conflicting_listeners_are_out_and_the_others_serve() {
    let conflict = GATEWAY.replace(
        "      port: 8080\n",
        "      port: 8080\n    - {name: twin-a, protocol: HTTP, port: 8081, hostname: twin.test}\n    - {name: twin-b, protocol: HTTP, port: 8081, hostname: twin.test}\n    \
         - {name: fine, protocol: HTTP, port: 8081, hostname: fine.test}\n    - {name: odd, protocol: example.com/odd, port: 8082}\n",
    );
    let stage = Setup::manifests(&conflict).file("a.yaml", &route("a")).echo(3000, "one").start();
    assert_eq!(stage.pod(8080, "x.test", "/a"), "one");
    assert_eq!(
        (stage.pod(8081, "fine.test", "/a"), stage.pod(8081, "twin.test", "/a")),
        ("one".to_owned(), "404".to_owned())
    );
    let output = stage.proxy.process.output();
    for part in ["HostnameConflict", "port 8081 is taken for twin.test by listener twin-b", "UnsupportedProtocol"] {
        assert!(output.contains(part), "{part}: {output}");
    }
    let row = output.lines().find(|line| line.contains("twin-a") && line.starts_with("default/gw")).unwrap_or_default();
    assert!(row.contains("Conflicted (HostnameConflict)"), "{row}");
}

#[test]
fn a_port_in_use_is_said_with_a_way_out_and_tried_again() {
    let taken = TcpListener::bind("[::]:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let manifests = GATEWAY.replace(
        "      port: 8080\n",
        &format!("      port: 8080\n    - {{name: busy, protocol: HTTP, port: {port}}}\n"),
    );
    // Not mapped, so that the port is really taken.
    let echo = fairlead_testkit::Echo::start("one");
    let files = TempDir::new();
    files.write(
        "all.yaml",
        &(manifests.replace("8080", &free_port().to_string()).replace("3000", &echo.port().to_string())
            + "---\n"
            + &route("a")),
    );
    let admin = format!("127.0.0.1:{}", free_port());
    let mut command = Command::new(binary());
    command.args(["serve", "--workers", "1", "--access-log", "off", "--admin-address", &admin, "-f"]).arg(files.path());
    let process = Process::start(&mut command);
    let hint = format!("`--port-map {port}=");
    wait_until(Duration::from_secs(20), "the hint", || process.output().contains(&hint).then_some(()));
    let output = process.output();
    assert!(
        output.contains("PortUnavailable") && output.contains(&format!("another process listens on port {port}")),
        "{output}"
    );
    let ready = |code: &str| {
        let text = guide::run(&format!("curl -s -o /dev/null -w '%{{http_code}}' http://{admin}/ready"));
        (text == code).then_some(())
    };
    wait_until(Duration::from_secs(5), "not to be ready", || ready("503"));
    drop(taken);
    wait_until(Duration::from_secs(20), "the port to be taken after all", || {
        process.output().contains(&format!("listening on port {port}")).then_some(())
    });
    wait_until(Duration::from_secs(5), "to be ready", || ready("200"));
}

#[test]
fn a_huge_file_is_refused_by_its_size() {
    let stage = stage();
    let comment = format!("# {}\n", "x".repeat(1 << 20));
    let proxy = Setup::manifests(GATEWAY)
        .file("a.yaml", &route("a"))
        .file("huge.yaml", &(comment.repeat(2) + &route("huge")))
        .args(&["--max-file-size", "1"])
        .echo(3000, "one")
        .start();
    assert_eq!(
        (proxy.pod(8080, "x.test", "/a"), proxy.pod(8080, "x.test", "/huge")),
        ("one".to_owned(), "404".to_owned())
    );
    proxy.until_printed(&["huge.yaml: error: ", "--max-file-size"]);
    // While it is served, a file that grows too large keeps what it said before.
    let mut text = route("b");
    text.push_str(&format!("# {}\n", "x".repeat(65 << 20)));
    stage.write("b.yaml", &text);
    stage.until_printed(&["b.yaml: error: ", "the last good version stays in use"]);
    assert_eq!(stage.pod(8080, "x.test", "/b"), "one");
}

/// YAML that expands to billions of nodes, or nests thousands deep.
#[test]
fn yaml_bombs_are_defused() {
    let stage = stage();
    let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (name, of) in ["b", "c", "d", "e", "f", "g", "h", "i"].iter().zip(["a", "b", "c", "d", "e", "f", "g", "h"]) {
        bomb += &format!("{name}: &{name} [{}]\n", vec![format!("*{of}"); 10].join(", "));
    }
    stage.write("bomb.yaml", &bomb);
    stage.until_printed(&["bomb.yaml:"]);
    stage.write("deep.yaml", &format!("a: {}{}\n", "[".repeat(50_000), "]".repeat(50_000)));
    stage.until_printed(&["deep.yaml:"]);
    stage.write("c.yaml", &route("c"));
    stage.until_pod(8080, "x.test", "/c", "one");
}

#[test]
fn an_empty_directory_is_served_until_it_is_filled() {
    let stage = Setup::manifests("").echo(3000, "one").listener(8080).start();
    stage.proxy.dir.remove("manifests.yaml");
    stage.until_printed(&[": no manifest here", "put *.yaml, *.yml or *.json files into it"]);
    stage.update(&format!("{GATEWAY}---\n{}", route("a")));
    stage.until_pod(8080, "x.test", "/a", "one");
    stage.until_printed(&["solved "]);
}

#[test]
fn a_directory_that_vanishes_and_returns() {
    let stage = stage();
    let (here, away) = (stage.proxy.dir.path().to_owned(), TempDir::new());
    let aside = away.path().join("aside");
    std::fs::rename(&here, &aside).expect("moved");
    stage.until_printed(&["can't read: No such file or directory", "the last good version stays in use"]);
    for _ in 0..3 {
        assert_eq!(stage.pod(8080, "x.test", "/a"), "one");
    }
    std::fs::rename(&aside, &here).expect("moved back");
    stage.until_printed(&["solved "]);
    stage.write("a.yaml", &route("new"));
    stage.until_pod(8080, "x.test", "/new", "one");
    assert_eq!(stage.pod(8080, "x.test", "/a"), "404");
}

#[test]
fn a_path_that_is_not_there_at_the_start_is_an_error() {
    let missing = TempDir::new().path().join("nowhere");
    let output =
        Command::new(binary()).args(["serve", "--admin-address", "off", "-f"]).arg(&missing).output().expect("serve");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.starts_with("error: ") && text.contains("nowhere: can't read: No such file or directory"), "{text}");
    let output = Command::new(binary()).args(["serve", "--port-map", "80"]).output().expect("serve");
    assert_eq!(output.status.code(), Some(2), "wrong usage");
}

#[test]
fn files_that_are_no_text_and_objects_that_are_twice() {
    let stage = stage();
    std::fs::write(stage.proxy.dir.path().join("binary.yaml"), [0xff, 0xfe, 0x00, 0x41]).expect("written");
    stage.until_printed(&["binary.yaml"]);
    stage.write("z.yaml", &route("a").replace("value: /a", "value: /z"));
    stage.until_printed(&["HTTPRoute default/a is defined twice; the first definition is used", "first defined here"]);
    assert_eq!(
        (stage.pod(8080, "x.test", "/a"), stage.pod(8080, "x.test", "/z")),
        ("one".to_owned(), "404".to_owned())
    );
    // The second takes its place when the first goes.
    stage.proxy.dir.remove("a.yaml");
    stage.until_pod(8080, "x.test", "/z", "one");
}

#[test]
fn status_for_machines() {
    let proxy: Proxy =
        Proxy::builder(&format!("{GATEWAY}---\n{}", route("a").replace("name: one", "name: missing")), &[8080])
            .args(&["--output", "json"])
            .start();
    let line = wait_until(Duration::from_secs(5), "the first line", || {
        proxy.process.output().lines().find(|l| l.starts_with('{')).map(str::to_owned)
    });
    let json: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!((json["event"].as_str(), json["version"].as_u64()), (Some("serving"), Some(1)), "{json}");
    assert_eq!(json["listeners"][0]["listener"], "http");
    assert_eq!(json["routes"][0]["name"], "default/a");
    let conditions = json["routes"][0]["conditions"].as_array().expect("conditions");
    assert!(
        conditions
            .iter()
            .any(|c| c["type"] == "ResolvedRefs" && c["status"] == false && c["reason"] == "BackendNotFound"),
        "{json}"
    );
    assert_eq!(json["problems"][0]["code"], "condition", "{json}");
}
