//! Many objects cost few writes.

use super::*;
use futures_util::stream::{self, StreamExt as _};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, PostParams};

const ROUTES: usize = 1000;
/// Writes of the Gateway's status that these may cost.
const MOST: usize = 50;

/// As fast as an API server takes them.
#[tokio::test]
async fn a_thousand_routes_cost_few_writes_of_their_gateway_and_one_each() {
    let api = cluster().await;
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute"));
    let routes: Api<DynamicObject> = Api::namespaced_with(api.client(), "shop", &kind);
    let stage = Stage::start(api).await;
    stage.proxy();
    stage.until("the first route", |stage| stage.attached() == 1).await;
    stage.api.clear_requests();
    let start = Instant::now();
    let create = |index: usize| {
        let (routes, parent) = (routes.clone(), json!([{ "name": "web" }]));
        let rules = json!([{ "backendRefs": [{ "name": "s", "port": 443 }] }]);
        let hostnames = json!([format!("h{index}.example")]);
        let route = object(
            "HTTPRoute",
            &format!("r{index}"),
            json!({ "parentRefs": parent, "hostnames": hostnames, "rules": rules }),
        );
        async move { routes.create(&PostParams::default(), &serde_json::from_value(route).unwrap()).await.map(drop) }
    };
    let created: Vec<_> = stream::iter(0..ROUTES).map(create).buffer_unordered(16).collect().await;
    assert!(created.iter().all(Result::is_ok));
    let took = start.elapsed();
    stage.until("all are attached", |stage| stage.attached() == ROUTES as u64 + 1).await;
    let accepted =
        |route: &Value| route["status"]["parents"][0]["conditions"].as_array().is_some_and(|all| !all.is_empty());
    stage.until("all have a status", |stage| stage.api.all("httproutes").iter().all(accepted)).await;
    // What would be written again and again would be now.
    sleep(Duration::from_millis(500)).await;
    let writes = stage.api.writes();
    let of = |part: &str| {
        writes.iter().filter(|request| request.path.contains(part) && request.path.ends_with("/status")).count()
    };
    let (gateways, routes) = (of("/gateways/"), of("/httproutes/"));
    println!("{ROUTES} routes created in {took:?}: {gateways} writes of the Gateway's status, {routes} of the routes'");
    assert!((1..=MOST).contains(&gateways), "{gateways}");
    assert_eq!(routes, ROUTES, "one each");
    assert_eq!(of("/gatewayclasses/"), 0);
}
