//! Secrets that are not of TLS type.

use super::*;

fn secret(name: &str, sort: &str, text: &str) -> Value {
    let mut secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": sort,
        "metadata": {"namespace": "shop", "name": name}, "data": {"ca.crt": text},
    });
    if sort.is_empty() {
        secret["metadata"]["namespace"] = json!("other");
        secret["type"] = json!("Opaque");
    }
    secret
}

fn held(change: &Change, name: &str) -> Option<Vec<u8>> {
    let secret = change.world.all::<fairlead_crds::core::Secret>().get(&key(name))?.clone();
    Some(secret.data.as_ref().unwrap()["ca.crt"].0.clone())
}

#[tokio::test]
async fn other_secrets_are_read_when_they_are_needed_and_no_longer() {
    let server = Server::with_all_kinds().await;
    for index in 0..100 {
        server.put(secret(&format!("o{index}"), "Opaque", "eA=="));
    }
    server.put(secret("cert", "kubernetes.io/tls", "eA=="));
    server.put(secret("release", "helm.sh/release.v1", "eA=="));
    let mut watch = watch(&server).await;
    let change = next(&mut watch).await;
    assert_eq!(change.world.entries(Kind::Secret).len(), 1);
    settled(&server, ALL).await;
    let gets = |server: &Server| {
        let of_one = |request: &Request| request.path.starts_with("/api/v1/namespaces/shop/secrets/");
        server.requests().iter().filter(|request| of_one(request)).count()
    };
    assert_eq!(gets(&server), 0);

    assert!(watch.need([key("o7"), key("cert"), key("none")]));
    let change = next(&mut watch).await;
    assert_eq!(change.changed, [(Kind::Secret, key("o7"))]);
    assert_eq!(held(&change, "o7").unwrap(), b"x");
    assert!(!watch.need([key("o7"), key("cert"), key("none")]), "it is there");
    nothing(&mut watch).await;
    assert_eq!(gets(&server), 1);

    // It follows what it is, and others don't matter.
    server.put(secret("o8", "Opaque", "eQ=="));
    server.put(secret("o7", "Opaque", "eQ=="));
    let change = next(&mut watch).await;
    assert_eq!((change.changed.len(), held(&change, "o7").unwrap()), (1, b"y".to_vec()));
    server.delete("secrets", "shop", "o7");
    assert!(held(&next(&mut watch).await, "o7").is_none());
    server.put(secret("none", "Opaque", "eA=="));
    assert_eq!(next(&mut watch).await.changed, [(Kind::Secret, key("none"))]);

    assert!(!watch.need([]));
    let change = next(&mut watch).await;
    assert_eq!(change.changed, [(Kind::Secret, key("none"))]);
    assert_eq!(change.world.entries(Kind::Secret).len(), 1, "that of TLS type");
}

#[tokio::test]
async fn a_secret_may_come_back_with_another_type() {
    let server = Server::with_all_kinds().await;
    server.put(secret("s", "kubernetes.io/tls", "eA=="));
    let mut watch = watch(&server).await;
    next(&mut watch).await;
    settled(&server, ALL).await;
    assert!(!watch.need([key("s")]));
    for (sort, text, is) in [("Opaque", "eQ==", b"y"), ("kubernetes.io/tls", "eA==", b"x"), ("Opaque", "eQ==", b"y")] {
        server.delete("secrets", "shop", "s");
        server.put(secret("s", sort, text));
        let change = until(&mut watch, |change| held(change, "s").is_some_and(|held| held == is)).await;
        assert_eq!(change.world.entries(Kind::Secret).len(), 1);
        nothing(&mut watch).await;
    }
}

#[tokio::test]
async fn other_secrets_stay_within_their_namespaces() {
    let server = Server::with_all_kinds().await;
    server.put(secret("a", "Opaque", "eA=="));
    server.put(secret("b", "", "eA=="));
    let settings = Settings { secret_namespaces: vec!["shop".to_owned()], ..Settings::default() };
    let mut watch = Watch::start(server.client(), settings).await.unwrap();
    next(&mut watch).await;
    assert!(!watch.need([Key::new("other", "b")]), "it is not known that it is there");
    assert!(watch.need([Key::new("other", "b"), key("a")]));
    assert_eq!(next(&mut watch).await.changed, [(Kind::Secret, key("a"))]);
    nothing(&mut watch).await;
    assert!(!server.requests().iter().any(|request| request.path.contains("namespaces/other")));
}

#[tokio::test]
async fn a_needed_secret_that_may_not_be_read_is_a_problem_until_it_may() {
    let server = Server::with_all_kinds().await;
    server.put(secret("a", "Opaque", "eA=="));
    let denied = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let still = denied.clone();
    server.intercept(move |request| {
        let refused = request.path.ends_with("/secrets/a") && still.load(std::sync::atomic::Ordering::Relaxed);
        refused.then(|| {
            (403, json!({"kind": "Status", "code": 403, "reason": "Forbidden", "message": "no", "status": "Failure"}))
        })
    });
    let mut watch = watch(&server).await;
    next(&mut watch).await;
    assert!(watch.need([key("a")]));
    let problems = health(&watch, |problems| !problems.is_empty()).await;
    assert_eq!((problems[0].kind, problems[0].cause), (Some(Kind::Secret), Cause::Denied));
    denied.store(false, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(next(&mut watch).await.changed, [(Kind::Secret, key("a"))]);
    health(&watch, |problems| problems.is_empty()).await;
}
