//! One HTTP/2 stream, either side.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::h2::{Reason, RecvStream, client, server};
use bytes::Bytes;

use crate::error::{Error, ErrorKind};
use crate::fields::Fields;
use crate::framing::Framing;
use crate::h2::duplex::Duplex;
use crate::h2::server::Resets;
use crate::h2::{head, websocket};
use crate::known::Known;
use crate::leg::{Event, Incoming};
use crate::limits::Limits;
use crate::method::{Method, Version};
use crate::request::RequestHead;
use crate::response::ResponseHead;

/// Interim responses a server may send for one request.
const MAX_INTERIMS: u8 = 32;

/// A request we serve.
pub struct ServerStream {
    duplex: Duplex,
    respond: server::SendResponse<Bytes>,
    to_head: bool,
    /// Asks to switch protocols and was not answered: content belongs to the other protocol and must wait.
    awaits_switch: bool,
    /// Tells the connection how this stream ended.
    resets: Resets,
}

/// A request we make.
pub struct ClientStream {
    duplex: Duplex,
    sender: Option<client::SendRequest<Bytes>>,
    response: Option<client::ResponseFuture>,
    to_head: bool,
    /// Asked to switch protocols and got no answer yet.
    awaits_switch: bool,
    /// The key of a WebSocket handshake, whose answer the client waits for.
    key: Option<Box<[u8]>>,
    interims: u8,
}

/// What both kinds of streams do the same way; while a switch is awaited there is no content in either direction.
macro_rules! content {
    ($stream:ident) => {
        impl $stream {
            pub(crate) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, Error>> {
                if self.awaits_switch { Poll::Ready(Ok(Event::End)) } else { self.duplex.poll_data(cx) }
            }

            pub(crate) fn gather(&mut self, cx: &mut Context<'_>) {
                if !self.awaits_switch {
                    self.duplex.gather(cx);
                }
            }

            pub(crate) fn data(&self) -> &[u8] {
                &self.duplex.current
            }

            pub(crate) fn consume(&mut self, n: usize) {
                self.duplex.consume(n);
            }

            pub(crate) fn take(&mut self, n: usize) -> Bytes {
                self.duplex.take(n)
            }

            pub(crate) fn trailers(&self) -> &Fields {
                self.duplex.trailers()
            }

            pub(crate) fn recv_done(&self) -> bool {
                self.awaits_switch || self.duplex.recv_done()
            }

            pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, Error>> {
                let n = ready!(self.poll_room(cx, data.len()))?;
                self.send(Bytes::copy_from_slice(&data[..n]), n == data.len())?;
                Poll::Ready(Ok(n))
            }

            pub(crate) fn poll_room(&mut self, cx: &mut Context<'_>, want: usize) -> Poll<Result<usize, Error>> {
                match ready!(self.duplex.poll_room(cx, want)) {
                    Err(e) => Poll::Ready(self.duplex.unless_not_wanted(e).map(|()| want)),
                    room => Poll::Ready(room),
                }
            }

            pub(crate) fn send(&mut self, data: Bytes, last: bool) -> Result<(), Error> {
                self.duplex.send(data, last).or_else(|e| self.duplex.unless_not_wanted(e))
            }

            pub(crate) fn flush(&mut self) -> Result<(), Error> {
                self.duplex.send_held().or_else(|e| self.duplex.unless_not_wanted(e))
            }

            pub(crate) fn finish(&mut self, trailers: Option<&Fields>) -> Result<(), Error> {
                if self.awaits_switch {
                    return Ok(());
                }
                self.duplex.finish(trailers).or_else(|e| self.duplex.unless_not_wanted(e))
            }

            pub(crate) fn done(&self) -> bool {
                self.duplex.done()
            }
        }
    };
}

content!(ServerStream);
content!(ClientStream);

impl ServerStream {
    pub(super) fn new(
        recv: RecvStream,
        respond: server::SendResponse<Bytes>,
        head: &RequestHead,
        resets: Resets,
    ) -> Self {
        ServerStream {
            duplex: Duplex::receiving(recv),
            respond,
            to_head: head.method() == Method::Head,
            awaits_switch: head.upgrade.is_some(),
            resets,
        }
    }

    pub(crate) fn send_interim(&mut self, head: &ResponseHead) -> Result<(), Error> {
        if !head.is_interim() {
            return Ok(());
        }
        let response = head::to_response(head, Framing::Empty, false, false)?;
        self.respond.send_informational(response).map_err(Error::from)
    }

