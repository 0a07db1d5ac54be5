//! One request, one answer.

use std::convert::Infallible;
use std::rc::Rc;

use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, TRAILER};
use hyper::{Method, Request, Response, StatusCode, Version};

use super::body::{Body, Generated, Received, drain};
use super::report::{Connection, Context, Report, canonical, text};
use super::retry::{Attempt, Retries};
use super::wire::{End, Wire};
use super::wish::{self, Close, Wish};
use super::{grpc, websocket};

/// What all requests of a server share.
#[derive(Debug, Default)]
pub struct Shared {
    pub context: Context,
    pub retries: Retries,
    pub log: bool,
}

/// Answers a request.
pub async fn respond(
    request: Request<Incoming>,
    shared: &Shared,
    connection: Rc<Connection>,
    wire: Wire,
) -> Result<Response<Body>, Infallible> {
    if shared.log {
        super::print(&format!("{} {} {:?}\n", request.method(), request.uri(), request.version()));
    }
    let exchange = Exchange { shared, connection: &connection, wire: &wire };
    Ok(match Wish::of(request.uri().query(), request.headers()) {
        Ok(wish) => exchange.respond(request, wish).await,
        // The status is upstream's.
        Err(problem) => problem_response(StatusCode::INTERNAL_SERVER_ERROR, &problem),
    })
}

struct Exchange<'a> {
    shared: &'a Shared,
    connection: &'a Connection,
    wire: &'a Wire,
}

impl Exchange<'_> {
    async fn respond(&self, request: Request<Incoming>, wish: Wish) -> Response<Body> {
        let to_head = request.method() == Method::HEAD && request.version() == Version::HTTP_2;
        let response = self.choose(request, wish).await;
        if to_head { without_content(response) } else { response }
    }

    async fn choose(&self, request: Request<Incoming>, wish: Wish) -> Response<Body> {
        let path = request.uri().path().replace("//", "/");
        let last = path.rsplit('/').next().unwrap_or_default();
        if path.starts_with("/retry/") {
            return self.retry(request, wish).await;
        }
        self.misbehave(&request, &wish).await;
        match last {
            "health" if path == "/health" => Response::new(Body::from(Bytes::from_static(b"OK"))),
            _ if path.starts_with("/status/") => status_response(&path),
            "ws" if websocket::is_asked(&request) => websocket::respond(request),
            "raw" if request.version() != Version::HTTP_2 => self.raw(&request).await,
            "echo-body" => echo_body(request, wish),
            "sink" => sink(request).await,
            _ if grpc::is_call(&request) && request.version() == Version::HTTP_2 => self.call(request, wish).await,
            _ => self.echo(request, wish).await,
        }
    }

    /// All that comes before an answer: waiting, 1xx, breaking off.
    async fn misbehave<B>(&self, request: &Request<B>, wish: &Wish) {
        if let Some(delay) = wish.delay {
            tokio::time::sleep(delay).await;
        }
        if request.version() != Version::HTTP_2 {
            for _ in 0..wish.early_hints {
                self.wire.write(b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload; as=style\r\n\r\n");
            }
        }
        match wish.close {
            Some(Close::Now) => self.end(End::Reset).await,
            Some(Close::Head) if request.version() != Version::HTTP_2 => {
                self.wire.write(b"HTTP/1.1 200 OK\r\ncontent-type: appl");
                self.end(End::Close).await;
            }
            Some(Close::Head) => self.end(End::Reset).await,
            Some(Close::Body) | None => {}
        }
        if wish.hang {
            std::future::pending().await
        }
    }

    /// Ends the connection; the handler goes with it.
    async fn end(&self, end: End) {
        self.wire.end(end);
        std::future::pending().await
    }

    async fn retry(&self, request: Request<Incoming>, wish: Wish) -> Response<Body> {
        match self.shared.retries.attempt(request.uri().query()) {
            Ok(Attempt::Succeed) => {
                self.misbehave(&request, &wish).await;
                self.echo(request, wish).await
            }
            Ok(Attempt::Fail { delay, status }) => {
                tokio::time::sleep(delay.unwrap_or_default()).await;
                match status {
                    Some(status) => empty_response(status),
                    None => {
                        self.end(End::Reset).await;
                        Response::new(Body::empty())
                    }
                }
            }
            Err(problem) => {
                let mut response = empty_response(StatusCode::BAD_REQUEST);
                *response.body_mut() = Body::from(Bytes::from_static(problem.as_bytes()));
                response
            }
        }
    }

    async fn raw<B>(&self, request: &Request<B>) -> Response<Body> {
        let query = request.uri().query().unwrap_or_default();
        let bytes = query.split('&').find_map(|pair| pair.strip_prefix("bytes=")).unwrap_or_default();
        self.wire.write(&wish::decode_bytes(bytes));
        self.end(End::Close).await;
        Response::new(Body::empty())
    }

    async fn call(&self, request: Request<Incoming>, wish: Wish) -> Response<Body> {
        let (head, mut incoming) = request.into_parts();
        let request = Request::from_parts(head, ());
        let mut response = if grpc::is_stream(&request) {
            grpc::respond_stream(incoming, &wish)
        } else {
            // A call that breaks off gets an answer that nobody reads.
            let _ = drain(&mut incoming).await;
            grpc::respond(&request, &wish, self.connection, &self.shared.context)
        };
        set_headers(request.headers(), response.headers_mut());
        response
    }

    async fn echo(&self, mut request: Request<Incoming>, wish: Wish) -> Response<Body> {
        if !wish.leave_body && !request.body().is_end_stream() {
            // Reading first keeps the connection usable; a body that breaks off is the client's to notice.
            let _ = drain(request.body_mut()).await;
        }
        let report = Report::new(&request, self.connection, &self.shared.context);
        let json = match report.to_json() {
            Ok(json) => Bytes::from(json),
            Err(e) => return problem_response(StatusCode::INTERNAL_SERVER_ERROR, &e.to_string()),
        };
        let content_type = if wish.size.is_some() { "text/plain" } else { "application/json" };
        let closes = wish.close_after && request.version() != Version::HTTP_2;
        let mut response = empty_response(wish.status.unwrap_or(StatusCode::OK));
        set_headers(request.headers(), response.headers_mut());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(NOSNIFF.0, NOSNIFF.1);
        if closes {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        announce(&wish.trailers, headers);
        *response.body_mut() = body(json, wish);
        response
    }
}

const NOSNIFF: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));

