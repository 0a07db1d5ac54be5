use std::sync::Arc;

use fairlead_crds::core::Namespace;
use fairlead_crds::{Kind, Object};
use serde_json::json;

use super::{Editor, Effect};
use crate::{Key, Stored};

fn namespace(name: &str, team: &str) -> Object {
    let value = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"team": team}}});
    Object::parse(Kind::Namespace, value).unwrap()
}

fn stored(version: &str) -> Option<Arc<Stored>> {
    Some(Arc::new(Stored { uid: "u".into(), resource_version: version.into(), status: None }))
}

fn version(editor: &Editor, name: &str) -> String {
    let entry = editor.world().entry(Kind::Namespace, "", name).unwrap();
    entry.stored.as_ref().unwrap().resource_version.to_string()
}

#[test]
fn an_equal_object_keeps_its_arc_and_revision() {
    let mut editor = Editor::default();
    let key = Key::cluster("a");
    assert_eq!(editor.put(key.clone(), namespace("a", "x"), 1, stored("1")), Effect::Changed);
    let first = editor.take(Vec::new());
    let before = first.world.entry(Kind::Namespace, "", "a").unwrap().clone();

    // The same object, of another digest: something that is not kept was written.
    assert_eq!(editor.put(key.clone(), namespace("a", "x"), 2, stored("2")), Effect::Restated);
    let second = editor.take(Vec::new());
    let after = second.world.entry(Kind::Namespace, "", "a").unwrap();
    assert!(second.changed.is_empty());
    assert_eq!(second.restated, [(Kind::Namespace, key.clone())]);
    assert_eq!((after.revision(), after.digest()), (before.revision(), 2));
    assert!(Arc::ptr_eq(before.object.typed::<Namespace>().unwrap(), after.object.typed::<Namespace>().unwrap()));

    // Nothing at all.
    assert_eq!(editor.put(key.clone(), namespace("a", "x"), 2, stored("2")), Effect::None);
    assert!(editor.is_clean());

    assert_eq!(editor.put(key.clone(), namespace("a", "y"), 3, stored("3")), Effect::Changed);
    assert_eq!(editor.restate(Kind::Namespace, key.clone(), stored("4")), Effect::Restated);
    let third = editor.take(Vec::new());
    assert_eq!(third.changed, [(Kind::Namespace, key)]);
    assert!(third.restated.is_empty(), "what changed is not restated as well");
    assert_ne!(third.world.entry(Kind::Namespace, "", "a").unwrap().revision(), before.revision());
    assert_eq!(version(&editor, "a"), "4");
}

#[test]
fn earlier_worlds_stay_as_they_were() {
    let mut editor = Editor::default();
    editor.put(Key::cluster("a"), namespace("a", "x"), 1, stored("1"));
    editor.put(Key::cluster("b"), namespace("b", "x"), 1, stored("1"));
    let first = editor.take(Vec::new());
    assert_eq!(editor.remove(Kind::Namespace, &Key::cluster("a")), Effect::Changed);
    assert_eq!(editor.remove(Kind::Namespace, &Key::cluster("a")), Effect::None);
    assert_eq!(editor.restate(Kind::Namespace, Key::cluster("a"), stored("2")), Effect::None);
    let second = editor.take(Vec::new());
    assert_eq!(second.changed, [(Kind::Namespace, Key::cluster("a"))]);
    assert_eq!((first.world.len(), second.world.len()), (2, 1));
}
