//! TLS: ALPN, the certificate by server name, and requests that come over the wrong connection (RFC 9110 §15.5.20, GEP-3567).
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::process::{Command, Stdio};
use std::time::Duration;

use fairlead_test_protocol::pattern;
use fairlead_testkit::tls::{Ca, Trust};
use fairlead_testkit::{
    Ask, Client, Content, Echo, Frames, Proxy, Shared, TempDir, Version, Wire, curl, frames, runtime,
};

struct House {
    proxy: Proxy,
    trust: Trust,
    ca: TempDir,
    _echo: Echo,
}

const MANIFESTS: &str = "apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  gatewayClassName: fairlead
  listeners:
    - name: a
      protocol: HTTPS
      port: 443
      hostname: a.test
      tls: {certificateRefs: [{name: a}]}
    - name: b
      protocol: HTTPS
      port: 443
      hostname: '*.b.test'
      tls: {certificateRefs: [{name: b}]}
    - name: c
      protocol: HTTPS
      port: 8443
      tls: {certificateRefs: [{name: a}, {name: b}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: all}
spec:
  parentRefs: [{name: gw}]
  rules:
    - backendRefs: [{group: fairlead.dev, kind: Backend, name: echo}]
---
apiVersion: fairlead.dev/v1alpha1
kind: Backend
metadata: {name: echo}
spec:
  endpoints: [{ip: {address: 127.0.0.1, port: PORT}}]
";

static HOUSE: Shared<House> = Shared::new(|| {
    let (echo, ca, dir) = (Echo::start("one"), Ca::new(), TempDir::new());
    dir.write("ca.pem", ca.pem());
    let (a, b) = (ca.issue(&["a.test"]), ca.issue(&["*.b.test", "b.test"]));
    let text = MANIFESTS.replace("PORT", &echo.port().to_string()) + &a.secret("a") + &b.secret("b");
    House { proxy: Proxy::serve(&text, &[443, 8443]), trust: Trust::in_ca(&ca), ca: dir, _echo: echo }
});

#[test]
fn both_versions_by_alpn() {
    let house = HOUSE.take();
    for version in [Version::H1, Version::H2] {
        let mut client = Client::tls(version, house.proxy.address(443), "a.test", &house.trust);
        let json = client.ask(&Ask::get("/").host("a.test")).whole().json();
        assert_eq!(json["headers"]["X-Forwarded-Proto"][0], "https", "{version:?}");
        for size in [0, 1, 70_000, 3_000_000] {
            let data = pattern(size);
            for content in [Content::Sized(data.clone()), Content::Streamed(data.clone(), 10_000)] {
                let answer = client.ask(&Ask::new("POST", "/x/echo-body").host("a.test").content(content)).whole();
                assert!(answer.body == data, "{version:?} {size}");
            }
        }
    }
}

#[test]
fn alpn_prefers_http2_and_may_be_absent() {
    let house = HOUSE.take();
    runtime().block_on(async {
        let address = house.proxy.address(443);
        for (offered, chosen) in [
            (&[&b"http/1.1"[..], b"h2"][..], Some(&b"h2"[..])),
            (&[b"h2"], Some(b"h2")),
            (&[b"http/1.1"], Some(b"http/1.1")),
            (&[], None),
        ] {
            let stream = house.trust.connect(address, "a.test", offered).await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), chosen, "{offered:?}");
        }
        // RFC 7301 §3.2: nothing in common is an error.
        assert!(house.trust.connect(address, "a.test", &[b"spdy/3"]).await.is_err());
    });
}

#[test]
fn the_certificate_is_chosen_by_server_name() {
    let house = HOUSE.take();
    runtime().block_on(async {
        for port in [443, 8443] {
            for name in ["a.test", "x.b.test", "y.b.test"] {
                // The handshake fails when the certificate is another's.
                house
                    .trust
                    .connect(house.proxy.address(port), name, &[b"h2"])
                    .await
                    .unwrap_or_else(|e| panic!("{port} {name}: {e}"));
            }
        }
        // No listener of 443 has this name, nor a default.
        let error = house.trust.connect(house.proxy.address(443), "c.test", &[b"h2"]).await.unwrap_err();
        assert!(error.to_string().contains("UnrecognisedName"), "{error}");
        // On 8443 the first certificate is the default, which is not for this name.
        assert!(house.trust.connect(house.proxy.address(8443), "c.test", &[b"h2"]).await.is_err());
    });
}

#[test]
fn requests_for_another_listener_are_misdirected() {
    let house = HOUSE.take();
    for version in [Version::H1, Version::H2] {
        let mut client = Client::tls(version, house.proxy.address(443), "a.test", &house.trust);
        assert_eq!(client.ask(&Ask::get("/").host("x.b.test")).whole().status, 421, "{version:?}");
        assert_eq!(
            client.ask(&Ask::get("/").host("a.test")).whole().status,
            200,
            "{version:?}: the connection goes on"
        );
        // Hosts of one listener may share a connection.
        let mut client = Client::tls(version, house.proxy.address(443), "x.b.test", &house.trust);
        assert_eq!(client.ask(&Ask::get("/").host("y.b.test")).whole().status, 200, "{version:?}");
        let mut client = Client::tls(version, house.proxy.address(8443), "a.test", &house.trust);
        assert_eq!(client.ask(&Ask::get("/").host("x.b.test")).whole().status, 200, "{version:?}");
    }
    let line = house.proxy.log_line("a 421", |line| line["response_code"] == 421);
    assert_eq!(
        (line["response_code_details"].as_str(), line["requested_server_name"].as_str()),
        (Some("misdirected_request"), Some("a.test"))
    );
}

