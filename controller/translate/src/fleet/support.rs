//! What stands around the proxies: ServiceAccount, ConfigMap, PodDisruptionBudget, HorizontalPodAutoscaler.

use super::{CA_KEY, Context, Object, ObjectKind};
use fairlead_crds::v1alpha1::WorkloadKind;
use serde_json::json;
use std::collections::BTreeMap;

const NONE: &BTreeMap<String, String> = &BTreeMap::new();

/// Who the proxies are. It has no rights, and its token is not mounted but for the push channel.
pub(super) fn service_account(context: &Context<'_>) -> Object {
    context.object(ObjectKind::ServiceAccount, [NONE, NONE], json!({ "automountServiceAccountToken": false }))
}

/// By what the proxies know the controller.
pub(super) fn config_map(context: &Context<'_>) -> Object {
    context.object(ObjectKind::ConfigMap, [NONE, NONE], json!({ "data": { CA_KEY: context.settings.ca_bundle } }))
}

/// How many proxies may go at once. One alone has none: it would keep its node from being drained.
pub(super) fn disruption_budget(context: &Context<'_>) -> Option<Object> {
    let parameters = context.parameters;
    let at_least = match &parameters.autoscaling {
        Some(autoscaling) => autoscaling.min_replicas.unwrap_or(1),
        None => parameters.replicas.unwrap_or(1),
    };
    let several = parameters.kind != Some(WorkloadKind::DaemonSet) && at_least > 1;
    let mut spec = match &parameters.pod_disruption_budget {
        Some(budget) => match (&budget.min_available, &budget.max_unavailable) {
            (Some(count), _) => json!({ "minAvailable": count }),
            (None, count) => json!({ "maxUnavailable": count }),
        },
        None if several => json!({ "maxUnavailable": 1 }),
        None => return None,
    };
    spec["selector"] = json!({ "matchLabels": context.selector() });
    // A proxy that is not ready serves nobody, and is not to be waited for.
    spec["unhealthyPodEvictionPolicy"] = json!("AlwaysAllow");
    Some(context.object(ObjectKind::PodDisruptionBudget, [NONE, NONE], json!({ "spec": spec })))
}

/// Who says how many proxies there are, when it is not the ProxyClass.
pub(super) fn autoscaler(context: &Context<'_>) -> Option<Object> {
    const MAX_REPLICAS: i32 = 5;
    const CPU: i32 = 80;
    let autoscaling = context.parameters.autoscaling.as_ref()?;
    let min = autoscaling.min_replicas.unwrap_or(1);
    let max = autoscaling.max_replicas.unwrap_or(min.max(MAX_REPLICAS));
    let target = autoscaling.target_cpu_utilization_percentage.unwrap_or(CPU);
    let spec = json!({
        "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": context.name },
        "minReplicas": min,
        "maxReplicas": max.max(min),
        "metrics": [{
            "type": "Resource",
            "resource": { "name": "cpu", "target": { "type": "Utilization", "averageUtilization": target } },
        }],
    });
    Some(context.object(ObjectKind::HorizontalPodAutoscaler, [NONE, NONE], json!({ "spec": spec })))
}
