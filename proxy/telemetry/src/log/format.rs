//! Formats, compiled.

use super::escape;
use super::operator::{Fact, Operator};
use super::parse::{FormatError, Piece, parse};
use super::record::Record;
use super::stamp::{Stamp, StampFormat};
use crate::{Flag, Flags};
use std::cell::RefCell;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Keys and formats of the default: those of Envoy Gateway.
pub const DEFAULT_JSON: [(&str, &str); 24] = [
    ("start_time", "%START_TIME%"),
    ("method", "%REQ(:METHOD)%"),
    ("x-envoy-origin-path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"),
    ("protocol", "%PROTOCOL%"),
    ("response_code", "%RESPONSE_CODE%"),
    ("response_flags", "%RESPONSE_FLAGS%"),
    ("response_code_details", "%RESPONSE_CODE_DETAILS%"),
    ("connection_termination_details", "%CONNECTION_TERMINATION_DETAILS%"),
    ("upstream_transport_failure_reason", "%UPSTREAM_TRANSPORT_FAILURE_REASON%"),
    ("bytes_received", "%BYTES_RECEIVED%"),
    ("bytes_sent", "%BYTES_SENT%"),
    ("duration", "%DURATION%"),
    ("x-envoy-upstream-service-time", "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"),
    ("x-forwarded-for", "%REQ(X-FORWARDED-FOR)%"),
    ("user-agent", "%REQ(USER-AGENT)%"),
    ("x-request-id", "%REQ(X-REQUEST-ID)%"),
    (":authority", "%REQ(:AUTHORITY)%"),
    ("upstream_host", "%UPSTREAM_HOST%"),
    ("upstream_cluster", "%UPSTREAM_CLUSTER%"),
    ("upstream_local_address", "%UPSTREAM_LOCAL_ADDRESS%"),
    ("downstream_local_address", "%DOWNSTREAM_LOCAL_ADDRESS%"),
    ("downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%"),
    ("requested_server_name", "%REQUESTED_SERVER_NAME%"),
    ("route_name", "%ROUTE_NAME%"),
];

/// Comes last in the default JSON, and only when there is one.
const TRACE_KEY: &str = "trace_id";

/// Envoy's default text format.
pub const DEFAULT_TEXT: &str = concat!(
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% %RESPONSE_FLAGS% ",
    "%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" ",
    "\"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"\n"
);

/// A compiled format with the times it rendered last. Each worker has a clone of its own.
#[derive(Debug)]
pub struct AccessLog {
    format: Arc<Format>,
    stamps: RefCell<Box<[Stamp]>>,
}

#[derive(Debug)]
struct Format {
    items: Box<[Item]>,
    stamps: Box<[StampFormat]>,
}

#[derive(Debug)]
enum Item {
    Text(Box<[u8]>),
    Value {
        operator: Operator,
        limit: usize,
        form: Form,
    },
    /// A JSON member, with the comma in front; left out when its value is missing.
    Member {
        key: Box<[u8]>,
        operator: Operator,
    },
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// In a text format.
    Text,
    /// As a JSON value: string, number or `null`.
    JsonValue,
    /// Inside a JSON string.
    JsonPart,
}

impl AccessLog {
    /// `json`: the default JSON; `text`: Envoy's default text; anything else is a format of its own ([`AccessLog::text`]).
    ///
    /// # Errors
    /// Names an unknown operator or argument and where it stands.
    pub fn parse(format: &str) -> Result<Self, FormatError> {
        match format {
            "json" => Self::standard(),
            "text" => Self::text(DEFAULT_TEXT),
            format => Self::text(format),
        }
    }

    /// A line of text. A line feed at the end is added when it lacks.
    ///
    /// # Errors
    /// Names an unknown operator or argument and where it stands.
    pub fn text(format: &str) -> Result<Self, FormatError> {
        let mut builder = Builder::default();
        builder.pieces(format, Form::Text)?;
        if !format.ends_with('\n') {
            builder.literal(b"\n");
        }
        Ok(builder.finish())
    }

