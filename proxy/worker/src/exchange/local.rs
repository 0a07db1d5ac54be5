//! Answers of the proxy's own: from filters, and for everything that goes wrong.

use crate::cause::{Answer, Cause};
use crate::connection::ConnInfo;
use crate::exchange::Exchange;
use fairlead_filter::{Chain, Reply, ResponseCtx};
use fairlead_http::{Error, ErrorKind, Fields, Framing, Known, Leg, Method, ResponseHead};
use fairlead_snapshot::Route;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// Answers a cause, if the client can still be answered.
pub async fn fail(down: &mut Leg, ex: &mut Exchange, route: Option<&Arc<Route>>, cause: Cause) {
    let cause = if cause == Cause::ClientGone && was_reset(down) { Cause::ClientReset } else { cause };
    let Answer { status, flags, details, body } = cause.answer();
    ex.flag(flags);
    let started = ex.notes.status != 0;
    ex.notes.details = if started { cause.details_after_start() } else { details };
    if started || status == 0 {
        ex.notes.cut = true;
        down.reset();
        return;
    }
    ex.notes.local_body(body.as_bytes());
    let grpc = ex.request.is_grpc();
    ex.response.clear();
    if grpc {
        grpc_head(&mut ex.response, status, body)
    } else {
        plain_head(&mut ex.response, status, body)
    }
    if matches!(cause, Cause::Overflow) {
        ex.response.fields.push(b"x-envoy-overloaded", b"true");
    }
    if let Some(route) = route {
        route.chain.on_response(&mut ResponseCtx { head: &mut ex.response, request: &ex.request });
    }
    let body = if grpc { &[][..] } else { body.as_bytes() };
    send(down, ex, body, cause.is_final()).await;
}

/// Whether a client that is gone has reset its stream and not its connection.
fn was_reset(down: &mut Leg) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    matches!(down, Leg::H2Server(_))
        && matches!(down.poll_gone(&mut cx), Poll::Ready(Error { kind: ErrorKind::Reset(_), .. }))
}

/// Sends the client to the path that it meant, which is the request's now; gRPC knows no redirects (Envoy: `path_normalization_failed`).
pub async fn redirect(conn: &ConnInfo, down: &mut Leg, ex: &mut Exchange) -> Result<(), Cause> {
    if ex.request.is_grpc() {
        return Err(Cause::Rejected { status: 400, details: "path_normalization_failed", close: false });
    }
    let mut fields = Fields::new();
    fields.push_known(Known::Location, ex.request.path_and_query());
    conn.announce_end(down);
    let to = Reply { status: 307, fields, body: Default::default(), details: "redirect_to_normalized_path" };
    reply(down, ex, &to, None).await;
    Ok(())
}

/// Answers what a filter said; it has passed the response filters of its own chain, `rest` are those after it.
pub async fn reply(down: &mut Leg, ex: &mut Exchange, reply: &Reply, rest: Option<&Chain>) {
    ex.notes.details = reply.details;
    ex.notes.local_body(&reply.body);
    ex.response.clear();
    ex.response.status = reply.status;
    ex.response.fields.copy_from(&reply.fields);
    if let Some(chain) = rest {
        chain.on_response(&mut ResponseCtx { head: &mut ex.response, request: &ex.request });
    }
    send(down, ex, &reply.body, false).await;
}

async fn send(down: &mut Leg, ex: &mut Exchange, body: &[u8], close: bool) {
    let head = &mut ex.response;
    for additions in &ex.additions {
        additions.apply(&mut head.fields);
    }
    head.fields.set_known(Known::Server, b"fairlead");
    crate::date::push(&mut head.fields);
    ex.notes.status = head.status;
    let unread = !down.recv_done();
    if close || unread {
        down.set_close(true);
    }
    let payload = if ex.request.method() == Method::Head { &[][..] } else { body };
    // Without content the head is all: gRPC clients take a status in it only then for the end of the call.
    let framing = if body.is_empty() { Framing::Empty } else { Framing::Length(body.len() as u64) };
    ex.notes.reply_begins();
    if down.send_response(head, framing).is_err() {
        return;
    }
    let mut sent = 0;
    let result = poll_fn(|cx| {
        while let Some(rest) = payload.get(sent..).filter(|rest| !rest.is_empty()) {
            match down.poll_write(cx, rest) {
                Poll::Ready(Ok(n)) => sent += n,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if ex.clock.poll_expired(cx).is_ready() => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
        down.poll_finish(cx, None)
    })
    .await;
    ex.reply.bytes += sent as u64;
    if result.is_err() {
        ex.flag(Cause::ClientGone.answer().flags);
    }
}

fn plain_head(head: &mut ResponseHead, status: u16, body: &str) {
    head.status = status;
    if !body.is_empty() {
        head.fields.push_known(Known::ContentType, b"text/plain");
    }
}

/// HTTP 200 without a body, the status in the headers (trailers-only).
fn grpc_head(head: &mut ResponseHead, status: u16, message: &str) {
    head.status = 200;
    head.fields.push_known(Known::ContentType, b"application/grpc");
    head.fields.push_known(Known::GrpcStatus, grpc_code(status));
    if !message.is_empty() {
        head.fields.push_known(Known::GrpcMessage, message.as_bytes());
    }
}

/// The mapping of Envoy's `common/grpc/status.cc`.
fn grpc_code(status: u16) -> &'static [u8] {
    match status {
        400 => b"13",
        401 => b"16",
        403 => b"7",
        404 => b"12",
        429 | 502 | 503 | 504 => b"14",
        _ => b"2",
    }
}

/// Makes a refusal one that gRPC clients understand, its body their message. One that speaks gRPC already stays as it is.
pub fn as_call(reply: &mut Reply) {
    if reply.fields.contains(Known::GrpcStatus) {
        return;
    }
    reply.fields.set_known(Known::ContentType, b"application/grpc");
    reply.fields.push_known(Known::GrpcStatus, grpc_code(reply.status));
    reply.status = 200;
    let body = std::mem::take(&mut reply.body);
    let mut message = Vec::new();
    for byte in body.iter().take(MESSAGE) {
        match byte {
            b'%' | ..b' ' | 0x7f.. => message.extend_from_slice(format!("%{byte:02X}").as_bytes()),
            byte => message.push(*byte),
        }
    }
    if !message.is_empty() {
        reply.fields.set_known(Known::GrpcMessage, &message);
    }
}

/// Bytes of a refusal that gRPC clients are told.
const MESSAGE: usize = 1024;
