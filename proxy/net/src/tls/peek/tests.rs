#![allow(clippy::unwrap_used)]

use super::{ClientHello, MalformedHello, PeekError, parse_client_hello, peek_client_hello};
use crate::testing::{Ca, receive, send, tcp_pair};
use crate::tls::{ALPN_H2, ALPN_HTTP11, ClientTls, ServerTls, Tickets, connect, read_hello};

/// A real ClientHello, by rustls.
fn real(name: &str, alpn: &[&[u8]]) -> Vec<u8> {
    let mut config = rustls::ClientConfig::builder_with_provider(crate::tls::provider().clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
    let name = rustls::pki_types::ServerName::try_from(name.to_owned()).unwrap();
    let mut connection = rustls::ClientConnection::new(config.into(), name).unwrap();
    let mut bytes = Vec::new();
    while connection.wants_write() {
        connection.write_tls(&mut bytes).unwrap();
    }
    bytes
}

/// The same message in records of `size` bytes each.
fn split(hello: &[u8], size: usize) -> Vec<u8> {
    let records = hello[5..].chunks(size).map(|c| {
        let len = u16::try_from(c.len()).unwrap().to_be_bytes();
        [&[22, 3, 1], &len[..], c].concat()
    });
    records.collect::<Vec<_>>().concat()
}

#[test]
fn reads_name_and_protocols() {
    let hello = parse_client_hello(&real("Shop.Example.com", &[ALPN_H2, ALPN_HTTP11])).unwrap().unwrap();
    let want =
        ClientHello { server_name: Some("shop.example.com".into()), alpn: vec![ALPN_H2.into(), ALPN_HTTP11.into()] };
    assert_eq!(hello, want);
    let none = parse_client_hello(&real("127.0.0.1", &[])).unwrap().unwrap();
    assert_eq!(none, ClientHello::default());
}

#[test]
fn any_split_into_records_and_reads_gives_the_same() {
    let whole = real("a.example", &[ALPN_H2]);
    let want = parse_client_hello(&whole).unwrap();
    for size in [1, 2, 3, 4, 5, 7, 100, whole.len()] {
        let bytes = split(&whole, size);
        for end in 0..bytes.len() {
            assert_eq!(parse_client_hello(&bytes[..end]), Ok(None), "records of {size}, {end} bytes");
        }
        assert_eq!(parse_client_hello(&bytes).unwrap(), want, "records of {size}");
        let more = [&bytes[..], b"trailing bytes are somebody else's"].concat();
        assert_eq!(parse_client_hello(&more).unwrap(), want);
    }
}

#[test]
fn other_protocols_are_refused_at_the_first_wrong_byte() {
    for bytes in [
        &b"G"[..],
        b"PRI * HTTP/2.0",
        b"SSH-2.0-x",
        &[0x80, 0x2e, 1],              // SSL 2
        &[22, 2],                      // SSL 2 version
        &[22, 3, 9],                   // no such version
        &[23, 3, 3],                   // application data
        &[22, 3, 1, 0, 0],             // empty record
        &[22, 3, 1, 0x40, 1],          // record too long
        &[22, 3, 1, 0, 1, 2],          // ServerHello
        &[22, 3, 1, 0, 4, 1, 1, 0, 0], // message of 64 KiB
    ] {
        assert_eq!(parse_client_hello(bytes), Err(MalformedHello), "{bytes:?}");
    }
    assert_eq!(parse_client_hello(&[]), Ok(None));
    assert_eq!(parse_client_hello(&[22, 3]), Ok(None));
}

fn with_extensions(extensions: &[u8]) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0x13, 1, 1, 0]);
    body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    body.extend(extensions);
    let message = [&[1, 0][..], &u16::try_from(body.len()).unwrap().to_be_bytes(), &body].concat();
    [&[22, 3, 1][..], &u16::try_from(message.len()).unwrap().to_be_bytes(), &message].concat()
}

fn sni(name: &[u8]) -> Vec<u8> {
    let n = u8::try_from(name.len()).unwrap();
    [&[0, 0, 0, n + 5, 0, n + 3, 0, 0, n][..], name].concat()
}

#[test]
fn extensions_are_strict() {
    let parse = |extensions: &[u8]| parse_client_hello(&with_extensions(extensions)).map(Option::unwrap);
    assert_eq!(parse(&sni(b"a.example")).unwrap().server_name.as_deref(), Some("a.example"));
    assert_eq!(parse(&[]).unwrap(), ClientHello::default());
    let bad: [&[u8]; 13] = [
        &sni(b""),
        &sni(b"a\0b"),
        &sni(b"a b\r\nx: y"),
        &sni("ä.example".as_bytes()),
        &[sni(b"a.example"), sni(b"b.example")].concat(),
        &[0, 0, 0, 3, 0, 9, 0],
        &[0, 0, 0, 6, 0, 4, 1, 0, 1, b'a'],    // not a host name
        &[0, 0, 0, 7, 0, 4, 0, 0, 1, b'a', 0], // surplus byte
        &[0, 16, 0, 2, 0, 0],                  // no protocol
        &[0, 16, 0, 3, 0, 1, 0],               // empty protocol
        &[0, 16, 0, 4, 0, 2, 9, b'h'],         // length beyond the end
        &[0, 16, 0, 9],
        &[0],
    ];
    for bytes in bad {
        assert_eq!(parse(bytes), Err(MalformedHello), "{bytes:?}");
    }
}

#[test]
fn no_bytes_make_it_panic() {
    let whole = real("a.example", &[ALPN_H2]);
    for i in 0..whole.len() {
        for value in [0, 1, 0x7f, 0xff] {
            let mut bytes = whole.clone();
            bytes[i] = value;
            let _ = parse_client_hello(&bytes);
        }
    }
}

#[tokio::test]
async fn a_peeked_stream_reads_as_if_nothing_had_happened() {
    let ca = Ca::new("ca");
    let server = ServerTls::builder(&Tickets::new().unwrap()).identity(ca.identity(&["a.example"])).build().unwrap();
    let client = ClientTls::builder(&ca.roots(), "a.example").build().unwrap();
    let (client_end, server_end) = tcp_pair().await;
    let serve = async {
        let (hello, stream) = peek_client_hello(server_end, 16 * 1024).await.unwrap();
        assert_eq!(hello.server_name.as_deref(), Some("a.example"));
        read_hello(stream).await.unwrap().accept(&server).await.unwrap()
    };
    let (client, (mut server, _)) = tokio::join!(connect(client_end, &client), serve);
    send(&mut client.unwrap(), b"through").await;
    assert_eq!(receive(&mut server, 64).await.unwrap(), b"through");
}

#[tokio::test]
async fn peeking_is_bounded_and_gives_other_bytes_back() {
    let hello = real("a.example", &[]);
    let (mut client, server) = tcp_pair().await;
    send(&mut client, &hello).await;
    assert!(matches!(peek_client_hello(server, 64).await.unwrap_err(), PeekError::TooLarge));

    let (mut client, server) = tcp_pair().await;
    send(&mut client, &hello[..20]).await;
    drop(client);
    assert!(matches!(peek_client_hello(server, 16 * 1024).await.unwrap_err(), PeekError::Closed));

    let (mut client, server) = tcp_pair().await;
    send(&mut client, b"GET / HTTP/1.1\r\n").await;
    match peek_client_hello(server, 16 * 1024).await.unwrap_err() {
        PeekError::NotTls { seen, .. } => assert_eq!(&seen[..], b"GET / HTTP/1.1\r\n"),
        e => panic!("{e}"),
    }
}
