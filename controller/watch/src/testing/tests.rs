use fairlead_crds::Kind;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams,
};
use serde_json::json;

use super::Server;

fn routes() -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute"))
}

fn map(name: &str, labels: serde_json::Value) -> serde_json::Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "a", "name": name, "labels": labels}})
}

#[tokio::test]
async fn lists_select_and_have_pages() {
    let server = Server::start().await;
    for index in 0..5 {
        server.put(map(&format!("m{index}"), json!({"even": (index % 2 == 0).to_string()})));
    }
    let api: Api<ConfigMap> = Api::namespaced(server.client(), "a");
    let even = api.list(&ListParams::default().labels("even=true")).await.unwrap();
    assert_eq!(even.items.len(), 3);
    assert_eq!(api.list(&ListParams::default().fields("metadata.name=m3")).await.unwrap().items.len(), 1);
    let page = api.list(&ListParams::default().limit(2)).await.unwrap();
    assert_eq!(page.items.len(), 2);
    let token = page.metadata.continue_.unwrap();
    let rest = api.list(&ListParams::default().continue_token(&token)).await.unwrap();
    assert_eq!(rest.items.len(), 3);
    let other: Api<ConfigMap> = Api::namespaced(server.client(), "b");
    assert_eq!(other.list(&ListParams::default()).await.unwrap().items.len(), 0);
}

#[tokio::test]
async fn a_status_is_written_apart_and_conflicts_are_seen() {
    let server = Server::start().await;
    server.install(&[Kind::HTTPRoute]);
    let route = server.put(json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"namespace": "a", "name": "r"}, "spec": {"hostnames": ["x.example"]},
    }));
    let version = route["metadata"]["resourceVersion"].as_str().unwrap();
    let api: Api<DynamicObject> = Api::namespaced_with(server.client(), "a", &routes());
    let status =
        json!({"metadata": {"resourceVersion": version}, "spec": {"hostnames": []}, "status": {"parents": []}});
    api.patch_status("r", &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
    let stored = server.get("httproutes", "a", "r").unwrap();
    assert_eq!(stored["spec"]["hostnames"], json!(["x.example"]));
    assert_eq!((&stored["metadata"]["generation"], &stored["status"]), (&json!(1), &json!({"parents": []})));
    let error = api.patch_status("r", &PatchParams::default(), &Patch::Merge(&status)).await.unwrap_err();
    assert!(matches!(error, kube::Error::Api(status) if status.code == 409 && status.reason == "Conflict"));
    let patch = json!({"spec": {"hostnames": ["y.example"]}, "status": null});
    api.patch("r", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    let stored = server.get("httproutes", "a", "r").unwrap();
    assert_eq!((&stored["metadata"]["generation"], &stored["status"]), (&json!(2), &json!({"parents": []})));
    assert_eq!(server.writes().len(), 3);
}

#[tokio::test]
async fn applying_creates_withdraws_and_deleting_collects_what_is_owned() {
    let server = Server::start().await;
    let api: Api<Service> = Api::namespaced(server.client(), "a");
    let owner = server.put(map("owner", json!({})));
    let service = |spec: serde_json::Value| {
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "s", "ownerReferences": [
                {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]},
            ]},
            "spec": spec,
        })
    };
    let params = PatchParams::apply("test").force();
    let first = service(json!({"type": "ClusterIP", "ports": [{"port": 80}]}));
    api.patch("s", &params, &Patch::Apply(&first)).await.unwrap();
    let by_hand = json!({"spec": {"clusterIP": "10.0.0.1"}});
    api.patch("s", &PatchParams::default(), &Patch::Merge(&by_hand)).await.unwrap();
    api.patch("s", &params, &Patch::Apply(&service(json!({"ports": [{"port": 81}]})))).await.unwrap();
    let stored = server.get("services", "a", "s").unwrap();
    assert_eq!(stored["spec"], json!({"ports": [{"port": 81}], "clusterIP": "10.0.0.1"}));

    let error = api.create(&PostParams::default(), &serde_json::from_value(stored).unwrap()).await.unwrap_err();
    assert!(matches!(error, kube::Error::Api(status) if status.code == 409 && status.reason == "AlreadyExists"));
    let maps: Api<ConfigMap> = Api::namespaced(server.client(), "a");
    maps.delete("owner", &DeleteParams::default()).await.unwrap();
    assert!(server.all("services").is_empty());
    assert!(matches!(api.get("s").await.unwrap_err(), kube::Error::Api(status) if status.code == 404));
}

#[tokio::test]
async fn kinds_without_crd_are_not_there() {
    let server = Server::start().await;
    let api: Api<DynamicObject> = Api::all_with(server.client(), &routes());
    let error = api.list(&ListParams::default()).await.unwrap_err();
    assert!(matches!(error, kube::Error::Api(status) if status.code == 404));
    server.install(&[Kind::HTTPRoute]);
    assert!(api.list(&ListParams::default()).await.unwrap().items.is_empty());
    server.deny("httproutes");
    let error = api.list(&ListParams::default()).await.unwrap_err();
    assert!(matches!(error, kube::Error::Api(status) if status.code == 403));
}
