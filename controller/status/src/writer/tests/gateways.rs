//! What is said of Gateways, their proxies and what belongs to them beyond what the Plan says.

use super::*;

const SET: &str = "/apis/gateway.networking.k8s.io/v1/namespaces/shop/listenersets/more";
const PROXIES: &str = "/apis/fairlead.dev/v1alpha1/namespaces/shop/proxyclasses/large";

impl Stage {
    fn obstruct(&self, messages: &[&str]) {
        let obstacle = |message: &&str| Obstacle {
            reason: "Forbidden",
            programmed: Reason::NoResources,
            blocks: false,
            message: (*message).into(),
        };
        let all: Vec<Obstacle> = messages.iter().map(obstacle).collect();
        let all = (!all.is_empty()).then(|| (Key::new("shop", "edge"), all));
        self.writer.obstruct(Arc::new(all.into_iter().collect()));
    }

    fn message(&self) -> String {
        let object = self.server.get(GATEWAY);
        let list = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let condition = list.into_iter().find(|c| c["type"] == "Programmed").unwrap_or_default();
        condition["message"].as_str().unwrap_or_default().to_owned()
    }

    /// Reasons and texts of events about the Gateway.
    fn events(&self) -> Vec<(String, String)> {
        self.server.with(|state| {
            let events = state.objects.iter().filter(|(path, _)| path.contains("/events/"));
            let text = |event: &Value, field: &str| event[field].as_str().unwrap_or_default().to_owned();
            events.map(|(_, event)| (text(event, "reason"), text(event, "note"))).collect()
        })
    }
}

