//! CORS (GEP-1767, HTTPCORSFilter; Fetch §3.2).
//!
//! A preflight is an `OPTIONS` with `Origin` and `Access-Control-Request-Method`; it is answered here with 200, with the headers if the
//! origin is allowed and without if not. Every other request goes on, whatever its origin; the response gets the headers if the origin
//! is allowed. Where not, the backend's own are taken away: with the filter, the route says who may read.
//!
//! * The origin is always echoed, also for `*`: that is right with and without credentials.
//! * `*` in methods and headers echoes what the preflight asks for; without the question there is no answer.
//! * `*` in exposed headers is sent as such, but with credentials browsers read it as a name, so it is left out.
//! * `Vary: origin` is on all responses of the route, so that no cache gives one origin's answer to another.

mod origin;
#[cfg(test)]
mod tests;

use crate::{Problem, Reply, ResponseCtx, Verdict, check};
use bytes::Bytes;
use fairlead_http::{Fields, Known, Method, RequestHead};
use fairlead_ir as ir;
use origin::{Origin, Pattern};
use smallvec::SmallVec;

/// Who may read responses from other origins, compiled.
#[derive(Debug)]
pub(crate) struct Cors {
    origins: Box<[Pattern]>,
    credentials: bool,
    methods: Answer,
    headers: Answer,
    expose: Option<Box<[u8]>>,
    max_age: Box<[u8]>,
}

/// What a preflight is told about methods or headers.
#[derive(Debug)]
enum Answer {
    /// Nothing is configured.
    Nothing,
    /// `*`: what it asks for.
    Echo,
    /// These.
    List(Box<[u8]>),
}

impl Cors {
    pub(crate) fn compile(source: &ir::Cors) -> Result<Self, Problem> {
        let origins = source.allow_origins.iter().map(|origin| &**origin).enumerate();
        let origin = |(index, text)| Pattern::compile(&format!("allowOrigins[{index}]"), text);
        let expose = list("exposeHeaders", source.expose_headers.iter().filter(|name| &***name != "*"))?;
        let expose_all = !source.allow_credentials && source.expose_headers.iter().any(|name| &**name == "*");
        Ok(Cors {
            origins: origins.map(origin).collect::<Result<_, _>>()?,
            credentials: source.allow_credentials,
            methods: Answer::compile("allowMethods", &source.allow_methods)?,
            headers: Answer::compile("allowHeaders", &source.allow_headers)?,
            expose: if expose_all { Some(b"*".as_slice().into()) } else { expose },
            max_age: source.max_age.to_string().into_bytes().into(),
        })
    }

    pub(crate) fn on_request(&self, head: &RequestHead) -> Verdict {
        if head.method() != Method::Options {
            return Verdict::Next;
        }
        let (origin, method) = (head.fields.get(Known::Origin), head.fields.get(Known::AccessControlRequestMethod));
        match (origin, method) {
            (Some(origin), Some(method)) => Verdict::Reply(Box::new(self.preflight(head, origin, method))),
            _ => Verdict::Next,
        }
    }

    pub(crate) fn on_response(&self, ctx: &mut ResponseCtx<'_>) {
        let fields = &mut ctx.head.fields;
        if let Some(origin) = ctx.request.fields.get(Known::Origin) {
            match self.allows(origin) {
                true => self.share(origin, fields),
                false => {
                    fields.remove_known(Known::AccessControlAllowOrigin);
                    fields.remove_known(Known::AccessControlAllowCredentials);
                    fields.remove_known(Known::AccessControlExposeHeaders);
                }
            }
        }
        vary_by_origin(fields);
    }

    fn allows(&self, origin: &[u8]) -> bool {
        let parsed = Origin::parse(origin);
        self.origins.iter().any(|pattern| pattern.matches(parsed.as_ref()))
    }

    /// What only preflights are told; the rest comes with the response's step, which answers pass like any response.
    fn preflight(&self, head: &RequestHead, origin: &[u8], method: &[u8]) -> Reply {
        let mut fields = Fields::new();
        if self.allows(origin) {
            match &self.methods {
                Answer::Nothing => {}
                Answer::Echo => fields.push_known(Known::AccessControlAllowMethods, method),
                Answer::List(list) => fields.push_known(Known::AccessControlAllowMethods, list),
            }
            let mut asked = head.fields.all(Known::AccessControlRequestHeaders);
            match &self.headers {
                Answer::Nothing => {}
                Answer::Echo => {
                    if let Some(first) = asked.next() {
                        let mut names = SmallVec::<[u8; 256]>::from_slice(first);
                        for more in asked {
                            names.push(b',');
                            names.extend_from_slice(more);
                        }
                        fields.push_known(Known::AccessControlAllowHeaders, &names);
                    }
                }
                Answer::List(list) => fields.push_known(Known::AccessControlAllowHeaders, list),
            }
            fields.push_known(Known::AccessControlMaxAge, &self.max_age);
        }
        fields.push_known(Known::Vary, b"origin, access-control-request-method, access-control-request-headers");
        Reply { status: 200, fields, body: Bytes::new(), details: "cors_response" }
    }

    /// What preflights and responses have in common.
    fn share(&self, origin: &[u8], fields: &mut Fields) {
        fields.set_known(Known::AccessControlAllowOrigin, origin);
        match self.credentials {
            true => fields.set_known(Known::AccessControlAllowCredentials, b"true"),
            false => drop(fields.remove_known(Known::AccessControlAllowCredentials)),
        }
        if let Some(expose) = &self.expose {
            fields.set_known(Known::AccessControlExposeHeaders, expose);
        }
    }
}

impl Answer {
    fn compile(field: &str, source: &[Box<str>]) -> Result<Self, Problem> {
        if source.iter().any(|name| &**name == "*") {
            return Ok(Answer::Echo);
        }
        Ok(list(field, source.iter())?.map_or(Answer::Nothing, Answer::List))
    }
}

/// Methods or names in one field value; `None` when there are none.
fn list<'a>(field: &str, names: impl Iterator<Item = &'a Box<str>>) -> Result<Option<Box<[u8]>>, Problem> {
    let mut text = String::new();
    for (index, name) in names.enumerate() {
        let field = format!("{field}[{index}]");
        check::name(&field, &name.to_ascii_lowercase())?;
        if index > 0 {
            text.push_str(", ");
        }
        text.push_str(name);
    }
    Ok((!text.is_empty()).then(|| text.into_bytes().into()))
}

fn vary_by_origin(fields: &mut Fields) {
    let origin = |name: &[u8]| name == b"*" || name.eq_ignore_ascii_case(b"origin");
    let named = |value: &[u8]| value.split(|b| *b == b',').any(|name| origin(name.trim_ascii()));
    if !fields.all(Known::Vary).any(named) {
        fields.append_list(Known::Vary, b"origin");
    }
}
