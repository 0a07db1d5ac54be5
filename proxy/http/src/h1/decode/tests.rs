use proptest::prelude::*;

use super::*;

const BOUNDS: Bounds = Bounds { extension_bytes: 32, trailer_bytes: 64, trailers: 2 };

type Decoded = (Vec<u8>, Fields, Vec<u8>);

/// What a chunked body is taken for when it arrives in these pieces: content, trailers, and what is left over.
fn decode(pieces: &[&[u8]]) -> Result<Option<Decoded>, Error> {
    let mut decoder = Decoder::new(Framing::Streamed);
    let (mut content, mut trailers, mut input) = (Vec::new(), Fields::new(), Vec::new());
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            match decoder.step(&input, &BOUNDS)? {
                Step::Content(n) => {
                    content.extend(input.drain(..n));
                    decoder.took(n);
                }
                Step::Skip(n) => drop(input.drain(..n)),
                Step::Trailer(n) => {
                    trailer(&input[..n], &mut trailers, &BOUNDS)?;
                    input.drain(..n);
                }
                Step::More | Step::Done => break,
            }
        }
    }
    drop_forbidden(&mut trailers);
    Ok(decoder.is_done().then_some((content, trailers, input)))
}

fn verdict(bytes: &[u8]) -> String {
    match decode(&[bytes]) {
        Ok(None) => "incomplete".into(),
        Err(e) => e.details().into(),
        Ok(Some((content, trailers, rest))) => {
            format!("{} {trailers:?} {}", content.escape_ascii(), rest.escape_ascii())
        }
    }
}

const CHUNKS: &[(&str, &[u8], &str)] = &[
    ("plain", b"5\r\nhello\r\n0\r\n\r\n", "hello [] "),
    (
        "two, upper and lower hex",
        b"A\r\n0123456789\r\nb\r\n0123456789a\r\n0\r\n\r\nGET",
        "01234567890123456789a [] GET",
    ),
    ("leading zeros", b"0005\r\nhello\r\n000\r\n\r\n", "hello [] "),
    ("extensions", b"5;a;b=c;d=\"e;\\\"f\"\r\nhello\r\n0;x\r\n\r\n", "hello [] "),
    ("trailers", b"0\r\nA: b\r\nx-y:\tz \r\n\r\n", " [a: b, x-y: z] "),
    ("forbidden trailers go", b"0\r\nContent-Length: 5\r\nHost: b\r\n\r\n", " [] "),
    ("forged origins go", b"0\r\nX-Forwarded-For: 1.2.3.4\r\nA: b\r\n\r\n", " [a: b] "),
    ("cut in size", b"5", "incomplete"),
    ("cut in data", b"5\r\nhel", "incomplete"),
    ("no last chunk", b"5\r\nhello\r\n", "incomplete"),
    ("no last line end", b"0\r\n", "incomplete"),
    ("half a last line end", b"0\r\n\r", "incomplete"),
    ("empty size", b"\r\nhello", "http1.invalid_chunk_size"),
    ("not hex", b"g\r\n", "http1.invalid_chunk_size"),
    ("0x", b"0x5\r\nhello\r\n", "http1.invalid_chunk_extension"),
    ("plus", b"+5\r\nhello\r\n", "http1.invalid_chunk_size"),
    ("minus", b"-5\r\nhello\r\n", "http1.invalid_chunk_size"),
    ("space before", b" 5\r\nhello\r\n", "http1.invalid_chunk_size"),
    ("space after", b"5 \r\nhello\r\n", "http1.invalid_chunk_extension"),
    ("tab after", b"5\t\r\nhello\r\n", "http1.invalid_chunk_extension"),
    ("space before extension", b"5 ;a\r\nhello\r\n", "http1.invalid_chunk_extension"),
    ("underscore", b"1_0\r\nhello", "http1.invalid_chunk_extension"),
    ("17 digits", b"00000000000000005\r\nhello\r\n", "http1.invalid_chunk_size"),
    ("overflow", b"ffffffffffffffff\r\nhello\r\n", "http1.invalid_chunk_size"),
    ("overflow of u64", b"10000000000000005\r\nhello\r\n", "http1.invalid_chunk_size"),
    ("bare LF after size", b"5\nhello\r\n", "http1.invalid_line_end"),
    ("bare CR after size", b"5\rhello\r\n", "http1.invalid_line_end"),
    ("bare LF in extension", b"5;a\nhello\r\n", "http1.invalid_line_end"),
    ("bare CR in extension", b"5;a\r;b\r\nhello\r\n", "http1.invalid_line_end"),
    ("quoted LF in extension", b"5;a=\"\n\"\r\nhello\r\n", "http1.invalid_line_end"),
    ("control in extension", b"5;a=\"\x01\"\r\nhello\r\n", "http1.invalid_chunk_extension"),
    ("empty extension", b"5;\r\nhello\r\n", "http1.invalid_chunk_extension"),
    ("extension without value", b"5;a=\r\nhello\r\n", "http1.invalid_chunk_extension"),
    ("extension not closed", b"5;a=\"b\r\nhello\r\n", "http1.invalid_chunk_extension"),
    ("extension after quotes", b"5;a=\"b\"c\r\nhello\r\n", "http1.invalid_chunk_extension"),
    (
        "extensions too large",
        b"5;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "http1.chunk_extensions_too_large",
    ),
    (
        "extensions too large together",
        b"1;aaaaaaaaaaaaaaaa\r\nx\r\n1;aaaaaaaaaaaaaaaa\r\nx\r\n",
        "http1.chunk_extensions_too_large",
    ),
    ("data too long", b"5\r\nhello!\r\n0\r\n\r\n", "http1.invalid_chunk_end"),
    ("bare LF after data", b"5\r\nhello\n0\r\n\r\n", "http1.invalid_chunk_end"),
    ("bare CR after data", b"5\r\nhello\r0\r\n\r\n", "http1.invalid_chunk_end"),
    ("data too short", b"6\r\nhello\r\n0\r\n\r\n", "http1.invalid_chunk_end"),
    ("bare LF after last chunk", b"0\n\n", "http1.invalid_line_end"),
    ("bare LF at the end", b"0\r\n\n", "http1.invalid_line_end"),
    ("bare LF in trailers", b"0\r\na: b\n\r\n", "http1.invalid_line_end"),
    ("trailer without colon", b"0\r\nhello\r\n\r\n", "http1.invalid_trailer"),
    ("trailer without name", b"0\r\n: x\r\n\r\n", "http1.invalid_trailer"),
    ("trailer with space in name", b"0\r\na b: x\r\n\r\n", "http1.invalid_trailer"),
    ("trailer with space before colon", b"0\r\na : x\r\n\r\n", "http1.invalid_trailer"),
    ("folded trailer", b"0\r\na: x\r\n y\r\n\r\n", "http1.invalid_trailer"),
    ("trailer with NUL", b"0\r\na: \0\r\n\r\n", "http1.invalid_trailer"),
    ("trailer with form feed", b"0\r\na: \x0cx\r\n\r\n", "http1.invalid_trailer"),
    ("request line as trailer", b"0\r\nGET / HTTP/1.1\r\n\r\n", "http1.invalid_trailer"),
    ("too many trailers", b"0\r\na: 1\r\nb: 2\r\nc: 3\r\n\r\n", "http1.too_many_trailers"),
    (
        "trailers too large",
        b"0\r\na: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "http1.trailers_too_large",
    ),
];

