//! An answer for people.

use super::answer::{Answer, Other, Share};
use crate::output::{Paint, count};
use fairlead_store::Style;
use std::fmt::Write as _;

/// So many near misses are shown unless all are wanted.
pub const NEAREST: usize = 5;

/// The answer over several lines.
pub fn render(answer: &Answer, style: Style, nearest: usize) -> String {
    let paint = Paint(style);
    let mut page = Page { out: String::new(), paint };
    let request = &answer.request;
    let outcome = if answer.route.is_some() { paint.good(&answer.outcome) } else { paint.bad(&answer.outcome) };
    if request.is_connection() {
        let name = if request.tls { format!("server name {}, ", request.server_name) } else { String::new() };
        page.line("client", &request.url, None);
        page.line("", &format!("{name}port {}", request.port), None);
    } else {
        page.line("request", &format!("{} {}", request.method, request.url), None);
        page.line("", &format!("host {}, port {}, path {}", request.host, request.port, request.path), None);
    }
    if let Some(door) = &answer.listener {
        page.line("listener", &door.name, door.place.as_deref());
        page.line("", &door.why, None);
        for (index, filter) in door.filters.iter().enumerate() {
            page.line(if index == 0 { "first" } else { "" }, filter, None);
        }
        if !door.filters.is_empty() {
            page.line("", "(what follows is for the request as it came: what these change is not known here)", None);
        }
    }
    if let Some(route) = &answer.route {
        let named = route.rule_name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
        page.line("route", &format!("{}{named}", route.name), route.place.as_deref());
        page.line("match", &format!("{}: {}", route.match_index, route.matched), None);
        page.line("why", &route.why, None);
        for (index, filter) in route.filters.iter().enumerate() {
            page.line(if index == 0 { "filters" } else { "" }, filter, None);
        }
        for (index, share) in route.backends.iter().enumerate() {
            page.share(if index == 0 { "backends" } else { "" }, share);
        }
        page.optional("timeouts", route.timeouts.as_deref());
        page.optional("retries", route.retry.as_deref());
    }
    page.line("outcome", &outcome, None);
    page.others("would take it too, but comes later", &answer.outranked, nearest);
    page.others("near misses, by the first thing that does not fit", &answer.near_misses, nearest);
    page.others("not in force", &answer.not_in_force, nearest);
    page.out
}

struct Page {
    out: String,
    paint: Paint,
}

const LABEL: usize = 10;

impl Page {
    fn line(&mut self, label: &str, text: &str, place: Option<&str>) {
        let label = self.paint.bold(&format!("{label:LABEL$}"));
        let place = place.map(|place| format!("  {}", self.paint.dim(place))).unwrap_or_default();
        let line = format!("{label}{text}{place}");
        let _ = writeln!(self.out, "{}", line.trim_end());
    }

    fn optional(&mut self, label: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.line(label, text, None);
        }
    }

    fn share(&mut self, label: &str, share: &Share) {
        let percent = format!("{:.1}", share.percent);
        let percent = percent.strip_suffix(".0").unwrap_or(&percent);
        let protocol = share.protocol.as_ref().map(|protocol| format!(" ({protocol})")).unwrap_or_default();
        let to = match &share.error {
            Some(error) => self.paint.bad(error),
            None => ends(&share.endpoints),
        };
        self.line(label, &format!("{percent:>5} %  {}{protocol} → {to}", share.name), None);
        for filter in &share.filters {
            self.line("", &format!("         {filter}"), None);
        }
    }

    fn others(&mut self, title: &str, others: &[Other], most: usize) {
        if others.is_empty() {
            return;
        }
        let _ = writeln!(self.out, "\n{}", self.paint.bold(title));
        for other in others.iter().take(most) {
            let place = other.place.as_ref().map(|place| format!("  {}", self.paint.dim(place))).unwrap_or_default();
            let _ = writeln!(self.out, "  {}{place}\n    {}", other.name, other.why);
        }
        if others.len() > most {
            let _ = writeln!(self.out, "  … and {} (--all shows them)", count(others.len() - most, "more route"));
        }
    }
}

fn ends(endpoints: &[String]) -> String {
    const SHOWN: usize = 4;
    let mut text = endpoints.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if endpoints.len() > SHOWN {
        let _ = write!(text, " and {} more", endpoints.len() - SHOWN);
    }
    text
}
