//! `fairlead explain`: which listener, route, rule and match take a request, and why. The code that decides is the proxy's own.
//!
//! ```text
//! files, or a cluster ──► World ──(plan)──► Plan ──(request: listener, route)──► Answer ──► text, JSON
//! ```

mod answer;
mod gateway;
mod names;
mod request;
mod text;
mod words;

#[cfg(test)]
mod tests;

use crate::input::Input;
use crate::live::{Cluster, Live};
use crate::output::{self, Format};
use crate::strictness::Strictness;
pub use answer::{Answer, Entrance};
use anyhow::bail;
use fairlead_ir::{EscapedSlashes, HttpSettings};
use fairlead_store::{Key, Severity, Style, World};
use fairlead_translate::{Plan, Planner, Settings, fleet, plan};
use request::{Asked, Early};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::process::ExitCode;
use std::sync::Arc;

/// See the module.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "fairlead explain (-f PATH | --live) [OPTIONS] [METHOD] URL",
    mut_arg("paths", |paths| paths.required(false).conflicts_with("live")),
    after_help = "\
The objects come from files (-f), or from the API server of a cluster (--live), with the rights of whoever asks.

Exit codes: 0 a route takes the request, 1 none does, 2 wrong usage, or the objects can't be read.

Examples:
  fairlead explain -f manifests/ https://shop.example.com/cart
  fairlead explain --live https://shop.example.com/cart
  fairlead explain --live --gateway shop/web http://shop.example.com/cart
  fairlead explain -f manifests/ 'GET https://shop.example.com/cart?x=1' -H 'x-env: canary'
  fairlead explain -f manifests/ POST grpc://api.example.com/shop.Cart/Add
  fairlead explain -f manifests/ http://localhost/ -H 'host: shop.example.com' --port 8080
  fairlead explain -f manifests/ tls://db.example.com:5432
  fairlead explain -f manifests/ udp://dns.example.com:53"
)]
pub struct Args {
    #[command(flatten)]
    input: Input,

    /// `[METHOD] URL`, in one argument or two. Without a method: GET, of grpc: POST; without a scheme: http. Schemes `tls`, `tcp` and `udp` ask for a
    /// connection or datagrams instead.
    #[arg(required = true, num_args = 1..=2, value_name = "[METHOD] URL")]
    request: Vec<String>,

    /// A header of the request; may be given several times. `host: …` replaces the URL's host, as in curl.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,

    /// The listener's port, when it is not the URL's.
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,

    /// The address that the request comes in on, when Gateways listen on different ones.
    #[arg(long, value_name = "IP")]
    address: Option<IpAddr>,

    /// The Gateway that the request comes in on, when several listen on the port.
    #[arg(long, value_name = "NAMESPACE/NAME")]
    gateway: Option<String>,

    /// How to print the answer: for people, or for machines.
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    output: Format,

    /// Show all near misses, not only the nearest.
    #[arg(long)]
    all: bool,

    #[command(flatten)]
    strictness: Strictness,

    #[command(flatten, next_help_heading = "Cluster")]
    live: FromCluster,
}

/// Objects of a cluster.
#[derive(Debug, clap::Args)]
struct FromCluster {
    /// Read the objects of a cluster instead of files.
    #[arg(long)]
    live: bool,

    #[command(flatten)]
    cluster: Cluster,

    /// Read objects of this namespace only, when others are out of reach; may be given several times.
    #[arg(short, long = "namespace", value_name = "NAMESPACE")]
    namespaces: Vec<String>,

    /// The controllerName of our GatewayClasses.
    #[arg(long, value_name = "NAME", default_value = "fairlead.dev/gateway-controller")]
    controller_name: String,
}

/// What there is to say.
struct Told {
    answer: Answer,
    /// For people, on the side.
    notes: Vec<String>,
}

