//! The server: hyper, HTTP/1.1, on a thread of its own.

use crate::public::PublicState;
use crate::reply::Reply;
use crate::site::{Audience, Site};
use crate::state::AdminState;
use crate::{endpoints, public};
use bytes::Bytes;
use http::header::{HOST, HeaderMap, ORIGIN};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};

/// A running admin interface. It ends when this is dropped.
#[derive(Debug)]
pub struct Admin {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Admin {
    /// How long a client may take for a request's head.
    const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
    /// Connections at a time; more wait.
    const CONNECTIONS: usize = 64;
    /// How long a connection to the public side may last.
    const PUBLIC_TIMEOUT: Duration = Duration::from_secs(20);

    /// Serves what a proxy tells its operator, on a thread. Port 0 takes a free one: see [`Admin::address`].
    ///
    /// # Errors
    ///
    /// If the address can't be bound, or no thread started.
    pub fn start(address: SocketAddr, state: AdminState) -> io::Result<Admin> {
        Admin::serve(address, endpoints::site(state))
    }

    /// The same for an address that others reach, such as a pod's: `/ready`, `/live` and `/metrics` only.
    ///
    /// # Errors
    ///
    /// If the address can't be bound, or no thread started.
    pub fn start_public(address: SocketAddr, state: PublicState) -> io::Result<Admin> {
        Admin::serve(address, public::site(state))
    }

    /// Serves any site, on a thread.
    ///
    /// # Errors
    ///
    /// If the address can't be bound, or no thread started.
    pub fn serve<S: Send + Sync>(address: SocketAddr, site: Site<S>) -> io::Result<Admin> {
        let audience = site.audience;
        let answer = move |method: &Method, path: &str, query: &str| site.answer(method, path, query);
        Admin::run(address, audience, Arc::new(answer))
    }

    fn run(address: SocketAddr, audience: Audience, answer: Arc<Answer>) -> io::Result<Admin> {
        let name = match audience {
            Audience::Operator => "admin",
            Audience::Public => "probes",
        };
        let with_address = |e: io::Error| io::Error::new(e.kind(), format!("admin interface on {address}: {e}"));
        let listener = std::net::TcpListener::bind(address).map_err(with_address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new().name(name.into()).spawn(move || {
            runtime.block_on(async {
                match TcpListener::from_std(listener) {
                    Ok(listener) => serve(listener, audience, answer, stopped).await,
                    Err(error) => tracing::error!(%error, "admin interface"),
                }
            });
        })?;
        tracing::debug!(%address, "admin interface listens");
        Ok(Admin { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Answers method, path and query.
type Answer = dyn Fn(&Method, &str, &str) -> Reply + Send + Sync;

/// Serves until the sender of `stopped` is gone; open connections end with the runtime.
async fn serve(listener: TcpListener, audience: Audience, answer: Arc<Answer>, mut stopped: oneshot::Receiver<()>) {
    let permits = Arc::new(Semaphore::new(Admin::CONNECTIONS));
    let loopback = listener.local_addr().is_ok_and(|address| address.ip().is_loopback());
    let side = Side { audience, loopback };
    loop {
        let next = async {
            let permit = permits.clone().acquire_owned().await;
            listener.accept().await.map(|(stream, _)| (stream, permit))
        };
        let accepted = tokio::select! {
            accepted = next => accepted,
            _ = &mut stopped => return,
        };
        match accepted {
            Ok((stream, permit)) => {
                let answer = answer.clone();
                tokio::spawn(async move {
                    connection(stream, side, &*answer).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "admin interface: accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// From where it is asked.
#[derive(Clone, Copy)]
struct Side {
    audience: Audience,
    loopback: bool,
}

async fn connection(stream: TcpStream, side: Side, answer: &Answer) {
    let service = service_fn(|request: Request<Incoming>| {
        let response = respond(side, answer, &request);
        async { Ok::<_, Infallible>(response) }
    });
    let public = side.audience == Audience::Public;
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Admin::HEAD_TIMEOUT)
        .keep_alive(!public)
        .serve_connection(TokioIo::new(stream), service);
    let served = if public {
        // What is not over by then ends without an error worth a word.
        tokio::time::timeout(Admin::PUBLIC_TIMEOUT, served).await.unwrap_or(Ok(()))
    } else {
        served.await
    };
    if let Err(error) = served {
        tracing::debug!(%error, "admin interface: connection");
    }
}

fn respond(side: Side, answer: &Answer, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let (method, uri) = (request.method(), request.uri());
    let refusal = match side.audience {
        Audience::Operator => foreign(request.headers(), side.loopback),
        Audience::Public => None,
    };
    let reply = match refusal {
        Some(why) => Reply::text(StatusCode::FORBIDDEN, why),
        None => answer(method, uri.path(), uri.query().unwrap_or("")),
    };
    tracing::debug!(%method, path = uri.path(), status = reply.status.as_u16(), "admin");
    reply.into_http()
}

/// Why a request is not the operator's: a page of another site sent it, or a name that is made to point at loopback (DNS rebinding).
fn foreign(headers: &HeaderMap, loopback: bool) -> Option<&'static str> {
    let text = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    let host = text(HOST).unwrap_or("");
    if loopback && !is_local_name(host) {
        return Some("the admin interface answers to localhost and IP addresses only");
    }
    let origin = headers
        .get(ORIGIN)
        .map(|_| text(ORIGIN).and_then(|origin| origin.split_once("://")).map_or("", |(_, host)| host));
    origin.filter(|origin| *origin != host).map(|_| "the admin interface does not answer to other sites")
}

/// An IP address or `localhost`, with or without port; also an absent name.
fn is_local_name(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or(""),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.is_empty() || name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_names() {
        for name in ["", "localhost", "LOCALHOST:9901", "127.0.0.1", "127.0.0.1:9901", "[::1]:9901", "[::1]"] {
            assert!(is_local_name(name), "{name}");
        }
        for name in ["evil.example", "localhost.evil.example:9901", "127.0.0.1.evil.example", "[x]"] {
            assert!(!is_local_name(name), "{name}");
        }
    }
}
