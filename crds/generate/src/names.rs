//! Go and JSON names → Rust names.

/// `caCertificateRefs` → `ca_certificate_refs`; `HTTPRoute` → `http_route`.
pub fn snake(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (i, c) in chars.iter().enumerate() {
        if c.is_ascii_uppercase() {
            let after_lower = i > 0 && !chars[i - 1].is_ascii_uppercase() && chars[i - 1] != '_';
            let before_lower = i > 0 && chars.get(i + 1).is_some_and(char::is_ascii_lowercase);
            if (after_lower || before_lower) && !out.ends_with('_') {
                out.push('_');
            }
            out.push(c.to_ascii_lowercase());
        } else if c.is_ascii_alphanumeric() {
            out.push(*c);
        } else if !out.is_empty() && !out.ends_with('_') {
            out.push('_');
        }
    }
    out
}

/// The name serde's `rename_all = "camelCase"` gives to a snake-case field.
pub fn camel(field: &str) -> String {
    let mut out = String::new();
    for (i, part) in field.split('_').filter(|part| !part.is_empty()).enumerate() {
        if i == 0 {
            out.push_str(part);
        } else {
            let (first, rest) = part.split_at(1);
            out.push_str(&first.to_ascii_uppercase());
            out.push_str(rest);
        }
    }
    out
}

/// A field name that is not a keyword.
pub fn field(json: &str) -> String {
    let name = snake(json);
    match name.as_str() {
        "type" | "ref" | "match" | "use" | "mod" | "enum" | "in" | "where" => format!("{name}_"),
        _ => name,
    }
}

/// An enum variant for a value: `PathPrefix` → `PathPrefix`, `GET` → `Get`, `*` → `Any`, `1.2` → `V1_2`.
pub fn variant(value: &str) -> String {
    if value == "*" {
        return "Any".to_owned();
    }
    if value.starts_with(|c: char| c.is_ascii_digit()) {
        return format!("V{}", value.replace(|c: char| !c.is_ascii_alphanumeric(), "_"));
    }
    let name: String = snake(value)
        .split('_')
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (first, rest) = part.split_at(1);
            first.to_ascii_uppercase() + rest
        })
        .collect();
    name
}

/// Whether a field is boxed: large, rarely set, and in a type of which a cluster has many.
pub fn is_rare(definition: &str, field: &str) -> bool {
    const RULES: &[&str] = &["HTTPRouteRule", "GRPCRouteRule"];
    const FIELDS: &[&str] = &["retry", "sessionPersistence", "timeouts"];
    RULES.contains(&definition) && FIELDS.contains(&field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_snake_case_and_round_trip_where_serde_can() {
        for (json, rust) in [
            ("caCertificateRefs", "ca_certificate_refs"),
            ("type", "type_"),
            ("replacePrefixMatch", "replace_prefix_match"),
        ] {
            assert_eq!(field(json), rust);
        }
        assert_eq!(camel("ca_certificate_refs"), "caCertificateRefs");
        assert_eq!(snake("HTTPRoute"), "http_route");
        assert_eq!(snake("GRPCAuthConfig"), "grpc_auth_config");
    }

    #[test]
    fn variants_are_pascal_case() {
        for (value, rust) in [
            ("PathPrefix", "PathPrefix"),
            ("GET", "Get"),
            ("HTTP2", "Http2"),
            ("URLRewrite", "UrlRewrite"),
            ("*", "Any"),
            ("IPAddress", "IpAddress"),
        ] {
            assert_eq!(variant(value), rust);
        }
    }
}
