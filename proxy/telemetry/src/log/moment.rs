//! Points in the life of an exchange or connection, and the time between two of them: `COMMON_DURATION`.

use std::time::{Duration, Instant};

/// A point in time that a format can measure from or to, with Envoy's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// `DS_CX_BEG`: the client's connection was accepted; of connections that are only passed on.
    ConnectionBegin,
    /// `DS_CX_END`: the client's connection is over; as above.
    ConnectionEnd,
    /// `DS_RX_BEG`: the request began.
    RequestBegin,
    /// `DS_RX_END`: the request was received whole.
    RequestEnd,
    /// `US_CX_BEG`: connecting to the endpoint began.
    ConnectBegin,
    /// `US_CX_END`: the connection to the endpoint stood.
    ConnectEnd,
    /// `US_HS_END`: the TLS handshake with the endpoint was over.
    HandshakeEnd,
    /// `US_TX_BEG`: the request's head went to the endpoint.
    SendBegin,
    /// `US_TX_END`: the request was sent whole.
    SendEnd,
    /// `US_RX_BEG`: the response's head came.
    AnswerBegin,
    /// `US_RX_BODY_BEG`: the first of the response's body came.
    AnswerBodyBegin,
    /// `US_RX_END`: the response was received whole.
    AnswerEnd,
    /// `DS_TX_BEG`: the response's head went to the client.
    ReplyBegin,
    /// `DS_TX_END`: the response was sent whole.
    ReplyEnd,
}

const NAMES: [(&str, Moment); 14] = [
    ("DS_CX_BEG", Moment::ConnectionBegin),
    ("DS_CX_END", Moment::ConnectionEnd),
    ("DS_RX_BEG", Moment::RequestBegin),
    ("DS_RX_END", Moment::RequestEnd),
    ("US_CX_BEG", Moment::ConnectBegin),
    ("US_CX_END", Moment::ConnectEnd),
    ("US_HS_END", Moment::HandshakeEnd),
    ("US_TX_BEG", Moment::SendBegin),
    ("US_TX_END", Moment::SendEnd),
    ("US_RX_BEG", Moment::AnswerBegin),
    ("US_RX_BODY_BEG", Moment::AnswerBodyBegin),
    ("US_RX_END", Moment::AnswerEnd),
    ("DS_TX_BEG", Moment::ReplyBegin),
    ("DS_TX_END", Moment::ReplyEnd),
];

impl Moment {
    fn of(name: &str) -> Option<Moment> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, moment)| *moment)
    }

    /// Whether the clock is read for it only.
    pub(crate) fn is_extra(self) -> bool {
        matches!(self, Moment::SendEnd | Moment::AnswerBodyBegin | Moment::AnswerEnd | Moment::ReplyBegin)
    }

    /// Whether it is told by the connection to the endpoint.
    pub(crate) fn is_of_upstream_connection(self) -> bool {
        matches!(self, Moment::ConnectBegin | Moment::ConnectEnd | Moment::HandshakeEnd)
    }
}

/// Knows when things happened.
pub trait Timeline {
    /// `None` when it did not happen.
    fn at(&self, moment: Moment) -> Option<Instant>;
}

/// `START:END:PRECISION`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub from: Moment,
    pub to: Moment,
    unit: Unit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Millis,
    Micros,
    Nanos,
}

impl Stretch {
    /// In milliseconds.
    pub(crate) fn millis(from: Moment, to: Moment) -> Stretch {
        Stretch { from, to, unit: Unit::Millis }
    }

    /// An error says which part is unknown.
    pub(crate) fn parse(text: &str) -> Result<Stretch, String> {
        let mut parts = text.split(':');
        let (Some(from), Some(to), Some(unit), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err("START:END:PRECISION is expected, for example DS_RX_BEG:DS_TX_END:us".into());
        };
        let moment = |name: &str| {
            let names = || NAMES.map(|(name, _)| name).join(", ");
            Moment::of(name).ok_or_else(|| format!("unknown point in time `{name}`: one of {} is expected", names()))
        };
        let unit = match unit {
            "ms" => Unit::Millis,
            "us" => Unit::Micros,
            "ns" => Unit::Nanos,
            other => return Err(format!("unknown precision `{other}`: one of ms, us, ns is expected")),
        };
        Ok(Stretch { from: moment(from)?, to: moment(to)?, unit })
    }

    /// `None` when one of the two did not happen, or the end came first.
    pub(crate) fn measure(self, timeline: &dyn Timeline) -> Option<u64> {
        let time = timeline.at(self.to)?.checked_duration_since(timeline.at(self.from)?)?;
        Some(self.unit.count(time))
    }
}

impl Unit {
    fn count(self, time: Duration) -> u64 {
        let count = match self {
            Unit::Millis => time.as_millis(),
            Unit::Micros => time.as_micros(),
            Unit::Nanos => time.as_nanos(),
        };
        u64::try_from(count).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests;
