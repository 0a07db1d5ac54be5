//! RFC 9110: what messages mean, whatever carries them.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use fairlead_test_protocol::{House, pattern};
use fairlead_testkit::{Answer, Ask, Content, End, Shared, Version};
use serde_json::Value;

static HOUSE: Shared<House> = Shared::new(House::start);

const SIZES: [usize; 7] = [0, 1, 4096, 64 * 1024 - 1, 64 * 1024, 64 * 1024 + 1, 3_000_000];

/// Values of a header as the backend got them; names as Go writes them.
fn got<'a>(answer: &'a Value, name: &str) -> Vec<&'a str> {
    answer["headers"][name]
        .as_array()
        .map(|values| values.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default()
}

fn assert_same(got: &[u8], expected: &[u8], what: &str) {
    let differs = got.iter().zip(expected).position(|(a, b)| a != b);
    assert!(
        got.len() == expected.len() && differs.is_none(),
        "{what}: {} bytes, {} expected, first difference at {differs:?}",
        got.len(),
        expected.len()
    );
}

#[test]
fn content_arrives_unchanged_both_ways() {
    let house = HOUSE.take();
    for way in House::ways() {
        let mut client = house.connect(way);
        for size in SIZES {
            let data = pattern(size);
            for content in [
                Content::Sized(data.clone()),
                Content::Streamed(data.clone(), 10_000),
                Content::Streamed(data.clone(), 1 << 20),
            ] {
                let what = format!("{way:?} {size} bytes {}", matches!(content, Content::Sized(_)));
                let ask = Ask::new("POST", "/x/echo-body").host(House::host(way)).content(content);
                let answer = client.ask(&ask).whole();
                assert_eq!(answer.status, 200, "{what}");
                assert_same(&answer.body, &data, &what);
            }
        }
    }
}

#[test]
fn lengths_are_kept() {
    let house = HOUSE.take();
    for way in House::ways() {
        for size in ["0", "1", "65536"] {
            let path = format!("/?size={size}");
            let answer = house.ask(way, Ask::get(&path)).whole();
            if size == "0" {
                // HTTP/2 says it by the end of the stream.
                assert!(matches!(answer.header("content-length"), None | Some("0")), "{way:?}");
                continue;
            }
            assert_eq!(answer.header("content-length"), Some(size), "{way:?}");
            let path = format!("/?size={size}&chunked=true");
            let answer = house.ask(way, Ask::get(&path)).whole();
            assert_eq!(
                (answer.header("content-length"), answer.body.len().to_string()),
                (None, size.to_owned()),
                "{way:?}"
            );
        }
        let sized = Ask::new("POST", "/x/sink").content(Content::Sized(pattern(70_000)));
        let answer = house.ask(way, sized).whole();
        assert_eq!(answer.status, 200, "{way:?}");
        let json = house.ask(way, Ask::new("PUT", "/").content(Content::Sized(pattern(7)))).whole().json();
        assert_eq!(got(&json, "Content-Length"), ["7"], "{way:?}");
        let json = house.ask(way, Ask::new("PUT", "/").content(Content::Streamed(pattern(7), 7))).whole().json();
        assert_eq!(got(&json, "Content-Length"), [] as [&str; 0], "{way:?}");
        let json = house.ask(way, Ask::get("/")).whole().json();
        assert_eq!((got(&json, "Content-Length"), got(&json, "Transfer-Encoding")), (vec![], vec![]), "{way:?}");
    }
}

#[test]
fn head_has_the_headers_of_get_and_no_content() {
    let house = HOUSE.take();
    for way in House::ways() {
        let mut client = house.connect(way);
        for (path, length) in [("/?size=5000", Some("5000")), ("/?size=5000&chunked=true", None)] {
            let reply = client.ask(&Ask::new("HEAD", path).host(House::host(way)));
            assert_eq!(reply.end, End::Complete, "{way:?} {path}");
            let answer = reply.answer;
            assert_eq!(
                (answer.status, answer.header("content-length"), answer.body.len()),
                (200, length, 0),
                "{way:?} {path}"
            );
            // The connection is still in step.
            let answer = client.ask(&Ask::get("/?size=3").host(House::host(way))).whole();
            assert_eq!(answer.body.len(), 3, "{way:?} {path}");
        }
    }
}

