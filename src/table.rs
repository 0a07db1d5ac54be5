//! The tables that are printed at the start: with lines and colours on a terminal, plain columns elsewhere.

use crate::output::count;
use crate::view::{State, View};
use comfy_table::{Cell, Color, ContentArrangement, Table, presets};
use fairlead_store::Style;
use std::fmt::Write as _;

/// So many rows of each table are printed.
const MAX_ROWS: usize = 100;

/// Both tables, ending with a line break.
pub fn render(view: &View, style: Style) -> String {
    let mut out = String::new();
    let listeners = view.listeners.iter().map(|row| {
        let routes = row.attached_routes.to_string();
        let host = row.hostname.clone().unwrap_or_else(|| "*".to_owned());
        let port = if row.port > 0 { row.port.to_string() } else { String::new() };
        let cells = [
            row.gateway.clone(),
            row.listener.clone(),
            row.protocol.clone(),
            port,
            row.addresses.join("\n"),
            host,
            routes,
        ];
        (cells.map(Cell::new).into_iter().collect(), &row.conditions[..])
    });
    let head = ["GATEWAY", "LISTENER", "PROTOCOL", "PORT", "ADDRESS", "HOST", "ROUTES", "CONDITIONS"];
    table(&mut out, &head, listeners.collect(), style, "listener");
    if !view.routes.is_empty() {
        out.push('\n');
        let routes = view.routes.iter().map(|row| {
            let hosts = if row.hostnames.is_empty() { "*".to_owned() } else { row.hostnames.join("\n") };
            let cells = [format!("{} {}", row.kind, row.name), hosts, row.parents.join("\n"), row.rules.to_string()];
            (cells.map(Cell::new).into_iter().collect(), &row.conditions[..])
        });
        table(&mut out, &["ROUTE", "HOSTS", "PARENTS", "RULES", "CONDITIONS"], routes.collect(), style, "route");
    }
    out
}

fn table(out: &mut String, head: &[&str], rows: Vec<(Vec<Cell>, &[State])>, style: Style, what: &str) {
    let mut table = Table::new();
    let coloured = style == Style::Coloured;
    if coloured {
        table
            .load_style(presets::UTF8_HORIZONTAL_ONLY)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .enforce_styling();
    } else {
        table.load_style(presets::NOTHING).force_no_tty();
    }
    table.set_header(head);
    let total = rows.len();
    let is_well = |conditions: &[State]| conditions.iter().all(|state| state.good);
    let unwell = rows.iter().filter(|(_, conditions)| !is_well(conditions)).count();
    let mut rows = rows;
    if total > MAX_ROWS {
        // What needs a look is not to be among those that are left out.
        rows.sort_by_key(|(_, conditions)| is_well(conditions));
    }
    for (mut cells, conditions) in rows.into_iter().take(MAX_ROWS) {
        let colour = match (is_well(conditions), in_force(conditions)) {
            (true, _) => Color::Green,
            (false, true) => Color::Yellow,
            (false, false) => Color::Red,
        };
        cells.push(Cell::new(words(conditions)).fg(colour));
        table.add_row(cells);
    }
    if !coloured {
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
    }
    for line in table.lines() {
        let _ = writeln!(out, "{}", line.trim_end());
    }
    if total > MAX_ROWS {
        let more = count(total - MAX_ROWS, &format!("more {what}"));
        let which = match unwell.saturating_sub(MAX_ROWS) {
            0 => "all of them well".to_owned(),
            unwell => format!("{} of them not well", count(unwell, what)),
        };
        let _ = writeln!(out, "… and {more}, {which}; `-o json` prints all");
    }
}

/// Whether nothing is missing, so that what is not good is a warning.
fn in_force(conditions: &[State]) -> bool {
    conditions.iter().all(|state| state.good || state.status)
}

/// `Accepted Programmed`, or what is wrong with its reason: `not ResolvedRefs (BackendNotFound)`. Warnings stand behind what is well.
pub fn words(conditions: &[State]) -> String {
    let good = conditions.iter().filter(|state| state.good).map(|state| state.kind.clone());
    let bad = conditions.iter().filter(|state| !state.good).map(|state| {
        let not = if state.status { "" } else { "not " };
        format!("{not}{} ({})", state.kind, state.reason)
    });
    let mut words: Vec<String> = good.collect();
    if !in_force(conditions) {
        // What is wrong counts; what is well beside it would only hide it.
        words.clear();
    }
    words.extend(bad);
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataplane::Binds;
    use crate::view::View;
    use fairlead_store::{Files, Settings as Manifests};
    use fairlead_translate::{Settings, plan};

    fn view(case: &str) -> View {
        let files = Files::open(Manifests::new([format!("src/testdata/check/{case}")]), |_| {});
        let plan = plan(files.world(), &Settings::default());
        let binds: Binds = plan
            .config
            .listeners
            .values()
            .map(|listener| {
                let port = listener.bind.port;
                let result = if port == 80 { Ok(([127, 0, 0, 1], 8080).into()) } else { Err("taken".to_owned()) };
                (listener.bind, result)
            })
            .collect();
        View::of(files.world(), &plan.config, &plan.status, &binds)
    }

    #[test]
    fn plain_columns_in_a_pipe() {
        let expected = "\
GATEWAY   LISTENER  PROTOCOL  PORT  ADDRESS         HOST  ROUTES  CONDITIONS
shop/web  http      HTTP      80    127.0.0.1:8080  *     1       Accepted Programmed ResolvedRefs

ROUTE                HOSTS  PARENTS   RULES  CONDITIONS
HTTPRoute shop/cart  *      shop/web  1      Accepted ResolvedRefs
";
        assert_eq!(render(&view("clean"), Style::Plain), expected);
    }

    #[test]
    fn what_is_wrong_comes_with_its_reason() {
        let text = render(&view("references"), Style::Plain);
        let row = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap_or_default().to_owned();
        assert!(row("HTTPRoute shop/cart").ends_with("not ResolvedRefs (BackendNotFound)"), "{text}");
        assert!(row("edge/web  https").contains("not ResolvedRefs (InvalidCertificateRef)"), "{text}");
    }

    #[test]
    fn lines_and_colours_on_a_terminal() {
        let text = render(&view("references"), Style::Coloured);
        assert!(text.contains('─') && text.contains("\x1b["), "{text}");
    }

    #[test]
    fn warnings_stand_behind_what_is_well_and_faults_alone() {
        let state = |kind: &str, status, good| State { kind: kind.into(), status, good, reason: "Why".into() };
        let (accepted, overlap) = (state("Accepted", true, true), state("Overlap", true, false));
        assert_eq!(words(&[accepted.clone(), overlap.clone()]), "Accepted Overlap (Why)");
        assert_eq!(
            words(&[accepted, state("ResolvedRefs", false, false), overlap]),
            "not ResolvedRefs (Why) Overlap (Why)"
        );
    }

    #[test]
    fn long_tables_are_cut() {
        let mut view = view("clean");
        view.routes = vec![view.routes[0].clone(); 10_000];
        view.routes[5_000].name = "shop/broken".to_owned();
        view.routes[5_000].conditions =
            vec![State { kind: "Accepted".into(), status: false, good: false, reason: "Why".into() }];
        let text = render(&view, Style::Plain);
        let end = "\n… and 9,900 more routes, all of them well; `-o json` prints all\n";
        assert!(text.ends_with(end), "{}", &text[text.len() - 120..]);
        let first = text.lines().find(|line| line.starts_with("HTTPRoute")).unwrap();
        assert!(first.contains("shop/broken") && first.ends_with("not Accepted (Why)"), "{first}");
    }
}
