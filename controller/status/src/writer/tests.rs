use super::*;
use crate::testing::{Server, failure};
use fairlead_crds::Object;
use fairlead_publish::{GatewayProgress, ProxyProgress};
use fairlead_store::{Editor, Stored};
use http::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

mod gateways;

const OURS: &str = "fairlead.dev/gateway-controller";
const GATEWAY: &str = "/apis/gateway.networking.k8s.io/v1/namespaces/shop/gateways/edge";
const CLASS: &str = "/apis/gateway.networking.k8s.io/v1/gatewayclasses/fairlead";

/// A controller without its other half: objects of the server are planned and submitted on demand.
struct Stage {
    server: Server,
    editor: Editor,
    planner: fairlead_translate::Planner,
    writer: Writer,
    leading: watch::Sender<bool>,
    progress: watch::Sender<Arc<Progress>>,
    version: u64,
}

fn route(name: &str) -> String {
    format!("/apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes/{name}")
}

impl Stage {
    fn new(leads: bool) -> Stage {
        let server = Server::default();
        server.with(|state| {
            let meta = |name: &str| json!({ "name": name, "generation": 1 });
            let api = "gateway.networking.k8s.io/v1";
            state.put(CLASS, json!({ "apiVersion": api, "kind": "GatewayClass", "metadata": meta("fairlead"), "spec": { "controllerName": OURS } }));
            let mut metadata = meta("edge");
            metadata["namespace"] = "shop".into();
            let unknown = json!([{ "type": "Accepted", "status": "Unknown", "reason": "Pending", "message": "", "lastTransitionTime": "1970-01-01T00:00:00Z" }]);
            state.put(GATEWAY, json!({ "apiVersion": api, "kind": "Gateway", "metadata": metadata, "status": { "conditions": unknown },
                "spec": { "gatewayClassName": "fairlead", "listeners": [{ "name": "web", "port": 80, "protocol": "HTTP" }] } }));
        });
        let (leading, leads_seen) = watch::channel(leads);
        let (progress, progress_seen) = watch::channel(Arc::default());
        let writer = Writer::start(server.client(), leads_seen, progress_seen, Settings::new(OURS, "pod"));
        let planner = fairlead_translate::Planner::new(fairlead_translate::Settings::default());
        Stage { server, editor: Editor::default(), planner, writer, leading, progress, version: 0 }
    }

    fn add_route(&self, name: &str) {
        let metadata = json!({ "name": name, "namespace": "shop", "generation": 1 });
        let spec = json!({ "parentRefs": [{ "name": "edge" }], "rules": [{ "filters": [{ "type": "RequestRedirect", "requestRedirect": { "hostname": "x.example" } }] }] });
        let object = json!({ "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": metadata, "spec": spec });
        self.server.with(|state| state.put(&route(name), object));
    }

    /// What the watch would bring, planned and submitted.
    fn submit(&mut self) {
        let objects: Vec<Value> =
            self.server.with(|state| state.objects.values().filter(|o| o["kind"] != "Event").cloned().collect());
        for mut value in objects {
            let (api, kind) =
                (value["apiVersion"].as_str().unwrap_or_default(), value["kind"].as_str().unwrap_or_default());
            let Some(kind) = Kind::of(api, kind) else { continue };
            let text = |field: &str| value["metadata"][field].as_str().unwrap_or_default().to_owned();
            let key = Key::new(text("namespace"), text("name"));
            let status =
                (!value["status"].is_null()).then(|| serde_json::value::to_raw_value(&value["status"]).unwrap().into());
            let stored = Stored { uid: text("uid").into(), resource_version: text("resourceVersion").into(), status };
            value.as_object_mut().unwrap().remove("status");
            value["metadata"].as_object_mut().unwrap().remove("resourceVersion");
            self.editor.put(key, Object::parse(kind, value).unwrap(), 0, Some(Arc::new(stored)));
        }
        let change = self.editor.take(Vec::new());
        self.planner.update(&change.world, &change.changed);
        let versions = Arc::new(BTreeMap::from([(Id::from("shop/edge"), self.version)]));
        self.writer.submit(Desired { world: change.world, status: self.planner.status().clone(), versions });
    }

    fn ack(&self, versions: &[u64]) {
        let proxy = |(i, acked): (usize, &u64)| {
            (Id::from(format!("p{i}")), ProxyProgress { acked: *acked, ..Default::default() })
        };
        let gateway = GatewayProgress { proxies: versions.iter().enumerate().map(proxy).collect() };
        self.progress.send_replace(Arc::new(BTreeMap::from([(Id::from("shop/edge"), Arc::new(gateway))])));
    }

