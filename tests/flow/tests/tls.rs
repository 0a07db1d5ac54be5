//! TLS towards clients and backends: example `tls` and the specification's rules beyond it.
#![allow(clippy::expect_used)]

use fairlead_test_flow::{Setup, Stage, pod, repository};
use fairlead_testkit::tls::{Ca, Pair, Trust};
use fairlead_testkit::{Answer, Ask, Client, Echo, TempDir, Version, curl, free_port, runtime, wait_until};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// A GET with curl over TLS: server name and host from the URL, as browsers do it.
fn fetch(stage: &Stage, port: u16, url: &str, args: &[&str]) -> (i32, String) {
    let address = stage.proxy.address(port);
    let connect = format!("::{}:{}", address.ip(), address.port());
    let output =
        curl(&[&["--connect-to", &connect, "--write-out", "\n%{http_code} %{http_version}"], args, &[url]].concat());
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn the_example() {
    let made = TempDir::new();
    let status = Command::new(repository().join("docs/examples/tls/make-certificates"))
        .arg(made.path())
        .status()
        .expect("openssl");
    assert!(status.success());
    let file = |name: &str| made.path().join(name).display().to_string();
    let port = free_port().to_string();
    let accounts = Echo::with(
        "accounts",
        &["--tls-port", &port, "--tls-cert", &file("accounts.crt"), "--tls-key", &file("accounts.key")],
    );
    let stage = Setup::example("tls")
        .file("certificates.yaml", &std::fs::read_to_string(made.path().join("certificates.yaml")).expect("made"))
        .echo(3000, "app")
        .port(3443, port.parse().expect("a port"))
        .start();
    let ca = file("public.crt");
    for (host, http) in
        [("shop.example.com", "--http1.1"), ("shop.example.com", "--http2"), ("a.example.com", "--http1.1")]
    {
        let (code, text) = fetch(&stage, 8443, &format!("https://{host}:8443/x"), &["--cacert", &ca, http]);
        let version = if http == "--http2" { "200 2" } else { "200 1.1" };
        assert!(
            code == 0 && text.ends_with(version) && text.contains("\"pod\": \"app\""),
            "{host} {http}: {code} {text}"
        );
        assert!(text.contains("\"https\""), "x-forwarded-proto: {text}");
    }
    // Nobody has a certificate for it.
    assert_ne!(fetch(&stage, 8443, "https://example.org:8443/", &["--cacert", &ca]).0, 0);
    let redirect = stage.get(8080, "shop.example.com:8080", "/a?b");
    assert_eq!((redirect.status, redirect.header("location")), (301, Some("https://shop.example.com:8443/a?b")));
    let (_, text) = fetch(&stage, 8443, "https://shop.example.com:8443/accounts", &["--cacert", &ca]);
    assert!(
        text.contains("\"pod\": \"accounts\"") && text.contains("\"serverName\": \"accounts.example.net\""),
        "{text}"
    );
    // A certificate of the clients' CA, another one, none.
    let (cert, key, other, other_key) = (file("client.crt"), file("client.key"), file("shop.crt"), file("shop.key"));
    let private = |args: &[&str]| {
        fetch(&stage, 8444, "https://private.example.com:8444/", &[&["--cacert", ca.as_str()], args].concat())
    };
    assert!(private(&["--cert", &cert, "--key", &key]).1.ends_with("200 2"));
    assert_ne!(private(&[]).0, 0);
    assert_ne!(private(&["--cert", &other, "--key", &other_key]).0, 0);
    // The same CA, known to the whole cluster.
    let members = |args: &[&str]| {
        fetch(&stage, 8445, "https://members.example.com:8445/", &[&["--cacert", ca.as_str()], args].concat())
    };
    assert!(members(&["--cert", &cert, "--key", &key]).1.ends_with("200 2"));
    assert_ne!(members(&["--cert", &other, "--key", &other_key]).0, 0);
    // Ended here without a word about ALPN, and passed through to the backend's own certificate.
    let (code, text) = fetch(&stage, 8883, "https://shop.example.com:8883/x", &["--cacert", &ca]);
    assert!(code == 0 && text.ends_with("200 1.1") && text.contains("\"pod\": \"app\""), "{code} {text}");
    let backends = file("backends.crt");
    let (code, text) = fetch(&stage, 8883, "https://accounts.example.net:8883/x", &["--cacert", &backends]);
    assert!(code == 0 && text.contains("\"pod\": \"accounts\""), "{code} {text}");
    assert_ne!(fetch(&stage, 8883, "https://accounts.example.net:8883/", &["--cacert", &ca]).0, 0);
    drop(accounts);
}

const BACKENDS: &str = "
---
apiVersion: fairlead.dev/v1alpha1
kind: Backend
metadata: {name: one}
spec: {endpoints: [{ip: {address: 127.0.0.1, port: 3000}}]}
---
apiVersion: fairlead.dev/v1alpha1
kind: Backend
metadata: {name: two}
spec: {endpoints: [{ip: {address: 127.0.0.1, port: 3001}}]}
---
apiVersion: fairlead.dev/v1alpha1
kind: Backend
metadata: {name: three}
spec: {endpoints: [{ip: {address: 127.0.0.1, port: 3002}}]}
";

fn listener(name: &str, port: u16, host: &str, secret: &str) -> String {
    let host = if host.is_empty() { String::new() } else { format!(", hostname: '{host}'") };
    format!(
        "  - {{name: {name}, protocol: HTTPS, port: {port}{host}, tls: {{certificateRefs: [{{name: {secret}}}]}}}}\n"
    )
}

fn gateway(more: &str, listeners: &[String]) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: gw}}\nspec:\n  gatewayClassName: fairlead\n{more}  listeners:\n{}",
        listeners.concat()
    )
}

