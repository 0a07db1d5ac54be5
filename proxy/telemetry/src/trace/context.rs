//! W3C trace context (level 1): `traceparent` and `tracestate`.

use std::fmt;

/// Id of a trace; never 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(u128);

/// Id of a span; never 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(u64);

/// What `traceparent` says: a trace, a span of it, and flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// The trace.
    pub trace: TraceId,
    /// The span that the next one is a child of.
    pub span: SpanId,
    flags: u8,
}

/// Bit of the flags: the trace may be recorded.
const SAMPLED: u8 = 1;
/// Bit of the flags (level 2): the trace id is random. Kept as it came.
const RANDOM: u8 = 2;
/// Length of `traceparent` in version 00.
const LENGTH: usize = 55;
/// List members of `tracestate`.
const MEMBERS: usize = 32;

impl TraceId {
    /// From a random number; 0 becomes 1.
    pub fn new(random: u128) -> TraceId {
        TraceId(random.max(1))
    }

    /// 32 hex digits.
    pub fn hex(self) -> [u8; 32] {
        let mut text = [0; 32];
        write_hex(self.0, &mut text);
        text
    }

    /// As OTLP has it.
    pub fn bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

impl SpanId {
    /// From a random number; 0 becomes 1.
    pub fn new(random: u64) -> SpanId {
        SpanId(random.max(1))
    }

    /// As OTLP has it.
    pub fn bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

impl Context {
    /// A context of our own.
    pub fn new(trace: TraceId, span: SpanId, sampled: bool) -> Context {
        Context { trace, span, flags: u8::from(sampled) }
    }

    /// Reads `traceparent`. Strict (§3.2.2): lower-case digits, no id of zeros, version 00 without anything behind it; versions to
    /// come are read as far as 00 goes. `None`: a new trace begins.
    pub fn parse(value: &[u8]) -> Option<Context> {
        let (head, rest) = value.split_at_checked(LENGTH)?;
        let version = number(head.get(..2)?)?;
        let complete = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.first().is_none_or(|byte| *byte == b'-'),
        };
        if !complete || [2, 35, 52].iter().any(|at| head.get(*at) != Some(&b'-')) {
            return None;
        }
        let trace = number(head.get(3..35)?)?;
        let span = u64::try_from(number(head.get(36..52)?)?).ok()?;
        let flags = u8::try_from(number(head.get(53..55)?)?).ok()?;
        if trace == 0 || span == 0 {
            return None;
        }
        Some(Context { trace: TraceId(trace), span: SpanId(span), flags: flags & (SAMPLED | RANDOM) })
    }

    /// Whether the trace is recorded by who wrote this.
    pub fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The context for what comes after a span of this trace.
    #[must_use]
    pub fn child(self, span: SpanId, sampled: bool) -> Context {
        Context { span, flags: (self.flags & !SAMPLED) | u8::from(sampled), ..self }
    }

    /// The flags as OTLP has them.
    pub fn flags(self) -> u32 {
        u32::from(self.flags)
    }

    /// `traceparent` in version 00.
    pub fn to_bytes(self) -> [u8; LENGTH] {
        let mut text = [b'-'; LENGTH];
        text[..2].copy_from_slice(b"00");
        write_hex(self.trace.0, &mut text[3..35]);
        write_hex(u128::from(self.span.0), &mut text[36..52]);
        write_hex(u128::from(self.flags), &mut text[53..]);
        text
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Whether the fields of `tracestate`, in their order, are valid together (§3.3.1): at most 32 members, no key twice.
pub fn is_tracestate<'a>(fields: impl Iterator<Item = &'a [u8]>) -> bool {
    let mut keys: [&[u8]; MEMBERS] = [&[]; MEMBERS];
    let mut count = 0;
    for member in fields.flat_map(|field| field.split(|byte| *byte == b',')) {
        let member = member.trim_ascii();
        if member.is_empty() {
            continue;
        }
        let Some(equals) = member.iter().position(|byte| *byte == b'=') else { return false };
        let (key, value) = (&member[..equals], &member[equals + 1..]);
        let known = keys.get(..count).is_some_and(|keys| keys.contains(&key));
        let Some(place) = keys.get_mut(count).filter(|_| !known && is_key(key) && is_value(value)) else {
            return false;
        };
        *place = key;
        count += 1;
    }
    true
}

/// `simple-key` or `tenant@system`.
fn is_key(key: &[u8]) -> bool {
    let starts = |name: &[u8]| name.first().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let plain = |name: &[u8]| {
        name.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/".contains(byte))
    };
    match key.iter().position(|byte| *byte == b'@') {
        None => key.len() <= 256 && starts(key) && plain(key),
        Some(at) => {
            let (tenant, system) = (&key[..at], &key[at + 1..]);
            let short = tenant.len() <= 241 && system.len() <= 14;
            short && starts(tenant) && starts(system) && plain(tenant) && plain(system)
        }
    }
}

/// Printable ASCII without `,` and `=`; spaces around it are trimmed already.
fn is_value(value: &[u8]) -> bool {
    (1..=256).contains(&value.len()) && value.iter().all(|byte| (0x20..0x7f).contains(byte) && *byte != b'=')
}

/// Hex digits, lower-case.
fn number(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some((number << 4) | u128::from(value))
    })
}

/// As many hex digits as there is room for.
fn write_hex(number: u128, out: &mut [u8]) {
    let mut rest = number;
    for place in out.iter_mut().rev() {
        *place = b"0123456789abcdef"[(rest & 15) as usize];
        rest >>= 4;
    }
}

#[cfg(test)]
mod tests;
