//! The Applier against an API server in the same process.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use fairlead_fleet::{APPLIED, Applier, CONTROLLER, Problem, ProblemReason, Settings};
use fairlead_store::Key;
use fairlead_translate::fleet::{APP, Fleet, MANAGED_BY, Object, ObjectKind};
use fairlead_watch::testing::{Request, Server};
use imbl::OrdMap;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

const NAMESPACE: &str = "shop";

struct Stage {
    server: Server,
    lead: watch::Sender<bool>,
    applier: Applier,
}

impl Stage {
    async fn new(leading: bool) -> Stage {
        let server = Server::start().await;
        let (lead, leading) = watch::channel(leading);
        let applier = Applier::start(server.client(), leading, settings("fairlead.dev/gateway-controller"));
        Stage { server, lead, applier }
    }

    fn submit(&self, fleets: &[Fleet]) {
        self.applier.submit(fleets.iter().map(|fleet| (gateway(), Arc::new(fleet.clone()))).collect::<OrdMap<_, _>>());
    }

    fn get(&self, kind: ObjectKind) -> Option<Value> {
        self.server.get(kind.resource().2, NAMESPACE, "fairlead-web")
    }

    async fn until(&self, what: &str, mut is: impl FnMut(&Stage) -> bool) {
        let end = Instant::now() + Duration::from_secs(20);
        while !is(self) {
            assert!(Instant::now() < end, "not in time: {what}; {:?}", self.server.writes());
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Until the objects of a fleet are there and nothing more is written.
    async fn settled(&self, fleet: &Fleet) {
        self.until("all objects", |stage| fleet.objects.iter().all(|object| stage.get(object.kind).is_some())).await;
        self.quiet().await;
    }

    async fn quiet(&self) {
        loop {
            let before = self.server.writes().len();
            sleep(Duration::from_millis(300)).await;
            if self.server.writes().len() == before {
                return;
            }
        }
    }

    /// Changes an object as somebody else would.
    fn edit(&self, kind: ObjectKind, edit: impl FnOnce(&mut Value)) {
        let mut object = self.get(kind).unwrap();
        edit(&mut object);
        self.server.put(object);
    }

    async fn problems(&self, is: impl FnMut(&[Problem]) -> bool) -> Vec<Problem> {
        let mut is = is;
        let mut problems = self.applier.problems();
        let of = |all: &fairlead_fleet::Problems| all.get(&gateway()).cloned().unwrap_or_default();
        let found = timeout(Duration::from_secs(20), problems.wait_for(|all| is(&of(all)))).await;
        of(&found.expect("problems in time").unwrap())
    }
}

fn settings(controller: &str) -> Settings {
    Settings { controller: controller.to_owned(), ..Settings::default() }
}

fn gateway() -> Key {
    Key::new(NAMESPACE, "web")
}

fn object(kind: ObjectKind, rest: Value) -> Object {
    let (managed, app) = (MANAGED_BY, APP);
    let mut manifest = json!({
        "apiVersion": kind.api_version(), "kind": kind.as_str(),
        "metadata": {
            "name": "fairlead-web", "namespace": NAMESPACE,
            "labels": { managed.0: managed.1, app.0: app.1 },
            "ownerReferences": [{
                "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "name": "web", "uid": "uid-web",
                "controller": true, "blockOwnerDeletion": false,
            }],
        },
    });
    manifest.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    Object { kind, key: Key::new(NAMESPACE, "fairlead-web"), manifest }
}

fn fleet(objects: Vec<Object>) -> Fleet {
    Fleet { name: "fairlead-web".into(), objects, partial: false }
}

fn service() -> Object {
    object(ObjectKind::Service, json!({ "spec": { "type": "ClusterIP", "ports": [{ "port": 80 }] } }))
}

fn deployment(replicas: Option<i32>) -> Object {
    let mut spec = json!({ "template": { "spec": { "containers": [{ "name": "proxy", "image": "one" }] } } });
    if let Some(replicas) = replicas {
        spec["replicas"] = json!(replicas);
    }
    object(ObjectKind::Deployment, json!({ "spec": spec }))
}

fn whole() -> Fleet {
    let budget = json!({ "spec": { "maxUnavailable": 1 } });
    fleet(vec![
        object(ObjectKind::ServiceAccount, json!({ "automountServiceAccountToken": false })),
        object(ObjectKind::ConfigMap, json!({ "data": { "ca.crt": "PEM" } })),
        service(),
        deployment(Some(2)),
        object(ObjectKind::PodDisruptionBudget, budget),
    ])
}

fn is_write_of(request: &Request, plural: &str) -> bool {
    request.method != "GET" && request.path.contains(&format!("/{plural}/"))
}

#[tokio::test]
async fn all_objects_are_made_and_only_while_leading() {
    let stage = Stage::new(false).await;
    let fleet = whole();
    stage.submit(std::slice::from_ref(&fleet));
    sleep(Duration::from_millis(300)).await;
    assert_eq!(stage.server.requests(), []);
    stage.lead.send_replace(true);
    stage.settled(&fleet).await;
    for object in &fleet.objects {
        let made = stage.get(object.kind).unwrap();
        assert_eq!(made["metadata"]["ownerReferences"][0]["name"], "web", "{:?}", object.kind);
        assert_eq!(made["metadata"]["annotations"][APPLIED].as_str().unwrap().len(), 16);
        assert_eq!(made["metadata"]["managedFields"][0]["manager"], "fairlead");
    }
    let writes = stage.server.writes();
    assert_eq!(writes.len(), fleet.objects.len(), "{writes:?}");
    for write in &writes {
        assert_eq!((&*write.method, &*write.content_type), ("PATCH", "application/apply-patch+yaml"));
        assert!(write.query.contains("fieldManager=fairlead") && write.query.contains("force=true"), "{}", write.query);
    }
    assert!(stage.problems(<[Problem]>::is_empty).await.is_empty());
}

#[tokio::test]
async fn nothing_is_written_when_nothing_changed() {
    let stage = Stage::new(true).await;
    let fleet = whole();
    stage.submit(std::slice::from_ref(&fleet));
    stage.settled(&fleet).await;
    stage.server.clear_requests();
    stage.submit(std::slice::from_ref(&fleet));
    // A status is nobody's wish.
    stage.edit(ObjectKind::Deployment, |object| object["status"] = json!({ "readyReplicas": 1 }));
    stage.quiet().await;
    assert_eq!(stage.server.writes(), []);

    // Another leader looks, and what it applies is what there is.
    let before = stage.get(ObjectKind::Service).unwrap();
    let (_lead, leading) = watch::channel(true);
    let other = Applier::start(stage.server.client(), leading, settings("fairlead.dev/gateway-controller"));
    other.submit(OrdMap::unit(gateway(), Arc::new(fleet.clone())));
    stage.quiet().await;
    assert_eq!(stage.get(ObjectKind::Service).unwrap(), before);
    assert!(stage.server.writes().len() <= fleet.objects.len());
}

#[tokio::test]
async fn what_changes_is_applied_alone() {
    let stage = Stage::new(true).await;
    let mut fleet = whole();
    stage.submit(std::slice::from_ref(&fleet));
    stage.settled(&fleet).await;
    stage.server.clear_requests();
    fleet.objects[3] = deployment(Some(5));
    stage.submit(&[fleet]);
    stage.until("replicas", |stage| stage.get(ObjectKind::Deployment).unwrap()["spec"]["replicas"] == 5).await;
    stage.quiet().await;
    let writes = stage.server.writes();
    assert!(matches!(writes.as_slice(), [one] if is_write_of(one, "deployments")), "{writes:?}");
}

#[tokio::test]
async fn what_others_change_of_ours_is_set_right_and_what_they_add_stays() {
    let stage = Stage::new(true).await;
    let fleet = whole();
    stage.submit(std::slice::from_ref(&fleet));
    stage.settled(&fleet).await;
    stage.edit(ObjectKind::Service, |service| {
        service["spec"]["type"] = json!("NodePort");
        service["spec"]["sessionAffinity"] = json!("ClientIP");
        service["metadata"]["annotations"]["example.com/note"] = json!("mine");
    });
    stage.until("set right", |stage| stage.get(ObjectKind::Service).unwrap()["spec"]["type"] == "ClusterIP").await;
    stage.quiet().await;
    let service = stage.get(ObjectKind::Service).unwrap();
    assert_eq!(service["spec"]["sessionAffinity"], "ClientIP");
    assert_eq!(service["metadata"]["annotations"]["example.com/note"], "mine");
    // One that is taken away comes back.
    let before = service["metadata"]["uid"].clone();
    stage.server.delete("services", NAMESPACE, "fairlead-web");
    stage.until("back", |stage| stage.get(ObjectKind::Service).is_some_and(|it| it["metadata"]["uid"] != before)).await;
}

#[tokio::test]
async fn what_is_not_wanted_any_more_goes_as_far_as_it_is_ours() {
    let stage = Stage::new(true).await;
    let fleet = whole();
    stage.submit(std::slice::from_ref(&fleet));
    stage.settled(&fleet).await;
    let (managed, app) = (MANAGED_BY, APP);
    // Owned by nobody, though it has our labels; and somebody else's by the same name in another namespace.
    for namespace in [NAMESPACE, "other"] {
        stage.server.put(json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": { "name": "by-hand", "namespace": namespace, "labels": { managed.0: managed.1, app.0: app.1 } },
        }));
    }
    let mut smaller = fleet.clone();
    smaller.objects.pop();
    stage.submit(std::slice::from_ref(&smaller));
    stage.until("no budget", |stage| stage.get(ObjectKind::PodDisruptionBudget).is_none()).await;
    // A Gateway that can't be served as it is keeps all it has.
    stage.submit(&[Fleet { objects: vec![smaller.objects[1].clone()], partial: true, ..smaller.clone() }]);
    stage.quiet().await;
    assert!(smaller.objects.iter().all(|object| stage.get(object.kind).is_some()));
    stage.submit(&[]);
    stage.until("nothing", |stage| smaller.objects.iter().all(|object| stage.get(object.kind).is_none())).await;
    stage.quiet().await;
    assert_eq!(stage.server.all("services").len(), 2);
}

