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
        b"%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)% %DOWNSTREAM_PEER_CERT_V_END(%Y)% %UPSTREAM_PEER_URI_SAN:9%",
        b"json",
    ],
    tokens: &["%", "%REQ(", ")%", ":5%", "%RESP(a?b):3%", "%DURATION%", "%START_TIME(%s)%", "%BYTES_SENT%", "%COMMON_DURATION(", "US_CX_BEG:", "ns", "%UPSTREAM_PEER_", "?", ":99999999999"],
};

/// Panics when a promise is broken.
pub fn run(data: &[u8]) {
    if let Ok(format) = std::str::from_utf8(data) {
        let _ = AccessLog::parse(format);
    }
}
