use std::sync::Arc;

use crate::Stream;
use crate::testing::{Ca, handshake, receive, send, tcp_pair, tls_pair};
use crate::tls::{
    ALPN_H2, ALPN_HTTP11, ClientAuth, ClientTls, ClientTlsBuilder, Identity, Roots, ServerTls, ServerTlsBuilder,
    SetupError, Tickets, TlsError, TlsVersion, connect, read_hello,
};

fn server(identities: impl IntoIterator<Item = Arc<Identity>>) -> ServerTlsBuilder {
    let builder = ServerTls::builder(&Tickets::new().unwrap());
    identities.into_iter().fold(builder, ServerTlsBuilder::identity)
}

fn client(ca: &Ca, name: &str) -> ClientTlsBuilder {
    ClientTls::builder(&ca.roots(), name)
}

/// One request and answer, which shows that both sides are content (with TLS 1.3 the server's verdict on the client's
/// certificate comes after the client's handshake).
async fn talk(client: &ClientTls, server: &ServerTls) -> Result<(), TlsError> {
    let (client, server) = handshake(client, server).await;
    let (mut server, _) = server?;
    let mut client = client?;
    send(&mut client, b"ping").await;
    assert_eq!(receive(&mut server, 8).await?, b"ping");
    send(&mut server, b"pong").await;
    assert_eq!(receive(&mut client, 8).await?, b"pong");
    Ok(())
}

/// The names of the certificate that a client who asks for `sni` is shown.
async fn shown(server: &ServerTls, sni: &str) -> Vec<String> {
    let client = ClientTls::builder(&Roots::insecure(), sni).build().unwrap();
    let (client, _server, _) = tls_pair(&client, server).await;
    let Stream::TlsClient(client) = client else { panic!("{client:?}") };
    let leaf = client.get_ref().1.peer_certificates().unwrap()[0].clone();
    let (_, leaf) = x509_parser::parse_x509_certificate(&leaf).unwrap();
    let sans = leaf.subject_alternative_name().unwrap().unwrap();
    sans.value.general_names.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn the_certificate_follows_sni() {
    let ca = Ca::new("ca");
    let names =
        [&["first.example"][..], &["shop.example.com"], &["*.example.com"], &["*.deep.example.com", "other.org"]];
    let server = server(names.iter().map(|n| ca.identity(n))).build().unwrap();
    for (sni, want) in [
        ("shop.example.com", "shop.example.com"),
        ("SHOP.example.com", "shop.example.com"),
        ("cart.example.com", "*.example.com"),
        ("a.b.example.com", "*.example.com"),
        ("x.deep.example.com", "*.deep.example.com"),
        ("other.org", "*.deep.example.com"),
        ("unknown.net", "first.example"),
        ("127.0.0.1", "first.example"),
    ] {
        let shown = shown(&server, sni).await;
        assert!(shown[0].contains(want), "{sni}: {shown:?}");
    }
}

#[tokio::test]
async fn the_key_fits_the_client() {
    let ca = Ca::new("ca");
    let rsa_key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let mut params = rcgen::CertificateParams::new(["a.example".to_owned(), "rsa.example".to_owned()]).unwrap();
    params.is_ca = rcgen::IsCa::ExplicitNoCa;
    let rsa = params.self_signed(&rsa_key).unwrap().pem();
    let rsa = Arc::new(Identity::from_pem(rsa.as_bytes(), rsa_key.serialize_pem().as_bytes()).unwrap());
    let server = server([ca.identity(&["a.example"]), rsa]).build().unwrap();
    assert_eq!(shown(&server, "a.example").await.len(), 1, "both are usable, the first is taken");
    let only_rsa = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::CryptoProvider {
        cipher_suites: vec![rustls::crypto::aws_lc_rs::cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256],
        ..rustls::crypto::aws_lc_rs::default_provider()
    }))
    .with_protocol_versions(&[&rustls::version::TLS12])
    .unwrap()
    .with_root_certificates(rustls::RootCertStore { roots: vec![] })
    .with_no_client_auth();
    let (client_end, server_end) = tcp_pair().await;
    let connect =
        tokio_rustls::TlsConnector::from(Arc::new(only_rsa)).connect("a.example".try_into().unwrap(), client_end);
    let serve = async { read_hello(server_end).await?.accept(&server).await };
    let (client, served) = tokio::join!(connect, serve);
    // The client trusts nobody; what matters is that the server found a key for it.
    assert!(client.unwrap_err().to_string().contains("UnknownIssuer"));
    assert!(matches!(served.unwrap_err(), TlsError::Alert(rustls::AlertDescription::UnknownCA)));
}