#[tokio::test]
async fn what_belongs_to_another_controller_is_left_alone() {
    let stage = Stage::new(true).await;
    let fleet = whole();
    stage.submit(std::slice::from_ref(&fleet));
    stage.settled(&fleet).await;
    let service = stage.get(ObjectKind::Service).unwrap();
    assert_eq!(service["metadata"]["labels"][CONTROLLER], "fairlead.dev_gateway-controller");
    stage.server.clear_requests();
    let (_lead, leading) = watch::channel(true);
    let other = Applier::start(stage.server.client(), leading.clone(), settings("example.com/other"));
    other.submit(OrdMap::new());
    stage.quiet().await;
    assert_eq!(stage.server.writes(), []);
    // One of the same name would have deleted all of it.
    let twin = Applier::start(stage.server.client(), leading, settings("fairlead.dev/gateway-controller"));
    stage.applier.submit(OrdMap::new());
    twin.submit(OrdMap::new());
    stage.until("nothing", |stage| fleet.objects.iter().all(|object| stage.get(object.kind).is_none())).await;
}

#[tokio::test]
async fn an_object_that_is_not_ours_is_never_touched() {
    let stage = Stage::new(true).await;
    let theirs = stage.server.put(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "fairlead-web", "namespace": NAMESPACE },
        "spec": { "ports": [{ "port": 9 }] },
    }));
    stage.submit(&[whole()]);
    let problems = stage.problems(|problems| !problems.is_empty()).await;
    assert_eq!((problems[0].kind, problems[0].reason), (ObjectKind::Service, ProblemReason::NotOurs));
    stage.until("the others", |stage| stage.get(ObjectKind::Deployment).is_some()).await;
    stage.quiet().await;
    assert_eq!(stage.get(ObjectKind::Service).unwrap(), theirs);
    // Nor is it deleted with the Gateway.
    stage.submit(&[]);
    stage.until("the others gone", |stage| stage.get(ObjectKind::Deployment).is_none()).await;
    stage.quiet().await;
    assert_eq!(stage.get(ObjectKind::Service).unwrap(), theirs);
}

