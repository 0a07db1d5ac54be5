use serde_json::json;

use super::*;
use crate::gateway::LocalObjectReference;
use crate::{Kind, Object};

#[test]
fn a_backend_has_three_sorts_of_endpoints() {
    let value = json!({
        "apiVersion": "fairlead.dev/v1alpha1",
        "kind": "Backend",
        "metadata": { "name": "b", "namespace": "ns" },
        "spec": {
            "endpoints": [
                { "ip": { "address": "10.0.0.1", "port": 80 }, "zone": "a" },
                { "fqdn": { "hostname": "example.com", "port": 443 }, "hostname": "sni.example.com" },
                { "unix": { "path": "/run/app.sock" } },
            ],
            "appProtocols": ["gateway.envoyproxy.io/h2c", "example.com/x"],
        },
    });
    let object = Object::parse(Kind::of("fairlead.dev/v1alpha1", "Backend").unwrap(), value).unwrap();
    let backend = object.typed::<Backend>().unwrap();
    let [ip, fqdn, unix] = backend.spec.endpoints.as_slice() else { panic!("{backend:?}") };
    assert_eq!(ip.ip, Some(IpEndpoint { address: "10.0.0.1".to_owned(), port: 80 }));
    assert_eq!(ip.zone.as_deref(), Some("a"));
    assert_eq!(fqdn.fqdn.as_ref().unwrap().port, 443);
    assert_eq!(fqdn.hostname.as_deref(), Some("sni.example.com"));
    assert_eq!(unix.unix.as_ref().unwrap().path, "/run/app.sock");
    assert!(backend.spec.app_protocols[0].is_h2c());
    assert_eq!(backend.spec.app_protocols[1], AppProtocol::Other("example.com/x".into()));
}

#[test]
fn a_route_filter_rewrites_and_answers() {
    let value = json!({
        "metadata": { "name": "f" },
        "spec": {
            "urlRewrite": {
                "hostname": { "type": "Header", "header": "x-host" },
                "path": { "type": "ReplaceRegexMatch", "replaceRegexMatch": { "pattern": "^/a/(.*)", "substitution": "/\\1" } },
            },
            "directResponse": {
                "statusCode": 503,
                "contentType": "text/plain",
                "body": { "type": "ValueRef", "valueRef": { "group": "", "kind": "ConfigMap", "name": "body" } },
            },
        },
    });
    let object = Object::parse(Kind::RouteFilter, value).unwrap();
    let spec = &object.typed::<RouteFilter>().unwrap().spec;
    let rewrite = spec.url_rewrite.as_ref().unwrap();
    assert_eq!(rewrite.hostname.as_ref().unwrap().type_, HostnameRewriteType::Header);
    let path = rewrite.path.as_ref().unwrap();
    assert_eq!(path.type_, PathRewriteType::ReplaceRegexMatch);
    assert_eq!(path.replace_regex_match.as_ref().unwrap().substitution, "/\\1");
    let response = spec.direct_response.as_ref().unwrap();
    assert_eq!(response.status_code, Some(503));
    let name = "body".to_owned();
    let reference = LocalObjectReference { group: String::new(), kind: "ConfigMap".to_owned(), name };
    assert_eq!(response.body.as_ref().unwrap().value_ref, Some(reference));
}
