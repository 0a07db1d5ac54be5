//! Controllers and proxies for the tests.

use fairlead_ir::{Id, Push, Resource, ResourceId, Secret};
use fairlead_publish::ca::Authority;
use fairlead_publish::{Denied, Identity, Progress, ProxyProgress, Role, Server, Settings, enroller};
use fairlead_wire::Clock;
use fairlead_wire::client::{self, Client, Link, Received};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;

/// Nothing takes longer than this.
const PATIENCE: Duration = Duration::from_secs(20);
pub const GATEWAY: &str = "shop/edge";

/// A clock that can be moved.
#[derive(Clone, Default)]
pub struct Hands(Arc<AtomicI64>);

impl Hands {
    pub fn clock(&self) -> Clock {
        let hands = self.clone();
        Clock::new(move || hands.now())
    }

    pub fn now(&self) -> SystemTime {
        let seconds = self.0.load(Ordering::Relaxed);
        let by = Duration::from_secs(seconds.unsigned_abs());
        if seconds < 0 { SystemTime::now() - by } else { SystemTime::now() + by }
    }

    /// Hours ahead of the truth.
    pub fn set(&self, hours: i64) {
        self.set_minutes(hours * 60);
    }

    pub fn set_minutes(&self, minutes: i64) {
        self.0.store(minutes * 60, Ordering::Relaxed);
    }
}

/// A controller. Its files are what a cluster would mount into the proxies' pods.
pub struct Controller {
    pub server: Server,
    pub authority: watch::Sender<Arc<Authority>>,
    pub role: watch::Sender<Role>,
    pub hands: Hands,
    pub files: Arc<TempDir>,
}

impl Controller {
    pub async fn start() -> Controller {
        let files = Arc::new(TempDir::new().unwrap());
        let authority = Arc::new(Authority::generate(SystemTime::now()).unwrap());
        Controller::of(authority, files, Hands::default(), "127.0.0.1:0".parse().unwrap()).await
    }

    /// Another replica: the same CA and files.
    pub async fn replica(&self) -> Controller {
        let authority = self.authority.borrow().clone();
        Controller::of(authority, self.files.clone(), self.hands.clone(), "127.0.0.1:0".parse().unwrap()).await
    }

    /// Ends, and starts anew in its place.
    pub async fn restart(self) -> Controller {
        let (address, authority) = (self.server.address(), self.authority.borrow().clone());
        let (files, hands) = (self.files.clone(), self.hands.clone());
        self.server.stop();
        drop(self);
        Controller::of(authority, files, hands, address).await
    }