    /// A JSON object per line, with these keys and the formats of their values. A value that is one operator keeps its type; what is
    /// missing is `null` there and `-` within a longer text.
    ///
    /// # Errors
    /// As [`AccessLog::text`]; the position is within the value.
    pub fn json(fields: &[(impl AsRef<str>, impl AsRef<str>)]) -> Result<Self, FormatError> {
        let mut builder = Builder::default();
        builder.members(fields)?;
        builder.literal(b"}\n");
        Ok(builder.finish())
    }

    /// The default JSON.
    fn standard() -> Result<Self, FormatError> {
        let mut builder = Builder::default();
        builder.members(&DEFAULT_JSON)?;
        builder.member(TRACE_KEY, Operator::TraceId);
        builder.literal(b"}\n");
        Ok(builder.finish())
    }

    /// Appends the record's line.
    pub fn write(&self, record: &Record<'_>, out: &mut Vec<u8>) {
        let mut stamps = self.stamps.borrow_mut();
        for item in &self.format.items {
            match item {
                Item::Text(text) => out.extend_from_slice(text),
                Item::Value { operator, limit, form } => {
                    let fact = operator.fact(record);
                    let stamp = |index: usize, out: &mut Vec<u8>| {
                        if let (Some(stamp), Some(format)) = (stamps.get_mut(index), self.format.stamps.get(index)) {
                            stamp.write(format, record.start, out);
                        }
                    };
                    write_value(fact, *limit, *form, stamp, out);
                }
                Item::Member { key, operator } => match operator.fact(record) {
                    Fact::Missing => {}
                    fact => {
                        out.extend_from_slice(key);
                        write_value(fact, usize::MAX, Form::JsonValue, |_, _| {}, out);
                    }
                },
            }
        }
    }
}

impl Clone for AccessLog {
    fn clone(&self) -> Self {
        AccessLog { format: self.format.clone(), stamps: self.stamps.clone() }
    }
}

impl Default for AccessLog {
    /// JSON with the keys of Envoy Gateway.
    fn default() -> Self {
        Self::standard().unwrap_or_else(|_| Builder::default().finish())
    }
}

#[derive(Default)]
struct Builder {
    items: Vec<Item>,
    /// Literal text that is not yet an item.
    text: Vec<u8>,
    stamps: Vec<StampFormat>,
}

impl Builder {
    fn literal(&mut self, text: &[u8]) {
        self.text.extend_from_slice(text);
    }

    fn pieces(&mut self, format: &str, form: Form) -> Result<(), FormatError> {
        for piece in parse(format, &mut self.stamps)? {
            self.piece(piece, form);
        }
        Ok(())
    }

    fn piece(&mut self, piece: Piece, form: Form) {
        match piece {
            Piece::Text(text) if form == Form::Text => self.literal(text.as_bytes()),
            Piece::Text(text) => escape::json(text.as_bytes(), &mut self.text),
            Piece::Operator { operator, limit } => {
                self.close_text();
                self.items.push(Item::Value { operator, limit: limit.unwrap_or(usize::MAX), form });
            }
        }
    }

    fn json_value(&mut self, format: &str) -> Result<(), FormatError> {
        let pieces = parse(format, &mut self.stamps)?;
        if let [Piece::Operator { .. }] = pieces.as_slice() {
            pieces.into_iter().for_each(|piece| self.piece(piece, Form::JsonValue));
            return Ok(());
        }
        self.literal(b"\"");
        pieces.into_iter().for_each(|piece| self.piece(piece, Form::JsonPart));
        self.literal(b"\"");
        Ok(())
    }

