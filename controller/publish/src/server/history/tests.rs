use super::*;
use crate::apply;
use fairlead_ir::{Config, Endpoints, Secret};
use proptest::prelude::*;
use std::sync::Arc;

fn resource(kind: bool, number: u8, value: u8) -> Resource {
    let id = format!("r/{number}").into();
    match kind {
        true => Resource::Secret(Arc::new(Secret { id, certificates: value.to_string().into(), key: None })),
        false => Resource::Endpoints(Arc::new(Endpoints { id, endpoints: vec![] })),
    }
}

fn pushes() -> impl Strategy<Value = Vec<Push>> {
    let upsert = (any::<bool>(), 0..6u8, 0..3u8).prop_map(|(kind, number, value)| resource(kind, number, value));
    let removal = (any::<bool>(), 0..6u8).prop_map(|(kind, number)| resource(kind, number, 0).id());
    let push = (proptest::collection::vec(upsert, 0..4), proptest::collection::vec(removal, 0..3));
    proptest::collection::vec(push, 1..20).prop_map(|pushes| {
        let numbered = pushes.into_iter().zip(1..);
        numbered.map(|((upserts, removals), version)| Push { version: version * 3, upserts, removals }).collect()
    })
}

/// What a proxy has after it was told.
fn told(config: &mut Config, lack: Lack) {
    if lack.complete {
        *config = Config::default();
    }
    apply(config, Push { version: lack.to.version, upserts: lack.upserts, removals: lack.removals });
}

proptest! {
    #[test]
    fn whoever_asks_whenever_has_everything(pushes in pushes(), asks in proptest::collection::vec(any::<bool>(), 20)) {
        let (mut history, mut truth) = (History::default(), Config::default());
        let (mut proxy, mut cursor) = (Config::default(), Cursor::default());
        for (push, asks) in pushes.into_iter().zip(asks) {
            apply(&mut truth, push.clone());
            history.apply(&push);
            if asks && let Some(lack) = history.lack(cursor) {
                prop_assert_eq!(lack.complete, cursor == Cursor::default());
                cursor = lack.to;
                told(&mut proxy, lack);
                prop_assert_eq!(&proxy, &truth);
                prop_assert_eq!(history.lack(cursor), None);
            }
            prop_assert_eq!(history.log.len(), history.entries.len(), "memory is bounded by the resources");
            prop_assert_eq!(history.removed, history.entries.values().filter(|entry| entry.resource.is_none()).count());
        }
        let mut fresh = Config::default();
        told(&mut fresh, history.lack(Cursor::default()).unwrap());
        prop_assert_eq!(&fresh, &truth);
    }
}

fn upsert(version: u64, number: u8) -> Push {
    Push { version, upserts: vec![resource(true, number, version as u8)], removals: vec![] }
}

#[test]
fn changes_add_up_and_dependents_follow_what_they_name() {
    let mut history = History::default();
    history.apply(&upsert(1, 1));
    let start = history.lack(Cursor::default()).unwrap().to;
    history.apply(&upsert(2, 1));
    history.apply(&Push { version: 3, upserts: vec![resource(false, 9, 0)], removals: vec![] });
    history.apply(&upsert(4, 1));
    history.apply(&upsert(5, 2));
    let lack = history.lack(start).unwrap();
    assert_eq!((lack.to.version, lack.complete), (5, false));
    assert_eq!(lack.upserts, [resource(true, 1, 4), resource(true, 2, 5), resource(false, 9, 0)]);
    let before = lack.to;
    let removals = vec![resource(false, 9, 0).id(), resource(true, 1, 0).id(), resource(true, 8, 0).id()];
    history.apply(&Push { version: 6, upserts: vec![], removals });
    let lack = history.lack(before).unwrap();
    assert_eq!(lack.removals, [resource(false, 9, 0).id(), resource(true, 1, 0).id()], "only what was there");
}

#[test]
fn a_history_that_starts_over_has_another_epoch() {
    let mut history = History::default();
    history.apply(&upsert(5, 1));
    let cursor = history.lack(Cursor::default()).unwrap().to;
    history.apply(&Push { version: 5, ..Push::default() });
    assert_eq!(history.lack(cursor), None, "an empty push says nothing");
    history.apply(&upsert(2, 2));
    let lack = history.lack(cursor).unwrap();
    assert!(lack.complete && lack.to.epoch != cursor.epoch && lack.upserts.len() == 2);
    let ahead = Cursor { version: 99, ..lack.to };
    assert!(history.lack(ahead).unwrap().complete, "a version that never was");
}

#[test]
fn old_removals_are_forgotten_and_who_lacks_them_gets_everything() {
    let mut history = History::default();
    history.apply(&upsert(1, 0));
    let start = history.lack(Cursor::default()).unwrap().to;
    let secret =
        |n: u64| Resource::Secret(Arc::new(Secret { id: format!("s/{n}").into(), certificates: "".into(), key: None }));
    let mut late = start;
    for n in 0..5_000 {
        let version = 2 + 2 * n;
        history.apply(&Push { version, upserts: vec![secret(n)], removals: vec![] });
        history.apply(&Push { version: version + 1, upserts: vec![], removals: vec![secret(n).id()] });
        if n == 4_990 {
            late = Cursor { version: version + 1, ..start };
        }
    }
    assert!(history.entries.len() <= 2 + REMEMBERED, "{}", history.entries.len());
    assert_eq!(history.log.len(), history.entries.len());
    assert!(history.lack(start).unwrap().complete);
    let lack = history.lack(late).unwrap();
    assert!(!lack.complete && lack.removals.len() == 9, "{lack:?}");
}
