use super::*;
use crate::encode;
use fairlead_ir::{Id, Secret};
use std::sync::Arc;

fn secret(id: &str, value: &str) -> Resource {
    Resource::Secret(Arc::new(Secret { id: id.into(), certificates: value.into(), key: None }))
}

fn name(id: &str) -> ResourceId {
    ResourceId::Secret(Id::from(id))
}

/// A whole push: `a=1` upserts, `-a` removes, `a=?` can't be understood.
fn push(epoch: u64, version: u64, complete: bool, what: &str) -> proto::Chunk {
    let mut chunk = proto::Chunk { epoch, version, complete, last: true, ..Default::default() };
    for word in what.split_whitespace() {
        match (word.strip_prefix('-'), word.split_once('=')) {
            (Some(id), _) => chunk.removals.push(proto::Name { kind: "secret".into(), id: id.into() }),
            (None, Some((id, value))) => {
                let mut sealed = encode(&secret(id, value)).unwrap();
                if value == "?" {
                    sealed.payload = r#"{"id": 7}"#.into();
                }
                chunk.upserts.push(sealed);
            }
            _ => panic!("{word}"),
        }
    }
    chunk
}

/// The push as the proxy gets it, in the same words.
fn words(push: &Push) -> String {
    let upserts = push.upserts.iter().map(|resource| match resource {
        Resource::Secret(secret) => format!("{}={}", secret.id, secret.certificates),
        other => panic!("{other:?}"),
    });
    let removals = push.removals.iter().map(|id| match id {
        ResourceId::Secret(id) => format!("-{id}"),
        other => panic!("{other:?}"),
    });
    upserts.chain(removals).collect::<Vec<_>>().join(" ")
}

fn saved(held: &Held) -> (u64, String) {
    let (saved, upserts) = held.saved("g");
    assert_eq!(saved.resources as usize, upserts.len());
    (saved.epoch, words(&Push { upserts, ..Push::default() }))
}

struct Proxy(Held);

impl Proxy {
    /// Takes a push and serves it but for what is named.
    fn takes(&mut self, chunk: proto::Chunk, rejects: &str) -> String {
        let push = self.0.chunk(chunk).unwrap().unwrap();
        let rejected = rejects.split_whitespace().map(|id| (name(id), format!("no {id}"))).collect();
        assert!(self.0.answer(push.version, rejected, BTreeMap::new()));
        words(&push)
    }

    fn rejected(&self) -> Vec<String> {
        self.0.ack().rejected.into_iter().map(|r| r.id).collect()
    }
}

#[test]
fn a_complete_push_becomes_the_difference() {
    let mut proxy = Proxy(Held::default());
    assert_eq!(proxy.takes(push(1, 5, true, "a=1 b=1 c=1"), ""), "a=1 b=1 c=1");
    assert_eq!(proxy.takes(push(1, 6, false, "b=2 -c"), ""), "b=2 -c");
    let hello = proxy.0.hello();
    assert_eq!((hello.epoch, hello.version, hello.serving.unwrap().version), (1, 6, 6));
    // Another controller has another history, and versions of its own.
    assert_eq!(proxy.takes(push(2, 3, true, "a=1 b=3 d=1"), ""), "b=3 d=1");
    assert_eq!(proxy.takes(push(3, 1, true, "b=3"), ""), "-d -a");
    assert_eq!(proxy.takes(push(3, 1, true, "b=3"), ""), "");
}

#[test]
fn parts_are_one_push_and_half_a_push_is_none() {
    let mut held = Held::default();
    let part = |what| proto::Chunk { last: false, ..push(1, 5, true, what) };
    assert_eq!(held.chunk(part("a=1")), Ok(None));
    assert!(held.is_arriving() && held.is_empty());
    // The stream breaks; the next one begins anew.
    held.hello();
    assert!(!held.is_arriving());
    assert_eq!(held.chunk(part("a=1 b=1")), Ok(None));
    let whole = held.chunk(push(1, 5, true, "c=1")).unwrap().unwrap();
    assert_eq!(words(&whole), "a=1 b=1 c=1");
    assert!(held.is_outstanding());
    assert!(!held.answer(4, vec![], BTreeMap::new()), "another version");
    assert_eq!(held.hello().serving.unwrap().version, 0, "not served yet");
    assert!(held.answer(5, vec![], BTreeMap::new()));
    assert!(!held.answer(5, vec![], BTreeMap::new()), "answered already");
}

#[test]
fn differences_to_what_is_not_there_are_refused() {
    let mut proxy = Proxy(Held::default());
    proxy.takes(push(1, 5, true, "a=1"), "");
    assert!(proxy.0.chunk(push(2, 6, false, "b=1")).is_err());
    assert!(proxy.0.chunk(push(1, 4, false, "b=1")).is_err());
    proxy.0.forget_history();
    assert_eq!(proxy.0.hello().epoch, 0);
    assert_eq!(proxy.takes(push(1, 6, true, "a=1 b=1"), ""), "b=1", "nothing is dropped on the way");
}

