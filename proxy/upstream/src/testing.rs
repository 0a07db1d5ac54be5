//! What the tests of this crate share: a worker's runtime, certificates, and endpoints on loopback that do as they are told.

use crate::{Address, Cluster, ClusterConfig, EndpointList, Target};
use bytes::Bytes;
use fairlead_ir as ir;
use fairlead_net::tls::{Identity, ServerTls, Tickets, read_hello};
use fairlead_telemetry::Registry;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::spawn_local;

/// Runs a test as a worker would, for at most 20 seconds.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default()).unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), test).await.expect("the test hangs") })
}

/// Lets other tasks and the sockets make progress.
pub(crate) async fn settle() {
    tokio::time::sleep(Duration::from_millis(30)).await;
}

pub(crate) fn ir_cluster() -> ir::Cluster {
    ir::Cluster {
        id: "service/test/app/80".into(),
        protocol: ir::Protocol::Http1,
        tls: None,
        discovery: ir::Discovery::Endpoints("e".into()),
        load_balancing: ir::LoadBalancing::LeastRequest,
        connect_timeout: ir::Millis(2_000),
        idle_timeout: ir::Millis(60_000),
        retry_budget: None,
    }
}

/// A configuration of its own, to be changed.
pub(crate) fn config() -> ClusterConfig {
    ClusterConfig::clone(&ClusterConfig::compile(&ir_cluster(), |_| None).unwrap())
}

/// A list of TCP endpoints with weights.
pub(crate) fn list(targets: &[(SocketAddr, u32)]) -> Arc<EndpointList> {
    addresses(targets.iter().map(|&(address, weight)| (Address::Ip(address), weight)))
}

pub(crate) fn addresses(targets: impl IntoIterator<Item = (Address, u32)>) -> Arc<EndpointList> {
    let registry = Registry::new(1);
    let targets = targets.into_iter().map(|(address, weight)| {
        let metrics = registry.endpoint("c", &address.to_string());
        Target { address, weight, zone: None, hostname: None, metrics }
    });
    Arc::new(EndpointList { targets: targets.collect() })
}

pub(crate) fn cluster(config: ClusterConfig, list: Arc<EndpointList>) -> Rc<Cluster> {
    Cluster::new(Arc::new(config), list, Registry::new(1).cluster("c"), 0)
}

/// Accepts connections and keeps them.
pub(crate) struct Plain {
    pub(crate) address: SocketAddr,
    pub(crate) accepted: Rc<RefCell<Vec<TcpStream>>>,
}

impl Plain {
    pub(crate) async fn start() -> Plain {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Rc::new(RefCell::new(Vec::new()));
        let kept = accepted.clone();
        spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                kept.borrow_mut().push(stream);
            }
        });
        Plain { address, accepted }
    }

    pub(crate) fn accepted(&self) -> usize {
        self.accepted.borrow().len()
    }

    /// How many of the accepted connections the other side has closed.
    pub(crate) fn closed(&self) -> usize {
        let ended = |s: &TcpStream| matches!(s.try_read(&mut [0; 16]), Ok(0));
        self.accepted.borrow().iter().filter(|s| ended(s)).count()
    }
}

/// An HTTP/2 server that holds its answers back.
pub(crate) struct Http2 {
    pub(crate) address: SocketAddr,
    /// Streams that arrived, by connection.
    pub(crate) streams: Rc<RefCell<Vec<usize>>>,
    /// Connections that are open.
    pub(crate) open: Rc<Cell<usize>>,
    pub(crate) order: watch::Sender<Order>,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Order {
    Hold,
    /// Answers are given.
    Answer,
    /// GOAWAY on all connections.
    GoAway,
    /// All connections are cut.
    Cut,
}

impl Http2 {
    pub(crate) async fn start(max_streams: u32) -> Http2 {
        Http2::start_with(max_streams, Duration::ZERO, None).await
    }

    /// `delay` before the handshake of each connection.
    pub(crate) async fn start_with(max_streams: u32, delay: Duration, tls: Option<ServerTls>) -> Http2 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let streams = Rc::new(RefCell::new(Vec::new()));
        let open = Rc::new(Cell::new(0));
        let (order, orders) = watch::channel(Order::Hold);
        let server = Http2 { address, streams: streams.clone(), open: open.clone(), order };
        spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = streams.borrow().len();
                streams.borrow_mut().push(0);
                open.set(open.get() + 1);
                let (streams, open, mut orders, tls) = (streams.clone(), open.clone(), orders.clone(), tls.clone());
                // Orders to close are for those connections that are open then.
                orders.mark_unchanged();
                spawn_local(async move {
                    tokio::time::sleep(delay).await;
                    let mut stream = fairlead_net::Stream::from(stream);
                    if let Some(tls) = tls {
                        let Ok(hello) = read_hello(stream).await else { return };
                        let Ok((encrypted, _)) = hello.accept(&tls).await else { return };
                        stream = encrypted;
                    }
                    Http2::serve(stream, max_streams, orders, || streams.borrow_mut()[number] += 1).await;
                    open.set(open.get() - 1);
                });
            }
        });
        server
    }

    async fn serve(
        stream: fairlead_net::Stream,
        max: u32,
        mut orders: watch::Receiver<Order>,
        mut arrived: impl FnMut(),
    ) {
        let mut builder = h2::server::Builder::new();
        let Ok(mut connection) = builder.max_concurrent_streams(max).handshake::<_, Bytes>(stream).await else {
            return;
        };
        let mut answers = orders.clone();
        loop {
            tokio::select! {
                request = connection.accept() => {
                    let Some(Ok((_, mut respond))) = request else { return };
                    arrived();
                    let mut orders = answers.clone();
                    spawn_local(async move {
                        let _ = orders.wait_for(|o| *o == Order::Answer).await;
                        let _ = respond.send_response(http::Response::new(()), true);
                    });
                }
                _ = orders.changed() => match *orders.borrow_and_update() {
                    Order::GoAway => connection.graceful_shutdown(),
                    Order::Cut => return,
                    Order::Hold | Order::Answer => {}
                }
            }
            answers.mark_unchanged();
        }
    }

    pub(crate) fn streams(&self) -> Vec<usize> {
        self.streams.borrow().clone()
    }
}

/// A certificate authority, and what it issues.
pub(crate) struct Ca {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    pub(crate) fn new(name: &str) -> Ca {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Ca { pem, issuer: Issuer::new(params, key) }
    }

    /// Chain and key in PEM.
    pub(crate) fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names.push(SanType::DnsName(name.try_into().unwrap()));
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    pub(crate) fn server(&self, name: &str, alpn: &[&'static [u8]]) -> ServerTls {
        let (chain, key) = self.issue(name);
        let identity = Identity::from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
        let tickets = Tickets::new().unwrap();
        ServerTls::builder(&tickets).identity(Arc::new(identity)).alpn(alpn.iter().copied()).build().unwrap()
    }

    pub(crate) fn secret(&self, id: &str) -> Arc<ir::Secret> {
        Arc::new(ir::Secret { id: id.into(), certificates: self.pem.as_str().into(), key: None })
    }

    /// A configuration that trusts this authority.
    pub(crate) fn config(&self, hostname: &str) -> ClusterConfig {
        let mut cluster = ir_cluster();
        cluster.tls = Some(ir::ClusterTls {
            hostname: hostname.into(),
            ca: ir::CaSource::Secrets(vec!["ca".into()]),
            sans: Vec::new(),
            client_certificate: None,
        });
        let secret = self.secret("ca");
        ClusterConfig::clone(&ClusterConfig::compile(&cluster, |_| Some(secret.clone())).unwrap())
    }
}
