use super::*;
use fairlead_ir::{Address, Endpoint, Endpoints, Secret};

fn endpoints() -> Resource {
    let address = Address::Ip(([10, 0, 0, 1], 80).into());
    let endpoints = vec![Endpoint { address, weight: 1, zone: None }];
    Resource::Endpoints(Arc::new(Endpoints { id: "service/a/b/80".into(), endpoints }))
}

fn sealed(kind: &str, id: &str, payload: &str) -> proto::Resource {
    proto::Resource { kind: kind.into(), id: id.into(), payload: payload.to_string().into() }
}

#[test]
fn a_resource_comes_out_as_it_went_in() {
    let secret = Secret { id: "secret/a/b".into(), certificates: "C".into(), key: Some("K".into()) };
    for resource in [endpoints(), Resource::Secret(Arc::new(secret))] {
        let sealed = encode(&resource).unwrap();
        let name = resource.id();
        let (kind, id) = kind_of(&name);
        assert_eq!((sealed.kind.as_str(), sealed.id.as_str()), (kind, &**id));
        assert_eq!(decode(&sealed).unwrap(), resource);
        assert_eq!(decode_name(&sealed.kind, &sealed.id), Some(name));
    }
}

#[test]
fn fields_of_a_newer_program_are_passed_over() {
    let text = r#"{"id": "service/a/b/80", "endpoints": [{"address": {"ip": "10.0.0.1:80"}, "weight": 1, "later": {"x": 1}}], "new": [1]}"#;
    assert_eq!(decode(&sealed("endpoints", "service/a/b/80", text)), Ok(endpoints()));
}

#[test]
fn what_is_not_understood_is_said_with_its_place() {
    let newer = r#"{"id": "e", "endpoints": [{"address": {"vsock": 3}, "weight": 1}]}"#;
    let problem = decode(&sealed("endpoints", "e", newer)).unwrap_err().to_string();
    assert!(problem.starts_with("endpoints[0].address: unknown variant `vsock`"), "{problem}");
    assert_eq!(decode(&sealed("policy", "p", "{}")), Err(Undecodable::Kind("policy".into())));
    let other = decode(&sealed("endpoints", "f", r#"{"id": "e", "endpoints": []}"#)).unwrap_err().to_string();
    assert_eq!(other, "the envelope names `f`, the payload `e`");
    assert!(matches!(decode(&sealed("route", "r", "\u{1}")), Err(Undecodable::Payload(_))));
    assert_eq!(decode_name("policy", "p"), None);
}

#[test]
fn no_secret_gets_into_a_reason() {
    let problem = decode(&sealed("secret", "s", r#"{"id": "s", "certificates": "C", "key": 5}"#)).unwrap_err();
    assert_eq!(problem.to_string(), "key: not in a form that this proxy knows");
}
