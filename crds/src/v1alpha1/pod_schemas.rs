//! JSON schemas of the pods' types that `ProxyClass` takes from Kubernetes (`core/v1`).

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

/// `ResourceRequirements`, without claims.
pub(super) fn resources(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "properties": {
            "limits": quantities("At the most."),
            "requests": quantities("What the scheduler sets aside."),
        },
    })
}

/// A list of `Toleration`.
pub(super) fn tolerations(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 64,
        "items": {
            "type": "object",
            "properties": {
                "effect": string("Which effect; all when absent."),
                "key": string("Which taint; all when absent."),
                "operator": one_of(&["Exists", "Equal"], "Whether the value matters; Equal when absent."),
                "tolerationSeconds": { "type": "integer", "format": "int64", "description": "For how long, with effect NoExecute." },
                "value": string("The taint's value, with operator Equal."),
            },
        },
    })
}

/// `Affinity`.
pub(super) fn affinity(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "properties": {
            "nodeAffinity": {
                "type": "object",
                "description": "Which nodes.",
                "properties": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {
                        "type": "object",
                        "required": ["nodeSelectorTerms"],
                        "properties": { "nodeSelectorTerms": list(node_selector_term()) },
                    },
                    "preferredDuringSchedulingIgnoredDuringExecution": list(json!({
                        "type": "object",
                        "required": ["preference", "weight"],
                        "properties": { "preference": node_selector_term(), "weight": weight() },
                    })),
                },
            },
            "podAffinity": pod_affinity("Near which pods."),
            "podAntiAffinity": pod_affinity("Away from which pods."),
        },
    })
}

/// A list of `TopologySpreadConstraint`.
pub(super) fn topology_spread_constraints(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 16,
        "items": {
            "type": "object",
            "required": ["maxSkew", "topologyKey", "whenUnsatisfiable"],
            "properties": {
                "labelSelector": label_selector("Which pods count; those of the Gateway when absent."),
                "matchLabelKeys": strings("Labels whose values must be the same, too."),
                "maxSkew": { "type": "integer", "format": "int32", "minimum": 1, "description": "The difference to put up with." },
                "minDomains": { "type": "integer", "format": "int32", "minimum": 1, "description": "At least this many domains." },
                "nodeAffinityPolicy": one_of(&["Honor", "Ignore"], "Whether node selectors matter to the count."),
                "nodeTaintsPolicy": one_of(&["Honor", "Ignore"], "Whether taints matter to the count."),
                "topologyKey": string("The label of nodes that names the domain."),
                "whenUnsatisfiable": one_of(&["DoNotSchedule", "ScheduleAnyway"], "What to do when it can't be met."),
            },
        },
    })
}

/// A list of references to objects in the Gateway's namespace.
pub(super) fn local_references(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 16,
        "items": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": { "type": "string", "minLength": 1, "maxLength": 253, "description": "The object's name." },
            },
        },
    })
}

/// A list of `EnvVar`.
pub(super) fn env(_: &mut SchemaGenerator) -> Schema {
    let key_of = |what: &str| {
        json!({
            "type": "object",
            "description": format!("A key of a {what} in the Gateway's namespace."),
            "required": ["key", "name"],
            "properties": {
                "key": string("The key."),
                "name": string("The object."),
                "optional": { "type": "boolean", "description": "Whether it may be missing." },
            },
        })
    };
    json_schema!({
        "type": "array",
        "maxItems": 64,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
        "items": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": { "type": "string", "minLength": 1, "maxLength": 256, "description": "The variable." },
                "value": string("Its value."),
                "valueFrom": {
                    "type": "object",
                    "description": "Where its value is.",
                    "properties": {
                        "configMapKeyRef": key_of("ConfigMap"),
                        "secretKeyRef": key_of("Secret"),
                        "fieldRef": {
                            "type": "object",
                            "description": "A field of the pod.",
                            "required": ["fieldPath"],
                            "properties": { "apiVersion": string("v1."), "fieldPath": string("The field.") },
                        },
                        "resourceFieldRef": {
                            "type": "object",
                            "description": "What the container requests or is limited to.",
                            "required": ["resource"],
                            "properties": {
                                "containerName": string("The container."),
                                "divisor": quantity("The unit."),
                                "resource": string("Such as limits.cpu."),
                            },
                        },
                    },
                },
            },
        },
    })
}

/// A number of pods, or a share of them.
pub(super) fn count(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "anyOf": [{ "type": "integer" }, { "type": "string" }],
        "x-kubernetes-int-or-string": true,
        "pattern": "^[0-9]{1,9}%?$",
    })
}

fn pod_affinity(description: &str) -> Value {
    let term = json!({
        "type": "object",
        "required": ["topologyKey"],
        "properties": {
            "labelSelector": label_selector("Which pods."),
            "matchLabelKeys": strings("Labels whose values must be the same, too."),
            "mismatchLabelKeys": strings("Labels whose values must differ."),
            "namespaceSelector": label_selector("In which namespaces."),
            "namespaces": strings("In which namespaces, by name."),
            "topologyKey": string("The label of nodes that names the domain."),
        },
    });
    let weighted = json!({
        "type": "object",
        "required": ["podAffinityTerm", "weight"],
        "properties": { "podAffinityTerm": term, "weight": weight() },
    });
    json!({
        "type": "object",
        "description": description,
        "properties": {
            "requiredDuringSchedulingIgnoredDuringExecution": list(term),
            "preferredDuringSchedulingIgnoredDuringExecution": list(weighted),
        },
    })
}

fn node_selector_term() -> Value {
    json!({
        "type": "object",
        "properties": { "matchExpressions": list(requirement()), "matchFields": list(requirement()) },
    })
}

fn label_selector(description: &str) -> Value {
    json!({
        "type": "object",
        "description": description,
        "properties": {
            "matchExpressions": list(requirement()),
            "matchLabels": { "type": "object", "additionalProperties": { "type": "string" } },
        },
    })
}

fn requirement() -> Value {
    json!({
        "type": "object",
        "required": ["key", "operator"],
        "properties": { "key": string("The label."), "operator": string("In, NotIn, Exists, DoesNotExist; Gt and Lt for nodes."), "values": strings("The values.") },
    })
}

fn weight() -> Value {
    json!({ "type": "integer", "format": "int32", "minimum": 1, "maximum": 100, "description": "How much it counts." })
}

fn quantities(description: &str) -> Value {
    json!({ "type": "object", "description": description, "additionalProperties": quantity("") })
}

fn quantity(description: &str) -> Value {
    let mut quantity = json!({
        "anyOf": [{ "type": "integer" }, { "type": "string" }],
        "x-kubernetes-int-or-string": true,
        "pattern": QUANTITY,
    });
    if !description.is_empty() {
        quantity["description"] = description.into();
    }
    quantity
}

fn one_of(values: &[&str], description: &str) -> Value {
    json!({ "type": "string", "enum": values, "description": description })
}

fn string(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}

fn strings(description: &str) -> Value {
    json!({ "type": "array", "items": { "type": "string" }, "description": description })
}

fn list(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

/// `resource.Quantity`, as Kubernetes writes it in CRDs.
const QUANTITY: &str = r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$";
