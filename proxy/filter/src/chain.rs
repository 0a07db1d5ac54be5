//! The filters of a rule or a backend, and what they see and say.

use crate::cors::Cors;
use crate::direct::Direct;
use crate::headers::{HeaderMods, Side};
use crate::redirect::Redirect;
use crate::rewrite::Rewrite;
use crate::{ExternalAuth, Mirror, Problem};
use bytes::Bytes;
use fairlead_http::{Fields, RequestHead, ResponseHead};
use fairlead_ir as ir;

/// A filter, compiled. One variant per folder.
#[derive(Debug)]
enum Filter {
    RequestHeaders(HeaderMods),
    ResponseHeaders(HeaderMods),
    Redirect(Box<Redirect>),
    Rewrite(Box<Rewrite>),
    Cors(Box<Cors>),
    Direct(Box<Direct>),
    /// By its number among the chain's.
    ExternalAuth(usize),
}

/// The filters of a rule or a backend, in order.
#[derive(Debug, Default)]
pub struct Chain {
    /// `None` when there is nothing: most rules have no filters, and there may be many thousand.
    parts: Option<Box<Parts>>,
}

#[derive(Debug, Default)]
struct Parts {
    filters: Box<[Filter]>,
    mirrors: Box<[Mirror]>,
    auths: Box<[ExternalAuth]>,
}

/// Where a chain stopped to wait for a service's consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Number of the service among the chain's ([`Chain::auths`]).
    pub auth: usize,
    /// The filter that comes next.
    next: usize,
}

/// What filters see of a request.
#[derive(Debug)]
pub struct RequestCtx<'a> {
    /// The request as the filters before made it.
    pub head: &'a mut RequestHead,
    /// Bytes of the path that the route's prefix match took (`fairlead_route::Hit::prefix_len`).
    pub prefix_len: Option<usize>,
    /// The port that clients use for this listener.
    pub listener_port: u16,
    /// Whether the client speaks TLS to this listener.
    pub https: bool,
}

/// What filters see of a response.
#[derive(Debug)]
pub struct ResponseCtx<'a> {
    /// The response as the filters before made it.
    pub head: &'a mut ResponseHead,
    /// The request that it answers, as its filters left it.
    pub request: &'a RequestHead,
}

/// What a filter says about a request.
#[derive(Debug)]
pub enum Verdict {
    /// Go on.
    Next,
    /// Answer with this; nothing goes to a backend.
    Reply(Box<Reply>),
    /// Ask a service; with its consent, go on with [`Chain::resume`].
    Ask(Stop),
}

/// An answer of the proxy's own. The chain that gave it has already run its response filters over it.
#[derive(Debug)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    /// Header fields, without those of framing and connection.
    pub fields: Fields,
    /// Whole body; may be empty.
    pub body: Bytes,
    /// Envoy's `%RESPONSE_CODE_DETAILS%`.
    pub details: &'static str,
}

impl Filter {
    /// `None` for mirrors, which no head passes, and services, which the chain knows.
    fn compile(source: &ir::Filter) -> Result<Option<Self>, Problem> {
        Ok(Some(match source {
            ir::Filter::RequestHeaders(mods) => Filter::RequestHeaders(HeaderMods::compile(mods, Side::Request)?),
            ir::Filter::ResponseHeaders(mods) => Filter::ResponseHeaders(HeaderMods::compile(mods, Side::Response)?),
            ir::Filter::Redirect(redirect) => Filter::Redirect(Box::new(Redirect::compile(redirect)?)),
            ir::Filter::Rewrite(rewrite) => Filter::Rewrite(Box::new(Rewrite::compile(rewrite)?)),
            ir::Filter::Cors(cors) => Filter::Cors(Box::new(Cors::compile(cors)?)),
            ir::Filter::DirectResponse(direct) => Filter::Direct(Box::new(Direct::compile(direct)?)),
            ir::Filter::Mirror(_) | ir::Filter::ExternalAuth(_) => return Ok(None),
        }))
    }

    fn on_request(&self, ctx: &mut RequestCtx<'_>) -> Verdict {
        match self {
            Filter::RequestHeaders(mods) => mods.on_request(ctx.head),
            Filter::Rewrite(rewrite) => rewrite.on_request(ctx),
            Filter::Redirect(redirect) => return Verdict::Reply(Box::new(redirect.reply(ctx))),
            Filter::Direct(direct) => return Verdict::Reply(Box::new(direct.reply())),
            Filter::Cors(cors) => return cors.on_request(ctx.head),
            Filter::ResponseHeaders(_) | Filter::ExternalAuth(_) => {}
        }
        Verdict::Next
    }

