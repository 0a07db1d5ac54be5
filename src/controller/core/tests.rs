//! The controller's core between an API server in the same process and proxies, if any connect.

use super::*;
use crate::controller::obstacles;
use fairlead_ir::Push;
use fairlead_publish::ca::Authority;
use fairlead_publish::{Denied, Identity, Role, Settings as ServerSettings, enroller};
use fairlead_translate::fleet::Settings as FleetSettings;
use fairlead_watch::testing;
use fairlead_wire::Clock;
use fairlead_wire::client::{self, Client, Received};
use serde_json::{Value, json};
use std::sync::Mutex;
use std::time::SystemTime;
use tokio::net::TcpListener;
use tokio::time::sleep;

mod expired;
mod many;

const GATEWAY_API: &str = "gateway.networking.k8s.io/v1";

struct Stage {
    api: testing::Server,
    server: Server,
    versions: watch::Receiver<Arc<BTreeMap<Id, u64>>>,
    /// What is mounted into the proxies' pods.
    files: tempfile::TempDir,
    _senders: (watch::Sender<bool>, watch::Sender<Arc<str>>),
}

impl Stage {
    /// Starts with what the API server has.
    async fn start(api: testing::Server) -> Stage {
        let (lead, leading) = watch::channel(true);
        let (bundle, ca) = watch::channel(Arc::from("PEM"));
        let authority = Authority::generate(SystemTime::now()).unwrap();
        let files = tempfile::tempdir().unwrap();
        std::fs::write(files.path().join("ca.crt"), authority.bundle()).unwrap();
        std::fs::write(files.path().join("token"), "web").unwrap();
        let (_, authority) = watch::channel(Arc::new(authority));
        let (_, role) = watch::channel(Role::Serve);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let settings = ServerSettings {
            names: vec!["127.0.0.1".to_owned()],
            authority,
            enroller: enroller(|token| async move {
                let gateway = Id::from(format!("shop/{token}"));
                if token == "web" { Ok(Identity { gateway, pod: "pod".into() }) } else { Err(Denied::Token(token)) }
            }),
            role,
            clock: Clock::default(),
        };
        let server = Server::start(listener, settings).unwrap();
        let status = fairlead_status::Settings::new("fairlead.dev/gateway-controller", "pod");
        let writer = Writer::start(api.client(), leading.clone(), server.progress(), status);
        let applier = Applier::start(api.client(), leading, fairlead_fleet::Settings::default());
        tokio::spawn(obstacles::tell(applier.problems(), writer.clone()));
        let fleet = FleetSettings {
            image: "fairlead".into(),
            image_pull_policy: None,
            image_pull_secrets: Vec::new(),
            controller: "https://localhost".into(),
            ca_bundle: "PEM".into(),
        };
        let metrics = Arc::new(Metrics::new().unwrap());
        let accounts = watch::Sender::new(Accounts::default());
        let core = Core::new(Settings::in_cluster(fleet), server.clone(), applier, writer, metrics, accounts, None);
        let watch = Watch::start(api.client(), fairlead_watch::Settings::default()).await.unwrap();
        let versions = core.versions();
        tokio::spawn(core.follow(watch, ca));
        Stage { api, server, versions, files, _senders: (lead, bundle) }
    }

    /// A proxy of the Gateway, which serves whatever comes; and all that came.
    fn proxy(&self) -> Arc<Mutex<Vec<Push>>> {
        let mut proxy = Client::start(client::Settings {
            controller: format!("https://{}", self.server.address()),
            ca_file: self.files.path().join("ca.crt"),
            token_file: self.files.path().join("token"),
            gateway: "shop/web".into(),
            pod: "pod".into(),
            program: "0.1.0".to_owned(),
            cache: None,
            patience: Duration::from_secs(1),
            clock: Clock::default(),
        })
        .unwrap();
        let pushes = Arc::new(Mutex::new(Vec::new()));
        let taken = pushes.clone();
        tokio::spawn(async move {
            while let Some(Received::Push(push) | Received::Cached(push)) = proxy.next().await {
                proxy.ack(push.version, Vec::new(), BTreeMap::new());
                taken.lock().unwrap().push(push);
            }
        });
        pushes
    }

