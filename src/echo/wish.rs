//! What a client asks of the answer, in the query or in `X-Echo-…` headers.

use std::borrow::Cow;
use std::time::Duration;

use hyper::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// How to answer. See [`super::HELP`] for the words.
#[derive(Debug, Default)]
pub struct Wish {
    pub delay: Option<Duration>,
    pub status: Option<StatusCode>,
    pub size: Option<u64>,
    pub chunk: Option<usize>,
    pub chunk_delay: Option<Duration>,
    pub chunked: bool,
    pub trailers: HeaderMap,
    pub early_hints: u32,
    pub close: Option<Close>,
    pub hang: bool,
    pub close_after: bool,
    pub leave_body: bool,
    pub grpc_status: Option<u32>,
    pub grpc_message: Option<String>,
}

/// Where to break the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// Before anything is sent, by a reset.
    Now,
    /// Within the head.
    Head,
    /// Half way through the body.
    Body,
}

impl Wish {
    /// Reads the wishes of a request; the error is a sentence for the client.
    pub fn of(query: Option<&str>, headers: &HeaderMap) -> Result<Wish, String> {
        let words = Words::new(query, headers);
        if words.none() {
            return Ok(Wish::default());
        }
        Ok(Wish {
            delay: words.parse("delay", duration)?,
            status: words.parse("status", status)?,
            size: words.parse("size", bytes)?,
            chunk: words.parse("chunk", |text| bytes(text).and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0))?,
            chunk_delay: words.parse("chunk-delay", duration)?,
            chunked: words.flag("chunked")?,
            trailers: words.parse("trailers", pairs)?.unwrap_or_default(),
            early_hints: words.parse("early-hints", |text| text.parse().ok())?.unwrap_or_default(),
            close: words.parse("close", close)?,
            hang: words.flag("hang")?,
            close_after: words.value("connection").is_some_and(|v| v == "close"),
            leave_body: words.parse("read", truth)?.is_some_and(|read| !read),
            grpc_status: words.parse("grpc-status", |text| text.parse().ok())?,
            grpc_message: words.value("grpc-message").map(Cow::into_owned),
        })
    }
}

/// The value of a query parameter, decoded; the first one counts.
pub fn parameter<'a>(query: Option<&'a str>, name: &str) -> Option<Cow<'a, str>> {
    let pairs = query?.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.into_iter().find(|(key, _)| decode(key) == name).map(|(_, value)| decode(value))
}

/// `application/x-www-form-urlencoded`; what is no text is replaced.
pub fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return text.into();
    }
    String::from_utf8_lossy(&decode_bytes(text)).into_owned().into()
}

/// As [`decode`], for what need not be text.
pub fn decode_bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        match (first, tail) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                out.push(nibble(*high) << 4 | nibble(*low));
                rest = after;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(*byte),
        }
    }
    out
}

fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        digit => (digit | 0x20) - b'a' + 10,
    }
}

/// Parses a duration as Go's `time.ParseDuration`, without a sign: `1s`, `1.5h`, `1m30s`, `250ms`, `0`.
pub fn duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (value, after) = rest.split_at(number);
        let unit = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let seconds = match &after[..unit] {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        let part = Duration::try_from_secs_f64(value.parse::<f64>().ok()? * seconds).ok()?;
        total = total.checked_add(part)?;
        rest = &after[unit..];
    }
    (!text.is_empty()).then_some(total)
}

/// Parses the pairs of `X-Echo-Set-Header`: `name:value,name:value`. A name that comes again adds to its value.
pub fn pairs(text: &str) -> Option<HeaderMap> {
    let mut map = HeaderMap::<HeaderValue>::new();
    for pair in text.split(',') {
        let (name, value) = pair.trim().split_once(':').unwrap_or((pair.trim(), ""));
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        let value = value.trim();
        let joined = match map.get(&name) {
            Some(before) => [before.as_bytes(), b",", value.as_bytes()].concat(),
            None => value.as_bytes().to_vec(),
        };
        map.insert(name, HeaderValue::from_bytes(&joined).ok()?);
    }
    Some(map)
}

/// Where wishes come from.
struct Words<'a> {
    query: Option<&'a str>,
    /// `None` when no header is ours, which is the usual request.
    headers: Option<&'a HeaderMap>,
}

impl<'a> Words<'a> {
    fn new(query: Option<&'a str>, headers: &'a HeaderMap) -> Words<'a> {
        let ours = headers.keys().any(|name| name.as_str().starts_with("x-echo-"));
        Words { query: query.filter(|q| !q.is_empty()), headers: ours.then_some(headers) }
    }

    fn none(&self) -> bool {
        self.query.is_none() && self.headers.is_none()
    }

    fn value(&self, name: &str) -> Option<Cow<'a, str>> {
        let header = || Some(String::from_utf8_lossy(self.headers?.get(format!("x-echo-{name}"))?.as_bytes()));
        parameter(self.query, name).or_else(header)
    }

    fn parse<T>(&self, name: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, String> {
        let Some(value) = self.value(name).filter(|v| !v.is_empty()) else {
            return Ok(None);
        };
        parse(&value).map(Some).ok_or_else(|| format!("invalid {name} {value:?}; `fairlead echo --help` explains it"))
    }

    /// `?name` alone is a yes.
    fn flag(&self, name: &str) -> Result<bool, String> {
        match self.value(name) {
            Some(value) if value.is_empty() => Ok(true),
            _ => self.parse(name, truth).map(Option::unwrap_or_default),
        }
    }
}

fn truth(text: &str) -> Option<bool> {
    match text {
        "true" | "1" | "yes" => Some(true),
        "false" | "0" | "no" => Some(false),
        _ => None,
    }
}

/// A status that ends an exchange.
pub fn status(text: &str) -> Option<StatusCode> {
    text.parse().ok().filter(|code| *code >= 200).and_then(|code| StatusCode::from_u16(code).ok())
}

fn bytes(text: &str) -> Option<u64> {
    let (digits, factor) = match text.as_bytes().last()?.to_ascii_lowercase() {
        b'k' => (&text[..text.len() - 1], 1 << 10),
        b'm' => (&text[..text.len() - 1], 1 << 20),
        b'g' => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

fn close(text: &str) -> Option<Close> {
    match text {
        "now" => Some(Close::Now),
        "head" => Some(Close::Head),
        "body" => Some(Close::Body),
        _ => None,
    }
}