    fn on_response(&self, ctx: &mut ResponseCtx<'_>) {
        match self {
            Filter::ResponseHeaders(mods) => mods.on_response(&mut ctx.head.fields),
            Filter::Cors(cors) => cors.on_response(ctx),
            Filter::RequestHeaders(_)
            | Filter::Rewrite(_)
            | Filter::Redirect(_)
            | Filter::Direct(_)
            | Filter::ExternalAuth(_) => {}
        }
    }
}

impl Chain {
    /// Compiles the filters of a rule or a backend.
    ///
    /// # Errors
    /// The first filter that does not compile: a value that no message may carry, a field that belongs to framing, a bad regular
    /// expression. The field is counted from the list: `filters[1].set[0].name`.
    pub fn compile(source: &[ir::Filter]) -> Result<Self, Problem> {
        let mut filters = Vec::with_capacity(source.len());
        let (mut mirrors, mut auths) = (Vec::new(), Vec::new());
        for (index, filter) in source.iter().enumerate() {
            let within = |problem: Problem| problem.within(&format!("filters[{index}]"));
            if let ir::Filter::Mirror(mirror) = filter {
                mirrors.push(Mirror::compile(mirror).map_err(within)?);
            }
            if let ir::Filter::ExternalAuth(auth) = filter {
                filters.push(Filter::ExternalAuth(auths.len()));
                auths.push(ExternalAuth::compile(auth).map_err(within)?);
            }
            filters.extend(Filter::compile(filter).map_err(within)?);
        }
        let parts = Parts { filters: filters.into(), mirrors: mirrors.into(), auths: auths.into() };
        Ok(Chain { parts: (!source.is_empty()).then(|| Box::new(parts)) })
    }

    /// Runs the request through the filters until one answers or a service has to be asked.
    pub fn on_request(&self, ctx: &mut RequestCtx<'_>) -> Verdict {
        self.run(ctx, 0)
    }

    /// Goes on where the chain stopped.
    pub fn resume(&self, ctx: &mut RequestCtx<'_>, stop: Stop) -> Verdict {
        self.run(ctx, stop.next)
    }

    fn run(&self, ctx: &mut RequestCtx<'_>, from: usize) -> Verdict {
        for (index, filter) in self.filters().iter().enumerate().skip(from) {
            if let Filter::ExternalAuth(auth) = filter {
                return Verdict::Ask(Stop { auth: *auth, next: index + 1 });
            }
            if let Verdict::Reply(mut reply) = filter.on_request(ctx) {
                self.answer(&mut reply, ctx.head);
                return Verdict::Reply(reply);
            }
        }
        Verdict::Next
    }

    /// Runs an answer that was given in this chain through its response filters, so that a redirect or refusal has the headers that
    /// the rule sets, and a browser may read it. Those that the chain gives itself have passed them.
    pub fn answer(&self, reply: &mut Reply, request: &RequestHead) {
        let mut head = ResponseHead { fields: std::mem::take(&mut reply.fields), ..ResponseHead::new(reply.status) };
        self.on_response(&mut ResponseCtx { head: &mut head, request });
        reply.fields = head.fields;
    }

    /// Runs a response through the filters: a backend's, or one of the proxy's own that did not come from this chain.
    pub fn on_response(&self, ctx: &mut ResponseCtx<'_>) {
        for filter in self.filters() {
            filter.on_response(ctx);
        }
    }

    /// Whether no filter acts on heads.
    pub fn is_empty(&self) -> bool {
        self.filters().is_empty()
    }

    /// Services that are asked, in order.
    pub fn auths(&self) -> &[ExternalAuth] {
        self.parts.as_deref().map_or(&[], |parts| &parts.auths)
    }

    /// Where copies go.
    pub fn mirrors(&self) -> &[Mirror] {
        self.parts.as_deref().map_or(&[], |parts| &parts.mirrors)
    }

    /// Whether a filter may change the path, so that the log wants the original.
    pub fn rewrites_path(&self) -> bool {
        self.rewrites().any(Rewrite::changes_path)
    }

    /// Whether a filter may change the host, so that the log wants the original.
    pub fn rewrites_host(&self) -> bool {
        self.rewrites().any(Rewrite::changes_host)
    }

    /// Whether the request's host is to become the host name of the chosen endpoint, which no filter knows:
    /// [`ir::HostRewrite::Backend`].
    pub fn takes_backend_host(&self) -> bool {
        self.rewrites().any(Rewrite::takes_backend_host)
    }

    fn filters(&self) -> &[Filter] {
        self.parts.as_deref().map_or(&[], |parts| &parts.filters)
    }

    fn rewrites(&self) -> impl Iterator<Item = &Rewrite> {
        self.filters().iter().filter_map(|filter| match filter {
            Filter::Rewrite(rewrite) => Some(&**rewrite),
            _ => None,
        })
    }
}
