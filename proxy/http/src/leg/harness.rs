//! A client, a proxy and an origin made of legs, on loopback sockets.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::Poll;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;

use crate::h1::Conn;
use crate::h2::{ClientSettings, Sender, ServerSettings, connect, serve};
use crate::{Error, Event, Fields, Framing, Incoming, Leg, Limits, RequestHead, ResponseHead, hop};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Proto {
    H1,
    H2,
}

pub(crate) const MATRIX: [(Proto, Proto); 4] =
    [(Proto::H1, Proto::H1), (Proto::H1, Proto::H2), (Proto::H2, Proto::H1), (Proto::H2, Proto::H2)];

/// Runs a test on a worker's runtime, for at most ten seconds.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default()).unwrap();
    runtime
        .block_on(async { tokio::time::timeout(std::time::Duration::from_secs(10), test).await.expect("test hangs") });
}

pub(crate) async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let a = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let b = listener.accept().await.unwrap().0;
    a.set_nodelay(true).unwrap();
    b.set_nodelay(true).unwrap();
    (a, b)
}

/// A message as a test sees it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Message {
    pub(crate) content: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
}

pub(crate) fn content(content: impl Into<Vec<u8>>) -> Message {
    Message { content: content.into(), trailers: Vec::new() }
}

pub(crate) fn list(fields: &Fields) -> Vec<(String, String)> {
    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    fields.iter().map(|f| (text(f.name), text(f.value))).collect()
}

pub(crate) fn fields(list: &[(&str, &str)]) -> Fields {
    let mut f = Fields::new();
    for (n, v) in list {
        f.push(n.as_bytes(), v.as_bytes());
    }
    f
}

pub(crate) fn request(method: &str, path: &str, list: &[(&str, &str)]) -> RequestHead {
    let mut head = RequestHead::new();
    head.set_method(method.as_bytes());
    head.set_authority(b"a.example");
    head.set_path_and_query(path.as_bytes());
    head.fields = fields(list);
    head
}

pub(crate) fn response(status: u16, list: &[(&str, &str)]) -> ResponseHead {
    let mut head = ResponseHead::new(status);
    head.fields = fields(list);
    head
}

pub(crate) async fn write_all(leg: &mut Leg, mut data: &[u8]) -> Result<(), Error> {
    while !data.is_empty() {
        let n = poll_fn(|cx| leg.poll_write(cx, data)).await?;
        data = &data[n..];
    }
    Ok(())
}

pub(crate) async fn finish(leg: &mut Leg, trailers: &[(&str, &str)]) -> Result<(), Error> {
    let trailers = fields(trailers);
    poll_fn(|cx| leg.poll_finish(cx, (!trailers.is_empty()).then_some(&trailers))).await
}

pub(crate) async fn flush(leg: &mut Leg) -> Result<(), Error> {
    poll_fn(|cx| leg.poll_flush(cx)).await
}

pub(crate) async fn read_all(leg: &mut Leg) -> Result<Message, Error> {
    let mut message = Message::default();
    loop {
        match poll_fn(|cx| leg.poll_data(cx)).await? {
            Event::Data => {
                message.content.extend_from_slice(leg.data());
                leg.consume(leg.data().len());
            }
            Event::Trailers => message.trailers = list(leg.trailers()),
            Event::End => return Ok(message),
        }
    }
}

pub(crate) async fn next_response(leg: &mut Leg) -> Result<(Incoming, ResponseHead), Error> {
    let mut head = ResponseHead::default();
    let incoming = poll_fn(|cx| leg.poll_response(cx, &mut head, &Limits::default())).await?;
    Ok((incoming, head))
}

/// The proxy's part: moves one exchange from `down` to `up` and back, both directions at once.
pub(crate) async fn pump(down: &mut Leg, up: &mut Leg, head: &RequestHead, framing: Framing) -> Result<(), Error> {
    up.send_request(head, framing)?;
    let mut response = ResponseHead::default();
    let (mut request_done, mut answered, mut tunnel) = (false, false, false);
    poll_fn(|cx| {
        loop {
            let mut progress = false;
            if !request_done {
                match down.poll_data(cx)? {
                    Poll::Ready(Event::Data) => progress |= Leg::poll_pass(cx, down, up)?.is_ready(),
                    Poll::Ready(Event::Trailers) => progress = true,
                    Poll::Ready(Event::End) => {
                        let trailers = Some(down.trailers()).filter(|t| !t.is_empty());
                        request_done = up.poll_finish(cx, trailers)?.is_ready();
                        progress |= request_done;
                    }
                    Poll::Pending => {
                        let _ = up.poll_flush(cx)?;
                    }
                }
            }
            if !answered {
                match up.poll_response(cx, &mut response, &Limits::default())? {
                    Poll::Ready(Incoming::Interim) => {
                        down.send_interim(&response)?;
                        progress = true;
                    }
                    Poll::Ready(Incoming::Upgraded) => {
                        down.send_response(&response, Framing::Empty)?;
                        (answered, tunnel, request_done, progress) = (true, true, false, true);
                    }
                    Poll::Ready(Incoming::Final(framing)) => {
                        hop::strip_response(&mut response);
                        down.send_response(&response, framing)?;
                        (answered, progress) = (true, true);
                    }
                    Poll::Pending => {}
                }
                let _ = down.poll_flush(cx)?;
            } else {
                match up.poll_data(cx)? {
                    Poll::Ready(Event::Data) => progress |= Leg::poll_pass(cx, up, down)?.is_ready(),
                    Poll::Ready(Event::Trailers) => progress = true,
                    Poll::Ready(Event::End) => {
                        let trailers = Some(up.trailers()).filter(|t| !t.is_empty());
                        if down.poll_finish(cx, trailers)?.is_ready() && (request_done || !tunnel) {
                            return Poll::Ready(Ok(()));
                        }
                    }
                    Poll::Pending => {
                        let _ = down.poll_flush(cx)?;
                    }
                }
            }
            if !progress {
                return Poll::Pending;
            }
        }
    })
    .await
}

