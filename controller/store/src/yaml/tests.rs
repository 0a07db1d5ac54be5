use std::num::NonZeroU32;

use serde_json::{Value, json};

use super::{Error, MAX_DEPTH, Mark, Spans, parse, split};

fn one(text: &str) -> Value {
    let mut documents = parse(text).expect("parses");
    assert_eq!(documents.len(), 1, "{documents:?}");
    documents.remove(0).value
}

fn fails(text: &str) -> Error {
    parse(text).expect_err("does not parse")
}

#[test]
fn scalars_mean_what_they_mean_to_kubectl() {
    let cases = [
        ("yes", json!(true)),
        ("On", json!(true)),
        ("n", json!(false)),
        ("~", Value::Null),
        ("8080", json!(8080)),
        ("-1", json!(-1)),
        ("+12", json!(12)),
        ("010", json!(8)),
        ("0o10", json!(8)),
        ("0x1F", json!(31)),
        ("0b101", json!(5)),
        ("1_000", json!(1000)),
        ("08", json!(8)),
        ("1e3", json!(1000)),
        ("1.0", json!(1)),
        ("1.5", json!(1.5)),
        (".5", json!(0.5)),
        ("18446744073709551615", json!(u64::MAX)),
        ("-9223372036854775808", json!(i64::MIN)),
        ("'8080'", json!("8080")),
        ("\"yes\"", json!("yes")),
        ("!!str 8080", json!("8080")),
        ("1.2.3", json!("1.2.3")),
        ("10.0.0.1", json!("10.0.0.1")),
        ("5s", json!("5s")),
        ("2024-01-01", json!("2024-01-01")),
        ("--", json!("--")),
        ("0x", json!("0x")),
        ("1e", json!("1e")),
        (".nan", json!(".nan")),
        ("shop.example.com", json!("shop.example.com")),
        ("*.example.com", json!(null)),
    ];
    for (text, expected) in cases {
        if text.starts_with('*') {
            assert!(parse(&format!("a: {text}")).is_err(), "an alias without anchor");
            continue;
        }
        assert_eq!(one(&format!("a: {text}"))["a"], expected, "{text}");
    }
}

#[test]
fn reads_json_block_scalars_and_merge_keys() {
    let json = "{\n\t\"a\": [1, \"x\\u00e9\", null, true],\n\t\"b\": {\"c\": 1.5}\n}";
    assert_eq!(one(json), json!({"a": [1, "xé", null, true], "b": {"c": 1.5}}));
    assert_eq!(one("a: |\n  x\n  ---\n  y\nb: >-\n  p\n  q\n"), json!({"a": "x\n---\ny\n", "b": "p q"}));
    let merged = "base: &b {x: 1, y: 2}\nmore: &m {x: 5, z: 6}\nuse:\n  <<: [*b, *m]\n  y: 3\n";
    assert_eq!(one(merged)["use"], json!({"x": 1, "y": 3, "z": 6}));
    assert_eq!(one("80: a\ntrue: b\n"), json!({"80": "a", "true": "b"}));
}

#[test]
fn says_where_the_error_is() {
    let error = fails("a: 1\nb: [1, 2\nc: 3\n");
    assert_eq!(error.mark.line, 3, "{error:?}");
    let error = fails("a: 1\nb: 2\na: 3\n");
    assert_eq!(error.mark, Mark { line: 3, column: 1, length: 1 });
    assert!(error.message.contains("`a` is there twice"));
    let error = fails("a:\n\tb: 1\n");
    assert_eq!(error.mark.line, 2, "{error:?}");
    assert_eq!(fails("? [a, b]\n: c\n").message, "a key must be a string");
}

#[test]
fn bombs_are_harmless() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..12 {
        let list = vec![format!("*a{}", i - 1); 10].join(", ");
        text += &format!("a{i}: &a{i} [{list}]\n");
    }
    assert!(fails(&text).message.contains("expand"));
    let mut text = "a0: &a0 [x]\n".to_owned();
    for i in 1..5_000 {
        text += &format!("a{i}: &a{i} [*a{}]\n", i - 1);
    }
    let message = fails(&text).message;
    assert!(message.contains("collections within each other") || message.contains("expand"), "{message}");
    assert!(fails(&"[".repeat(100_000)).mark.column as usize <= MAX_DEPTH + 2);
    assert!(parse(&"- ".repeat(100_000)).is_err());
    assert!(fails("a: &a [*a]").message.contains("own anchor"));
}

#[test]
fn splits_at_document_markers_only() {
    let text = "# head\n---\na: 1\n--- # comment\n---\nb: |\n  ---\n  x\n---x: 1\n---\r\nc: 3\r\n---\n# nothing\n";
    let chunks = split(text);
    let lines: Vec<u32> = chunks.iter().map(|chunk| chunk.line).collect();
    assert_eq!(lines, [1, 4, 10]);
    assert_eq!(chunks.iter().map(|chunk| chunk.text.len()).sum::<usize>(), text.len() - "---\n# nothing\n".len());
    assert_eq!(one(chunks[0].text), json!({"a": 1}));
    assert_eq!(one(chunks[2].text), json!({"c": 3}));
    assert_eq!(split("%YAML 1.2\n---\na: 1\n").len(), 1);
    assert_eq!(split("--- {a: 1}\n--- {b: 1}").len(), 2);
    assert_eq!(split("").len() + split("---\n---\n").len() + split("# x\n").len(), 0);
    assert_eq!(one(split("\u{feff}a: 1").remove(0).text), json!({"a": 1}));
    let two = parse("a: 1\n...\nb: 2\n").expect("parses");
    assert_eq!(two.iter().map(|document| document.mark.line).collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn knows_where_fields_stand() {
    let text = "kind: Secret\nmetadata:\n  labels:\n    app.kubernetes.io/name: x\ndata:\n  tls.crt: abc\n  tls: y\nspec:\n  rules:\n  - name: a\n  - name: bb\n    list: [10, 20]\n";
    let spans = Spans::of(text).remove(0);
    let at = |path| {
        let mark = spans.locate(path);
        (mark.line, mark.column, mark.length)
    };
    assert_eq!(at("kind"), (1, 7, 6));
    assert_eq!(at("data.tls.crt"), (6, 12, 3));
    assert_eq!(at("data.tls"), (7, 8, 1));
    assert_eq!(at("metadata.labels.app.kubernetes.io/name"), (4, 29, 1));
    assert_eq!(at("spec.rules[1].name"), (11, 11, 2));
    assert_eq!(at("spec.rules[1].list[1]"), (12, 16, 2));
    assert_eq!(at("spec.rules[1].list"), (12, 5, 4));
    assert_eq!(at("spec.rules[1].missing.deeper").0, 11, "the nearest that is there");
    assert_eq!(at("spec.parentRefs"), (8, 1, 4));
    assert_eq!(at("."), (1, 1, 0));
    let list = "kind: List\nitems:\n- kind: A\n  x: 1\n- kind: B\n";
    assert_eq!(parse(list).expect("parses")[0].items, [3, 5]);
    assert_eq!(
        Spans::of(list)[0].item(NonZeroU32::new(2).expect("not 0")).map(|item| item.locate("kind").column),
        Some(9)
    );
}
