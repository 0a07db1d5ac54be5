//! What the tests of this crate share: certificates made on the spot, and connected pairs of streams.

#![allow(clippy::unwrap_used)]

use std::future::poll_fn;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};

use crate::tls::{ClientTls, Identity, Roots, ServerTls, TlsError, TlsInfo, connect, read_hello};
use crate::{ConnectOptions, ListenOptions, Listener, Stream, connect_tcp, listen_tcp};

/// A certificate authority.
pub(crate) struct Ca {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key in PEM.
pub(crate) struct Issued {
    pub(crate) chain: String,
    pub(crate) key: String,
}

impl Ca {
    pub(crate) fn new(name: &str) -> Ca {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Ca { pem, issuer: Issuer::new(params, key) }
    }

    pub(crate) fn roots(&self) -> Roots {
        Roots::from_pem([self.pem.as_bytes()]).unwrap()
    }

    /// A certificate for DNS names, and URIs where a name has `://`.
    pub(crate) fn issue(&self, names: &[&str]) -> Issued {
        self.issue_with(names, |_| {})
    }

    pub(crate) fn issue_with(&self, names: &[&str], adjust: impl FnOnce(&mut CertificateParams)) -> Issued {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        for name in names {
            params.subject_alt_names.push(match name.contains("://") {
                true => SanType::URI((*name).try_into().unwrap()),
                false => SanType::DnsName((*name).try_into().unwrap()),
            });
        }
        params.distinguished_name.push(DnType::CommonName, names.first().copied().unwrap_or("nobody"));
        adjust(&mut params);
        let chain = params.signed_by(&key, &self.issuer).unwrap().pem();
        Issued { chain, key: key.serialize_pem() }
    }

    pub(crate) fn identity(&self, names: &[&str]) -> Arc<Identity> {
        self.issue(names).identity()
    }
}

impl Issued {
    pub(crate) fn identity(&self) -> Arc<Identity> {
        Arc::new(Identity::from_pem(self.chain.as_bytes(), self.key.as_bytes()).unwrap())
    }
}

/// A connected pair: the client's and the server's end.
pub(crate) async fn tcp_pair() -> (Stream, Stream) {
    let socket = listen_tcp("127.0.0.1:0".parse().unwrap(), &ListenOptions::default()).unwrap();
    let listener = Listener::new(socket).unwrap();
    let options = ConnectOptions::default();
    let (client, accepted) = tokio::join!(connect_tcp(listener.local_addr(), &options), listener.accept());
    (client.unwrap(), accepted.unwrap().into_stream().unwrap())
}

/// Both ends of a handshake.
pub(crate) async fn handshake(
    client: &ClientTls,
    server: &ServerTls,
) -> (Result<Stream, TlsError>, Result<(Stream, TlsInfo), TlsError>) {
    let (client_end, server_end) = tcp_pair().await;
    let serve = async { read_hello(server_end).await?.accept(server).await };
    tokio::join!(connect(client_end, client), serve)
}

/// A handshake that must succeed.
pub(crate) async fn tls_pair(client: &ClientTls, server: &ServerTls) -> (Stream, Stream, TlsInfo) {
    let (client, server) = handshake(client, server).await;
    let (server, info) = server.unwrap();
    (client.unwrap(), server, info)
}

/// Writes all of `bytes` and flushes.
pub(crate) async fn send(stream: &mut Stream, bytes: &[u8]) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let n = poll_fn(|cx| stream.poll_write(cx, rest)).await.unwrap();
        rest = &rest[n..];
    }
    poll_fn(|cx| stream.poll_flush(cx)).await.unwrap();
}

/// Reads once, at most `limit` bytes.
pub(crate) async fn receive(stream: &mut Stream, limit: usize) -> std::io::Result<Vec<u8>> {
    let mut buf = vec![0; limit];
    let n = poll_fn(|cx| stream.poll_read_into(cx, &mut buf)).await?;
    buf.truncate(n);
    Ok(buf)
}

/// Waits until the kernel has something for the stream, without reading it.
pub(crate) async fn arrived(stream: &mut Stream) {
    poll_fn(|cx| stream.poll_readable(cx)).await.unwrap();
}