    async fn until(&self, what: &str, mut is: impl FnMut(&Stage) -> bool) {
        let end = Instant::now() + Duration::from_secs(20);
        while !is(self) {
            assert!(Instant::now() < end, "not in time: {what}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Status and reason of a condition of the policy's first ancestor.
    fn policy(&self, kind: &str) -> Option<(String, String)> {
        let policy = self.api.get("backendtlspolicies", "shop", "p")?;
        condition(&policy["status"]["ancestors"][0]["conditions"], kind)
    }

    fn gateway(&self, kind: &str) -> Option<(String, String)> {
        condition(&self.api.get("gateways", "shop", "web")?["status"]["conditions"], kind)
    }

    /// Routes of the Gateway's listener, as its status says.
    fn attached(&self) -> u64 {
        let gateway = self.api.get("gateways", "shop", "web").unwrap_or_default();
        gateway["status"]["listeners"][0]["attachedRoutes"].as_u64().unwrap_or_default()
    }
}

fn condition(conditions: &Value, kind: &str) -> Option<(String, String)> {
    let found = conditions.as_array()?.iter().find(|condition| condition["type"] == kind)?;
    Some((found["status"].as_str()?.to_owned(), found["reason"].as_str()?.to_owned()))
}

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({ "apiVersion": GATEWAY_API, "kind": kind, "metadata": { "namespace": "shop", "name": name }, "spec": spec })
}

/// A Gateway with a route to a Service that speaks TLS, whose CA is in a Secret that is not of TLS type.
async fn cluster() -> testing::Server {
    let api = testing::Server::with_all_kinds().await;
    let mut class = object("GatewayClass", "fairlead", json!({ "controllerName": "fairlead.dev/gateway-controller" }));
    class["metadata"].as_object_mut().unwrap().remove("namespace");
    api.put(class);
    let listener = json!({ "name": "http", "port": 80, "protocol": "HTTP" });
    api.put(object("Gateway", "web", json!({ "gatewayClassName": "fairlead", "listeners": [listener] })));
    let backend = json!({ "name": "s", "port": 443 });
    api.put(object(
        "HTTPRoute",
        "r",
        json!({ "parentRefs": [{ "name": "web" }], "rules": [{ "backendRefs": [backend] }] }),
    ));
    api.put(json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "namespace": "shop", "name": "s" }, "spec": { "ports": [{ "port": 443 }] } }));
    let ca = rcgen::generate_simple_self_signed(["ca.example".to_owned()]).unwrap().cert.pem();
    api.put(json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": { "namespace": "shop", "name": "ca" }, "stringData": { "ca.crt": ca },
    }));
    let target = json!({ "group": "", "kind": "Service", "name": "s" });
    let reference = json!({ "group": "", "kind": "Secret", "name": "ca" });
    let validation = json!({ "hostname": "s.example", "caCertificateRefs": [reference] });
    api.put(object("BackendTLSPolicy", "p", json!({ "targetRefs": [target], "validation": validation })));
    api
}

fn failing(code: u16) -> Option<(u16, Value)> {
    Some((code, json!({ "kind": "Status", "status": "Failure", "code": code, "reason": "Failed", "message": "no" })))
}

/// Nothing is said or served without a Secret that is there and only has to be read.
#[tokio::test]
async fn a_plan_waits_for_secrets_that_are_still_to_be_read() {
    let api = cluster().await;
    let mut left = 3;
    api.intercept(move |request| {
        let is_read = request.method == "GET" && request.path.ends_with("/secrets/ca") && left > 0;
        left -= i32::from(is_read);
        is_read.then(|| failing(500)).flatten()
    });
    let stage = Stage::start(api).await;
    stage.until("the policy's status", |stage| stage.policy("ResolvedRefs").is_some()).await;
    assert_eq!(stage.policy("ResolvedRefs").unwrap(), ("True".to_owned(), "ResolvedRefs".to_owned()));
    let wrong = |request: &testing::Request| request.body.to_string().contains("InvalidCACertificateRef");
    assert!(!stage.api.writes().iter().any(wrong), "it never was");
    assert!(stage.server.is_complete());

    // It is followed, and so is what refers to it.
    stage.api.delete("secrets", "shop", "ca");
    stage.until("it is gone", |stage| stage.policy("ResolvedRefs").is_some_and(|(status, _)| status == "False")).await;
}

/// One that can't be read holds the others up for a moment only.
#[tokio::test]
async fn a_plan_does_not_wait_for_ever() {
    let api = cluster().await;
    api.intercept(|request| request.path.ends_with("/secrets/ca").then(|| failing(403)).flatten());
    let start = Instant::now();
    let stage = Stage::start(api).await;
    stage
        .until("the Gateway's status", |stage| stage.gateway("Accepted").is_some_and(|(status, _)| status == "True"))
        .await;
    assert!(start.elapsed() >= PATIENCE);
    stage.until("the policy's", |stage| stage.policy("Accepted").is_some()).await;
    assert_eq!(stage.policy("Accepted").unwrap().1, "NoValidCACertificate");
    // Nor is it waited for again.
    let start = Instant::now();
    let mut gateway = stage.api.get("gateways", "shop", "web").unwrap();
    gateway["spec"]["listeners"][0]["port"] = json!(81);
    stage.api.put(gateway);
    let observed = |stage: &Stage| {
        let gateway = stage.api.get("gateways", "shop", "web").unwrap();
        gateway["status"]["conditions"][0]["observedGeneration"] == gateway["metadata"]["generation"]
    };
    stage.until("the next generation", observed).await;
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
}

/// What the API server refuses stands on the Gateway, and no longer when it does not.
#[tokio::test]
async fn what_can_not_be_made_is_said_at_the_gateway() {
    let api = cluster().await;
    let (allow, allowed) = watch::channel(false);
    api.intercept(move |request| {
        let refused = request.method == "PATCH" && request.path.contains("/deployments/") && !*allowed.borrow();
        refused.then(|| failing(403)).flatten()
    });
    let stage = Stage::start(api).await;
    let programmed = |stage: &Stage| stage.gateway("Programmed").map(|(_, reason)| reason).unwrap_or_default();
    // Before anything else: it has no address either, and that is the Plan's to say.
    let mut service = Value::Null;
    stage
        .until("its Service", |stage| {
            service = stage.api.get("services", "shop", "fairlead-web").unwrap_or_default();
            !service.is_null()
        })
        .await;
    service["status"] = json!({ "loadBalancer": { "ingress": [{ "ip": "192.0.2.1" }] } });
    stage.api.put(service);
    stage.until("why", |stage| programmed(stage) == "NoResources").await;
    let event = |stage: &Stage| stage.api.all("events").into_iter().find(|event| event["reason"] == "Forbidden");
    stage.until("an event", |stage| event(stage).is_some()).await;
    assert!(event(&stage).unwrap()["note"].as_str().unwrap().contains("Deployment fairlead-web"));
    allow.send_replace(true);
    stage.until("pending", |stage| programmed(stage) == "Pending").await;
    assert!(stage.api.get("deployments", "shop", "fairlead-web").is_some());
}
