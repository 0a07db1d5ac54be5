//! Label selectors.

use fairlead_crds::meta::{LabelSelector, Labels};

/// What is wrong with a selector, with the path of the field below it.
pub(crate) fn check(selector: &LabelSelector) -> Result<(), String> {
    for (i, expression) in selector.match_expressions.iter().flatten().enumerate() {
        let path = format!("matchExpressions[{i}]");
        let values = expression.values.as_ref().is_some_and(|values| !values.is_empty());
        match (&*expression.operator, values) {
            ("In" | "NotIn", true) | ("Exists" | "DoesNotExist", false) => {}
            ("In" | "NotIn", false) => return Err(format!("{path}: operator {} needs values", expression.operator)),
            ("Exists" | "DoesNotExist", true) => {
                return Err(format!("{path}: operator {} takes no values", expression.operator));
            }
            (other, _) => return Err(format!("{path}: operator {other:?} is none of In, NotIn, Exists, DoesNotExist")),
        }
    }
    Ok(())
}

/// Whether the labels match; an empty selector takes all, a malformed expression none.
pub(crate) fn matches(selector: &LabelSelector, labels: &Labels) -> bool {
    let equal = selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value.as_str()));
    let expressions = selector.match_expressions.iter().flatten().all(|expression| {
        let value = labels.get(&expression.key);
        let listed = || expression.values.iter().flatten().any(|listed| Some(listed.as_str()) == value);
        match &*expression.operator {
            "In" => value.is_some() && listed(),
            "NotIn" => !listed(),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => false,
        }
    });
    equal && expressions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(json: serde_json::Value) -> LabelSelector {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn labels_and_expressions_are_anded() {
        let labels: Labels = [("team", "shop"), ("env", "prod")].into_iter().collect();
        let expression = |operator: &str, key: &str, values: &[&str]| {
            matches(
                &selector(
                    serde_json::json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]}),
                ),
                &labels,
            )
        };
        assert!(matches(&LabelSelector::default(), &labels));
        assert!(matches(&selector(serde_json::json!({"matchLabels": {"team": "shop"}})), &labels));
        assert!(!matches(&selector(serde_json::json!({"matchLabels": {"team": "shop", "env": "test"}})), &labels));
        assert!(expression("In", "env", &["test", "prod"]));
        assert!(!expression("In", "zone", &["a"]));
        assert!(expression("NotIn", "env", &["test"]));
        assert!(expression("NotIn", "zone", &["a"]));
        assert!(!expression("NotIn", "env", &["prod"]));
        assert!(expression("Exists", "env", &[]));
        assert!(expression("DoesNotExist", "zone", &[]));
        assert!(!expression("Gt", "env", &["1"]));
    }

    #[test]
    fn malformed_ones_are_named() {
        let wrong = selector(serde_json::json!({"matchExpressions": [{"key": "a", "operator": "In"}]}));
        assert_eq!(check(&wrong).unwrap_err(), "matchExpressions[0]: operator In needs values");
        let wrong =
            selector(serde_json::json!({"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]}));
        assert!(check(&wrong).unwrap_err().contains("none of In"));
    }
}
