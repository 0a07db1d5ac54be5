//! A request on the command line: `GET https://shop.example.com/cart?x=1`, and `-H` as in curl. Or a connection of which no more is
//! known than where it goes: `tls://db.example.com:5432`, `tcp://host:5432`, `udp://host:53`.

use anyhow::{Context as _, bail, ensure};
use fairlead_http::normalize::{self, EscapedSlashes, Outcome, PathPolicy};
use fairlead_http::{RequestHead, authority};
use fairlead_ir::ListenerProtocol;
use fairlead_route::Probe;
use serde::Serialize;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    /// As sent.
    pub method: String,
    /// As it was written.
    pub url: String,
    /// Lower-case: what routes are matched with.
    pub host: String,
    /// What the listener is chosen by: the host, or the server name of TLS.
    pub server_name: String,
    /// The listener's port.
    pub port: u16,
    /// Normalised as the proxy does it.
    pub path: String,
    /// Without the question mark.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// Lower-case names, in order.
    pub headers: Vec<(String, String)>,
    /// Whether it comes over TLS.
    pub tls: bool,
    /// What the scheme says of the listener.
    #[serde(skip)]
    scheme: Scheme,
}

/// What kinds of listeners speak with a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Http,
    /// HTTPS, unless the server name is that of a TLS listener: whatever is inside is not looked at there.
    Https,
    Tls,
    Tcp,
    Udp,
}

/// The proxy answers before any route is asked.
#[derive(Clone, Debug, thiserror::Error, Serialize)]
#[error("{status}, before any route is asked: {why}")]
pub struct Early {
    /// `METHOD URL`.
    pub request: String,
    /// What it answers.
    pub status: u16,
    why: String,
}

/// Whether the scheme is gRPC's.
fn is_grpc(url: &str) -> bool {
    url.split_once("://")
        .is_some_and(|(scheme, _)| ["grpc", "grpcs"].iter().any(|one| scheme.eq_ignore_ascii_case(one)))
}

impl Asked {
    /// Parses `[METHOD] URL` (without scheme: `http://`) and headers `name: value`. `port` replaces that of the URL.
    pub fn parse(request: &str, headers: &[String], port: Option<u16>, paths: &PathPolicy) -> anyhow::Result<Asked> {
        let words: Vec<&str> = request.split_whitespace().collect();
        let (method, url) = match words[..] {
            // Each call of gRPC is a POST.
            [url] if is_grpc(url) => ("POST", url),
            [url] => ("GET", url),
            [method, url] => (method, url),
            _ => bail!("`{request}` is not `[METHOD] URL`"),
        };
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        ensure!(!method.contains("://") && method.chars().all(token), "`{method}` is not a method");
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        let scheme = match &*scheme.to_ascii_lowercase() {
            "http" | "ws" | "grpc" => Scheme::Http,
            "https" | "wss" | "grpcs" => Scheme::Https,
            "tls" => Scheme::Tls,
            "tcp" => Scheme::Tcp,
            "udp" => Scheme::Udp,
            _ => bail!("`{scheme}` is neither a scheme of HTTP nor tls, tcp or udp"),
        };
        let tls = matches!(scheme, Scheme::Https | Scheme::Tls);
        let rest = rest.split('#').next().unwrap_or_default();
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (name, target) = rest.split_at(at);
        ensure!(!name.is_empty() && authority::is_valid(name.as_bytes()), "`{name}` in `{url}` is not a host");
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        let headers = headers.iter().map(|header| field(header)).collect::<anyhow::Result<Vec<_>>>()?;
        let written = headers.iter().find(|(name, _)| name == "host").map_or(name, |(_, host)| host);
        let mut head = RequestHead::new();
        head.set_path_and_query(target.as_bytes());
        head.set_authority(written.as_bytes());
        let early = |status: u16, why: String| Early { request: format!("{method} {url}"), status, why };
        let outcome = normalize::path(&mut head, paths).map_err(|reject| {
            let lower = target.to_ascii_lowercase();
            let strict = paths.escaped_slashes == EscapedSlashes::Reject;
            let slash = strict && (lower.contains("%2f") || lower.contains("%5c"));
            let way_out = if slash { "; --escaped-slashes says what %2F and %5C mean" } else { "" };
            early(reject.status, format!("the path is refused ({}){way_out}", reject.details))
        })?;
        let path = String::from_utf8_lossy(head.path_and_query());
        if outcome != Outcome::Normal {
            return Err(early(307, format!("location {path}")).into());
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let server = authority::split(name.as_bytes());
        let known = match scheme {
            Scheme::Tcp | Scheme::Udp => None,
            Scheme::Http => Some(80),
            Scheme::Https | Scheme::Tls => Some(443),
        };
        let number = port.or(server.port).or(known).with_context(|| format!("`{url}` needs a port"))?;
        Ok(Asked {
            method: method.to_owned(),
            url: url.to_owned(),
            host: text(head.host()),
            server_name: text(server.host).to_ascii_lowercase(),
            port: number,
            path: text(head.path()),
            query: head.query().map(text),
            headers: headers.iter().filter(|(name, _)| name != "host").cloned().collect(),
            tls,
            scheme,
        })
    }

    /// Whether nothing but a connection is asked for.
    pub fn is_connection(&self) -> bool {
        matches!(self.scheme, Scheme::Tls | Scheme::Tcp | Scheme::Udp)
    }

    /// What a listener is chosen by that knows of connections only: the server name of TLS.
    pub fn sni(&self) -> &str {
        if self.tls { &self.server_name } else { "" }
    }

    /// What a listener is chosen by.
    pub fn listener_name(&self) -> &str {
        if self.is_connection() { self.sni() } else { &self.server_name }
    }

    /// As routing reads it.
    pub fn probe(&self) -> Probe {
        Probe {
            host: self.host.clone(),
            path: self.path.clone(),
            query: self.query.clone(),
            method: self.method.clone(),
            headers: self.headers.clone(),
            port: self.port,
        }
    }

    /// Whether a listener of a protocol speaks with such a client.
    pub fn speaks(&self, protocol: ListenerProtocol) -> bool {
        match protocol {
            ListenerProtocol::Http => self.scheme == Scheme::Http,
            ListenerProtocol::Https | ListenerProtocol::Tls => self.tls,
            ListenerProtocol::Tcp => self.scheme == Scheme::Tcp,
            ListenerProtocol::Udp => self.scheme == Scheme::Udp,
        }
    }

    /// What such a client speaks, in words.
    pub fn what(&self) -> &'static str {
        match self.scheme {
            Scheme::Http => "HTTP",
            Scheme::Https => "HTTPS",
            Scheme::Tls => "TLS",
            Scheme::Tcp => "TCP",
            Scheme::Udp => "UDP",
        }
    }
}

