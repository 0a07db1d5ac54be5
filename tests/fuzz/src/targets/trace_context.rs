//! `traceparent` and `tracestate`.

use fairlead_telemetry::trace::{Context, is_tracestate};

use crate::Target;

/// Trace contexts: what is taken is what the specification allows, and goes on as it came.
pub const TARGET: Target = Target {
    name: "trace_context",
    run,
    seeds: &[
        b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        b"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03-more",
        b"rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
        b"fw529a3039@dt=FfAsOgy , a=b",
    ],
    tokens: &["00-", "-01", "ff", "=", ",", "@", " ", "\t", "0000000000000000", "a=b", "A"],
};

/// Panics when a promise is broken.
pub fn run(data: &[u8]) {
    if let Some(context) = Context::parse(data) {
        assert!(data.len() >= 55 && !data[..55].iter().any(u8::is_ascii_uppercase));
        let written = context.to_bytes();
        assert_eq!(written[2..53], data[2..53], "ids are kept");
        assert_eq!(Context::parse(&written), Some(context));
        let flags = char::from(data[54]).to_digit(16).expect("a digit");
        assert_eq!(context.is_sampled(), flags % 2 == 1, "{}", data.escape_ascii());
    }
    if is_tracestate([data].into_iter()) {
        let members = data.split(|byte| *byte == b',').filter(|member| !member.trim_ascii().is_empty());
        assert!(members.clone().count() <= 32);
        for member in members {
            assert_eq!(member.iter().filter(|byte| **byte == b'=').count(), 1, "{}", member.escape_ascii());
        }
        // The same over several fields.
        assert!(is_tracestate(data.split(|byte| *byte == b',')));
    }
}
