//! What files of all sorts become.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{Dir, gateway, namespaces, route};
use fairlead_crds::Kind;
use fairlead_crds::core::{Namespace, Service};
use fairlead_crds::gateway::{Gateway, HTTPRoute};
use fairlead_store::{Code, Files, Key, Locator, Settings, Severity, Style};

#[test]
fn reads_a_directory_with_everything_that_holds_objects() {
    let dir = Dir::new();
    dir.write(
        "a.yaml",
        &format!("# comment\n---\n{}\n---\n{}", gateway("shop", "web"), route("shop", "cart", "/cart")),
    );
    dir.write("deep/er/b.yml", "apiVersion: v1\nkind: Service\nmetadata: {name: cart}\nspec: {ports: [{port: 80}]}\n");
    dir.write(
        "c.json",
        r#"{"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"team": "a"}}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "shop"}}]}"#,
    );
    dir.write("d.yaml", "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRouteList\nitems:\n- metadata:\n    name: listed\n  spec: {}\n");
    dir.write(".hidden.yaml", "not: read");
    dir.write("readme.md", "not read");
    dir.write("empty.yaml", "# nothing\n---\n---\n");
    let files = dir.open();
    let change = files.change();
    assert_eq!(change.problems, [], "{}", common::rendered(&change.problems));
    let world = &change.world;
    assert_eq!(world.all::<HTTPRoute>().len(), 2);
    assert!(world.all::<HTTPRoute>().find("default", "listed").is_some(), "the default namespace");
    assert_eq!(world.all::<HTTPRoute>().namespace("shop").map(|(key, _)| &*key.name).collect::<Vec<_>>(), ["cart"]);
    let service = world.all::<Service>().find("default", "cart").unwrap();
    assert_eq!(service.metadata.namespace.as_deref(), Some("default"));
    assert_eq!(service.metadata.generation, Some(1));
    assert_eq!((&service.metadata.uid, &service.metadata.creation_timestamp), (&None, &None));
    assert_eq!(namespaces(world), ["default", "shop"]);
    let label = |name: &str| world.all::<Namespace>().find("", name).unwrap().metadata.labels.clone();
    assert_eq!(label("default").get("kubernetes.io/metadata.name"), Some("default"), "implied");
    assert_eq!(label("shop").get("team"), Some("a"), "given");
    assert!(world.source(Kind::Namespace, &Key::cluster("default")).is_none());
    let source = world.source(Kind::HTTPRoute, &Key::new("shop", "cart")).unwrap();
    assert_eq!(source.to_string(), format!("{}:14", dir.path("a.yaml").display()));
    let source = world.source(Kind::ConfigMap, &Key::new("shop", "x")).unwrap();
    assert_eq!(source.line(), 3, "an element of a list has its own line");
    assert_eq!(Locator::default().value(source).unwrap()["metadata"]["name"], "x");
}

#[test]
fn takes_single_files_and_several_paths_in_order() {
    let dir = Dir::new();
    dir.write("one.manifest", &gateway("a", "first"));
    dir.write("d/two.yaml", &format!("{}---\n{}", gateway("a", "first"), gateway("a", "second")));
    let files = Files::open(Settings::new([dir.path("one.manifest"), dir.path("d")]), |_| {});
    let change = files.change();
    assert_eq!(change.world.all::<Gateway>().len(), 2);
    let source = change.world.source(Kind::Gateway, &Key::new("a", "first")).unwrap();
    assert!(source.file().ends_with("one.manifest"), "the first wins: {source}");
    let [problem] = &change.problems[..] else { panic!("{:?}", change.problems) };
    assert_eq!((problem.code, problem.severity), (Code::Duplicate, Severity::Error));
    let place = problem.place.as_ref().unwrap();
    assert_eq!((place.line, place.column), (4, 9));
    assert!(place.file.ends_with("two.yaml"));
    assert!(problem.notes[0].place.as_ref().unwrap().file.ends_with("one.manifest"));
    let files = Files::open(Settings::new([dir.path("d"), dir.path("d/two.yaml")]), |_| {});
    assert_eq!(files.change().problems, [], "the same file by two paths is one");
}