fn field(header: &str) -> anyhow::Result<(String, String)> {
    let (name, value) =
        header.split_once(':').with_context(|| format!("`{header}` is not a header: write 'name: value'"))?;
    let name = name.trim().to_ascii_lowercase();
    ensure!(!name.is_empty() && !name.contains(char::is_whitespace), "`{name}` is not a header's name");
    Ok((name, value.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(request: &str, headers: &[String], port: Option<u16>) -> anyhow::Result<Asked> {
        Asked::parse(request, headers, port, &PathPolicy::default())
    }

    #[test]
    fn escaped_slashes_are_what_the_proxy_is_told() {
        let with = |escaped_slashes| {
            let policy = PathPolicy { escaped_slashes, ..PathPolicy::default() };
            Asked::parse("http://x/a%2Fb", &[], None, &policy)
        };
        assert_eq!(with(EscapedSlashes::Keep).unwrap().path, "/a%2Fb");
        assert_eq!(with(EscapedSlashes::Unescape).unwrap().path, "/a/b");
        let redirected = with(EscapedSlashes::Redirect).unwrap_err().to_string();
        assert_eq!(redirected, "307, before any route is asked: location /a/b");
        let refused = with(EscapedSlashes::Reject).unwrap_err();
        assert_eq!(refused.downcast_ref::<Early>().map(|early| early.status), Some(400));
        assert!(refused.to_string().contains("--escaped-slashes"), "{refused}");
    }

    fn of(request: &str) -> Asked {
        Asked::parse(request, &["X-Env:  canary ".to_owned()], None, &PathPolicy::default()).unwrap()
    }

    #[test]
    fn parses_what_people_write() {
        let asked = of("POST https://Shop.Example.com:8443/a/../cart%41//b?x=1&y#frag");
        assert_eq!((&*asked.method, &*asked.host, asked.port, asked.tls), ("POST", "shop.example.com", 8443, true));
        assert_eq!((&*asked.path, asked.query.as_deref()), ("/cartA/b", Some("x=1&y")));
        assert_eq!(asked.headers, [("x-env".to_owned(), "canary".to_owned())]);
        assert_eq!(of("grpcs://api.example.com/shop.Cart/Add").method, "POST", "as every call");
        assert_eq!(of("GET grpc://api.example.com/x").method, "GET");
        let asked = of("shop.example.com");
        assert_eq!((&*asked.method, &*asked.path, asked.port, asked.tls), ("GET", "/", 80, false));
        assert_eq!(of("http://[::1]:81?q").query.as_deref(), Some("q"));
        let asked = parse("https://a.example/", &["Host: b.example:444".to_owned()], Some(8)).unwrap();
        assert_eq!((&*asked.host, &*asked.server_name, asked.port), ("b.example", "a.example", 8));
        assert!(asked.headers.is_empty());
    }

    #[test]
    fn refuses_what_is_no_request() {
        for bad in [
            "",
            "GET",
            "GET a b",
            "ftp://x/",
            "GET http:///x",
            "http://a b/",
            "http://x/%00",
            "G(T http://x/",
            "http://x/a%2Fb",
            "http://x/..;/b",
        ] {
            let result = parse(bad, &[], None);
            // A single word is a host.
            assert_eq!(result.is_err(), bad != "GET", "{bad}: {result:?}");
        }
        assert!(parse("http://x/", &["novalue".to_owned()], None).is_err());
    }
}
