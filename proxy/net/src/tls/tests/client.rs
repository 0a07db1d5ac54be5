use crate::testing::{Ca, Issued, handshake, tls_pair};
use crate::tls::{ClientTls, Roots, San, ServerTls, SetupError, Tickets, TlsError, TlsVersion};

fn server(issued: &Issued) -> ServerTls {
    ServerTls::builder(&Tickets::new().unwrap()).identity(issued.identity()).build().unwrap()
}

fn dns(name: &str) -> San {
    San::Dns(name.into())
}

fn uri(uri: &str) -> San {
    San::Uri(uri.into())
}

async fn refusal(client: &ClientTls, server: &ServerTls) -> String {
    match handshake(client, server).await.0 {
        Err(e @ TlsError::Certificate(_)) => e.to_string(),
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn the_chain_must_lead_to_the_roots() {
    let (ca, other) = (Ca::new("ca"), Ca::new("other"));
    let server = server(&ca.issue(&["a.example"]));
    tls_pair(&ClientTls::builder(&ca.roots(), "a.example").build().unwrap(), &server).await;
    let both = Roots::from_pem([other.pem.as_bytes(), ca.pem.as_bytes()]).unwrap();
    tls_pair(&ClientTls::builder(&both, "a.example").build().unwrap(), &server).await;
    let wrong = ClientTls::builder(&other.roots(), "a.example").build().unwrap();
    assert!(refusal(&wrong, &server).await.contains("not signed by a trusted CA"));
    // SANs don't replace the chain.
    let wrong = ClientTls::builder(&other.roots(), "a.example").subject_alt_names([dns("a.example")]).build().unwrap();
    assert!(refusal(&wrong, &server).await.contains("not signed by a trusted CA"));
    tls_pair(&ClientTls::builder(&Roots::insecure(), "whatever.example").build().unwrap(), &server).await;
}

#[tokio::test]
async fn the_host_name_must_match() {
    let ca = Ca::new("ca");
    let plain = server(&ca.issue(&["a.example"]));
    let wildcard = server(&ca.issue(&["*.w.example"]));
    let client = |name: &str| ClientTls::builder(&ca.roots(), name).build().unwrap();
    for version in [TlsVersion::V1_2, TlsVersion::V1_3] {
        let client = |name: &str| ClientTls::builder(&ca.roots(), name).versions(version, version).build().unwrap();
        tls_pair(&client("a.example"), &plain).await;
        assert!(refusal(&client("b.example"), &plain).await.contains("not valid for name \"b.example\""));
    }
    tls_pair(&client("A.Example."), &plain).await;
    tls_pair(&client("x.w.example"), &wildcard).await;
    assert!(refusal(&client("x.y.w.example"), &wildcard).await.contains("not valid for name"));
    assert!(refusal(&client("w.example"), &wildcard).await.contains("not valid for name"));
    assert!(refusal(&client("127.0.0.1"), &plain).await.contains("not valid for name"));
}

#[tokio::test]
async fn the_name_to_verify_may_differ_from_sni() {
    let ca = Ca::new("ca");
    let server = server(&ca.issue(&["real.example"]));
    let client = ClientTls::builder(&ca.roots(), "front.example").verify_host("real.example").build().unwrap();
    let (_, _, info) = tls_pair(&client, &server).await;
    assert_eq!(info.sni.as_deref(), Some("front.example"));
    let client = ClientTls::builder(&ca.roots(), "real.example").verify_host("front.example").build().unwrap();
    assert!(refusal(&client, &server).await.contains("front.example"));
}

#[tokio::test]
async fn any_of_the_subject_alternative_names_will_do() {
    let ca = Ca::new("ca");
    let server = server(&ca.issue(&["a.example", "*.w.example", "spiffe://example.org/ns/shop/sa/cart"]));
    let client =
        |sans: Vec<San>| ClientTls::builder(&ca.roots(), "sni.example").subject_alt_names(sans).build().unwrap();
    for accepted in [
        vec![uri("spiffe://example.org/ns/shop/sa/cart")],
        vec![dns("a.example")],
        vec![dns("A.EXAMPLE")],
        vec![dns("nope.example"), uri("spiffe://nope"), dns("a.example")],
        vec![dns("x.w.example")],
        vec![dns("*.w.example")],
        vec![dns("*.example")],
    ] {
        let (_, _, info) = tls_pair(&client(accepted), &server).await;
        assert_eq!(info.sni.as_deref(), Some("sni.example"), "the host name is for SNI only");
    }
    for refused in [
        vec![uri("spiffe://example.org/ns/shop/sa/car")],
        vec![uri("spiffe://example.org/ns/shop/sa/cart/")],
        vec![uri("SPIFFE://example.org/ns/shop/sa/cart")],
        vec![uri("a.example")],
        vec![dns("spiffe://example.org/ns/shop/sa/cart".split_at(9).1.split('/').next().unwrap())],
        vec![dns("sni.example")],
        vec![dns("x.y.w.example"), dns("w.example")],
        vec![dns("*.a.example"), dns("*.org")],
    ] {
        let message = refusal(&client(refused.clone()), &server).await;
        assert!(message.contains("none of the required subject alternative names"), "{refused:?}: {message}");
        assert!(message.contains("spiffe://example.org/ns/shop/sa/cart"), "what it has is told: {message}");
    }
}

#[tokio::test]
async fn expired_and_future_certificates_are_refused() {
    let ca = Ca::new("ca");
    let old = ca.issue_with(&["a.example"], |p| p.not_after = rcgen::date_time_ymd(2021, 1, 1));
    let early = ca.issue_with(&["a.example"], |p| p.not_before = rcgen::date_time_ymd(4000, 1, 1));
    let by_host = ClientTls::builder(&ca.roots(), "a.example");
    let by_san = by_host.clone().subject_alt_names([dns("a.example")]);
    for client in [by_host.build().unwrap(), by_san.build().unwrap()] {
        assert!(refusal(&client, &server(&old)).await.contains("expired"));
        assert!(refusal(&client, &server(&early)).await.contains("not valid yet"));
    }
}

#[tokio::test]
async fn a_client_certificate_is_no_server_certificate() {
    let ca = Ca::new("ca");
    let wrong_use = ca.issue_with(&["a.example"], |p| {
        p.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    });
    let client = ClientTls::builder(&ca.roots(), "a.example").build().unwrap();
    refusal(&client, &server(&wrong_use)).await;
}

#[test]
fn names_are_checked_when_settings_are_compiled() {
    let roots = Roots::insecure();
    for bad in ["", "a b", "a..b", "*.example.com", "spiffe://x"] {
        let e = ClientTls::builder(&roots, bad).build().unwrap_err();
        assert!(matches!(e, SetupError::ServerName(_)), "{bad}: {e}");
        assert!(e.to_string().contains(&format!("{bad:?}")));
    }
    assert!(ClientTls::builder(&roots, "ok.example").subject_alt_names([dns("a b")]).build().is_err());
    assert!(ClientTls::builder(&roots, "::1").build().is_ok());
}
