//! Peers that nobody has to believe: without a certificate, or with one and ill will.

use crate::setup::{Controller, GATEWAY, push};
use fairlead_publish::{Identity, Role};
use fairlead_wire::proto::{EnrollRequest, FromProxy, Hello, from_proxy};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

type Shown = (CertificateDer<'static>, PrivateKeyDer<'static>);

/// A connection from an address of this machine.
async fn dial(controller: &Controller, from: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
    socket.connect(controller.server.address()).await.unwrap()
}

/// What a proxy of the Gateway would show.
fn certificate(controller: &Controller, pod: &str) -> Shown {
    let key = rcgen::KeyPair::generate().unwrap();
    let request = rcgen::CertificateParams::default().serialize_request(&key).unwrap();
    let identity = Identity { gateway: GATEWAY.into(), pod: pod.into() };
    let certificate = controller.authority.borrow().sign(request.der(), &identity, controller.hands.now()).unwrap();
    (certificate, PrivatePkcs8KeyDer::from(key.serialize_der()).into())
}

/// A client that takes little at a time; `None`: the controller ended the connection.
async fn client<B>(controller: &Controller, shown: Option<&Shown>) -> Option<SendRequest<B>>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: std::error::Error + Send + Sync,
{
    let mut roots = rustls::RootCertStore::empty();
    controller.authority.borrow().roots().into_iter().for_each(|root| roots.add(root).unwrap());
    let config = rustls::ClientConfig::builder_with_provider(fairlead_wire::crypto())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match shown {
        Some((certificate, key)) => config.with_client_auth_cert(vec![certificate.clone()], key.clone_key()).unwrap(),
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = dial(controller, "127.0.0.1").await;
    let stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
    let mut builder = Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(1024).initial_connection_window_size(65_535);
    let (mut sender, connection) = Box::pin(builder.handshake(TokioIo::new(stream))).await.ok()?;
    tokio::spawn(connection);
    // The controller looks at the certificate after our side of the handshake.
    tokio::time::sleep(Duration::from_millis(200)).await;
    std::future::poll_fn(|context| sender.poll_ready(context)).await.ok()?;
    Some(sender)
}

async fn call<B>(sender: &mut SendRequest<B>, method: &str, body: B) -> http::Response<Incoming>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: std::error::Error + Send + Sync,
{
    let request = http::Request::post(format!("https://localhost/fairlead.push.v1.Push/{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    sender.send_request(request.body(body).unwrap()).await.unwrap()
}

/// A message as gRPC frames it.
fn framed(message: &impl prost::Message) -> Bytes {
    let message = message.encode_to_vec();
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], &length[..], &message].concat().into()
}

#[tokio::test]
async fn there_is_no_stream_without_a_certificate() {
    let controller = Controller::start().await;
    let mut sender = client(&controller, None).await.unwrap();
    let response = call(&mut sender, "Stream", Full::<Bytes>::default()).await;
    assert_eq!(response.headers()["grpc-status"], "16");
    assert_eq!(response.headers()["grpc-message"], "a%20client%20certificate%20is%20needed:%20enrol%20first");
}

#[tokio::test]
async fn who_has_no_certificate_can_send_no_more_than_a_request_for_one() {
    let controller = Controller::start().await;
    let mut sender = client(&controller, None).await.unwrap();
    let request = EnrollRequest { token: "x".repeat(40 << 10), csr: vec![] };
    let response = call(&mut sender, "Enroll", Full::new(framed(&request))).await;
    assert_eq!(response.headers()["grpc-status"], "16", "read, and no token");
    let request = EnrollRequest { token: String::new(), csr: vec![0; 100 << 10] };
    let response = call(&mut sender, "Enroll", Full::new(framed(&request))).await;
    assert_eq!(response.headers()["grpc-status"], "11", "{:?}", response.headers());
}

#[tokio::test]
async fn one_address_does_not_keep_others_out() {
    let controller = Controller::start().await;
    controller.publish(1, "a=1");
    let start = Instant::now();
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(dial(&controller, "127.0.0.2").await);
    }
    let mut last = silent.pop().unwrap();
    let ended = timeout(Duration::from_secs(3), last.read(&mut [0])).await.expect("it is one too many");
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    let mut proxy = controller.proxy("p");
    assert_eq!(proxy.takes().await, (1, "a=1".into()));
    assert!(start.elapsed() < Duration::from_secs(4), "before the others had to go: {:?}", start.elapsed());
}

#[tokio::test]
async fn a_proxy_has_few_connections() {
    let controller = Controller::start().await;
    let shown = certificate(&controller, "greedy");
    let mut open = Vec::new();
    for _ in 0..4 {
        open.push(client::<Full<Bytes>>(&controller, Some(&shown)).await.expect("one of four"));
    }
    assert!(client::<Full<Bytes>>(&controller, Some(&shown)).await.is_none(), "the fifth");
    assert!(client::<Full<Bytes>>(&controller, Some(&certificate(&controller, "modest"))).await.is_some());
    drop(open);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(client::<Full<Bytes>>(&controller, Some(&shown)).await.is_some(), "after the others");
}

/// Opens a stream, and keeps saying nothing more.
async fn stream(controller: &Controller, shown: &Shown, pod: &str) -> (http::Response<Incoming>, impl Sized + use<>) {
    let hello = Hello { gateway: GATEWAY.into(), pod: pod.into(), ..Default::default() };
    let message = FromProxy { message: Some(from_proxy::Message::Hello(hello)) };
    let mut sender = client(controller, Some(shown)).await.unwrap();
    let (say, said) = tokio::sync::mpsc::unbounded_channel();
    say.send(Ok::<_, std::convert::Infallible>(Frame::data(framed(&message)))).unwrap();
    let body = StreamBody::new(tokio_stream::wrappers::UnboundedReceiverStream::new(said));
    (call(&mut sender, "Stream", body).await, (sender, say))
}

#[tokio::test]
async fn one_that_does_not_read_is_let_go() {
    let controller = Controller::start().await;
    let much = "x".repeat(1 << 20);
    controller.server.publish(&GATEWAY.into(), &push(1, &format!("a={much} b={much} c={much} d={much}")));
    let (mut response, _open) = stream(&controller, &certificate(&controller, "slow"), "slow").await;
    let first = response.body_mut().frame().await.unwrap().unwrap();
    assert!(!first.data_ref().unwrap().is_empty(), "the push has begun");
    controller.progress("connected", |proxies| proxies.contains_key("slow")).await;
    controller.role.send_replace(Role::Redirect("127.0.0.1:1".parse().unwrap()));
    controller.progress("gone", BTreeMap::is_empty).await;
}

#[tokio::test]
async fn a_proxy_that_comes_again_and_again_has_to_wait() {
    let controller = Controller::start().await;
    controller.publish(1, "a=1");
    let shown = certificate(&controller, "p");
    let start = Instant::now();
    for _ in 0..8 {
        let (response, _) = stream(&controller, &shown, "p").await;
        assert!(!response.headers().contains_key("grpc-status"), "{:?}", response.headers());
    }
    let (response, _) = stream(&controller, &shown, "p").await;
    assert_eq!(response.headers()["grpc-status"], "8", "after {:?}", start.elapsed());
    let mut proxy = controller.proxy("p");
    assert_eq!(proxy.takes().await, (1, "a=1".into()), "a little later");
    assert!(start.elapsed() > Duration::from_secs(5), "{:?}", start.elapsed());
}