    /// `{` and the members; what closes it comes later.
    fn members(&mut self, fields: &[(impl AsRef<str>, impl AsRef<str>)]) -> Result<(), FormatError> {
        for (i, (key, format)) in fields.iter().enumerate() {
            self.literal(if i == 0 { b"{\"".as_slice() } else { b",\"" });
            escape::json(key.as_ref().as_bytes(), &mut self.text);
            self.literal(b"\":");
            self.json_value(format.as_ref())
                .map_err(|e| FormatError { message: format!("key `{}`: {}", key.as_ref(), e.message), ..e })?;
        }
        if fields.is_empty() {
            self.literal(b"{");
        }
        Ok(())
    }

    /// A member that is left out when its value is missing; not the first.
    fn member(&mut self, key: &str, operator: Operator) {
        self.close_text();
        self.items.push(Item::Member { key: format!(",\"{key}\":").into_bytes().into(), operator });
    }

    fn close_text(&mut self) {
        if !self.text.is_empty() {
            self.items.push(Item::Text(std::mem::take(&mut self.text).into()));
        }
    }

    fn finish(mut self) -> AccessLog {
        self.close_text();
        let stamps = vec![Stamp::default(); self.stamps.len()].into();
        AccessLog {
            format: Arc::new(Format { items: self.items.into(), stamps: self.stamps.into() }),
            stamps: RefCell::new(stamps),
        }
    }
}

fn write_value(fact: Fact<'_>, limit: usize, form: Form, stamp: impl FnOnce(usize, &mut Vec<u8>), out: &mut Vec<u8>) {
    let quoted = form == Form::JsonValue && !matches!(fact, Fact::Missing | Fact::Number(_));
    if quoted {
        out.push(b'"');
    }
    let start = out.len();
    match fact {
        Fact::Missing if form == Form::JsonValue => return out.extend_from_slice(b"null"),
        Fact::Missing => out.push(b'-'),
        Fact::Bytes(bytes) if form == Form::Text => escape::text(escape::cut(bytes, limit), out),
        Fact::Bytes(bytes) => escape::json(escape::cut(bytes, limit), out),
        Fact::Number(n) | Fact::Digits(n) => out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes()),
        Fact::Flags(flags) => write_flags(flags, Flag::short, out),
        Fact::FlagsLong(flags) => write_flags(flags, Flag::long, out),
        Fact::Address(address) => write_address(address, out),
        Fact::Ip(ip) => write_ip(ip.to_canonical(), out),
        Fact::TraceId(trace) => out.extend_from_slice(&trace.hex()),
        Fact::Stamp(index) => stamp(index, out),
    }
    // Text from outside is cut before it is escaped, so that no escape is cut; a JSON number stays one.
    let whole = matches!(fact, Fact::Bytes(_)) || (form == Form::JsonValue && matches!(fact, Fact::Number(_)));
    if !whole && out.len() - start > limit {
        out.truncate(start + limit);
    }
    if quoted {
        out.push(b'"');
    }
}

fn write_flags(flags: Flags, name: fn(Flag) -> &'static str, out: &mut Vec<u8>) {
    if flags.is_empty() {
        out.push(b'-');
    }
    for (i, flag) in flags.iter().enumerate() {
        out.extend_from_slice(if i > 0 { b",".as_slice() } else { b"" });
        out.extend_from_slice(name(flag).as_bytes());
    }
}

/// IPv4 addresses of dual-stack sockets are written as IPv4.
fn write_address(address: SocketAddr, out: &mut Vec<u8>) {
    match address.ip().to_canonical() {
        IpAddr::V4(_) => write_ip(address.ip().to_canonical(), out),
        IpAddr::V6(ip) => _ = write!(out, "[{ip}]"),
    }
    out.push(b':');
    out.extend_from_slice(itoa::Buffer::new().format(address.port()).as_bytes());
}

fn write_ip(ip: IpAddr, out: &mut Vec<u8>) {
    match ip {
        IpAddr::V4(ip) => {
            for (i, octet) in ip.octets().into_iter().enumerate() {
                if i > 0 {
                    out.push(b'.');
                }
                out.extend_from_slice(itoa::Buffer::new().format(octet).as_bytes());
            }
        }
        IpAddr::V6(ip) => _ = write!(out, "{ip}"),
    }
}