/// Serves the requests of one connection, one task per stream or one after the other.
pub(crate) async fn serve_each<F>(
    proto: Proto,
    stream: TcpStream,
    handler: impl Fn(Leg, RequestHead, Framing) -> F + 'static,
) where
    F: Future<Output = Option<Leg>> + 'static,
{
    let handler = Rc::new(handler);
    match proto {
        Proto::H1 => {
            let mut conn = Conn::new(stream.into());
            loop {
                let mut head = RequestHead::new();
                let next = poll_fn(|cx| conn.poll_request(cx, &mut head, &Limits::default())).await;
                let Ok(Some(framing)) = next else { return };
                hop::strip_request(&mut head).unwrap();
                let Some(leg) = handler(Leg::H1(conn), head, framing).await else { return };
                if !leg.reusable() {
                    return;
                }
                conn = leg.into_h1().unwrap();
            }
        }
        Proto::H2 => {
            let mut server = serve(stream.into(), &ServerSettings::default()).await.unwrap();
            loop {
                let mut head = RequestHead::new();
                let next = poll_fn(|cx| server.poll_request(cx, &mut head, &Limits::default())).await;
                let Some(Ok(accepted)) = next else { return };
                hop::strip_request(&mut head).unwrap();
                let handler = Rc::clone(&handler);
                let framing = accepted.framing.expect("the request is served");
                spawn_local(async move { handler(accepted.leg, head, framing).await });
            }
        }
    }
}

/// A client's way to make legs.
#[derive(Clone)]
pub(crate) enum Client {
    H1(Rc<RefCell<Option<Conn>>>),
    H2(Sender),
}

impl Client {
    pub(crate) async fn new(proto: Proto, stream: TcpStream) -> Client {
        match proto {
            Proto::H1 => Client::H1(Rc::new(RefCell::new(Some(Conn::new(stream.into()))))),
            Proto::H2 => {
                let (sender, driver) = connect(stream.into(), &ClientSettings::default()).await.unwrap();
                spawn_local(driver);
                Client::H2(sender)
            }
        }
    }

    pub(crate) async fn leg(&self) -> Leg {
        match self {
            Client::H1(conn) => Leg::H1(conn.borrow_mut().take().expect("the connection is free")),
            Client::H2(sender) => {
                // The server's settings say whether WebSockets are possible.
                while !sender.supports_websocket() {
                    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                }
                sender.leg()
            }
        }
    }

    pub(crate) fn give_back(&self, leg: Leg) {
        if let Client::H1(conn) = self
            && leg.reusable()
        {
            *conn.borrow_mut() = leg.into_h1();
        }
    }
}

/// A client connected to a proxy connected to an origin. Counts the exchanges that the proxy completed.
pub(crate) async fn world<F>(
    (down, up): (Proto, Proto),
    origin: impl Fn(Leg, RequestHead, Framing) -> F + 'static,
) -> (Client, Rc<Cell<u32>>)
where
    F: Future<Output = Option<Leg>> + 'static,
{
    let (client_side, proxy_down) = pair().await;
    let (proxy_up, origin_side) = pair().await;
    spawn_local(serve_each(up, origin_side, origin));
    let done = Rc::new(Cell::new(0));
    let count = Rc::clone(&done);
    let upstream = Client::new(up, proxy_up).await;
    spawn_local(serve_each(down, proxy_down, move |mut leg, head, framing| {
        let (upstream, count) = (upstream.clone(), Rc::clone(&count));
        async move {
            let mut up_leg = upstream.leg().await;
            let result = pump(&mut leg, &mut up_leg, &head, framing).await;
            if let Err(e) = result {
                eprintln!("exchange {down:?} {up:?} failed: {e:?}");
                up_leg.abort();
                leg.abort();
                return None;
            }
            upstream.give_back(up_leg);
            count.set(count.get() + 1);
            Some(leg)
        }
    }));
    (Client::new(down, client_side).await, done)
}