#[tokio::test]
async fn the_hello_shows_name_and_protocols_before_any_choice() {
    let ca = Ca::new("ca");
    let (client_end, server_end) = tcp_pair().await;
    let client = client(&ca, "A.Example").alpn([ALPN_H2, ALPN_HTTP11]).build().unwrap();
    let serve = async {
        let hello = read_hello(server_end).await.unwrap();
        assert_eq!(hello.server_name().as_deref(), Some("a.example"));
        assert!(hello.offers_alpn(ALPN_H2) && !hello.offers_alpn(b"h3"));
        assert!(format!("{hello:?}").contains("a.example"));
        let by_choice = server([ca.identity(&["a.example"])]).alpn([ALPN_HTTP11]).build().unwrap();
        hello.accept(&by_choice).await.unwrap()
    };
    let (client, (_, info)) = tokio::join!(connect(client_end, &client), serve);
    assert_eq!(client.unwrap().alpn(), Some(ALPN_HTTP11));
    assert_eq!(info.alpn.as_deref(), Some(ALPN_HTTP11));
    assert_eq!(info.sni.as_deref(), Some("a.example"));
    assert_eq!((info.version, info.version.as_str()), (TlsVersion::V1_3, "TLSv1.3"));
    assert!(info.cipher.starts_with("TLS_AES_"), "{}", info.cipher);
    assert!(!info.resumed && info.peer_cert.is_none());
}

#[tokio::test]
async fn alpn_is_agreed_by_the_servers_preference_or_refused() {
    let ca = Ca::new("ca");
    let server = server([ca.identity(&["a.example"])]).alpn([ALPN_H2, ALPN_HTTP11]).build().unwrap();
    let ask = |alpn: Vec<&'static [u8]>| client(&ca, "a.example").alpn(alpn).build().unwrap();
    let (c, _, info) = tls_pair(&ask(vec![ALPN_HTTP11, ALPN_H2]), &server).await;
    assert_eq!((c.alpn(), info.alpn.as_deref()), (Some(ALPN_H2), Some(ALPN_H2)));
    let (c, _, info) = tls_pair(&ask(vec![]), &server).await;
    assert_eq!((c.alpn(), info.alpn), (None, None));
    let (c, s) = handshake(&ask(vec![b"smtp"]), &server).await;
    assert!(matches!(c.unwrap_err(), TlsError::Alert(rustls::AlertDescription::NoApplicationProtocol)));
    assert!(s.is_err());
}

#[tokio::test]
async fn versions_are_bounded() {
    let ca = Ca::new("ca");
    let build = |min, max| server([ca.identity(&["a.example"])]).versions(min, max).build();
    let (old, new) = (TlsVersion::V1_2, TlsVersion::V1_3);
    let only_old = client(&ca, "a.example").versions(old, old).build().unwrap();
    let (_, _, info) = tls_pair(&only_old, &build(old, new).unwrap()).await;
    assert_eq!(info.version, TlsVersion::V1_2);
    assert!(info.cipher.starts_with("TLS_ECDHE_ECDSA_WITH_"), "{}", info.cipher);
    let (c, s) = handshake(&only_old, &build(new, new).unwrap()).await;
    assert!(matches!(s.unwrap_err(), TlsError::Incompatible(_)));
    assert!(matches!(c.unwrap_err(), TlsError::Alert(rustls::AlertDescription::ProtocolVersion)));
    assert!(matches!(build(new, old).unwrap_err(), SetupError::Versions { .. }));
    assert!(matches!(server([]).build().unwrap_err(), SetupError::NoCertificate));
}

