//! Labels of scopes, rendered once when the control side asks for a handle.

use std::fmt::Write;

/// Labels of a listener's series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerLabels<'a> {
    /// The listener's id: `gateway/<namespace>/<name>/<section>` or `listenerset/…`.
    pub listener: &'a str,
    /// `<namespace>/<name>` of the Gateway.
    pub gateway: &'a str,
}

/// Labels of a route rule's series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteLabels<'a> {
    /// `HTTPRoute`, `GRPCRoute` …
    pub kind: &'a str,
    /// Of the route object.
    pub namespace: &'a str,
    /// Name of the route object.
    pub route: &'a str,
    /// The rule's name, or its index when it has none.
    pub rule: &'a str,
}

impl<'a> RouteLabels<'a> {
    /// From an id of the IR (`httproute/<namespace>/<name>/<rule index>`) and the rule's name. An id of another form becomes
    /// the `route` label as it is.
    pub fn of(id: &'a str, rule: Option<&'a str>) -> Self {
        let mut parts = id.split('/');
        match (parts.next(), parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(kind), Some(namespace), Some(route), Some(index), None) => {
                RouteLabels { kind: kind_of(kind), namespace, route, rule: rule.unwrap_or(index) }
            }
            _ => RouteLabels { kind: "", namespace: "", route: id, rule: rule.unwrap_or("") },
        }
    }
}

/// Labels of a cluster's series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterLabels<'a> {
    /// The cluster's id: `service/<namespace>/<name>/<port>` …
    pub cluster: &'a str,
}

/// Labels of an endpoint's series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointLabels<'a> {
    /// The cluster's id.
    pub cluster: &'a str,
    /// Address and port, or the path of a unix socket.
    pub endpoint: &'a str,
}

fn kind_of(id_kind: &str) -> &str {
    match id_kind {
        "httproute" => "HTTPRoute",
        "grpcroute" => "GRPCRoute",
        "tlsroute" => "TLSRoute",
        "tcproute" => "TCPRoute",
        "udproute" => "UDPRoute",
        other => other,
    }
}

/// Labels as they stand between the braces of a series.
pub(crate) trait Labels {
    /// Names and values, in the order in which they are written.
    fn pairs(&self) -> Vec<(&'static str, &str)>;

    fn render(&self) -> String {
        render(&self.pairs())
    }
}

pub(crate) fn render(pairs: &[(&str, &str)]) -> String {
    let mut out = String::new();
    for (i, (name, value)) in pairs.iter().enumerate() {
        let _ = write!(out, "{}{name}=\"", if i > 0 { "," } else { "" });
        escape(value, &mut out);
        out.push('"');
    }
    out
}

/// Label values escape `\`, `"` and line feeds (Prometheus text exposition format 0.0.4).
pub(crate) fn escape(value: &str, out: &mut String) {
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
}

/// The value that was escaped.
pub(crate) fn unescape(escaped: &str) -> String {
    let mut out = String::with_capacity(escaped.len());
    let mut chars = escaped.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.extend(chars.next().map(|c| if c == 'n' { '\n' } else { c })),
            c => out.push(c),
        }
    }
    out
}

impl Labels for ListenerLabels<'_> {
    fn pairs(&self) -> Vec<(&'static str, &str)> {
        vec![("listener", self.listener), ("gateway", self.gateway)]
    }
}

impl Labels for RouteLabels<'_> {
    fn pairs(&self) -> Vec<(&'static str, &str)> {
        vec![("route", self.route), ("namespace", self.namespace), ("kind", self.kind), ("rule", self.rule)]
    }
}

impl Labels for ClusterLabels<'_> {
    fn pairs(&self) -> Vec<(&'static str, &str)> {
        vec![("cluster", self.cluster)]
    }
}

impl Labels for EndpointLabels<'_> {
    fn pairs(&self) -> Vec<(&'static str, &str)> {
        vec![("cluster", self.cluster), ("endpoint", self.endpoint)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_values() {
        let labels = EndpointLabels { cluster: "a\\b\"c\nd", endpoint: "é" };
        assert_eq!(unescape("a\\\\b\\\"c\\nd"), labels.cluster);
        assert_eq!(labels.render(), "cluster=\"a\\\\b\\\"c\\nd\",endpoint=\"é\"");
    }

    #[test]
    fn reads_route_ids() {
        let labels = RouteLabels::of("grpcroute/shop/cart/2", None);
        assert_eq!(labels, RouteLabels { kind: "GRPCRoute", namespace: "shop", route: "cart", rule: "2" });
        assert_eq!(RouteLabels::of("httproute/shop/cart/0", Some("pay")).rule, "pay");
        assert_eq!(RouteLabels::of("odd", None).route, "odd");
    }
}
