//! Formats of access logs.

use fairlead_telemetry::AccessLog;

use crate::Target;

/// Formats: no text panics.
pub const TARGET: Target = Target {
    name: "access_log",
    run,
    seeds: &[
        b"[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% %RESPONSE_FLAGS%\n",
        b"%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)% %RESP(X):10% %%",
        b"json",
    ],
    tokens: &["%", "%REQ(", ")%", ":5%", "%RESP(a?b):3%", "%DURATION%", "%START_TIME(%s)%", "%BYTES_SENT%", "?", ":99999999999"],
};

/// Panics when a promise is broken.
pub fn run(data: &[u8]) {
    if let Ok(format) = std::str::from_utf8(data) {
        let _ = AccessLog::parse(format);
    }
}
