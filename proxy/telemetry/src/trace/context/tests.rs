use super::*;
use proptest::prelude::*;

const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn parse(text: &str) -> Option<Context> {
    Context::parse(text.as_bytes())
}

#[test]
fn traceparent_is_read_strictly() {
    let good = parse(GOOD).expect("the specification's example");
    assert_eq!(good.trace.to_string(), "0af7651916cd43dd8448eb211c80319c");
    assert!(good.is_sampled());
    assert_eq!(str::from_utf8(&good.to_bytes()), Ok(GOOD));
    let accepted = [
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", false),
        // Level 2's random flag is kept, others are not.
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03", true),
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff", true),
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-fe", false),
        // Versions to come.
        ("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true),
        ("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-comes", true),
        ("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-", true),
    ];
    for (text, sampled) in accepted {
        assert_eq!(parse(text).map(Context::is_sampled), Some(sampled), "{text}");
    }
    let refused = [
        "",
        "00",
        "00-",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-B7AD6B7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-011",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
        "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x",
        "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.x",
        "0x-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00_0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331_01",
        "00-0af7651916cd43dd8448eb211c80319-cb7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333g-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-+1",
        " 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 ",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01,00",
        "00-0af7651916cd43dd8448eb211c8031\u{e4}-b7ad6b7169203331-01",
    ];
    for text in refused {
        assert_eq!(parse(text), None, "{text:?}");
    }
}

#[test]
fn contexts_go_on_with_a_span_of_their_own() {
    let parent = parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03").expect("valid");
    let child = parent.child(SpanId::new(0x1234), false);
    assert_eq!(child.to_bytes(), *b"00-0af7651916cd43dd8448eb211c80319c-0000000000001234-02");
    let own = Context::new(TraceId::new(0), SpanId::new(0), true);
    assert_eq!(own.to_bytes(), *b"00-00000000000000000000000000000001-0000000000000001-01");
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(trace: u128, span: u64, sampled: bool) {
        let context = Context::new(TraceId::new(trace), SpanId::new(span), sampled);
        prop_assert_eq!(Context::parse(&context.to_bytes()), Some(context));
    }

    #[test]
    fn no_bytes_are_too_much(bytes: Vec<u8>) {
        if let Some(context) = Context::parse(&bytes) {
            prop_assert!(bytes.len() >= 55 && context.to_bytes()[3..52] == bytes[3..52]);
        }
        is_tracestate([&bytes[..]].into_iter());
    }
}

#[test]
fn tracestate_is_read_strictly() {
    let many = |count: usize| (0..count).map(|i| format!("k{i}=v")).collect::<Vec<_>>().join(",");
    let valid = |text: &str| is_tracestate([text.as_bytes()].into_iter());
    for text in [
        "",
        "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
        "a=1 , b=2\t,\tc=3",
        "a=1,,b=2",
        "fw529a3039@dt=FfAsOgy",
        "0a=b",
        "a*/_-=!~ x",
        &many(32),
        &format!("{}={}", "k".repeat(256), "v".repeat(256)),
    ] {
        assert!(valid(text), "{text:?}");
    }
    for text in [
        "a",
        "=b",
        "A=b",
        "_a=b",
        "a=",
        "a=b=c",
        "a=1,a=2",
        "a b=c",
        "a=\u{7f}",
        "a=\u{e4}",
        "@dt=x",
        "a@=x",
        "a@b@c=x",
        &many(33),
        &format!("{}=v", "k".repeat(257)),
        &format!("k={}", "v".repeat(257)),
    ] {
        assert!(!valid(text), "{text:?}");
    }
    assert!(!is_tracestate([b"a=1".as_slice(), b"a=2"].into_iter()), "over several fields too");
}
