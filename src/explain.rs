//! `fairlead explain`: which listener, route, rule and match take a request, and why. The code that decides is the proxy's own.

mod answer;
mod request;
mod text;
mod words;

use crate::input::Input;
use crate::output::{self, Format};
use crate::strictness::Strictness;
pub use answer::Answer;
use fairlead_store::{Change, Style};
use fairlead_translate::{Settings, plan};
use request::Asked;
use std::net::IpAddr;
use std::process::ExitCode;

/// See the module.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 a route takes the request, 1 none does, 2 wrong usage.

Examples:
  fairlead explain -f manifests/ https://shop.example.com/cart
  fairlead explain -f manifests/ 'GET https://shop.example.com/cart?x=1' -H 'x-env: canary'
  fairlead explain -f manifests/ POST grpc://api.example.com/shop.Cart/Add -H 'content-type: application/grpc'
  fairlead explain -f manifests/ http://localhost/ -H 'host: shop.example.com' --port 8080
  fairlead explain -f manifests/ tls://db.example.com:5432
  fairlead explain -f manifests/ udp://dns.example.com:53")]
pub struct Args {
    #[command(flatten)]
    input: Input,

    #[command(flatten)]
    strictness: Strictness,

    /// `[METHOD] URL`, in one argument or two. Without a method: GET; without a scheme: http. Schemes `tls`, `tcp` and `udp` ask for a
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

    /// How to print the answer.
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,

    /// Show all near misses, not only the nearest.
    #[arg(long)]
    all: bool,
}

/// Explains and prints.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if let Err(error) = asked(args) {
        eprintln!("error: {error:#}");
        return Ok(ExitCode::from(2));
    }
    let change = args.input.read()?;
    let answer = answer(args, &change)?;
    output::print(&match args.output {
        Format::Text => text(&answer, output::style(), args),
        Format::Json => output::json(&answer)?,
    })?;
    let broken = change.problems.iter().filter(|problem| problem.severity == fairlead_store::Severity::Error).count();
    if broken > 0 {
        eprintln!("note: the manifests have {}; see `fairlead check`", output::count(broken, "error"));
    }
    Ok(if answer.route.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn asked(args: &Args) -> anyhow::Result<Asked> {
    Asked::parse(&args.request.join(" "), &args.headers, args.port, &args.strictness.path_policy())
}

/// The answer of some manifests.
pub fn answer(args: &Args, change: &Change) -> anyhow::Result<Answer> {
    let plan = plan(&change.world, &Settings { http: args.strictness.http(), ..Settings::default() });
    Ok(Answer::of(&asked(args)?, args.address, &change.world, &plan))
}

/// The answer for people.
pub fn text(answer: &Answer, style: Style, args: &Args) -> String {
    text::render(answer, style, if args.all { usize::MAX } else { text::NEAREST })
}