fn route(name: &str, section: &str, backend: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}}}\nspec:\n  \
         parentRefs: [{{name: gw, sectionName: {section}}}]\n  rules: [{{backendRefs: [{{group: fairlead.dev, kind: Backend, name: {backend}}}]}}]\n"
    )
}

/// httproute-https-listener-detect-misdirected-requests, with both versions of HTTP.
#[test]
fn misdirected_requests_get_421() {
    let ca = Ca::new();
    let names = ["example.org", "second-example.org", "*.wildcard.org", "unknown-example.org"];
    let mut manifests = gateway(
        "",
        &[
            listener("any", 8443, "", "cert"),
            listener("second", 8443, "second-example.org", "cert"),
            listener("wild", 8443, "*.wildcard.org", "cert"),
            listener("fourth", 8443, "fourth-example.wildcard.org", "cert"),
        ],
    );
    manifests += &ca.issue(&names).secret("cert");
    manifests += &route("any", "any", "one").replace("  rules:", "  hostnames: [example.org]\n  rules:");
    manifests +=
        &[route("second", "second", "two"), route("wild", "wild", "three"), route("fourth", "fourth", "one")].concat();
    let stage =
        Setup::manifests(&(manifests + BACKENDS)).echo(3000, "one").echo(3001, "two").echo(3002, "three").start();
    let trust = Trust::in_ca(&ca);
    for (name, host, expected) in [
        ("example.org", "example.org", "one"),
        ("example.org", "second-example.org", "421"),
        ("example.org", "unknown-example.org", "404"),
        ("second-example.org", "second-example.org", "two"),
        ("second-example.org", "example.org", "421"),
        ("second-example.org", "unknown-example.org", "421"),
        ("third-example.wildcard.org", "third-example.wildcard.org", "three"),
        ("third-example.wildcard.org", "fifth-example.wildcard.org", "three"),
        ("third-example.wildcard.org", "fourth-example.wildcard.org", "421"),
        ("third-example.wildcard.org", "second-example.org", "421"),
        ("third-example.wildcard.org", "unknown-example.org", "421"),
        ("fourth-example.wildcard.org", "fourth-example.wildcard.org", "one"),
        ("fourth-example.wildcard.org", "fifth-example.wildcard.org", "421"),
        ("unknown-example.org", "example.org", "one"),
        ("unknown-example.org", "unknown-example.org", "404"),
    ] {
        for version in [Version::H1, Version::H2] {
            let mut client = Client::tls(version, stage.proxy.address(8443), name, &trust);
            assert_eq!(pod(&client.ask(&Ask::get("/").host(host)).whole()), expected, "{name} {host} {version:?}");
            // The connection serves on.
            assert_eq!(client.ask(&Ask::get("/").host(host)).whole().status.to_string().len(), 3);
        }
    }
    let output = stage.proxy.process.output();
    assert!(output.contains("OverlappingTLSConfig"), "the Gateway's owner is told: {output}");
}

