//! The server: hyper, HTTP/1.1, on a thread of its own.

use crate::endpoints;
use crate::public::{self, PublicState};
use crate::reply::Reply;
use crate::state::AdminState;
use bytes::Bytes;
use http::header::{HOST, HeaderMap, ORIGIN};
use http::{Request, Response, StatusCode};
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

    /// Listens on an address and serves on a thread. Port 0 takes a free one: see [`Admin::address`].
    ///
    /// # Errors
    /// If the address can't be bound, or no thread started.
    pub fn start(address: SocketAddr, state: AdminState) -> io::Result<Admin> {
        Admin::run(address, "admin", Site::Operator(state))
    }

    /// The same for an address that others reach, such as a pod's: `/ready`, `/live` and `/metrics` only, and a connection lasts for one
    /// request, so that nobody holds those that probes need.
    ///
    /// # Errors
    /// If the address can't be bound, or no thread started.
    pub fn start_public(address: SocketAddr, state: PublicState) -> io::Result<Admin> {
        Admin::run(address, "probes", Site::Public(state))
    }

    fn run(address: SocketAddr, name: &str, site: Site) -> io::Result<Admin> {
        let with_address = |e: io::Error| io::Error::new(e.kind(), format!("admin interface on {address}: {e}"));
        let listener = std::net::TcpListener::bind(address).map_err(with_address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new().name(name.into()).spawn(move || {
            runtime.block_on(async {
                match TcpListener::from_std(listener) {
                    Ok(listener) => serve(listener, Arc::new(site), stopped).await,
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

/// Who is served.
enum Site {
    Operator(AdminState),
    Public(PublicState),
}

/// Serves until the sender of `stopped` is gone; open connections end with the runtime.
async fn serve(listener: TcpListener, site: Arc<Site>, mut stopped: oneshot::Receiver<()>) {
    let permits = Arc::new(Semaphore::new(Admin::CONNECTIONS));
    let loopback = listener.local_addr().is_ok_and(|address| address.ip().is_loopback());
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
                let site = site.clone();
                tokio::spawn(async move {
                    connection(stream, site, loopback).await;
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

async fn connection(stream: TcpStream, site: Arc<Site>, loopback: bool) {
    let service = service_fn(|request: Request<Incoming>| {
        let response = respond(&site, &request, loopback);
        async { Ok::<_, Infallible>(response) }
    });
    let public = matches!(*site, Site::Public(_));
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

fn respond(site: &Site, request: &Request<Incoming>, loopback: bool) -> Response<Full<Bytes>> {
    let (method, uri) = (request.method(), request.uri());
    let reply = match (site, foreign(request.headers(), loopback)) {
        (Site::Public(state), _) => public::answer(state, method, uri.path()),
        (Site::Operator(_), Some(why)) => Reply::text(StatusCode::FORBIDDEN, why),
        (Site::Operator(state), None) => endpoints::answer(state, method, uri.path(), uri.query().unwrap_or("")),
    };
    tracing::debug!(method = %request.method(), path = request.uri().path(), status = reply.status.as_u16(), "admin");
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