#[test]
fn says_what_is_wrong_and_where() {
    let cases = [
        ("a: [1, 2\nb: 3\n", Code::Syntax, (2, 2), ""),
        ("kind: Gateway\nmetadata: {name: x}\n", Code::NotAnObject, (1, 1), "a Gateway without apiVersion"),
        ("apiVersion: v1\nmetadata: {name: x}\n", Code::NotAnObject, (1, 1), "an object without kind"),
        ("- 1\n- 2\n", Code::NotAnObject, (1, 1), "not an object"),
        ("\n# c\napiVersion: v1\nkind: Secret\n", Code::NotAnObject, (3, 1), "a Secret without metadata"),
        (
            "apiVersion: v1\nkind: Secret\nmetadata:\n  namespace: x\n",
            Code::NotAnObject,
            (3, 1),
            "without metadata.name",
        ),
        (
            "apiVersion: v1\nkind: Secret\nmetadata: {name: y}\n",
            Code::NotAnObject,
            (3, 18),
            "metadata.name must be a string",
        ),
        ("apiVersion: v1\nkind: List\n", Code::NotAnObject, (1, 1), "a List without items"),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec:\n  ports:\n  - port: http\n",
            Code::WrongType,
            (6, 11),
            "spec.ports[0].port",
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: x}\nmetadata: {name: y}\n",
            Code::Syntax,
            (4, 1),
            "`metadata` is there twice",
        ),
    ];
    for (text, code, at, message) in cases {
        let dir = Dir::new();
        dir.write("x.yaml", text);
        dir.write("good.yaml", &gateway("a", "good"));
        let change = dir.open().change();
        let [problem] = &change.problems[..] else { panic!("{text}: {:?}", change.problems) };
        let place = problem.place.as_ref().unwrap();
        assert_eq!((problem.code, (place.line, place.column)), (code, at), "{text}{problem}");
        assert!(problem.message.contains(message), "{problem}");
        let quotes = problem.message.contains("must be a string");
        assert!(!quotes || problem.help.as_ref().unwrap().contains("`y` without quotes is a boolean"), "{problem:?}");
        assert!(problem.render(Style::Plain).lines().count() >= 3, "has a snippet: {}", problem.render(Style::Plain));
        assert_eq!(change.world.all::<Gateway>().len(), 1, "others are not harmed");
    }
}

#[test]
fn unknown_kinds_are_told_by_how_near_they_are() {
    let dir = Dir::new();
    dir.write("a.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n");
    dir.write("b.yaml", "apiVersion: gateway.networking.k8s.io/v1\nkind: HttpRoute\nmetadata: {name: x}\n");
    dir.write("c.yaml", "apiVersion: gateway.networking.k8s.io/v9\nkind: HTTPRoute\nmetadata: {name: x}\n");
    dir.write("d.yaml", "apiVersion: example.com/v1\nkind: Thing\nmetadata: {}\n");
    dir.write("e.yaml", "apiVersion: gateway.networking.k8s.io/v1\nkind: GRCPRoutes\nmetadata: {name: x}\n");
    dir.write("f.yaml", "apiVersion: v1\nkind: Servcie\nmetadata: {name: x}\n");
    dir.write("g.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\n");
    let change = dir.open().change();
    assert!(change.world.is_empty());
    let got: Vec<_> = change.problems.iter().map(|p| (p.severity, p.code, p.place.as_ref().unwrap().line)).collect();
    let unknown = Code::UnknownKind;
    let expected = [
        (Severity::Note, unknown, 2),
        (Severity::Warning, unknown, 2),
        (Severity::Warning, unknown, 1),
        (Severity::Warning, unknown, 2),
        (Severity::Warning, unknown, 2),
        (Severity::Warning, unknown, 2),
        (Severity::Note, unknown, 2),
    ];
    assert_eq!(got, expected);
    assert_eq!(change.problems[4].help, None, "too far from GRPCRoute");
    assert_eq!(change.problems[5].help.as_deref(), Some("did you mean kind Service of apiVersion v1?"));
    assert!(change.problems[1].help.as_ref().unwrap().contains("HTTPRoute of apiVersion gateway.networking.k8s.io/v1"));
    assert!(change.problems[2].help.as_ref().unwrap().starts_with("served versions: v1, "));
}

