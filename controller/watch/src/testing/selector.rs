//! Field and label selectors.

use serde_json::Value;

/// Which objects are meant.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selector {
    pub namespace: Option<String>,
    /// Path, whether it should equal, value.
    fields: Vec<(String, bool, String)>,
    labels: Vec<Label>,
}

#[derive(Clone, Debug)]
enum Label {
    Exists(String, bool),
    In(String, Vec<String>, bool),
}

impl Selector {
    pub fn new(namespace: Option<String>, fields: &str, labels: &str) -> Self {
        let fields = fields.split(',').filter(|term| !term.is_empty()).map(|term| {
            let (path, is_equal, value) = equation(term).expect("a field selector has = or !=");
            (path.to_owned(), is_equal, value.to_owned())
        });
        Selector { namespace, fields: fields.collect(), labels: terms(labels).map(Label::parse).collect() }
    }

    pub fn matches(&self, object: &Value) -> bool {
        let metadata = &object["metadata"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let field = |(path, is_equal, value): &(String, bool, String)| {
            let found = path.split('.').fold(object, |value, step| &value[step]);
            (text(found) == *value) == *is_equal
        };
        self.namespace.as_ref().is_none_or(|namespace| text(&metadata["namespace"]) == *namespace)
            && self.fields.iter().all(field)
            && self.labels.iter().all(|label| label.matches(&metadata["labels"]))
    }
}

impl Label {
    fn parse(term: &str) -> Label {
        let set = |text: &str| text.split(',').map(|value| value.trim().to_owned()).collect();
        if let Some((head, values)) = term.strip_suffix(')').and_then(|term| term.split_once('(')) {
            let head = head.trim();
            return match head.strip_suffix(" notin") {
                Some(name) => Label::In(name.trim().to_owned(), set(values), false),
                None => Label::In(head.trim_end_matches(" in").trim().to_owned(), set(values), true),
            };
        }
        match equation(term) {
            Some((name, is_equal, value)) => Label::In(name.to_owned(), vec![value.to_owned()], is_equal),
            None => match term.strip_prefix('!') {
                Some(name) => Label::Exists(name.to_owned(), false),
                None => Label::Exists(term.to_owned(), true),
            },
        }
    }

    fn matches(&self, labels: &Value) -> bool {
        match self {
            Label::Exists(name, exists) => labels[name].is_string() == *exists,
            Label::In(name, values, is_in) => {
                labels[name].as_str().is_some_and(|value| values.iter().any(|known| known == value)) == *is_in
            }
        }
    }
}

fn equation(term: &str) -> Option<(&str, bool, &str)> {
    if let Some((left, right)) = term.split_once("!=") {
        return Some((left.trim(), false, right.trim()));
    }
    let (left, right) = term.split_once("==").or_else(|| term.split_once('='))?;
    Some((left.trim(), true, right.trim()))
}

/// Splits at commas that are not within parentheses.
fn terms(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0;
    let terms = text.split(move |c| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    });
    terms.map(str::trim).filter(|term| !term.is_empty())
}
