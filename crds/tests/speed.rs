//! How long validation takes. Run with `cargo test --release -p fairlead-crds --test speed -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use fairlead_crds::{Kind, Object, unknown_enum_values, validate};
use serde_json::{Value, json};

fn route(number: usize) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": { "name": format!("route-{number}"), "namespace": "default" },
        "spec": {
            "parentRefs": [{ "name": "gateway" }],
            "hostnames": [format!("host-{number}.example.com")],
            "rules": [
                {
                    "matches": [{ "path": { "type": "PathPrefix", "value": format!("/a/{number}") } }],
                    "filters": [{ "type": "RequestHeaderModifier", "requestHeaderModifier": { "set": [{ "name": "x-a", "value": "b" }] } }],
                    "backendRefs": [{ "name": "a", "port": 80 }, { "name": "b", "port": 80, "weight": 9 }],
                },
                {
                    "matches": [{ "path": { "value": "/" }, "headers": [{ "name": "x-b", "value": "c" }] }],
                    "backendRefs": [{ "name": "c", "port": 8080 }],
                },
            ],
        },
    })
}

#[test]
#[ignore = "says something in release builds only"]
fn ten_thousand_routes_are_validated_in_two_seconds() {
    let routes: Vec<Value> = (0..10_000).map(route).collect();
    let timed = |what: &str, run: &dyn Fn(&Value)| {
        let start = Instant::now();
        routes.iter().for_each(run);
        let took = start.elapsed();
        println!("{what}: {took:?} for {} routes", routes.len());
        took
    };
    let validated = timed("validate", &|route| assert!(validate(Kind::HTTPRoute, route).is_empty()));
    timed("parse", &|route| assert!(Object::parse(Kind::HTTPRoute, route.clone()).is_ok()));
    timed("unknown_enum_values", &|route| assert!(unknown_enum_values(Kind::HTTPRoute, route).is_empty()));
    assert!(validated < Duration::from_secs(2), "{validated:?}");
}
