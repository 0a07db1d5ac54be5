//! A proxy with a backend, an authorisation service, and filters between them.

use fairlead_ir as ir;
use fairlead_testkit::{Act, Backend, House, config};
use std::net::SocketAddr;
use std::ops::Deref;

/// A proxy, and what requests come to that get through.
pub struct Guarded {
    house: House,
    pub backend: Backend,
}

impl Deref for Guarded {
    type Target = House;

    fn deref(&self) -> &House {
        &self.house
    }
}

/// A rule for all requests to the backend, and a listener for all hosts, as a test wants them; `auth` is where cluster `auth` leads.
pub fn house(auth: &[SocketAddr], change: impl FnOnce(&mut Vec<ir::Route>, &mut ir::Listener)) -> Guarded {
    let echo =
        Backend::start(|request| Act::ok(&format!("{}\n{}", request.head, String::from_utf8_lossy(&request.body))));
    house_of(auth, echo, change)
}

/// The same with a backend of the test's own.
pub fn house_of(
    auth: &[SocketAddr],
    backend: Backend,
    change: impl FnOnce(&mut Vec<ir::Route>, &mut ir::Listener),
) -> Guarded {
    let (mut routes, mut listener) = (vec![route("all")], config::listener("l"));
    change(&mut routes, &mut listener);
    let mut all = config::reaching("backend", &[backend.address]);
    all.extend(config::reaching("auth", auth));
    all.extend(routes.into_iter().map(Into::into));
    all.push(listener.into());
    Guarded { house: House::start(all), backend }
}

impl Guarded {
    /// Requests that got through.
    pub fn through(&self) -> usize {
        let seen = self.backend.seen();
        assert!(seen.malformed.is_empty(), "{:?}", seen.malformed);
        seen.requests.len()
    }
}

/// A rule for all requests to the backend.
pub fn route(name: &str) -> ir::Route {
    config::route(name, &[("backend", 1)])
}

/// A filter that asks cluster `auth`.
pub fn asking(protocol: ir::AuthProtocol) -> ir::ExternalAuth {
    ir::ExternalAuth {
        cluster: "auth".into(),
        authority: "auth.default.svc:80".into(),
        protocol,
        max_body: 0,
        timeout: ir::Millis(2000),
    }
}

pub fn http(prefix: &str, sent: &[&str], taken: &[&str]) -> ir::ExternalAuth {
    let names = |names: &[&str]| names.iter().map(|name| (*name).into()).collect();
    asking(ir::AuthProtocol::Http {
        prefix: prefix.into(),
        request_headers: names(sent),
        response_headers: names(taken),
    })
}

pub fn grpc() -> ir::ExternalAuth {
    asking(ir::AuthProtocol::Grpc { request_headers: vec![] })
}

/// An answer with fields, `name: value` lines.
pub fn answer(status: u16, fields: &str, body: &str) -> Act {
    let fields: String = fields.lines().map(|line| format!("{}\r\n", line.trim())).collect();
    Act::Answer(format!("HTTP/1.1 {status} X\r\n{fields}content-length: {}\r\n\r\n{body}", body.len()).into_bytes())
}
