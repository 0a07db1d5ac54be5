//! Services of XBackends, from objects to an API server: made while a Gateway leads there, set right, deleted.

#![allow(clippy::unwrap_used)]

use fairlead_crds::{Kind, Object};
use fairlead_fleet::{Applier, Settings};
use fairlead_store::World;
use fairlead_translate::fleet::ObjectKind;
use fairlead_translate::{Planner, fleet};
use fairlead_watch::testing::Server;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

const SERVICE: &str = "fairlead-xbackend-5d2c6f0e-0000-4000-8000-000000000001";

fn object(mut value: Value) -> Object {
    if value["kind"] != "GatewayClass" {
        value["metadata"]["namespace"] = json!("shop");
    }
    let text = |field: &str| value[field].as_str().unwrap().to_owned();
    let kind = Kind::of(&text("apiVersion"), &text("kind")).unwrap();
    Object::parse(kind, value).unwrap()
}

/// A Gateway, an XBackend of this label, and a route to an XBackend of this name.
fn objects(app: &str, backend: &str) -> Vec<Object> {
    let reference = json!({ "group": "gateway.networking.x-k8s.io", "kind": "XBackend", "name": backend });
    let all = [
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": { "name": "fairlead" },
            "spec": { "controllerName": "fairlead.dev/gateway-controller" },
        }),
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": { "name": "web", "uid": "g" },
            "spec": { "gatewayClassName": "fairlead", "listeners": [{ "name": "http", "port": 80, "protocol": "HTTP" }] },
        }),
        json!({
            "apiVersion": "gateway.networking.x-k8s.io/v1alpha1", "kind": "XBackend",
            "metadata": { "name": "cart", "uid": "5d2c6f0e-0000-4000-8000-000000000001" },
            "spec": {
                "type": "EndpointSelector", "endpointSelector": { "matchLabels": { "app": app } },
                "port": { "number": 8080 },
            },
        }),
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": { "name": "r" },
            "spec": { "parentRefs": [{ "name": "web" }], "rules": [{ "backendRefs": [reference] }] },
        }),
    ];
    all.into_iter().map(object).collect()
}

struct Stage {
    server: Server,
    planner: Planner,
    applier: Applier,
    _lead: watch::Sender<bool>,
}

impl Stage {
    async fn start() -> Stage {
        let fleet = fleet::Settings {
            image: "fairlead".into(),
            image_pull_policy: None,
            image_pull_secrets: Vec::new(),
            controller: "https://controller".into(),
            ca_bundle: "".into(),
        };
        let settings = fairlead_translate::Settings {
            fleet: Some(fleet),
            local_backends: false,
            shared_addresses: false,
            ..fairlead_translate::Settings::default()
        };
        let controller = settings.controller_name.to_string();
        let server = Server::start().await;
        let (lead, leading) = watch::channel(true);
        let settings_of_applier = Settings { controller, ..Settings::default() };
        let applier = Applier::start(server.client(), leading, settings_of_applier);
        Stage { server, planner: Planner::new(settings), applier, _lead: lead }
    }

    fn plan(&mut self, objects: Vec<Object>) {
        let plan = self.planner.plan(&World::of(objects), &[]);
        self.applier.submit(plan.fleet);
    }

    /// Plans from nothing: what is not named as changed would be taken as it was.
    fn plan_anew(&mut self, objects: Vec<Object>) {
        self.planner = Planner::new(self.planner.settings().clone());
        self.plan(objects);
    }

    fn service(&self) -> Option<Value> {
        self.server.get(ObjectKind::Service.resource().2, "shop", SERVICE)
    }

    async fn until(&self, what: &str, is: impl Fn(Option<Value>) -> bool) {
        let end = Instant::now() + Duration::from_secs(20);
        while !is(self.service()) {
            assert!(Instant::now() < end, "not in time: {what}; {:?}", self.server.writes());
            sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test]
async fn the_service_follows_the_xbackend() {
    let selects =
        |app: &'static str| move |service: Option<Value>| service.is_some_and(|s| s["spec"]["selector"]["app"] == app);
    let mut stage = Stage::start().await;
    stage.plan(objects("cart", "cart"));
    stage.until("the Service", selects("cart")).await;
    let service = stage.service().unwrap();
    assert_eq!(
        (&service["spec"]["clusterIP"], &service["spec"]["ports"][0]["targetPort"]),
        (&json!("None"), &json!(8080))
    );
    assert_eq!(service["metadata"]["ownerReferences"][0]["kind"], "XBackend");
    // Somebody selects other pods.
    let mut other = service.clone();
    other["spec"]["selector"]["app"] = json!("theirs");
    stage.server.put(other);
    stage.until("what was asked for", selects("cart")).await;
    stage.plan_anew(objects("basket", "cart"));
    stage.until("the other label", selects("basket")).await;
    stage.plan_anew(objects("basket", "nowhere"));
    stage.until("nothing", |service| service.is_none()).await;
    // The proxies stay.
    assert!(stage.server.get("deployments", "shop", "fairlead-web").is_some());
}
