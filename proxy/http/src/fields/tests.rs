use super::*;

fn sample() -> Fields {
    let mut f = Fields::new();
    f.push(b"accept", b"a");
    f.push(b"x-one", b"1");
    f.push(b"accept", b"b");
    f.push(b"x-two", b"");
    f
}

fn text(f: &Fields) -> Vec<String> {
    f.iter().map(|f| format!("{f:?}")).collect()
}

#[test]
fn keeps_order_and_duplicates() {
    let f = sample();
    assert_eq!(text(&f), ["accept: a", "x-one: 1", "accept: b", "x-two: "]);
    assert_eq!(f.get(Known::Accept), Some(&b"a"[..]));
    assert_eq!(f.all(Known::Accept).collect::<Vec<_>>(), [b"a", b"b"]);
    assert_eq!(f.all_name(b"accept").count(), 2);
    assert_eq!(f.get_name(b"x-two"), Some(&b""[..]));
    assert_eq!(f.get(Known::Via), None);
    assert_eq!(f.get_name(b"x-three"), None);
    assert!(f.contains(Known::Accept) && f.contains_name(b"x-one"));
}

#[test]
fn set_replaces_all() {
    let mut f = sample();
    f.set(b"accept", b"c");
    f.set(b"x-one", b"2");
    f.set_known(Known::Via, b"v");
    assert_eq!(text(&f), ["x-two: ", "accept: c", "x-one: 2", "via: v"]);
}

#[test]
fn removes() {
    let mut f = sample();
    assert_eq!(f.remove(b"accept"), 2);
    assert_eq!(f.remove(b"accept"), 0);
    assert_eq!(f.remove(b"x-one"), 1);
    assert_eq!(f.remove_known(Known::Via), 0);
    assert_eq!(text(&f), ["x-two: "]);
    assert!(!f.contains(Known::Accept));
}

#[test]
fn joins() {
    let mut f = sample();
    f.append_list(Known::Accept, b"z");
    f.append_list(Known::XForwardedFor, b"1.2.3.4");
    assert_eq!(text(&f), ["x-one: 1", "x-two: ", "accept: a, b, z", "x-forwarded-for: 1.2.3.4"]);
    f.push(b"cookie", b"a=1");
    f.push(b"cookie", b"b=2");
    f.join(Known::Cookie, b"; ");
    assert_eq!(f.get(Known::Cookie), Some(&b"a=1; b=2"[..]));
    assert_eq!(f.all(Known::Cookie).count(), 1);
}

#[test]
fn lowers_names() {
    let mut f = Fields::new();
    f.push_any_case(b"Content-Type", b"Text");
    f.push_any_case(b"X-A-Very-Long-Name-That-Is-Longer-Than-Any-Known-Name", b"V");
    f.push_any_case(b"X-B", b"V");
    assert_eq!(text(&f), ["content-type: Text", "x-a-very-long-name-that-is-longer-than-any-known-name: V", "x-b: V"]);
    assert_eq!(f.iter().next().map(|f| f.known), Some(Known::ContentType));
}

#[test]
fn clear_keeps_memory_and_forgets_all() {
    let mut f = sample();
    let capacity = f.data.capacity();
    f.clear();
    assert!(f.is_empty() && f.get(Known::Accept).is_none());
    assert_eq!(f.data.capacity(), capacity);
    let mut g = Fields::new();
    g.copy_from(&sample());
    assert_eq!(g, sample());
    assert_eq!(g.retain(|f| f.known == Known::Accept), 2);
    assert_eq!(text(&g), ["accept: a", "accept: b"]);
}

#[test]
fn lowers_every_byte_as_the_standard_library_does() {
    let all: Vec<u8> = (0..=255).collect();
    let odd = b"X-AbCdEfGhIjKlM@[Z-XYZ-QRSTUVW-ABCDEFGHIJ";
    for text in [&all[..], odd] {
        for len in 0..=text.len() {
            for start in [0, (text.len() - len) / 2, text.len() - len] {
                let mut name = text[start..start + len].to_vec();
                let expected = name.to_ascii_lowercase();
                assert_eq!(lower(&mut name), crate::known::ends(&expected), "{}", expected.escape_ascii());
                assert_eq!(name, expected);
            }
        }
    }
}