/// The body that was wished for; `json` when there was no wish.
fn body(json: Bytes, wish: Wish) -> Body {
    let trailers = Some(wish.trailers).filter(|t| !t.is_empty());
    let plain = wish.size.is_none() && wish.chunk.is_none() && wish.chunk_delay.is_none();
    if plain && !wish.chunked && wish.close != Some(Close::Body) {
        return Body::Whole { data: Some(json), trailers };
    }
    let size = wish.size.unwrap_or(json.len() as u64);
    Body::Generated(Box::new(Generated {
        source: wish.size.is_none().then_some(json),
        sent: 0,
        left: size,
        chunk: wish.chunk.unwrap_or(16 * 1024),
        pause: wish.chunk_delay,
        sized: !wish.chunked,
        cut_at: (wish.close == Some(Close::Body)).then_some(size / 2),
        trailers,
        sleep: None,
    }))
}

/// The body as it comes, without reading it first.
fn echo_body(request: Request<Incoming>, wish: Wish) -> Response<Body> {
    let (head, incoming) = request.into_parts();
    let mut response = empty_response(wish.status.unwrap_or(StatusCode::OK));
    set_headers(&head.headers, response.headers_mut());
    if let Some(content_type) = head.headers.get(CONTENT_TYPE) {
        response.headers_mut().insert(CONTENT_TYPE, content_type.clone());
    }
    if let Some(trailer) = head.headers.get(TRAILER) {
        response.headers_mut().insert(TRAILER, trailer.clone());
    }
    announce(&wish.trailers, response.headers_mut());
    let trailers = Some(wish.trailers).filter(|t| !t.is_empty());
    *response.body_mut() = Body::Relay { from: Box::new(incoming), trailers };
    response
}

async fn sink(mut request: Request<Incoming>) -> Response<Body> {
    match drain(request.body_mut()).await {
        Ok(Received { bytes, trailers }) => {
            let trailers: serde_json::Map<_, _> =
                trailers.iter().map(|(n, v)| (canonical(n), text(v.as_bytes()).into())).collect();
            json_response(StatusCode::OK, &serde_json::json!({ "bytes": bytes, "trailers": trailers }))
        }
        Err(e) => problem_response(StatusCode::BAD_REQUEST, &e.to_string()),
    }
}

/// Upstream's `^/status/(\d\d\d)$`, or 400.
fn status_response(path: &str) -> Response<Body> {
    let code = path.strip_prefix("/status/").filter(|code| code.len() == 3).and_then(wish::status);
    empty_response(code.unwrap_or(StatusCode::BAD_REQUEST))
}

/// The answer to HEAD, which hyper makes by itself on HTTP/1.1 only.
fn without_content(mut response: Response<Body>) -> Response<Body> {
    let length = response.body().size_hint().exact();
    if let Some(length) = length.filter(|n| *n > 0 && !response.headers().contains_key(CONTENT_LENGTH)) {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    *response.body_mut() = Body::empty();
    response
}

fn empty_response(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn problem_response(status: StatusCode, message: &str) -> Response<Body> {
    json_response(status, &serde_json::json!({ "message": message }))
}

fn json_response(status: StatusCode, json: &serde_json::Value) -> Response<Body> {
    let mut response = empty_response(status);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(NOSNIFF.0, NOSNIFF.1);
    *response.body_mut() = Body::from(Bytes::from(json.to_string()));
    response
}

/// `X-Echo-Set-Header`; what is no header is left out, as in Go.
fn set_headers(request: &HeaderMap, response: &mut HeaderMap) {
    for list in request.get_all("x-echo-set-header") {
        response.extend(list.to_str().ok().and_then(wish::pairs).unwrap_or_default());
    }
}

/// HTTP/1.1 trailers are sent only when announced.
fn announce(trailers: &HeaderMap, headers: &mut HeaderMap) {
    let names: Vec<_> = trailers.keys().map(HeaderName::as_str).collect();
    if let Ok(names) = HeaderValue::from_str(&names.join(", "))
        && !names.is_empty()
    {
        headers.insert(TRAILER, names);
    }
}
