use super::*;
use std::os::unix::fs::PermissionsExt as _;
use tempfile::TempDir;

fn saved() -> (Saved, Vec<Resource>) {
    let resource = |n: u8| Resource { kind: "secret".into(), id: format!("s/{n}"), payload: vec![n; 300].into() };
    (Saved { gateway: "a/b".into(), epoch: 7, version: 9, resources: 3 }, (0..3).map(resource).collect())
}

fn stored(directory: &TempDir) -> std::path::PathBuf {
    let (saved, resources) = saved();
    let directory = directory.path().join("cache");
    store(&directory, &saved, resources.into_iter()).unwrap();
    directory
}

#[test]
fn what_was_stored_is_loaded_and_is_nobody_elses_business() {
    let directory = TempDir::new().unwrap();
    assert!(load(directory.path(), "a/b").unwrap().is_none());
    let directory = stored(&directory);
    assert_eq!(load(&directory, "a/b").unwrap(), Some(saved()));
    assert_eq!(fs::metadata(directory.join(NAME)).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);

    // A leftover of a crash that others could read does not stay so.
    fs::write(directory.join(NEXT), "half").unwrap();
    fs::set_permissions(directory.join(NEXT), fs::Permissions::from_mode(0o644)).unwrap();
    let newer = Saved { version: 10, resources: 0, ..saved().0 };
    store(&directory, &newer, std::iter::empty()).unwrap();
    assert_eq!(load(&directory, "a/b").unwrap(), Some((newer, Vec::new())));
    assert_eq!(fs::metadata(directory.join(NAME)).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!directory.join(NEXT).exists());
}

#[test]
fn damage_is_noticed_wherever_it_is() {
    let directory = TempDir::new().unwrap();
    let directory = stored(&directory);
    let good = fs::read(directory.join(NAME)).unwrap();
    let with = |bytes: &[u8]| {
        fs::write(directory.join(NAME), bytes).unwrap();
        load(&directory, "a/b")
    };
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 0x20;
        assert!(with(&bytes).is_err(), "byte {at}");
    }
    for length in 0..good.len() {
        assert!(with(&good[..length]).is_err(), "cut to {length}");
    }
    assert!(matches!(with(b"fairlead configuration 2\n..."), Err(CacheError::Format)));
    assert!(with(&good).is_ok());
    let foreign = load(&directory, "a/c").unwrap_err();
    assert_eq!(foreign.to_string(), "it belongs to Gateway a/b");
}

#[test]
fn a_directory_that_is_none_is_an_error() {
    let file = tempfile::NamedTempFile::new().unwrap();
    assert!(store(&file.path().join("x"), &saved().0, std::iter::empty()).is_err());
    assert!(matches!(load(&file.path().join("x"), "a/b"), Err(CacheError::Io(_))));
}