/// Talks once, then again, and says whether the second handshake resumed the session of the first.
async fn resumes(client: &ClientTls, first: &ServerTls, second: &ServerTls) -> bool {
    talk(client, first).await.unwrap();
    let (c, s) = handshake(client, second).await;
    c.unwrap();
    s.unwrap().1.resumed
}

#[tokio::test]
async fn sessions_are_resumed_across_configurations_with_the_same_tickets() {
    let ca = Ca::new("ca");
    let identity = ca.identity(&["a.example", "b.example"]);
    let tickets = Tickets::new().unwrap();
    let build = |tickets: &Tickets| ServerTls::builder(tickets).identity(identity.clone()).build().unwrap();
    for version in [TlsVersion::V1_2, TlsVersion::V1_3] {
        let client = || client(&ca, "a.example").versions(version, version).build().unwrap();
        assert!(resumes(&client(), &build(&tickets), &build(&tickets)).await, "{version}");
        let strange = Tickets::new().unwrap();
        assert!(!resumes(&client(), &build(&tickets), &build(&strange)).await, "{version}: other keys");
    }
    assert_eq!(format!("{tickets:?}"), "Tickets([redacted])");
}

#[tokio::test]
async fn a_session_is_no_pass_for_a_server_that_asks_for_more() {
    let ca = Ca::new("ca");
    let (corp, other) = (Ca::new("corp"), Ca::new("other"));
    let tickets = Tickets::new().unwrap();
    let identity = ca.identity(&["a.example"]);
    let build =
        |auth: ClientAuth| ServerTls::builder(&tickets).identity(identity.clone()).client_auth(auth).build().unwrap();
    let (open, lax) = (build(ClientAuth::None), build(ClientAuth::Fallback(corp.roots())));
    let (strict, strict_again) = (build(ClientAuth::Required(corp.roots())), build(ClientAuth::Required(corp.roots())));
    let strict_other = build(ClientAuth::Required(other.roots()));
    for version in [TlsVersion::V1_2, TlsVersion::V1_3] {
        for weaker in [&open, &lax] {
            let anonymous = client(&ca, "a.example").versions(version, version).build().unwrap();
            talk(&anonymous, weaker).await.unwrap();
            let e = talk(&anonymous, &strict).await.unwrap_err();
            assert!(matches!(e, TlsError::NoClientCertificate), "{version}: {e}");
        }
        let insider = client(&ca, "a.example").versions(version, version).identity(corp.identity(&["insider"]));
        let insider = || insider.clone().build().unwrap();
        assert!(resumes(&insider(), &strict, &strict_again).await, "{version}: the same requirement");
        let one = insider();
        talk(&one, &strict).await.unwrap();
        let e = talk(&one, &strict_other).await.unwrap_err();
        assert!(matches!(e, TlsError::Certificate(_)), "{version}: {e}");
    }
}

#[tokio::test]
async fn client_certificates_required() {
    let (ca, corp, other) = (Ca::new("ca"), Ca::new("corp"), Ca::new("other"));
    let server = server([ca.identity(&["a.example"])]).client_auth(ClientAuth::Required(corp.roots())).build().unwrap();
    let bare = client(&ca, "a.example");
    assert!(matches!(talk(&bare.clone().build().unwrap(), &server).await.unwrap_err(), TlsError::NoClientCertificate));
    let wrong = bare.clone().identity(other.identity(&["mallory"])).build().unwrap();
    let e = talk(&wrong, &server).await.unwrap_err();
    assert_eq!(e.to_string(), "the peer's certificate is refused: it is not signed by a trusted CA");
    let expired = corp.issue_with(&["late"], |p| p.not_after = rcgen::date_time_ymd(2021, 1, 1)).identity();
    let e = talk(&bare.clone().identity(expired).build().unwrap(), &server).await.unwrap_err();
    assert!(e.to_string().contains("expired"), "{e}");

    let right = corp.issue_with(&["bob.corp", "spiffe://corp/bob"], |params| {
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "Corp, Inc.");
        params.serial_number = Some(vec![0x0a, 0xbc].into());
    });
    let right = bare.identity(right.identity()).build().unwrap();
    talk(&right, &server).await.unwrap();
    let (_, _, info) = tls_pair(&right, &server).await;
    let cert = info.peer_cert.unwrap();
    assert!(cert.verified());
    let facts = cert.facts().unwrap();
    assert_eq!(facts.subject, "O=Corp\\, Inc.,CN=bob.corp");
    assert_eq!(facts.issuer, "CN=corp");
    assert_eq!(facts.serial, "0abc");
    assert_eq!(
        (&facts.dns[..], &facts.uris[..]),
        (&["bob.corp".to_owned()][..], &["spiffe://corp/bob".to_owned()][..])
    );
    assert_eq!(cert.fingerprint(), crate::tls::sha256(cert.der()));
    assert_eq!(cert.chain().collect::<Vec<_>>(), [cert.der()]);
    let refused = ServerTls::builder(&Tickets::new().unwrap())
        .identity(ca.identity(&["a.example"]))
        .client_auth(ClientAuth::Required(Roots::insecure()))
        .build();
    assert!(matches!(refused.unwrap_err(), SetupError::NoClientCa));
}

