//! Regular expressions over whole values.
//!
//! Usual patterns become a deterministic automaton in sparse form: read-only, so that workers share nothing that is written, and
//! about 500 bytes for a path with two or three classes (dense: 4 KiB, which is the budget of a whole route). What would grow
//! beyond [`AUTOMATON_LIMIT`] goes to the general engine, whose scratch space is pooled. Patterns are not united into one set on
//! purpose: a change of one route would then recompile all regular expressions of its host. Anchored automata give up at the
//! first byte that does not fit, so that a list of them is walked quickly.

use crate::Problem;
use crate::bytes::equal;
use regex_automata::dfa::{Automaton as _, StartKind, dense, sparse};
use regex_automata::meta;
use regex_automata::nfa::thompson;
use regex_automata::{Anchored, Input, MatchKind};
use regex_syntax::hir::{Hir, HirKind, Look};
use std::fmt;

/// A regular expression that must match a whole value.
///
/// RE2 syntax as the `regex` crate has it, on bytes. `\d`, `\w`, `\s` and `\b` are ASCII and `.` is any byte but a line feed, as
/// in RE2 on Latin-1 (paths are ASCII, and automata stay small); a pattern that names Unicode (`\p{Greek}`, `[é]`) has Unicode
/// classes throughout. Time is linear in the value. Compiled size is limited to 256 KiB.
pub struct Pattern {
    /// What a match begins with: refuses most values before the automaton is touched.
    literal: Box<[u8]>,
    engine: Engine,
    source: Box<str>,
}

enum Engine {
    Automaton(Box<sparse::DFA<Vec<u8>>>),
    General(Box<meta::Regex>),
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// When its syntax is wrong or it is too big; the field of the problem is empty.
    pub fn compile(source: &str) -> Result<Self, Problem> {
        let hir = parse(source).map_err(|message| Problem::new("", message))?;
        let literal = literal_prefix(&hir).into();
        let whole = Hir::concat(vec![Hir::look(Look::Start), hir, Hir::look(Look::End)]);
        let engine = match automaton(&whole) {
            Some(automaton) => Engine::Automaton(Box::new(automaton)),
            None => Engine::General(Box::new(general(&whole).map_err(|message| Problem::new("", message))?)),
        };
        Ok(Pattern { literal, engine, source: source.into() })
    }

    /// Whether the whole value matches.
    pub fn matches(&self, value: &[u8]) -> bool {
        if !value.get(..self.literal.len()).is_some_and(|start| equal(start, &self.literal)) {
            return false;
        }
        let input = Input::new(value).anchored(Anchored::Yes);
        match &self.engine {
            // An error can't come up: the automaton has no quit bytes and the search is anchored as it was built.
            Engine::Automaton(automaton) => matches!(automaton.try_search_fwd(&input), Ok(Some(_))),
            Engine::General(regex) => regex.is_match(input),
        }
    }

    /// As it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Bytes on the heap.
    pub fn memory(&self) -> usize {
        let engine = match &self.engine {
            Engine::Automaton(automaton) => size_of::<sparse::DFA<Vec<u8>>>() + automaton.memory_usage(),
            Engine::General(regex) => size_of::<meta::Regex>() + regex.memory_usage(),
        };
        self.literal.len() + self.source.len() + engine
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let engine = match &self.engine {
            Engine::Automaton(_) => "automaton",
            Engine::General(_) => "general",
        };
        f.debug_struct("Pattern").field("source", &self.source).field("engine", &engine).finish()
    }
}

/// ASCII classes first; Unicode ones when the pattern asks for what only they have.
fn parse(source: &str) -> Result<Hir, String> {
    use regex_syntax::{Error, ParserBuilder, hir::ErrorKind};
    let parser = |unicode| ParserBuilder::new().unicode(unicode).utf8(false).nest_limit(100).build();
    match parser(false).parse(source) {
        Err(Error::Translate(e)) if matches!(e.kind(), ErrorKind::UnicodeNotAllowed) => {
            parser(true).parse(source).map_err(message)
        }
        other => other.map_err(message),
    }
}

/// One line for conditions and logs; the crate's own messages draw the pattern over several.
fn message(error: regex_syntax::Error) -> String {
    match error {
        regex_syntax::Error::Parse(e) => {
            format!("invalid regular expression: {} at offset {}", e.kind(), e.span().start.offset)
        }
        regex_syntax::Error::Translate(e) => {
            format!("invalid regular expression: {} at offset {}", e.kind(), e.span().start.offset)
        }
        other => format!("invalid regular expression: {other}"),
    }
}

fn automaton(hir: &Hir) -> Option<sparse::DFA<Vec<u8>>> {
    let nfa = thompson::Compiler::new()
        .configure(
            thompson::Config::new()
                .utf8(false)
                .which_captures(thompson::WhichCaptures::None)
                .nfa_size_limit(Some(PROGRAM_LIMIT)),
        )
        .build_from_hir(hir)
        .ok()?;
    let config = dense::Config::new()
        .match_kind(MatchKind::All)
        .start_kind(StartKind::Anchored)
        .dfa_size_limit(Some(AUTOMATON_LIMIT))
        .determinize_size_limit(Some(4 * AUTOMATON_LIMIT));
    dense::Builder::new().configure(config).build_from_nfa(&nfa).ok()?.to_sparse().ok()
}

fn general(hir: &Hir) -> Result<meta::Regex, String> {
    let config = meta::Config::new()
        .utf8_empty(false)
        .which_captures(thompson::WhichCaptures::None)
        .nfa_size_limit(Some(PROGRAM_LIMIT))
        .hybrid_cache_capacity(PROGRAM_LIMIT);
    meta::Builder::new().configure(config).build_from_hir(hir).map_err(|e| match e.size_limit() {
        Some(limit) => format!("regular expression too big: it compiles to more than {limit} bytes"),
        None => format!("invalid regular expression: {e}"),
    })
}

/// The bytes that every match begins with.
fn literal_prefix(hir: &Hir) -> Vec<u8> {
    match hir.kind() {
        HirKind::Literal(literal) => literal.0.to_vec(),
        HirKind::Capture(capture) => literal_prefix(&capture.sub),
        HirKind::Concat(parts) => {
            let mut prefix = Vec::new();
            for part in parts {
                match part.kind() {
                    HirKind::Literal(literal) => prefix.extend_from_slice(&literal.0),
                    HirKind::Look(Look::Start) => {}
                    _ => break,
                }
            }
            prefix
        }
        _ => Vec::new(),
    }
}

/// Bytes of an automaton in the dense form that it is built in, about eight times the sparse one; beyond it the general engine
/// takes over.
const AUTOMATON_LIMIT: usize = 64 * 1024;

/// Bytes of a compiled pattern; beyond it the pattern is refused.
const PROGRAM_LIMIT: usize = 256 * 1024;
