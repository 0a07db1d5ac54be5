use super::*;

fn head(list: &[(&str, &str)]) -> RequestHead {
    let mut h = RequestHead::new();
    for (n, v) in list {
        h.fields.push(n.as_bytes(), v.as_bytes());
    }
    h
}

fn strip(list: &[(&str, &str)]) -> Result<Vec<String>, u16> {
    let mut h = head(list);
    strip_request(&mut h).map_err(|r| r.status)?;
    Ok(h.fields.iter().map(|f| format!("{f:?}")).collect())
}

#[test]
fn what_concerns_one_connection_goes() {
    let left = strip(&[
        ("accept", "a"),
        ("connection", "keep-alive, X-One"),
        ("connection", "x-two,,"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "x"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("http2-settings", "x"),
        ("te", "gzip, Trailers"),
        ("x-one", "1"),
        ("x-two", "2"),
        ("x-three", "3"),
        ("trailer", "grpc-status"),
    ]);
    assert_eq!(left.unwrap(), ["accept: a", "x-three: 3", "trailer: grpc-status", "te: trailers"]);
    assert_eq!(strip(&[("te", "gzip")]).unwrap(), [""; 0]);
    assert_eq!(strip(&[("x-one", "1")]).unwrap(), ["x-one: 1"]);
}

#[test]
fn nominations_that_harm_are_refused() {
    for bad in
        ["x-forwarded-for", "X-Forwarded-Proto", "host", "Content-Length", ":path", "authorization", "close, cookie"]
    {
        assert_eq!(strip(&[("connection", bad)]), Err(400), "{bad}");
    }
    assert_eq!(strip(&[("connection", "a,b,c,d,e,f,g,h,i,j,k")]), Err(400));
    assert_eq!(strip(&[("connection", &"a".repeat(257))]), Err(400));
}

#[test]
fn responses_ignore_bad_nominations() {
    let mut r = ResponseHead::new(200);
    r.fields.push(b"connection", b"content-length, x-a, close");
    r.fields.push(b"content-length", b"3");
    r.fields.push(b"x-a", b"1");
    strip_response(&mut r);
    assert_eq!(format!("{:?}", r.fields), "[content-length: 3]");
}

#[test]
fn client_addresses() {
    let peer: IpAddr = "10.0.0.1".parse().unwrap();
    let of = |list: &[(&str, &str)], hops| client_address(&head(list).fields, peer, hops).to_string();
    let xff = [("x-forwarded-for", "1.1.1.1, 2.2.2.2"), ("x-forwarded-for", "3.3.3.3")];
    assert_eq!(of(&xff, 0), "10.0.0.1");
    assert_eq!(of(&xff, 1), "3.3.3.3");
    assert_eq!(of(&xff, 3), "1.1.1.1");
    assert_eq!(of(&xff, 4), "10.0.0.1");
    assert_eq!(of(&[("x-forwarded-for", "junk")], 1), "10.0.0.1");
    assert_eq!(of(&[("x-forwarded-for", "::1")], 1), "::1");
}

#[test]
fn forwarding() {
    let mut h = head(&[("x-forwarded-for", "1.1.1.1"), ("x-forwarded-proto", "https")]);
    forward(&mut h, b"2.2.2.2", false);
    assert_eq!(format!("{:?}", h.fields), "[x-forwarded-for: 1.1.1.1, 2.2.2.2, x-forwarded-proto: http]");
    let mut h = head(&[("x-forwarded-proto", "https")]);
    forward(&mut h, b"2.2.2.2", true);
    assert_eq!(format!("{:?}", h.fields), "[x-forwarded-proto: https, x-forwarded-for: 2.2.2.2]");
}
