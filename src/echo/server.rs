//! Sockets and threads.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use fairlead_net::tls::{ServerTls, TlsInfo, read_hello};
use fairlead_net::{Accepted, ListenOptions, Listener, Stream, listen_tcp, listen_tcp_group};
use hyper::service::service_fn;
use hyper_util::server::conn::auto::Builder;
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_local;

use super::lines::{self, SuiteReport};
use super::report::{Connection, Context, TlsReport};
use super::respond::{Shared, respond};
use super::wire::{Tap, Wire};
use super::{Args, tls};

/// A running echo server. Dropping it stops it, too, but waits for nothing.
#[derive(Debug)]
pub struct Server {
    listening: Listening,
    stop: watch::Sender<bool>,
    /// Closed once a worker is gone.
    alive: mpsc::Receiver<()>,
    workers: Vec<JoinHandle<anyhow::Result<()>>>,
}

impl Server {
    /// Listens, and starts the workers. Ports that were 0 are known afterwards.
    pub fn start(args: &Args) -> anyhow::Result<Server> {
        let (listening, sockets) = bind(args)?;
        let shared = Arc::new(Shared { context: Context::new(args), log: args.log, ..Shared::default() });
        let (stop, stopped) = watch::channel(false);
        let (token, alive) = mpsc::channel(1);
        let mut workers = Vec::new();
        for (i, sockets) in sockets.into_iter().enumerate() {
            let (shared, stopped, token) = (shared.clone(), stopped.clone(), token.clone());
            let thread = std::thread::Builder::new().name(format!("echo-{i}"));
            workers.push(thread.spawn(move || {
                let _token = token;
                work(sockets, shared, stopped)
            })?);
        }
        Ok(Server { listening, stop, alive, workers })
    }

    /// Where it listens.
    pub fn listening(&self) -> &Listening {
        &self.listening
    }

    /// Waits until the workers have ended by themselves; [`Server::stop`] tells why.
    pub async fn failed(&mut self) {
        self.alive.recv().await;
    }

    /// Stops to listen, lets requests in progress finish for a while, and waits for the workers.
    pub fn stop(mut self) -> anyhow::Result<()> {
        // Nobody listens when all workers are gone.
        let _ = self.stop.send(true);
        for worker in self.workers.drain(..) {
            worker.join().map_err(|_| anyhow::anyhow!("a worker panicked"))??;
        }
        if let Some(path) = &self.listening.unix {
            let _ = std::fs::remove_file(path);
        }
        Ok(())
    }
}

/// The addresses of a server.
#[derive(Clone, Debug, Default)]
pub struct Listening {
    pub http: Vec<SocketAddr>,
    pub tls: Option<SocketAddr>,
    pub unix: Option<PathBuf>,
    pub tcp: Option<SocketAddr>,
    pub udp: Option<SocketAddr>,
    pub suite_tcp: Option<SocketAddr>,
    pub suite_tls: Option<SocketAddr>,
    pub suite_udp: Option<SocketAddr>,
}

impl fmt::Display for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for addr in &self.http {
            writeln!(f, "listening on http://{addr} (HTTP/1.1, h2c, gRPC, WebSocket)")?;
        }
        if let Some(addr) = self.tls {
            writeln!(f, "listening on https://{addr} (HTTP/1.1, HTTP/2, gRPC, WebSocket)")?;
        }
        if let Some(path) = &self.unix {
            writeln!(f, "listening on unix:{} (as the HTTP port)", path.display())?;
        }
        let others = [
            (self.tcp, "tcp", "echo"),
            (self.udp, "udp", "echo"),
            (self.suite_tcp, "tcp", "suite"),
            (self.suite_tls, "tls", "suite"),
            (self.suite_udp, "udp", "suite"),
        ];
        for (addr, protocol, what) in others {
            if let Some(addr) = addr {
                writeln!(f, "listening on {protocol}://{addr} ({what})")?;
            }
        }
        Ok(())
    }
}

/// What one worker serves.
#[derive(Default)]
struct Sockets {
    http: Vec<TcpListener>,
    https: Option<(TcpListener, ServerTls)>,
    unix: Option<UnixListener>,
    tcp: Option<TcpListener>,
    udp: Option<std::net::UdpSocket>,
    suite_tcp: Option<TcpListener>,
    suite_tls: Option<(TcpListener, ServerTls)>,
    suite_udp: Option<std::net::UdpSocket>,
}

