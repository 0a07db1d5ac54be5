//! Headers in the log, and how much they are.

use super::fact::{Fact, millis};
use super::record::Record;
use fairlead_http::{Fields, Known, RequestHead, ResponseHead};

/// Where a header's value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    Method,
    Path,
    /// `x-envoy-original-path`: the path before a rewrite.
    OriginalPath,
    Authority,
    Scheme,
    Status,
    /// `x-envoy-upstream-service-time`: milliseconds.
    ServiceTime,
    Known(Known),
    /// In lower case.
    Named(Box<[u8]>),
}

impl Header {
    pub(crate) fn of(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            ":method" => Header::Method,
            ":path" => Header::Path,
            ":authority" | "host" => Header::Authority,
            ":scheme" => Header::Scheme,
            ":status" => Header::Status,
            "x-envoy-original-path" => Header::OriginalPath,
            "x-envoy-upstream-service-time" => Header::ServiceTime,
            _ => match Known::of(name.as_bytes()) {
                Known::Other => Header::Named(name.into_bytes().into()),
                known => Header::Known(known),
            },
        }
    }

    fn field<'a>(&self, fields: &'a Fields) -> Option<&'a [u8]> {
        match self {
            Header::Known(known) => fields.get(*known),
            Header::Named(name) => fields.get_name(name),
            Header::OriginalPath => fields.get_name(b"x-envoy-original-path"),
            Header::ServiceTime => fields.get(Known::XEnvoyUpstreamServiceTime),
            _ => None,
        }
    }

    pub(crate) fn request<'a>(&self, record: &Record<'a>) -> Fact<'a> {
        let head = record.request;
        if !record.is_http {
            return Fact::Missing;
        }
        match self {
            Header::Method => Fact::bytes(head.method_bytes()),
            Header::Path => Fact::bytes(head.path_and_query()),
            Header::OriginalPath => {
                self.field(&head.fields).or(record.original_path).map_or(Fact::Missing, Fact::bytes)
            }
            Header::Authority => Fact::bytes(record.original_authority.unwrap_or(head.authority())),
            Header::Scheme => Fact::bytes(head.scheme.name().as_bytes()),
            _ => self.field(&head.fields).map_or(Fact::Missing, Fact::Bytes),
        }
    }

    pub(crate) fn response<'a>(&self, record: &Record<'a>) -> Fact<'a> {
        let Some(head) = record.response else { return Fact::Missing };
        match (self, self.field(&head.fields)) {
            (Header::Status, _) => Fact::Digits(u64::from(head.status)),
            (_, Some(value)) => Fact::Bytes(value),
            (Header::ServiceTime, None) => {
                record.upstream.and_then(|u| u.service_time).map_or(Fact::Missing, |time| Fact::Digits(millis(time)))
            }
            (_, None) => Fact::Missing,
        }
    }

    pub(crate) fn trailer<'a>(&self, record: &Record<'a>) -> Fact<'a> {
        record.trailers.and_then(|fields| self.field(fields)).map_or(Fact::Missing, Fact::Bytes)
    }
}

/// Bytes of the names and values of a request's fields and pseudo fields, uncompressed, as Envoy counts them.
pub(crate) fn request_bytes(head: &RequestHead) -> u64 {
    let pseudo = [
        (":method", head.method_bytes()),
        (":scheme", head.scheme.name().as_bytes()),
        (":authority", head.authority()),
        (":path", head.path_and_query()),
    ];
    let pseudo: usize =
        pseudo.iter().filter(|(_, v)| !v.is_empty()).map(|(name, value)| name.len() + value.len()).sum();
    pseudo as u64 + field_bytes(&head.fields)
}

/// As [`request_bytes`].
pub(crate) fn response_bytes(head: &ResponseHead) -> u64 {
    ":status200".len() as u64 + field_bytes(&head.fields)
}

/// Bytes of names and values.
pub(crate) fn field_bytes(fields: &Fields) -> u64 {
    fields.iter().map(|field| field.name.len() + field.value.len()).sum::<usize>() as u64
}
