//! What a server answers: one table of path, methods, parameters and what it does. The index and the 404 are made from it.

use crate::query::Query;
use crate::reply::{self, Reply};
use http::{Method, StatusCode};
use std::fmt::Write;

/// What an [`Admin`](crate::Admin) serves.
#[derive(Debug)]
pub struct Site<S: 'static> {
    /// What program it is, for the index.
    pub title: &'static str,
    /// Who asks.
    pub audience: Audience,
    /// What there is.
    pub endpoints: &'static [Endpoint<S>],
    /// What answers are made from.
    pub state: S,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// The operator, on loopback. Browsers that another site sent are refused, `/` lists what there is, and unknown parameters are told.
    Operator,
    /// Whoever reaches the address: probes and scrapers. A connection lasts for one request and a bounded time, so that nobody holds
    /// those that probes need; parameters mean nothing.
    Public,
}

/// What is done at a path.
#[derive(Debug)]
pub struct Endpoint<S: 'static> {
    /// As in `/ready`.
    pub path: &'static str,
    /// What it can be asked with.
    pub methods: Methods,
    /// Names of the parameters that it knows.
    pub parameters: &'static [&'static str],
    /// What it gives, in one line for people.
    pub what: &'static str,
    /// Answers; a refusal is an answer too. Must not block for long: others wait.
    pub run: fn(&S, &Method, &Query) -> Result<Reply, Reply>,
}

/// Whether something only reads (GET and HEAD), only acts (POST), or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Methods {
    /// GET and HEAD.
    Read,
    /// POST.
    Act,
    /// All of these.
    Both,
}

impl<S> Site<S> {
    /// Answers a request.
    pub(crate) fn answer(&self, method: &Method, path: &str, query: &str) -> Reply {
        if path == INDEX && self.audience == Audience::Operator {
            return match Methods::Read.permit(method) {
                true => self.index(),
                false => Reply::method_not_allowed(Methods::Read.allow()),
            };
        }
        let Some(endpoint) = self.endpoints.iter().find(|endpoint| endpoint.path == path) else {
            return Reply::text(StatusCode::NOT_FOUND, format!("no {path} here; there is:\n{}", self.list()));
        };
        if !endpoint.methods.permit(method) {
            return Reply::method_not_allowed(endpoint.methods.allow());
        }
        let query = match self.audience {
            Audience::Operator => Query::parse(query, endpoint.parameters),
            Audience::Public => Ok(Query::default()),
        };
        query.and_then(|query| (endpoint.run)(&self.state, method, &query)).unwrap_or_else(|refusal| refusal)
    }

    fn list(&self) -> String {
        let mut out = String::new();
        for Endpoint { path, methods, what, .. } in self.endpoints {
            let _ = writeln!(out, "{:<16} {path:<11} {what}", methods.allow());
        }
        out
    }

    fn index(&self) -> Reply {
        let mut out = format!(
            "<!doctype html>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n\
             <style>body{{font:15px/1.5 system-ui,sans-serif;margin:2em}}td{{padding:.2em 1em .2em 0;vertical-align:top}}</style>\n\
             <h1>{title}</h1>\n<table>\n",
            title = self.title
        );
        for Endpoint { path, methods, what, .. } in self.endpoints {
            let name = match methods {
                Methods::Act => (*path).to_owned(),
                Methods::Read | Methods::Both => format!("<a href=\"{path}\">{path}</a>"),
            };
            let _ = writeln!(out, "<tr><td>{}<td>{name}<td>{what}", methods.allow());
        }
        out.push_str("</table>\n");
        Reply::ok(reply::HTML, out)
    }
}

/// Where an operator finds the list of all.
const INDEX: &str = "/";

impl Methods {
    fn allow(self) -> &'static str {
        match self {
            Methods::Read => "GET, HEAD",
            Methods::Act => "POST",
            Methods::Both => "GET, HEAD, POST",
        }
    }

    fn permit(self, method: &Method) -> bool {
        match *method {
            Method::GET | Method::HEAD => self != Methods::Act,
            Method::POST => self != Methods::Read,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(audience: Audience) -> Site<u16> {
        const ENDPOINTS: &[Endpoint<u16>] = &[
            Endpoint {
                path: "/port",
                methods: Methods::Read,
                parameters: &["plus"],
                what: "A number",
                run: |port, _, query| {
                    let plus = query.get("plus").unwrap_or("0");
                    let plus: u16 = plus.parse().map_err(|_| Reply::text(StatusCode::BAD_REQUEST, "no number"))?;
                    Ok(Reply::text(StatusCode::OK, (port + plus).to_string()))
                },
            },
            Endpoint {
                path: "/go",
                methods: Methods::Act,
                parameters: &[],
                what: "Goes",
                run: |_, _, _| Ok(Reply::text(StatusCode::ACCEPTED, "gone")),
            },
        ];
        Site { title: "Test", audience, endpoints: ENDPOINTS, state: 80 }
    }

    #[test]
    fn a_table_says_what_is_answered() {
        let site = site(Audience::Operator);
        let ask = |method, path, query| {
            let reply = site.answer(&method, path, query);
            (reply.status.as_u16(), reply.body)
        };
        assert_eq!(ask(Method::GET, "/port", "plus=2"), (200, "82\n".into()));
        assert_eq!(ask(Method::GET, "/port", "plus=x"), (400, "no number\n".into()));
        assert_eq!(ask(Method::GET, "/port", "minus=1").0, 400);
        assert_eq!(ask(Method::POST, "/port", "").0, 405);
        assert_eq!(ask(Method::GET, "/go", "").0, 405);
        assert_eq!(ask(Method::POST, "/go", "").0, 202);
        let (status, text) = ask(Method::GET, "/nowhere", "");
        assert_eq!((status, text.contains("/port       A number\n")), (404, true), "{text}");
        let (status, text) = ask(Method::GET, "/", "");
        assert_eq!((status, text.contains("<h1>Test</h1>"), text.contains("<td>/go<td>Goes")), (200, true, true));
        assert_eq!(ask(Method::POST, "/", "").0, 405);
    }

    #[test]
    fn the_public_has_no_index_and_its_parameters_mean_nothing() {
        let site = site(Audience::Public);
        assert_eq!(site.answer(&Method::GET, "/", "").status, StatusCode::NOT_FOUND);
        assert_eq!(site.answer(&Method::GET, "/port", "verbose&plus=2").body, "80\n");
    }
}