/// gateway-with-clientcertificate-validation-insecure-fallback, per-port configuration.
#[test]
fn clients_certificates_by_port() {
    let (server, clients, others) = (Ca::new(), Ca::new(), Ca::new());
    let tls = "  tls:\n    frontend:\n      default: {validation: {mode: AllowInsecureFallback, caCertificateRefs: [{group: '', kind: ConfigMap, name: clients}]}}\n      \
               perPort: [{port: 8444, tls: {validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: others}]}}}]\n";
    let mut manifests =
        gateway(tls, &[listener("loose", 8443, "a.test", "cert"), listener("strict", 8444, "a.test", "cert")]);
    manifests += &server.issue(&["a.test"]).secret("cert");
    for (name, ca) in [("clients", &clients), ("others", &others)] {
        let pem: String = ca.pem().lines().map(|line| format!("    {line}\n")).collect();
        manifests +=
            &format!("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata:\n  ca.crt: |\n{pem}");
    }
    manifests += &[route("loose", "loose", "one"), route("strict", "strict", "one")].concat();
    let stage = Setup::manifests(&(manifests + BACKENDS)).echo(3000, "one").nobody(3001).nobody(3002).start();
    stage.until_printed(&["InsecureFrontendValidationMode"]);
    let files = TempDir::new();
    let ca_file = files.write("ca.pem", server.pem()).display().to_string();
    let own = |name: &str, ca: &Ca| {
        let Pair { cert, key } = ca.issue(&[name]);
        let paths = [files.write(&format!("{name}.crt"), &cert), files.write(&format!("{name}.key"), &key)];
        paths.map(|path| path.display().to_string())
    };
    let (of_clients, of_others) = (own("client", &clients), own("other", &others));
    let served = |port: u16, own: Option<&[String; 2]>| {
        let mut args = vec!["--cacert", ca_file.as_str()];
        if let Some([cert, key]) = own {
            args.extend(["--cert", cert.as_str(), "--key", key.as_str()]);
        }
        fetch(&stage, port, &format!("https://a.test:{port}/"), &args).0 == 0
    };
    assert!(served(8443, None) && served(8443, Some(&of_clients)) && served(8443, Some(&of_others)));
    assert!(served(8444, Some(&of_others)));
    assert!(!served(8444, None) && !served(8444, Some(&of_clients)));
}

/// A Service whose backend speaks TLS, with a route for `/name`; `policy` is `spec.validation` of its BackendTLSPolicy.
fn secured(name: &str, port: u16, policy: Option<&str>, app_protocol: &str) -> String {
    let app = if app_protocol.is_empty() { String::new() } else { format!(", appProtocol: {app_protocol}") };
    let mut text = format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}}}\nspec:\n  parentRefs: [{{name: gw}}]\n  \
         rules: [{{matches: [{{path: {{value: /{name}}}}}], backendRefs: [{{name: {name}, port: 443}}]}}]\n\
         ---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{ports: [{{name: main, port: 443{app}}}]}}\n\
         ---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: {name}-1, labels: {{kubernetes.io/service-name: {name}}}}}\n\
         addressType: IPv4\nports: [{{name: main, port: {port}}}]\nendpoints: [{{addresses: [127.0.0.1]}}]\n"
    );
    if let Some(validation) = policy {
        text += &self::policy(name, name, "", validation);
    }
    text
}

fn policy(name: &str, service: &str, section: &str, validation: &str) -> String {
    let section = if section.is_empty() { String::new() } else { format!(", sectionName: {section}") };
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: BackendTLSPolicy\nmetadata: {{name: {name}}}\nspec:\n  \
         targetRefs: [{{group: '', kind: Service, name: {service}{section}}}]\n  validation: {{{validation}}}\n"
    )
}

fn config_map(name: &str, pem: &str) -> String {
    let pem: String = pem.lines().map(|line| format!("    {line}\n")).collect();
    format!("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata:\n  ca.crt: |\n{pem}")
}