/// Explains and prints.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let told = match tell(args) {
        Ok(told) => told,
        Err(error) => {
            let Some(early) = error.downcast_ref::<Early>() else {
                output::complain(&format!("error: {error:#}"));
                return Ok(ExitCode::from(2));
            };
            output::print(&match args.output {
                Format::Text => format!("request   {}\noutcome   {early}\n", early.request),
                Format::Json => output::json(early)?,
            })?;
            return Ok(ExitCode::FAILURE);
        }
    };
    output::print(&match args.output {
        Format::Text => text(&told.answer, output::style(), args),
        Format::Json => output::json(&told.answer)?,
    })?;
    told.notes.iter().for_each(|note| output::complain(&format!("note: {note}")));
    Ok(if told.answer.route.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn tell(args: &Args) -> anyhow::Result<Told> {
    // What is wrong with the request is said before anything is read.
    if !args.input.is_empty() {
        asked(args, &args.strictness.http())?;
        return of_files(args);
    }
    if !args.live.live {
        bail!("whose objects? Give manifests with -f PATH, or --live for those of a cluster");
    }
    asked(args, &lenient())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { of_cluster(&Live::connect(&args.live.cluster).await?, args).await })
}

fn asked(args: &Args, http: &HttpSettings) -> anyhow::Result<Asked> {
    Asked::parse(&args.request.join(" "), &args.headers, args.port, &fairlead_worker::path_policy(http))
}

/// Before it is known which Gateway is asked, and what its ProxyClass says.
fn lenient() -> HttpSettings {
    HttpSettings { escaped_slashes: EscapedSlashes::Keep, ..HttpSettings::default() }
}

fn of_files(args: &Args) -> anyhow::Result<Told> {
    let change = args.input.read()?;
    let broken = change.problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    let mut notes = Vec::new();
    if broken > 0 {
        notes.push(format!("the manifests have {}; see `fairlead check`", output::count(broken, "error")));
    }
    Ok(Told { answer: answer(args, &change.world)?, notes })
}

/// The answer of some manifests.
pub fn answer(args: &Args, world: &World) -> anyhow::Result<Answer> {
    let plan = plan(world, &Settings { http: args.strictness.http(), ..Settings::default() });
    if let Some(name) = &args.gateway {
        gateway::require(name, &plan)?;
    }
    let entrance = Entrance { address: args.address, gateway: args.gateway.as_deref() };
    Ok(Answer::of(&asked(args, &args.strictness.http())?, entrance, world, &plan))
}

/// The answer of a cluster. There each Gateway has addresses of its own, so that one of them is asked.
async fn of_cluster(live: &Live, args: &Args) -> anyhow::Result<Told> {
    let mut seen = live.see(&args.live.namespaces).await?;
    let secrets = secrets(&seen.world, args);
    Box::pin(live.see_secrets(&mut seen, secrets)).await?;
    let plan = plan(&seen.world, &settings(args));
    let choice = gateway::choose(&asked(args, &lenient())?, args.gateway.as_deref(), args.address, &seen, &plan)?;
    let entrance = Entrance { address: None, gateway: choice.gateway.as_deref() };
    let http = plan.config.listeners.values().find(|listener| choice.gateway.as_deref() == Some(&*listener.gateway));
    let asked = asked(args, &http.map_or_else(|| args.strictness.http(), |listener| listener.http.clone()))?;
    let left_out = seen.left_out.iter().map(|what| format!("left out: {what}"));
    let notes = left_out.chain(unclassed(&plan)).chain(choice.note).collect();
    Ok(Told { answer: Answer::of(&asked, entrance, &seen.world, &plan), notes })
}

/// Those that something refers to.
fn secrets(world: &World, args: &Args) -> BTreeSet<Key> {
    let mut planner = Planner::new(settings(args));
    planner.update(world, &[]);
    planner.take_secrets().unwrap_or_default()
}

/// As the controller plans. What concerns only the pods of the proxies is thrown away.
fn settings(args: &Args) -> Settings {
    let none: Arc<str> = Arc::default();
    let fleet = fleet::Settings {
        image: none.clone(),
        image_pull_policy: None,
        image_pull_secrets: Vec::new(),
        controller: none.clone(),
        ca_bundle: none,
    };
    let controller_name = args.live.controller_name.as_str().into();
    Settings { controller_name, http: args.strictness.http(), ..Settings::in_cluster(fleet) }
}

/// That no Gateway is ours, because no class is.
fn unclassed(plan: &Plan) -> Option<String> {
    let nothing = plan.status.gateway_classes.is_empty();
    nothing.then(|| "there is no GatewayClass of this controller; --controller-name names another".to_owned())
}

/// The answer for people.
pub fn text(answer: &Answer, style: Style, args: &Args) -> String {
    text::render(answer, style, if args.all { usize::MAX } else { text::NEAREST })
}
