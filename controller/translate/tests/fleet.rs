//! What must hold for the objects of all Gateways' proxies.

#![allow(clippy::unwrap_used)]

mod common;

use common::{cases, objects, settings};
use fairlead_store::World;
use fairlead_translate::fleet::{Fleet, ObjectKind, label_value, object_name};
use fairlead_translate::plan;
use serde_json::{Value, json};
use std::sync::Arc;

fn fleets() -> Vec<(String, Arc<Fleet>)> {
    let of_case = |case: std::path::PathBuf| {
        let fleet = plan(&World::of(objects(&case)), &settings(&case)).fleet;
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        fleet.iter().map(|(key, fleet)| (format!("{name}: {key}"), fleet.clone())).collect::<Vec<_>>()
    };
    cases().into_iter().flat_map(of_case).collect()
}

fn pods() -> Vec<(String, Value)> {
    let pod = |(name, fleet): &(String, Arc<Fleet>)| {
        let workload =
            fleet.objects.iter().find(|o| matches!(o.kind, ObjectKind::Deployment | ObjectKind::DaemonSet))?;
        Some((name.clone(), workload.manifest["spec"]["template"].clone()))
    };
    fleets().iter().filter_map(pod).collect()
}

/// Pod Security Standards, "restricted" (Kubernetes 1.34), and a root filesystem that can't be written to.
fn violations(pod: &Value) -> Vec<&'static str> {
    let (spec, security) = (&pod["spec"], &pod["spec"]["securityContext"]);
    let mut found = Vec::new();
    let mut check = |holds: bool, what| found.extend((!holds).then_some(what));
    check(["hostNetwork", "hostPID", "hostIPC"].iter().all(|field| spec[*field] != true), "host namespaces");
    check(security["runAsNonRoot"] == true && security["runAsUser"] != 0, "root");
    check(security["seccompProfile"]["type"] == "RuntimeDefault", "seccomp");
    let sysctls = security["sysctls"].as_array().into_iter().flatten();
    check(sysctls.into_iter().all(|sysctl| sysctl["name"] == "net.ipv4.ip_unprivileged_port_start"), "sysctls");
    let allowed =
        ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"];
    for volume in spec["volumes"].as_array().unwrap() {
        let mut kinds = volume.as_object().unwrap().keys().filter(|field| *field != "name");
        check(kinds.all(|kind| allowed.contains(&kind.as_str())), "volumes");
    }
    for container in spec["containers"].as_array().unwrap() {
        let security = &container["securityContext"];
        check(security["privileged"] != true && security["allowPrivilegeEscalation"] == false, "escalation");
        check(security["readOnlyRootFilesystem"] == true, "root filesystem");
        check(security["capabilities"]["drop"] == json!(["ALL"]), "capabilities kept");
        check(
            security["capabilities"]["add"].as_array().is_none_or(|add| add == &[json!("NET_BIND_SERVICE")]),
            "capabilities",
        );
        let ports = container["ports"].as_array().unwrap();
        check(ports.iter().all(|port| port["hostPort"].is_null()), "host ports");
    }
    found
}

#[test]
fn pods_are_what_the_restricted_standard_wants() {
    let pods = pods();
    assert!(pods.len() > 10);
    let mut on_host = 0;
    for (name, pod) in pods {
        if pod["spec"]["hostNetwork"] == true {
            // Ports below 1024 of a node can't be had otherwise.
            assert_eq!(violations(&pod), ["host namespaces", "root"], "{name}");
            on_host += 1;
        } else {
            assert_eq!(violations(&pod), [""; 0], "{name}");
        }
        assert_eq!(pod["spec"]["automountServiceAccountToken"], false, "{name}");
    }
    assert_eq!(on_host, 1);
}

#[test]
fn selectors_select_the_pods_and_nothing_else() {
    let mut selectors = Vec::new();
    for (name, fleet) in fleets() {
        let of = |kind| fleet.objects.iter().find(|object| object.kind == kind).map(|object| &object.manifest);
        let Some(workload) = of(ObjectKind::Deployment).or_else(|| of(ObjectKind::DaemonSet)) else { continue };
        let selector = &workload["spec"]["selector"]["matchLabels"];
        let labels = &workload["spec"]["template"]["metadata"]["labels"];
        assert!(selector.as_object().unwrap().iter().all(|(label, value)| labels[label] == *value), "{name}");
        assert_eq!(of(ObjectKind::Service).unwrap()["spec"]["selector"], *selector, "{name}");
        if let Some(budget) = of(ObjectKind::PodDisruptionBudget) {
            assert_eq!(budget["spec"]["selector"]["matchLabels"], *selector, "{name}");
        }
        let case = name.split(':').next().unwrap().to_owned();
        assert!(!selectors.contains(&(case.clone(), selector.clone())), "{name}: somebody else has the same selector");
        selectors.push((case, selector.clone()));
    }
}

#[test]
fn names_and_labels_have_room() {
    for (name, fleet) in fleets() {
        assert!(fleet.name.len() <= 63 && !fleet.name.contains('.'), "{name}");
        for object in &fleet.objects {
            assert!(object.key.name.len() <= 63, "{name}");
            for (label, value) in object.manifest["metadata"]["labels"].as_object().unwrap() {
                assert!(value.as_str().unwrap().len() <= 63, "{name}: {label}");
            }
        }
    }
    // They are in objects of clusters, so they must not change.
    assert_eq!(object_name("web"), "fairlead-web");
    assert_eq!(object_name("a.b"), object_name("a.b"));
    assert_ne!(object_name("a.b"), object_name("a-b"));
    let long = "x".repeat(253);
    assert_ne!(object_name(&long), object_name(&format!("{}y", "x".repeat(252))));
    assert_eq!(label_value(&long).len(), 63);
}
