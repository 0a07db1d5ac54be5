use fairlead_crds::Kind;

use super::{Crd, Definition, Definitions, bundle};

fn definitions(bundles: &[(Kind, Option<&str>)]) -> Definitions {
    let definition = |bundle: Option<&str>| Definition { bundle: bundle.map(str::to_owned), ..Definition::default() };
    bundles.iter().map(|(kind, bundle)| (*kind, definition(*bundle))).collect()
}

#[test]
fn a_crd_of_this_moment_has_no_conditions() {
    for status in [r#"{"conditions":null,"acceptedNames":{},"storedVersions":null}"#, "null", "{}"] {
        let text = format!(r#"{{"spec":{{"versions":[{{"name":"v1","served":true}}]}},"status":{status}}}"#);
        let crd: Crd = serde_json::from_str(&text).unwrap();
        assert_eq!(crd.conditions().count(), 0, "{status}");
    }
}

#[test]
fn the_oldest_bundle_counts() {
    let all = definitions(&[
        (Kind::Gateway, Some("v1.10.0")),
        (Kind::HTTPRoute, Some("v1.9.2-rc.1")),
        (Kind::GRPCRoute, None),
        (Kind::Backend, Some("v0.1.0")),
    ]);
    assert_eq!(bundle(&all).as_deref(), Some("v1.9.2-rc.1"));
    assert_eq!(bundle(&definitions(&[(Kind::Gateway, None)])), None);
}
