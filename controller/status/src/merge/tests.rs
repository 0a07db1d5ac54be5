use super::*;
use fairlead_crds::gateway::ParentReference;
use fairlead_translate::status::{ConditionStatus, ConditionType, ParentStatus, Reason};
use proptest::prelude::*;

const OURS: &str = "fairlead.dev/gateway-controller";
const NOW: &str = "2026-01-01T00:00:00Z";
const THEN: &str = "2020-01-01T00:00:00Z";

fn condition(kind: ConditionType, status: bool, generation: i64) -> Condition {
    let status = if status { ConditionStatus::True } else { ConditionStatus::False };
    Condition { kind, status, reason: Reason::Accepted, message: "m".into(), observed_generation: Some(generation) }
}

fn parent(name: &str, conditions: Vec<Condition>) -> ParentStatus {
    let parent_ref = ParentReference { name: name.to_owned(), ..ParentReference::default() };
    ParentStatus { parent_ref, controller_name: OURS.into(), conditions }
}

fn route(names: &[&str], status: bool, generation: i64) -> Wanted {
    let parents =
        names.iter().map(|n| parent(n, vec![condition(ConditionType::Accepted, status, generation)])).collect();
    Wanted::Route(Arc::new(RouteStatus { parents }))
}

fn document(value: Value) -> Document {
    value.as_object().cloned().unwrap()
}

fn patch(live: &Document, wanted: &Wanted) -> Patch {
    Merge { controller: OURS, namespace: "shop", now: NOW }.patch(live, wanted)
}

fn foreign() -> Value {
    json!({ "parentRef": { "name": "edge" }, "controllerName": "other", "odd": [1], "conditions": [] })
}

#[test]
fn foreign_parents_stay_and_ours_that_no_longer_hold_go() {
    let old = json!({ "parentRef": { "name": "old" }, "controllerName": OURS, "conditions": [] });
    let live = document(json!({ "parents": [foreign(), old], "more": 1 }));
    let merged = patch(&live, &route(&["edge"], true, 2)).applied(&live);
    assert_eq!(merged["parents"][0], foreign());
    assert_eq!(merged["parents"].as_array().unwrap().len(), 2);
    assert_eq!(merged["parents"][1]["parentRef"]["name"], "edge");
    assert_eq!(merged["more"], 1);
    let none = patch(&merged, &Wanted::NoParent).applied(&merged);
    assert_eq!(none["parents"], json!([foreign()]));
    assert!(patch(&none, &Wanted::NoParent).is_empty());
    assert!(patch(&Document::new(), &Wanted::NoParent).is_empty());
}