#[tokio::test(start_paused = true)]
async fn what_keeps_proxies_from_being_made_is_said_at_the_gateway_and_in_an_event() {
    let mut stage = Stage::new(true);
    stage.submit();
    ms(300).await;
    assert_eq!(is(&stage.programmed()), ("False", "Pending"));
    stage.obstruct(&["Deployment fairlead-edge: Forbidden: no; allow it"]);
    ms(300).await;
    assert_eq!(is(&stage.programmed()), ("False", "NoResources"));
    assert!(stage.message().ends_with(": Deployment fairlead-edge: Forbidden: no; allow it"), "{}", stage.message());
    let forbidden = |stage: &Stage| stage.events().iter().filter(|(reason, _)| reason == "Forbidden").count();
    assert_eq!(forbidden(&stage), 1, "{:?}", stage.events());
    // The same again is no news.
    stage.obstruct(&["Deployment fairlead-edge: Forbidden: no; allow it"]);
    ms(300).await;
    assert_eq!(forbidden(&stage), 1);
    stage.obstruct(&[]);
    stage.ack(&[0]);
    ms(300).await;
    assert_eq!(is(&stage.programmed()), ("True", "Programmed"));
    assert!(!stage.message().contains("Forbidden"));
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_is_served_says_what_is_wrong_and_stays_programmed() {
    let mut stage = Stage::new(true);
    stage.ack(&[0]);
    stage.submit();
    ms(300).await;
    assert_eq!(is(&stage.programmed()), ("True", "Programmed"));
    stage.obstruct(&["PodDisruptionBudget fairlead-edge: Forbidden: no"]);
    ms(300).await;
    assert_eq!(is(&stage.programmed()), ("True", "Programmed"));
    assert!(stage.message().contains("PodDisruptionBudget fairlead-edge"), "{}", stage.message());
    assert_eq!(stage.events().len(), 1);
    // Who leads no more says nothing.
    stage.leading.send_replace(false);
    stage.obstruct(&["Service fairlead-edge: Invalid: no"]);
    ms(300).await;
    assert!(!stage.message().contains("Service"));
}

#[tokio::test(start_paused = true)]
async fn a_listener_set_whose_gateway_is_gone_does_not_say_any_more_that_it_is_attached() {
    let mut stage = Stage::new(true);
    let set = |name: &str, status: Value| {
        json!({ "apiVersion": "gateway.networking.k8s.io/v1", "kind": "ListenerSet",
            "metadata": { "name": name, "namespace": "shop", "generation": 2 }, "status": status,
            "spec": { "parentRef": { "name": "gone" }, "listeners": [{ "name": "l", "port": 81, "protocol": "HTTP" }] } })
    };
    let condition = |kind: &str, status: &str, reason: &str| json!({ "type": kind, "status": status, "reason": reason, "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z" });
    let attached = json!({
        "conditions": [condition("Accepted", "True", "Accepted"), condition("Programmed", "True", "Programmed")],
        "listeners": [{ "name": "l", "attachedRoutes": 1, "conditions": [] }],
    });
    let waiting = json!({ "conditions": [condition("Accepted", "Unknown", "Pending")] });
    let other = SET.replace("more", "other");
    stage.server.with(|state| {
        state.put(SET, set("more", attached));
        state.put(&other, set("other", waiting.clone()));
    });
    stage.submit();
    ms(300).await;
    assert_eq!(is(&stage.condition(SET, "/status/conditions", "Accepted")), ("False", "ParentNotAccepted"));
    assert_eq!(is(&stage.condition(SET, "/status/conditions", "Programmed")), ("False", "ParentNotProgrammed"));
    assert!(stage.server.get(SET)["status"]["listeners"].is_null());
    // It says nothing wrong, and it may be another controller's.
    assert_eq!(stage.server.get(&other)["status"], waiting);
    let before = stage.patches("listenersets");
    stage.submit();
    ms(300).await;
    assert_eq!(stage.patches("listenersets"), before);
}

#[tokio::test(start_paused = true)]
async fn a_proxy_class_says_whether_it_is_valid() {
    let mut stage = Stage::new(true);
    let class = |spec: Value| {
        json!({ "apiVersion": "fairlead.dev/v1alpha1", "kind": "ProxyClass",
            "metadata": { "name": "large", "namespace": "shop", "generation": 3 }, "spec": spec })
    };
    stage.server.with(|state| state.put(PROXIES, class(json!({ "replicas": 2, "autoscaling": {} }))));
    stage.submit();
    ms(300).await;
    assert_eq!(is(&stage.condition(PROXIES, "/status/conditions", "Accepted")), ("False", "InvalidParameters"));
    stage.server.with(|state| state.edit(PROXIES, |object| object["spec"] = json!({ "replicas": 2 })));
    stage.editor = Editor::default();
    stage.planner = fairlead_translate::Planner::new(fairlead_translate::Settings::default());
    stage.submit();
    ms(300).await;
    assert_eq!(is(&stage.condition(PROXIES, "/status/conditions", "Accepted")), ("True", "Accepted"));
}

/// The Service that finds the pods of an XBackend is made for it as a Gateway's proxies are.
#[tokio::test(start_paused = true)]
async fn an_xbackend_says_why_its_pods_cannot_be_found() {
    const XBACKEND: &str = "/apis/gateway.networking.x-k8s.io/v1alpha1/namespaces/shop/xbackends/cart";
    let mut stage = Stage::new(true);
    let meta = |name: &str| json!({ "name": name, "namespace": "shop", "generation": 1 });
    let to = json!([{ "group": "gateway.networking.x-k8s.io", "kind": "XBackend", "name": "cart" }]);
    stage.server.with(|state| {
        state.put(XBACKEND, json!({ "apiVersion": "gateway.networking.x-k8s.io/v1alpha1", "kind": "XBackend", "metadata": meta("cart"),
            "spec": { "type": "EndpointSelector", "endpointSelector": { "matchLabels": { "app": "cart" } }, "port": { "number": 80 } } }));
        state.put(&route("cart"), json!({ "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": meta("cart"),
            "spec": { "parentRefs": [{ "name": "edge" }], "rules": [{ "backendRefs": to }] } }));
    });
    stage.ack(&[0]);
    stage.submit();
    ms(300).await;
    let resolved = |stage: &Stage| {
        let conditions = stage.server.get(XBACKEND)["status"]["ancestors"][0]["conditions"].clone();
        let found = conditions.as_array().and_then(|all| all.iter().find(|c| c["type"] == "ResolvedRefs").cloned());
        let text = |field: &str| found.as_ref().and_then(|c| c[field].as_str()).unwrap_or_default().to_owned();
        (text("status"), text("reason"), text("message"))
    };
    assert_eq!(resolved(&stage).0, "True");
    let obstacle = Obstacle {
        reason: "Forbidden",
        programmed: Reason::NoResources,
        blocks: true,
        message: "Service fairlead-xbackend-1: Forbidden: no".into(),
    };
    let key = fairlead_translate::fleet::selection_key(&Key::new("shop", "cart"));
    stage.writer.obstruct(Arc::new([(key, vec![obstacle])].into()));
    ms(300).await;
    let (status, reason, message) = resolved(&stage);
    assert_eq!((status.as_str(), reason.as_str()), ("False", "NoResources"));
    assert!(message.ends_with("Service fairlead-xbackend-1: Forbidden: no"), "{message}");
    assert!(stage.events().iter().any(|(reason, _)| reason == "Forbidden"), "{:?}", stage.events());
    assert_eq!(is(&stage.programmed()), ("True", "Programmed"), "the Gateway has nothing to do with it");
    stage.writer.obstruct(Arc::default());
    ms(300).await;
    assert_eq!(resolved(&stage).0, "True");
}
