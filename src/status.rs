//! `fairlead status`: what a cluster's Gateways, listeners and routes say, and which proxy serves which version.

use crate::live::{Cluster, Live};
use crate::output::{self, Format, Paint};
use crate::table;
use crate::view::{ListenerRow, RouteRow, State, View};
use fairlead_crds::Kind;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::process::ExitCode;

/// See the module.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 all is as it should be, 1 something is not, 2 the cluster can't be asked.

Which proxy serves which version is known to the leading controller, which is asked through a port-forward to its pod.

Examples:
  fairlead status
  fairlead status -n shop
  fairlead status -o json | jq '.proxies'")]
pub struct Args {
    #[command(flatten)]
    cluster: Cluster,

    /// Objects of this namespace only; of all when absent.
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,

    /// Where the controller runs.
    #[arg(long, value_name = "NAMESPACE", default_value = "fairlead-system")]
    controller_namespace: String,

    /// The controllerName of our GatewayClasses.
    #[arg(long, value_name = "NAME", default_value = "fairlead.dev/gateway-controller")]
    controller_name: String,

    /// How to print: for people, or for machines.
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    output: Format,
}

/// What the controller tells of the proxies of a Gateway: an entry of its `/proxies`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayProxies {
    /// `namespace/name`.
    pub gateway: String,
    /// What proxies are to serve.
    pub version: u64,
    /// Those that are connected.
    pub proxies: Vec<Proxy>,
}

/// A connected proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Proxy {
    /// Name of the pod.
    pub pod: String,
    /// What it serves.
    pub version: u64,
    /// Version of its program.
    pub program: String,
    /// What it can't serve, and why.
    pub rejected: Vec<String>,
    /// Sockets that it could not open, and why.
    pub unbound: BTreeMap<String, String>,
}

/// All that is printed.
#[derive(Serialize)]
struct Report {
    classes: Vec<ClassRow>,
    #[serde(flatten)]
    view: View,
    /// `None` when nobody could be asked.
    proxies: Option<Vec<GatewayProxies>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    standby: Vec<Standby>,
}

/// An installation that does nothing because another one has the same controllerName.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Standby {
    namespace: String,
    /// Where the one is that leads.
    leads: String,
}

/// Labels of the controllers' pods.
const CONTROLLERS: &str = "app.kubernetes.io/name=fairlead,app.kubernetes.io/component=controller";

/// A GatewayClass of ours.
#[derive(Serialize)]
struct ClassRow {
    name: String,
    conditions: Vec<State>,
}