fn trust_bundle(name: &str, pem: &str) -> String {
    let pem: String = pem.lines().map(|line| format!("    {line}\n")).collect();
    let api = "certificates.k8s.io/v1beta1";
    format!(
        "---\napiVersion: {api}\nkind: ClusterTrustBundle\nmetadata: {{name: '{name}'}}\nspec:\n  trustBundle: |\n{pem}"
    )
}

/// GEP-5075: found, followed, gone, and what can't be used.
#[test]
fn trust_bundles_verify_backends() {
    let files = TempDir::new();
    let (ca, own, port) = (files.path().join("ca.pem"), Ca::new(), free_port());
    let echo = tls_echo(port, &ca, &[]);
    let pem = std::fs::read_to_string(&ca).expect("written");
    let named = |name: &str| {
        format!(
            "hostname: abc.example.com, caCertificateRefs: [{{group: certificates.k8s.io, kind: ClusterTrustBundle, name: '{name}'}}]"
        )
    };
    let base = gateway("", &["  - {name: http, protocol: HTTP, port: 8080}\n".to_owned()])
        + &secured("good", 3443, Some(&named("example.com:ca:v1")), "")
        + &secured("wrong", 3443, Some(&named("example.com:other:v1")), "")
        + &secured("missing", 3443, Some(&named("example.com:none:v1")), "")
        + &secured("empty", 3443, Some(&named("empty")), "");
    let other = trust_bundle("example.com:other:v1", own.pem());
    let manifests = base.clone() + &trust_bundle("example.com:ca:v1", &pem) + &other + &trust_bundle("empty", "# none");
    let stage = Setup::manifests(&manifests).port(3443, port).start();
    let status = |path: &str| stage.get(8080, "front.test", path).status;
    assert_eq!(status("/good"), 200);
    assert_eq!(status("/wrong"), 503, "another CA has signed it");
    assert_eq!((status("/missing"), status("/empty")), (500, 500));
    stage.until_printed(&["NoValidCACertificate", "InvalidCACertificateRef"]);
    // It is followed: another CA comes, and the first one goes.
    stage.update(&(base + &trust_bundle("example.com:other:v1", &pem)));
    stage.until_pod(8080, "front.test", "/wrong", "secured");
    wait_until(Duration::from_secs(5), "the policy without its bundle", || (status("/good") == 500).then_some(()));
    drop(echo);
}

/// An echo server with a certificate for abc.example.com and a URI; its CA is written to `ca`.
fn tls_echo(port: u16, ca: &Path, more: &[&str]) -> Echo {
    let (port, file) = (port.to_string(), ca.display().to_string());
    let args = [
        "--tls-port",
        &port,
        "--tls-name",
        "abc.example.com",
        "--tls-name",
        "spiffe://abc.example.com/test-identity",
        "--tls-self-signed-out",
        &file,
    ];
    let echo = Echo::with("secured", &[&args, more].concat());
    let written = || std::fs::read_to_string(ca).ok().filter(|text| text.contains("END CERTIFICATE"));
    wait_until(Duration::from_secs(5), "the echo server's CA", written);
    echo
}