    pub async fn of(authority: Arc<Authority>, files: Arc<TempDir>, hands: Hands, address: SocketAddr) -> Controller {
        std::fs::write(files.path().join("ca.crt"), authority.bundle()).unwrap();
        // One that has just ended may hold the socket for a moment.
        let listener = loop {
            match TcpListener::bind(address).await {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        let (authority, authorities) = watch::channel(authority);
        let (role, roles) = watch::channel(Role::Serve);
        let settings = Settings {
            names: vec!["127.0.0.1".into(), "localhost".into()],
            authority: authorities,
            enroller: enroller(judge),
            role: roles,
            clock: hands.clock(),
        };
        Controller { server: Server::start(listener, settings).unwrap(), authority, role, hands, files }
    }

    /// A controller that has published `a=1` as version 1, and a proxy that serves it.
    pub async fn with_proxy(pod: &str) -> (Controller, Proxy) {
        let controller = Controller::start().await;
        controller.publish(1, "a=1");
        let mut proxy = controller.proxy(pod);
        assert_eq!(proxy.takes().await, (1, "a=1".into()));
        controller.served(pod, 1).await;
        (controller, proxy)
    }

    pub fn publish(&self, version: u64, what: &str) {
        self.server.publish(&GATEWAY.into(), &push(version, what));
    }

    /// A proxy of the Gateway, with a right token.
    pub fn proxy(&self, pod: &str) -> Proxy {
        self.proxy_with(pod, &format!("good {GATEWAY} {pod}"), |_| {})
    }

    pub fn proxy_with(&self, pod: &str, token: &str, change: impl FnOnce(&mut client::Settings)) -> Proxy {
        let token_file = self.files.path().join(format!("token-{pod}"));
        std::fs::write(&token_file, token).unwrap();
        let mut settings = client::Settings {
            controller: format!("https://{}", self.server.address()),
            ca_file: self.files.path().join("ca.crt"),
            token_file,
            gateway: GATEWAY.into(),
            pod: pod.into(),
            program: "1.2.3".into(),
            cache: None,
            patience: Duration::from_millis(300),
            clock: self.hands.clock(),
        };
        change(&mut settings);
        let client = Client::start(settings).unwrap();
        Proxy { link: client.link(), client }
    }

    pub fn cache(&self) -> PathBuf {
        self.files.path().join("cache")
    }

    /// Waits until the proxies are so far.
    pub async fn progress(&self, what: &str, is: impl Fn(&BTreeMap<Id, ProxyProgress>) -> bool) {
        let none = BTreeMap::new();
        let of = |progress: &Arc<Progress>| is(progress.get(GATEWAY).map_or(&none, |gateway| &gateway.proxies));
        let mut progress = self.server.progress();
        let met = timeout(PATIENCE, progress.wait_for(of)).await.is_ok();
        assert!(met, "{what}: {:?}", self.server.progress().borrow());
    }

    pub async fn served(&self, pod: &str, version: u64) {
        self.progress("served", |proxies| proxies.get(pod).is_some_and(|proxy| proxy.acked == version)).await;
    }
}

/// `good NAMESPACE/GATEWAY POD`, or whatever else.
async fn judge(token: String) -> Result<Identity, Denied> {
    let words: Vec<&str> = token.split(' ').collect();
    match *words {
        ["good", gateway, pod] => Ok(Identity { gateway: gateway.into(), pod: pod.into() }),
        ["later"] => Err(Denied::Unavailable("the API server does not answer".into())),
        _ => Err(Denied::Token("the token is not of a proxy".into())),
    }
}

pub struct Proxy {
    pub client: Client,
    pub link: watch::Receiver<Link>,
}

impl Proxy {
    pub async fn next(&mut self) -> Received {
        let next = timeout(PATIENCE, self.client.next()).await;
        next.unwrap_or_else(|_| panic!("no push: {:?}", self.link.borrow())).unwrap()
    }

    /// The next push from the controller, as [`words`].
    pub async fn pushed(&mut self) -> (u64, String) {
        match self.next().await {
            Received::Push(push) => (push.version, words(&push)),
            cached @ Received::Cached(_) => panic!("{cached:?}"),
        }
    }

    /// Takes the next push, serves it, and says what it was.
    pub async fn takes(&mut self) -> (u64, String) {
        let pushed = self.pushed().await;
        self.serves(pushed.0);
        pushed
    }

    pub fn serves(&self, version: u64) {
        self.client.ack(version, vec![], BTreeMap::new());
    }

    /// Nothing comes for a while.
    pub async fn waits(&mut self) {
        let next = timeout(Duration::from_millis(400), self.client.next()).await;
        assert!(next.is_err(), "{next:?}");
    }

    pub async fn link(&mut self, is: impl FnMut(&Link) -> bool) -> Link {
        let met = timeout(PATIENCE, self.link.wait_for(is)).await.map(|link| link.unwrap().clone());
        met.unwrap_or_else(|_| panic!("{:?}", self.link.borrow()))
    }

    /// Waits for a problem that says this.
    pub async fn problem(&mut self, text: &str) {
        let says = |link: &Link| link.problem.as_ref().is_some_and(|problem| problem.contains(text));
        let met = timeout(PATIENCE, self.link.wait_for(says)).await.is_ok();
        assert!(met, "not {text:?}: {:?}", self.link.borrow());
    }

    pub fn seen(&self) -> Link {
        self.link.borrow().clone()
    }
}

/// `a=1` upserts, `-a` removes.
pub fn push(version: u64, what: &str) -> Push {
    let mut push = Push { version, ..Push::default() };
    for word in what.split_whitespace() {
        match (word.strip_prefix('-'), word.split_once('=')) {
            (Some(id), _) => push.removals.push(ResourceId::Secret(id.into())),
            (None, Some((id, value))) => {
                let secret = Secret { id: id.into(), certificates: value.into(), key: None };
                push.upserts.push(Resource::Secret(Arc::new(secret)));
            }
            _ => panic!("{word}"),
        }
    }
    push
}

/// The reverse of [`push`].
pub fn words(push: &Push) -> String {
    let upserts = push.upserts.iter().map(|resource| match resource {
        Resource::Secret(secret) => format!("{}={}", secret.id, secret.certificates),
        other => panic!("{other:?}"),
    });
    let removals = push.removals.iter().map(|id| match id {
        ResourceId::Secret(id) => format!("-{id}"),
        other => panic!("{other:?}"),
    });
    upserts.chain(removals).collect::<Vec<_>>().join(" ")
}
