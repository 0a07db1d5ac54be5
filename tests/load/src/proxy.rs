//! The proxy of a cluster, started without a controller: it serves what it kept.

use crate::Identity;
use crate::subject::{binary, kib, ready};
use fairlead_testkit::{Process, TempDir, free_port, wait_until};
use fairlead_wire::{cache, proto};
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

/// `fairlead proxy` with two workers.
pub struct Proxy {
    process: Process,
    _dir: TempDir,
}

const GATEWAY: &str = "load/load";

/// By then it gave back what it had read its configuration with.
const SETTLED: Duration = Duration::from_secs(5);

impl Proxy {
    /// With so many routes, each with a Service of its own that has one endpoint.
    pub fn start(routes: u32) -> Proxy {
        let dir = TempDir::new();
        let resources = resources(routes);
        let saved = proto::Saved { gateway: GATEWAY.into(), epoch: 1, version: 1, resources: resources.len() as u64 };
        cache::store(&dir.path().join("cache"), &saved, resources.into_iter()).expect("a cache");
        dir.write("ca.pem", &Identity::new("controller").certificate);
        dir.write("token", "token");
        let local = || SocketAddr::from(([127, 0, 0, 1], free_port()));
        let (health, admin) = (local(), local());
        let mut command = Command::new(binary());
        command.args(["proxy", "--controller", &format!("https://{}", local()), "--gateway", GATEWAY, "--pod", "load"]);
        command.arg("--ca-file").arg(dir.path().join("ca.pem")).arg("--token-file").arg(dir.path().join("token"));
        command.arg("--cache-dir").arg(dir.path().join("cache")).args(["--workers", "2"]);
        command.args(["--health-address", &health.to_string(), "--admin-address", &admin.to_string()]);
        let mut proxy = Proxy { process: Process::start(&mut command), _dir: dir };
        wait_until(Duration::from_secs(60), "the proxy to be ready", || {
            assert!(proxy.process.is_running(), "{}", proxy.process.output());
            ready(health).then_some(())
        });
        std::thread::sleep(SETTLED);
        proxy
    }

    /// All its memory, the program's pages included, KiB.
    pub fn resident_kib(&self) -> f64 {
        kib(&self.process, "Rss:")
    }

    /// What is its own, KiB.
    pub fn memory_kib(&self) -> f64 {
        kib(&self.process, "Pss_Anon:")
    }
}

fn resources(routes: u32) -> Vec<proto::Resource> {
    let seal = |kind: &str, id: &str, payload: String| proto::Resource {
        kind: kind.into(),
        id: id.into(),
        payload: payload.into_bytes().into(),
    };
    let listener = "gateway/load/load/http";
    let service = |i| format!("service/load/backend-{i:05}/80");
    let endpoints = (0..routes).map(|i| {
        let (id, [_, a, b, c]) = (service(i), i.to_be_bytes());
        let endpoint = format!(r#"{{"address":{{"ip":"10.{a}.{b}.{c}:8080"}},"weight":1}}"#);
        seal("endpoints", &id, format!(r#"{{"id":"{id}","endpoints":[{endpoint}]}}"#))
    });
    let clusters = (0..routes).map(|i| {
        let id = service(i);
        let rest = r#""protocol":"http1","loadBalancing":"leastRequest","connectTimeout":5000,"idleTimeout":60000"#;
        seal("cluster", &id, format!(r#"{{"id":"{id}","discovery":{{"endpoints":"{id}"}},{rest}}}"#))
    });
    let rules = (0..routes).map(|i| {
        let (name, id) = (format!("load/route-{i:05}"), format!("httproute/load/route-{i:05}/0"));
        let order = format!(r#"{{"created":{},"object":"{name}","rule":0}}"#, 1_800_000_000 + i);
        let names = format!(r#""id":"{id}","name":"{name}","kind":"http","hostnames":["r{i:05}.example.com"]"#);
        let matches = format!(r#""listeners":["{listener}"],"matches":[{{"path":{{"prefix":"/"}}}}]"#);
        let backends = format!(r#"[{{"weight":1,"target":{{"cluster":"{}"}}}}]"#, service(i));
        seal("route", &id, format!(r#"{{{names},{matches},"order":{order},"backends":{backends}}}"#))
    });
    let bind = format!(r#"{{"address":"127.0.0.1","port":{}}}"#, free_port());
    let head = format!(r#""id":"{listener}","gateway":"{GATEWAY}","bind":{bind},"protocol":"http""#);
    endpoints.chain(clusters).chain(rules).chain([seal("listener", listener, format!("{{{head}}}"))]).collect()
}
