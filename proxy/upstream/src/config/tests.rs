use super::*;
use crate::testing::{Ca, ir_cluster};

fn tls(ca: ir::CaSource) -> ir::ClusterTls {
    ir::ClusterTls { hostname: "app.example".into(), ca, sans: Vec::new(), client_certificate: None }
}

fn compile(tls: ir::ClusterTls, secrets: &[Arc<ir::Secret>]) -> Result<Arc<ClusterConfig>, String> {
    let cluster = ir::Cluster { tls: Some(tls), ..ir_cluster() };
    let find = |id: &str| secrets.iter().find(|s| *s.id == *id).cloned();
    ClusterConfig::compile(&cluster, find).map_err(|e| e.to_string())
}

fn from(ids: &[&str]) -> ir::CaSource {
    ir::CaSource::Secrets(ids.iter().map(|&id| id.into()).collect())
}

#[test]
fn takes_over_what_the_ir_says() {
    let mut cluster = ir_cluster();
    cluster.protocol = ir::Protocol::Http2;
    cluster.idle_timeout = ir::Millis(0);
    let config = ClusterConfig::compile(&cluster, |_| None).unwrap();
    assert_eq!(config.protocol, Want::Http2);
    assert_eq!(config.connect_timeout, Some(Duration::from_secs(2)));
    assert_eq!(config.idle_timeout, None);
    assert!(!config.is_tls());
    fn shared<T: Send + Sync>(_: &T) {}
    shared(&config);
}

#[test]
fn problems_name_the_secret_and_the_field() {
    let ca = Ca::new("ca");
    let (chain, key) = ca.issue("client.example");
    let pair = Arc::new(ir::Secret { id: "pair".into(), certificates: chain.as_str().into(), key: Some(key.into()) });
    let broken = Arc::new(ir::Secret { id: "broken".into(), certificates: "x".into(), key: None });
    let secrets = [ca.secret("ca"), pair, broken];
    assert!(compile(tls(from(&["ca"])), &secrets).unwrap().is_tls());
    assert!(compile(tls(ir::CaSource::Insecure), &secrets).is_ok());
    let error = compile(tls(from(&["ca", "missing"])), &secrets).unwrap_err();
    assert_eq!(error, "tls.ca: missing does not exist");
    let error = compile(tls(from(&["ca", "broken"])), &secrets).unwrap_err();
    assert!(error.starts_with("tls.ca: broken: "), "{error}");
    let with = |id: &str| ir::ClusterTls { client_certificate: Some(id.into()), ..tls(from(&["ca"])) };
    assert!(compile(with("pair"), &secrets).is_ok());
    assert_eq!(compile(with("ca"), &secrets).unwrap_err(), "tls.clientCertificate: ca: has no private key");
    assert_eq!(compile(with("nope"), &secrets).unwrap_err(), "tls.clientCertificate: nope does not exist");
    let odd = ir::ClusterTls { hostname: "not a name".into(), ..tls(from(&["ca"])) };
    let error = compile(odd, &secrets).unwrap_err();
    assert!(error.starts_with("tls: ") && error.contains("not a name"), "{error}");
}