#[tokio::test]
async fn what_is_denied_is_a_problem_and_tried_again_ever_more_seldom() {
    let stage = Stage::new(true).await;
    let (allow, allowed) = watch::channel(false);
    stage.server.intercept(move |request| {
        let refused = is_write_of(request, "deployments") && !*allowed.borrow();
        let message = "deployments.apps \"fairlead-web\" is forbidden: User \"x\" cannot patch resource";
        refused.then(|| {
            (403, json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403, "message": message }))
        })
    });
    stage.submit(&[whole()]);
    let problems = stage.problems(|problems| !problems.is_empty()).await;
    let [problem] = problems.as_slice() else { panic!("{problems:?}") };
    assert_eq!((problem.kind, problem.reason), (ObjectKind::Deployment, ProblemReason::Forbidden));
    assert!(problem.message.contains("cannot patch resource"), "{problem}");
    assert!(problem.advice().contains("deployments.apps"), "{}", problem.advice());
    // The others are no worse for it.
    stage.until("the others", |stage| stage.get(ObjectKind::PodDisruptionBudget).is_some()).await;
    sleep(Duration::from_millis(3500)).await;
    let tries = stage.server.requests().iter().filter(|request| is_write_of(request, "deployments")).count();
    // At once, after about one second, and after two more.
    assert!((2..=3).contains(&tries), "{tries}");
    allow.send_replace(true);
    stage.until("made", |stage| stage.get(ObjectKind::Deployment).is_some()).await;
    assert!(stage.problems(<[Problem]>::is_empty).await.is_empty());
}

