//! Clients that people use, against the real process: curl, h2load, nghttp2's client library within curl, grpcurl.
//! `tests/install test` installs them.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::process::{Command, Output};

use fairlead_test_protocol::House;
use fairlead_testkit::{Shared, TempDir, curl, tool};

static HOUSE: Shared<House> = Shared::new(House::start);

const HOSTS: [&str; 2] = ["h1.test", "h2.test"];

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn curl_in_all_versions() {
    let house = HOUSE.take();
    for host in HOSTS {
        let name = format!("Host: {host}");
        for (flag, version) in
            [("--http1.0", "1.1"), ("--http1.1", "1.1"), ("--http2", "1.1"), ("--http2-prior-knowledge", "2")]
        {
            let url = house.proxy.url(80, "/curl?x=1");
            let output = curl(&[flag, "-H", &name, "-w", "\n%{http_code} %{http_version}", &url]);
            assert_eq!(
                text(&output).lines().last(),
                Some(format!("200 {version}").as_str()),
                "{host} {flag} {output:?}"
            );
        }
    }
}

#[test]
fn curl_sends_and_gets_files() {
    let house = HOUSE.take();
    let dir = TempDir::new();
    let data: String = (0..200_000).map(|n| format!("{n}\n")).collect();
    let (from, to) = (dir.write("from", &data), dir.path().join("to"));
    for host in HOSTS {
        let name = format!("Host: {host}");
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            for more in [
                &["-T"][..],
                &["-H", "Transfer-Encoding: chunked", "-H", "Expect:", "-T"],
                &["-H", "Expect: 100-continue", "-T"],
            ] {
                let url = house.proxy.url(80, "/x/echo-body");
                let mut args = vec![version, "-H", &name, "-o", to.to_str().unwrap(), "-w", "%{http_code}"];
                args.extend(more);
                args.extend([from.to_str().unwrap(), &url]);
                let output = curl(&args);
                assert_eq!(text(&output), "200", "{host} {version} {more:?}");
                assert!(std::fs::read_to_string(&to).unwrap() == data, "{host} {version} {more:?}");
                std::fs::remove_file(&to).unwrap();
            }
        }
    }
}

#[test]
fn curl_reuses_its_connection() {
    let house = HOUSE.take();
    // By prior knowledge curl 7.88 (Debian 12) says its preface twice, to whatever server; tls.rs has HTTP/2.
    let version = "--http1.1";
    let url = house.proxy.url(80, "/[1-20]");
    let output =
        curl(&[version, "-H", "Host: h1.test", "-o", "/dev/null", "-w", "%{http_code} %{num_connects}\n", &url]);
    let text = text(&output);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines.len(), lines[0]), (20, "200 1"), "{version} {text}");
    assert!(lines[1..].iter().all(|line| *line == "200 0"), "{version} {text}");
}

#[test]
fn curl_sees_what_is_cut_off() {
    let house = HOUSE.take();
    for host in HOSTS {
        let name = format!("Host: {host}");
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            for path in ["/?size=300000&close=body", "/?size=300000&close=body&chunked=true"] {
                let output = curl(&[version, "-H", &name, "-o", "/dev/null", &house.proxy.url(80, path)]);
                assert!(!output.status.success(), "{host} {version} {path}");
            }
        }
    }
}

#[test]
fn h2load_by_the_thousand() {
    let house = HOUSE.take();
    for host in HOSTS {
        for version in [&["--h1"][..], &[]] {
            for (clients, streams, requests) in [("1", "1", "500"), ("10", "10", "4000")] {
                let uri = house.proxy.url(80, "/load");
                let header = format!(":authority: {host}");
                let output = Command::new(tool("h2load"))
                    .args(["-n", requests, "-c", clients, "-m", streams, "-H", &header])
                    .args(version)
                    .arg(&uri)
                    .output()
                    .expect("h2load: tests/install test");
                let text = text(&output);
                let all =
                    format!("{requests} total, {requests} started, {requests} done, {requests} succeeded, 0 failed");
                assert!(text.contains(&all) && text.contains(&format!("{requests} 2xx")), "{host} {version:?} {text}");
            }
        }
    }
}

const PROTO: &str = r#"syntax = "proto3";
package gateway_api_conformance.echo_basic.grpcecho;
service GrpcEcho {
  rpc Echo(EchoRequest) returns (EchoResponse) {}
  rpc EchoThree(EchoRequest) returns (EchoResponse) {}
}
message EchoRequest {}
message EchoResponse { EchoAssertions assertions = 1; }
message EchoAssertions {
  string fully_qualified_method = 1;
  repeated Header headers = 2;
  string authority = 3;
  Context context = 4;
}
message Header { string key = 1; string value = 2; }
message Context { string namespace = 1; string ingress = 2; string service_name = 3; string pod = 4; }
"#;

#[test]
fn grpcurl_calls() {
    let house = HOUSE.take();
    let dir = TempDir::new();
    dir.write("echo.proto", PROTO);
    let address = house.proxy.address(80).to_string();
    let call = |host: &str, method: &str| {
        let service = "gateway_api_conformance.echo_basic.grpcecho.GrpcEcho";
        Command::new(tool("grpcurl"))
            .args(["-plaintext", "-max-time", "10", "-import-path"])
            .arg(dir.path())
            .args([
                "-proto",
                "echo.proto",
                "-authority",
                host,
                "-H",
                "x-user: me",
                "-v",
                &address,
                &format!("{service}/{method}"),
            ])
            .output()
            .expect("grpcurl: tests/install test")
    };
    for host in HOSTS {
        let output = call(host, "Echo");
        let text = text(&output);
        assert!(output.status.success(), "{host} {text}");
        assert!(
            text.contains(r#""pod": "one""#)
                && text.contains(r#""value": "me""#)
                && text.contains(&format!(r#""authority": "{host}""#)),
            "{host} {text}"
        );
        let output = call(host, "EchoThree");
        assert!(String::from_utf8_lossy(&output.stderr).contains("Code: Unimplemented"), "{host} {output:?}");
    }
    let output = call("nobody.test", "Echo");
    assert!(String::from_utf8_lossy(&output.stderr).contains("Code: Unimplemented"), "{output:?}");
}
