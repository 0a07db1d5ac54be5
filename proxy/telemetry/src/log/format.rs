//! Formats, compiled.

use super::escape;
use super::fact::{self, Fact, Form};
use super::operator::Operator;
use super::parse::{FormatError, Piece, parse};
use super::record::{Needs, Record};
use super::stamp::{Stamp, StampFormat, Stamps};
use crate::Timestamp;
use std::cell::RefCell;
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
    needs: Needs,
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

    /// What has to be noted of requests for this format, beyond what is known anyway.
    pub fn needs(&self) -> Needs {
        self.format.needs
    }

    /// Appends the record's line.
    pub fn write(&self, record: &Record<'_>, out: &mut Vec<u8>) {
        let mut stamps = self.stamps.borrow_mut();
        for item in &self.format.items {
            match item {
                Item::Text(text) => out.extend_from_slice(text),
                Item::Value { operator, limit, form } => {
                    let stamp = |index: usize, time: Timestamp, out: &mut Vec<u8>| {
                        if let (Some(stamp), Some(format)) = (stamps.get_mut(index), self.format.stamps.get(index)) {
                            stamp.write(format, time, out);
                        }
                    };
                    fact::write(operator.fact(record), *limit, *form, stamp, out);
                }
                Item::Member { key, operator } => match operator.fact(record) {
                    Fact::Missing => {}
                    fact => {
                        out.extend_from_slice(key);
                        fact::write(fact, usize::MAX, Form::JsonValue, |_, _, _| {}, out);
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
    stamps: Stamps,
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
        let formats = self.stamps.into_formats();
        let stamps = RefCell::new(vec![Stamp::default(); formats.len()].into());
        let operators = self.items.iter().filter_map(|item| match item {
            Item::Text(_) => None,
            Item::Value { operator, .. } | Item::Member { operator, .. } => Some(operator),
        });
        let needs = operators.fold(Needs::default(), |needs, operator| needs | operator.needs());
        AccessLog { format: Arc::new(Format { items: self.items.into(), stamps: formats, needs }), stamps }
    }
}
