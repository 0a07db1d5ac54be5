//! What listeners refuse where the manifests say nothing of it.

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use fairlead_ir::{EscapedSlashes, HttpSettings, Underscores};

/// See the module.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Strictness {
    /// What %2F and %5C in paths mean: reject answers 400; keep takes them for data, as object stores and APIs with paths as parameters
    /// need it; unescape takes them for slashes; redirect sends the client (307) to the path with slashes.
    #[arg(long, value_name = "ACTION", default_value = "reject", value_parser = escaped_slashes())]
    escaped_slashes: EscapedSlashes,

    /// What becomes of requests with an underscore in a header's name: reject-unless-grpc and reject answer 400, drop drops the header,
    /// allow lets it pass.
    #[arg(long, value_name = "ACTION", default_value = "reject-unless-grpc", value_parser = underscores())]
    underscores: Underscores,
}

impl Strictness {
    /// For all listeners.
    pub fn http(&self) -> HttpSettings {
        HttpSettings { escaped_slashes: self.escaped_slashes, underscores: self.underscores, ..HttpSettings::default() }
    }
}

fn escaped_slashes() -> impl clap::builder::TypedValueParser<Value = EscapedSlashes> {
    PossibleValuesParser::new(["reject", "keep", "unescape", "redirect"]).map(|text| match &*text {
        "keep" => EscapedSlashes::Keep,
        "unescape" => EscapedSlashes::Unescape,
        "redirect" => EscapedSlashes::Redirect,
        _ => EscapedSlashes::Reject,
    })
}

fn underscores() -> impl clap::builder::TypedValueParser<Value = Underscores> {
    PossibleValuesParser::new(["reject-unless-grpc", "reject", "drop", "allow"]).map(|text| match &*text {
        "reject" => Underscores::Reject,
        "drop" => Underscores::Drop,
        "allow" => Underscores::Allow,
        _ => Underscores::RejectUnlessGrpc,
    })
}