#[test]
fn chunks() {
    for (name, bytes, expected) in CHUNKS {
        assert_eq!(&verdict(bytes), expected, "{name}");
    }
}

#[test]
fn one_byte_at_a_time() {
    for (name, bytes, expected) in CHUNKS {
        let pieces: Vec<&[u8]> = bytes.chunks(1).collect();
        let got = match decode(&pieces) {
            Ok(Some((content, trailers, rest))) => {
                format!("{} {trailers:?} {}", content.escape_ascii(), rest.escape_ascii())
            }
            Ok(None) => "incomplete".into(),
            Err(e) => e.details().into(),
        };
        assert_eq!(&got, expected, "{name}");
    }
}

#[test]
fn lengths() {
    let mut d = Decoder::new(Framing::Length(5));
    assert_eq!(d.step(b"abc", &BOUNDS), Ok(Step::Content(3)));
    d.took(3);
    assert_eq!(d.step(b"", &BOUNDS), Ok(Step::More));
    assert!(!d.may_end());
    assert_eq!(d.step(b"defg", &BOUNDS), Ok(Step::Content(2)));
    d.took(2);
    assert_eq!(d.step(b"fg", &BOUNDS), Ok(Step::Done));
    assert!(d.is_done());
    let mut d = Decoder::new(Framing::UntilClose);
    assert_eq!(d.step(b"abc", &BOUNDS), Ok(Step::Content(3)));
    d.took(3);
    assert!(d.may_end() && !d.is_done());
    d.end();
    assert!(d.is_done());
}

proptest! {
    /// Chunks of any sizes, cut anywhere, come out as they went in; cross-checked with httparse's reading of the sizes.
    #[test]
    fn round_trip(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..6),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        rest in prop::collection::vec(any::<u8>(), 0..8),
    ) {
        let mut wire = crate::buf::Buf::default();
        for chunk in &chunks {
            prop_assert!(crate::h1::encode::chunk_size(chunk.len(), &mut wire));
            prop_assert!(wire.put(chunk) && wire.put(b"\r\n"));
        }
        let mut sent = Fields::new();
        sent.push(b"x-sum", b"42");
        crate::h1::encode::chunks_end(Some(&sent), &mut wire).unwrap();
        prop_assert!(wire.put(&rest));
        let mut at: Vec<usize> = cuts.iter().map(|c| c.index(wire.len())).collect();
        at.sort_unstable();
        let (mut pieces, mut from) = (Vec::new(), 0);
        for cut in at.into_iter().chain([wire.len()]) {
            pieces.push(&wire.bytes()[from..cut]);
            from = cut;
        }
        let (content, trailers, left) = decode(&pieces).unwrap().unwrap();
        prop_assert_eq!(content, chunks.concat());
        prop_assert_eq!(trailers, sent);
        prop_assert_eq!(left, rest);
        if let Some(first) = chunks.first() {
            let expected = httparse::Status::Complete((format!("{:x}\r\n", first.len()).len(), first.len() as u64));
            prop_assert_eq!(httparse::parse_chunk_size(wire.bytes()), Ok(expected));
        }
    }

    /// How bytes are cut changes nothing but how early a fault is seen.
    #[test]
    fn cuts_change_nothing(
        pieces in prop::collection::vec(prop::sample::select(vec!["0", "5", "a", ";", "a=b", "\"", "\r\n", "\r", "\n", "hello", " ", ":", "\r\n\r\n"]), 0..10),
        cut in any::<prop::sample::Index>(),
    ) {
        let bytes = pieces.concat().into_bytes();
        let cut = cut.index(bytes.len() + 1);
        let whole = decode(&[&bytes]);
        let parts = decode(&[&bytes[..cut], &bytes[cut..]]);
        prop_assert_eq!(whole, parts);
    }
}
