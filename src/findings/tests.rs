use super::*;
use fairlead_store::{Files, Settings};

const MANIFESTS: &str = "apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: shop}
spec:
  gatewayClassName: fairlead
  listeners:
  - {name: http, port: 80, protocol: HTTP}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: cart, namespace: shop}
spec:
  parentRefs: [{name: gw}]
  rules:
  - matches: [{path: {value: /a}}]
  - backendRefs:
    - {name: nowhere, port: 80}
    - {name: elsewhere, namespace: other, port: 80}
";

fn world() -> (tempfile::TempDir, World) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("m.yaml"), MANIFESTS).unwrap();
    let change = Files::open(Settings::new([dir.path()]), |_| {}).change();
    assert_eq!(change.problems, []);
    (dir, change.world)
}

#[test]
fn rejections_name_the_object_and_the_place() {
    let rejected = [
        (ResourceId::Route("httproute/shop/cart/1".into()), "too large".to_owned()),
        (ResourceId::Listener("gateway/shop/gw/http".into()), "no certificate".to_owned()),
        (ResourceId::Cluster("odd".into()), "unknown".to_owned()),
    ];
    let (_dir, world) = world();
    let found = of_rejections(&world, &rejected);
    let told: Vec<_> = found
        .iter()
        .map(|problem| (problem.message.as_ref(), problem.place.as_ref().map(|place| place.line), problem.severity))
        .collect();
    assert_eq!(
        told,
        [
            (
                "HTTPRoute shop/cart: spec.rules[1]: the proxy does not take it: too large [not served]",
                Some(16),
                Severity::Error
            ),
            ("Gateway shop/gw: the proxy does not take it: no certificate [not served]", Some(1), Severity::Error),
            ("odd: the proxy does not take it: unknown [not served]", None, Severity::Error),
        ]
    );
}

#[test]
fn each_fault_has_its_own_reason() {
    let (_dir, world) = world();
    let plan = fairlead_translate::plan(&world, &fairlead_translate::Settings::default());
    let messages: Vec<String> = of_plan(&world, &plan).into_iter().map(|p| p.message.to_string()).collect();
    let of = |reference: &str| messages.iter().filter(|m| m.contains(reference)).collect::<Vec<_>>();
    let (missing, forbidden) = (of("backendRefs[0]"), of("backendRefs[1]"));
    assert!(missing.len() == 1 && missing[0].ends_with("[not ResolvedRefs: BackendNotFound]"), "{messages:#?}");
    assert!(forbidden.len() == 1 && forbidden[0].ends_with("[not ResolvedRefs: RefNotPermitted]"), "{messages:#?}");
    assert!(!messages.iter().any(|m| m.contains("(RefNotPermitted)")), "once is enough: {messages:#?}");
}
