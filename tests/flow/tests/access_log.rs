//! What the access log says of TLS on both sides, checked against what openssl says of the same certificates.
#![allow(clippy::expect_used)]

use fairlead_test_flow::{Setup, Stage, repository};
use fairlead_testkit::tls::{Ca, Pair};
use fairlead_testkit::{Echo, TempDir, curl, free_port, log_format, wait_until};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const OPERATORS: &[&str] = &[
    "PROTOCOL",
    "UPSTREAM_PROTOCOL",
    "DOWNSTREAM_TLS_VERSION",
    "DOWNSTREAM_TLS_CIPHER",
    "DOWNSTREAM_PEER_SUBJECT",
    "DOWNSTREAM_PEER_ISSUER",
    "DOWNSTREAM_PEER_SERIAL",
    "DOWNSTREAM_PEER_FINGERPRINT_256",
    "DOWNSTREAM_PEER_FINGERPRINT_1",
    "DOWNSTREAM_PEER_DNS_SAN",
    "DOWNSTREAM_PEER_IP_SAN",
    "DOWNSTREAM_PEER_URI_SAN",
    "DOWNSTREAM_PEER_EMAIL_SAN",
    "DOWNSTREAM_PEER_CERT_V_START",
    "DOWNSTREAM_PEER_CERT_V_END(%b %e %T %Y)",
    "DOWNSTREAM_PEER_CERT",
    "UPSTREAM_TLS_VERSION",
    "UPSTREAM_TLS_CIPHER",
    "UPSTREAM_PEER_SUBJECT",
    "UPSTREAM_PEER_ISSUER",
    "UPSTREAM_PEER_DNS_SAN",
    "UPSTREAM_PEER_URI_SAN",
    "UPSTREAM_PEER_CERT_V_START(%Y)",
    "COMMON_DURATION(US_CX_BEG:US_CX_END:ns)",
    "COMMON_DURATION(US_CX_END:US_HS_END:ns)",
];

/// `key=value` lines of `openssl x509`.
fn openssl(cert: &str) -> BTreeMap<String, String> {
    let args = "x509 -noout -subject -issuer -serial -nameopt RFC2253 -startdate -enddate -in";
    let said = |more: &[&str]| {
        let output = Command::new("openssl").args(args.split(' ')).arg(cert).args(more).output().expect("openssl");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    let mut facts = BTreeMap::new();
    for line in said(&[]).lines().filter_map(|line| line.split_once('=')) {
        facts.insert(line.0.to_owned(), line.1.trim().to_owned());
    }
    for (name, option) in [("sha256", "-sha256"), ("sha1", "-sha1")] {
        let text = said(&["-fingerprint", option]);
        let line = text.lines().find(|line| line.contains("ingerprint=")).expect("a fingerprint");
        let digits = line.rsplit('=').next().unwrap_or_default().replace(':', "").to_lowercase();
        facts.insert(name.to_owned(), digits);
    }
    facts
}

fn manifests(server: &Ca, clients: &Ca, backends: &str) -> String {
    let config_map = |name: &str, pem: &str| {
        let pem: String = pem.lines().map(|line| format!("    {line}\n")).collect();
        format!("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata:\n  ca.crt: |\n{pem}")
    };
    let backend = |name: &str, app: &str| {
        format!(
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}}}\nspec:\n  \
             parentRefs: [{{name: gw}}]\n  rules: [{{matches: [{{path: {{value: /{name}}}}}], backendRefs: [{{name: {name}, port: 443}}]}}]\n\
             ---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{ports: [{{name: main, port: 443{app}}}]}}\n\
             ---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: {name}-1, labels: {{kubernetes.io/service-name: {name}}}}}\n\
             addressType: IPv4\nports: [{{name: main, port: 3443}}]\nendpoints: [{{addresses: [127.0.0.1]}}]\n\
             ---\napiVersion: gateway.networking.k8s.io/v1\nkind: BackendTLSPolicy\nmetadata: {{name: {name}}}\nspec:\n  \
             targetRefs: [{{group: '', kind: Service, name: {name}}}]\n  \
             validation: {{hostname: abc.example.com, caCertificateRefs: [{{group: '', kind: ConfigMap, name: backends}}]}}\n"
        )
    };
    let validation = |name: &str, mode: &str| {
        format!("validation: {{{mode}caCertificateRefs: [{{group: '', kind: ConfigMap, name: {name}}}]}}")
    };
    let listener = |name: &str, port: u16| {
        format!(
            "  - {{name: {name}, protocol: HTTPS, port: {port}, hostname: a.test, tls: {{certificateRefs: [{{name: cert}}]}}}}\n"
        )
    };
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: gw}}\nspec:\n  gatewayClassName: fairlead\n  \
         tls:\n    frontend:\n      default: {{{}}}\n      perPort: [{{port: 8444, tls: {{{}}}}}]\n  listeners:\n{}{}",
        validation("clients", ""),
        validation("clients", "mode: AllowInsecureFallback, "),
        listener("strict", 8443),
        listener("loose", 8444),
    ) + &server.issue(&["a.test"]).secret("cert")
        + &config_map("clients", clients.pem())
        + &config_map("backends", backends)
        + &backend("h1", "")
        + &backend("h2", ", appProtocol: kubernetes.io/h2c")
}

