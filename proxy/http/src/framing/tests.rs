use super::*;

fn fields(list: &[(&str, &str)]) -> Fields {
    let mut f = Fields::new();
    for (n, v) in list {
        f.push(n.as_bytes(), v.as_bytes());
    }
    f
}

fn request(list: &[(&str, &str)]) -> Result<Framing, u16> {
    Framing::of_request(Version::Http11, &fields(list), None).map_err(|r| r.status)
}

const CL: &str = "content-length";
const TE: &str = "transfer-encoding";

#[test]
fn requests() {
    assert_eq!(request(&[]), Ok(Framing::Empty));
    assert_eq!(request(&[(CL, "0")]), Ok(Framing::Length(0)));
    assert_eq!(request(&[(CL, "0042")]), Ok(Framing::Length(42)));
    assert_eq!(request(&[(TE, "ChunKed")]), Ok(Framing::Streamed));
    assert_eq!(request(&[(TE, "chunked"), (CL, "1")]), Err(400));
    assert_eq!(request(&[(CL, "1"), (CL, "1")]), Err(400));
    assert_eq!(request(&[(CL, "1"), (CL, "2")]), Err(400));
    for odd in
        ["", "+5", "-5", "5,5", "5, 5", " 5", "5 ", "0x5", "5e1", "5.0", "9223372036854775808", "18446744073709551617"]
    {
        assert_eq!(request(&[(CL, odd)]), Err(400), "{odd}");
    }
    assert_eq!(request(&[(CL, "9223372036854775807")]), Ok(Framing::Length(i64::MAX as u64)));
    for odd in [
        "",
        "xchunked",
        "chunkedx",
        "chunked, identity",
        "identity",
        "gzip, chunked",
        "chunked,chunked",
        "chunked;q=1",
        "\"chunked\"",
    ] {
        assert_eq!(request(&[(TE, odd)]), Err(501), "{odd}");
    }
    assert_eq!(request(&[(TE, "chunked"), (TE, "chunked")]), Err(501));
    assert_eq!(Framing::of_request(Version::Http10, &fields(&[(TE, "chunked")]), None).map_err(|r| r.status), Err(400));
}

#[test]
fn requests_of_http2() {
    let of = |list, ended| Framing::of_request(Version::H2, &fields(list), Some(ended)).map_err(|r| r.status);
    assert_eq!(of(&[], true), Ok(Framing::Empty));
    assert_eq!(of(&[], false), Ok(Framing::Streamed));
    assert_eq!(of(&[(CL, "3")], false), Ok(Framing::Length(3)));
    assert_eq!(of(&[(CL, "0")], true), Ok(Framing::Length(0)));
    assert_eq!(of(&[(CL, "3")], true), Err(400));
    assert_eq!(of(&[(TE, "chunked")], false), Err(400));
}

#[test]
fn responses() {
    let of = |list, status, head| Framing::of_response(Version::Http11, &fields(list), status, head, None).ok();
    assert_eq!(of(&[], 200, false), Some(Framing::UntilClose));
    assert_eq!(of(&[(CL, "7")], 200, false), Some(Framing::Length(7)));
    assert_eq!(of(&[(TE, "chunked")], 200, false), Some(Framing::Streamed));
    assert_eq!(of(&[(CL, "7")], 200, true), Some(Framing::Empty));
    assert_eq!(of(&[(CL, "7")], 304, false), Some(Framing::Empty));
    assert_eq!(of(&[(TE, "chunked")], 304, false), Some(Framing::Empty));
    assert_eq!(of(&[(CL, "0")], 204, false), Some(Framing::Empty));
    assert_eq!(of(&[(CL, "1")], 204, false), None);
    assert_eq!(of(&[(TE, "chunked")], 204, false), None);
    assert_eq!(of(&[(CL, "1"), (TE, "chunked")], 200, false), None);
    assert_eq!(of(&[(CL, "1"), (TE, "chunked")], 200, true), None);
    assert_eq!(of(&[(CL, "1"), (CL, "1")], 200, false), None);
    let h2 = |list, ended| Framing::of_response(Version::H2, &fields(list), 200, false, Some(ended)).ok();
    assert_eq!(h2(&[], true), Some(Framing::Empty));
    assert_eq!(h2(&[], false), Some(Framing::Streamed));
    assert_eq!(h2(&[(CL, "7")], true), None);
}
