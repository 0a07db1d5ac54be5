//! A proxy with its backends.

use fairlead_testkit::{Answer, Ask, Client, Echo, Proxy, Version, free_port, wait_until};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What is to be started.
pub struct Setup {
    files: Vec<(String, String)>,
    args: Vec<String>,
    ports: Vec<u16>,
    backends: Backends,
}

/// A running `fairlead serve` and its backends.
pub struct Stage {
    /// The proxy.
    pub proxy: Proxy,
    backends: Backends,
}

#[derive(Default)]
struct Backends {
    /// Well-known port → the one that is taken.
    ports: BTreeMap<u16, u16>,
    echoes: BTreeMap<u16, Echo>,
}

/// How long a change may take to be served, on a busy machine.
const SOON: Duration = Duration::from_secs(10);

/// The root of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository")
}

impl Setup {
    /// The files of `docs/examples/<topic>`.
    pub fn example(topic: &str) -> Setup {
        let directory = repository().join("docs/examples").join(topic);
        let files = std::fs::read_dir(&directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
        let files =
            files.map(|file| file.expect("entry").path()).filter(|path| path.extension().is_some_and(|e| e == "yaml"));
        let read = |path: PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
            (name, std::fs::read_to_string(&path).expect("readable"))
        };
        Setup::with(files.map(read).collect())
    }

    /// Manifests of a test, as `manifests.yaml`.
    pub fn manifests(text: &str) -> Setup {
        Setup::with(vec![("manifests.yaml".to_owned(), text.to_owned())])
    }

    fn with(files: Vec<(String, String)>) -> Setup {
        Setup { files, args: Vec::new(), ports: Vec::new(), backends: Backends::default() }
    }

    /// Another file.
    pub fn file(mut self, name: &str, text: &str) -> Setup {
        self.files.push((name.to_owned(), text.to_owned()));
        self
    }

    /// More arguments of `serve`.
    pub fn args(mut self, args: &[&str]) -> Setup {
        self.args.extend(args.iter().map(|arg| (*arg).to_owned()));
        self
    }

    /// A listener's port that no manifest has yet.
    pub fn listener(mut self, port: u16) -> Setup {
        self.ports.push(port);
        self
    }

    /// `fairlead echo` instead of a well-known port.
    pub fn echo(self, port: u16, pod: &str) -> Setup {
        self.echo_with(port, pod, &[])
    }

    /// The same with more arguments.
    pub fn echo_with(mut self, port: u16, pod: &str, args: &[&str]) -> Setup {
        let echo = Echo::with(pod, args);
        self.backends.ports.insert(port, echo.port());
        self.backends.echoes.insert(port, echo);
        self
    }

    /// Another port instead of a well-known one.
    pub fn port(mut self, port: u16, real: u16) -> Setup {
        self.backends.ports.insert(port, real);
        self
    }

    /// A free port that nobody listens on instead of a well-known one.
    pub fn nobody(self, port: u16) -> Setup {
        self.port(port, free_port())
    }

    /// Starts the proxy and waits until it serves and has said so.
    pub fn start(self) -> Stage {
        let stage = self.run(fairlead_testkit::ProxyBuilder::start);
        stage.until_printed(&["serving"]);
        stage
    }

    /// Starts the proxy without waiting.
    pub fn spawn(self) -> Stage {
        self.run(fairlead_testkit::ProxyBuilder::spawn)
    }

    fn run(self, start: fn(fairlead_testkit::ProxyBuilder) -> Proxy) -> Stage {
        let Setup { mut files, args, mut ports, backends } = self;
        ports.extend(files.iter().flat_map(|(_, text)| listener_ports(text)));
        ports.sort_unstable();
        ports.dedup();
        for (_, text) in &mut files {
            *text = backends.put_in(text);
        }
        let at = files.iter().position(|(name, _)| name == "manifests.yaml");
        let main = at.map(|at| files.remove(at).1).unwrap_or_else(|| "# All is in the other files.\n".to_owned());
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut builder = Proxy::builder(&main, &ports).args(&args);
        for (name, text) in &files {
            builder = builder.file(name, text);
        }
        Stage { proxy: start(builder), backends }
    }
}

impl Backends {
    /// The text with real ports.
    fn put_in(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        // An XBackend's is a number.
        let next = |rest: &str| {
            let field = |name: &str| rest.find(name).map(|at| at + name.len());
            field("port: ").into_iter().chain(field("number: ")).min()
        };
        while let Some(at) = next(rest) {
            let (before, after) = rest.split_at(at);
            let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
            let (number, tail) = after.split_at(end);
            out.push_str(before);
            match number.parse::<u16>().ok().and_then(|port| self.ports.get(&port)) {
                Some(real) => out.push_str(&real.to_string()),
                None => out.push_str(number),
            }
            rest = tail;
        }
        out.push_str(rest);
        out
    }
}