/// An echo server with a certificate for abc.example.com and a URI; its CA is written to `ca`.
fn tls_echo(port: u16, ca: &Path) -> Echo {
    let (port, file) = (port.to_string(), ca.display().to_string());
    let names = ["--tls-name", "abc.example.com", "--tls-name", "spiffe://abc.example.com/me"];
    let echo = Echo::with("secured", &[&["--tls-port", &port, "--tls-self-signed-out", &file], &names[..]].concat());
    let written = || std::fs::read_to_string(ca).ok().filter(|text| text.contains("END CERTIFICATE"));
    wait_until(Duration::from_secs(5), "the echo server's CA", written);
    echo
}

fn fetch(stage: &Stage, port: u16, path: &str, args: &[&str]) {
    let address = stage.proxy.address(port);
    let connect = format!("::{}:{}", address.ip(), address.port());
    let url = format!("https://a.test:{port}{path}");
    let output = curl(&[&["--fail", "--connect-to", &connect], args, &[&url]].concat());
    assert!(output.status.success(), "{path}: {output:?}");
}

fn text<'l>(line: &'l Value, operator: &str) -> &'l str {
    line[operator].as_str().unwrap_or_else(|| panic!("{operator} in {line}"))
}

#[test]
fn certificates_of_both_sides() {
    let (files, server, clients, port) = (TempDir::new(), Ca::new(), Ca::new(), free_port());
    let ca = files.path().join("backends.pem");
    let echo = tls_echo(port, &ca);
    let backends = std::fs::read_to_string(&ca).expect("written");
    let stage = Setup::manifests(&manifests(&server, &clients, &backends))
        .args(&["--access-log", &log_format(OPERATORS)])
        .port(3443, port)
        .start();
    let write = |name: &str, text: &str| files.write(name, text).display().to_string();
    let ca = write("ca.pem", server.pem());
    let own = |name: &str, ca: &Ca| {
        let Pair { cert, key } = ca.issue(&["client.test", "other.client.test", "192.0.2.7"]);
        (write(&format!("{name}.crt"), &cert), write(&format!("{name}.key"), &key))
    };
    let (cert, key) = own("client", &clients);
    let (stranger, stranger_key) = own("stranger", &Ca::new());
    let facts = openssl(&cert);
    for (http, protocol) in [("--http1.1", "HTTP/1.1"), ("--http2", "HTTP/2")] {
        for (backend, upstream) in [("h1", "HTTP/1.1"), ("h2", "HTTP/2")] {
            let path = format!("/{backend}?{http}");
            fetch(&stage, 8443, &path, &[http, "--cacert", &ca, "--cert", &cert, "--key", &key]);
            let line = stage.proxy.log_of(&path);
            for (operator, expected) in [
                ("PROTOCOL", protocol),
                ("UPSTREAM_PROTOCOL", upstream),
                ("DOWNSTREAM_TLS_VERSION", "TLSv1.3"),
                ("DOWNSTREAM_PEER_SUBJECT", &facts["subject"]),
                ("DOWNSTREAM_PEER_ISSUER", &facts["issuer"]),
                ("DOWNSTREAM_PEER_SERIAL", &facts["serial"].to_lowercase()),
                ("DOWNSTREAM_PEER_FINGERPRINT_256", &facts["sha256"]),
                ("DOWNSTREAM_PEER_FINGERPRINT_1", &facts["sha1"]),
                ("DOWNSTREAM_PEER_DNS_SAN", "client.test,other.client.test"),
                ("DOWNSTREAM_PEER_IP_SAN", "192.0.2.7"),
                ("DOWNSTREAM_PEER_URI_SAN", "-"),
                ("DOWNSTREAM_PEER_EMAIL_SAN", "-"),
                ("DOWNSTREAM_PEER_CERT_V_END(%b %e %T %Y)", facts["notAfter"].trim_end_matches(" GMT")),
                ("UPSTREAM_TLS_VERSION", "TLSv1.3"),
                ("UPSTREAM_PEER_DNS_SAN", "abc.example.com"),
                ("UPSTREAM_PEER_URI_SAN", "spiffe://abc.example.com/me"),
            ] {
                assert_eq!(text(&line, operator), expected, "{operator} of {path}");
            }
            let begin = text(&line, "DOWNSTREAM_PEER_CERT_V_START");
            assert!(begin.ends_with("Z") && facts["notBefore"].contains(&begin[..4]), "{begin}");
            let pem = text(&line, "DOWNSTREAM_PEER_CERT");
            let decoded = [("%0A", "\n"), ("%20", " "), ("%2B", "+"), ("%2F", "/"), ("%3D", "=")];
            let decoded = decoded.iter().fold(pem.to_owned(), |text, (code, sign)| text.replace(code, sign));
            assert_eq!(decoded, std::fs::read_to_string(&cert).expect("written").replace('\r', ""));
            assert!(text(&line, "UPSTREAM_TLS_CIPHER").starts_with("TLS_"), "{line}");
            assert!(text(&line, "UPSTREAM_PEER_SUBJECT").contains('='), "{line}");
            assert!(text(&line, "UPSTREAM_PEER_ISSUER").contains('='), "{line}");
            for took in ["COMMON_DURATION(US_CX_BEG:US_CX_END:ns)", "COMMON_DURATION(US_CX_END:US_HS_END:ns)"] {
                assert!(text(&line, took).parse::<u64>().is_ok_and(|time| time > 0), "{took}: {line}");
            }
        }
    }
    // Where invalid certificates are let in, the log tells them all the same, as Envoy's does; none is none.
    fetch(&stage, 8444, "/h1?loose", &["--cacert", &ca, "--cert", &stranger, "--key", &stranger_key]);
    let line = stage.proxy.log_of("/h1?loose");
    assert_eq!(text(&line, "DOWNSTREAM_PEER_FINGERPRINT_256"), openssl(&stranger)["sha256"]);
    fetch(&stage, 8444, "/h1?none", &["--cacert", &ca]);
    let line = stage.proxy.log_of("/h1?none");
    assert_eq!((text(&line, "DOWNSTREAM_PEER_SUBJECT"), text(&line, "DOWNSTREAM_PEER_CERT")), ("-", "-"));
    drop(echo);
}

