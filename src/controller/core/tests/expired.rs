//! Watches that can't go on: the API server has forgotten what happened since (410 Gone).

use super::*;
use fairlead_ir::Resource;
use fairlead_watch::testing::Gone;

impl Stage {
    /// Paths of statuses that were written, and of proxies' objects that were applied or deleted.
    fn written(&self) -> BTreeSet<String> {
        let writes = self.api.writes().into_iter().filter(|request| !request.path.ends_with("/events"));
        writes.map(|request| format!("{} {}", request.method, request.path)).collect()
    }

    fn route(&self, name: &str) -> Value {
        self.api.get("httproutes", "shop", name).unwrap_or_default()
    }

    /// What was pushed for the Gateway so far, and is.
    fn version(&self) -> u64 {
        self.versions.borrow().get("shop/web").copied().unwrap_or_default()
    }
}

fn redirect(name: &str, host: &str) -> Value {
    let filter = json!({ "type": "RequestRedirect", "requestRedirect": { "hostname": "x.example" } });
    let rules = json!([{ "filters": [filter] }]);
    object("HTTPRoute", name, json!({ "parentRefs": [{ "name": "web" }], "hostnames": [host], "rules": rules }))
}

fn is_accepted(route: &Value) -> bool {
    condition(&route["status"]["parents"][0]["conditions"], "Accepted").is_some_and(|(status, _)| status == "True")
}

/// All ways in which an API server says so: at once when it is back, or in the midst of a watch (`None`). Only what changed meanwhile is
/// written, and nothing is withdrawn that is there.
#[tokio::test]
async fn what_was_missed_is_found_and_nothing_else_is_touched() {
    for gone in [Some(Gone::Status), Some(Gone::Event), None] {
        let api = cluster().await;
        let names: Vec<String> = (0..600).map(|index| format!("r{index:03}")).collect();
        names.iter().for_each(|name| drop(api.put(redirect(name, &format!("{name}.example")))));
        let stage = Stage::start(api).await;
        let pushes = stage.proxy();
        stage.until("all have a status", |stage| names.iter().all(|name| is_accepted(&stage.route(name)))).await;
        stage.until("the count", |stage| stage.attached() == 601).await;
        stage
            .until("the proxies' Deployment", |stage| stage.api.get("deployments", "shop", "fairlead-web").is_some())
            .await;
        sleep(Duration::from_millis(500)).await;
        let (before, known) = (stage.version(), pushes.lock().unwrap().len());

        match gone {
            Some(_) => stage.api.down().await,
            None => stage.api.expire(),
        }
        stage.api.delete("httproutes", "shop", "r007");
        stage.api.put(redirect("new", "new.example"));
        stage.api.clear_requests();
        if let Some(gone) = gone {
            stage.api.compact(gone);
            sleep(Duration::from_millis(300)).await;
            assert_eq!(stage.version(), before, "{gone:?}: nothing is withdrawn while it is away");
            stage.api.up().await;
        }

        stage.until("the new one's status", |stage| is_accepted(&stage.route("new"))).await;
        sleep(Duration::from_millis(700)).await;
        let mut lists = stage.api.requests().into_iter().filter(|request| request.path.ends_with("/httproutes"));
        assert!(lists.any(|request| !request.query.contains("watch=true")), "{gone:?}: it was listed again");
        assert_eq!(stage.attached(), 601, "{gone:?}: one less and one more");
        let mut written = stage.written();
        // Counting the same is no change, unless the two were seen one after the other.
        written.retain(|one| !one.ends_with("/gateways/web/status"));
        let expected = "PATCH /apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes/new/status";
        assert_eq!(written, BTreeSet::from([expected.to_owned()]), "{gone:?}");

        let pushes = pushes.lock().unwrap().split_off(known);
        let ids = |ids: &mut dyn Iterator<Item = ResourceId>| ids.collect::<BTreeSet<_>>();
        let upserts = ids(&mut pushes.iter().flat_map(|push| push.upserts.iter().map(Resource::id)));
        let removals = ids(&mut pushes.iter().flat_map(|push| push.removals.iter().cloned()));
        assert_eq!(upserts, BTreeSet::from([ResourceId::Route("httproute/shop/new/0".into())]), "{gone:?}");
        assert_eq!(removals, BTreeSet::from([ResourceId::Route("httproute/shop/r007/0".into())]), "{gone:?}");
    }
}
