//! What is seen from outside: metrics, access log, admin interface; and that `explain` says what the proxy does.

use fairlead_test_flow::{Setup, Stage, guide, pod, repository};
use fairlead_testkit::{Ask, Client, TempDir, Version, binary, exchange, wait_until};
use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

/// `kustomize build … | fairlead check -f -`: places are told, although it can be read once only.
#[test]
fn manifests_come_from_standard_input_too() {
    let run = |words: &[&str]| {
        let file = std::fs::File::open(repository().join("docs/examples/check/shop.yaml")).expect("there");
        let output = Command::new(binary()).args(words).stdin(file).output().expect("runs");
        let text = String::from_utf8([output.stdout, output.stderr].concat()).expect("text");
        (output.status.code(), text)
    };
    let (code, text) = run(&["check", "-f", "-", "-o", "github"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.starts_with("::error file=-,line=10,col=13::Gateway default/web: spec.listeners[0].port: 80800"),
        "{text}"
    );
    assert!(text.ends_with("\n2 objects in 1 file: 3 errors\n"), "{text}");
    let (code, text) = run(&["serve", "-f", "-", "--admin-address", "off"]);
    assert!(code == Some(1) && text.contains("standard input can't be followed"), "{text}");
}

/// Each family of `/metrics` is documented, and each documented one is there.
#[test]
fn metrics_are_those_of_the_documentation() {
    let stage = Setup::example("mirroring").echo(3000, "app").echo(3001, "recorder").echo(3002, "sampler").start();
    for version in [Version::H1, Version::H2] {
        let mut client = Client::connect(version, stage.proxy.address(8080));
        for _ in 0..20 {
            assert_eq!(client.ask(&Ask::get("/").host("a.test")).whole().status, 200);
        }
    }
    let text = stage.proxy.admin_get("/metrics");
    let there: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let table = std::fs::read_to_string(repository().join("proxy/telemetry/METRICS.md")).expect("readable");
    let told: BTreeSet<&str> = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert_eq!(there, told);
    // And they count.
    let listener = "listener=\"gateway/default/web/http\",gateway=\"default/web\"";
    let count = |series: String| stage.metric(&series);
    for protocol in ["HTTP/1.1", "HTTP/2"] {
        assert_eq!(
            count(format!("fairlead_listener_requests_total{{{listener},protocol=\"{protocol}\",class=\"2xx\"}}")),
            20.0,
            "{text}"
        );
    }
    assert_eq!(count("fairlead_cluster_requests_total{cluster=\"backend/default/app\",class=\"2xx\"}".into()), 40.0);
    assert_eq!(count("fairlead_worker_snapshot_version{worker=\"0\"}".into()), 1.0);
    let mirrored =
        "fairlead_route_mirrored_total{route=\"mirrored\",namespace=\"default\",kind=\"HTTPRoute\",rule=\"0\"}";
    assert!(count(mirrored.into()) >= 40.0);
    let address = stage.echo(3000).address;
    assert_eq!(
        count(format!("fairlead_endpoint_requests_total{{cluster=\"backend/default/app\",endpoint=\"{address}\"}}")),
        40.0,
        "{text}"
    );
    wait_until(Duration::from_secs(5), "nothing to be active", || {
        (count("fairlead_cluster_requests_active{cluster=\"backend/default/recorder\"}".into()) == 0.0).then_some(())
    });
}

#[test]
fn the_log_in_words_of_ones_own() {
    let dir = TempDir::new();
    let file = dir.path().join("access.log");
    let format = "%REQ(:METHOD)% %PATH(NQ)% %QUERY_PARAM(q)% %RESPONSE_CODE% %RESPONSE_FLAGS% %UPSTREAM_CLUSTER% %REQ(X-NOT?USER-AGENT)%";
    let stage = Setup::example("quickstart")
        .args(&["--access-log", format, "--access-log-file", &file.display().to_string()])
        .echo(3000, "one")
        .start();
    let read = |path: &std::path::Path| std::fs::read_to_string(path).unwrap_or_default();
    stage.ask(8080, &Ask::get("/a?q=1").header("user-agent", "me"));
    let line = "GET /a 1 200 - backend/default/echo me\n";
    wait_until(Duration::from_secs(5), "the line", || (read(&file) == line).then_some(()));
    // Rotation: the file is moved away, and opened again on SIGUSR1.
    let old = dir.path().join("access.log.1");
    std::fs::rename(&file, &old).expect("moved");
    stage.proxy.process.signal("USR1");
    wait_until(Duration::from_secs(5), "a new file", || file.exists().then_some(()));
    stage.get(8080, "x.test", "/old");
    wait_until(Duration::from_secs(5), "the next line", || (read(&file) == "GET /old - 302 - - -\n").then_some(()));
    assert_eq!(read(&old), line);
}

#[test]
fn a_wrong_format_is_wrong_usage() {
    let output = guide::run("fairlead serve -f docs/examples/quickstart --access-log '%RESPONSE_COD%'; echo $?");
    assert!(output.contains("unknown operator %RESPONSE_COD%") && !output.contains("serving"), "{output}");
    let output = guide::run("fairlead serve -f docs/examples/quickstart --access-log jsn");
    assert!(output.contains("--access-log jsn: neither json, text or off") && !output.contains("serving"), "{output}");
}

#[test]
fn the_admin_interface_shows_what_is_served() {
    let stage: Stage =
        Setup::example("traffic-splitting").echo(3000, "old").echo(3001, "new").echo(3002, "oldest").start();
    stage.get(8080, "a.test", "/");
    let routes = stage.proxy.admin_get("/routes");
    assert!(routes.contains("httproute/default/canary/0") && routes.contains("x-version"), "{routes}");
    let clusters = stage.proxy.admin_get("/clusters");
    assert!(clusters.contains(&format!("backend/default/old::{}::weight::1", stage.echo(3000).address)), "{clusters}");
    let config: serde_json::Value = serde_json::from_str(&stage.proxy.admin_get("/config?format=json")).expect("JSON");
    assert_eq!(config["routes"]["httproute/default/canary/1"]["backends"][0]["weight"], 90, "{config}");
    assert!(stage.proxy.admin_get("/listeners").contains("gateway/default/web/http"));
    let admin = stage.proxy.admin();
    let post = |path: &str| {
        exchange(admin, format!("POST {path} HTTP/1.1\r\nHost: {admin}\r\nContent-Length: 0\r\n\r\n"))
            .expect("an answer")
    };
    assert_eq!(post("/logging?level=debug").status, 200);
    stage.get(8080, "a.test", "/");
    assert!(stage.proxy.admin_get("/logging").contains("debug"));
    assert_eq!(post("/logging?level=a=b=c").status, 400);
    // Pages of other sites must not reach it through a browser.
    let foreign = exchange(admin, "GET /config HTTP/1.1\r\nHost: evil.example\r\n\r\n").expect("an answer");
    assert_eq!(foreign.status, 403);
}

/// `explain` decides with the proxy's own code; here they are asked the same.
#[test]
fn explain_says_what_the_proxy_does() {
    let stage = Setup::example("http-routing").echo(3000, "one").echo(3001, "two").start();
    for (host, path, header) in [
        ("shop.example.com", "/items/1", ""),
        ("shop.example.com", "/search?q=a", "x-env: beta"),
        ("shop.example.com", "/search?q=", "x-env: beta"),
        ("pay.example.com", "/pay/help", ""),
        ("pay.example.com", "/about", ""),
        ("a.example.com", "/pay/help", ""),
        ("a.example.com", "/", ""),
        ("elsewhere.net", "/", ""),
    ] {
        let ask = match header.split_once(": ") {
            Some((name, value)) => Ask::get(path).host(host).header(name, value),
            None => Ask::get(path).host(host),
        };
        let served = pod(&stage.ask(8080, &ask));
        let headers = if header.is_empty() { String::new() } else { format!("-H '{header}'") };
        let output = guide::run(&format!(
            "fairlead explain -f docs/examples/http-routing {headers} 'http://{host}:8080{path}' --output json"
        ));
        let json: serde_json::Value = serde_json::from_str(&output).unwrap_or_else(|e| panic!("{e}: {output}"));
        let explained =
            match json["route"]["backends"][0]["name"].as_str().or(json["route"]["backends"][0]["cluster"].as_str()) {
                Some(name) => name.rsplit('/').next().unwrap_or_default().to_owned(),
                None => json["outcome"].as_str().unwrap_or_default().split(':').next().unwrap_or_default().to_owned(),
            };
        assert_eq!(explained, served, "{host}{path} {header}: {json}");
    }
}

/// Who reads no further, as `head -1`, is no reason to complain.
#[test]
fn a_closed_pipe_ends_commands_silently() {
    let dir = TempDir::new();
    let route = |n: usize| {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: r{n}}}\nspec: {{parentRefs: [{{name: none}}]}}\n---\n"
        )
    };
    std::fs::write(dir.path().join("many.yaml"), (0..50).map(route).collect::<String>()).expect("written");
    let manifests = dir.path().display().to_string();
    let commands = [
        "check -f DIR",
        "check -f DIR --output json",
        "check -f DIR --output github",
        "explain -f DIR --all http://a.test/",
        "explain -f DIR --output json http://a.test/",
        "version",
        "version --output json",
        "completions bash",
        "help",
        "serve --help",
        "echo --help",
    ];
    for command in commands {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let arguments = command.split(' ').map(|word| if word == "DIR" { &*manifests } else { word });
        let output = std::process::Command::new(binary()).args(arguments).stdout(writer).output().expect("runs");
        // A busy machine takes long enough for a word about progress.
        let complaint = String::from_utf8_lossy(&output.stderr);
        let complaint: Vec<&str> = complaint.lines().filter(|line| !line.starts_with("reading: ")).collect();
        assert_eq!((complaint, output.status.code()), (vec![], Some(0)), "{command}");
    }
}