/// A cipher of TLS 1.2 has Envoy's name, which is OpenSSL's.
#[test]
fn ciphers_have_openssls_names() {
    let (files, server, clients, port) = (TempDir::new(), Ca::new(), Ca::new(), free_port());
    let echo = tls_echo(port, &files.path().join("backends.pem"));
    let backends = std::fs::read_to_string(files.path().join("backends.pem")).expect("written");
    let stage = Setup::manifests(&manifests(&server, &clients, &backends))
        .args(&["--access-log", &log_format(OPERATORS)])
        .port(3443, port)
        .start();
    let ca = files.write("ca.pem", server.pem()).display().to_string();
    let cipher = "ECDHE-ECDSA-AES128-GCM-SHA256";
    fetch(&stage, 8444, "/h1?old", &["--cacert", &ca, "--tls-max", "1.2", "--ciphers", cipher]);
    let line = stage.proxy.log_of("/h1?old");
    assert_eq!((text(&line, "DOWNSTREAM_TLS_VERSION"), text(&line, "DOWNSTREAM_TLS_CIPHER")), ("TLSv1.2", cipher));
    drop(echo);
}

/// A connection that is only passed on has points in time of its own, and nothing of requests.
#[test]
fn connections_have_their_times() {
    let port = free_port();
    let echo = Echo::with("echo", &["--tcp-port", &port.to_string()]);
    let operators = [
        "DURATION",
        "COMMON_DURATION(DS_CX_BEG:DS_CX_END:ms)",
        "COMMON_DURATION(DS_CX_BEG:US_CX_END:us)",
        "COMMON_DURATION(US_CX_BEG:US_CX_END:ns)",
        "COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)",
        "REQUEST_HEADERS_BYTES",
        "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
        "UPSTREAM_TLS_VERSION",
    ];
    let manifests = std::fs::read_to_string(repository().join("docs/examples/tcp-and-udp/tcp.yaml")).expect("readable");
    let stage = Setup::manifests(&manifests)
        .args(&["--access-log", &log_format(&operators)])
        .port(3001, port)
        .port(3002, port)
        .start();
    let mut stream = TcpStream::connect(stage.proxy.address(5432)).expect("connected");
    stream.write_all(b"hello").expect("written");
    std::thread::sleep(Duration::from_millis(120));
    stream.shutdown(Shutdown::Write).expect("ended");
    let mut all = Vec::new();
    stream.read_to_end(&mut all).expect("echoed");
    let line = stage.proxy.log_line("the connection", |_| true);
    let number = |operator: &str| text(&line, operator).parse::<u64>().unwrap_or_else(|_| panic!("{operator}: {line}"));
    assert!(number("DURATION") >= 119, "{line}");
    assert_eq!(number("DURATION"), number("COMMON_DURATION(DS_CX_BEG:DS_CX_END:ms)"), "{line}");
    assert!(number("COMMON_DURATION(DS_CX_BEG:US_CX_END:us)") < 119_000, "{line}");
    assert!(number("COMMON_DURATION(US_CX_BEG:US_CX_END:ns)") > 0, "{line}");
    assert_eq!(text(&line, "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT"), "127.0.0.1");
    for none in ["COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)", "REQUEST_HEADERS_BYTES", "UPSTREAM_TLS_VERSION"] {
        assert_eq!(text(&line, none), "-", "{none}");
    }
    drop(echo);
}