#[test]
fn statuses_without_content() {
    let house = HOUSE.take();
    for way in House::ways() {
        let mut client = house.connect(way);
        for status in [204, 304] {
            for method in ["GET", "HEAD", "POST"] {
                let answer = client.ask(&Ask::new(method, &format!("/status/{status}")).host(House::host(way))).whole();
                let length = answer.header("content-length");
                assert_eq!((answer.status, answer.body.len()), (status, 0), "{way:?} {method}");
                assert!(status == 304 || length.is_none(), "{way:?} {method} {status}: content-length {length:?}");
                assert_eq!(answer.header("transfer-encoding"), None, "{way:?} {method} {status}");
            }
        }
        assert_eq!(client.ask(&Ask::get("/").host(House::host(way))).whole().status, 200, "{way:?}");
    }
}

#[test]
fn all_statuses_pass() {
    let house = HOUSE.take();
    for way in House::ways() {
        let mut client = house.connect(way);
        for status in [
            200, 201, 202, 203, 206, 299, 300, 301, 302, 307, 308, 400, 401, 403, 404, 409, 410, 418, 421, 429, 451,
            500, 501, 502, 503, 504, 505, 599, 777, 999,
        ] {
            let answer = client.ask(&Ask::get(&format!("/status/{status}")).host(House::host(way))).whole();
            assert_eq!((answer.status, answer.body.len()), (status, 0), "{way:?} {}", answer.text());
        }
    }
}

#[test]
fn methods_pass_and_are_case_sensitive() {
    let house = HOUSE.take();
    for way in House::ways() {
        for method in ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PURGE", "get", "M-SEARCH", "TRACE"] {
            let json = house.ask(way, Ask::new(method, "/m")).whole().json();
            assert_eq!(json["method"], method, "{way:?}");
        }
    }
}

#[test]
fn trailers_pass_both_ways() {
    let house = HOUSE.take();
    for way in House::ways() {
        let ask = Ask::new("POST", "/x/echo-body")
            .header("te", "trailers")
            .header("trailer", "x-sum, x-more")
            .content(Content::Streamed(pattern(100_000), 30_000))
            .trailer("x-sum", "abc")
            .trailer("x-more", "d e");
        let answer = house.ask(way, ask).whole();
        assert_eq!(answer.body.len(), 100_000, "{way:?}");
        assert_eq!((answer.trailer("x-sum"), answer.trailer("x-more")), (Some("abc"), Some("d e")), "{way:?}");
        // Without content, too.
        let ask = Ask::get("/?size=0&chunked=true&trailers=x-a:1,x-b:2").header("te", "trailers");
        let answer = house.ask(way, ask).whole();
        assert_eq!((answer.trailer("x-a"), answer.trailer("x-b")), (Some("1"), Some("2")), "{way:?}");
    }
}

#[test]
fn trailers_without_content_reach_the_backend() {
    let house = HOUSE.take();
    for way in House::ways() {
        let ask = Ask::new("POST", "/x/sink").content(Content::Streamed(pattern(0), 1)).trailer("x-t", "v");
        let json = house.ask(way, ask).whole().json();
        assert!(json.to_string().to_ascii_lowercase().contains("x-t"), "{way:?}: {json}");
    }
}

#[test]
fn forbidden_trailers_are_dropped() {
    let house = HOUSE.take();
    for way in House::proxied() {
        let ask = Ask::new("POST", "/x/echo-body")
            .header("te", "trailers")
            .header("trailer", "authorization, content-type, x-good")
            .content(Content::Streamed(pattern(10), 10))
            .trailer("authorization", "stolen")
            .trailer("content-type", "text/html")
            .trailer("x-good", "1");
        let answer = house.ask(way, ask).whole();
        assert_eq!(
            (answer.trailer("x-good"), answer.trailer("authorization"), answer.trailer("content-type")),
            (Some("1"), None, None),
            "{way:?}"
        );
    }
}

