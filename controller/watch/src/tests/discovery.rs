//! Kinds that not every cluster has, and the channel of the CRDs.

use super::*;

fn bundle(version: &str, text: &str) -> Value {
    json!({
        "apiVersion": format!("certificates.k8s.io/{version}"), "kind": "ClusterTrustBundle",
        "metadata": {"name": "example.com:ca:v1"}, "spec": {"trustBundle": text},
    })
}

#[tokio::test]
async fn trust_bundles_are_watched_as_long_as_the_server_has_them() {
    let server = Server::with_all_kinds().await;
    let mut watch = watch(&server).await;
    next(&mut watch).await;
    assert!(!watch.serves(Kind::ClusterTrustBundle));
    assert!(health(&watch, |_| true).await.is_empty(), "not to have them is no problem");
    server.put(bundle("v1alpha1", "one"));
    server.serve(Kind::ClusterTrustBundle, "v1alpha1");
    let of = |change: &Change| {
        let key = Key::cluster("example.com:ca:v1");
        Some(change.world.all::<fairlead_crds::core::ClusterTrustBundle>().get(&key)?.spec.trust_bundle.clone())
    };
    until(&mut watch, |change| of(change).as_deref() == Some("one")).await;
    assert!(watch.serves(Kind::ClusterTrustBundle));
    server.put(bundle("v1alpha1", "two"));
    until(&mut watch, |change| of(change).as_deref() == Some("two")).await;
    // A later version takes its place.
    server.clear_requests();
    server.serve(Kind::ClusterTrustBundle, "v1beta1");
    timeout(Duration::from_secs(20), async {
        while !server
            .requests()
            .iter()
            .any(|request| request.path == "/apis/certificates.k8s.io/v1beta1/clustertrustbundles")
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .unwrap();
    server.withdraw(Kind::ClusterTrustBundle);
    until(&mut watch, |change| of(change).is_none()).await;
    assert!(!watch.serves(Kind::ClusterTrustBundle));
}

#[tokio::test]
async fn trust_bundles_that_may_not_be_read_hold_nothing_up() {
    let server = Server::with_all_kinds().await;
    server.serve(Kind::ClusterTrustBundle, "v1beta1");
    server.put(bundle("v1beta1", "one"));
    server.deny("clustertrustbundles");
    let mut watch = watch(&server).await;
    let change = next(&mut watch).await;
    assert_eq!(change.world.entries(Kind::ClusterTrustBundle).len(), 0);
    assert!(watch.serves(Kind::ClusterTrustBundle));
    let problems = health(&watch, |problems| !problems.is_empty()).await;
    assert_eq!((problems[0].kind, problems[0].cause), (Some(Kind::ClusterTrustBundle), Cause::Denied));
    server.allow("clustertrustbundles");
    until(&mut watch, |change| change.world.entries(Kind::ClusterTrustBundle).len() == 1).await;
}

#[tokio::test]
async fn the_channel_of_the_crds_is_known() {
    let server = Server::with_all_kinds().await;
    let mut watch = watch(&server).await;
    next(&mut watch).await;
    assert!(!watch.is_experimental());
    let mut gateways = server.get("customresourcedefinitions", "", "gateways.gateway.networking.k8s.io").unwrap();
    gateways["metadata"]["annotations"]["gateway.networking.k8s.io/channel"] = json!("experimental");
    server.put(gateways);
    until(&mut watch, |_| true).await;
    assert!(watch.is_experimental());
}
