use super::*;

#[test]
fn the_controller_is_named_by_an_url() {
    let target = |text| target(text).map(|target| (target.host, target.port));
    assert_eq!(target("https://a.b.svc:18443"), Some(("a.b.svc".into(), 18443)));
    assert_eq!(target("https://a.b.svc"), Some(("a.b.svc".into(), 443)));
    assert_eq!(target("https://[::1]:18443/"), Some(("::1".into(), 18443)));
    for wrong in ["", "a.b.svc:18443", "http://a:1", "https://a/b", "https://a?x", "https://:80"] {
        assert_eq!(target(wrong), None, "{wrong}");
    }
}