/// Opens all sockets. HTTP is spread over the workers, the rest is the first one's.
fn bind(args: &Args) -> anyhow::Result<(Listening, Vec<Sockets>)> {
    let count = usize::from(args.workers.max(1));
    let mut workers: Vec<Sockets> = (0..count).map(|_| Sockets::default()).collect();
    let mut listening = Listening::default();
    let options = ListenOptions::default();
    let at = |port: u16| SocketAddr::new(args.address, port);

    for port in &args.port {
        let group = listen_tcp_group(at(*port), count, &options)?;
        listening.http.extend(group[0].local_addr());
        workers.iter_mut().zip(group).for_each(|(worker, socket)| worker.http.push(socket));
    }
    let tls = match args.tls_port.or(args.suite_tls_port) {
        Some(_) => Some(tls::settings(args)?),
        None => None,
    };
    if let (Some(port), Some(tls)) = (args.tls_port, &tls) {
        let group = listen_tcp_group(at(port), count, &options)?;
        listening.tls = group[0].local_addr().ok();
        workers.iter_mut().zip(group).for_each(|(worker, socket)| worker.https = Some((socket, tls.http.clone())));
    }

    let first = &mut workers[0];
    let tcp = |port: Option<u16>| port.map(|port| listen_tcp(at(port), &options)).transpose();
    first.tcp = tcp(args.tcp_port)?;
    listening.tcp = local(&first.tcp);
    first.suite_tcp = tcp(args.suite_tcp_port)?;
    listening.suite_tcp = local(&first.suite_tcp);
    let suite_tls = tcp(args.suite_tls_port)?;
    listening.suite_tls = local(&suite_tls);
    first.suite_tls = suite_tls.zip(tls.map(|tls| tls.plain));
    first.udp = args.udp_port.map(|port| udp(at(port))).transpose()?;
    listening.udp = first.udp.as_ref().and_then(|s| s.local_addr().ok());
    first.suite_udp = args.suite_udp_port.map(|port| udp(at(port))).transpose()?;
    listening.suite_udp = first.suite_udp.as_ref().and_then(|s| s.local_addr().ok());
    first.unix = args.unix.as_deref().map(listen_unix).transpose()?;
    listening.unix.clone_from(&args.unix);
    Ok((listening, workers))
}

fn local(socket: &Option<TcpListener>) -> Option<SocketAddr> {
    socket.as_ref().and_then(|s| s.local_addr().ok())
}

fn udp(addr: SocketAddr) -> anyhow::Result<std::net::UdpSocket> {
    let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, addr.port()));
    let bound = match std::net::UdpSocket::bind(addr) {
        // A machine without IPv6.
        Err(e) if addr.is_ipv6() && addr.ip().is_unspecified() && e.kind() != io::ErrorKind::AddrInUse => {
            std::net::UdpSocket::bind(everywhere)
        }
        bound => bound,
    };
    let socket = bound.with_context(|| format!("cannot listen on UDP {addr}"))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Takes the place of a socket file that nobody listens on any more, as a crash leaves it; never that of another file.
fn listen_unix(path: &Path) -> anyhow::Result<UnixListener> {
    use std::os::unix::fs::FileTypeExt as _;
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket());
    if is_socket && std::os::unix::net::UnixStream::connect(path).is_err() {
        let _ = std::fs::remove_file(path);
    }
    let listener = UnixListener::bind(path).with_context(|| format!("cannot listen on {}", path.display()))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// The life of a worker thread.
fn work(sockets: Sockets, shared: Arc<Shared>, stop: watch::Receiver<bool>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default())?;
    runtime.block_on(Worker { shared, builder: Rc::new(http_builder()), stop }.serve(sockets))
}

fn http_builder() -> Builder<LocalExecutor> {
    let mut builder = Builder::new(LocalExecutor);
    builder
        .http2()
        .enable_connect_protocol()
        .max_concurrent_streams(1024)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20);
    builder
}

/// Runs hyper's tasks on the worker's own runtime.
#[derive(Clone, Copy, Debug)]
struct LocalExecutor;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        spawn_local(future);
    }
}

#[derive(Clone)]
struct Worker {
    shared: Arc<Shared>,
    builder: Rc<Builder<LocalExecutor>>,
    stop: watch::Receiver<bool>,
}