#[test]
fn hop_by_hop_fields_stay_on_their_hop() {
    let house = HOUSE.take();
    // HTTP/2 clients may not send them.
    for way in House::proxied().into_iter().filter(|way| way.down == Version::H1) {
        let ask = Ask::get("/hop")
            .header("connection", "x-nominated, keep-alive, X-Other")
            .header("keep-alive", "timeout=5")
            .header("proxy-connection", "keep-alive")
            .header("x-nominated", "1")
            .header("x-other", "2")
            .header("te", "trailers, deflate")
            .header("upgrade", "h2c")
            .header("http2-settings", "AAMAAABkAAQAAP__")
            .header("x-stays", "3");
        let json = house.ask(way, ask).whole().json();
        for gone in ["Keep-Alive", "Proxy-Connection", "X-Nominated", "X-Other", "Upgrade", "Http2-Settings"] {
            assert_eq!(got(&json, gone), [] as [&str; 0], "{way:?} {gone}");
        }
        assert_eq!(got(&json, "X-Stays"), ["3"], "{way:?}");
        assert_eq!(got(&json, "Te"), ["trailers"], "{way:?}");
    }
    for way in House::proxied() {
        let ask = Ask::get("/").header("x-echo-set-header", "keep-alive:timeout=9,proxy-connection:close,x-kept:1");
        let answer = house.ask(way, ask).whole();
        assert_eq!(
            (answer.header("keep-alive"), answer.header("proxy-connection"), answer.header("x-kept")),
            (None, None, Some("1")),
            "{way:?}"
        );
    }
}

#[test]
fn te_trailers_passes_and_other_te_does_not() {
    let house = HOUSE.take();
    for way in House::proxied() {
        let json = house.ask(way, Ask::get("/").header("te", "trailers")).whole().json();
        assert_eq!(got(&json, "Te"), ["trailers"], "{way:?}");
    }
    for way in House::proxied().into_iter().filter(|way| way.down == Version::H1) {
        let json = house.ask(way, Ask::get("/").header("te", "gzip")).whole().json();
        assert_eq!(got(&json, "Te"), [] as [&str; 0], "{way:?}");
    }
}

#[test]
fn repeated_fields_keep_their_order_and_are_not_joined() {
    let house = HOUSE.take();
    for way in House::ways() {
        let ask =
            Ask::get("/").header("x-many", "a").header("x-other", "1").header("x-many", "b, c").header("x-many", "");
        let json = house.ask(way, ask).whole().json();
        assert_eq!(got(&json, "X-Many"), ["a", "b, c", ""], "{way:?}");
    }
}

#[test]
fn several_set_cookies_stay_apart_and_cookies_are_one_field() {
    let house = HOUSE.take();
    for way in House::proxied() {
        let json = house.ask(way, Ask::get("/").header("cookie", "a=1; b=2")).whole().json();
        assert_eq!(got(&json, "Cookie"), ["a=1; b=2"], "{way:?}");
    }
    // HTTP/2 clients split them (RFC 9113 §8.2.3); HTTP/1 backends must see one.
    for way in House::proxied().into_iter().filter(|way| way.down == Version::H2) {
        let json = house
            .ask(way, Ask::get("/").header("cookie", "a=1").header("cookie", "b=2").header("cookie", "c=3"))
            .whole()
            .json();
        assert_eq!(got(&json, "Cookie").join("; "), "a=1; b=2; c=3", "{way:?}");
        assert!(way.up == Some(Version::H2) || got(&json, "Cookie").len() == 1, "{way:?}");
    }
}

