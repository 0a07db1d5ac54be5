use serde_json::{Map, Value, json};

use super::*;
use crate::Kind;
use crate::schema::{self, Additional, Node, Type};

fn holds(rule: &str, value: &Value) -> Result<bool, String> {
    let node = Node::load(&json!({
        "type": "object",
        "properties": { "namespace": { "type": "string" }, "a": { "type": "object" } },
        "x-kubernetes-validations": [{ "rule": rule, "message": "no" }],
    }));
    match check(&node.rules[0], &Tree::new(&node, value)) {
        Outcome::Holds => Ok(true),
        Outcome::Broken(_) => Ok(false),
        Outcome::Failed(message) => Err(message),
    }
}

#[test]
fn expressions_see_json_as_kubernetes_shows_it() {
    let value = json!({
        "namespace": "ns",
        "list": [1, 2, 2],
        "texts": ["a", "b"],
        "a": { "b": { "c": 1 } },
        "same": { "b": { "c": 1 } },
        "number": 1.5,
        "yes": true,
        "nothing": null,
    });
    for rule in [
        "self.__namespace__ == 'ns'",
        "has(self.a.b.c) && !has(self.a.b.d)",
        "size(self.list) == 3 && self.list[0] == 1",
        "self.list.exists_one(x, x == 1) && !self.list.exists_one(x, x == 2)",
        "self.list.filter(x, x == 2).size() == 2",
        "self.list.map(x, x + 1) == [2, 3, 3]",
        "self.texts == ['a', 'b'] && self.texts != ['a'] && self.texts != ['b', 'a']",
        "'b' in self.texts && !('c' in self.texts)",
        "'b' in self.a",
        "self.a == self.same",
        "self.a.all(key, key == 'b')",
        "self.number > 1.0 && self.number < 2.0",
        "self.yes && self.nothing == null",
        "type(self.list) == list && type(self.a) == map",
        "size(self.a) == 1",
    ] {
        assert_eq!(holds(rule, &value), Ok(true), "{rule}");
    }
    assert!(holds("self.missing == 1", &value).is_err(), "an absent field is an error");
    assert!(holds("self.missing == 1 || true", &value).unwrap(), "errors are absorbed");
    assert!(holds("'text'", &value).is_err(), "a rule must be a condition");
    assert!(holds("self.list[", &value).is_err(), "a rule must compile");
    assert_eq!(holds("self == oldSelf", &value), Ok(true), "there is no earlier state");
}

#[test]
fn functions_of_kubernetes_work() {
    let value = json!({});
    for rule in [
        "isIP('10.0.0.1') && isIP('::1') && !isIP('example.com')",
        "isCIDR('10.0.0.0/8') && !isCIDR('10.0.0.0')",
        "isURL('https://example.com/') && !isURL('no url')",
        "'abc'.matches('^a.c$') && matches('abc', 'b') && !'abc'.matches('^b')",
        "'abc-123'.find('[0-9]+') == '123'",
        "'*.example.com'.substring(2) == 'example.com'",
        "'a/b'.split('/')[1] == 'b'",
        "'AbC'.lowerAscii() == 'abc' && 'abc'.indexOf('c') == 2",
        "duration('1m') == duration('60s') && duration('1ms') < duration('1s')",
        "duration('1h') >= duration('1h') && duration('0s') != duration('1s')",
        "!format.dns1123Label().validate('a-b').hasValue()",
        "format.dns1123Label().validate('A').hasValue()",
        "format.qualifiedName().validate('a/b/c').hasValue()",
        "format.dns1123Subdomain().validate('a..b').value().size() == 1",
    ] {
        assert_eq!(holds(rule, &value), Ok(true), "{rule}");
    }
    assert!(holds("duration('long') > duration('1s')", &value).is_err());
    assert!(holds("'a'.matches('(')", &value).is_err());
}

#[test]
fn messages_come_from_the_rule() {
    let rule = |validation: Value| Node::load(&json!({ "x-kubernetes-validations": [validation] })).rules.remove(0);
    let value = json!({ "name": "x" });
    let message = |rule: &Rule| match check(rule, &Tree::new(Node::any(), &value)) {
        Outcome::Broken(message) => message,
        _ => panic!("{rule:?} holds"),
    };
    assert_eq!(message(&rule(json!({ "rule": "false", "message": "wrong" }))), "wrong");
    assert_eq!(message(&rule(json!({ "rule": "false" }))), "failed rule: false");
    let expression = rule(json!({
        "rule": "self.name == 'y'", "message": "wrong", "messageExpression": "'not ' + self.name",
    }));
    assert_eq!(message(&expression), "not x");
}

/// A value with every field that the schema has.
fn sample(node: &Node) -> Value {
    if let Some(first) = node.enum_.first() {
        return first.clone();
    }
    if let Some(default) = node.default.as_ref().filter(|default| !default.is_object() && !default.is_array()) {
        return default.clone();
    }
    match node.type_ {
        Some(Type::Object) => {
            let mut fields: Map<String, Value> =
                node.properties.iter().map(|(name, inner)| (name.to_string(), sample(inner))).collect();
            if let Some(Additional::Schema(inner)) = &node.additional {
                fields.insert("example.com/key".to_owned(), sample(inner));
            }
            Value::Object(fields)
        }
        Some(Type::Array) => node.items.iter().map(|inner| sample(inner)).cycle().take(2).collect(),
        Some(Type::String) => json!(sample_text(node)),
        Some(Type::Integer | Type::Number) => {
            json!(node.bounds.minimum.map_or(1, |least| least as i64))
        }
        Some(Type::Boolean) => json!(true),
        None => Value::Null,
    }
}

fn sample_text(node: &Node) -> &'static str {
    match &node.pattern {
        Some(pattern) if pattern.as_str().contains("ms") => "10s",
        _ => "a",
    }
}

fn each_rule(node: &Node, run: &mut impl FnMut(&Node, &Rule)) {
    node.rules.iter().for_each(|rule| run(node, rule));
    node.properties.values().for_each(|inner| each_rule(inner, run));
    node.items.iter().for_each(|inner| each_rule(inner, run));
    if let Some(Additional::Schema(inner)) = &node.additional {
        each_rule(inner, run);
    }
}

#[test]
fn every_rule_of_every_kind_compiles_and_evaluates() {
    let mut rules = 0;
    for kind in Kind::ALL {
        for version in schema::crd(*kind).iter().flat_map(|crd| &crd.versions) {
            let schema = schema::of(*kind, Some(&version.name)).unwrap();
            each_rule(schema, &mut |node, rule| {
                assert_eq!(rule.compiled().error(), None, "{kind}: {}", rule.rule);
                let value = sample(node);
                if let Outcome::Failed(message) = check(rule, &Tree::new(node, &value)) {
                    panic!("{kind} {}: {message}\n{}\n{value}", version.name, rule.rule);
                }
                rules += 1;
            });
        }
    }
    assert!(rules > 250, "{rules}");
}
