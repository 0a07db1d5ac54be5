use std::sync::Arc;

use bytes::Bytes;
use fairlead_net::Stream;
use fairlead_net::tls::{
    ALPN_H2, ALPN_HTTP11, ClientTls, ClientTlsBuilder, Identity, Roots, TlsError, connect as handshake,
};
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use super::{Echo, connect, http2, json as parse, rest, until};

/// A server with a made-up certificate, and how to trust it.
fn start(args: &[&str], dir: &tempfile::TempDir) -> (Echo, Roots) {
    let ca = dir.path().join("ca.pem");
    let fixed = ["--tls-port", "0", "--tls-self-signed-out", ca.to_str().unwrap()];
    let echo = Echo::start(&[&fixed[..], args].concat());
    let pem = std::fs::read(&ca).unwrap();
    (echo, Roots::from_pem([&pem[..]]).unwrap())
}

async fn open(echo: &Echo, client: ClientTlsBuilder) -> Result<Stream, TlsError> {
    let addr = echo.listening().tls.unwrap();
    handshake(connect(addr).await, &client.build().unwrap()).await
}

async fn get(mut stream: Stream) -> Value {
    stream.write_all(b"GET /t HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    stream.flush().await.unwrap();
    parse(rest(&mut stream).await.unwrap().split_once("\r\n\r\n").unwrap().1)
}

#[tokio::test]
async fn the_made_up_certificate_verifies_and_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let (echo, roots) = start(&[], &dir);
    let report = get(open(&echo, ClientTls::builder(&roots, "localhost").alpn([ALPN_HTTP11])).await.unwrap()).await;
    assert_eq!(report["httpPort"], echo.listening().tls.unwrap().port().to_string());
    let cipher = report["tls"]["cipherSuite"].as_str().unwrap();
    assert!(cipher.starts_with("TLS_AES_"), "{cipher}");
    let want = json!({
        "version": "TLSv1.3", "serverName": "localhost", "negotiatedProtocol": "http/1.1", "cipherSuite": cipher,
    });
    assert_eq!(report["tls"], want);
    let report = get(open(&echo, ClientTls::builder(&roots, "127.0.0.1")).await.unwrap()).await;
    assert_eq!(report["tls"]["serverName"], "", "an address is no SNI");
    assert!(report["tls"].get("negotiatedProtocol").is_none());

    let stream = open(&echo, ClientTls::builder(&roots, "localhost").alpn([ALPN_H2])).await.unwrap();
    assert_eq!(stream.alpn(), Some(ALPN_H2));
    let mut sender = http2::<Empty<Bytes>>(stream).await;
    let request = Request::get("https://localhost/t").body(Empty::new()).unwrap();
    let body = sender.send_request(request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
    let report: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&report["proto"], &report["tls"]["negotiatedProtocol"]), (&json!("HTTP/2.0"), &json!("h2")));
}

#[tokio::test]
async fn names_can_be_chosen() {
    let dir = tempfile::tempdir().unwrap();
    let (echo, roots) = start(&["--tls-name", "a.example", "--tls-name", "spiffe://x/y"], &dir);
    open(&echo, ClientTls::builder(&roots, "a.example")).await.unwrap();
    let by_uri =
        ClientTls::builder(&roots, "b").subject_alt_names([fairlead_net::tls::San::Uri("spiffe://x/y".into())]);
    open(&echo, by_uri).await.unwrap();
    assert!(open(&echo, ClientTls::builder(&roots, "localhost")).await.is_err());
}

#[tokio::test]
async fn given_certificates_and_those_of_clients() {
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["given.example".to_owned()]).unwrap();
    let (certificate, key) = (dir.path().join("tls.crt"), dir.path().join("tls.key"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let certificate = certificate.to_str().unwrap();
    // Self-signed, so it is its own CA: for the server's clients, and for the clients' certificates.
    let args = [
        "--tls-port",
        "0",
        "--tls-cert",
        certificate,
        "--tls-key",
        key.to_str().unwrap(),
        "--tls-client-ca",
        certificate,
    ];
    let echo = Echo::start(&args);
    let pem = made.cert.pem();
    let roots = Roots::from_pem([pem.as_bytes()]).unwrap();
    let client = ClientTls::builder(&roots, "given.example");
    assert!(get(open(&echo, client.clone()).await.unwrap()).await["tls"].get("peerCertificates").is_none());
    let identity = Identity::from_pem(pem.as_bytes(), made.signing_key.serialize_pem().as_bytes()).unwrap();
    let report = get(open(&echo, client.identity(Arc::new(identity))).await.unwrap()).await;
    let presented = report["tls"]["peerCertificates"][0].as_str().unwrap();
    assert_eq!(presented.replace('\r', ""), pem.replace('\r', ""));
}

#[tokio::test]
async fn the_suites_tcp_server_over_tls() {
    let echo = Echo::start(&["--suite-tls-port", "0"]);
    let addr = echo.listening().suite_tls.unwrap();
    let client = ClientTls::builder(&Roots::insecure(), "s.example").build().unwrap();
    let mut stream = handshake(connect(addr).await, &client).await.unwrap();
    assert_eq!(until(&mut stream, "\n").await, "Gateway API Test TCP Server\n");
    stream.write_all(b"IS_TLS\nTEST\n").await.unwrap();
    stream.flush().await.unwrap();
    assert_eq!(until(&mut stream, "\n").await, "true\n");
    let report = parse(&until(&mut stream, "\n").await);
    assert_eq!((&report["isTLS"], &report["tls"]["serverName"]), (&json!(true), &json!("s.example")));
    assert_eq!(report["tlsport"], addr.port().to_string());
}

#[test]
fn bad_material_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.pem");
    std::fs::write(&file, "nothing").unwrap();
    let path = file.to_str().unwrap();
    let args = crate::echo::tests::parse(&["--tls-port", "0", "--tls-cert", path, "--tls-key", path]);
    let e = format!("{:#}", crate::echo::Server::start(&args).unwrap_err());
    assert!(e.contains("x.pem") && e.contains("no certificate"), "{e}");
}
