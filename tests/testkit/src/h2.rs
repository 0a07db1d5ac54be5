//! An HTTP/2 connection over the `h2` crate.

use bytes::Bytes;
use h2::client::{SendRequest, handshake};
use h2::{RecvStream, SendStream};
use tokio::task::JoinHandle;

use crate::Answer;
use crate::client::{Ask, Content, End, Io, Reply};

/// A client's connection; driven by a task on the current runtime.
pub struct Connection {
    /// Opens streams; clone it for concurrent ones.
    pub sender: SendRequest<Bytes>,
    driver: JoinHandle<()>,
}

impl Connection {
    /// Shakes hands.
    pub async fn over(stream: impl Io) -> Connection {
        let (sender, connection) = handshake(stream).await.expect("HTTP/2 handshake");
        let driver = tokio::spawn(async move {
            // Broken connections are seen by the streams.
            let _ = connection.await;
        });
        Connection { sender, driver }
    }

    /// Connects without TLS.
    pub async fn connect(address: std::net::SocketAddr) -> Connection {
        let stream = tokio::net::TcpStream::connect(address).await.expect("connect");
        stream.set_nodelay(true).expect("nodelay");
        Connection::over(stream).await
    }

    /// Sends a request and reads its response, at the same time.
    pub async fn ask(&self, ask: &Ask) -> Reply {
        let mut sender = match self.sender.clone().ready().await {
            Ok(sender) => sender,
            Err(e) => return Reply::none(end(&e)),
        };
        let ended = matches!(ask.content, Content::None);
        let (mut response, send) = match sender.send_request(request(ask), ended) {
            Ok(sent) => sent,
            Err(e) => return Reply::none(end(&e)),
        };
        let mut reply = Reply::none(End::Complete);
        let sending = async {
            if !ended {
                send_content(send, ask).await;
            }
            std::future::pending().await
        };
        let reading = async {
            if let Err(e) = read(&mut response, &mut reply).await {
                reply.end = end(&e);
            }
        };
        tokio::select! {
            () = sending => {}
            () = reading => {}
        }
        reply
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// The head of a request.
pub fn request(ask: &Ask) -> http::Request<()> {
    let mut request = http::Request::builder().method(ask.method.as_str());
    request = request.uri(format!("http://{}{}", ask.host, ask.path)).version(http::Version::HTTP_2);
    for (name, value) in &ask.headers {
        request = request.header(name, value);
    }
    if let Content::Sized(data) = &ask.content {
        request = request.header("content-length", data.len());
    }
    request.body(()).expect("a valid request")
}

async fn send_content(mut send: SendStream<Bytes>, ask: &Ask) {
    let (data, piece) = match &ask.content {
        Content::None => return,
        Content::Sized(data) => (data, 64 * 1024),
        Content::Streamed(data, piece) => (data, *piece),
    };
    let trailers =
        http::HeaderMap::from_iter(ask.trailers.iter().map(|(n, v)| {
            (n.parse::<http::HeaderName>().expect("name"), v.parse::<http::HeaderValue>().expect("value"))
        }));
    for piece in data.chunks(piece) {
        if send_all(&mut send, data.slice_ref(piece)).await.is_err() {
            return;
        }
    }
    // A stream that was reset meanwhile is told by what is read.
    let _ = if trailers.is_empty() { send.send_data(Bytes::new(), true) } else { send.send_trailers(trailers) };
}

/// Sends data as fast as the peer takes it.
pub async fn send_all(send: &mut SendStream<Bytes>, mut data: Bytes) -> Result<(), h2::Error> {
    while !data.is_empty() {
        send.reserve_capacity(data.len());
        match std::future::poll_fn(|cx| send.poll_capacity(cx)).await {
            Some(Ok(0)) => {}
            Some(Ok(n)) => send.send_data(data.split_to(n.min(data.len())), false)?,
            Some(Err(e)) => return Err(e),
            None => return Err(h2::Reason::STREAM_CLOSED.into()),
        }
    }
    Ok(())
}

async fn read(response: &mut h2::client::ResponseFuture, reply: &mut Reply) -> Result<(), h2::Error> {
    while let Some(interim) = std::future::poll_fn(|cx| response.poll_informational(cx)).await {
        reply.interim.push(head(&interim?.into_parts().0));
    }
    let (parts, mut body) = response.await?.into_parts();
    reply.answer = head(&parts);
    while let Some(data) = body.data().await {
        let data = data?;
        reply.answer.body.extend_from_slice(&data);
        body.flow_control().release_capacity(data.len())?;
    }
    reply.answer.trailers = trailers(&mut body).await?;
    Ok(())
}

async fn trailers(body: &mut RecvStream) -> Result<Vec<(String, String)>, h2::Error> {
    Ok(body.trailers().await?.as_ref().map(list).unwrap_or_default())
}

fn head(parts: &http::response::Parts) -> Answer {
    Answer { status: parts.status.as_u16(), headers: list(&parts.headers), ..Answer::default() }
}

fn list(map: &http::HeaderMap) -> Vec<(String, String)> {
    map.iter().map(|(n, v)| (n.as_str().to_owned(), String::from_utf8_lossy(v.as_bytes()).into_owned())).collect()
}

/// How an error ended a stream.
pub fn end(e: &h2::Error) -> End {
    match e.reason() {
        Some(reason) if e.is_reset() || e.is_go_away() => End::Reset(reason.into()),
        _ => End::Closed,
    }
}