    pub(crate) fn send_response(&mut self, head: &ResponseHead, framing: Framing) -> Result<(), Error> {
        let switched = head.status == 101;
        if switched && !self.awaits_switch {
            return Err(Error::local("http2.unexpected_switch"));
        }
        let response = head::to_response(head, framing, self.to_head, switched)?;
        let bodiless = self.to_head || head.status == 204 || head.status == 304;
        let ended = !switched && (bodiless || framing == Framing::Empty);
        let framing = if switched { Framing::Streamed } else { framing };
        let send = self.respond.send_response(response, ended)?;
        self.resets.answered();
        if std::mem::take(&mut self.awaits_switch) && !switched {
            // What the client sends in the other protocol is not for us.
            self.duplex.recv_ended = true;
        }
        self.duplex.sending(send, framing, ended, bodiless);
        Ok(())
    }

    /// Ready when the client resets the stream, or the connection fails.
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        let reset = match &mut self.duplex.send {
            Some(send) => send.poll_reset(cx),
            None => self.respond.poll_reset(cx),
        };
        match ready!(reset) {
            Ok(reason) => Poll::Ready(ErrorKind::Reset(reason).into()),
            Err(e) => Poll::Ready(e.into()),
        }
    }

    pub(crate) fn reset(&mut self, reason: Reason) {
        match &mut self.duplex.send {
            Some(send) => send.send_reset(reason),
            None => self.respond.send_reset(reason),
        }
        self.resets.answered();
    }
}

impl ClientStream {
    pub(super) fn new(sender: client::SendRequest<Bytes>) -> ClientStream {
        ClientStream {
            duplex: Duplex::default(),
            sender: Some(sender),
            response: None,
            to_head: false,
            awaits_switch: false,
            key: None,
            interims: 0,
        }
    }

    pub(crate) fn send_request(&mut self, head: &RequestHead, framing: Framing) -> Result<(), Error> {
        let Some(mut sender) = self.sender.take() else { return Err(Error::local("http2.stream_misused")) };
        if head.upgrade.is_some() {
            if !sender.is_extended_connect_protocol_enabled() {
                return Err(Error::local("http2.extended_connect_not_supported"));
            }
            self.awaits_switch = true;
            self.key = head.fields.get(Known::SecWebsocketKey).map(Box::from);
        }
        let request = head::to_request(head, framing)?;
        let framing = if head.upgrade.is_some() { Framing::Streamed } else { framing };
        let ended = framing == Framing::Empty;
        let (response, send) = sender.send_request(request, ended)?;
        self.to_head = head.method() == Method::Head;
        self.response = Some(response);
        self.duplex.sending(send, framing, ended, false);
        Ok(())
    }

    pub(crate) fn poll_response(
        &mut self,
        cx: &mut Context<'_>,
        head: &mut ResponseHead,
        limits: &Limits,
    ) -> Poll<Result<Incoming, Error>> {
        let Some(response) = &mut self.response else {
            return Poll::Ready(Err(Error::local("http2.stream_misused")));
        };
        if let Some(interim) = ready!(response.poll_informational(cx)) {
            let (parts, ()) = interim?.into_parts();
            head.clear();
            head::response(&parts, head, limits)?;
            // RFC 9113 §8.6: there is no 101 here.
            self.interims += 1;
            return Poll::Ready(match head.status {
                101 => Err(Error::protocol("http2.unexpected_switch")),
                _ if self.interims > MAX_INTERIMS => Err(Error::protocol("http2.too_many_interim_responses")),
                _ => Ok(Incoming::Interim),
            });
        }
        let (parts, recv) = ready!(Pin::new(response).poll(cx))?.into_parts();
        self.response = None;
        head.clear();
        head::response(&parts, head, limits)?;
        let ended = recv.is_end_stream();
        self.duplex.recv = Some(recv);
        if std::mem::take(&mut self.awaits_switch) {
            if (200..300).contains(&head.status) {
                return Poll::Ready(Ok(self.switch(head)));
            }
            // Fails when the server closed the stream already.
            let _ = self.duplex.finish(None);
        }
        let framing = Framing::of_response(Version::H2, &head.fields, head.status, self.to_head, Some(ended));
        Poll::Ready(framing.map(Incoming::Final))
    }

    /// What accepts an extended CONNECT reads as the 101 that an HTTP/1 client waits for.
    fn switch(&mut self, head: &mut ResponseHead) -> Incoming {
        head.status = 101;
        head.fields.remove_known(Known::ContentLength);
        head.fields.set_known(Known::Connection, b"upgrade");
        head.fields.set_known(Known::Upgrade, b"websocket");
        if let Some(key) = self.key.take() {
            head.fields.set_known(Known::SecWebsocketAccept, &websocket::accept(&key));
        }
        Incoming::Upgraded
    }

    pub(crate) fn reset(&mut self, reason: Reason) {
        if let Some(send) = &mut self.duplex.send {
            send.send_reset(reason);
        }
    }
}

impl std::fmt::Debug for ServerStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerStream").field("duplex", &self.duplex).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for ClientStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientStream").field("duplex", &self.duplex).finish_non_exhaustive()
    }
}
