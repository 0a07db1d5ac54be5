//! The `date` field of the proxy's own answers, formatted once a second.

use fairlead_http::{Fields, Known};
use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

thread_local! {
    static CACHED: RefCell<(u64, String)> = const { RefCell::new((u64::MAX, String::new())) };
}

/// Adds `date` (RFC 9110 §6.6.1) as of now.
pub fn push(fields: &mut Fields) {
    let now = SystemTime::now();
    let second = now.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    CACHED.with_borrow_mut(|(at, text)| {
        if *at != second {
            *at = second;
            *text = httpdate::fmt_http_date(now);
        }
        fields.set_known(Known::Date, text.as_bytes());
    });
}
