//! Services that the proxy asks, for tests that are not in Rust: one that authorises by Envoy's gRPC protocol, and a collector of spans by OTLP.
//!
//! `services AUTHORISER-PORT COLLECTOR-PORT` listens on all addresses until it is killed. Who is allowed is `ann` in `x-user`; paths with `forbidden`
//! in them are refused with 451. Of every span a line of JSON is printed.

use fairlead_testkit::calls::{CallAct, Calls, field, number};
use fairlead_testkit::tracing::Collector;
use serde_json::json;
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let ports: Result<Vec<u16>, _> = std::env::args().skip(1).map(|port| port.parse()).collect();
    let Ok([authoriser, collector]) = ports.as_deref() else {
        eprintln!("usage: services AUTHORISER-PORT COLLECTOR-PORT");
        return ExitCode::from(2);
    };
    let _authoriser = Calls::at((Ipv4Addr::UNSPECIFIED, *authoriser), |message| CallAct::Answer(judge(message)));
    let collector = Collector::at((Ipv4Addr::UNSPECIFIED, *collector));
    let mut told = 0;
    loop {
        let spans = collector.spans();
        for span in &spans[told..] {
            println!("{}", json!({"service": span.service, "name": span.span.name, "trace": span.trace()}));
        }
        told = spans.len();
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A `CheckResponse`.
fn judge(message: &[u8]) -> Vec<u8> {
    if message.windows(9).any(|window| window == b"forbidden") {
        let denied = [field(1, number(1, 451)), field(3, "not here")].concat();
        return [field(1, number(1, 7)), field(2, denied)].concat();
    }
    let user = field(1, [field(1, "x-user"), field(2, "ann")].concat());
    [field(1, number(1, 0)), field(3, field(2, user))].concat()
}