#[tokio::test]
async fn client_certificates_asked_for_but_not_insisted_on() {
    let (ca, corp, other) = (Ca::new("ca"), Ca::new("corp"), Ca::new("other"));
    let server = server([ca.identity(&["a.example"])]).client_auth(ClientAuth::Fallback(corp.roots())).build().unwrap();
    let bare = client(&ca, "a.example");
    for version in [TlsVersion::V1_2, TlsVersion::V1_3] {
        let bare = bare.clone().versions(version, version);
        let verified = |builder: ClientTlsBuilder| async {
            let client = builder.build().unwrap();
            talk(&client, &server).await.unwrap();
            tls_pair(&client, &server).await.2.peer_cert.map(|c| c.verified())
        };
        assert_eq!(verified(bare.clone()).await, None, "{version}");
        assert_eq!(
            verified(bare.clone().identity(other.identity(&["x"]))).await,
            Some(false),
            "{version}: it was asked for"
        );
        assert_eq!(verified(bare.clone().identity(corp.identity(&["x"]))).await, Some(true), "{version}");
    }
}

#[tokio::test]
async fn client_certificates_that_are_optional_must_still_be_right() {
    let (ca, corp, other) = (Ca::new("ca"), Ca::new("corp"), Ca::new("other"));
    let server = server([ca.identity(&["a.example"])]).client_auth(ClientAuth::Optional(corp.roots())).build().unwrap();
    let bare = client(&ca, "a.example");
    let seen = |builder: ClientTlsBuilder| async {
        let (_, _, info) = tls_pair(&builder.build().unwrap(), &server).await;
        info.peer_cert.map(|c| c.verified())
    };
    assert_eq!(seen(bare.clone()).await, None);
    assert_eq!(seen(bare.clone().identity(corp.identity(&["x"]))).await, Some(true));
    let wrong = bare.identity(other.identity(&["x"])).build().unwrap();
    assert!(matches!(talk(&wrong, &server).await.unwrap_err(), TlsError::Certificate(_)));
}

#[tokio::test]
async fn an_unknown_name_is_turned_away() {
    let ca = Ca::new("ca");
    let client = client(&ca, "nobody.example").build().unwrap();
    let (client_end, server_end) = tcp_pair().await;
    let serve = async { read_hello(server_end).await.unwrap().refuse().await };
    let (client, served) = tokio::join!(connect(client_end, &client), serve);
    served.unwrap();
    assert!(matches!(client.unwrap_err(), TlsError::Alert(rustls::AlertDescription::UnrecognisedName)));
}

#[tokio::test]
async fn what_is_not_tls_is_told_apart() {
    let (mut client_end, server_end) = tcp_pair().await;
    send(&mut client_end, b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    assert!(matches!(read_hello(server_end).await.unwrap_err(), TlsError::NotTls));

    let (mut client_end, server_end) = tcp_pair().await;
    send(&mut client_end, &[22, 3, 1, 2]).await;
    drop(client_end);
    assert!(matches!(read_hello(server_end).await.unwrap_err(), TlsError::Closed));
}
