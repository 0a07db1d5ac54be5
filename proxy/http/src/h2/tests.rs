//! The server by heads, by streams, and under floods; what is used by more than one of them.

mod floods;
mod heads;
mod lasting;
mod streams;

use std::future::poll_fn;

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::task::spawn_local;

use super::{Server, ServerSettings, serve, server};
use crate::{Error, Limits, RequestHead};

type RawSender = ::h2::client::SendRequest<Bytes>;

async fn raw_client(stream: TcpStream) -> RawSender {
    let (sender, connection) = ::h2::client::handshake(stream).await.unwrap();
    spawn_local(connection);
    sender
}

async fn accept(server: &mut Server, head: &mut RequestHead) -> Option<Result<server::Accepted, Error>> {
    poll_fn(|cx| server.poll_request(cx, head, &Limits { max_headers: 5, max_target_bytes: 30, ..Limits::default() }))
        .await
}

/// Tells what it takes requests for.
fn spawn_server(stream: TcpStream) -> tokio::sync::mpsc::Receiver<String> {
    let (tell, told) = tokio::sync::mpsc::channel(1);
    spawn_local(async move {
        let mut server = serve(stream.into(), &ServerSettings::default()).await.unwrap();
        let mut head = RequestHead::new();
        while let Some(Ok(accepted)) = accept(&mut server, &mut head).await {
            let text = |b: &[u8]| b.escape_ascii().to_string();
            let line = match accepted.framing {
                Err(r) => format!("{} {}", r.status, r.details),
                Ok(framing) => format!(
                    "{} {} {} {:?} {framing:?}{}",
                    text(head.method_bytes()),
                    text(head.authority()),
                    text(head.path_and_query()),
                    head.fields,
                    if head.upgrade.is_some() { " upgrade" } else { "" }
                ),
            };
            let _ = tell.send(line).await;
        }
    });
    told
}

fn get(uri: &str, list: &[(&'static str, &str)]) -> http::Request<()> {
    let mut builder = http::Request::builder().uri(uri).version(http::Version::HTTP_2);
    for (n, v) in list {
        builder = builder.header(*n, *v);
    }
    builder.body(()).unwrap()
}