#[test]
fn what_is_not_understood_is_rejected_alone_and_its_last_good_version_stays() {
    let mut proxy = Proxy(Held::default());
    proxy.takes(push(1, 1, true, "a=1 b=1"), "");
    assert_eq!(proxy.takes(push(1, 2, false, "a=? b=2"), ""), "b=2");
    assert_eq!(proxy.rejected(), ["a"]);
    assert!(proxy.0.ack().rejected[0].reason.contains("not in a form"), "{:?}", proxy.0.ack());
    assert_eq!(saved(&proxy.0), (0, "a=1 b=2".into()), "all is asked for again after a restart");
    assert_eq!(proxy.takes(push(1, 3, false, "b=3"), ""), "b=3");
    assert_eq!(proxy.rejected(), ["a"], "still");
    assert_eq!(proxy.takes(push(2, 1, true, "a=? b=3"), ""), "", "not removed by a complete push that names it");
    assert_eq!(proxy.rejected(), ["a"]);
    assert_eq!(proxy.takes(push(2, 2, false, "a=2"), ""), "a=2");
    assert_eq!(proxy.rejected(), Vec::<String>::new());
    proxy.takes(push(2, 3, false, "a=?"), "");
    assert_eq!(proxy.takes(push(3, 1, true, "a=2 b=3"), ""), "", "back to what is served");
    assert_eq!(proxy.rejected(), Vec::<String>::new());
    proxy.takes(push(3, 2, false, "a=?"), "");
    assert_eq!(proxy.takes(push(3, 3, false, "-a"), ""), "-a");
    assert_eq!(proxy.rejected(), Vec::<String>::new());
}

#[test]
fn unknown_kinds_are_rejected_until_they_go() {
    let mut proxy = Proxy(Held::default());
    let policy = || proto::Resource { kind: "policy".into(), id: "p".into(), payload: "{}".into() };
    let mut chunk = push(1, 1, true, "a=1");
    chunk.upserts.push(policy());
    assert_eq!(proxy.takes(chunk, ""), "a=1");
    assert_eq!(proxy.rejected(), ["p"]);
    let mut chunk = push(1, 2, false, "");
    chunk.removals.push(proto::Name { kind: "policy".into(), id: "p".into() });
    assert_eq!(proxy.takes(chunk, ""), "");
    assert_eq!(proxy.rejected(), Vec::<String>::new());
    let mut chunk = push(1, 3, false, "");
    chunk.upserts.push(policy());
    proxy.takes(chunk, "");
    proxy.takes(push(2, 1, true, "a=1"), "");
    assert_eq!(proxy.rejected(), Vec::<String>::new(), "a complete push does not name it");
}

#[test]
fn what_the_proxy_rejects_is_kept_as_it_was_before() {
    let mut proxy = Proxy(Held::default());
    proxy.takes(push(1, 1, true, "a=1 b=1"), "");
    assert_eq!(saved(&proxy.0), (1, "a=1 b=1".into()));
    proxy.takes(push(1, 2, false, "a=2 c=1"), "a c");
    assert_eq!(proxy.rejected(), ["a", "c"]);
    assert_eq!(saved(&proxy.0), (0, "a=1 b=1".into()));
    proxy.takes(push(1, 3, false, "a=3 b=2"), "a");
    assert_eq!((proxy.rejected(), saved(&proxy.0).1), (vec!["a".into(), "c".into()], "a=1 b=2".into()));
    assert_eq!(proxy.takes(push(2, 9, true, "a=3 b=2 c=1"), ""), "", "the same again");
    assert_eq!(proxy.rejected(), ["a", "c"], "and as little served");
    proxy.takes(push(2, 10, false, "a=4 -c"), "");
    assert_eq!((proxy.rejected().len(), saved(&proxy.0)), (0, (2, "a=4 b=2".into())));
}

#[test]
fn a_version_of_another_history_is_not_served() {
    let mut proxy = Proxy(Held::default());
    proxy.takes(push(1, 9, true, "a=1"), "");
    proxy.0.chunk(push(2, 10, true, "a=2")).unwrap();
    // The sockets changed while the proxy was at it.
    assert!(proxy.0.unbound([("80".to_string(), "in use".to_string())].into()));
    let ack = proxy.0.ack();
    assert_eq!((ack.epoch, ack.version, ack.unbound.len()), (2, 0, 1));
}

#[test]
fn what_was_saved_is_taken_up() {
    let mut proxy = Proxy(Held::default());
    proxy.takes(push(4, 1, true, "a=1 b=1"), "");
    let (saved, resources) = proxy.0.saved("g");
    let mut sealed: Vec<_> = resources.iter().map(|resource| encode(resource).unwrap()).collect();
    let mut fresh = Held::default();
    assert_eq!(words(&fresh.restore(&saved, &sealed)), "a=1 b=1");
    assert_eq!((fresh.hello().epoch, fresh.hello().version), (4, 1));
    // An older program, after a rollback.
    sealed[0].payload = "{}".into();
    let mut older = Held::default();
    assert_eq!(words(&older.restore(&saved, &sealed)), "b=1");
    assert_eq!(older.hello().epoch, 0, "what it could not read it is to get again");
}