/// Asks and prints.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let asked = runtime.block_on(async { report(&Live::connect(&args.cluster).await?, args).await });
    let report = match asked {
        Ok(report) => report,
        Err(error) => {
            output::complain(&format!("error: {error:#}"));
            return Ok(ExitCode::from(2));
        }
    };
    output::print(&match args.output {
        Format::Json => output::json(&report)?,
        Format::Text => text(&report),
    })?;
    Ok(if report.is_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn report(live: &Live, args: &Args) -> anyhow::Result<Report> {
    let namespace = args.namespace.as_deref();
    let ours = |class: &Value| class["spec"]["controllerName"] == *args.controller_name;
    let classes: Vec<Value> = live.list(Kind::GatewayClass, None).await?.into_iter().filter(ours).collect();
    let names: BTreeSet<&str> = classes.iter().filter_map(|class| class["metadata"]["name"].as_str()).collect();
    let mut gateways = live.list(Kind::Gateway, namespace).await?;
    gateways.retain(|gateway| gateway["spec"]["gatewayClassName"].as_str().is_some_and(|name| names.contains(name)));
    let mut listeners: Vec<ListenerRow> = gateways.iter().flat_map(|gateway| rows(gateway, "")).collect();
    let mut sets = live.list(Kind::ListenerSet, namespace).await?;
    let served: BTreeSet<String> = gateways.iter().map(name_of).collect();
    sets.retain(|set| {
        let parent = &set["spec"]["parentRef"];
        let home = parent["namespace"].as_str().or(set["metadata"]["namespace"].as_str()).unwrap_or_default();
        // Whose Gateways of other namespaces are is not known when one is asked for.
        namespace.is_some_and(|asked| asked != home) || served.contains(&format!("{home}/{}", text_of(&parent["name"])))
    });
    listeners.extend(sets.iter().flat_map(|set| rows(set, "ListenerSet ")));
    let mut routes = Vec::new();
    for kind in [Kind::HTTPRoute, Kind::GRPCRoute, Kind::TLSRoute, Kind::TCPRoute, Kind::UDPRoute] {
        let found = live.list(kind, namespace).await?;
        routes.extend(found.iter().filter_map(|route| route_row(kind, route, &args.controller_name)));
    }
    let (proxies, problem) = match Box::pin(proxies(live, args)).await {
        Ok(proxies) => (Some(proxies), None),
        Err(error) => (None, Some(format!("{error:#}"))),
    };
    let class =
        |class: &Value| ClassRow { name: text_of(&class["metadata"]["name"]), conditions: states(&class["status"]) };
    let standby = Box::pin(standbys(live, &args.controller_namespace)).await;
    let classes = classes.iter().map(class).collect();
    Ok(Report { classes, view: View { listeners, routes }, proxies, problem, standby })
}

/// Asks the controllers; the one that leads knows the most.
async fn proxies(live: &Live, args: &Args) -> anyhow::Result<Vec<GatewayProxies>> {
    let namespace = &args.controller_namespace;
    let pods = live.pods(Some(namespace), CONTROLLERS).await?;
    anyhow::ensure!(!pods.is_empty(), "no controller pod in {namespace}; give --controller-namespace");
    let mut all: BTreeMap<String, GatewayProxies> = BTreeMap::new();
    let mut failure = None;
    for pod in pods {
        let answer = live.ask(&pod, "/proxies").await;
        match answer.and_then(|text| Ok(serde_json::from_str::<Vec<GatewayProxies>>(&text)?)) {
            Ok(found) => {
                for gateway in found {
                    let known = all.entry(gateway.gateway.clone()).or_default();
                    if known.gateway.is_empty() || gateway.proxies.len() > known.proxies.len() {
                        *known = gateway;
                    }
                }
            }
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        Some(error) if all.is_empty() => Err(error),
        _ => Ok(all.into_values().filter(|one| in_namespace(&one.gateway, args.namespace.as_deref())).collect()),
    }
}

/// Installations that stand by because an older one has the same controllerName. Those that can't be asked are left out: they are told
/// of for their own sake, or belong to others.
async fn standbys(live: &Live, asked: &str) -> Vec<Standby> {
    let own = live.pods(Some(asked), CONTROLLERS).await.unwrap_or_default();
    let all = live.pods(None, CONTROLLERS).await.unwrap_or(own);
    let mut found = BTreeSet::new();
    for pod in all {
        let Some(namespace) = pod.metadata.namespace.clone() else { continue };
        let Ok(answer) = live.ask(&pod, "/leader").await else { continue };
        found.extend(standby(asked, &namespace, &answer));
    }
    found.into_iter().collect()
}

/// What a controller's `/leader` says of that, as far as it matters to who asks the installation in `asked`.
fn standby(asked: &str, namespace: &str, answer: &str) -> Option<Standby> {
    let answer: Value = serde_json::from_str(answer).ok()?;
    let leads = answer["otherInstallation"].as_str()?;
    let matters = namespace == asked || leads == asked;
    matters.then(|| Standby { namespace: namespace.to_owned(), leads: leads.to_owned() })
}

impl std::fmt::Display for Standby {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Standby { namespace, leads } = self;
        write!(
            f,
            "the installation in {namespace} does nothing: that in {leads} is older and has the same controllerName; \
             uninstall one, or give each a controllerName of its own"
        )
    }
}

fn in_namespace(gateway: &str, namespace: Option<&str>) -> bool {
    namespace.is_none_or(|namespace| gateway.split_once('/').is_some_and(|(found, _)| found == namespace))
}

impl Report {
    fn is_well(&self) -> bool {
        let classes = self.classes.iter().flat_map(|class| &class.conditions);
        let listeners = self.view.listeners.iter().flat_map(|row| &row.conditions);
        let routes = self.view.routes.iter().flat_map(|row| &row.conditions);
        let behind = |one: &GatewayProxies| {
            one.proxies
                .iter()
                .any(|proxy| proxy.version < one.version || !proxy.rejected.is_empty() || !proxy.unbound.is_empty())
        };
        self.standby.is_empty()
            && !self.classes.is_empty()
            && classes.chain(listeners).chain(routes).all(|state| state.good)
            && self.proxies.as_ref().is_some_and(|all| !all.iter().any(behind))
    }
}

fn text(report: &Report) -> String {
    let paint = Paint(output::style());
    let mut out = String::new();
    if report.classes.is_empty() {
        let _ = writeln!(out, "{}", paint.bad("no GatewayClass of ours in this cluster"));
    }
    for class in &report.classes {
        let _ = writeln!(out, "GatewayClass {}: {}", paint.bold(&class.name), table::words(&class.conditions));
    }
    out.push('\n');
    out.push_str(&table::render(&report.view, output::style()));
    out.push('\n');
    for gateway in report.proxies.iter().flatten() {
        let behind = gateway.proxies.iter().filter(|proxy| proxy.version < gateway.version).count();
        let serving = gateway.proxies.len() - behind;
        let all = output::count(gateway.proxies.len(), "proxy");
        let sum = format!("version {} on {serving} of {all}", gateway.version);
        let sum = if behind == 0 && !gateway.proxies.is_empty() { paint.good(&sum) } else { paint.bad(&sum) };
        let _ = writeln!(out, "{}: {sum}", paint.bold(&gateway.gateway));
        for proxy in &gateway.proxies {
            let _ = writeln!(out, "  {}  version {}  program {}", proxy.pod, proxy.version, proxy.program);
            for rejected in &proxy.rejected {
                let _ = writeln!(out, "    {} {rejected}", paint.bad("rejected"));
            }
            for (socket, why) in &proxy.unbound {
                let _ = writeln!(out, "    {} {socket}: {why}", paint.bad("not listening on"));
            }
        }
    }
    if let Some(problem) = &report.problem {
        let _ = writeln!(out, "{} {problem}", paint.bad("proxies unknown:"));
    }
    for standby in &report.standby {
        let _ = writeln!(out, "{} {standby}", paint.bad("standby:"));
    }
    out
}

/// A row for each listener of a Gateway or ListenerSet.
fn rows(object: &Value, prefix: &str) -> Vec<ListenerRow> {
    let gateway = format!("{prefix}{}", name_of(object));
    let status = &object["status"];
    let addresses: Vec<String> = list(&status["addresses"]).iter().map(|address| text_of(&address["value"])).collect();
    let row = |listener: &Value| {
        let name = text_of(&listener["name"]);
        let of_listener = list(&status["listeners"]).iter().find(|one| one["name"] == *name).unwrap_or(&Value::Null);
        let mut conditions = states(of_listener);
        if conditions.is_empty() {
            conditions = states(status);
        }
        ListenerRow {
            gateway: gateway.clone(),
            listener: name,
            protocol: text_of(&listener["protocol"]),
            port: listener["port"].as_u64().and_then(|port| u16::try_from(port).ok()).unwrap_or_default(),
            addresses: addresses.clone(),
            hostname: listener["hostname"].as_str().map(str::to_owned),
            attached_routes: u32::try_from(of_listener["attachedRoutes"].as_u64().unwrap_or_default())
                .unwrap_or(u32::MAX),
            conditions,
        }
    };
    list(&object["spec"]["listeners"]).iter().map(row).collect()
}

/// A row for a route that we say something about.
fn route_row(kind: Kind, route: &Value, controller: &str) -> Option<RouteRow> {
    let ours: Vec<&Value> =
        list(&route["status"]["parents"]).iter().filter(|parent| parent["controllerName"] == *controller).collect();
    if ours.is_empty() {
        return None;
    }
    let namespace = text_of(&route["metadata"]["namespace"]);
    let parent = |parent: &&Value| {
        let reference = &parent["parentRef"];
        format!("{}/{}", reference["namespace"].as_str().unwrap_or(&namespace), text_of(&reference["name"]))
    };
    let parents: BTreeSet<String> = ours.iter().map(parent).collect();
    let conditions: BTreeSet<State> = ours.iter().flat_map(|parent| states(parent)).collect();
    Some(RouteRow {
        kind: kind.to_string(),
        name: name_of(route),
        hostnames: list(&route["spec"]["hostnames"]).iter().map(text_of).collect(),
        parents: parents.into_iter().collect(),
        rules: list(&route["spec"]["rules"]).len().max(1),
        conditions: conditions.into_iter().collect(),
    })
}

/// Conditions of a status, without those that say that nothing is the matter.
fn states(status: &Value) -> Vec<State> {
    let state = |condition: &Value| {
        let kind = text_of(&condition["type"]);
        let status = condition["status"] == "True";
        let good = match kind.as_str() {
            "Accepted" | "Programmed" | "ResolvedRefs" | "SupportedVersion" => status,
            _ => !status,
        };
        State { kind, status, good, reason: text_of(&condition["reason"]) }
    };
    list(&status["conditions"]).iter().map(state).filter(|state| state.status || !state.good).collect()
}

fn name_of(object: &Value) -> String {
    format!("{}/{}", text_of(&object["metadata"]["namespace"]), text_of(&object["metadata"]["name"]))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