impl Worker {
    async fn serve(mut self, sockets: Sockets) -> anyhow::Result<()> {
        // Connections hold a sender; when all are gone, the worker may end.
        let (busy, mut idle) = mpsc::channel::<()>(1);
        let mut listeners = Vec::new();
        for socket in sockets.http {
            listeners.push(self.listen(socket, None, &busy, Worker::http)?);
        }
        if let Some((socket, tls)) = sockets.https {
            listeners.push(self.listen(socket, Some(tls), &busy, Worker::http)?);
        }
        if let Some(socket) = sockets.unix {
            listeners.push(spawn_local(self.clone().unix(tokio::net::UnixListener::from_std(socket)?, busy.clone())));
        }
        if let Some(socket) = sockets.tcp {
            listeners.push(self.listen(socket, None, &busy, Worker::tcp)?);
        }
        if let Some(socket) = sockets.suite_tcp {
            listeners.push(self.listen(socket, None, &busy, Worker::suite)?);
        }
        if let Some((socket, tls)) = sockets.suite_tls {
            listeners.push(self.listen(socket, Some(tls), &busy, Worker::suite)?);
        }
        if let Some(socket) = sockets.udp {
            let socket = tokio::net::UdpSocket::from_std(socket)?;
            listeners.push(spawn_local(async move { lines::echo_datagrams(socket).await }));
        }
        if let Some(socket) = sockets.suite_udp {
            let (socket, shared) = (tokio::net::UdpSocket::from_std(socket)?, self.shared.clone());
            listeners.push(spawn_local(async move { lines::suite_datagrams(socket, &shared.context).await }));
        }
        drop(busy);
        // An error is that of a sender that is gone, which is as good as a stop.
        let _ = self.stop.wait_for(|stop| *stop).await;
        listeners.iter().for_each(|listener| listener.abort());
        let _ = tokio::time::timeout(DRAIN, idle.recv()).await;
        Ok(())
    }

    /// Serves the connections of one socket.
    fn listen<F, S>(
        &self,
        socket: TcpListener,
        tls: Option<ServerTls>,
        busy: &mpsc::Sender<()>,
        serve: S,
    ) -> io::Result<tokio::task::JoinHandle<io::Result<()>>>
    where
        F: Future<Output = ()> + 'static,
        S: Fn(Worker, Stream, Connection) -> F + Copy + 'static,
    {
        let listener = Listener::new(socket)?;
        let (worker, busy) = (self.clone(), busy.clone());
        Ok(spawn_local(async move {
            loop {
                let Ok(accepted) = listener.accept().await else {
                    // Out of descriptors: they come back when connections end.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                };
                let (worker, tls, busy) = (worker.clone(), tls.clone(), busy.clone());
                spawn_local(async move {
                    let _busy = busy;
                    let Ok((stream, connection)) = connection(accepted, tls).await else { return };
                    serve(worker, stream, connection).await;
                });
            }
        }))
    }

    async fn unix(self, listener: tokio::net::UnixListener, busy: mpsc::Sender<()>) -> io::Result<()> {
        loop {
            let Ok((socket, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            };
            let (worker, busy) = (self.clone(), busy.clone());
            spawn_local(async move {
                let _busy = busy;
                worker.http(socket.into(), Connection { port: String::new(), tls: None }).await;
            });
        }
    }

    async fn http(mut self, stream: Stream, connection: Connection) {
        let (wire, connection, shared) = (Wire::default(), Rc::new(connection), self.shared);
        let tap = Tap::new(stream, wire.clone());
        let service = service_fn(move |request| {
            let (shared, connection, wire) = (shared.clone(), connection.clone(), wire.clone());
            async move { Box::pin(respond(request, &shared, connection, wire)).await }
        });
        let mut serving = pin!(self.builder.serve_connection_with_upgrades(tap, service));
        tokio::select! {
            // Clients break connections as they like.
            _ = serving.as_mut() => return,
            _ = self.stop.wait_for(|stop| *stop) => serving.as_mut().graceful_shutdown(),
        }
        let _ = serving.await;
    }

    async fn tcp(self, stream: Stream, _: Connection) {
        let _ = lines::echo(stream).await;
    }

    async fn suite(self, stream: Stream, connection: Connection) {
        let is_tls = connection.tls.is_some();
        let (tcpport, tlsport) =
            if is_tls { (String::new(), connection.port) } else { (connection.port, String::new()) };
        let report = SuiteReport { context: &self.shared.context, tcpport, tlsport, is_tls, tls: connection.tls };
        let _ = lines::suite(stream, &report).await;
    }
}

/// Makes the TLS handshake where there is one to make.
async fn connection(accepted: Accepted, tls: Option<ServerTls>) -> anyhow::Result<(Stream, Connection)> {
    let port = accepted.local.port().to_string();
    let stream = accepted.into_stream()?;
    let Some(tls) = tls else {
        return Ok((stream, Connection { port, tls: None }));
    };
    let handshake = async { anyhow::Ok(read_hello(stream).await?.accept(&tls).await?) };
    let (stream, info): (Stream, TlsInfo) = tokio::time::timeout(HANDSHAKE, handshake).await??;
    Ok((stream, Connection { port, tls: Some(TlsReport::from(&info)) }))
}

/// For connections to finish what they are at.
const DRAIN: Duration = Duration::from_secs(5);

/// For clients to make a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
