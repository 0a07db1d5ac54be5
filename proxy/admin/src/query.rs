//! Query strings.

use crate::reply::Reply;
use http::StatusCode;
use percent_encoding::percent_decode_str;

/// The parameters of a request that an endpoint knows; others are refused.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Takes a query string apart.
    ///
    /// # Errors
    ///
    /// A 400 that names a parameter which is not among `known`.
    pub(crate) fn parse(text: &str, known: &[&str]) -> Result<Self, Reply> {
        let mut pairs = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name), decode(value));
            if !known.contains(&name.as_str()) {
                let hint =
                    if known.is_empty() { "there is none here".into() } else { format!("known: {}", known.join(", ")) };
                return Err(Reply::text(StatusCode::BAD_REQUEST, format!("unknown parameter `{name}`; {hint}")));
            }
            pairs.push((name, value));
        }
        Ok(Query { pairs })
    }

    /// The last value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().rev().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter that has a few.
    ///
    /// # Errors
    ///
    /// A 400 that names them.
    pub fn choice(&self, name: &str, choices: &[&str]) -> Result<Option<&str>, Reply> {
        match self.get(name) {
            Some(value) if !choices.contains(&value) => Err(Reply::text(
                StatusCode::BAD_REQUEST,
                format!("{name}={value}: one of {} is expected", choices.join(", ")),
            )),
            value => Ok(value),
        }
    }
}

fn decode(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses() {
        let query = Query::parse("a=1%2F2&b=x+y&&a=3&c", &["a", "b", "c"]).unwrap();
        assert_eq!(
            (query.get("a"), query.get("b"), query.get("c"), query.get("d")),
            (Some("3"), Some("x y"), Some(""), None)
        );
        assert_eq!(Query::parse("d=1", &["a"]).unwrap_err().status, StatusCode::BAD_REQUEST);
        assert!(query.choice("a", &["4"]).is_err());
        assert_eq!(query.choice("a", &["3"]).unwrap(), Some("3"));
        assert_eq!(query.choice("d", &["3"]).unwrap(), None);
    }
}