#[test]
fn a_field_that_is_missing_because_of_a_typo_is_named() {
    let dir = Dir::new();
    dir.write("a.yaml", &gateway("shop", "web").replace("gatewayClassName", "gatewayClasName"));
    dir.write("b.yaml", &gateway("shop", "other").replace("gatewayClassName", "class"));
    let problems = dir.open().change().problems;
    assert_eq!(
        problems[0].help.as_deref(),
        Some("`gatewayClasName` is no field here; did you mean `gatewayClassName`?")
    );
    assert_eq!(problems[1].help, None, "{}", problems[1]);
}

#[test]
fn elements_of_a_list_on_one_line_are_told_apart() {
    let dir = Dir::new();
    let object = |kind: &str, name: &str| {
        format!(r#"{{"apiVersion": "v1", "kind": "{kind}", "metadata": {{"name": "{name}"}}}}"#)
    };
    let (a, b, c) = (object("Secret", "a"), object("ConfigMap", "b"), object("ConfigMap", "c"));
    dir.write("a.json", &format!(r#"{{"apiVersion": "v1", "kind": "List", "items": [{a}, {b}, {c}]}}"#));
    let world = dir.open().change().world;
    let mut locator = Locator::default();
    for (kind, name) in [(Kind::Secret, "a"), (Kind::ConfigMap, "b"), (Kind::ConfigMap, "c")] {
        let source = world.source(kind, &Key::new("default", name)).unwrap();
        assert_eq!(locator.value(source).unwrap()["metadata"]["name"], name);
        let place = locator.place(source, "metadata.name");
        let text: String = std::fs::read_to_string(dir.path("a.json")).unwrap();
        assert!(text[place.column as usize - 1..].starts_with(&format!("\"{name}\"")), "{place}");
    }
}

#[test]
fn unreadable_empty_and_huge_input_has_clear_errors() {
    let dir = Dir::new();
    let change = dir.open().change();
    assert_eq!((change.problems[0].code, change.problems.len()), (Code::Empty, 1));
    let change = Files::open(Settings::new([dir.path("missing")]), |_| {}).change();
    assert_eq!(change.problems[0].code, Code::Unreadable);
    assert!(
        change.problems[0].to_string().contains("missing: error: can't read: No such file"),
        "{}",
        change.problems[0]
    );
    dir.write("big.yaml", &"# 123456789\n".repeat(200));
    dir.write("latin1.yaml", "");
    std::fs::write(dir.path("latin1.yaml"), b"a: 1\nb: caf\xe9\n").unwrap();
    let settings = Settings { max_file_bytes: 1024, ..Settings::new([dir.root()]) };
    let change = Files::open(settings, |_| {}).change();
    assert_eq!(
        change.problems.iter().map(|problem| problem.code).collect::<Vec<_>>(),
        [Code::TooLarge, Code::Encoding]
    );
    assert_eq!(change.problems[1].place.as_ref().unwrap().line, 2);
    std::os::unix::net::UnixListener::bind(dir.path("socket.yaml")).unwrap();
    assert_eq!(dir.open().change().problems.len(), 1, "only files are read");
}

#[test]
fn a_file_that_breaks_keeps_its_last_good_objects() {
    let dir = Dir::new();
    let good = format!("{}---\n{}", route("a", "x", "/1"), route("a", "z", "/1"));
    dir.write("f.yaml", &good);
    let mut files = dir.open();
    // Not YAML: nothing of the file is taken, also not what is fine.
    dir.write("f.yaml", &format!("{}---\nkind: [\n", route("a", "x", "/2")));
    let change = files.refresh().unwrap();
    assert_eq!(change.changed, []);
    assert_eq!(change.problems[0].code, Code::Syntax);
    assert!(change.problems[0].notes[0].message.contains("last good version"));
    assert_eq!(common::path_of(&change.world, "a", "x"), "/1");
    // An object that can't be read, but is known by name: the others are taken.
    let broken = route("a", "z", "/2").replace("value: /2", "value: [/2]");
    dir.write("f.yaml", &format!("{}---\n{broken}", route("a", "x", "/3")));
    let change = files.refresh().unwrap();
    assert_eq!(change.changed, [(Kind::HTTPRoute, Key::new("a", "x"))]);
    assert_eq!(change.problems[0].code, Code::WrongType);
    assert_eq!(
        (common::path_of(&change.world, "a", "x"), common::path_of(&change.world, "a", "z")),
        ("/3".into(), "/1".into())
    );
    // Still broken, otherwise: still there.
    dir.write("f.yaml", &format!("# moved\n{}---\n{}", route("a", "x", "/3"), broken.replace("/2", "/5")));
    let change = files.refresh().unwrap();
    assert_eq!(change.changed, []);
    assert_eq!(common::path_of(&change.world, "a", "z"), "/1");
    // Repaired.
    dir.write("f.yaml", &format!("{}---\n{}", route("a", "x", "/3"), route("a", "z", "/4")));
    let change = files.refresh().unwrap();
    assert_eq!((change.changed, change.problems), (vec![(Kind::HTTPRoute, Key::new("a", "z"))], vec![]));
    assert_eq!(common::path_of(&change.world, "a", "z"), "/4");
    // Removed.
    std::fs::remove_file(dir.path("f.yaml")).unwrap();
    let change = files.refresh().unwrap();
    assert!(change.world.is_empty(), "{:?}", change.world);
    assert_eq!(change.changed.len(), 3, "two routes and their namespace");
}

#[test]
fn a_file_that_was_never_whole_loses_nothing_either() {
    let dir = Dir::new();
    dir.write("f.yaml", &format!("{}---\nkind: [\n", route("a", "x", "/1")));
    let mut files = dir.open();
    assert_eq!(common::path_of(files.world(), "a", "x"), "/1", "what is good is taken");
    dir.write("f.yaml", &format!("{}---\nkind: [\n---\nkind: {{\n", route("a", "z", "/1")));
    let change = files.refresh().unwrap();
    assert_eq!(
        (common::path_of(&change.world, "a", "x"), common::path_of(&change.world, "a", "z")),
        ("/1".into(), "/1".into())
    );
    dir.write("f.yaml", &route("a", "z", "/1"));
    let change = files.refresh().unwrap();
    assert_eq!((change.world.all::<HTTPRoute>().len(), change.problems.len()), (1, 0));
}

#[test]
fn generations_count_changes_of_the_spec() {
    let dir = Dir::new();
    let generation = |files: &Files| {
        let route = files.world().all::<HTTPRoute>().find("a", "x").unwrap();
        (route.metadata.generation, std::sync::Arc::as_ptr(route))
    };
    dir.write("f.yaml", &route("a", "x", "/1"));
    let mut files = dir.open();
    let first = generation(&files);
    assert_eq!(first.0, Some(1));
    dir.write("f.yaml", &format!("# a comment\n\n{}", route("a", "x", "/1")));
    assert!(files.refresh().is_none(), "nothing changed");
    assert_eq!(generation(&files), first, "the same Arc");
    assert_eq!(files.world().source(Kind::HTTPRoute, &Key::new("a", "x")).unwrap().line(), 3, "the line moved");
    dir.write("f.yaml", &route("a", "x", "/1").replace("name: x", "name: x\n  labels: {a: b}"));
    assert_eq!(files.refresh().unwrap().changed.len(), 1);
    assert_eq!(generation(&files).0, Some(1), "labels are no spec");
    dir.write("f.yaml", &route("a", "x", "/2"));
    assert_eq!(files.refresh().unwrap().changed.len(), 1);
    assert_eq!(generation(&files).0, Some(2));
    // Moving it to another file changes nothing but the place.
    std::fs::rename(dir.path("f.yaml"), dir.path("g.yaml")).unwrap();
    assert!(files.refresh().is_none());
    assert!(files.world().source(Kind::HTTPRoute, &Key::new("a", "x")).unwrap().file().ends_with("g.yaml"));
    assert_eq!(generation(&files).0, Some(2));
}

#[test]
fn duplicates_within_a_file_and_across_files_follow_changes() {
    let dir = Dir::new();
    dir.write("a.yaml", &format!("{}---\n{}", route("a", "x", "/1"), route("a", "x", "/2")));
    dir.write("b.yaml", &route("a", "x", "/3"));
    let mut files = dir.open();
    let path = |files: &Files| common::path_of(files.world(), "a", "x");
    assert_eq!((path(&files), files.change().problems.len()), ("/1".into(), 2));
    dir.write("a.yaml", &format!("{}---\n{}", route("a", "other", "/1"), route("a", "x", "/2")));
    let change = files.refresh().unwrap();
    assert_eq!((path(&files), change.problems.len()), ("/2".into(), 1));
    std::fs::remove_file(dir.path("a.yaml")).unwrap();
    let change = files.refresh().unwrap();
    assert_eq!((path(&files), change.problems.len()), ("/3".into(), 0));
    let kinds: Vec<_> = change.changed.iter().map(|(_, key)| &*key.name).collect();
    assert_eq!(kinds, ["other", "x"]);
}

#[test]
fn a_change_of_one_document_of_many_is_one_change_and_shares_the_rest() {
    let dir = Dir::new();
    let text = |changed: usize| {
        let path = |i| if i == changed { "/new".to_owned() } else { format!("/{i}") };
        (0..500).map(|i| format!("---\n{}", route("a", &format!("r{i}"), &path(i)))).collect::<String>()
    };
    dir.write("all.yaml", &text(usize::MAX));
    let mut files = dir.open();
    let before = files.world().clone();
    dir.write("all.yaml", &format!("# shifted\n{}", text(250)));
    let change = files.refresh().unwrap();
    assert_eq!(change.changed, [(Kind::HTTPRoute, Key::new("a", "r250"))]);
    let (old, new) = (before.all::<HTTPRoute>(), change.world.all::<HTTPRoute>());
    let same = old.iter().zip(new.iter()).filter(|((_, a), (_, b))| std::sync::Arc::ptr_eq(a, b)).count();
    assert_eq!(same, 499);
    assert_eq!(common::path_of(&before, "a", "r250"), "/250", "a World never changes");
    assert!(before.same(&change.world, Kind::Namespace) && !before.same(&change.world, Kind::HTTPRoute));
}

#[test]
fn a_directory_that_vanishes_keeps_its_objects() {
    let dir = Dir::new();
    dir.write("d/a.yaml", &route("a", "x", "/1"));
    let mut files = Files::open(Settings::new([dir.path("d")]), |_| {});
    std::fs::remove_dir_all(dir.path("d")).unwrap();
    let change = files.refresh().unwrap();
    assert_eq!((change.changed.len(), change.problems[0].code), (0, Code::Unreadable));
    assert!(change.problems[0].notes[0].message.contains("last good version"), "{:?}", change.problems);
    assert_eq!(common::path_of(&change.world, "a", "x"), "/1");
    dir.write("d/b.yaml", &route("a", "z", "/1"));
    let change = files.refresh().unwrap();
    assert_eq!(change.problems, []);
    assert!(change.world.all::<HTTPRoute>().find("a", "x").is_none() && change.world.all::<HTTPRoute>().len() == 1);
}

#[test]
fn links_are_followed_and_circles_are_not() {
    let dir = Dir::new();
    dir.write("real/a.yaml", &route("a", "x", "/1"));
    dir.write("d/b.yaml", &route("a", "z", "/1"));
    std::os::unix::fs::symlink(dir.path("real"), dir.path("d/link")).unwrap();
    std::os::unix::fs::symlink(dir.path("d"), dir.path("real/back")).unwrap();
    std::os::unix::fs::symlink("nowhere", dir.path("d/dangling.yaml")).unwrap();
    let change = Files::open(Settings::new([dir.path("d")]), |_| {}).change();
    assert_eq!((change.world.all::<HTTPRoute>().len(), change.problems.len()), (2, 0), "{:?}", change.problems);
}