    fn condition(&self, path: &str, at: &str, kind: &str) -> (String, String) {
        let object = self.server.get(path);
        let list = object.pointer(at).and_then(Value::as_array).cloned().unwrap_or_default();
        let condition = list.into_iter().find(|c| c["type"] == kind).unwrap_or_default();
        let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
        (text("status"), text("reason"))
    }

    fn programmed(&self) -> (String, String) {
        self.condition(GATEWAY, "/status/conditions", "Programmed")
    }

    fn accepted(&self, name: &str) -> String {
        self.condition(&route(name), "/status/parents/0/conditions", "Accepted").0
    }

    fn patches(&self, part: &str) -> usize {
        self.server.with(|state| {
            state
                .log
                .iter()
                .filter(|(m, path)| *m == Method::PATCH && path.contains(part) && path.ends_with("/status"))
                .count()
        })
    }
}

async fn ms(milliseconds: u64) {
    sleep(Duration::from_millis(milliseconds)).await;
}

fn is(pair: &(String, String)) -> (&str, &str) {
    (&pair.0, &pair.1)
}

#[tokio::test(start_paused = true)]
async fn without_proxies_all_is_written_at_once_but_programmed() {
    let mut stage = Stage::new(true);
    stage.add_route("a");
    stage.submit();
    ms(50).await;
    assert_eq!(is(&stage.programmed()), ("False", "Pending"));
    assert_eq!(stage.condition(GATEWAY, "/status/conditions", "Accepted").0, "True");
    assert_eq!(is(&stage.condition(GATEWAY, "/status/listeners/0/conditions", "Programmed")), ("False", "Pending"));
    assert_eq!(stage.accepted("a"), "True");
    assert_eq!(stage.condition(CLASS, "/status/conditions", "Accepted").0, "True");
    assert_eq!(stage.server.get(CLASS)["status"]["supportedFeatures"][0]["name"], "BackendTLSPolicy");
    assert_eq!(stage.patches("/"), 3);
    // What was written is what is wanted.
    stage.submit();
    ms(500).await;
    assert_eq!(stage.patches("/"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_gateway_is_programmed_when_all_proxies_have_acknowledged() {
    let mut stage = Stage::new(true);
    stage.version = 1;
    stage.submit();
    ms(50).await;
    stage.ack(&[0, 1]);
    ms(3000).await;
    assert_eq!(is(&stage.programmed()), ("False", "Pending"));
    assert!(stage.server.get(GATEWAY).to_string().contains("1 of 2 connected proxies"));
    stage.ack(&[1, 1]);
    ms(50).await;
    assert_eq!(is(&stage.programmed()), ("True", "Programmed"));
    // Gone for a moment, then for good.
    stage.progress.send_replace(Arc::default());
    ms(9000).await;
    assert_eq!(stage.programmed().0, "True");
    ms(1500).await;
    assert_eq!(is(&stage.programmed()), ("False", "Pending"));
}

#[tokio::test(start_paused = true)]
async fn a_route_is_accepted_when_the_proxies_serve_it_or_after_two_seconds() {
    let mut stage = Stage::new(true);
    stage.version = 1;
    stage.ack(&[1]);
    stage.submit();
    ms(50).await;
    for (name, acks) in [("a", true), ("b", false)] {
        stage.version += 1;
        stage.add_route(name);
        stage.submit();
        ms(1000).await;
        assert_eq!(stage.accepted(name), "", "not before the proxy has it");
        if acks {
            stage.ack(&[stage.version]);
            ms(50).await;
        } else {
            ms(1100).await;
        }
        assert_eq!(stage.accepted(name), "True");
    }
    assert_eq!(stage.programmed().0, "True", "a push under way is no reason");
}

#[tokio::test(start_paused = true)]
async fn others_keep_their_words_and_ours_go_with_the_parent() {
    let mut stage = Stage::new(true);
    stage.add_route("a");
    let theirs = json!({ "parentRef": { "name": "edge" }, "controllerName": "other", "conditions": [] });
    let warm = json!({ "type": "Warm", "status": "True" });
    stage.server.with(|state| {
        state.edit(&route("a"), |route| route["status"] = json!({ "parents": [theirs] }));
        state.edit(GATEWAY, |gateway| gateway["status"]["conditions"].as_array_mut().unwrap().push(warm.clone()));
    });
    stage.submit();
    ms(50).await;
    assert_eq!(stage.server.get(&route("a"))["status"]["parents"][0], theirs);
    assert_eq!(stage.server.get(&route("a"))["status"]["parents"][1]["controllerName"], OURS);
    assert!(stage.server.get(GATEWAY)["status"]["conditions"].as_array().unwrap().contains(&warm));
    stage.server.with(|state| {
        state.edit(&route("a"), |route| {
            route["spec"]["parentRefs"][0]["name"] = "elsewhere".into();
            route["metadata"]["generation"] = 2.into();
        });
    });
    stage.submit();
    ms(300).await;
    assert_eq!(stage.server.get(&route("a"))["status"]["parents"], json!([theirs]));
}

#[tokio::test(start_paused = true)]
async fn a_thousand_routes_cost_few_writes_of_their_gateway() {
    many_routes(10, 20).await;
}

/// 40 seconds.
#[tokio::test(start_paused = true)]
async fn routes_that_come_slowly_cost_no_more() {
    many_routes(1, 400).await;
}

/// A hundred batches of so many, so many milliseconds apart.
async fn many_routes(batch: usize, pause: u64) {
    let mut stage = Stage::new(true);
    stage.version = 1;
    stage.ack(&[1]);
    stage.submit();
    ms(300).await;
    let before = stage.patches("/gateways/");
    for index in 0..100 {
        (0..batch).for_each(|i| stage.add_route(&format!("r{index}-{i}")));
        stage.version += 1;
        stage.submit();
        stage.ack(&[stage.version]);
        ms(pause).await;
        stage.submit();
    }
    ms(1000).await;
    stage.submit();
    ms(1000).await;
    assert!(stage.patches("/gateways/") - before <= 50, "{}", stage.patches("/gateways/") - before);
    assert_eq!(stage.server.get(GATEWAY)["status"]["listeners"][0]["attachedRoutes"], 100 * batch);
    assert!((0..100).all(|index| stage.accepted(&format!("r{index}-{}", batch - 1)) == "True"));
    assert_eq!(stage.patches("/httproutes/"), 100 * batch, "one write each");
    assert_eq!(stage.programmed().0, "True");
}

#[tokio::test(start_paused = true)]
async fn only_the_leader_writes() {
    let mut stage = Stage::new(false);
    stage.add_route("a");
    stage.submit();
    ms(1000).await;
    assert_eq!(stage.server.with(|state| state.log.len()), 0);
    stage.leading.send_replace(true);
    ms(50).await;
    assert_eq!(stage.accepted("a"), "True");
    stage.leading.send_replace(false);
    ms(5).await;
    let before = stage.server.with(|state| state.log.len());
    stage.add_route("b");
    stage.submit();
    ms(5000).await;
    assert_eq!(stage.server.with(|state| state.log.len()), before);
}

#[tokio::test(start_paused = true)]
async fn conflicts_are_read_and_tried_again() {
    let mut stage = Stage::new(true);
    stage.add_route("a");
    let mut left = 4;
    stage.server.hook(move |state, method, path| {
        if *method == Method::PATCH && path.contains("httproutes") && left > 0 {
            left -= 1;
            state.edit(path.trim_end_matches("/status"), |route| route["metadata"]["labels"] = json!({ "n": left }));
        }
        None
    });
    stage.submit();
    ms(200).await;
    assert_eq!(stage.accepted("a"), "True");
    assert_eq!(stage.writer.counts().conflicts.load(Ordering::Relaxed), 4);
}

#[tokio::test(start_paused = true)]
async fn endless_conflicts_are_tried_ever_less_often() {
    let mut stage = Stage::new(true);
    stage.add_route("a");
    stage.server.hook(|_, method, path| {
        let hit = *method == Method::PATCH && path.contains("httproutes");
        hit.then(|| failure(409, "Conflict", "modified"))
    });
    stage.submit();
    sleep(Duration::from_secs(60)).await;
    let tries = stage.patches("/httproutes/");
    assert!((6..25).contains(&tries), "{tries}");
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_away_gets_few_requests_and_then_all_that_was_missed() {
    let mut stage = Stage::new(true);
    (0..50).for_each(|i| stage.add_route(&format!("r{i}")));
    stage.server.hook(|_, _, _| Some(failure(503, "ServiceUnavailable", "away")));
    stage.submit();
    sleep(Duration::from_secs(60)).await;
    assert!(stage.patches("/") < 40, "{}", stage.patches("/"));
    stage.server.unhook();
    sleep(Duration::from_secs(15)).await;
    assert!((0..50).all(|i| stage.accepted(&format!("r{i}")) == "True"));
}

#[tokio::test(start_paused = true)]
async fn a_denied_kind_is_said_once_and_tried_again_later() {
    let mut stage = Stage::new(true);
    (0..20).for_each(|i| stage.add_route(&format!("r{i}")));
    stage.server.hook(|_, _, path| {
        path.contains("httproutes")
            .then(|| failure(403, "Forbidden", "User \"x\" cannot patch resource \"httproutes/status\""))
    });
    stage.submit();
    ms(5000).await;
    assert!(stage.patches("/httproutes/") <= 12);
    let problems = stage.writer.problems().borrow().clone();
    assert_eq!(problems.iter().map(|p| (p.kind, p.key.is_none())).collect::<Vec<_>>(), [(Kind::HTTPRoute, true)]);
    assert_eq!(stage.condition(GATEWAY, "/status/conditions", "Accepted").0, "True", "others are written");
    stage.server.unhook();
    sleep(Duration::from_secs(61)).await;
    assert_eq!(stage.accepted("r19"), "True");
    assert!(stage.writer.problems().borrow().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_status_that_the_server_refuses_is_not_repeated() {
    let mut stage = Stage::new(true);
    stage.add_route("a");
    stage.add_route("b");
    stage
        .server
        .hook(|_, _, path| path.contains("httproutes/a").then(|| failure(422, "Invalid", "too many conditions")));
    stage.submit();
    ms(5000).await;
    stage.submit();
    ms(5000).await;
    assert_eq!((stage.patches("/httproutes/a"), stage.accepted("b")), (1, "True".to_owned()));
    assert!(stage.writer.problems().borrow()[0].message.contains("too many conditions"));
}

#[tokio::test(start_paused = true)]
async fn a_deleted_object_is_forgotten_and_an_older_generation_never_written() {
    let mut stage = Stage::new(true);
    stage.add_route("gone");
    stage.add_route("newer");
    stage.server.hook(|state, method, path| {
        if *method == Method::PATCH
            && path.contains("httproutes/newer")
            && state.log.iter().filter(|(_, p)| p == path).count() == 1
        {
            state.edit(path.trim_end_matches("/status"), |route| route["metadata"]["generation"] = 2.into());
        }
        (*method == Method::PATCH && path.contains("httproutes/gone")).then(|| {
            let mut gone = failure(404, "NotFound", "not found");
            gone.1["details"] = json!({ "name": "gone" });
            gone
        })
    });
    stage.submit();
    ms(5000).await;
    assert_eq!((stage.patches("/httproutes/gone"), stage.patches("/httproutes/newer")), (1, 1));
    assert_eq!(stage.accepted("newer"), "");
    stage.submit();
    ms(50).await;
    assert_eq!(stage.server.get(&route("newer"))["status"]["parents"][0]["conditions"][0]["observedGeneration"], 2);
}

#[tokio::test(start_paused = true)]
async fn a_quarrel_slows_down_and_is_told() {
    let mut stage = Stage::new(true);
    stage.add_route("a");
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(30) {
        stage.submit();
        ms(50).await;
        // A second controller that thinks otherwise.
        stage.server.with(|state| state.edit(&route("a"), |route| route["status"] = json!({ "parents": [] })));
    }
    let writes = stage.patches("/httproutes/");
    assert!((4..12).contains(&writes), "{writes}");
    assert!(stage.writer.problems().borrow()[0].message.contains("second controller"));
    let told = stage.server.with(|state| state.objects.values().filter(|o| o["reason"] == "StatusUndone").count());
    assert_eq!(told, 1);
}

#[tokio::test(start_paused = true)]
async fn fields_that_the_server_drops_are_not_written_for_ever() {
    let mut stage = Stage::new(true);
    stage.server.hook(|_, _, _| None);
    stage.submit();
    for _ in 0..5 {
        ms(300).await;
        stage.server.with(|state| {
            let gateway = state.objects.get_mut(GATEWAY).unwrap();
            gateway["status"].as_object_mut().unwrap().remove("attachedListenerSets");
        });
        stage.submit();
    }
    assert!(stage.patches("/gateways/") <= 2, "{}", stage.patches("/gateways/"));
}

#[tokio::test(start_paused = true)]
async fn what_stays_bad_is_an_event_and_what_passes_is_none() {
    let mut stage = Stage::new(true);
    stage.add_route("a");
    let bad = |stage: &Stage, section: Option<&str>, generation: u64| {
        stage.server.with(|state| {
            state.edit(&route("a"), |route| {
                route["spec"]["parentRefs"] = match section {
                    Some(section) => json!([{ "name": "edge", "sectionName": section }]),
                    None => json!([{ "name": "edge" }]),
                };
                route["metadata"]["generation"] = generation.into();
            });
        });
    };
    bad(&stage, Some("none"), 2);
    stage.submit();
    ms(1000).await;
    bad(&stage, None, 3);
    stage.submit();
    ms(5000).await;
    let reasons = |stage: &Stage| {
        stage.server.with(|s| {
            s.objects
                .values()
                .filter(|o| o["regarding"]["kind"] == "HTTPRoute")
                .map(|o| o["reason"].to_string())
                .collect::<Vec<_>>()
        })
    };
    assert!(reasons(&stage).is_empty(), "{:?}", reasons(&stage));
    bad(&stage, Some("none"), 4);
    stage.submit();
    ms(5000).await;
    assert_eq!(reasons(&stage), ["\"NoMatchingParent\""]);
}