#[tokio::test]
async fn failures_of_the_server_are_tried_again() {
    let stage = Stage::new(true).await;
    let mut left = 3;
    stage.server.intercept(move |request| {
        let refused = is_write_of(request, "services") && left > 0;
        left -= i32::from(refused);
        let (code, reason) = if left == 2 { (409, "Conflict") } else { (500, "InternalError") };
        refused.then(|| {
            (code, json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code, "message": "later" }))
        })
    });
    stage.submit(&[whole()]);
    stage.until("made", |stage| stage.get(ObjectKind::Service).is_some()).await;
    assert!(stage.problems(<[Problem]>::is_empty).await.is_empty());
}

#[tokio::test]
async fn a_daemon_set_takes_the_place_of_a_deployment_when_it_is_ready() {
    let stage = Stage::new(true).await;
    let mut fleet = whole();
    stage.submit(std::slice::from_ref(&fleet));
    stage.settled(&fleet).await;
    fleet.objects[3] = object(ObjectKind::DaemonSet, json!({ "spec": { "template": {} } }));
    stage.submit(&[fleet]);
    stage.until("the new one", |stage| stage.get(ObjectKind::DaemonSet).is_some()).await;
    stage.quiet().await;
    assert!(stage.get(ObjectKind::Deployment).is_some(), "nobody serves until the new one is ready");
    stage.edit(ObjectKind::DaemonSet, |object| object["status"] = json!({ "numberReady": 1 }));
    stage.until("the old one gone", |stage| stage.get(ObjectKind::Deployment).is_none()).await;
}

#[tokio::test]
async fn who_leads_no_more_writes_no_more() {
    let stage = Stage::new(true).await;
    let mut fleet = whole();
    let theirs = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "fairlead-web", "namespace": NAMESPACE } });
    stage.server.put(theirs);
    stage.submit(std::slice::from_ref(&fleet));
    stage.problems(|problems| !problems.is_empty()).await;
    stage.quiet().await;
    stage.lead.send_replace(false);
    // What the next leader will see to is no problem of this one.
    assert!(stage.problems(<[Problem]>::is_empty).await.is_empty());
    stage.server.clear_requests();
    fleet.objects[3] = deployment(Some(7));
    stage.submit(&[fleet]);
    stage.edit(ObjectKind::ConfigMap, |object| object["data"] = json!({}));
    stage.quiet().await;
    assert_eq!(stage.server.writes(), []);
    stage.lead.send_replace(true);
    stage.until("again", |stage| stage.get(ObjectKind::ConfigMap).unwrap()["data"]["ca.crt"] == "PEM").await;
    stage.until("again", |stage| stage.get(ObjectKind::Deployment).unwrap()["spec"]["replicas"] == 7).await;
}

#[tokio::test]
async fn an_autoscaler_is_left_to_say_how_many_there_are() {
    let stage = Stage::new(true).await;
    let scaler = object(ObjectKind::HorizontalPodAutoscaler, json!({ "spec": { "minReplicas": 2, "maxReplicas": 9 } }));
    let mut fleet = fleet(vec![deployment(None), scaler]);
    stage.submit(std::slice::from_ref(&fleet));
    stage.settled(&fleet).await;
    assert_eq!(stage.get(ObjectKind::Deployment).unwrap()["spec"]["replicas"], 2);
    stage.edit(ObjectKind::Deployment, |object| object["spec"]["replicas"] = json!(6));
    stage.quiet().await;
    fleet.objects[0].manifest["spec"]["template"]["spec"]["containers"][0]["image"] = json!("two");
    stage.submit(&[fleet]);
    let image = |stage: &Stage| {
        stage.get(ObjectKind::Deployment).unwrap()["spec"]["template"]["spec"]["containers"][0]["image"].clone()
    };
    stage.until("the new image", |stage| image(stage) == "two").await;
    stage.quiet().await;
    assert_eq!(stage.get(ObjectKind::Deployment).unwrap()["spec"]["replicas"], 6);
}

#[tokio::test]
async fn pods_that_are_refused_are_a_problem_of_the_gateway() {
    let stage = Stage::new(true).await;
    let fleet = whole();
    stage.submit(std::slice::from_ref(&fleet));
    stage.settled(&fleet).await;
    let refused = json!([{ "type": "ReplicaFailure", "status": "True", "message": "exceeded quota: pods" }]);
    stage.edit(ObjectKind::Deployment, |object| object["status"] = json!({ "conditions": refused }));
    let problems = stage.problems(|problems| !problems.is_empty()).await;
    assert_eq!((problems[0].reason, &*problems[0].message), (ProblemReason::PodsRefused, "exceeded quota: pods"));
    stage.edit(ObjectKind::Deployment, |object| object["status"] = json!({ "readyReplicas": 1 }));
    assert!(stage.problems(<[Problem]>::is_empty).await.is_empty());
}
