use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use hyper::{Request, Response};
use tokio::sync::mpsc;

use super::{Echo, ask_http2, connect, get_with, http2, json};

const SERVICE: &str = "gateway_api_conformance.echo_basic.grpcecho.GrpcEcho";

fn call(path: &str) -> Request<Full<Bytes>> {
    let request = Request::post(format!("http://g.example{path}"));
    let request = request.header("content-type", "application/grpc").header("te", "trailers").header("x-mine", "1");
    request.body(Full::from(&[0, 0, 0, 0, 0][..])).unwrap()
}

/// The fields of a protobuf message that has only strings and messages.
fn fields(mut message: &[u8]) -> Vec<(u64, Vec<u8>)> {
    fn varint(message: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = message.split_first().unwrap();
            *message = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        value
    }
    let mut all = Vec::new();
    while !message.is_empty() {
        let tag = varint(&mut message);
        assert_eq!(tag & 7, 2, "length-delimited");
        let len = usize::try_from(varint(&mut message)).unwrap();
        let (value, rest) = message.split_at(len);
        all.push((tag >> 3, value.to_vec()));
        message = rest;
    }
    all
}

fn strings(message: &[u8]) -> Vec<(u64, String)> {
    fields(message).into_iter().map(|(n, v)| (n, String::from_utf8(v).unwrap())).collect()
}

#[tokio::test]
async fn echo_tells_about_the_call() {
    let echo = Echo::start(&["--service", "cart"]);
    for method in ["Echo", "EchoTwo"] {
        let path = format!("/{SERVICE}/{method}");
        let (head, body, trailers) = ask_http2(echo.http(), call(&path)).await.unwrap();
        assert_eq!((head.status.as_u16(), &head.headers["content-type"]), (200, &"application/grpc".parse().unwrap()));
        assert_eq!(trailers["grpc-status"], "0");
        assert!(head.headers.get("grpc-status").is_none());
        assert_eq!(body[0], 0, "not compressed");
        assert_eq!(u32::from_be_bytes(body[1..5].try_into().unwrap()) as usize, body.len() - 5);
        let response = fields(&body[5..]);
        assert_eq!(response.len(), 1);
        let assertions = fields(&response[0].1);
        let field = |n| assertions.iter().find(|(number, _)| *number == n).map(|(_, v)| &v[..]);
        assert_eq!(field(1), Some(path.as_bytes()));
        assert_eq!(field(3), Some(&b"g.example"[..]));
        let context = strings(field(4).unwrap());
        assert_eq!(context, [(1, "shop".into()), (3, "cart".into()), (4, "one".into())]);
        assert_eq!(field(5), None, "no TLS");
        let headers: Vec<_> = assertions.iter().filter(|(n, _)| *n == 2).map(|(_, h)| strings(h)).collect();
        assert!(headers.contains(&vec![(1, ":authority".into()), (2, "g.example".into())]), "{headers:?}");
        assert!(headers.contains(&vec![(1, "x-mine".into()), (2, "1".into())]));
        assert!(!headers.iter().any(|h| h[0].1 == "te"));
    }
}

#[tokio::test]
async fn what_is_not_there_is_unimplemented() {
    let echo = Echo::start(&[]);
    for (path, message) in [
        (format!("/{SERVICE}/EchoThree"), "method EchoThree not implemented".to_owned()),
        (format!("/{SERVICE}/Nope"), format!("unknown method Nope for service {SERVICE}")),
        ("/other.Service/Echo".to_owned(), "unknown service other.Service".to_owned()),
    ] {
        let (head, body, trailers) = ask_http2(echo.http(), call(&path)).await.unwrap();
        assert_eq!(head.status, 200);
        assert_eq!(head.headers["grpc-status"], "12", "trailers only");
        assert_eq!(head.headers["grpc-message"], message.as_str());
        assert!(body.is_empty() && trailers.is_empty());
    }
}

#[tokio::test]
async fn statuses_on_request() {
    let echo = Echo::start(&[]);
    let mut request = call(&format!("/{SERVICE}/Echo"));
    request.headers_mut().insert("x-echo-grpc-status", "14".parse().unwrap());
    request.headers_mut().insert("x-echo-grpc-message", "100% über".parse().unwrap());
    request.headers_mut().insert("x-echo-set-header", "x-extra:1".parse().unwrap());
    let (head, _, _) = ask_http2(echo.http(), request).await.unwrap();
    assert_eq!(head.headers["grpc-status"], "14");
    assert_eq!(head.headers["grpc-message"], "100%25 %C3%BCber");
    assert_eq!(head.headers["x-extra"], "1");
}

#[tokio::test]
async fn streams_go_both_ways_at_once() {
    let echo = Echo::start(&[]);
    let (messages, mut receiver) = mpsc::channel::<Bytes>(1);
    let body = StreamBody::new(futures_util::stream::poll_fn(move |cx| {
        receiver.poll_recv(cx).map(|m| m.map(|m| Ok::<_, std::convert::Infallible>(Frame::data(m))))
    }));
    let mut sender = http2(connect(echo.http()).await).await;
    let request = Request::post("http://a/fairlead.echo.Stream/Echo").header("content-type", "application/grpc+proto");
    let response: Response<_> = sender.send_request(request.body(body).unwrap()).await.unwrap();
    let mut body = response.into_body();
    for text in ["first", "second"] {
        messages.send(Bytes::from(text)).await.unwrap();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), text);
    }
    drop(messages);
    let trailers = body.frame().await.unwrap().unwrap().into_trailers().unwrap();
    assert_eq!(trailers["grpc-status"], "0");
}

#[tokio::test]
async fn on_http1_it_is_a_request_like_any_other() {
    let echo = Echo::start(&[]);
    let (head, body) = get_with(echo.http(), "/x", "Content-Type: application/grpc\r\n").await;
    assert!(head.contains("application/json"), "{head}");
    assert_eq!(json(&body)["headers"]["Content-Type"][0], "application/grpc");
}