#[test]
fn a_reference_is_the_same_with_and_without_its_defaults() {
    let filled =
        json!({ "group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "shop", "name": "edge" });
    let live = document(json!({ "parents": [{ "parentRef": filled, "controllerName": OURS, "conditions": [] }] }));
    let merged = patch(&live, &route(&["edge"], true, 1)).applied(&live);
    assert_eq!(merged["parents"].as_array().unwrap().len(), 1);
    assert_eq!(merged["parents"][0]["parentRef"], filled);
}

#[test]
fn the_time_changes_with_the_status_only() {
    let condition = json!({ "type": "Accepted", "status": "True", "reason": "Old", "message": "", "lastTransitionTime": THEN, "observedGeneration": 1 });
    let live = document(
        json!({ "parents": [{ "parentRef": { "name": "edge" }, "controllerName": OURS, "conditions": [condition] }] }),
    );
    let same = patch(&live, &route(&["edge"], true, 2));
    let of = |patch: &Patch| patch.fields["parents"][0]["conditions"][0].clone();
    assert_eq!((&of(&same)["lastTransitionTime"], &of(&same)["observedGeneration"]), (&json!(THEN), &json!(2)));
    assert_eq!(same.turns.len(), 1);
    let other = patch(&live, &route(&["edge"], false, 2));
    assert_eq!(of(&other)["lastTransitionTime"], NOW);
    assert_eq!(other.turns[0].before.as_deref(), Some("True"));
}

#[test]
fn conditions_of_others_stay_and_ours_that_no_longer_hold_go() {
    let theirs = json!({ "type": "example.com/Warm", "status": "Unknown", "x": {} });
    let gone = json!({ "type": "PartiallyInvalid", "status": "True" });
    let live = document(
        json!({ "parents": [{ "parentRef": { "name": "edge" }, "controllerName": OURS, "conditions": [theirs, gone] }] }),
    );
    let patch = patch(&live, &route(&["edge"], true, 1));
    let conditions = patch.fields["parents"][0]["conditions"].as_array().unwrap();
    assert_eq!(conditions.len(), 2);
    assert_eq!(conditions[0], theirs);
    assert_eq!(conditions[1]["type"], "Accepted");
    assert_eq!(
        patch.turns.iter().map(|turn| (turn.kind, turn.after)).collect::<Vec<_>>(),
        [("PartiallyInvalid", None), ("Accepted", Some(true))]
    );
}

#[test]
fn a_policy_has_at_most_sixteen_ancestors_and_others_come_first() {
    let theirs: Vec<Value> =
        (0..14).map(|i| json!({ "ancestorRef": { "name": i.to_string() }, "controllerName": "other" })).collect();
    let live = document(json!({ "ancestors": theirs }));
    let ancestors = (0..5).map(|i| {
        let ParentStatus { parent_ref, controller_name, conditions } = parent(&i.to_string(), vec![]);
        fairlead_translate::status::AncestorStatus { ancestor_ref: parent_ref, controller_name, conditions }
    });
    let wanted = Wanted::Policy(Arc::new(PolicyStatus { ancestors: ancestors.collect() }));
    let merged = patch(&live, &wanted).applied(&live);
    assert_eq!(merged["ancestors"].as_array().unwrap().len(), 16);
    assert_eq!(merged["ancestors"].as_array().unwrap()[..14], theirs[..]);
}

fn gateway(listeners: &[(&str, u32)]) -> Wanted {
    let listeners = listeners.iter().map(|(name, attached)| ListenerStatus {
        name: (*name).into(),
        supported_kinds: vec![],
        attached_routes: *attached,
        conditions: vec![condition(ConditionType::Programmed, true, 1)],
    });
    let conditions = vec![condition(ConditionType::Accepted, true, 1)];
    Wanted::Gateway(Arc::new(GatewayStatus {
        addresses: vec![],
        conditions,
        listeners: listeners.collect(),
        attached_listener_sets: 0,
    }))
}

#[test]
fn listeners_keep_foreign_conditions_and_their_order_is_no_difference() {
    let theirs = json!({ "type": "X", "status": "True" });
    let live = document(
        json!({ "addresses": [{ "value": "1.2.3.4" }], "listeners": [{ "name": "b", "conditions": [theirs] }, { "name": "gone" }] }),
    );
    let merged = patch(&live, &gateway(&[("a", 1), ("b", 2)])).applied(&live);
    assert_eq!(merged["listeners"].as_array().unwrap().len(), 2);
    assert_eq!(merged["listeners"][1]["conditions"][0], theirs);
    assert!(!merged.contains_key("addresses"));
    assert!(patch(&merged, &gateway(&[("b", 2), ("a", 1)])).is_empty());
    let counted = patch(&merged, &gateway(&[("a", 5), ("b", 2)]));
    assert_eq!(counted.fields.keys().collect::<Vec<_>>(), ["listeners"]);
    assert!(counted.turns.is_empty(), "a count is no turn");
}

fn any_live() -> impl Strategy<Value = Document> {
    let kind = prop::sample::select(vec!["Accepted", "ResolvedRefs", "PartiallyInvalid", "Foreign", "Other"]);
    let condition = (kind, any::<bool>(), 0..4i64).prop_map(|(kind, status, generation)| {
        json!({ "type": kind, "status": if status { "True" } else { "False" }, "reason": "R", "message": "m",
            "observedGeneration": generation, "lastTransitionTime": THEN })
    });
    let conditions = prop::collection::vec(condition, 0..4).prop_map(|mut conditions| {
        conditions.sort_by_key(|c| c["type"].to_string());
        conditions.dedup_by_key(|c| c["type"].to_string());
        conditions
    });
    let entry = (prop::sample::select(vec![OURS, "one", "two"]), 0..4u8, conditions).prop_map(|(controller, name, conditions)| {
        json!({ "parentRef": { "name": name.to_string() }, "controllerName": controller, "conditions": conditions })
    });
    prop::collection::vec(entry, 0..8).prop_map(|parents| document(json!({ "parents": parents })))
}

proptest! {
    #[test]
    fn merging_is_idempotent_and_never_touches_others(live in any_live(), names in prop::collection::vec(0..4u8, 0..4), status: bool) {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let wanted = route(&names.iter().map(String::as_str).collect::<Vec<_>>(), status, 3);
        let merged = patch(&live, &wanted).applied(&live);
        prop_assert!(patch(&merged, &wanted).is_empty());
        let others = |status: &Document| array(status, "parents").iter().filter(|p| p["controllerName"] != OURS).cloned().collect::<Vec<_>>();
        prop_assert_eq!(others(&live), others(&merged));
        let mut ours: Vec<_> = array(&merged, "parents").iter().filter(|p| p["controllerName"] == OURS).map(|p| p["parentRef"]["name"].to_string()).collect();
        ours.sort();
        let mut expected: Vec<_> = names.iter().map(|n| format!("{n:?}")).collect();
        expected.sort();
        expected.dedup();
        prop_assert_eq!(ours, expected);
    }
}