/// backendtlspolicy, -san, -conflict-resolution, -invalid-ca-certificate-ref, -invalid-kind, -grpcroute;
/// gateway-tls-backend-client-certificate.
#[test]
fn policies_for_backends() {
    let files = TempDir::new();
    let (ca, own, clients, port) = (files.path().join("ca.pem"), Ca::new(), Ca::new(), free_port());
    let clients_file = files.write("clients.pem", clients.pem()).display().to_string();
    let echo = tls_echo(port, &ca, &["--tls-client-ca", &clients_file]);
    let good = "hostname: abc.example.com, caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]";
    let san = |san: &str| {
        format!(
            "hostname: other.example.com, caCertificateRefs: [{{group: '', kind: ConfigMap, name: ca}}], subjectAltNames: [{san}]"
        )
    };
    let plain = "  - {name: http, protocol: HTTP, port: 8080}\n".to_owned();
    let client = "  tls: {backend: {clientCertificateRef: {name: client}}}\n";
    let mut manifests = gateway(client, &[plain]);
    manifests += &clients.issue(&["gateway.test"]).secret("client");
    manifests += &(config_map("ca", &std::fs::read_to_string(&ca).expect("written")) + &config_map("wrong", own.pem()));
    manifests += &[
        secured("good", 3443, Some(good), ""),
        secured("h2", 3443, Some(good), "kubernetes.io/h2c"),
        secured("mismatch", 3443, Some(&good.replace("abc.", "xyz.")), ""),
        secured("wrong-ca", 3443, Some(&good.replace("name: ca", "name: wrong")), ""),
        secured("system", 3443, Some("hostname: abc.example.com, wellKnownCACertificates: System"), ""),
        secured("san-dns", 3443, Some(&san("{type: Hostname, hostname: abc.example.com}")), ""),
        secured("san-dns-no", 3443, Some(&san("{type: Hostname, hostname: other.example.com}")), ""),
        secured("san-uri", 3443, Some(&san("{type: URI, uri: 'spiffe://abc.example.com/test-identity'}")), ""),
        secured("san-uri-no", 3443, Some(&san("{type: URI, uri: 'spiffe://abc.example.com/another'}")), ""),
        secured("missing-ca", 3443, Some(&good.replace("name: ca", "name: nowhere")), ""),
        secured("wrong-kind", 3443, Some(&good.replace("ConfigMap", "Service")), ""),
        secured("unchecked", 3443, None, "https"),
        secured("plain-text", 3443, None, ""),
        // The first by name wins; a policy for the port wins over one for the Service.
        secured("conflict", 3443, None, ""),
        policy("conflict-a", "conflict", "", good),
        policy("conflict-b", "conflict", "", &good.replace("abc.", "xyz.")),
        secured("section", 3443, Some(&good.replace("abc.", "xyz.")), ""),
        policy("section-main", "section", "main", good),
    ]
    .concat();
    let stage = Setup::manifests(&manifests).port(3443, port).start();
    let get = |path: &str| stage.get(8080, "front.test", path);
    let sni = |answer: &Answer| answer.json()["tls"]["serverName"].as_str().unwrap_or_default().to_owned();
    for path in ["/good", "/h2", "/conflict", "/section"] {
        let answer = get(path);
        assert_eq!((answer.status, sni(&answer).as_str()), (200, "abc.example.com"), "{path}");
    }
    assert_eq!(get("/h2").json()["tls"]["negotiatedProtocol"], "h2");
    let presented = get("/good").json()["tls"]["peerCertificates"][0].as_str().unwrap_or_default().to_owned();
    assert!(presented.starts_with("-----BEGIN CERTIFICATE-----"), "the Gateway's client certificate is presented");
    for path in ["/san-dns", "/san-uri"] {
        assert_eq!(sni(&get(path)), "other.example.com", "{path}");
    }
    assert_eq!(get("/unchecked").status, 200);
    for path in ["/mismatch", "/wrong-ca", "/system", "/san-dns-no", "/san-uri-no"] {
        let line_of = |path: &str| stage.proxy.log_of(path);
        assert_eq!(get(path).status, 503, "{path}");
        let line = line_of(path);
        assert_eq!(line["response_flags"], "UF", "{line}");
        assert!(
            line["upstream_transport_failure_reason"].as_str().is_some_and(|why| why.contains("certificate")),
            "{line}"
        );
    }
    for path in ["/missing-ca", "/wrong-kind"] {
        assert_eq!(get(path).status, 500, "{path}: never in plain text");
    }
    let output = stage.until_printed(&["NoValidCACertificate", "InvalidCACertificateRef", "InvalidKind", "Conflicted"]);
    assert!(output.contains("BackendTLSPolicy default/conflict-b"), "{output}");
    // What the ConfigMap holds is followed.
    stage.update(&manifests.replace(
        &config_map("wrong", own.pem()),
        &config_map("wrong", &std::fs::read_to_string(&ca).expect("written")),
    ));
    stage.until_pod(8080, "front.test", "/wrong-ca", "secured");
    drop(echo);
}

