use super::*;

#[test]
fn every_kind_with_a_crd_has_a_schema_for_each_of_its_versions() {
    let mut kinds = 0;
    for kind in Kind::ALL.iter().filter(|kind| source(**kind).is_some()) {
        let crd = crd(*kind).unwrap_or_else(|| panic!("{kind} has no readable CRD"));
        for version in &crd.versions {
            let schema = crd.schema(Some(&version.name)).unwrap();
            assert_eq!(schema.type_, Some(Type::Object));
            assert!(schema.properties.contains_key("spec"), "{kind} {}", version.name);
        }
        assert!(crd.schema(Some("v9")).is_some(), "an unknown version falls back to the stored one");
        kinds += 1;
    }
    assert!(kinds >= 14, "{kinds}");
}

#[test]
fn what_is_experimental_is_known() {
    let routes = crd(Kind::HTTPRoute).unwrap();
    assert!(routes.experimental_fields.iter().any(|path| path == "spec.rules[].sessionPersistence"));
    assert!(!routes.experimental_fields.iter().any(|path| path == "spec.rules[].timeouts"));
    assert!(crd(Kind::TLSRoute).unwrap().experimental_versions.iter().any(|version| version == "v1alpha2"));
}

#[test]
fn every_pattern_compiles() {
    fn walk(node: &Node, patterns: &mut usize) {
        if let Some(pattern) = &node.pattern {
            assert!(pattern.regex().is_some(), "{}", pattern.as_str());
            *patterns += 1;
        }
        node.properties.values().for_each(|inner| walk(inner, patterns));
        node.items.iter().for_each(|inner| walk(inner, patterns));
        if let Some(Additional::Schema(inner)) = &node.additional {
            walk(inner, patterns);
        }
    }
    let mut patterns = 0;
    for kind in Kind::ALL {
        if let Some(node) = of(*kind, None) {
            walk(node, &mut patterns);
        }
    }
    assert!(patterns > 100, "{patterns}");
}
