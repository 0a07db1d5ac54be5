//! `fairlead serve` and `fairlead echo` as processes.

use crate::{Process, TempDir, binary, free_port, wait_until, wire};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

/// How long a process may take to start.
const START: Duration = Duration::from_secs(20);

/// Name of the access log's file.
const LOG: &str = "access.log";

/// A running `fairlead serve` on a directory of its own.
pub struct Proxy {
    /// The process.
    pub process: Process,
    /// The manifests' directory: write into it and the proxy follows.
    pub dir: TempDir,
    admin: SocketAddr,
    ports: BTreeMap<u16, u16>,
    logs: TempDir,
}

/// A proxy to be started.
pub struct ProxyBuilder {
    dir: TempDir,
    ports: Vec<u16>,
    args: Vec<String>,
}

impl Proxy {
    /// For these manifests (one file, `manifests.yaml`), whose Gateways listen on `ports`; each is mapped to a free one.
    pub fn builder(manifests: &str, ports: &[u16]) -> ProxyBuilder {
        let dir = TempDir::new();
        dir.write("manifests.yaml", manifests);
        ProxyBuilder { dir, ports: ports.to_vec(), args: Vec::new() }
    }

    /// Starts with these manifests and waits until it serves.
    pub fn serve(manifests: &str, ports: &[u16]) -> Proxy {
        Proxy::builder(manifests, ports).start()
    }

    /// Where a listener's port really is.
    pub fn address(&self, port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports[&port]))
    }

    /// `http://127.0.0.1:<mapped port><path>`
    pub fn url(&self, port: u16, path: &str) -> String {
        format!("http://{}{path}", self.address(port))
    }

    /// Where the admin interface is.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Body of a GET on the admin interface.
    pub fn admin_get(&self, path: &str) -> String {
        String::from_utf8(wire::get(self.admin, path).body).expect("text")
    }

    /// The lines of the access log so far. Lines come at most half a second late.
    pub fn log(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.logs.path().join(LOG)).unwrap_or_default();
        let whole = &text[..text.rfind('\n').map_or(0, |at| at + 1)];
        whole.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
    }

    /// Waits for a line of the access log for which `wanted` holds.
    pub fn log_line(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        wait_until(Duration::from_secs(5), &format!("the access log's line of {what}"), || {
            self.log().into_iter().find(&wanted)
        })
    }

    /// Waits for the access log's line of the request with this path and query.
    pub fn log_of(&self, path: &str) -> Value {
        self.log_line(path, |line| line["x-envoy-origin-path"] == path)
    }

    /// Writes the manifests anew.
    pub fn update(&self, manifests: &str) {
        self.dir.write("manifests.yaml", manifests);
    }
}

/// A line of JSON, all text, that has the path and these operators.
pub fn log_format(operators: &[&str]) -> String {
    let member = |operator: &&str| format!(",\"{}\":\"%{operator}%\"", operator.replace('%', "%%"));
    let members: String = operators.iter().map(member).collect();
    format!("{{\"x-envoy-origin-path\":\"%REQ(:PATH)%\"{members}}}")
}

impl ProxyBuilder {
    /// More arguments of `serve`.
    pub fn args(mut self, args: &[&str]) -> ProxyBuilder {
        self.args.extend(args.iter().map(|a| (*a).to_owned()));
        self
    }

    /// An access log with these operators, besides the path: what they say is found under their names in [`Proxy::log_of`].
    pub fn logging(self, operators: &[&str]) -> ProxyBuilder {
        let format = log_format(operators);
        self.args(&["--access-log", &format])
    }

    /// Another file beside the manifests.
    pub fn file(self, name: &str, text: &str) -> ProxyBuilder {
        self.dir.write(name, text);
        self
    }

    /// Starts it and waits until it serves.
    pub fn start(self) -> Proxy {
        let proxy = self.spawn();
        wait_until(START, "the proxy to be ready", || {
            let answer = wire::try_get(proxy.admin, "/ready")?;
            (answer.status == 200).then_some(())
        });
        proxy
    }

    /// Starts it without waiting.
    pub fn spawn(self) -> Proxy {
        let admin = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let ports: BTreeMap<u16, u16> = self.ports.iter().map(|p| (*p, free_port())).collect();
        let mut command = Command::new(binary());
        command.arg("serve").arg("-f").arg(self.dir.path()).args(["--admin-address", &admin.to_string()]);
        if !self.args.iter().any(|a| a == "--workers") {
            command.args(["--workers", "1"]);
        }
        for (from, to) in &ports {
            command.args(["--port-map", &format!("{from}={to}")]);
        }
        let logs = TempDir::new();
        if !self.args.iter().any(|a| a == "--access-log") {
            command.args(["--access-log", "json"]);
        }
        if !self.args.iter().any(|a| a == "--access-log-file") {
            command.arg("--access-log-file").arg(logs.path().join(LOG));
        }
        command.args(&self.args);
        Proxy { process: Process::start(&mut command), dir: self.dir, admin, ports, logs }
    }
}

/// A running `fairlead echo`.
pub struct Echo {
    /// The process.
    pub process: Process,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Echo {
    /// On a free port, answering as `pod`.
    pub fn start(pod: &str) -> Echo {
        Echo::with(pod, &[])
    }

    /// With more arguments.
    pub fn with(pod: &str, args: &[&str]) -> Echo {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut command = Command::new(binary());
        command.args(["echo", "--port", &address.port().to_string()]).args(args);
        command.env("POD_NAME", pod).env("NAMESPACE", "default");
        let echo = Echo { process: Process::start(&mut command), address };
        wait_until(START, "the echo server to listen", || TcpStream::connect(address).ok());
        echo
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }
}