/// gateway-secret-*-reference-grant, gateway-invalid-tls-configuration: a listener without a usable certificate is out, the others serve.
#[test]
fn broken_certificates_put_one_listener_out() {
    let ca = Ca::new();
    let pair = ca.issue(&["good.test"]);
    let other = ca.issue(&["other.test"]);
    let mixed = Pair { cert: pair.cert.clone(), key: other.key.clone() };
    let garbage = Pair { cert: "Hello".to_owned(), key: "world".to_owned() };
    let listeners: Vec<String> = ["good", "missing", "mixed", "garbage", "expired"]
        .iter()
        .map(|name| listener(name, 8443, &format!("{name}.test"), name))
        .chain([
            "  - {name: far, protocol: HTTPS, port: 8443, hostname: far.test, tls: {certificateRefs: [{name: far, namespace: vault}]}}\n".to_owned(),
            "  - {name: near, protocol: HTTPS, port: 8443, hostname: near.test, tls: {certificateRefs: [{name: near, namespace: vault}]}}\n".to_owned(),
        ])
        .collect();
    let far = |name: &str| {
        ca.issue(&[&format!("{name}.test")])
            .secret(name)
            .replace("metadata: {name: ", "metadata: {namespace: vault, name: ")
    };
    let grant = "---\napiVersion: gateway.networking.k8s.io/v1beta1\nkind: ReferenceGrant\nmetadata: {name: g, namespace: vault}\nspec:\n  \
                 from: [{group: gateway.networking.k8s.io, kind: Gateway, namespace: default}]\n  to: [{group: '', kind: Secret, name: near}]\n";
    let routes = "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: all}\nspec:\n  parentRefs: [{name: gw}]\n  \
                  rules: [{backendRefs: [{group: fairlead.dev, kind: Backend, name: one}]}]\n";
    let secrets = [
        pair.secret("good"),
        mixed.secret("mixed"),
        garbage.secret("garbage"),
        expired().secret("expired"),
        far("far"),
        far("near"),
    ];
    let manifests = [&gateway("", &listeners), &secrets.concat(), grant, routes, BACKENDS].concat();
    let stage = Setup::manifests(&manifests).echo(3000, "one").nobody(3001).nobody(3002).start();
    let trust = Trust::in_ca(&ca);
    let shakes = |name: &str| {
        runtime().block_on(trust.connect(stage.proxy.address(8443), name, &[])).map(drop).map_err(|e| e.to_string())
    };
    for name in ["good.test", "near.test"] {
        assert_eq!(shakes(name), Ok(()));
        let mut client = Client::tls(Version::H2, stage.proxy.address(8443), name, &trust);
        assert_eq!(pod(&client.ask(&Ask::get("/").host(name)).whole()), "one");
    }
    for name in ["missing.test", "mixed.test", "garbage.test", "far.test"] {
        assert!(shakes(name).is_err(), "{name}");
    }
    // It is served, with a warning; clients refuse it.
    let text = presented(&stage, 8443, "expired.test");
    assert!(text.contains("notAfter=Jan  1 00:00:00 2021 GMT"), "{text}");
    let output = stage.proxy.process.output();
    for part in [
        "there is no Secret default/missing",
        "Secret default/mixed:",
        "Secret default/garbage: ",
        "not ResolvedRefs: InvalidCertificateRef",
        "not ResolvedRefs: RefNotPermitted",
        "Secret default/expired: the certificate expired",
    ] {
        assert!(output.contains(part), "{part}: {output}");
    }
    assert!(!output.contains(other.key.lines().nth(1).expect("a key")), "no key is printed");
    let config = stage.proxy.admin_get("/config");
    assert!(config.contains("secret/default/good") && !config.contains("PRIVATE KEY"), "{config}");
}

/// What openssl says of the certificate that a server name gets.
fn presented(stage: &Stage, port: u16, name: &str) -> String {
    let script = "openssl s_client -connect \"$0\" -servername \"$1\" </dev/null 2>/dev/null | openssl x509 -noout -subject -dates -ext subjectAltName";
    let output = Command::new("sh")
        .args(["-c", script, &stage.proxy.address(port).to_string(), name])
        .output()
        .expect("openssl");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Signed by itself, and over since 2021.
fn expired() -> Pair {
    let key = rcgen::KeyPair::generate().expect("key");
    let mut params = rcgen::CertificateParams::new(["expired.test".to_owned()]).expect("a name");
    (params.not_before, params.not_after) = (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(2021, 1, 1));
    Pair { cert: params.self_signed(&key).expect("certificate").pem(), key: key.serialize_pem() }
}