/// Ports of Gateways and ListenerSets.
fn listener_ports(text: &str) -> Vec<u16> {
    let ours =
        |document: &&str| document.lines().any(|line| matches!(line.trim(), "kind: Gateway" | "kind: ListenerSet"));
    let of_document = |document: &str| {
        let words = document
            .match_indices("port: ")
            .map(|(at, word)| document[at + word.len()..].to_owned())
            .collect::<Vec<_>>();
        words.into_iter().filter_map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            rest[..end].parse::<u16>().ok()
        })
    };
    let documents = text.split("---\n").filter(ours);
    documents.flat_map(|document| of_document(document).collect::<Vec<_>>()).collect()
}

/// Who answered: the echo server's pod, or the status in digits.
pub fn pod(answer: &Answer) -> String {
    if answer.status == 200
        && let Ok(json) = serde_json::from_slice::<serde_json::Value>(&answer.body)
        && let Some(pod) = json["pod"].as_str()
    {
        return pod.to_owned();
    }
    answer.status.to_string()
}

impl Stage {
    /// The answer to a request over HTTP/1.1, on a connection of its own.
    pub fn ask(&self, port: u16, ask: &Ask) -> Answer {
        Client::connect(Version::H1, self.proxy.address(port)).ask(ask).whole()
    }

    /// The answer to a GET.
    pub fn get(&self, port: u16, host: &str, path: &str) -> Answer {
        self.ask(port, &Ask::get(path).host(host))
    }

    /// Who answers a GET, as [`pod`] tells it.
    pub fn pod(&self, port: u16, host: &str, path: &str) -> String {
        pod(&self.get(port, host, path))
    }

    /// Who answers a request.
    pub fn pod_of(&self, port: u16, ask: &Ask) -> String {
        pod(&self.ask(port, ask))
    }

    /// Waits until a GET is answered by `pod`.
    pub fn until_pod(&self, port: u16, host: &str, path: &str, pod: &str) {
        wait_until(SOON, &format!("{pod} to answer http://{host}:{port}{path}"), || {
            let reply = std::net::TcpStream::connect(self.proxy.address(port)).is_ok();
            (reply && self.pod(port, host, path) == pod).then_some(())
        });
    }

    /// Writes a file of manifests, with the backends' real ports.
    pub fn write(&self, name: &str, text: &str) {
        self.proxy.dir.write(name, &self.backends.put_in(text));
    }

    /// Writes `manifests.yaml`.
    pub fn update(&self, text: &str) {
        self.write("manifests.yaml", text);
    }

    /// Waits until all of this was printed; the whole output.
    pub fn until_printed(&self, parts: &[&str]) -> String {
        wait_until(SOON, &format!("{parts:?} to be printed"), || {
            let output = self.proxy.process.output();
            parts.iter().all(|part| output.contains(part)).then_some(output)
        })
    }

    /// The echo server at a well-known port.
    pub fn echo(&self, port: u16) -> &Echo {
        &self.backends.echoes[&port]
    }

    /// The real port of a backend.
    pub fn real_port(&self, port: u16) -> u16 {
        self.backends.ports[&port]
    }

    /// Ends a backend.
    pub fn kill(&mut self, port: u16) {
        self.backends.echoes.remove(&port);
    }

    /// A number of `/metrics`; 0 when the series is not there.
    pub fn metric(&self, series: &str) -> f64 {
        let text = self.proxy.admin_get("/metrics");
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ').map(str::to_owned));
        line.map_or(0.0, |value| value.trim().parse().expect("a number"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_of_listeners_are_found_and_those_of_backends_replaced() {
        let text = "kind: Gateway\nspec: {listeners: [{port: 80}, {port: 8443}]}\n---\nkind: Service\nspec: {ports: [{port: 3000}]}\n";
        assert_eq!(listener_ports(text), [80, 8443]);
        let backends = Backends { ports: [(3000, 41000)].into(), ..Backends::default() };
        assert!(backends.put_in(text).ends_with("[{port: 41000}]}\n"));
        assert!(backends.put_in(text).starts_with("kind: Gateway\nspec: {listeners: [{port: 80}, {port: 8443}]}"));
        assert_eq!(backends.put_in("port: 30000"), "port: 30000");
    }
}