#[test]
fn many_and_large_headers_pass_up_to_the_limits() {
    let house = HOUSE.take();
    for way in House::proxied() {
        // 100 fields with Host; pseudo fields are no fields.
        let many = |n: usize| (0..n).fold(Ask::get("/"), |ask, i| ask.header(&format!("x-{i}"), "v"));
        let json = house.ask(way, many(90)).whole().json();
        assert_eq!(got(&json, "X-89"), ["v"], "{way:?}");
        assert_eq!(house.ask(way, many(150)).answer.status, 431, "{way:?}");
        // The echo server's own limits are lower on HTTP/2.
        let large = "v".repeat(if way.up == Some(Version::H2) { 12_000 } else { 40_000 });
        let json = house.ask(way, Ask::get("/").header("x-large", &large)).whole().json();
        assert_eq!(got(&json, "X-Large"), [large.as_str()], "{way:?}");
        let reply = house.ask(way, Ask::get("/").header("x-large", &"v".repeat(62_000)));
        assert_eq!(reply.answer.status, 431, "{way:?} {:?}", reply.end);
        let long = format!("/{}", "p".repeat(if way.up == Some(Version::H2) { 12_000 } else { 30_000 }));
        assert_eq!(house.ask(way, Ask::get(&long)).whole().json()["path"], long, "{way:?}");
        assert_eq!(house.ask(way, Ask::get(&format!("/{}", "p".repeat(33_000)))).answer.status, 414, "{way:?}");
    }
}

#[test]
fn large_response_headers_pass() {
    let house = HOUSE.take();
    for way in House::proxied() {
        // The echo server takes 16 KiB on HTTP/2, and gets the value in a header.
        let large = "v".repeat(10_000);
        let answer = house.ask(way, Ask::get("/").header("x-echo-set-header", &format!("x-large:{large}"))).whole();
        assert_eq!(answer.header("x-large"), Some(large.as_str()), "{way:?}");
    }
}

#[test]
fn early_hints_arrive_before_the_answer() {
    let house = HOUSE.take();
    for way in House::ways()
        .into_iter()
        .filter(|way| way.up == Some(Version::H1) || (way.up.is_none() && way.down == Version::H1))
    {
        let reply = house.ask(way, Ask::get("/?early-hints=3"));
        assert_eq!(reply.interim.iter().map(|a| a.status).collect::<Vec<_>>(), [103, 103, 103], "{way:?}");
        assert!(reply.interim[0].header("link").is_some(), "{way:?}: {:?}", reply.interim[0]);
        assert_eq!(reply.whole().status, 200, "{way:?}");
    }
}

#[test]
fn an_answer_may_come_before_the_request_ends() {
    let house = HOUSE.take();
    for way in House::proxied() {
        let ask = Ask::new("POST", "/?read=false&status=413").content(Content::Sized(pattern(3_000_000)));
        let reply = house.ask(way, ask);
        // HTTP/1.1 clients may find their connection closed under the rest of their content.
        assert_eq!(reply.answer.status, 413, "{way:?} {:?} {}", reply.end, reply.answer.text());
    }
}

#[test]
fn a_backend_that_breaks_off_is_never_taken_for_complete() {
    // Not the others' house: a backend that closes a connection of HTTP/2 ends all streams on it.
    let house = House::start();
    for way in House::proxied() {
        for path in ["/?size=300000&close=body", "/?size=300000&close=body&chunked=true"] {
            let reply = house.ask(way, Ask::get(path));
            assert_eq!(reply.answer.status, 200, "{way:?} {path}");
            match way.down {
                Version::H1 => assert_eq!(reply.end, End::Closed, "{way:?} {path}"),
                Version::H2 => {
                    assert!(matches!(reply.end, End::Reset(code) if code != 0), "{way:?} {path} {:?}", reply.end)
                }
            }
            assert!(reply.answer.body.len() < 300_000, "{way:?} {path}");
        }
        let answer: Answer = house.ask(way, Ask::get("/?close=now")).whole();
        assert_eq!(answer.status, 503, "{way:?}");
        assert!(answer.text().contains("disconnect/reset before headers"), "{way:?} {}", answer.text());
    }
}

#[test]
fn options_asterisk() {
    let house = HOUSE.take();
    for way in House::proxied().into_iter().filter(|way| way.down == Version::H1) {
        let json = house.ask(way, Ask::new("OPTIONS", "*")).whole();
        assert!(json.status == 200 || json.status == 404, "{way:?} {}", json.status);
    }
}