#[test]
fn a_trailing_dot_or_a_port_makes_no_other_host() {
    let house = HOUSE.take();
    let mut client = Client::tls(Version::H1, house.proxy.address(443), "a.test", &house.trust);
    for host in ["A.test", "a.test.", "a.test:443", "a.test.:8443"] {
        assert_eq!(client.ask(&Ask::get("/").host(host)).whole().status, 200, "{host}");
    }
}

#[test]
fn plain_text_on_a_tls_port_is_closed() {
    let house = HOUSE.take();
    let mut wire = Wire::connect(house.proxy.address(443));
    wire.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert!(wire.read_to_end(Duration::from_secs(5)).is_some(), "the connection ends");
    let mut raw = Frames::raw(house.proxy.address(443));
    raw.bytes(frames::PREFACE);
    assert_ne!(raw.ended(Duration::from_secs(5)), frames::Ended::Open);
}

#[test]
fn curl_speaks_all_versions() {
    let house = HOUSE.take();
    let ca = house.ca.path().join("ca.pem");
    let port = house.proxy.address(443).port();
    for (flags, version) in [
        (&["--http1.0"][..], "1.1"),
        (&["--http1.1"], "1.1"),
        (&["--http2"], "2"),
        (&["--http2", "--tls-max", "1.2"], "2"),
        (&["--http1.1", "--tlsv1.3"], "1.1"),
    ] {
        let url = format!("https://a.test:{port}/curl");
        let resolve = format!("a.test:{port}:127.0.0.1");
        let mut args =
            vec!["--cacert", ca.to_str().unwrap(), "--resolve", &resolve, "-w", "\n%{http_code} %{http_version}", &url];
        args.extend(flags);
        let output = curl(&args);
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(text.lines().last(), Some(format!("200 {version}").as_str()), "{flags:?} {output:?}");
    }
}

#[test]
fn curl_reuses_its_connection() {
    let house = HOUSE.take();
    let ca = house.ca.path().join("ca.pem");
    let port = house.proxy.address(443).port();
    for version in ["--http1.1", "--http2"] {
        let (url, resolve) = (format!("https://a.test:{port}/[1-20]"), format!("a.test:{port}:127.0.0.1"));
        let args = [version, "--cacert", ca.to_str().unwrap(), "--resolve", &resolve, "-o", "/dev/null"];
        let output = curl(&[&args[..], &["-w", "%{http_code} %{num_connects}\n", &url]].concat());
        let text = String::from_utf8_lossy(&output.stdout);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines.len(), lines[0]), (20, "200 1"), "{version} {output:?}");
        assert!(lines[1..].iter().all(|line| *line == "200 0"), "{version} {text}");
    }
}

#[test]
fn openssl_shakes_hands() {
    let house = HOUSE.take();
    let address = house.proxy.address(443).to_string();
    let ca = house.ca.path().join("ca.pem");
    for (flags, wanted) in [(&["-tls1_2"][..], "TLSv1.2"), (&["-tls1_3"], "TLSv1.3")] {
        let output = Command::new("openssl")
            .args(["s_client", "-connect", &address, "-servername", "a.test", "-verify_return_error", "-CAfile"])
            .arg(&ca)
            .args(["-alpn", "h2,http/1.1"])
            .args(flags)
            .stdin(Stdio::null())
            .output()
            .expect("openssl");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains(&format!("New, {wanted}")) && text.contains("ALPN protocol: h2"), "{flags:?} {output:?}");
        assert!(text.contains("Verify return code: 0 (ok)") || text.contains("Verification: OK"), "{flags:?} {text}");
    }
    for old in ["-tls1", "-tls1_1"] {
        let output = Command::new("openssl")
            .args(["s_client", "-connect", &address, "-servername", "a.test", "-cipher", "ALL:@SECLEVEL=0", old])
            .stdin(Stdio::null())
            .output()
            .expect("openssl");
        assert!(!output.status.success(), "{old} {output:?}");
    }
}

#[test]
fn sessions_resume() {
    let house = HOUSE.take();
    let address = house.proxy.address(443).to_string();
    let session = house.ca.path().join("session.pem");
    let mut text = String::new();
    for flag in ["-sess_out", "-sess_in"] {
        let output = Command::new("openssl")
            .args(["s_client", "-connect", &address, "-servername", "a.test", "-tls1_2", flag])
            .arg(&session)
            .stdin(Stdio::null())
            .output()
            .expect("openssl");
        text = String::from_utf8_lossy(&output.stdout).into_owned();
    }
    assert!(text.contains("Reused, TLSv1.2"), "{text}");
}
